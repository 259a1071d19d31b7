// sb_link: a run or a share of one. A long one is linked in parts, each a share of its own in a folder
// below the results, and merged: when it is killed and run again, parts that were finished stay.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/order.h"
#include "engine/merge.h"
#include "engine/parts.h"
#include "engine/results.h"
#include "engine/run.h"
#include "store/mirror.h"

// A part does about as many multiplications: a quarter of an hour of two cores, a second of a GPU.
static const double PART_WORK = 1e14;
enum { MOST_PARTS = 1000, LEAST_PROBES = 64 };
static const double PAIR_FAMILY_COST = 100; // of a pair, in dot products

int64_t sb_part_count(double work, int64_t probes, int64_t block) {
  int64_t most = probes / LEAST_PROBES;
  if (block > 0) most = sb_smaller(most, (probes + block - 1) / block);
  return sb_larger(1, sb_smaller((int64_t)fmin(work / PART_WORK, MOST_PARTS), most));
}

static sb_status part_count(const sb_link_options *options, const sb_store *gallery,
                            const sb_store *probe, sb_share share, int64_t *parts) {
  const int64_t probes = sb_store_count(probe != NULL ? probe : gallery);
  const sb_range range = sb_share_range(share, probes, probe == NULL);
  const double pairs = (double)sb_range_pairs(range, sb_store_count(gallery), probe == NULL);
  const int64_t row = sb_store_row_length(gallery);
  const int64_t memory = sb_memory_bytes(options->memory_bytes);
  int64_t block = sb_larger(1, memory / (row * (int64_t)sizeof(float)));
  double work = options->measure_count == 0 ? pairs * (double)row : 0;
  for (size_t m = 0; m < options->measure_count; m++) {
    const sb_measure *measure;
    sb_status status = sb_measure_need(options->measures[m], &measure);
    if (status.code != SB_OK) return status;
    work += pairs * (double)row * (measure->info.gemm ? 1 : PAIR_FAMILY_COST);
    if (!measure->info.gemm) block = 0; // beside its pairs the reading of rows is nothing
  }
  *parts =
      options->parts > 0 ? options->parts : sb_part_count(work, range.last - range.first, block);
  return sb_ok();
}

// Progress of a part, told as such.
typedef struct part_progress {
  const sb_progress *outer;
  int64_t part, parts;
} part_progress;

static void advance(void *context, const char *stage, long long done, long long total) {
  const part_progress *p = context;
  char text[128];
  if (p->outer->advance == NULL) return;
  snprintf(text, sizeof text, "part %lld of %lld, %s", (long long)p->part, (long long)p->parts,
           stage);
  p->outer->advance(p->outer->context, text, done, total);
}

// Every part would warn of the same.
static void warn(void *context, const char *text) {
  const part_progress *p = context;
  if (p->part == 1 && p->outer->warn != NULL) p->outer->warn(p->outer->context, text);
}

static sb_status link_parts(const sb_store *gallery, const sb_store *probe,
                            const sb_link_options *options, const sb_limits *limits, sb_share share,
                            int64_t parts, const char *out, const sb_progress *progress,
                            sb_link_summary *summary) {
  sb_results results = {0};
  sb_link_options part_options = *options;
  char **folders = NULL, *below = sb_path_join(out, SB_PARTS_FOLDER);
  char *command = sb_link_command(gallery, probe, options);
  part_progress told = {progress, 0, parts};
  const sb_progress inner = {.context = &told, .advance = advance, .warn = warn};
  sb_link_summary part;
  const double start = sb_now_s();
  sb_status status = sb_ok();
  if (below == NULL || command == NULL) status = sb_error(SB_NO_MEMORY, "out of memory");
  SB_TRY(status);
  // That it may be written to. What was begun below it for something else is in nobody's way.
  SB_TRY(sb_results_open(out, &(sb_results_use){command, options->keep, progress}, &results));
  part_options.keep = false;
  SB_TRY(SB_NEW_ZERO(&folders, parts, "parts"));
  for (int64_t i = 0; i < parts; i++) {
    folders[i] = sb_format("%s/%04lld-of-%04lld", below, (long long)i + 1, (long long)parts);
    if (folders[i] == NULL) status = sb_error(SB_NO_MEMORY, "out of memory");
    SB_TRY(status);
    told.part = i + 1;
    SB_TRY(sb_link_share(gallery, probe, &part_options, limits,
                         sb_share_of(share, (sb_share){i, parts}), folders[i],
                         progress != NULL ? &inner : NULL, &part));
  }
  SB_TRY(sb_merge_shares((const char *const *)folders, (size_t)parts, share, out, false, NULL,
                         summary));
  summary->seconds = sb_now_s() - start;
  SB_TRY(sb_results_remove(below));
cleanup:
  sb_results_close(&results);
  for (int64_t i = 0; folders != NULL && i < parts; i++) free(folders[i]);
  free(folders);
  free(command);
  free(below);
  return status;
}

sb_status sb_link_limited(const sb_store *gallery, const sb_store *probe,
                          const sb_link_options *options, const sb_limits *limits, const char *out,
                          const sb_progress *progress, sb_link_summary *summary) {
  sb_share share = {0, 0};
  int64_t parts;
  sb_link_summary unread;
  sb_store *mirrored = NULL;
  sb_status status = sb_ok();
  if (options->shard_count > 0) share = (sb_share){options->shard_index - 1, options->shard_count};
  if (share.index < 0 || share.index >= sb_share_count(share))
    return sb_error(SB_USAGE, "shard %d of %d: expects 1 to %d", options->shard_index,
                    options->shard_count, options->shard_count);
  if (options->mirrored) {
    SB_TRY(sb_store_mirrored(probe != NULL ? probe : gallery, &mirrored));
    probe = mirrored;
  }
  SB_TRY(part_count(options, gallery, probe, share, &parts));
  if (summary == NULL) summary = &unread;
  if (parts == 1)
    status = sb_link_share(gallery, probe, options, limits, share, out, progress, summary);
  else
    status = link_parts(gallery, probe, options, limits, share, parts, out, progress, summary);
cleanup:
  sb_store_close(mirrored);
  return status;
}

sb_status sb_link(const sb_store *gallery, const sb_store *probe, const sb_link_options *options,
                  const char *out, const sb_progress *progress, sb_link_summary *summary) {
  const sb_link_options defaults = sb_link_options_default();
  sb_link_options asked = options != NULL ? *options : defaults;
  if (asked.backend == NULL) asked.backend = defaults.backend;
  if (asked.precision == NULL) asked.precision = defaults.precision;
  return sb_link_limited(gallery, probe, &asked, NULL, out, progress, summary);
}
