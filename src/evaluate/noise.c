#include "evaluate/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"

// How much a voxel's axis may differ from the other scan's: more than alignment errs, less than heads
// are turned or voxel sizes differ.
static const double AXIS_TOLERANCE = 0.1;
// Beyond this size voxels differ from their neighbours by anatomy more than by noise.
static const double MOST_VOXEL_MM = 1.55;
// Voxels looked at when shifts are tried, and the least share that must lie in both images.
enum { TRIED_VOXELS = 40000 };
static const double LEAST_SHARE = 0.5;

// Which voxel of b is voxel (i, j, k) of a: b[axis[r]] = sign[r] * a[r] + shift[axis[r]].
typedef struct lattice {
  int axis[3];
  int64_t sign[3], shift[3];
} lattice;

// ---- How the voxels lie -------------------------------------------------------------------------

static bool is_fine(const sb_volume *v) {
  for (int axis = 0; axis < 3; axis++) {
    const double *a = v->affine + axis;
    if (!(sqrt(a[0] * a[0] + a[4] * a[4] + a[8] * a[8]) <= MOST_VOXEL_MM)) return false;
  }
  return true;
}

// Voxels of a to voxels of b, by way of the template.
static bool voxel_map(const sb_placed *a, const sb_placed *b, double map[16]) {
  double to_a[16], to_b[16];
  if (!sb_affine_invert(a->template_to_scan, to_a)) return false;
  if (!sb_affine_invert(b->volume->affine, to_b)) return false;
  sb_affine_multiply(to_a, a->volume->affine, map);
  sb_affine_multiply(b->template_to_scan, map, map);
  sb_affine_multiply(to_b, map, map);
  return true;
}

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

// ---- Voxels of the brain ------------------------------------------------------------------------

typedef struct voxel_list {
  int32_t (*at)[3];
  int64_t count;
  double centre[3];
} voxel_list;

typedef struct brain_grid {
  const sb_grid *grid;
  const uint8_t *brain;
  double from_voxel[16]; // of the scan
} brain_grid;

static bool in_brain(const brain_grid *g, int64_t i, int64_t j, int64_t k) {
  const int64_t *dims = g->grid->dims;
  double point[3] = {(double)i, (double)j, (double)k};
  sb_affine_apply(g->from_voxel, point, point);
  int64_t x = (int64_t)floor(point[0] + 0.5), y = (int64_t)floor(point[1] + 0.5),
          z = (int64_t)floor(point[2] + 0.5);
  bool inside = x >= 0 && y >= 0 && z >= 0 && x < dims[0] && y < dims[1] && z < dims[2];
  return inside && g->brain[x + dims[0] * (y + dims[1] * z)];
}

static void add_voxel(voxel_list *list, int64_t i, int64_t j, int64_t k) {
  const int64_t voxel[3] = {i, j, k};
  for (int a = 0; a < 3; a++) {
    if (list->at != NULL) list->at[list->count][a] = (int32_t)voxel[a];
    list->centre[a] += (double)voxel[a];
  }
  list->count++;
}

// The voxels of a scan that lie in `brain` and have neighbours on all sides.
static sb_status list_brain(const sb_placed *scan, const sb_grid *grid,
                            const double grid_affine[16], const uint8_t *brain, voxel_list *out) {
  const int64_t *dims = scan->volume->dims;
  brain_grid g = {.grid = grid, .brain = brain};
  double to_template[16];
  sb_status status = sb_ok();
  if (!sb_affine_invert(grid_affine, g.from_voxel) ||
      !sb_affine_invert(scan->template_to_scan, to_template))
    return status;
  sb_affine_multiply(g.from_voxel, to_template, g.from_voxel);
  sb_affine_multiply(g.from_voxel, scan->volume->affine, g.from_voxel);
  for (int pass = 0; pass < 2; pass++) { // count, then fill
    if (pass == 1) status = SB_NEW(&out->at, out->count, "voxels");
    if (status.code != SB_OK) return status;
    out->count = 0;
    memset(out->centre, 0, sizeof out->centre);
    for (int64_t k = 1; k < dims[2] - 1; k++)
      for (int64_t j = 1; j < dims[1] - 1; j++)
        for (int64_t i = 1; i < dims[0] - 1; i++)
          if (in_brain(&g, i, j, k)) add_voxel(out, i, j, k);
  }
  for (int a = 0; a < 3 && out->count > 0; a++) out->centre[a] /= (double)out->count;
  return status;
}

// ---- Noise --------------------------------------------------------------------------------------

static double residual(const sb_volume *volume, const int64_t at[3]) {
  const int64_t row = volume->dims[0], slice = row * volume->dims[1];
  const float *v = volume->voxels + at[0] + row * at[1] + slice * at[2];
  double around = (double)v[-1] + (double)v[1] + (double)v[-row] + (double)v[row] +
                  (double)v[-slice] + (double)v[slice];
  return (double)*v - around / 6;
}

// Over every `step`-th voxel; NaN when too few of them lie in both images.
static double correlate(const sb_volume *a, const sb_volume *b, const lattice *l,
                        const voxel_list *voxels, int64_t step) {
  double n = 0, tried = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (int64_t i = 0; i < voxels->count; i += step) {
    int64_t here[3], there[3];
    bool inside = true;
    for (int axis = 0; axis < 3; axis++) {
      int to = l->axis[axis];
      here[axis] = voxels->at[i][axis];
      there[to] = l->sign[axis] * here[axis] + l->shift[to];
      inside = inside && there[to] >= 1 && there[to] < b->dims[to] - 1;
    }
    tried++;
    if (!inside) continue;
    double u = residual(a, here), v = residual(b, there);
    n++;
    x += u;
    y += v;
    xx += u * u;
    yy += v * v;
    xy += u * v;
  }
  double var_x = xx - x * x / fmax(n, 1), var_y = yy - y * y / fmax(n, 1);
  if (n < LEAST_SHARE * tried || !(var_x > 0) || !(var_y > 0)) return (double)NAN;
  return (xy - x * y / n) / sqrt(var_x * var_y);
}

// The best of the places around.
static void find_shift(const sb_volume *a, const sb_volume *b, const voxel_list *voxels, int reach,
                       lattice *l) {
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

sb_status sb_noise_agreement(const sb_placed *a, const sb_placed *b, const sb_grid *grid,
                             const double grid_affine[16], const uint8_t *brain, int reach,
                             double *correlation) {
  double map[16];
  lattice l;
  voxel_list voxels = {0};
  sb_status status = sb_ok();
  *correlation = (double)NAN;
  if (!is_fine(a->volume) || !is_fine(b->volume)) return status;
  SB_TRY(list_brain(a, grid, grid_affine, brain, &voxels));
  if (voxels.count == 0 || !voxel_map(a, b, map) || !round_to_lattice(map, voxels.centre, &l))
    goto cleanup;
  find_shift(a->volume, b->volume, &voxels, reach, &l);
  *correlation = correlate(a->volume, b->volume, &l, &voxels, 1);
cleanup:
  free(voxels.at);
  return status;
}
