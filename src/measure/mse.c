// mse: the mean squared difference of the intensities.
#include "measure/distance.h"

static double epilogue(double dot, const double *a, const double *b) {
  return sb_mse_of(sb_squares_from_dot(dot, a, b), a);
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  (void)scratch;
  return sb_mse_of(sb_distance_squares(grid, a, b), a.terms);
}

const sb_measure sb_measure_mse = {
    .info = {.name = "mse",
             .title = "Mean squared difference of the intensities",
             .range_min = 0,
             .range_max = INFINITY,
             .higher_is_closer = false,
             .gemm = true,
             .invariant_to = "a common offset of the intensities",
             .cost = "a dot product of V",
             .source = "Gauss 1809, Theoria motus, 179"},
    .embedding_length = sb_row_of_voxels,
    .term_count = SB_DISTANCE_TERMS,
    .embed = sb_distance_embed,
    .epilogue = epilogue,
    .score = score,
};
