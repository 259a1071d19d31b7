// psnr: the peak signal-to-noise ratio, 10 log10(range^2 / mse), of the range that both rows span
// together, so that neither is the reference. From 200 dB on, equal rows included, it is 200.
#include "measure/distance.h"

static const double MOST_DB = 200;

static double epilogue(double dot, const double *a, const double *b) {
  return sb_psnr_of(sb_squares_from_dot(dot, a, b), MOST_DB, a, b);
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  (void)scratch;
  return sb_psnr_of(sb_distance_squares(grid, a, b), MOST_DB, a.terms, b.terms);
}

const sb_measure sb_measure_psnr = {
    .info = {.name = "psnr",
             .title = "Peak signal-to-noise ratio in dB, of the range that both rows span",
             .range_min = 0,
             .range_max = 200,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "a common scale and offset of the intensities",
             .cost = "a dot product of V",
             .source = "Huynh-Thu and Ghanbari 2008, Electron. Lett. 44:800, with both images' "
                       "range as the peak"},
    .embedding_length = sb_row_of_voxels,
    .term_count = SB_DISTANCE_TERMS,
    .embed = sb_distance_embed,
    .epilogue = epilogue,
    .score = score,
};
