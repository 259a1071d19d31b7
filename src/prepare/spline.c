// Cubic B-splines over a grid, axis by axis.
#include "prepare/spline.h"

#include <math.h>
#include <stdbool.h>
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

int64_t sb_spline_scratch(const sb_spline_axis axes[3]) {
  return (axes[0].controls + axes[0].samples) * axes[1].controls + axes[0].controls;
}

// ---- From samples to control points -------------------------------------------------------------

SB_CLONES
static void add_scaled(int64_t count, float factor, const float *restrict in, float *restrict out) {
  for (int64_t i = 0; i < count; i++) out[i] += factor * in[i];
}

// The part of one line of samples in its control points; false when the line is empty.
static bool add_line(const sb_spline_axis *x, float (*const influence)[4], const float *line,
                     float *sums) {
  int64_t first = 0, end = x->samples;
  while (first < end && line[first] == 0) first++;
  while (end > first && line[end - 1] == 0) end--;
  if (first == end) return false;
  memset(sums, 0, (size_t)x->controls * sizeof *sums);
  while (first < end) { // the samples of one piece share their control points
    const int64_t piece = x->first[first];
    float sum[4] = {0};
    for (; first < end && x->first[first] == piece; first++)
      for (int c = 0; c < 4; c++) sum[c] += influence[first][c] * line[first];
    for (int c = 0; c < 4; c++) sums[piece + c] += sum[c];
  }
  return true;
}

// out[control] = sum over the samples of values times their influence on it; what a sample's
// influence is along each axis is `influence`.
static void gather(const sb_spline_axis axes[3], float (*const influence[3])[4],
                   const float *values, float *scratch, float *out) {
  const sb_spline_axis *x = &axes[0], *y = &axes[1], *z = &axes[2];
  const int64_t plane = x->controls * y->controls;
  float *controls = scratch, *sums = scratch + plane; // of one z; of one y and z
  memset(out, 0, (size_t)(plane * z->controls) * sizeof *out);
  for (int64_t k = 0; k < z->samples; k++) {
    memset(controls, 0, (size_t)plane * sizeof *controls);
    for (int64_t j = 0; j < y->samples; j++) {
      const float *line = values + x->samples * (j + y->samples * k);
      if (!add_line(x, influence[0], line, sums)) continue;
      for (int c = 0; c < 4; c++)
        add_scaled(x->controls, influence[1][j][c], sums,
                   controls + x->controls * (y->first[j] + c));
    }
    for (int c = 0; c < 4; c++)
      add_scaled(plane, influence[2][k][c], controls, out + plane * (z->first[k] + c));
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

void sb_spline_add(const sb_spline_axis axes[3], const float *coefficients, float *scratch,
                   float *out) {
  const sb_spline_axis *x = &axes[0], *y = &axes[1], *z = &axes[2];
  const int64_t plane = x->controls * y->controls;
  float *controls = scratch,
        *lines = scratch + plane; // of one z; samples along x, controls along y
  for (int64_t k = 0; k < z->samples; k++) {
    memset(controls, 0, (size_t)plane * sizeof *controls);
    for (int c = 0; c < 4; c++)
      add_scaled(plane, z->weights[k][c], coefficients + plane * (z->first[k] + c), controls);
    for (int64_t j = 0; j < y->controls; j++)
      for (int64_t i = 0; i < x->samples; i++) {
        const float *at = controls + x->controls * j + x->first[i], *w = x->weights[i];
        lines[x->samples * j + i] = w[0] * at[0] + w[1] * at[1] + w[2] * at[2] + w[3] * at[3];
      }
    for (int64_t j = 0; j < y->samples; j++)
      for (int c = 0; c < 4; c++)
        add_scaled(x->samples, y->weights[j][c], lines + x->samples * (y->first[j] + c),
                   out + x->samples * (j + y->samples * k));
  }
}
