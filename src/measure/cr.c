// cr: the correlation ratio, how far one scan's level of intensity (of 64) tells the other's: 1 minus
// the variance left within the levels, over the whole. It differs by direction; the score is the
// mean of both.
#include "measure/joint.h"

// How far the first scan's levels tell the second's: `count` has the first's levels `step` apart and
// the second's `inner` apart.
static double ratio(const uint32_t *count, int step, int inner, double voxels) {
  sb_ratio out = {0, 0, 0};
  for (int i = 0; i < SB_LEVELS; i++) {
    sb_level_sums level = {0, 0, 0};
    for (int j = 0; j < SB_LEVELS; j++) sb_level_add(&level, count[i * step + j * inner], j);
    sb_ratio_add(&out, &level);
  }
  return sb_ratio_of(&out, voxels);
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  const sb_joint *joint = sb_joint_of(grid, a, b, scratch);
  double voxels = (double)grid->row_length;
  return (ratio(joint->count, SB_LEVELS, 1, voxels) + ratio(joint->count, 1, SB_LEVELS, voxels)) /
         2;
}

static void form(const sb_grid *grid, const void *context, sb_form *out) {
  (void)grid;
  (void)context;
  out->kind = SB_FORM_LEVELS;
  out->levels = SB_LEVELS_CR;
}

const sb_measure sb_measure_cr = {
    .info = {.name = "cr",
             .title = "Correlation ratio, mean of both directions, 64 levels of intensity",
             .range_min = 0,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = false,
             .invariant_to = "scale, offset and inversion of the intensities",
             .cost = "a joint histogram of V",
             .source = "Roche 1998, Proc. MICCAI, LNCS 1496:1115, symmetrised"},
    .embedding_length = sb_joint_length,
    .scratch_length = sb_joint_scratch,
    .embed = sb_joint_embed,
    .score = score,
    .form = form,
};
