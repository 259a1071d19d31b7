#include "evaluate/noise.h"

#include <math.h>
#include <stdlib.h>

#include "core/geometry.h"
#include "core/memory.h"

// How much a voxel's axis may differ from the other scan's: more than alignment errs, less than heads
// are turned or voxel sizes differ.
static const double AXIS_TOLERANCE = 0.1;
// Voxels looked at when shifts are tried.
enum { TRIED_VOXELS = 40000 };

// Which voxel of b is voxel (i, j, k) of a: b[axis[r]] = sign[r] * a[r] + shift[axis[r]].
typedef struct lattice {
  int axis[3];
  int64_t sign[3], shift[3];
} lattice;

// ---- How the voxels lie -------------------------------------------------------------------------

// The axes rounded to whole ones, and the shift that is right at `centre`. False when they do not
// lie alike.
static bool round_to_lattice(const double map[16], const double centre[3], lattice *out) {
  bool used[3] = {false, false, false};
  double there[3];
  sb_affine_apply(map, centre, there);
  for (int from = 0; from < 3; from++) {
    int to = 0;
    for (int row = 1; row < 3; row++)
      if (fabs(map[4 * row + from]) > fabs(map[4 * to + from])) to = row;
    double sign = map[4 * to + from] > 0 ? 1 : -1;
    for (int row = 0; row < 3; row++)
      if (fabs(map[4 * row + from] - (row == to ? sign : 0)) > AXIS_TOLERANCE) return false;
    if (used[to]) return false;
    used[to] = true;
    out->axis[from] = to;
    out->sign[from] = sign > 0 ? 1 : -1;
    out->shift[to] = llround(there[to] - sign * centre[from]);
  }
  return true;
}

// ---- Noise --------------------------------------------------------------------------------------

// Over every `step`-th voxel; NaN when too few of them lie in both images.
static double correlate(const sb_volume *a, const sb_volume *b, const lattice *l,
                        const sb_brain_voxels *voxels, int64_t step) {
  sb_sums sums = {0};
  for (int64_t i = 0; i < voxels->count; i += step) {
    int64_t here[3], there[3];
    bool inside = true;
    for (int axis = 0; axis < 3; axis++) {
      int to = l->axis[axis];
      here[axis] = voxels->at[i][axis];
      there[to] = l->sign[axis] * here[axis] + l->shift[to];
      inside = inside && there[to] >= 1 && there[to] < b->dims[to] - 1;
    }
    sums.tried++;
    if (inside) sb_sums_add(&sums, sb_residual(a, here), sb_residual(b, there));
  }
  return sb_sums_correlation(&sums);
}

// The best of the places around.
static void find_shift(const sb_volume *a, const sb_volume *b, const sb_brain_voxels *voxels,
                       int reach, lattice *l) {
  const lattice start = *l;
  const int wide = 2 * reach + 1;
  int64_t step = voxels->count / TRIED_VOXELS + 1;
  double best = -INFINITY;
  for (int place = 0; place < wide * wide * wide; place++) {
    const int64_t moved[3] = {place % wide - reach, place / wide % wide - reach,
                              place / wide / wide - reach};
    lattice tried = start;
    for (int axis = 0; axis < 3; axis++) tried.shift[axis] += moved[axis];
    double r = correlate(a, b, &tried, voxels, step);
    if (!(r > best)) continue;
    best = r;
    *l = tried;
  }
}

sb_status sb_noise_agreement(const sb_placed *a, const sb_placed *b, const sb_common_brain *brain,
                             int reach, double *correlation) {
  double map[16];
  lattice l;
  sb_brain_voxels voxels = {0};
  sb_status status = sb_ok();
  *correlation = (double)NAN;
  if (!sb_is_fine(a->volume) || !sb_is_fine(b->volume)) return status;
  SB_TRY(sb_list_brain(a, brain, 1, &voxels));
  if (voxels.count == 0 || !sb_voxel_map(a, b, map) || !round_to_lattice(map, voxels.centre, &l))
    goto cleanup;
  find_shift(a->volume, b->volume, &voxels, reach, &l);
  *correlation = correlate(a->volume, b->volume, &l, &voxels, 1);
cleanup:
  free(voxels.at);
  return status;
}
