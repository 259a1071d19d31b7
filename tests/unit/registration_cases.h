// Known affine transforms and what they do to images, for the registration test and benchmark.
#ifndef SB_TESTS_REGISTRATION_CASES_H
#define SB_TESTS_REGISTRATION_CASES_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "image/resample.h"
#include "samebrain/prepare.h"
#include "samebrain/volume.h"

// splitmix64: the same cases everywhere.
static inline double uniform(uint64_t *state, double low, double high) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return low + (high - low) * (double)(z >> 11) * 0x1p-53;
}

static inline double normal(uint64_t *state) {
  double u = uniform(state, 1e-12, 1), v = uniform(state, 0, 1);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

// Fills `out`, whose grid and voxels are there, with `in` as it is at out_to_in (voxel to voxel) of each of its
// voxels; 0 beyond the image.
//   sample  sb_sample_linear or sb_sample_cubic
static inline void resample(const sb_volume *in, const double out_to_in[16],
                            float (*sample)(const sb_volume *, double, double, double, float),
                            sb_volume *out) {
  const double *m = out_to_in;
  float *voxel = out->voxels;
  for (int64_t k = 0; k < out->dims[2]; k++)
    for (int64_t j = 0; j < out->dims[1]; j++)
      for (int64_t i = 0; i < out->dims[0]; i++) {
        double at[3];
        for (int a = 0; a < 3; a++)
          at[a] = m[4 * a + 1] * (double)j + m[4 * a + 2] * (double)k + m[4 * a + 3] +
                  (double)i * m[4 * a];
        *voxel++ = sample(in, at[0], at[1], at[2], 0);
      }
}

// Rotations to 15 degrees about each axis, scales 0.9 to 1.1, shears to 0.05, about `centre`, then
// a translation to 20 mm.
static inline void random_affine(uint64_t *state, const double centre[3], double a[16]) {
  double away[16], part[16];
  sb_affine_identity(a);
  sb_affine_identity(away);
  for (int i = 0; i < 3; i++) away[4 * i + 3] = -centre[i];
  for (int axis = 0; axis < 3; axis++) {
    double angle = uniform(state, -15, 15) * 0.017453292519943295;
    int p = (axis + 1) % 3, q = (axis + 2) % 3;
    sb_affine_identity(part);
    part[5 * p] = part[5 * q] = cos(angle);
    part[4 * p + q] = -sin(angle);
    part[4 * q + p] = sin(angle);
    sb_affine_multiply(part, a, a);
  }
  sb_affine_identity(part);
  for (int i = 0; i < 3; i++) {
    part[5 * i] = uniform(state, 0.9, 1.1);
    for (int j = i + 1; j < 3; j++) part[4 * i + j] = uniform(state, -0.05, 0.05);
  }
  sb_affine_multiply(part, a, a);
  sb_affine_multiply(a, away, a);
  for (int i = 0; i < 3; i++) a[4 * i + 3] += centre[i] + uniform(state, -20, 20);
}

// The scan moved by `a` (RAS mm to RAS mm): what was at p is now at a p. A grid of 1 mm voxels
// around the moved corners of the old one, cubic interpolation, negative overshoots cut.
static inline sb_status moved_scan(const sb_volume *scan, const double a[16], sb_volume *out) {
  double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
  for (int corner = 0; corner < 8; corner++) {
    double p[3];
    for (int i = 0; i < 3; i++) p[i] = (corner >> i & 1) != 0 ? (double)(scan->dims[i] - 1) : 0;
    sb_affine_apply(scan->affine, p, p);
    sb_affine_apply(a, p, p);
    for (int i = 0; i < 3; i++) {
      low[i] = fmin(low[i], p[i]);
      high[i] = fmax(high[i], p[i]);
    }
  }
  memset(out, 0, sizeof *out);
  sb_affine_identity(out->affine);
  for (int i = 0; i < 3; i++) {
    out->dims[i] = (int64_t)ceil(high[i] - low[i]) + 1;
    out->affine[4 * i + 3] = low[i];
  }
  int64_t n = out->dims[0] * out->dims[1] * out->dims[2];
  sb_status status = SB_NEW(&out->voxels, n, "moved scan");
  if (status.code != SB_OK) return status;
  double to_old[16], to_voxels[16];
  if (!sb_affine_invert(a, to_old) || !sb_affine_invert(scan->affine, to_voxels))
    return sb_error(SB_FORMAT, "singular transform");
  sb_affine_multiply(to_old, out->affine, to_old);
  sb_affine_multiply(to_voxels, to_old, to_old);
  resample(scan, to_old, sb_sample_cubic, out);
  for (int64_t i = 0; i < n; i++)
    if (out->voxels[i] < 0) out->voxels[i] = 0;
  return status;
}

// A smooth bias field of +-`strength` and white noise of `noise` times the mean, inside the brain.
static inline void spoil(uint64_t *state, double strength, double noise, sb_volume *scan) {
  double c[9], mean = 0, count = 0;
  for (int i = 0; i < 9; i++) c[i] = uniform(state, -1, 1);
  int64_t n = scan->dims[0] * scan->dims[1] * scan->dims[2];
  for (int64_t i = 0; i < n; i++)
    if (scan->voxels[i] > 0) {
      mean += (double)scan->voxels[i];
      count++;
    }
  mean /= count;
  double largest = 0;
  for (int pass = 0; pass < 2; pass++) // the first pass finds the field's size
    for (int64_t i = 0; i < n; i++) {
      if (scan->voxels[i] <= 0) continue;
      double x = 2.0 * (double)(i % scan->dims[0]) / (double)scan->dims[0] - 1;
      double y = 2.0 * (double)(i / scan->dims[0] % scan->dims[1]) / (double)scan->dims[1] - 1;
      double z = 2.0 * (double)(i / (scan->dims[0] * scan->dims[1])) / (double)scan->dims[2] - 1;
      double field = c[0] * x + c[1] * y + c[2] * z + c[3] * x * x + c[4] * y * y + c[5] * z * z +
                     c[6] * x * y + c[7] * x * z + c[8] * sin(2 * y + z);
      if (pass == 0)
        largest = fmax(largest, fabs(field));
      else
        scan->voxels[i] =
            (float)fmax(1e-3 * mean, (double)scan->voxels[i] * (1 + strength * field / largest) +
                                         noise * mean * normal(state));
    }
}

// Mean and largest distance in mm, over the template's brain, between where two maps put its
// voxels, in the space they lead to.
typedef struct registration_error {
  double mean_mm, max_mm;
} registration_error;

static inline registration_error compare_maps(const sb_template *t, const double a[16],
                                              const double b[16]) {
  registration_error error = {0};
  const int64_t *dims = sb_template_grid_dims(t), *index = sb_template_row_index(t);
  const int64_t length = sb_template_row_length(t);
  for (int64_t i = 0; i < length; i++) {
    double p[3] = {(double)(index[i] % dims[0]), (double)(index[i] / dims[0] % dims[1]),
                   (double)(index[i] / (dims[0] * dims[1]))};
    double u[3], v[3], square = 0;
    sb_affine_apply(sb_template_grid_affine(t), p, p);
    sb_affine_apply(a, p, u);
    sb_affine_apply(b, p, v);
    for (int k = 0; k < 3; k++) square += (u[k] - v[k]) * (u[k] - v[k]);
    error.mean_mm += sqrt(square) / (double)length;
    error.max_mm = fmax(error.max_mm, sqrt(square));
  }
  return error;
}

#endif
