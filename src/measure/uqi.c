// uqi: the universal quality index, in cubes of 7 voxels: structural similarity without constants.
// Wang and Bovik leave open what a factor of nothing over nothing is; here it is 1, and nothing is
// what rounding can make: variances of a millionth of the squared range, squared means of 10^-10.
#include "measure/structure.h"

enum { RADIUS = 3 };

static sb_status create(const sb_grid *grid, void **context) {
  static const sb_structure_constants constants = {.dark = 1e-10, .flat = 1e-6};
  static const float weight[RADIUS + 1] = {1, 1, 1, 1};
  return sb_structure_create(grid, RADIUS, weight, &constants, context);
}

const sb_measure sb_measure_uqi = {
    .info = {.name = "uqi",
             .title = "Universal quality index in 3-D, cubes of 7 voxels",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = false,
             .invariant_to = "a common scale of the intensities",
             .cost = "a filter of 3 x 7 taps over V",
             .source = "Wang and Bovik 2002, IEEE Signal Process. Lett. 9:81"},
    .create = create,
    .destroy = sb_structure_destroy,
    .embedding_length = sb_structure_length,
    .term_count = SB_STRUCTURE_TERMS,
    .scratch_length = sb_structure_scratch,
    .embed = sb_structure_embed,
    .score = sb_structure_score,
    .form = sb_structure_form,
};
