// The correlation of scan and template between 4 and 10 mm, as a whole and by octants.
#include "prepare/structure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/order.h"
#include "image/orient.h"
#include "image/smooth.h"

static const double CELL_MM = 4, WIDE_MM = 10;
static const float LEAST_INSIDE = 0.5f; // of a cell, for it to count
enum { LEAST_CELLS = 200 };             // in an octant: 13 cm3

// The rows' grid in cells: how much of each is brain, and the means of scan and template over all of
// the cell, 0 counting where there is no brain. With it the spreads of both rows.
typedef struct cell_means {
  sb_volume weight, scan, standard;
  double own_deviation, standard_deviation;
} cell_means;

static void cells_free(cell_means *cells) {
  sb_volume_free(&cells->weight);
  sb_volume_free(&cells->scan);
  sb_volume_free(&cells->standard);
}

// Sums over the row's elements that are brain.
typedef struct spread {
  double n, sum, squares;
} spread;

static inline void spread_add(spread *s, float value) {
  s->n++;
  s->sum += (double)value;
  s->squares += (double)value * (double)value;
}

static double deviation(const spread *s) {
  const double n = fmax(1, s->n);
  return sqrt(fmax(0, s->squares - s->sum * s->sum / n) / n);
}

static void cells_fill(const sb_template *t, const float *row, const uint8_t *brain,
                       const int64_t factors[3], cell_means *out) {
  const int64_t nx = t->row_image.dims[0], ny = t->row_image.dims[1], *dims = out->weight.dims;
  const float share = 1 / (float)(factors[0] * factors[1] * factors[2]);
  spread own = {0}, standard = {0};
  int64_t line = 0, end = 0, cell_line = 0; // of the grid: where it starts and ends; its cells
  for (int64_t i = 0; i < t->row_length; i++) {
    if (brain[i] == 0) continue;
    const int64_t at = t->row_index[i];
    if (at >= end) {
      line = at / nx * nx;
      end = line + nx;
      const int64_t y = at / nx % ny, z = at / (nx * ny);
      cell_line = dims[0] * (y / factors[1] + dims[1] * (z / factors[2]));
    }
    const int64_t cell = cell_line + (int64_t)((uint32_t)(at - line) / (uint32_t)factors[0]);
    const float value = t->row_image.voxels[at];
    out->weight.voxels[cell] += share;
    out->scan.voxels[cell] += share * row[i];
    out->standard.voxels[cell] += share * value;
    spread_add(&own, row[i]);
    spread_add(&standard, value);
  }
  out->own_deviation = deviation(&own);
  out->standard_deviation = deviation(&standard);
}

static sb_status cells_create(const sb_template *t, const float *row, const uint8_t *brain,
                              cell_means *out) {
  sb_volume *const all[] = {&out->weight, &out->scan, &out->standard};
  double size[3];
  int64_t factors[3], n = 1;
  sb_status status;
  memset(out, 0, sizeof *out);
  sb_voxel_size(t->row_image.affine, size);
  out->weight = t->row_image;
  for (int i = 0; i < 3; i++) {
    factors[i] = llround(fmax(1, CELL_MM / size[i]));
    out->weight.dims[i] = (t->row_image.dims[i] - 1) / factors[i] + 1;
    n *= out->weight.dims[i];
    for (int k = 0; k < 3; k++) out->weight.affine[4 * k + i] *= (double)factors[i];
  }
  out->scan = out->standard = out->weight;
  for (int v = 0; v < 3; v++) all[v]->voxels = NULL;
  for (int v = 0; v < 3; v++) SB_TRY(SB_NEW_ZERO(&all[v]->voxels, n, "cells"));
  cells_fill(t, row, brain, factors, out);
cleanup:
  return status;
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
  qsort(out->octants, SB_OCTANTS, sizeof *out->octants, sb_order_doubles);
}

// The cell in the middle of the row mask's box.
static void middle_of(const sb_template *t, const sb_volume *cells, int64_t middle[3]) {
  const int64_t *dims = t->row_image.dims;
  for (int k = 0; k < 3; k++) {
    const int64_t wide = (dims[k] + cells->dims[k] - 1) / cells->dims[k];
    middle[k] = (t->row_first[k] + t->row_end[k] - 1 + wide) / (2 * wide);
  }
}

sb_status sb_structure_measure(const sb_template *t, const float *row, const uint8_t *brain,
                               sb_structure *out) {
  sb_volume wide = {0};
  cell_means cells;
  double sigma[3];
  int64_t middle[3];
  sb_status status;
  SB_TRY(cells_create(t, row, brain, &cells));
  SB_TRY(copy(&cells.weight, &wide));
  sb_voxel_size(wide.affine, sigma);
  for (int i = 0; i < 3; i++) sigma[i] = WIDE_MM / sigma[i];
  SB_TRY(sb_volume_gaussian(&wide, sigma));
  SB_TRY(detail(&cells.weight, &wide, &cells.scan));
  SB_TRY(detail(&cells.weight, &wide, &cells.standard));
  middle_of(t, &cells.weight, middle);
  correlate(&cells.weight, middle, &cells.scan, &cells.standard, out);
  out->sharpness *= cells.own_deviation > 0 ? cells.standard_deviation / cells.own_deviation : 0;
cleanup:
  cells_free(&cells);
  sb_volume_free(&wide);
  return status;
}
