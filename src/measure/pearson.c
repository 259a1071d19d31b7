// pearson: the correlation of the intensities inside the mask.
#include "measure/correlation.h"
#include "measure/measure.h"

static int64_t row_length(const sb_grid *grid) {
  return grid->row_length;
}

static int64_t no_scratch(const sb_grid *grid, const void *context) {
  (void)grid;
  (void)context;
  return 0;
}

static sb_status embed(const sb_grid *grid, const void *context, const float *row, float *vector,
                       float *scratch) {
  (void)context;
  (void)scratch;
  return sb_standardise(grid->row_length, row, sb_rms(grid->row_length, row), vector);
}

const sb_measure sb_measure_pearson = {
    .info = {.name = "pearson",
             .title = "Pearson correlation of the intensities",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .invariant_to = "scale and offset of the intensities",
             .source = "Pearson 1895, Proc. R. Soc. 58:240"},
    .embedding_length = row_length,
    .scratch_length = no_scratch,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
};
