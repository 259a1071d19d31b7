// What a store has of a scan that is to be prepared (see ingest_known.h).
#include "store/ingest_known.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/utf8.h"

typedef const sb_scan_record *(*record_at)(const sb_store *store, int64_t i);

// By bisection; NULL when it is not there.
static const sb_scan_record *look_up(const sb_store *store, record_at at, int64_t count,
                                     const sb_scan *scan) {
  int64_t low = 0, high = count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    const sb_scan_record *record = at(store, middle);
    int order = strcmp(record->scan.dataset, scan->dataset);
    if (order == 0) order = strcmp(record->scan.scan_id, scan->scan_id);
    if (order == 0) return record;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

const sb_scan_record *sb_known_row(const sb_store *store, const sb_scan *scan) {
  return look_up(store, sb_store_record, sb_store_count(store), scan);
}

char *sb_recorded_path(const char *path) {
  char *absolute = sb_path_absolute(path);
  if (absolute == NULL || sb_utf8_shows(absolute)) return absolute;
  free(absolute); // a folder above has a name that the table cannot hold
  return sb_strdup(path);
}

bool sb_known_path(const sb_scan_record *row, const char *path) {
  if (strcmp(row->scan.source_path, path) == 0) return true;
  char *recorded = sb_recorded_path(path);
  bool same = recorded != NULL && strcmp(row->scan.source_path, recorded) == 0;
  free(recorded);
  return same;
}

static bool is_known_label(const char *recorded, const char *label) {
  return label[0] == '\0' || strcmp(recorded, label) == 0;
}

bool sb_known_labels(const sb_scan_record *row, const sb_scan *scan) {
  return is_known_label(row->scan.participant, scan->participant) &&
         is_known_label(row->scan.session, scan->session);
}

bool sb_touched_since(const struct timespec *begun, const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return false;
  const struct timespec *at = &info.st_ctim;
  return at->tv_sec != begun->tv_sec ? at->tv_sec > begun->tv_sec : at->tv_nsec > begun->tv_nsec;
}

sb_status sb_check_known(const sb_scan_record *row, const sb_scan *scan, const char *hash) {
  const char *path = scan->source_path;
  if (!sb_known_labels(row, scan))
    return sb_error(
        SB_CONFLICT,
        "%s: its labels are now \"%s\" \"%s\", and \"%s\" \"%s\" in the store, which stay; "
        "prepare into a new store, or tell link and check who is who by --identities",
        path, scan->participant, scan->session, row->scan.participant, row->scan.session);
  if (strcmp(row->source_sha256, hash) == 0) return sb_ok();
  if (sb_known_path(row, path))
    return sb_error(
        SB_CONFLICT,
        "%s: not prepared, as the file has changed since it was, and the row of what it "
        "held stays; prepare into a new store, or give --dataset another name",
        path);
  return sb_error(SB_CONFLICT,
                  "%s: not prepared, as the store has this scan from another file, %s, whose row "
                  "stays; name another --dataset for these files, or list them in a manifest with "
                  "a dataset or scan_id of their own",
                  path, row->scan.source_path);
}

bool sb_known_failure(const sb_store *store, const sb_scan_record *record) {
  const sb_scan_record *old =
      look_up(store, sb_store_failed, sb_store_failed_count(store), &record->scan);
  return old != NULL && old->status == record->status && strcmp(old->reason, record->reason) == 0 &&
         strcmp(old->source_sha256, record->source_sha256) == 0;
}
