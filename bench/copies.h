// Scans and copies of them that a benchmark makes, prepared into one store in a temporary folder.
#ifndef BENCH_COPIES_H
#define BENCH_COPIES_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "samebrain/samebrain.h"

static inline void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "%s: %s\n", program_invocation_short_name, status.message);
  exit(1);
}

typedef struct copied {
  char folder[40];
  sb_scan_list scans; // as they were given
  int64_t each;       // scans in the store of one of those: itself and its copies
  sb_store *store;    // scan i of the list is number i * each, and its copies come after it
} copied;

// Writes copy number `copy`, from 1, of scan number `i`.
typedef void (*make_copy)(const sb_volume *scan, size_t i, int64_t copy, const char *path);

static inline void copies_prepare(copied *c, const sb_scan_list *all) {
  const sb_ingest_options ingest = sb_ingest_options_default();
  sb_template *t;
  sb_preparer *preparer;
  sb_ingest_summary summary;
  char *path = sb_format("%s/store", c->folder);
  must(sb_template_load(NULL, &t));
  must(sb_preparer_create(t, NULL, &preparer));
  must(sb_ingest(path, t, preparer, all, &ingest, NULL, &summary));
  if (summary.failed > 0) must(sb_error(SB_CONTENT, "%s: a copy could not be prepared", path));
  must(sb_store_open(path, &c->store));
  sb_preparer_free(preparer);
  sb_template_free(t);
  free(path);
}

// The program's arguments are SCANs; ends it where they are none, or cannot be used.
static inline void copies_open(int argc, char **argv, int64_t copies, make_copy make, copied *out) {
  *out = (copied){.folder = "/tmp/samebrain-copies-XXXXXX", .each = copies + 1};
  if (argc < 2) {
    fprintf(stderr, "usage: %s SCAN...\n", program_invocation_short_name);
    exit(2);
  }
  must(sb_scan_list_find((const char *const *)(argv + 1), (size_t)argc - 1, NULL, &out->scans));
  if (mkdtemp(out->folder) == NULL) must(sb_error(SB_IO, "no temporary folder"));
  sb_scan_list all = {0};
  must(SB_NEW(&all.scans, out->scans.count * (size_t)out->each, "scans"));
  for (size_t i = 0; i < out->scans.count; i++) {
    const char *source = out->scans.scans[i].source_path;
    sb_volume volume;
    must(sb_volume_load(source, &volume, NULL));
    for (int64_t k = 0; k <= copies; k++) {
      char *name = sb_format("%04zu-%02lld", i, (long long)k);
      char *path = k == 0 ? sb_strdup(source) : sb_format("%s/%s.nii.gz", out->folder, name);
      if (k > 0) make(&volume, i, k, path);
      all.scans[all.count++] = (sb_scan){.dataset = sb_strdup("bench"),
                                         .scan_id = name,
                                         .participant = sb_strdup(""),
                                         .session = sb_strdup(""),
                                         .source_path = path,
                                         .mask_path = sb_strdup("")};
    }
    sb_volume_free(&volume);
  }
  copies_prepare(out, &all);
  sb_scan_list_free(&all);
}

// Whether two of the scans that were given are of one participant.
static inline bool copies_of_one_person(const copied *c, int64_t i, int64_t j) {
  const sb_scan *a = c->scans.scans + i, *b = c->scans.scans + j;
  return strcmp(a->participant, b->participant) == 0 && strcmp(a->dataset, b->dataset) == 0;
}

// Removes the folder; the program's exit code.
static inline int copies_close(copied *c) {
  char *command = sb_format("rm -rf '%s'", c->folder);
  sb_store_close(c->store);
  sb_scan_list_free(&c->scans);
  const bool removed = command != NULL && system(command) == 0;
  free(command);
  return removed ? 0 : 1;
}

#endif
