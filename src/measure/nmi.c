// nmi: normalised mutual information, (H(A) + H(B)) / H(A, B), of two rows in 64 levels each.
#include "measure/joint.h"

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  return sb_nmi_of(sb_joint_entropies(grid, sb_joint_of(grid, a, b, scratch)));
}

static void form(const sb_grid *grid, const void *context, sb_form *out) {
  (void)grid;
  (void)context;
  out->kind = SB_FORM_LEVELS;
  out->levels = SB_LEVELS_NMI;
}

const sb_measure sb_measure_nmi = {
    .info = {.name = "nmi",
             .title = "Normalised mutual information, 64 levels of intensity",
             .range_min = 1,
             .range_max = 2,
             .higher_is_closer = true,
             .gemm = false,
             .invariant_to = "scale, offset and inversion of the intensities",
             .cost = "a joint histogram of V",
             .source = "Studholme 1999, Pattern Recognit. 32:71"},
    .embedding_length = sb_joint_length,
    .scratch_length = sb_joint_scratch,
    .embed = sb_joint_embed,
    .score = score,
    .form = form,
};
