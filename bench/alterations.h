// What differs between two scans of one brain, done to an image: another coil, contrast,
// resolution, noise, and another cut of the skull. For benchmarks and tests.
#ifndef SB_BENCH_ALTERATIONS_H
#define SB_BENCH_ALTERATIONS_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/registration_cases.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "image/smooth.h"
#include "prepare/spline.h"
#include "samebrain/volume.h"

static inline int64_t voxel_count(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

static inline void voxel_sizes(const sb_volume *v, double mm[3]) {
  for (int i = 0; i < 3; i++)
    mm[i] = sqrt(v->affine[i] * v->affine[i] + v->affine[4 + i] * v->affine[4 + i] +
                 v->affine[8 + i] * v->affine[8 + i]);
}

static inline sb_status copy_volume(const sb_volume *in, sb_volume *out) {
  *out = *in;
  out->voxels = NULL;
  sb_status status = SB_NEW(&out->voxels, voxel_count(in), "altered scan");
  if (status.code == SB_OK)
    memcpy(out->voxels, in->voxels, (size_t)voxel_count(in) * sizeof *out->voxels);
  return status;
}

// The same voxels with other axes first, some of them backwards, and the affine that goes with it.
static inline sb_status turned_volume(const sb_volume *in, const int axis[3], const bool flip[3],
                                      sb_volume *out) {
  const int64_t stride[3] = {1, in->dims[0], in->dims[0] * in->dims[1]};
  int64_t at = 0, index[3];
  *out = *in;
  for (int o = 0; o < 3; o++) {
    out->dims[o] = in->dims[axis[o]];
    for (int row = 0; row < 3; row++) {
      double step = in->affine[4 * row + axis[o]];
      out->affine[4 * row + o] = flip[o] ? -step : step;
      if (flip[o]) out->affine[4 * row + 3] += step * (double)(out->dims[o] - 1);
    }
  }
  out->voxels = NULL;
  sb_status status = SB_NEW(&out->voxels, voxel_count(in), "altered scan");
  if (status.code != SB_OK) return status;
  for (index[2] = 0; index[2] < out->dims[2]; index[2]++)
    for (index[1] = 0; index[1] < out->dims[1]; index[1]++)
      for (index[0] = 0; index[0] < out->dims[0]; index[0]++) {
        int64_t from = 0;
        for (int o = 0; o < 3; o++)
          from += stride[axis[o]] * (flip[o] ? out->dims[o] - 1 - index[o] : index[o]);
        out->voxels[at++] = in->voxels[from];
      }
  return status;
}

// Mean of the voxels above 0: of the brain, in a stripped scan.
static inline double brain_mean(const sb_volume *v) {
  double sum = 0, count = 0;
  for (int64_t i = 0; i < voxel_count(v); i++)
    if (v->voxels[i] > 0) {
      sum += (double)v->voxels[i];
      count++;
    }
  return sum / count;
}

// A random smooth field over the image, of mean 0 and largest magnitude 1 over the brain: a spline
// with `pieces` pieces along each axis.
static inline sb_status random_field(const sb_volume *v, int64_t pieces, uint64_t seed,
                                     float **out) {
  const int64_t controls = (pieces + 3) * (pieces + 3) * (pieces + 3), n = voxel_count(v);
  sb_spline_axis axes[3] = {{0}, {0}, {0}};
  float *coefficients = NULL, *scratch = NULL;
  double mean = 0, count = 0, largest = 0;
  sb_status status = sb_ok();
  *out = NULL;
  for (int i = 0; i < 3; i++)
    SB_TRY(sb_spline_axis_create(pieces, v->dims[i], 0, 1 / (double)v->dims[i], &axes[i]));
  SB_TRY(SB_NEW(&coefficients, controls, "random field"));
  SB_TRY(SB_NEW(&scratch, sb_spline_scratch(axes), "random field"));
  SB_TRY(SB_NEW_ZERO(out, n, "random field"));
  for (int64_t i = 0; i < controls; i++) coefficients[i] = (float)normal(&seed);
  sb_spline_add(axes, coefficients, scratch, *out);
  for (int64_t i = 0; i < n; i++)
    if (v->voxels[i] > 0) {
      mean += (double)(*out)[i];
      count++;
    }
  mean /= count;
  for (int64_t i = 0; i < n; i++)
    if (v->voxels[i] > 0) largest = fmax(largest, fabs((double)(*out)[i] - mean));
  for (int64_t i = 0; i < n; i++) (*out)[i] = (float)(((double)(*out)[i] - mean) / largest);
cleanup:
  for (int i = 0; i < 3; i++) sb_spline_axis_free(&axes[i]);
  free(coefficients);
  free(scratch);
  return status;
}

// Multiplies by a bias field between 1 / (1 + strength) and 1 + strength.
static inline sb_status alter_bias(double strength, uint64_t seed, sb_volume *v) {
  float *field = NULL;
  sb_status status = random_field(v, 3, seed, &field);
  if (status.code == SB_OK)
    for (int64_t i = 0; i < voxel_count(v); i++)
      v->voxels[i] *= expf((float)log1p(strength) * field[i]);
  free(field);
  return status;
}

// Contrast: intensities to a power, about twice the mean.
static inline void alter_gamma(double gamma, sb_volume *v) {
  const double white = 2 * brain_mean(v);
  for (int64_t i = 0; i < voxel_count(v); i++)
    if (v->voxels[i] > 0) v->voxels[i] = (float)(white * pow((double)v->voxels[i] / white, gamma));
}

// Rician noise, `snr` times below the brain's mean, in the brain.
static inline void alter_noise(double snr, uint64_t seed, sb_volume *v) {
  const double sigma = brain_mean(v) / snr;
  for (int64_t i = 0; i < voxel_count(v); i++)
    if (v->voxels[i] > 0)
      v->voxels[i] =
          (float)hypot((double)v->voxels[i] + sigma * normal(&seed), sigma * normal(&seed));
}

// Voxels of another size, each the mean over its extent.
static inline sb_status alter_resolution(const double mm[3], sb_volume *v) {
  enum { PARTS = 3 }; // samples along each axis of a voxel
  double old[3], to_old[16];
  sb_volume out = *v;
  voxel_sizes(v, old);
  sb_affine_identity(to_old);
  for (int i = 0; i < 3; i++) {
    to_old[5 * i] = mm[i] / old[i];
    to_old[4 * i + 3] = 0.5 * (mm[i] / old[i] - 1);
    out.dims[i] = (int64_t)ceil((double)v->dims[i] * old[i] / mm[i]);
  }
  sb_affine_multiply(v->affine, to_old, out.affine);
  out.voxels = NULL;
  sb_status status = SB_NEW(&out.voxels, voxel_count(&out), "altered scan");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < voxel_count(&out); i++) {
    double sum = 0;
    for (int part = 0; part < PARTS * PARTS * PARTS; part++) {
      const double shift[3] = {part % PARTS, part / PARTS % PARTS, part / (PARTS * PARTS)};
      const int64_t at[3] = {i % out.dims[0], i / out.dims[0] % out.dims[1],
                             i / (out.dims[0] * out.dims[1])};
      double p[3];
      for (int d = 0; d < 3; d++) p[d] = (double)at[d] + (shift[d] + 0.5) / PARTS - 0.5;
      sb_affine_apply(to_old, p, p);
      sum += (double)sb_sample_linear(v, p[0], p[1], p[2], 0);
    }
    out.voxels[i] = (float)(sum / (PARTS * PARTS * PARTS));
  }
  sb_volume_free(v);
  *v = out;
  return status;
}

// The image at other voxels: cubes of `mm`, turned by `degrees` about an axis and shifted by less than a
// voxel, both by chance; interpolated linearly, or by cubics.
static inline sb_status alter_voxels(double mm, double degrees, bool cubic, uint64_t seed,
                                     sb_volume *v) {
  double old[3], axis[3], turn[16], to_old[16], to_voxel[16], length = 0;
  sb_volume out = *v;
  voxel_sizes(v, old);
  for (int i = 0; i < 3; i++) {
    axis[i] = normal(&seed);
    length += axis[i] * axis[i];
  }
  for (int i = 0; i < 3; i++) axis[i] /= sqrt(length);
  const double c = cos(degrees * 0.017453292519943295), s = sin(degrees * 0.017453292519943295);
  sb_affine_identity(turn);
  for (int i = 0; i < 3; i++) // Rodrigues
    for (int j = 0; j < 3; j++)
      turn[4 * i + j] = (1 - c) * axis[i] * axis[j] +
                        (i == j ? c : ((j - i + 3) % 3 == 1 ? -s : s) * axis[3 - i - j]);
  for (int i = 0; i < 3; i++) out.dims[i] = (int64_t)ceil((double)v->dims[i] * old[i] / mm);
  double from[3], to[3]; // both centres, the second one shifted
  for (int i = 0; i < 3; i++) from[i] = 0.5 * (double)(v->dims[i] - 1);
  for (int i = 0; i < 3; i++) to[i] = 0.5 * (double)out.dims[i] + 0.3 * sin(normal(&seed));
  if (!sb_affine_invert(v->affine, to_voxel)) return sb_error(SB_CONTENT, "a singular affine");
  sb_affine_apply(v->affine, from, from);
  sb_affine_identity(out.affine);
  for (int i = 0; i < 3; i++) out.affine[5 * i] = mm;
  sb_affine_multiply(turn, out.affine, out.affine);
  sb_affine_apply(out.affine, to, to);
  for (int i = 0; i < 3; i++) out.affine[4 * i + 3] = from[i] - to[i];
  sb_affine_multiply(to_voxel, out.affine, to_old);
  out.voxels = NULL;
  sb_status status = SB_NEW(&out.voxels, voxel_count(&out), "altered scan");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < voxel_count(&out); i++) {
    double p[3] = {(double)(i % out.dims[0]), (double)(i / out.dims[0] % out.dims[1]),
                   (double)(i / (out.dims[0] * out.dims[1]))};
    sb_affine_apply(to_old, p, p);
    out.voxels[i] = cubic ? fmaxf(sb_sample_cubic(v, p[0], p[1], p[2], 0), 0)
                          : sb_sample_linear(v, p[0], p[1], p[2], 0);
  }
  sb_volume_free(v);
  *v = out;
  return status;
}

// Another cut of the skull, 1 to 2 mm tighter (mm below 0) or looser, unevenly: the brain's mask
// smoothed by 2 mm and cut elsewhere than in the middle. A looser cut brings in tissue as bright as
// membranes and fluid beside the brain, 20 to 70 % of its mean.
static inline sb_status alter_strip(bool looser, uint64_t seed, sb_volume *v) {
  static const double SIGMA_MM = 2;
  const double mean = brain_mean(v);
  const int64_t n = voxel_count(v);
  double mm[3];
  float *mask = NULL, *depth = NULL, *tissue = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&mask, n, "altered scan"));
  SB_TRY(random_field(v, 12, seed, &depth));
  SB_TRY(random_field(v, 24, seed + 1, &tissue));
  voxel_sizes(v, mm);
  for (int i = 0; i < 3; i++) mm[i] = SIGMA_MM / mm[i];
  for (int64_t i = 0; i < n; i++) mask[i] = v->voxels[i] > 0;
  SB_TRY(sb_gaussian(mask, v->dims, mm));
  for (int64_t i = 0; i < n; i++) {
    // Where a smoothed flat edge is so far from the true one.
    const double far_mm = 1.5 + 0.5 * (double)depth[i];
    const double share = 0.5 * (1 + erf(far_mm / SIGMA_MM / 1.4142135623730951));
    if (!looser && (double)mask[i] < share) v->voxels[i] = 0;
    if (looser && v->voxels[i] <= 0 && (double)mask[i] > 1 - share)
      v->voxels[i] = (float)(mean * (0.45 + 0.25 * (double)tissue[i]));
  }
cleanup:
  free(mask);
  free(depth);
  free(tissue);
  return status;
}

#endif
