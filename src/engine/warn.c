#include "engine/warn.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sb_warn(const sb_progress *progress, const char *format, ...) {
  if (progress == NULL || progress->warn == NULL) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  progress->warn(progress->context, text);
}

static void warn_of_lost_rows(const sb_run *run, const sb_store *store) {
  int64_t lost = sb_store_lost_count(store);
  if (lost > 0)
    sb_warn(run->progress,
            "%s: rows that its tables list are lost and not compared (%lld of them; the store was "
            "damaged, or copied while it was written): prepare the same scans again to restore "
            "them",
            sb_store_path(store), (long long)lost);
}

// Scans of one name in both stores that are not one file.
static void warn_of_namesakes(const sb_run *run) {
  const sb_scans *scans = &run->scans;
  const sb_identity *first = NULL;
  int64_t count = 0;
  for (int64_t i = 0; i < scans->probe_count; i++) {
    const sb_identity *scan = scans->probe + i;
    if (run->people.same[i] >= 0 ||
        sb_identity_find(scans->gallery, scans->gallery_count, scan->dataset, scan->scan_id) < 0)
      continue;
    if (count++ == 0) first = scan;
  }
  if (count > 0)
    sb_warn(run->progress,
            "both stores have scans of the same dataset and name that are different files (%lld of "
            "them, the first is %s of dataset \"%s\"): they are compared like any other two",
            (long long)count, first->scan_id, first->dataset);
}

// Datasets in both stores, unless the gallery has all of the probe store's scans of it: then it is
// one dataset beyond doubt.
static void warn_of_shared_datasets(const sb_run *run) {
  const sb_scans *scans = &run->scans;
  const char *first = NULL, *last = NULL;
  int64_t count = 0;
  for (int64_t p = 0, g = 0; p < scans->probe_count; p++) {
    const char *dataset = scans->probe[p].dataset;
    if (run->people.same[p] >= 0 || (last != NULL && strcmp(dataset, last) == 0)) continue;
    while (g < scans->gallery_count && strcmp(scans->gallery[g].dataset, dataset) < 0) g++;
    if (g == scans->gallery_count) break;
    if (strcmp(scans->gallery[g].dataset, dataset) != 0) continue;
    if (count++ == 0) first = dataset;
    last = dataset;
  }
  if (count > 0)
    sb_warn(run->progress,
            "both stores have a dataset \"%s\"%s: people of the same name in it are taken as one "
            "person; where they are not, prepare with --dataset NAME or give --identities",
            first, count > 1 ? " and others in common" : "");
}

void sb_run_warn(const sb_run *run) {
  warn_of_lost_rows(run, run->gallery);
  if (run->scans.probe == run->scans.gallery) return;
  if (run->probe != run->gallery) warn_of_lost_rows(run, run->probe);
  warn_of_namesakes(run);
  if (run->mode == SB_IDENTITIES_LABELS) warn_of_shared_datasets(run);
}
