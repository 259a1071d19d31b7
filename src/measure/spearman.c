// spearman: the correlation of the intensities' ranks; equal intensities share their average rank.
// Ranks come from a radix sort of the values' bits, three passes of 11 bits.
#include <string.h>

#include "measure/correlation.h"
#include "measure/measure.h"
#include "measure/row.h"

enum { DIGIT = 11, BUCKETS = 1 << DIGIT, PASSES = 3 };

typedef struct item {
  uint32_t key, at;
} item;

// Integers that are ordered as the floats are; both zeros are one.
static uint32_t ordered_bits(float value) {
  uint32_t bits;
  value += 0.0f; // -0 becomes 0
  memcpy(&bits, &value, sizeof bits);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Sorts by key, keeping the order of equal keys; returns where the result is.
static item *sort(int64_t count, item *items, item *other) {
  int64_t start[PASSES][BUCKETS] = {{0}};
  for (int64_t i = 0; i < count; i++)
    for (int pass = 0; pass < PASSES; pass++)
      start[pass][items[i].key >> (pass * DIGIT) & (BUCKETS - 1)]++;
  for (int pass = 0; pass < PASSES; pass++) {
    int64_t before = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
      int64_t here = start[pass][bucket];
      start[pass][bucket] = before;
      before += here;
    }
    for (int64_t i = 0; i < count; i++)
      other[start[pass][items[i].key >> (pass * DIGIT) & (BUCKETS - 1)]++] = items[i];
    item *swapped = items;
    items = other;
    other = swapped;
  }
  return items;
}

static void rank(int64_t count, const float *row, item *items, float *ranks) {
  for (int64_t i = 0; i < count; i++) items[i] = (item){ordered_bits(row[i]), (uint32_t)i};
  const item *sorted = sort(count, items, items + count);
  for (int64_t first = 0, next; first < count; first = next) {
    for (next = first + 1; next < count && sorted[next].key == sorted[first].key;) next++;
    for (int64_t i = first; i < next; i++)
      ranks[sorted[i].at] = (float)(0.5 * (double)(first + next + 1)); // ranks count from 1
  }
}

static int64_t scratch_length(const sb_grid *grid, const void *context) {
  (void)context;
  return 4 * grid->row_length; // two lists of items, each the size of two floats
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)context;
  (void)terms;
  sb_row_facts facts;
  sb_status status = sb_row_examine(grid->row_length, scan->row, &facts);
  if (status.code != SB_OK) return status;
  rank(grid->row_length, scan->row, (item *)(void *)scratch, vector);
  return sb_standardise(grid->row_length, vector, sb_rms(grid->row_length, vector), vector);
}

const sb_measure sb_measure_spearman = {
    .info = {.name = "spearman",
             .title = "Spearman's rank correlation of the intensities, average ranks for ties",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "every rising function of the intensities",
             .cost = "a dot product of V",
             .source = "Spearman 1904, Am. J. Psychol. 15:72"},
    .embedding_length = sb_row_of_voxels,
    .scratch_length = scratch_length,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
    .from_dot = SB_FROM_DOT_CORRELATION,
};
