#include "engine/scan_lines.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/warn.h"

typedef struct named {
  const char *name; // scan_id, or participant without "sub-"
  int64_t scan;
} named;

static int by_name(const void *left, const void *right) {
  const named *a = left, *b = right;
  int order = strcmp(a->name, b->name);
  return order != 0 ? order : (a->scan > b->scan) - (a->scan < b->scan);
}

static const char *without(const char *prefix, const char *label) {
  size_t length = strlen(prefix);
  return strncmp(label, prefix, length) == 0 ? label + length : label;
}

// A cell's text, "" where the table has no such column.
static const char *text_at(const sb_tsv *table, size_t row, long column) {
  return column < 0 ? "" : sb_tsv_text(sb_tsv_cell(table, row, (size_t)column));
}

static sb_status sort_scans(const sb_scans *scans, bool by_id, named **out) {
  int64_t count = sb_scans_count(scans);
  sb_status status = SB_NEW(out, count, "scans");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < count; i++) {
    const sb_identity *scan = sb_scans_at(scans, i);
    (*out)[i] = (named){by_id ? scan->scan_id : without("sub-", scan->participant), i};
  }
  if (count > 1) qsort(*out, (size_t)count, sizeof **out, by_name);
  return status;
}

static int64_t first_of(const named *list, int64_t count, const char *name) {
  int64_t low = 0, high = count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (strcmp(list[middle].name, name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// What a line says of its scans, for messages: "sub-01 ses-2 of dataset a"; free() it.
static char *words_of(const sb_tsv *table, size_t row, const sb_scan_columns *by) {
  const char *dataset = text_at(table, row, by->dataset);
  const char *session = by->scan_id < 0 ? text_at(table, row, by->session) : "";
  return sb_format(
      "%s%s%s%s%s", text_at(table, row, by->scan_id >= 0 ? by->scan_id : by->participant),
      *session == '\0' ? "" : " ", session, *dataset == '\0' ? "" : " of dataset ", dataset);
}

static const char *or_none(const char *text) {
  return *text == '\0' ? "n/a" : text;
}

static sb_status nobody_named(const char *path, const sb_tsv *table, const sb_scan_columns *by,
                              const sb_scans *scans) {
  bool by_id = by->scan_id >= 0, session = !by_id && by->session >= 0;
  const sb_identity *first = scans->gallery;
  for (int64_t i = sb_scans_count(scans) - 1; i >= 0 && by->only != NULL; i--)
    if (strcmp(sb_scans_at(scans, i)->dataset, by->only) == 0) first = sb_scans_at(scans, i);
  return sb_error(
      SB_FORMAT,
      "%s: none of its %zu %s names a scan that is compared; for the first of these, %s%s%s%s "
      "%s%s%s",
      path, table->rows, by->folders ? "sub-* folders" : "lines",
      by->dataset < 0 ? "" : "dataset should be ", by->dataset < 0 ? "" : first->dataset,
      by->dataset < 0 ? "" : " and ", by_id ? "scan_id" : "participant_id",
      or_none(by_id ? first->scan_id : first->participant), session ? " and session_id " : "",
      session ? or_none(first->session) : "");
}

// One line: each of its scans.
static sb_status tell(const char *path, const sb_tsv *table, size_t row, const sb_scan_columns *by,
                      const sb_scans *scans, const named *list, sb_scan_told told, void *context,
                      int64_t *found) {
  const char *label = text_at(table, row, by->scan_id >= 0 ? by->scan_id : by->participant);
  const char *name = by->scan_id >= 0 ? label : without("sub-", label);
  const char *session = by->scan_id >= 0 ? "" : without("ses-", text_at(table, row, by->session));
  const char *dataset = by->only != NULL ? by->only : text_at(table, row, by->dataset),
             *seen = NULL;
  int64_t count = sb_scans_count(scans);
  sb_status status = sb_ok();
  *found = 0;
  if (*name == '\0') return status;
  for (int64_t i = first_of(list, count, name); i < count && strcmp(list[i].name, name) == 0; i++) {
    const sb_identity *scan = sb_scans_at(scans, list[i].scan);
    if ((*dataset != '\0' && strcmp(scan->dataset, dataset) != 0) ||
        (*session != '\0' && strcmp(without("ses-", scan->session), session) != 0))
      continue;
    if (seen != NULL && strcmp(seen, scan->dataset) != 0)
      return sb_error(SB_FORMAT, "%s: its %s%s names scans of two datasets, %s and %s; %s", path,
                      by->folders ? "" : "line of ", label, seen, scan->dataset,
                      by->folders
                          ? "a folder tells only of the one that is called like it (prepare "
                            "--dataset), a table of each by its column dataset"
                          : "tell which in a column dataset");
    seen = scan->dataset;
    ++*found;
    SB_TRY(told(context, list[i].scan, row));
  }
cleanup:
  return status;
}

sb_status sb_scan_lines(const char *path, const sb_tsv *table, const sb_scan_columns *by,
                        const sb_scans *scans, const sb_progress *progress, sb_scan_told told,
                        void *context) {
  named *list = NULL;
  size_t strangers = 0, first_stranger = 0;
  sb_status status = sb_ok();
  SB_TRY(sort_scans(scans, by->scan_id >= 0, &list));
  for (size_t row = 0; row < table->rows; row++) {
    int64_t found;
    SB_TRY(tell(path, table, row, by, scans, list, told, context, &found));
    if (found == 0 && strangers++ == 0) first_stranger = row;
  }
  if (strangers == table->rows) {
    status = nobody_named(path, table, by, scans);
  } else if (strangers > 0) {
    char *words = words_of(table, first_stranger, by);
    sb_warn(progress, "%s: %zu of its %zu lines name no scan that is compared, the first %s", path,
            strangers, table->rows, words == NULL ? "" : words);
    free(words);
  }
cleanup:
  free(list);
  return status;
}
