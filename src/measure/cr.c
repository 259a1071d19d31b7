// cr: the correlation ratio, how far one scan's level of intensity (of 64) tells the other's: 1 minus
// the variance left within the levels, over the whole. It differs by direction; the score is the
// mean of both.
#include "measure/elements.h"
#include "measure/joint.h"

// The second scan's variance that the first one's levels leave, in shares. `count` has the first's
// levels `step` apart and the second's `inner` apart. A scan of one level has nothing to tell.
static double ratio(const uint32_t *count, int step, int inner, double voxels) {
  double within = 0, all_sum = 0, all_squares = 0; // of integers below 2^53: exact
  for (int i = 0; i < SB_LEVELS; i++) {
    uint64_t n = 0, sum = 0, squares = 0;
    for (int j = 0; j < SB_LEVELS; j++) {
      uint64_t here = count[i * step + j * inner], level = (uint64_t)j;
      n += here;
      sum += here * level;
      squares += here * level * level;
    }
    if (n == 0) continue;
    within += (double)squares - (double)sum * (double)sum / (double)n;
    all_sum += (double)sum;
    all_squares += (double)squares;
  }
  double whole = all_squares - all_sum * all_sum / voxels;
  return whole > 0 ? sb_clamp(1 - within / whole, 0, 1) : 0;
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  const sb_joint *joint = sb_joint_of(grid, a, b, scratch);
  double voxels = (double)grid->row_length;
  return (ratio(joint->count, SB_LEVELS, 1, voxels) + ratio(joint->count, 1, SB_LEVELS, voxels)) /
         2;
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
};
