// mi: the mutual information of two rows in 64 levels each, in nats.
#include <math.h>

#include "measure/joint.h"

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  return sb_mi_of(sb_joint_entropies(grid, sb_joint_of(grid, a, b, scratch)));
}

static void form(const sb_grid *grid, const void *context, sb_form *out) {
  (void)grid;
  (void)context;
  out->kind = SB_FORM_LEVELS;
  out->levels = SB_LEVELS_MI;
}

const sb_measure sb_measure_mi = {
    .info = {.name = "mi",
             .title = "Mutual information in nats, 64 levels of intensity",
             .range_min = 0,
             .range_max = 6 * M_LN2,
             .higher_is_closer = true,
             .gemm = false,
             .invariant_to = "scale, offset and inversion of the intensities",
             .cost = "a joint histogram of V",
             .source =
                 "Wells 1996, Med. Image Anal. 1:35; Maes 1997, IEEE Trans. Med. Imaging 16:187"},
    .embedding_length = sb_joint_length,
    .scratch_length = sb_joint_scratch,
    .embed = sb_joint_embed,
    .score = score,
    .form = form,
};
