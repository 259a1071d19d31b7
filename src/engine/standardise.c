#include "engine/standardise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/memory.h"
#include "core/select.h"
#include "engine/pairs.h"
#include "engine/rows.h"

typedef struct name {
  char digest[SB_SHA256_HEX];
  int64_t scan;
} name;

static int by_digest(const void *left, const void *right) {
  const name *a = left, *b = right;
  int order = strcmp(a->digest, b->digest);
  return order != 0 ? order : a->scan < b->scan ? -1 : a->scan > b->scan;
}

// The scans of a store that are sampled; free() *chosen.
static sb_status choose(const sb_store *store, name **chosen, int64_t *count) {
  const int64_t scans = sb_store_count(store);
  sb_status status = SB_NEW(chosen, scans, "scans");
  for (int64_t i = 0; i < scans && status.code == SB_OK; i++) {
    const sb_scan *scan = &sb_store_record(store, i)->scan;
    sb_sha256 hash;
    sb_sha256_start(&hash);
    sb_sha256_add(&hash, scan->dataset, strlen(scan->dataset) + 1);
    sb_sha256_add(&hash, scan->scan_id, strlen(scan->scan_id) + 1);
    sb_sha256_end(&hash, (*chosen)[i].digest);
    (*chosen)[i].scan = i;
  }
  if (status.code != SB_OK) return status;
  qsort(*chosen, (size_t)scans, sizeof **chosen, by_digest);
  *count = scans < SB_SAMPLED_SCANS ? scans : SB_SAMPLED_SCANS;
  return status;
}

// Pairs of two scans of different names; in a self-comparison each once.
static sb_status choose_pairs(const sb_store *probe, const sb_store *gallery, sb_pairs *pairs) {
  name *probes = NULL, *others = NULL;
  int64_t probe_count, other_count;
  sb_status status;
  SB_TRY(choose(probe, &probes, &probe_count));
  SB_TRY(choose(gallery, &others, &other_count));
  for (int64_t i = 0; i < probe_count; i++)
    for (int64_t j = probe == gallery ? i + 1 : 0; j < other_count; j++)
      if (strcmp(probes[i].digest, others[j].digest) != 0)
        SB_TRY(sb_pairs_add(pairs, (sb_pair){probes[i].scan, others[j].scan}));
cleanup:
  free(probes);
  free(others);
  return status;
}

static float median(float *values, int64_t count) {
  return sb_select(values, count, count / 2);
}

static sb_standard standard_of(const double *scores, int64_t count, float *values) {
  for (int64_t i = 0; i < count; i++) values[i] = (float)scores[i];
  double location = (double)median(values, count);
  for (int64_t i = 0; i < count; i++) values[i] = (float)fabs(scores[i] - location);
  return (sb_standard){.location = location, .scale = 1.4826 * (double)median(values, count)};
}

static sb_status find_standards(const sb_measure *measure, const sb_store *probe,
                                const sb_store *gallery, sb_standard *standards) {
  sb_pairs pairs = {0};
  double *scores = NULL, sum = 0;
  float *values = NULL;
  int parts = 0;
  sb_status status;
  while (measure->parts[parts] != NULL) parts++;
  SB_TRY(choose_pairs(probe, gallery, &pairs));
  for (int p = 0; p < parts; p++) standards[p] = (sb_standard){NAN, NAN, 1.0 / parts};
  if (pairs.count < SB_FEWEST_PAIRS) goto cleanup;
  SB_TRY(SB_NEW(&scores, pairs.count, "scores"));
  SB_TRY(SB_NEW(&values, pairs.count, "scores"));
  for (int p = 0; p < parts; p++) {
    SB_TRY(sb_score_pairs(probe, gallery, sb_measure_row_find(measure->parts[p]), NULL, pairs.items,
                          pairs.count, scores));
    standards[p] = standard_of(scores, pairs.count, values);
    sum += 1 / standards[p].scale;
  }
  for (int p = 0; p < parts; p++) // a part without spread says nothing of the others' weights
    standards[p].weight = isfinite(sum) ? 1 / standards[p].scale / sum : 1.0 / parts;
cleanup:
  free(scores);
  free(values);
  free(pairs.items);
  return status;
}

sb_status sb_run_embedder_open(const sb_measure *measure, const sb_store *probe,
                               const sb_store *gallery, sb_embedder *out, sb_standard *standards) {
  const sb_grid grid = sb_store_grid(gallery);
  double weights[SB_MOST_PARTS];
  sb_status status = sb_embedder_open(measure, &grid, out);
  if (status.code != SB_OK || measure->parts == NULL) return status;
  status = find_standards(measure, probe, gallery, standards);
  if (status.code != SB_OK) return status;
  for (int p = 0; measure->parts[p] != NULL; p++) weights[p] = standards[p].weight;
  measure->weigh(out->context, weights);
  return status;
}
