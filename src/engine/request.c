// What was asked for, as a checksum: shares of one run have the same, and only they are merged.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/memory.h"
#include "engine/run.h"

static void add_text(sb_sha256 *hash, const char *text) {
  sb_sha256_add(hash, text, strlen(text) + 1);
}

static void add_scans(sb_sha256 *hash, const sb_store *store, const sb_identity *list,
                      int64_t count) {
  add_text(hash, sb_store_template_hash(store));
  add_text(hash, sb_store_parameters(store));
  for (int64_t i = 0; i < count; i++) {
    const uint32_t checksum = sb_store_record(store, i)->row_checksum;
    add_text(hash, list[i].dataset);
    add_text(hash, list[i].scan_id);
    add_text(hash, list[i].person);
    add_text(hash, list[i].source_sha256);
    sb_sha256_add(hash, &checksum, sizeof checksum);
  }
}

void sb_run_digest(const sb_run *run, char hex[SB_SHA256_HEX]) {
  const sb_link_options *o = run->options;
  const int64_t numbers[] = {o->top, o->has_threshold, o->matrix, run->scans.self,
                             (int64_t)run->mode};
  const double threshold = o->has_threshold ? o->threshold : 0;
  sb_sha256 hash;
  sb_sha256_start(&hash);
  add_text(&hash, sb_version());
  sb_sha256_add(&hash, numbers, sizeof numbers);
  sb_sha256_add(&hash, &threshold, sizeof threshold);
  if (o->mirrored) add_text(&hash, "mirrored");
  for (size_t m = 0; m < run->measure_count; m++)
    add_text(&hash, run->measured[m].measure->info.name);
  add_text(&hash, run->refine != NULL ? run->refine->info.name : "");
  add_scans(&hash, run->probe, run->scans.probe, run->scans.probe_count);
  if (!run->scans.self)
    add_scans(&hash, run->gallery, run->scans.gallery, run->scans.gallery_count);
  sb_sha256_end(&hash, hex);
}
