// outline: Dice's coefficient of the two scans' own brain masks on the whole template grid, as
// skull stripping and alignment left them. Intensities play no part.
#include <string.h>

#include "measure/measure.h"
#include "measure/set.h"

static int64_t voxels_of(const sb_grid *grid) {
  return grid->dims[0] * grid->dims[1] * grid->dims[2];
}

static int64_t length(const sb_grid *grid, const void *context) {
  (void)context;
  return voxels_of(grid);
}

static bool is_set(const uint8_t *bits, int64_t i) {
  return bits[i / 8] >> (7 - i % 8) & 1;
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)context;
  (void)scratch;
  if (scan->own_mask == NULL)
    return sb_error(SB_CONTENT, "outline compares scans' own brain masks, and one is missing");
  int64_t voxels = voxels_of(grid), size = 0;
  for (int64_t i = 0; i < voxels; i++) size += is_set(scan->own_mask, i);
  if (size == 0) return sb_error(SB_CONTENT, "an empty brain mask");
  const float element = sb_set_element(size, terms);
  for (int64_t i = 0; i < voxels; i++) vector[i] = is_set(scan->own_mask, i) ? element : 0;
  return sb_ok();
}

const sb_measure sb_measure_outline = {
    .info = {.name = "outline",
             .title = "Dice coefficient of the scans' own brain masks",
             .range_min = 0,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "all intensities inside the brain",
             .cost = "a dot product of the whole grid's voxels",
             .source = "Dice 1945, Ecology 26:297"},
    .embedding_length = length,
    .term_count = SB_SET_TERMS,
    .embed = embed,
    .epilogue = sb_set_dice,
    .from_dot = SB_FROM_DOT_DICE,
};
