// nrmse: the root of the mean squared difference, over the root of the mean of both rows' mean
// squares: 0 for equal rows, the root of 2 for rows without overlap, 2 for opposite ones.
#include "measure/distance.h"

static double epilogue(double dot, const double *a, const double *b) {
  return sb_nrmse_of(sb_squares_from_dot(dot, a, b), a, b);
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  (void)scratch;
  return sb_nrmse_of(sb_distance_squares(grid, a, b), a.terms, b.terms);
}

const sb_measure sb_measure_nrmse = {
    .info = {.name = "nrmse",
             .title = "Root mean squared difference over the root mean square of both rows",
             .range_min = 0,
             .range_max = 2,
             .higher_is_closer = false,
             .gemm = true,
             .invariant_to = "a common scale of the intensities",
             .cost = "a dot product of V",
             .source =
                 "Fienup 1997, Appl. Opt. 36:8352, with both images' norms in the denominator"},
    .embedding_length = sb_row_of_voxels,
    .term_count = SB_DISTANCE_TERMS,
    .embed = sb_distance_embed,
    .epilogue = epilogue,
    .from_dot = SB_FROM_DOT_NRMSE,
    .score = score,
};
