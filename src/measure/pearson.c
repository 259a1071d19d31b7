// pearson: the correlation of the intensities inside the mask.
#include "measure/correlation.h"
#include "measure/measure.h"

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)context;
  (void)terms;
  (void)scratch;
  return sb_standardise(grid->row_length, scan->row, sb_rms(grid->row_length, scan->row), vector);
}

static void recipe(const sb_grid *grid, const void *context, sb_recipe *out) {
  (void)grid;
  (void)context;
  out->kind = SB_RECIPE_STANDARDISE;
}

const sb_measure sb_measure_pearson = {
    .info = {.name = "pearson",
             .title = "Pearson correlation of the intensities",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "scale and offset of the intensities",
             .cost = "a dot product of V",
             .source = "Pearson 1895, Proc. R. Soc. 58:240"},
    .embedding_length = sb_row_of_voxels,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
    .from_dot = SB_FROM_DOT_CORRELATION,
    .recipe = recipe,
};
