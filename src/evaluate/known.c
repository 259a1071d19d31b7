#include "evaluate/known.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/file.h"
#include "core/memory.h"
#include "engine/scan_lines.h"
#include "evaluate/values.h"
#include "store/inputs.h"
#include "store/inputs_names.h"

// A column's text for a scan.
typedef struct told {
  char *text;         // NULL: nothing is told
  int nearness;       // to the scan, of the file that tells it
  const char *source; // the table or folder, as given
} told;

typedef struct reader {
  const sb_evaluate_options *options;
  const sb_scans *scans;
  int64_t scan_count;
  const char *source; // at hand
  told *now, *all;    // columns x scans: what this one tells, and all before it
} reader;

// How near a file of a BIDS folder is to a scan, to which sb_name_fit is added: participants.tsv, sessions.tsv, then
// sidecars, nearer by each folder that they are deeper in (BIDS's inheritance principle), then scans.tsv.
enum { OF_PEOPLE = 0, OF_SESSIONS = 1000, OF_SIDECAR = 2000, DEEPER = 1000, OF_FILES = 10000 };
enum {
  DEEPEST = OF_SIDECAR + 3 * DEEPER
};                                    // sub-*/ses-*/anat: further down are only links that go round
static const double LARGEST = 0x1p53; // up to which doubles tell whole numbers apart

// ---- Values -------------------------------------------------------------------------------------

// That two texts are one value of a column.
//   first  where the first of them stands; "": at `path` too
static sb_status agree(const reader *r, size_t column, int64_t scan, const char *first,
                       const char *path, const char *a, const char *b) {
  const sb_by *by = r->options->by + column;
  const sb_identity *who = sb_scans_at(r->scans, scan);
  if (by->categories ? strcmp(a, b) == 0 : sb_value_same(a, b)) return sb_ok();
  return sb_error(SB_FORMAT,
                  "%s%s%s: two values of %s for scan %s of dataset %s, %s and %s; tell scans or "
                  "sessions apart (scan_id, session_id), or keep one",
                  first, *first == '\0' ? "" : " and ", path, by->column, who->scan_id,
                  who->dataset, a, b);
}

// Keeps what a file tells of a scan, unless one that is nearer does.
static sb_status take(reader *r, const char *path, size_t column, int64_t scan, int nearness,
                      const char *text) {
  told *t = r->now + (int64_t)column * r->scan_count + scan;
  if (*text == '\0' || nearness < t->nearness) return sb_ok();
  if (t->text != NULL && nearness == t->nearness)
    return agree(r, column, scan, "", path, t->text, text);
  free(t->text);
  *t = (told){sb_strdup(text), nearness, r->source};
  return t->text != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "%s: out of memory", path);
}

// Adds what the source at hand tells to what is known.
static sb_status join(reader *r) {
  sb_status status = sb_ok();
  for (size_t c = 0; c < r->options->by_count; c++)
    for (int64_t scan = 0; scan < r->scan_count; scan++) {
      told *now = r->now + (int64_t)c * r->scan_count + scan, *all = r->all + (now - r->now);
      if (now->text != NULL && all->text != NULL)
        SB_TRY(agree(r, c, scan, all->source, r->source, all->text, now->text));
      if (all->text == NULL)
        *all = *now;
      else
        free(now->text);
      *now = (told){0};
    }
cleanup:
  return status;
}

// ---- Tables -------------------------------------------------------------------------------------

// Whether a column is looked for in files: the dataset of a scan is known without.
static bool is_sought(const reader *r, size_t column) {
  return strcmp(r->options->by[column].column, "dataset") != 0;
}

typedef struct table {
  reader *r;
  const char *path;
  sb_tsv cells;
  bool any; // it has a column that is sought
  int nearness;
} table;

static sb_status open_table(reader *r, const char *path, table *t) {
  *t = (table){.r = r, .path = path};
  sb_status status = sb_tsv_read(path, &t->cells);
  if (status.code == SB_OK) sb_tsv_trim(&t->cells);
  for (size_t c = 0; c < r->options->by_count && status.code == SB_OK; c++) {
    long at = -1;
    if (is_sought(r, c)) status = sb_tsv_find(&t->cells, path, r->options->by[c].column, &at);
    t->any = t->any || at >= 0;
  }
  return status;
}

static sb_status take_line(void *context, int64_t scan, size_t row) {
  const table *t = context;
  sb_status status = sb_ok();
  for (size_t c = 0; c < t->r->options->by_count && status.code == SB_OK; c++) {
    const long at = is_sought(t->r, c) ? sb_tsv_column(&t->cells, t->r->options->by[c].column) : -1;
    if (at >= 0)
      status = take(t->r, t->path, c, scan, t->nearness,
                    sb_tsv_text(sb_tsv_cell(&t->cells, row, (size_t)at)));
  }
  return status;
}

// A table whose lines name scans: the source at hand, or the participants.tsv of one, where others have other
// columns.
//   dataset  whose scans alone it names; NULL: as it says
static sb_status read_table(reader *r, const char *path, const char *dataset) {
  const bool is_source = path == r->source;
  table t;
  sb_status status = open_table(r, path, &t);
  SB_TRY(status);
  if (!t.any && !is_source) goto cleanup;
  const sb_scan_columns names = {.dataset = sb_tsv_column(&t.cells, "dataset"),
                                 .scan_id = sb_tsv_column(&t.cells, "scan_id"),
                                 .participant = sb_tsv_column(&t.cells, "participant_id"),
                                 .session = sb_tsv_column(&t.cells, "session_id"),
                                 .only = dataset};
  if (names.scan_id < 0 && names.participant < 0) {
    status = sb_error(SB_FORMAT,
                      "%s: names no scans: it needs a column scan_id or participant_id (and, where "
                      "these are not enough, session_id and dataset)",
                      path);
    goto cleanup;
  }
  for (size_t c = 0, at; c < r->options->by_count; c++)
    if (is_source && r->options->covariate_count == 1 && is_sought(r, c))
      SB_TRY(sb_tsv_need(&t.cells, path, r->options->by[c].column, &at));
  if (t.any)
    status = sb_scan_lines(path, &t.cells, &names, r->scans,
                           is_source ? r->options->progress : NULL, take_line, &t);
cleanup:
  sb_tsv_free(&t.cells);
  return status;
}

// ---- BIDS folders -------------------------------------------------------------------------------

static int fit_of(const reader *r, const char *name, int64_t scan) {
  const sb_identity *who = sb_scans_at(r->scans, scan);
  return sb_name_fit(name, who->participant, who->session, who->scan_id);
}

static sb_status take_sidecar(reader *r, const char *path, int64_t scan, int nearness) {
  char *text;
  const char *end = NULL;
  size_t bytes, line = 1;
  sb_status status = sb_read_file(path, &text, &bytes);
  if (status.code != SB_OK) return status;
  cJSON *root = cJSON_ParseWithOpts(text, &end, true);
  for (const char *at = text; at < end; at++) line += *at == '\n';
  if (!cJSON_IsObject(root))
    status = sb_error(SB_FORMAT, "%s: no JSON object (read as far as line %zu)", path, line);
  for (size_t c = 0; c < r->options->by_count && status.code == SB_OK; c++) {
    const char *column = r->options->by[c].column;
    const cJSON *item = is_sought(r, c) ? cJSON_GetObjectItemCaseSensitive(root, column) : NULL;
    if (item == NULL || cJSON_IsNull(item)) continue;
    if (cJSON_IsArray(item) || cJSON_IsObject(item))
      status = sb_error(SB_FORMAT, "%s: %s is %s, no single value: nothing can be told apart by it",
                        path, column, cJSON_IsArray(item) ? "a list" : "an object");
    else if (cJSON_IsNumber(item) && !(fabs(item->valuedouble) <= LARGEST))
      status = sb_error(
          SB_FORMAT,
          "%s: %s is a number too large to be told from the next: let it be a text, in quotes",
          path, column);
    if (status.code != SB_OK) break;
    char *value =
        cJSON_IsString(item) ? sb_strdup(item->valuestring) : cJSON_PrintUnformatted(item);
    status = value == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", path)
                           : take(r, path, c, scan, nearness, sb_tsv_text(sb_tsv_trimmed(value)));
    free(value);
  }
  cJSON_Delete(root);
  free(text);
  return status;
}

// The lines of a sessions.tsv or a scans.tsv that tell of a scan.
static sb_status take_lines(reader *r, const char *path, int64_t scan, bool sessions) {
  table t;
  size_t names;
  sb_status status = open_table(r, path, &t);
  if (status.code != SB_OK || !t.any) goto cleanup;
  SB_TRY(sb_tsv_need(&t.cells, path, sessions ? "session_id" : "filename", &names));
  for (size_t row = 0; row < t.cells.rows && status.code == SB_OK; row++) {
    const char *cell = sb_tsv_text(sb_tsv_cell(&t.cells, row, names));
    char *name = sessions ? sb_name_with_prefix("ses-", cell) : sb_path_base(cell);
    if (name == NULL) status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
    const bool names_it = name != NULL && *cell != '\0' && (sessions || sb_name_is_t1w(name));
    const int fit = names_it ? fit_of(r, name, scan) : -1;
    t.nearness = (sessions ? OF_SESSIONS : OF_FILES) + fit;
    if (fit >= 0) status = take_line(&t, scan, row);
    free(name);
  }
cleanup:
  sb_tsv_free(&t.cells);
  return status;
}

static bool is_sidecar(const char *name) {
  return strcmp(name, "T1w.json") == 0 || sb_ends_with(name, "_T1w.json");
}

// What a scan is told by one of a BIDS folder's files, or by those in a folder of its person or session, or anat.
static sb_status take_entry(reader *r, const char *folder, const char *name, int64_t scan,
                            int nearness) {
  const sb_identity *who = sb_scans_at(r->scans, scan);
  const bool sidecar = is_sidecar(name), sessions = sb_ends_with(name, "_sessions.tsv");
  const bool file = sidecar || sessions || sb_ends_with(name, "_scans.tsv");
  const bool deeper =
      nearness < DEEPEST && (strcmp(name, who->participant) == 0 ||
                             strcmp(name, who->session) == 0 || strcmp(name, "anat") == 0);
  const int fit = file ? fit_of(r, name, scan) : -1;
  char **names = NULL, *path = NULL;
  size_t count = 0;
  sb_status status = sb_ok();
  if (fit < 0 && !deeper) return status;
  path = sb_path_join(folder, name);
  if (path == NULL)
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  else if (sidecar)
    status = take_sidecar(r, path, scan, nearness + fit);
  else if (file)
    status = take_lines(r, path, scan, sessions);
  else if (sb_is_folder(path))
    status = sb_list_folder(path, &names, &count);
  for (size_t i = 0; i < count && status.code == SB_OK; i++)
    status = take_entry(r, path, names[i], scan, nearness + DEEPER);
  sb_free_names(names, count);
  free(path);
  return status;
}

// A BIDS folder's sub-* folders, as a table of one column, and the sidecars beside them.
typedef struct folder {
  reader *r;
  sb_tsv people;
  char **sidecars;
  size_t sidecar_count;
} folder;

static sb_status take_scan(void *context, int64_t scan, size_t row) {
  const folder *f = context;
  sb_status status =
      take_entry(f->r, f->r->source, sb_tsv_cell(&f->people, row, 0), scan, OF_SIDECAR);
  for (size_t i = 0; i < f->sidecar_count && status.code == SB_OK; i++)
    status = take_entry(f->r, f->r->source, f->sidecars[i], scan, OF_SIDECAR);
  return status;
}

static sb_status read_folder(reader *r) {
  folder f = {.r = r, .people.columns = 1};
  sb_scan_columns lines = {
      .dataset = -1, .scan_id = -1, .participant = 0, .session = -1, .folders = true};
  char **names = NULL, *name = sb_folder_name(r->source);
  char *people = sb_path_join(r->source, "participants.tsv");
  size_t count = 0;
  bool tells_people = false;
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", r->source);
  if (name == NULL || people == NULL) goto cleanup;
  SB_TRY(sb_list_folder(r->source, &names, &count));
  if (!sb_bids_has_subjects(r->source, names, count)) {
    status = sb_error(SB_FORMAT, "%s: no BIDS folder: there are no sub-* folders in it", r->source);
    goto cleanup;
  }
  SB_TRY(SB_NEW(&f.sidecars, count, r->source));
  for (size_t i = 0; i < count; i++) {
    tells_people = tells_people || strcmp(names[i], "participants.tsv") == 0;
    if (is_sidecar(names[i])) f.sidecars[f.sidecar_count++] = names[i];
    if (strncmp(names[i], "sub-", 4) == 0 && f.people.rows++ == 0) f.people.cells = names + i;
  }
  for (int64_t i = 0; i < r->scan_count; i++)
    if (strcmp(sb_scans_at(r->scans, i)->dataset, name) == 0)
      lines.only = sb_scans_at(r->scans, i)->dataset;
  if (tells_people) SB_TRY(read_table(r, people, lines.only));
  SB_TRY(sb_scan_lines(r->source, &f.people, &lines, r->scans, NULL, take_scan, &f));
cleanup:
  free((void *)f.sidecars);
  sb_free_names(names, count);
  free(people);
  free(name);
  return status;
}

// ---- All ----------------------------------------------------------------------------------------

static sb_status check_use(const reader *r) {
  const sb_evaluate_options *options = r->options;
  if (options->covariate_count > 0 && options->by_count == 0)
    return sb_error(SB_USAGE, "%s: tell which of its columns to tell performance apart by (--by)",
                    options->covariates[0]);
  for (size_t c = 0; c < options->by_count && options->covariate_count == 0; c++)
    if (is_sought(r, c))
      return sb_error(SB_USAGE,
                      "without a table only \"dataset\" is known of scans, not \"%s\": name one, "
                      "or a BIDS folder, that has such a column (--covariates)",
                      options->by[c].column);
  return sb_ok();
}

sb_status sb_known_read(const sb_evaluate_options *options, const sb_scans *scans, char ***text) {
  reader r = {.options = options, .scans = scans, .scan_count = sb_scans_count(scans)};
  const int64_t cells = (int64_t)options->by_count * r.scan_count;
  sb_status status = check_use(&r);
  SB_TRY(status);
  SB_TRY(SB_NEW_ZERO(text, cells, "covariates"));
  SB_TRY(SB_NEW_ZERO(&r.now, cells, "covariates"));
  SB_TRY(SB_NEW_ZERO(&r.all, cells, "covariates"));
  for (size_t i = 0; i < options->covariate_count && status.code == SB_OK; i++) {
    r.source = options->covariates[i];
    status = sb_is_folder(r.source) ? read_folder(&r) : read_table(&r, r.source, NULL);
    if (status.code == SB_OK) status = join(&r);
  }
  for (int64_t i = 0; i < cells; i++) {
    const bool sought = is_sought(&r, (size_t)(i / r.scan_count));
    const char *dataset = sb_scans_at(scans, i % r.scan_count)->dataset;
    (*text)[i] = sought ? r.all[i].text : sb_strdup(dataset);
    if ((*text)[i] == NULL && !sought)
      status = sb_error(SB_NO_MEMORY, "out of memory for covariates");
    free(r.now[i].text); // left by an error
  }
cleanup:
  free(r.now);
  free(r.all);
  return status;
}
