// Images that are no brain (see damages.h).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "damage_tools.h"
#include "damages.h"
#include "registration_cases.h"

typedef struct non_brain {
  const char *name;
  sb_status (*make)(const struct non_brain *b, const sb_volume *scan, uint64_t *seed,
                    sb_volume *out);
  double a;
} non_brain;

// A shape given by a function of mm from the middle of a 200 mm cube: 0 outside.
static sb_status shape(double (*value)(const double mm[3], const double *a), const double *a,
                       uint64_t *seed, sb_volume *out) {
  memset(out, 0, sizeof *out);
  sb_affine_identity(out->affine);
  for (int i = 0; i < 3; i++) {
    out->dims[i] = 200;
    out->affine[4 * i + 3] = -100;
  }
  sb_status status = SB_NEW(&out->voxels, voxel_count(out), "phantom");
  if (status.code != SB_OK) return status;
  float *voxel = out->voxels;
  for (int64_t z = 0; z < 200; z++)
    for (int64_t y = 0; y < 200; y++)
      for (int64_t x = 0; x < 200; x++) {
        const double mm[3] = {(double)x - 99.5, (double)y - 99.5, (double)z - 99.5};
        double inside = value(mm, a);
        *voxel++ = inside > 0 ? (float)(inside * (1000 + 20 * normal(seed))) : 0;
      }
  return status;
}

static double ball_value(const double mm[3], const double *a) {
  (void)a;
  return mm[0] * mm[0] + mm[1] * mm[1] + mm[2] * mm[2] < 65 * 65;
}

static double ellipsoid_value(const double mm[3], const double *a) {
  (void)a;
  return pow(mm[0] / 65, 2) + pow(mm[1] / 85, 2) + pow(mm[2] / 60, 2) < 1;
}

// Bright within, darker in a rind of 10 mm: what a blurred brain has in common with a fruit.
static double fruit_value(const double mm[3], const double *a) {
  (void)a;
  double r = sqrt(pow(mm[0] / 65, 2) + pow(mm[1] / 85, 2) + pow(mm[2] / 60, 2));
  return r > 1 ? 0 : (r > 0.85 ? 0.6 : 1);
}

static double cube_value(const double mm[3], const double *a) {
  (void)a;
  return fabs(mm[0]) < 55 && fabs(mm[1]) < 55 && fabs(mm[2]) < 55;
}

// Two bones end to end in a leg: marrow bright, bone dark, flesh between.
static double knee_value(const double mm[3], const double *a) {
  (void)a;
  double leg = hypot(mm[0], mm[1]), bone = hypot(mm[0] - 5, mm[1] + 8);
  if (leg > 60 || fabs(mm[2]) > 80) return 0;
  if (fabs(mm[2]) < 4) return bone < 35 ? 0.2 : 0.5; // the joint's gap
  return bone < 28 ? 1 : bone < 32 ? 0.15 : leg > 54 ? 0.9 : 0.5;
}

// A phantom for quality assurance: a cylinder of fluid with a grid, a row of rods, and a ball.
static double phantom_value(const double mm[3], const double *a) {
  (void)a;
  if (hypot(mm[0], mm[1]) > 70 || fabs(mm[2]) > 60) return 0;
  const bool grid =
      fabs(mm[2]) < 12 && (fabs(remainder(mm[0], 15)) < 1.5 || fabs(remainder(mm[1], 15)) < 1.5);
  const bool rods = mm[2] > 20 && hypot(remainder(mm[0], 20), remainder(mm[1], 20)) < 5;
  const bool ball = mm[2] < -20 && hypot(hypot(mm[0], mm[1]), mm[2] + 38) < 18;
  return grid ? 0.1 : rods ? 0.4 : ball ? 0.6 : 1;
}

// Vertebrae and discs, a canal with a cord behind them, muscle on both sides.
static double spine_value(const double mm[3], const double *a) {
  (void)a;
  const double cord = hypot(mm[0], mm[1] + 30), body = hypot(mm[0], mm[1]);
  if (fabs(mm[0]) > 55 || fabs(mm[1] + 10) > 60 || fabs(mm[2]) > 90) return 0;
  if (cord < 5) return 0.7;
  if (cord < 10) return 0.2;
  if (body < 20) return fabs(remainder(mm[2], 30)) < 4 ? 0.4 : 1;
  return 0.5 + 0.1 * sin(mm[0] / 6);
}

static sb_status make_shape(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                            sb_volume *out) {
  static double (*const values[])(const double mm[3], const double *a) = {
      ball_value, ellipsoid_value, fruit_value, cube_value, knee_value, phantom_value, spine_value};
  (void)scan;
  return shape(values[(int)b->a], NULL, seed, out);
}

static sb_status make_noise(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                            sb_volume *out) {
  (void)b;
  sb_status status = blank_like(scan, out);
  if (status.code != SB_OK) return status;
  const int64_t n = voxel_count(out);
  for (int64_t i = 0; i < n; i++) out->voxels[i] = (float)(100 * hypot(normal(seed), normal(seed)));
  return status;
}

// The brightest fifth of smooth noise.
static sb_status make_blob(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                           sb_volume *out) {
  sb_status status = smooth_noise(scan, b->a, seed, out);
  const int64_t n = voxel_count(scan);
  for (int64_t i = 0; status.code == SB_OK && i < n; i++)
    out->voxels[i] = out->voxels[i] > 0.8f ? 300 + 100 * out->voxels[i] : 0;
  return status;
}

// The left half, upside down.
static sb_status make_half(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                           sb_volume *out) {
  (void)b;
  (void)seed;
  sb_status status = blank_like(scan, out);
  if (status.code != SB_OK) return status;
  const int64_t nx = scan->dims[0], ny = scan->dims[1], nz = scan->dims[2];
  const int64_t middle = llround(extent_of(scan).centre[0]);
  for (int64_t z = 0; z < nz; z++)
    for (int64_t y = 0; y < ny; y++)
      memcpy(out->voxels + nx * (y + ny * z), scan->voxels + nx * (y + ny * (nz - 1 - z)),
             (size_t)middle * sizeof *out->voxels);
  return status;
}

// The upper half upside down in the place of the lower one.
static sb_status make_folded(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                             sb_volume *out) {
  (void)b;
  (void)seed;
  sb_status status = copy_of(scan, out);
  if (status.code != SB_OK) return status;
  const int64_t slice = scan->dims[0] * scan->dims[1], nz = scan->dims[2];
  const int64_t middle = llround(extent_of(scan).centre[2]);
  for (int64_t z = 0; z < middle; z++) {
    const int64_t from = 2 * middle - z;
    if (from < nz)
      memcpy(out->voxels + z * slice, scan->voxels + from * slice,
             (size_t)slice * sizeof *out->voxels);
    else
      memset(out->voxels + z * slice, 0, (size_t)slice * sizeof *out->voxels);
  }
  return status;
}

static sb_status make_two(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                          sb_volume *out) {
  (void)b;
  (void)seed;
  const extent e = extent_of(scan);
  const int64_t wide = e.high[0] - e.low[0] - 2; // they touch
  *out = *scan;
  out->dims[0] = 2 * wide + 20;
  sb_status status = SB_NEW_ZERO(&out->voxels, voxel_count(out), "two brains");
  if (status.code != SB_OK) return status;
  for (int64_t row = 0; row < scan->dims[1] * scan->dims[2]; row++)
    for (int64_t x = e.low[0]; x < e.high[0]; x++)
      for (int copy = 0; copy < 2; copy++) {
        const float value = scan->voxels[x + row * scan->dims[0]];
        if (value != 0) out->voxels[row * out->dims[0] + 8 + x - e.low[0] + copy * wide] = value;
      }
  return status;
}

typedef struct ranked {
  float value;
  int64_t at;
} ranked;

static int compare_ranked(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

// A brain's own outline and histogram, its intensities put in the order of noise smoothed to `a`
// mm: all of a brain but its anatomy.
static sb_status make_scrambled(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                                sb_volume *out) {
  const int64_t n = voxel_count(scan);
  ranked *from = NULL, *to = NULL;
  int64_t count = 0;
  sb_status status;
  SB_TRY(smooth_noise(scan, b->a, seed, out));
  SB_TRY(SB_NEW(&from, n, "ranks"));
  SB_TRY(SB_NEW(&to, n, "ranks"));
  for (int64_t i = 0; i < n; i++) {
    if (scan->voxels[i] == 0) continue;
    from[count] = (ranked){scan->voxels[i], i};
    to[count++] = (ranked){out->voxels[i], i};
  }
  qsort(from, (size_t)count, sizeof *from, compare_ranked);
  qsort(to, (size_t)count, sizeof *to, compare_ranked);
  memset(out->voxels, 0, (size_t)n * sizeof *out->voxels);
  for (int64_t i = 0; i < count; i++) out->voxels[to[i].at] = from[i].value;
cleanup:
  free(from);
  free(to);
  return status;
}

// One value, with `a` of noise, inside the brain's outline.
static sb_status make_filled(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                             sb_volume *out) {
  sb_status status = copy_of(scan, out);
  const int64_t n = voxel_count(scan);
  for (int64_t i = 0; status.code == SB_OK && i < n; i++)
    if (out->voxels[i] != 0) out->voxels[i] = (float)(100 * (1 + b->a * normal(seed)));
  return status;
}

// Dark where the brain is bright, as in a T2-weighted image.
static sb_status make_inverted(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                               sb_volume *out) {
  (void)b;
  (void)seed;
  sb_status status = copy_of(scan, out);
  const int64_t n = voxel_count(scan);
  const float most = (float)(2.2 * extent_of(scan).mean);
  for (int64_t i = 0; status.code == SB_OK && i < n; i++)
    if (out->voxels[i] != 0) out->voxels[i] = fmaxf(1, most - out->voxels[i]);
  return status;
}

static const non_brain NON_BRAINS[] = {
    {"ball", make_shape, 0},
    {"ellipsoid", make_shape, 1},
    {"ellipsoid with a darker rind", make_shape, 2},
    {"cube", make_shape, 3},
    {"knee", make_shape, 4},
    {"phantom", make_shape, 5},
    {"spine", make_shape, 6},
    {"noise", make_noise, 0},
    {"blobs of 10 mm", make_blob, 10},
    {"blobs of 20 mm", make_blob, 20},
    {"half a brain upside down", make_half, 0},
    {"lower half replaced by the upper", make_folded, 0},
    {"two brains side by side", make_two, 0},
    {"outline, histogram, texture of 3 mm", make_scrambled, 3},
    {"outline, histogram, texture of 8 mm", make_scrambled, 8},
    {"outline, one value", make_filled, 0.0},
    {"outline, one value and noise", make_filled, 0.1},
    {"contrast inverted", make_inverted, 0},
};

int non_brain_count(void) {
  return (int)(sizeof NON_BRAINS / sizeof *NON_BRAINS);
}

const char *non_brain_name(int which) {
  return NON_BRAINS[which].name;
}

sb_status non_brain_make(int which, const sb_volume *scan, uint64_t seed, sb_volume *out) {
  seed = seed * 1000 + 500 + (uint64_t)which;
  memset(out, 0, sizeof *out);
  sb_status status = NON_BRAINS[which].make(&NON_BRAINS[which], scan, &seed, out);
  if (status.code != SB_OK) sb_volume_free(out);
  return status;
}
