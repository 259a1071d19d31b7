// The correlation of scan and template between 4 and 10 mm, as a whole and by octants.
#include "prepare/structure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "image/orient.h"
#include "image/resample.h"
#include "image/smooth.h"
#include "prepare/mask.h"

static const double CELL_MM = 4, WIDE_MM = 10;
static const float LEAST_INSIDE = 0.5f; // of a cell, for it to count
enum { LEAST_CELLS = 200 };             // in an octant: 13 cm3

// A row's voxels times `brain` on coarse cells; NULL for the values is 1.
//   grid  scratch: the rows' grid, 0 outside the template's mask
static sb_status coarse(const sb_template *t, const float *values, const uint8_t *brain,
                        sb_volume *grid, sb_volume *out) {
  double size[3];
  int64_t factors[3];
  for (int64_t i = 0; i < t->row_length; i++) {
    const float value = values != NULL ? values[i] : 1;
    grid->voxels[t->row_index[i]] = brain[i] != 0 ? value : 0;
  }
  sb_voxel_size(grid->affine, size);
  for (int i = 0; i < 3; i++) factors[i] = llround(fmax(1, CELL_MM / size[i]));
  return sb_volume_shrink(grid, factors, out);
}

static sb_status copy(const sb_volume *in, sb_volume *out) {
  const int64_t n = in->dims[0] * in->dims[1] * in->dims[2];
  *out = *in;
  out->voxels = NULL;
  sb_status status = SB_NEW(&out->voxels, n, "cells");
  if (status.code == SB_OK) memcpy(out->voxels, in->voxels, (size_t)n * sizeof *out->voxels);
  return status;
}

// What is left of `values` (each times its cell's `weight`) without its wide Gaussian mean.
static sb_status detail(const sb_volume *weight, const sb_volume *wide_weight, sb_volume *values) {
  sb_volume wide;
  double sigma[3];
  const int64_t n = values->dims[0] * values->dims[1] * values->dims[2];
  sb_status status = copy(values, &wide);
  if (status.code != SB_OK) return status;
  sb_voxel_size(values->affine, sigma);
  for (int i = 0; i < 3; i++) sigma[i] = WIDE_MM / sigma[i];
  status = sb_volume_gaussian(&wide, sigma);
  for (int64_t i = 0; i < n; i++)
    values->voxels[i] =
        weight->voxels[i] >= LEAST_INSIDE
            ? values->voxels[i] / weight->voxels[i] - wide.voxels[i] / wide_weight->voxels[i]
            : 0;
  free(wide.voxels);
  return status;
}

typedef struct moments {
  double n, x, y, xx, yy, xy;
} moments;

static double correlation(const moments *m) {
  double product = (m->xx * m->n - m->x * m->x) * (m->yy * m->n - m->y * m->y);
  return product > 0 ? (m->xy * m->n - m->x * m->y) / sqrt(product) : 0;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Octants meet at the middle of the template's cells that are brain.
static void correlate(const sb_volume *weight, const int64_t middle[3], const sb_volume *x,
                      const sb_volume *y, sb_structure *out) {
  moments parts[SB_OCTANTS] = {0}, all = {0};
  int64_t i = 0;
  for (int64_t c = 0; c < weight->dims[2]; c++)
    for (int64_t b = 0; b < weight->dims[1]; b++)
      for (int64_t a = 0; a < weight->dims[0]; a++, i++) {
        if (weight->voxels[i] < LEAST_INSIDE) continue;
        moments *m = &parts[(a >= middle[0]) + 2 * (b >= middle[1]) + 4 * (c >= middle[2])];
        const double u = (double)x->voxels[i], v = (double)y->voxels[i];
        m->n++;
        m->x += u;
        m->y += v;
        m->xx += u * u;
        m->yy += v * v;
        m->xy += u * v;
      }
  for (int o = 0; o < SB_OCTANTS; o++) {
    all.n += parts[o].n;
    all.x += parts[o].x;
    all.y += parts[o].y;
    all.xx += parts[o].xx;
    all.yy += parts[o].yy;
    all.xy += parts[o].xy;
  }
  out->whole = correlation(&all);
  const double var_x = all.xx * all.n - all.x * all.x, var_y = all.yy * all.n - all.y * all.y;
  out->sharpness = var_x > 0 && var_y > 0 ? sqrt(var_x / var_y) : 0;
  for (int o = 0; o < SB_OCTANTS; o++)
    out->octants[o] = parts[o].n < LEAST_CELLS ? out->whole : correlation(&parts[o]);
  qsort(out->octants, SB_OCTANTS, sizeof *out->octants, compare_doubles);
}

// The cell in the middle of the row mask's box.
static void middle_of(const sb_template *t, const sb_volume *cells, int64_t middle[3]) {
  const int64_t *dims = t->row_image.dims;
  int64_t first[3], end[3];
  sb_mask_bounds(dims, t->row_mask, first, end);
  for (int k = 0; k < 3; k++) {
    const int64_t wide = (dims[k] + cells->dims[k] - 1) / cells->dims[k];
    middle[k] = (first[k] + end[k] - 1 + wide) / (2 * wide);
  }
}

// Standard deviation of a row's elements that are brain.
static double deviation(int64_t length, const float *row, const uint8_t *brain) {
  double n = 0, sum = 0, squares = 0;
  for (int64_t i = 0; i < length; i++) {
    if (brain[i] == 0) continue;
    n++;
    sum += (double)row[i];
    squares += (double)row[i] * (double)row[i];
  }
  return sqrt(fmax(0, squares - sum * sum / fmax(1, n)) / fmax(1, n));
}

sb_status sb_structure_measure(const sb_template *t, const float *row, const uint8_t *brain,
                               sb_structure *out) {
  sb_volume grid = t->row_image, weight = {0}, wide = {0}, scan = {0}, standard = {0};
  float *values = NULL;
  double sigma[3];
  int64_t middle[3];
  sb_status status;
  grid.voxels = NULL;
  SB_TRY(SB_NEW_ZERO(&grid.voxels, grid.dims[0] * grid.dims[1] * grid.dims[2], "cells"));
  SB_TRY(SB_NEW(&values, t->row_length, "cells"));
  for (int64_t i = 0; i < t->row_length; i++) values[i] = t->row_image.voxels[t->row_index[i]];
  SB_TRY(coarse(t, NULL, brain, &grid, &weight));
  SB_TRY(copy(&weight, &wide));
  SB_TRY(coarse(t, row, brain, &grid, &scan));
  SB_TRY(coarse(t, values, brain, &grid, &standard));
  sb_voxel_size(wide.affine, sigma);
  for (int i = 0; i < 3; i++) sigma[i] = WIDE_MM / sigma[i];
  SB_TRY(sb_volume_gaussian(&wide, sigma));
  SB_TRY(detail(&weight, &wide, &scan));
  SB_TRY(detail(&weight, &wide, &standard));
  middle_of(t, &weight, middle);
  correlate(&weight, middle, &scan, &standard, out);
  const double own = deviation(t->row_length, row, brain);
  out->sharpness *= own > 0 ? deviation(t->row_length, values, brain) / own : 0;
cleanup:
  free(values);
  sb_volume_free(&grid);
  sb_volume_free(&weight);
  sb_volume_free(&wide);
  sb_volume_free(&scan);
  sb_volume_free(&standard);
  return status;
}
