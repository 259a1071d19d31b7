// Scans in a manifest: a .tsv with a line for each.
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/tsv.h"
#include "store/inputs.h"
#include "store/inputs_names.h"

// Where the columns are; -1: the table lacks it.
typedef struct columns {
  long path, dataset, scan_id, participant, session, mask;
} columns;

// A manifest being read.
typedef struct manifest {
  const char *path;
  sb_tsv table;
  columns columns;
  char *folder;    // that its paths start at
  char *otherwise; // the dataset where nothing else tells
} manifest;

// A cell, "" where the table lacks the column.
static const char *cell(const manifest *m, size_t row, long column) {
  return column < 0 ? "" : sb_tsv_text(sb_tsv_cell(&m->table, row, (size_t)column));
}

// Paths in a manifest start at its folder.
static char *resolve(const char *folder, const char *path) {
  return path[0] == '/' || path[0] == '\0' ? sb_strdup(path) : sb_path_join(folder, path);
}

// Labels are those of the columns, else of the file's name.
static sb_status label(const manifest *m, size_t row, const char *name, sb_scan *scan) {
  const char *participant = cell(m, row, m->columns.participant);
  const char *session = cell(m, row, m->columns.session);
  sb_status status = sb_labels_of(name, &scan->participant, &scan->session);
  if (status.code != SB_OK) return status;
  if (participant[0] != '\0') {
    free(scan->participant);
    scan->participant = sb_name_with_prefix("sub-", participant);
  }
  if (session[0] != '\0') {
    free(scan->session);
    scan->session = sb_name_with_prefix("ses-", session);
  }
  return status;
}

static sb_status add_line(sb_finder *f, const manifest *m, size_t row) {
  const columns *c = &m->columns;
  const char *dataset = cell(m, row, c->dataset), *id = cell(m, row, c->scan_id);
  const char *mask = cell(m, row, c->mask), *given = cell(m, row, c->path);
  char *scan_folder = NULL, *name = NULL;
  sb_scan scan = {.source_path = resolve(m->folder, given)};
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", m->path);
  if (scan.source_path == NULL) goto cleanup;
  scan_folder = sb_path_folder(scan.source_path);
  name = sb_path_base(scan.source_path);
  if (scan_folder == NULL || name == NULL) goto cleanup;
  if (sb_name_stem(name) == 0) {
    status = sb_finder_leave_out(
        f,
        sb_error(SB_FORMAT, "%s: scan %zu: %s%s%s", m->path, row + 1, given[0] == '\0' ? "" : "\"",
                 given, given[0] == '\0' ? "has no path" : "\" is no name of a NIfTI file"));
    goto cleanup;
  }
  scan.dataset =
      dataset[0] != '\0' ? sb_strdup(dataset) : sb_dataset_of(f, scan_folder, m->otherwise);
  scan.scan_id = id[0] != '\0' ? sb_strdup(id) : sb_name_scan_id(name);
  scan.mask_path =
      mask[0] != '\0' ? resolve(m->folder, mask) : sb_mask_beside(scan.source_path, name);
  status = label(m, row, name, &scan);
  if (status.code == SB_OK) {
    status = sb_finder_add(f, &scan);
    memset(&scan, 0, sizeof scan);
  }
cleanup:
  sb_scan_release(&scan);
  free(scan_folder);
  free(name);
  return status;
}

sb_status sb_find_in_manifest(sb_finder *f, const char *path) {
  manifest m = {.path = path, .folder = sb_path_folder(path)};
  size_t column;
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  m.otherwise = m.folder == NULL ? NULL : sb_folder_name(m.folder);
  if (m.otherwise == NULL) goto cleanup;
  SB_TRY(sb_tsv_read(path, &m.table));
  sb_tsv_trim(&m.table);
  SB_TRY(sb_tsv_need(&m.table, path, "path", &column));
  if (m.table.rows == 0) {
    status = sb_error(SB_USAGE, "%s: the manifest lists no scans: it has no line after its header",
                      path);
    goto cleanup;
  }
  m.columns = (columns){.path = (long)column,
                        .dataset = sb_tsv_column(&m.table, "dataset"),
                        .scan_id = sb_tsv_column(&m.table, "scan_id"),
                        .participant = sb_tsv_column(&m.table, "participant_id"),
                        .session = sb_tsv_column(&m.table, "session_id"),
                        .mask = sb_tsv_column(&m.table, "mask")};
  for (size_t row = 0; row < m.table.rows; row++) SB_TRY(add_line(f, &m, row));
cleanup:
  sb_tsv_free(&m.table);
  free(m.folder);
  free(m.otherwise);
  return status;
}
