// A smooth field over a grid: a uniform cubic B-spline on few control points, laid over values on
// the grid, and evaluated on the same extent at any fineness. Everything is a product of one factor
// an axis, so both directions work axis by axis.
#ifndef SB_PREPARE_SPLINE_H
#define SB_PREPARE_SPLINE_H

#include <stdint.h>

#include "samebrain/status.h"

// The control points that each of `samples` points along an axis hangs on: four from first[i] on.
typedef struct sb_spline_axis {
  int64_t samples, controls;
  int64_t *first;
  float (*weights)[4]; // of the spline; they sum to 1
  float (*squares)[4]; // of the weights
  float (*cubes)[4];   // of the weights, over the sum of their squares
} sb_spline_axis;

// The spline's extent along the axis is cut into `elements` equal pieces; sample i lies at
// (offset + i * step) times the extent, and at the nearer end when that is outside it.
sb_status sb_spline_axis_create(int64_t elements, int64_t samples, double offset, double step,
                                sb_spline_axis *out);
void sb_spline_axis_free(sb_spline_axis *axis);

// The number of floats that the functions below need.
int64_t sb_spline_scratch(const sb_spline_axis axes[3]);

// The spline near `values`, as a scattered-data approximation does it
// (Lee, Wolberg and Shin, IEEE TVCG 3:228, 1997): each control point is the mean of what its
// samples would have it be, weighted by the square of their influence.
//   weight_sums   sb_spline_gather_squares of where samples are (1) and are not (0)
//   values        one per sample, x fastest; 0 where there is none
void sb_spline_fit(const sb_spline_axis axes[3], const float *weight_sums, const float *values,
                   float *scratch, float *coefficients);

// out[control] = sum over the samples of values times their influence on it, squared.
void sb_spline_gather_squares(const sb_spline_axis axes[3], const float *values, float *scratch,
                              float *out);

// out[sample] += the spline there.
void sb_spline_add(const sb_spline_axis axes[3], const float *coefficients, float *scratch,
                   float *out);

#endif
