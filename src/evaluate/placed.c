#include "evaluate/placed.h"

#include <math.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"

static const double MOST_VOXEL_MM = 1.55, LEAST_SHARE = 0.5;

bool sb_is_fine(const sb_volume *volume) {
  for (int axis = 0; axis < 3; axis++) {
    const double *a = volume->affine + axis;
    if (!(sqrt(a[0] * a[0] + a[4] * a[4] + a[8] * a[8]) <= MOST_VOXEL_MM)) return false;
  }
  return true;
}

bool sb_voxel_map(const sb_placed *a, const sb_placed *b, double map[16]) {
  double to_a[16], to_b[16];
  if (!sb_affine_invert(a->template_to_scan, to_a)) return false;
  if (!sb_affine_invert(b->volume->affine, to_b)) return false;
  sb_affine_multiply(to_a, a->volume->affine, map);
  sb_affine_multiply(b->template_to_scan, map, map);
  sb_affine_multiply(to_b, map, map);
  return true;
}

// The box of the scan's voxels, from `first` to before `last`, that the mask's voxels lie in.
static void find_box(const sb_common_brain *brain, const double to_scan[16], int64_t first[3],
                     int64_t last[3]) {
  const int64_t *dims = brain->grid->dims;
  int64_t low[3] = {INT64_MAX, INT64_MAX, INT64_MAX}, high[3] = {-1, -1, -1}, i = 0;
  for (int64_t z = 0; z < dims[2]; z++)
    for (int64_t y = 0; y < dims[1]; y++)
      for (int64_t x = 0; x < dims[0]; x++) {
        const int64_t at[3] = {x, y, z};
        if (!brain->mask[i++]) continue;
        for (int a = 0; a < 3; a++) {
          low[a] = at[a] < low[a] ? at[a] : low[a];
          high[a] = at[a] > high[a] ? at[a] : high[a];
        }
      }
  if (high[0] < 0) { // no brain: an empty box
    last[0] = first[0];
    return;
  }
  double least[3] = {INFINITY, INFINITY, INFINITY}, most[3] = {-INFINITY, -INFINITY, -INFINITY};
  for (int corner = 0; corner < 8; corner++) {
    double point[3];
    for (int a = 0; a < 3; a++)
      point[a] = corner >> a & 1 ? (double)high[a] + 0.5 : (double)low[a] - 0.5;
    sb_affine_apply(to_scan, point, point);
    for (int a = 0; a < 3; a++) {
      least[a] = fmin(least[a], point[a]);
      most[a] = fmax(most[a], point[a]);
    }
  }
  for (int a = 0; a < 3; a++) {
    first[a] = (int64_t)fmax(floor(least[a]), (double)first[a]);
    last[a] = (int64_t)fmin(floor(most[a]) + 2, (double)last[a]);
  }
}

static bool is_brain(const sb_common_brain *brain, const double point[3]) {
  const int64_t *dims = brain->grid->dims;
  int64_t at[3];
  for (int a = 0; a < 3; a++) {
    if (!(point[a] >= -0.5 && point[a] < (double)dims[a] - 0.5)) return false;
    at[a] = (int64_t)(point[a] + 0.5);
  }
  return brain->mask[at[0] + dims[0] * (at[1] + dims[1] * at[2])];
}

static void add_voxel(sb_brain_voxels *list, int64_t i, int64_t j, int64_t k) {
  const int64_t voxel[3] = {i, j, k};
  for (int a = 0; a < 3; a++) {
    if (list->at != NULL) list->at[list->count][a] = (int32_t)voxel[a];
    list->centre[a] += (double)voxel[a];
  }
  list->count++;
}

sb_status sb_list_brain(const sb_placed *scan, const sb_common_brain *brain, int64_t margin,
                        sb_brain_voxels *out) {
  const int64_t *dims = scan->volume->dims;
  int64_t first[3] = {margin, margin, margin},
          last[3] = {dims[0] - margin, dims[1] - margin, dims[2] - margin};
  double to_grid[16], to_scan[16], to_voxel[16];
  sb_status status = sb_ok();
  *out = (sb_brain_voxels){0};
  if (!sb_affine_invert(scan->volume->affine, to_voxel)) return status;
  sb_affine_multiply(scan->template_to_scan, brain->affine, to_scan);
  sb_affine_multiply(to_voxel, to_scan, to_scan);
  if (!sb_affine_invert(to_scan, to_grid)) return status;
  find_box(brain, to_scan, first, last);
  for (int pass = 0; pass < 2; pass++) { // count, then fill
    if (pass == 1) status = SB_NEW(&out->at, out->count, "voxels");
    if (status.code != SB_OK) return status;
    out->count = 0;
    memset(out->centre, 0, sizeof out->centre);
    for (int64_t k = first[2]; k < last[2]; k++)
      for (int64_t j = first[1]; j < last[1]; j++) {
        double row[3] = {0, (double)j, (double)k};
        sb_affine_apply(to_grid, row, row);
        for (int64_t i = first[0]; i < last[0]; i++) {
          double point[3];
          for (int a = 0; a < 3; a++) point[a] = row[a] + (double)i * to_grid[4 * a];
          if (is_brain(brain, point)) add_voxel(out, i, j, k);
        }
      }
  }
  for (int a = 0; a < 3 && out->count > 0; a++) out->centre[a] /= (double)out->count;
  return status;
}

double sb_residual(const sb_volume *volume, const int64_t at[3]) {
  const int64_t row = volume->dims[0], slice = row * volume->dims[1];
  const float *v = volume->voxels + at[0] + row * at[1] + slice * at[2];
  double around = (double)v[-1] + (double)v[1] + (double)v[-row] + (double)v[row] +
                  (double)v[-slice] + (double)v[slice];
  return (double)*v - around / 6;
}

double sb_sums_correlation(const sb_sums *s) {
  const double n = fmax(s->n, 1), var_x = s->xx - s->x * s->x / n, var_y = s->yy - s->y * s->y / n;
  if (s->n < LEAST_SHARE * s->tried || !(var_x > 0) || !(var_y > 0)) return (double)NAN;
  return (s->xy - s->x * s->y / n) / sqrt(var_x * var_y);
}
