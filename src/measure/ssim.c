// ssim: structural similarity with a Gaussian window of 1.5 voxels, cut at 5 (11 x 11 x 11), and
// constants (0.01 L)^2 and (0.03 L)^2, where L is the range that both images span together with the
// background's 0.
#include <math.h>

#include "measure/structure.h"

enum { RADIUS = 5 };

static sb_status create(const sb_grid *grid, void **context) {
  static const sb_structure_constants constants = {.k1 = 0.01, .k2 = 0.03};
  float weight[RADIUS + 1];
  for (int k = 0; k <= RADIUS; k++) weight[k] = (float)exp(-0.5 * (k / 1.5) * (k / 1.5));
  return sb_structure_create(grid, RADIUS, weight, &constants, context);
}

const sb_measure sb_measure_ssim = {
    .info = {.name = "ssim",
             .title = "Structural similarity in 3-D, Gaussian window of 1.5 voxels",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = false,
             .invariant_to = "a common scale of the intensities",
             .cost = "a filter of 3 x 11 taps over V",
             .source = "Wang 2004, IEEE Trans. Image Process. 13:600"},
    .create = create,
    .destroy = sb_structure_destroy,
    .embedding_length = sb_structure_length,
    .term_count = SB_STRUCTURE_TERMS,
    .scratch_length = sb_structure_scratch,
    .embed = sb_structure_embed,
    .score = sb_structure_score,
    .form = sb_structure_form,
};
