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

sb_range sb_part_range(sb_range probes, int64_t block, int64_t part, int64_t parts) {
  const int64_t all = probes.last - probes.first, blocks = (all + block - 1) / block;
  const int64_t first = sb_smaller(block * (blocks * part / parts), all);
  const int64_t last = sb_smaller(block * (blocks * (part + 1) / parts), all);
  return (sb_range){probes.first + first, probes.first + last};
}

// How a run, or a share of one, is done in parts.
typedef struct cut {
  int64_t count;
  int64_t block; // of which parts are made; 0: they are shares
} cut;

static sb_status plan_parts(const sb_link_options *options, const sb_store *gallery,
                            const sb_store *probe, const sb_limits *limits, sb_range range,
                            cut *out) {
  const int64_t probes = range.last - range.first;
  const double pairs = (double)sb_range_pairs(range, sb_store_count(gallery), probe == NULL);
  const double row_work = pairs * (double)sb_store_row_length(gallery);
  double work = options->measure_count == 0 ? row_work : 0;
  bool reads = true; // beside the pair family's pairs the reading of rows is nothing
  int64_t block;
  sb_status status = sb_ok();
  for (size_t m = 0; m < options->measure_count; m++) {
    const sb_measure *measure;
    SB_TRY(sb_measure_need(options->measures[m], &measure));
    work += row_work * (measure->info.gemm ? 1 : PAIR_FAMILY_COST);
    reads = reads && measure->info.gemm;
  }
  *out = (cut){.count = options->parts > 0 ? options->parts : sb_part_count(work, probes, 0)};
  if (out->count == 1 || !reads) goto cleanup;
  SB_TRY(sb_link_block(gallery, probe, options, limits, range, &block));
  if (options->parts == 0) out->count = sb_part_count(work, probes, block);
  if ((probes + block - 1) / block >= out->count) out->block = block;
cleanup:
  return status;
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
                            sb_range range, const cut *how, const char *out,
                            const sb_progress *progress, sb_link_summary *summary) {
  const int64_t parts = how->count, probes = sb_store_count(probe != NULL ? probe : gallery);
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
    const sb_share own = sb_share_of(share, (sb_share){i, parts});
    SB_TRY(sb_link_share(gallery, probe, &part_options, limits, own,
                         how->block > 0 ? sb_part_range(range, how->block, i, parts)
                                        : sb_share_range(own, probes, probe == NULL),
                         folders[i], progress != NULL ? &inner : NULL, &part));
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
  cut how;
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
  const int64_t probes = sb_store_count(probe != NULL ? probe : gallery);
  const sb_range range = sb_share_range(share, probes, probe == NULL);
  SB_TRY(plan_parts(options, gallery, probe, limits, range, &how));
  if (summary == NULL) summary = &unread;
  if (how.count == 1)
    status = sb_link_share(gallery, probe, options, limits, share, range, out, progress, summary);
  else
    status =
        link_parts(gallery, probe, options, limits, share, range, &how, out, progress, summary);
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
