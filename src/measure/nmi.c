// nmi: normalised mutual information, (H(A) + H(B)) / H(A, B), of two rows in 64 levels each.
#include "measure/elements.h"
#include "measure/joint.h"

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  sb_entropies h = sb_joint_entropies(grid, sb_joint_of(grid, a, b, scratch));
  return h.joint > 0 ? sb_clamp((h.a + h.b) / h.joint, 1, 2) : 2;
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
};
