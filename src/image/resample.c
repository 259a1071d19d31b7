// Sampling between voxels, and block averaging (see resample.h).
#include "image/resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/memory.h"
#include "core/order.h"

// ---- One point ----------------------------------------------------------------------------------

static inline bool inside_axis(double x, int64_t n) {
  return x >= -0.5 && x <= (double)n - 0.5;
}

static inline bool inside(const sb_volume *v, double x, double y, double z) {
  return inside_axis(x, v->dims[0]) && inside_axis(y, v->dims[1]) && inside_axis(z, v->dims[2]);
}

// The two voxels around a coordinate on one axis: offset of the first, step to the second, and the
// weight of the second.
typedef struct linear_tap {
  int64_t offset, step;
  float weight;
} linear_tap;

static inline linear_tap linear_axis(double x, int64_t n, int64_t stride) {
  double last = (double)(n - 1);
  x = x > 0 ? x : 0;
  x = x < last ? x : last;
  int64_t i = (int64_t)x;
  if (i > n - 2) i = n > 1 ? n - 2 : 0;
  return (linear_tap){i * stride, n > 1 ? stride : 0, (float)(x - (double)i)};
}

static inline float mix(float a, float b, float weight) {
  return a * (1.0f - weight) + b * weight;
}

static inline float linear_inside(const sb_volume *v, double x, double y, double z) {
  linear_tap tx = linear_axis(x, v->dims[0], 1);
  linear_tap ty = linear_axis(y, v->dims[1], v->dims[0]);
  linear_tap tz = linear_axis(z, v->dims[2], v->dims[0] * v->dims[1]);
  const float *a = v->voxels + tx.offset + ty.offset + tz.offset;
  const float *b = a + ty.step, *c = a + tz.step, *d = b + tz.step;
  float near = mix(mix(a[0], a[tx.step], tx.weight), mix(b[0], b[tx.step], tx.weight), ty.weight);
  float far = mix(mix(c[0], c[tx.step], tx.weight), mix(d[0], d[tx.step], tx.weight), ty.weight);
  return mix(near, far, tz.weight);
}

typedef float float4 __attribute__((vector_size(16)));

static inline float4 load4(const float *p) {
  float4 value;
  memcpy(&value, p, sizeof value);
  return value;
}

static inline float4 cubic_weights(float t) {
  return (float4){((-0.5f * t + 1.0f) * t - 0.5f) * t, (1.5f * t - 2.5f) * t * t + 1.0f,
                  ((-1.5f * t + 2.0f) * t + 0.5f) * t, (0.5f * t - 0.5f) * t * t};
}

// The weighted sum of a 4x4x4 block whose rows of four are contiguous.
static inline float cubic_block(const float *first, int64_t stride_y, int64_t stride_z, float4 wx,
                                float4 wy, float4 wz) {
  float4 sum = {0, 0, 0, 0};
  for (int k = 0; k < 4; k++) {
    const float *p = first + k * stride_z;
    float4 plane = (load4(p) * wy[0] + load4(p + stride_y) * wy[1]) +
                   (load4(p + 2 * stride_y) * wy[2] + load4(p + 3 * stride_y) * wy[3]);
    sum += plane * wz[k];
  }
  sum *= wx;
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static inline int64_t clamp_index(int64_t i, int64_t n) {
  return i < 0 ? 0 : i < n ? i : n - 1;
}

// The block whose first corner is (i, j, k), partly beyond the grid: the edge's voxels repeat.
static float cubic_at_edge(const sb_volume *v, const int64_t corner[3], float4 wx, float4 wy,
                           float4 wz) {
  float block[64];
  for (int c = 0; c < 4; c++)
    for (int b = 0; b < 4; b++) {
      int64_t y = clamp_index(corner[1] + b, v->dims[1]);
      int64_t z = clamp_index(corner[2] + c, v->dims[2]);
      const float *row = v->voxels + v->dims[0] * (y + v->dims[1] * z);
      for (int a = 0; a < 4; a++)
        block[a + 4 * (b + 4 * c)] = row[clamp_index(corner[0] + a, v->dims[0])];
    }
  return cubic_block(block, 4, 16, wx, wy, wz);
}

static inline float cubic_inside(const sb_volume *v, double x, double y, double z) {
  // floor(), for numbers that are at least -0.5
  int64_t i = (int64_t)(x + 1.0) - 1, j = (int64_t)(y + 1.0) - 1, k = (int64_t)(z + 1.0) - 1;
  float4 wx = cubic_weights((float)(x - (double)i));
  float4 wy = cubic_weights((float)(y - (double)j));
  float4 wz = cubic_weights((float)(z - (double)k));
  int64_t nx = v->dims[0], ny = v->dims[1], nz = v->dims[2];
  bool interior = i >= 1 && j >= 1 && k >= 1 && i + 2 < nx && j + 2 < ny && k + 2 < nz;
  if (!interior) return cubic_at_edge(v, (int64_t[]){i - 1, j - 1, k - 1}, wx, wy, wz);
  const float *first = v->voxels + (i - 1) + nx * ((j - 1) + ny * (k - 1));
  return cubic_block(first, nx, nx * ny, wx, wy, wz);
}

float sb_sample_linear(const sb_volume *v, double x, double y, double z, float outside) {
  return inside(v, x, y, z) ? linear_inside(v, x, y, z) : outside;
}

float sb_sample_cubic(const sb_volume *v, double x, double y, double z, float outside) {
  return inside(v, x, y, z) ? cubic_inside(v, x, y, z) : outside;
}

// ---- Block averages -----------------------------------------------------------------------------

SB_CLONES static void add_row(int64_t n, const float *restrict row, float *restrict sum) {
  for (int64_t i = 0; i < n; i++) sum[i] += row[i];
}

// Sums of `factor` neighbours in `sum`, n long, times `scale` over the number of them.
static void average_row(int64_t n, const float *sum, int64_t factor, float scale, float *out) {
  float whole = scale / (float)factor;
  int64_t blocks = n / factor;
  for (int64_t b = 0; b < blocks; b++) {
    float total = 0;
    for (int64_t i = 0; i < factor; i++) total += sum[b * factor + i];
    out[b] = total * whole;
  }
  if (blocks * factor == n) return;
  float total = 0;
  for (int64_t i = blocks * factor; i < n; i++) total += sum[i];
  out[blocks] = total * (scale / (float)(n - blocks * factor));
}

// The affine of a grid whose voxel (0,0,0) covers the first block of the old one.
static void shrink_affine(const double in[16], const int64_t factors[3], double out[16]) {
  memcpy(out, in, 16 * sizeof *out);
  for (int row = 0; row < 3; row++)
    for (int axis = 0; axis < 3; axis++) {
      double factor = (double)factors[axis];
      out[4 * row + axis] = in[4 * row + axis] * factor;
      out[4 * row + 3] += in[4 * row + axis] * (factor - 1) / 2;
    }
}

sb_status sb_volume_shrink(const sb_volume *in, const int64_t factors[3], sb_volume *out) {
  sb_status status;
  float *sum = NULL;
  memset(out, 0, sizeof *out);
  int64_t count = 1;
  for (int axis = 0; axis < 3; axis++) {
    if (factors[axis] < 1)
      return sb_error(SB_USAGE, "cannot shrink a volume by %lld: a factor of at least 1 is needed",
                      (long long)factors[axis]);
    out->dims[axis] = (in->dims[axis] - 1) / factors[axis] + 1;
    count *= out->dims[axis];
  }
  const int64_t nx = in->dims[0], ny = in->dims[1], nz = in->dims[2];
  SB_TRY(SB_NEW(&out->voxels, count, "a shrunken volume"));
  SB_TRY(SB_NEW(&sum, nx, "a row of voxels"));
  float *values = out->voxels;
  for (int64_t k = 0; k < nz; k += factors[2])
    for (int64_t j = 0; j < ny; j += factors[1], values += out->dims[0]) {
      int64_t k_end = sb_smaller(nz, k + factors[2]), j_end = sb_smaller(ny, j + factors[1]);
      memset(sum, 0, (size_t)nx * sizeof *sum);
      for (int64_t z = k; z < k_end; z++)
        for (int64_t y = j; y < j_end; y++) add_row(nx, in->voxels + nx * (y + ny * z), sum);
      float scale = 1.0f / (float)((k_end - k) * (j_end - j));
      average_row(nx, sum, factors[0], scale, values);
    }
  shrink_affine(in->affine, factors, out->affine);
cleanup:
  free(sum);
  if (status.code != SB_OK) sb_volume_free(out);
  return status;
}
