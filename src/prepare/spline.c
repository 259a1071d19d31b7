// Cubic B-splines over a grid, axis by axis.
#include "prepare/spline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/memory.h"

sb_status sb_spline_axis_create(int64_t elements, int64_t samples, double offset, double step,
                                sb_spline_axis *out) {
  *out = (sb_spline_axis){.samples = samples, .controls = elements + 3};
  sb_status status;
  SB_TRY(SB_NEW(&out->first, samples, "smooth field"));
  SB_TRY(SB_NEW(&out->weights, samples, "smooth field"));
  SB_TRY(SB_NEW(&out->squares, samples, "smooth field"));
  SB_TRY(SB_NEW(&out->cubes, samples, "smooth field"));
  for (int64_t i = 0; i < samples; i++) {
    double at = fmax(0, fmin(1, offset + (double)i * step)) * (double)elements;
    double first = fmin(floor(at), (double)(elements - 1));
    double t = at - first, s = 1 - t;
    out->first[i] = (int64_t)first;
    out->weights[i][0] = (float)(s * s * s / 6);
    out->weights[i][1] = (float)((3 * t * t * t - 6 * t * t + 4) / 6);
    out->weights[i][2] = (float)((3 * s * s * s - 6 * s * s + 4) / 6);
    out->weights[i][3] = (float)(t * t * t / 6);
    float sum = 0;
    for (int k = 0; k < 4; k++) {
      out->squares[i][k] = out->weights[i][k] * out->weights[i][k];
      sum += out->squares[i][k];
    }
    for (int k = 0; k < 4; k++) out->cubes[i][k] = out->squares[i][k] * out->weights[i][k] / sum;
  }
cleanup:
  if (status.code != SB_OK) sb_spline_axis_free(out);
  return status;
}

void sb_spline_axis_free(sb_spline_axis *axis) {
  free(axis->first);
  free(axis->weights);
  free(axis->squares);
  free(axis->cubes);
  memset(axis, 0, sizeof *axis);
}

// A plane of samples for each control point along z, and one of samples along x and controls along y.
int64_t sb_spline_scratch(const sb_spline_axis axes[3]) {
  return axes[0].samples * (axes[2].controls * axes[1].samples + axes[1].controls);
}

// ---- From samples to control points -------------------------------------------------------------

// Adds a row, times one factor each, to four rows that lie `stride` apart.
SB_CLONES
static void add_to_four(int64_t count, const float factors[4], const float *restrict in,
                        int64_t stride, float *restrict out) {
  float *restrict b = out + stride, *restrict c = b + stride, *restrict d = c + stride;
  for (int64_t i = 0; i < count; i++) {
    out[i] += factors[0] * in[i];
    b[i] += factors[1] * in[i];
    c[i] += factors[2] * in[i];
    d[i] += factors[3] * in[i];
  }
}

// out[control] = sum over the samples of values times their influence on it; what a sample's
// influence is along each axis is `influence`.
static void gather(const sb_spline_axis axes[3], float (*const influence[3])[4],
                   const float *values, float *scratch, float *out) {
  const sb_spline_axis *x = &axes[0], *y = &axes[1], *z = &axes[2];
  const int64_t plane = x->samples * y->samples, lines = x->samples * y->controls;
  float *planes = scratch, *rows = scratch + plane * z->controls;
  memset(planes, 0, (size_t)(plane * z->controls) * sizeof *planes);
  memset(out, 0, (size_t)(x->controls * y->controls * z->controls) * sizeof *out);
  for (int64_t k = 0; k < z->samples; k++)
    add_to_four(plane, influence[2][k], values + plane * k, plane, planes + plane * z->first[k]);
  for (int64_t k = 0; k < z->controls; k++) {
    memset(rows, 0, (size_t)lines * sizeof *rows);
    for (int64_t j = 0; j < y->samples; j++)
      add_to_four(x->samples, influence[1][j], planes + x->samples * j + plane * k, x->samples,
                  rows + x->samples * y->first[j]);
    for (int64_t j = 0; j < y->controls; j++) {
      float *sums = out + x->controls * (j + y->controls * k);
      for (int64_t i = 0; i < x->samples; i++)
        for (int c = 0; c < 4; c++)
          sums[x->first[i] + c] += influence[0][i][c] * rows[x->samples * j + i];
    }
  }
}

void sb_spline_gather_squares(const sb_spline_axis axes[3], const float *values, float *scratch,
                              float *out) {
  float(*const influence[3])[4] = {axes[0].squares, axes[1].squares, axes[2].squares};
  gather(axes, influence, values, scratch, out);
}

void sb_spline_fit(const sb_spline_axis axes[3], const float *weight_sums, const float *values,
                   float *scratch, float *coefficients) {
  // Influence below this is none: such a control point lies outside what the samples know.
  static const float LEAST_WEIGHT = 1e-6f;
  const int64_t controls = axes[0].controls * axes[1].controls * axes[2].controls;
  float(*const influence[3])[4] = {axes[0].cubes, axes[1].cubes, axes[2].cubes};
  gather(axes, influence, values, scratch, coefficients);
  for (int64_t c = 0; c < controls; c++)
    coefficients[c] = weight_sums[c] > LEAST_WEIGHT ? coefficients[c] / weight_sums[c] : 0;
}

// ---- From control points to samples -------------------------------------------------------------

// Adds four rows that lie `stride` apart, times one factor each, to a row.
SB_CLONES
static void add_four(int64_t count, const float factors[4], const float *restrict in,
                     int64_t stride, float *restrict out) {
  const float *restrict b = in + stride, *restrict c = b + stride, *restrict d = c + stride;
  for (int64_t i = 0; i < count; i++)
    out[i] += factors[0] * in[i] + factors[1] * b[i] + factors[2] * c[i] + factors[3] * d[i];
}

void sb_spline_add(const sb_spline_axis axes[3], const float *coefficients, float *scratch,
                   float *out) {
  const sb_spline_axis *x = &axes[0], *y = &axes[1], *z = &axes[2];
  const int64_t plane = x->samples * y->samples;
  float *planes = scratch, *rows = scratch + plane * z->controls;
  memset(planes, 0, (size_t)(plane * z->controls) * sizeof *planes);
  for (int64_t k = 0; k < z->controls; k++) {
    for (int64_t j = 0; j < y->controls; j++)
      for (int64_t i = 0; i < x->samples; i++) {
        const float *w = x->weights[i];
        const float *at = coefficients + x->controls * (j + y->controls * k) + x->first[i];
        rows[x->samples * j + i] = w[0] * at[0] + w[1] * at[1] + w[2] * at[2] + w[3] * at[3];
      }
    for (int64_t j = 0; j < y->samples; j++)
      add_four(x->samples, y->weights[j], rows + x->samples * y->first[j], x->samples,
               planes + x->samples * j + plane * k);
  }
  for (int64_t k = 0; k < z->samples; k++)
    add_four(plane, z->weights[k], planes + plane * z->first[k], plane, out + plane * k);
}
