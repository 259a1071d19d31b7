// Fast linear sampling of a scan along rows of another grid.
#include "prepare/sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/geometry.h"
#include "core/memory.h"

// The dims of a bordered volume.
static sb_status border(const int64_t dims[3], int64_t bordered[3]) {
  for (int i = 0; i < 3; i++) bordered[i] = dims[i] + 3;
  if (bordered[0] * bordered[1] * bordered[2] <= INT32_MAX) return sb_ok();
  return sb_error(SB_UNSUPPORTED, "an image of %lld x %lld x %lld voxels is too large to align",
                  (long long)dims[0], (long long)dims[1], (long long)dims[2]);
}

sb_status sb_padded_crop(const sb_volume *in, const int64_t first[3], const int64_t dims[3],
                         sb_padded *out) {
  out->voxels = NULL;
  sb_status status;
  SB_TRY(border(dims, out->dims));
  SB_TRY(SB_NEW_ZERO(&out->voxels, out->dims[0] * out->dims[1] * out->dims[2], "image"));
  for (int64_t z = 0; z < dims[2]; z++)
    for (int64_t y = 0; y < dims[1]; y++)
      memcpy(out->voxels + 1 + out->dims[0] * (y + 1 + out->dims[1] * (z + 1)),
             in->voxels + first[0] + in->dims[0] * (first[1] + y + in->dims[1] * (first[2] + z)),
             (size_t)dims[0] * sizeof(float));
cleanup:
  return status;
}

void sb_padded_free(sb_padded *padded) {
  free(padded->voxels);
  padded->voxels = NULL;
}

// ---- Packed volumes -----------------------------------------------------------------------------

SB_CLONES
static void quantise_row(int64_t count, const float *restrict in, float low, float scale,
                         uint8_t *restrict out) {
  for (int64_t i = 0; i < count; i++) {
    float value = (in[i] - low) * scale;
    value = value > 0 ? value : 0;
    value = value < 255 ? value : 255;
    out[i] = (uint8_t)(int32_t)(value + 0.5f);
  }
}

sb_status sb_packed_create(const sb_volume *in, float low, float high, sb_packed *out) {
  sb_status status;
  *out = (sb_packed){.low = low, .step = high > low ? (high - low) / 255 : 0};
  SB_TRY(border(in->dims, out->dims));
  const int64_t row = out->dims[0], plane = row * out->dims[1], n = plane * out->dims[2];
  const float scale = out->step > 0 ? 1 / out->step : 0, zero = 0;
  uint8_t outside;
  quantise_row(1, &zero, low, scale, &outside);
  SB_TRY(SB_NEW(&out->bytes, n, "image"));
  memset(out->bytes, outside, (size_t)n);
  for (int64_t z = 0; z < in->dims[2]; z++)
    for (int64_t y = 0; y < in->dims[1]; y++)
      quantise_row(in->dims[0], in->voxels + in->dims[0] * (y + in->dims[1] * z), low, scale,
                   out->bytes + 1 + row * (y + 1) + plane * (z + 1));
cleanup:
  return status;
}

void sb_packed_free(sb_packed *packed) {
  free(packed->bytes);
  packed->bytes = NULL;
}

// ---- Rows ---------------------------------------------------------------------------------------

// Sample i of a row: the voxel before it on each axis, and how far it is beyond that. Beyond the
// border everything is as on it: clamping to it replaces bounds checks.
typedef struct ramp {
  float start[3], step[3], highest[3];
  int32_t row, plane;
} ramp;

static ramp make_ramp(const int64_t dims[3], const double start[3], const double step[3]) {
  ramp r = {.row = (int32_t)dims[0], .plane = (int32_t)(dims[0] * dims[1])};
  for (int i = 0; i < 3; i++) {
    r.start[i] = (float)(start[i] + 1);
    r.step[i] = (float)step[i];
    r.highest[i] = (float)(dims[i] - 2);
  }
  return r;
}

static inline float clamped(const ramp *r, int axis, int32_t i) {
  float at = r->start[axis] + (float)i * r->step[axis];
  at = at > 0 ? at : 0;
  return at < r->highest[axis] ? at : r->highest[axis];
}

static inline float mix(float a, float b, float share) {
  return a + share * (b - a);
}

SB_CLONES
void sb_sample_row(const sb_padded *in, const double start[3], const double step[3], int64_t count,
                   float *restrict out) {
  const float *restrict voxels = in->voxels;
  const ramp r = make_ramp(in->dims, start, step);
  for (int32_t i = 0; i < (int32_t)count; i++) {
    const float x = clamped(&r, 0, i), y = clamped(&r, 1, i), z = clamped(&r, 2, i);
    const int32_t ix = (int32_t)x, iy = (int32_t)y, iz = (int32_t)z;
    const float fx = x - (float)ix, fy = y - (float)iy, fz = z - (float)iz;
    const int32_t at = ix + iy * r.row + iz * r.plane;
    const int32_t up = at + r.row, on = at + r.plane, far = on + r.row;
    const float near_z =
        mix(mix(voxels[at], voxels[at + 1], fx), mix(voxels[up], voxels[up + 1], fx), fy);
    const float far_z =
        mix(mix(voxels[on], voxels[on + 1], fx), mix(voxels[far], voxels[far + 1], fx), fy);
    out[i] = mix(near_z, far_z, fz);
  }
}

static inline float byte_of(uint32_t word, int which) {
  return (float)(int32_t)(word >> (8 * which) & 255);
}

// Some samples of a row on their way. Where they are, what is there and what comes of it are done one
// after the other: fetching alone waits for memory best, and the others are vector code.
enum { PART = 128, PART_LANES = 16 }; // a part's length is a multiple of the lanes
typedef struct part {
  int32_t at[PART];
  float beyond[3][PART];
  uint64_t corners[PART]; // a byte each, x first, then y, then z
} part;

SB_CLONES
static void locate(const ramp *r, int32_t first, int32_t count, part *restrict p) {
  for (int32_t i = 0; i < count; i++) {
    const float x = clamped(r, 0, first + i), y = clamped(r, 1, first + i),
                z = clamped(r, 2, first + i);
    const int32_t ix = (int32_t)x, iy = (int32_t)y, iz = (int32_t)z;
    p->beyond[0][i] = x - (float)ix;
    p->beyond[1][i] = y - (float)iy;
    p->beyond[2][i] = z - (float)iz;
    p->at[i] = ix + iy * r->row + iz * r->plane;
  }
}

static inline uint64_t pair_at(const uint8_t *bytes) {
  uint16_t pair;
  memcpy(&pair, bytes, sizeof pair);
  return pair;
}

static void fetch(const uint8_t *bytes, const ramp *r, int32_t count, part *p) {
  for (int32_t i = 0; i < count; i++) {
    const uint8_t *near = bytes + p->at[i], *far = near + r->plane;
    p->corners[i] = pair_at(near) | pair_at(near + r->row) << 16 | pair_at(far) << 32 |
                    pair_at(far + r->row) << 48;
  }
}

// Along x the byte at the lower address comes first: big-endian machines are not built for.
SB_CLONES
static void blend(int32_t count, const part *restrict p, float *restrict out) {
  for (int32_t i = 0; i < count; i++) {
    const uint32_t near = (uint32_t)p->corners[i], far = (uint32_t)(p->corners[i] >> 32);
    const float fx = p->beyond[0][i], fy = p->beyond[1][i];
    const float near_z = mix(mix(byte_of(near, 0), byte_of(near, 1), fx),
                             mix(byte_of(near, 2), byte_of(near, 3), fx), fy);
    const float far_z = mix(mix(byte_of(far, 0), byte_of(far, 1), fx),
                            mix(byte_of(far, 2), byte_of(far, 3), fx), fy);
    out[i] = mix(near_z, far_z, p->beyond[2][i]);
  }
}

void sb_sample_packed_row(const sb_packed *in, const double start[3], const double step[3],
                          int64_t count, float *restrict out) {
  const ramp r = make_ramp(in->dims, start, step);
  part p;
  for (int32_t first = 0; first < (int32_t)count; first += PART) {
    const int32_t left = (int32_t)count - first, n = left < PART ? left : PART;
    const int32_t padded = (n + PART_LANES - 1) / PART_LANES * PART_LANES;
    float values[PART];
    locate(&r, first, padded, &p);
    fetch(in->bytes, &r, padded, &p);
    blend(padded, &p, n == padded ? out + first : values);
    if (n != padded) memcpy(out + first, values, (size_t)n * sizeof *out);
  }
}

// ---- Grids --------------------------------------------------------------------------------------

// The first and one-past-last voxel of a row that are wanted.
static void wanted_part(const uint8_t *where, int64_t row, int64_t nx, int64_t *first,
                        int64_t *end) {
  *first = 0;
  *end = nx;
  if (where == NULL) return;
  where += row * nx;
  while (*first < *end && where[*first] == 0) (*first)++;
  while (*end > *first && where[*end - 1] == 0) (*end)--;
}

// Narrows first..end-1 of a row to where the scan may be: `start` is voxel 0's position, `reach` how
// far its samples lie from its centre on each axis.
static void clip_row(const int64_t dims[3], const double start[3], const double step[3],
                     const double reach[3], int64_t *first, int64_t *end) {
  double low = (double)*first, high = (double)*end;
  for (int i = 0; i < 3; i++) {
    const double near = -1 - reach[i] - start[i];
    const double far = (double)(dims[i] - 3) + reach[i] - start[i];
    if (fabs(step[i]) < 1e-9) {
      if (near > 0 || far < 0) high = low;
      continue;
    }
    low = fmax(low, floor(fmin(near / step[i], far / step[i])));
    high = fmin(high, ceil(fmax(near / step[i], far / step[i])) + 1);
  }
  *first = (int64_t)low;
  *end = high > low ? (int64_t)high : *first;
}

SB_CLONES
static void add_row(int64_t count, const float *restrict in, float *restrict out) {
  for (int64_t i = 0; i < count; i++) out[i] += in[i];
}

SB_CLONES
static void to_intensities(int64_t count, float low, float step, float *values) {
  for (int64_t i = 0; i < count; i++) values[i] = low + step * values[i];
}

// Where samples come from: one of the two.
typedef struct source {
  const sb_padded *padded;
  const sb_packed *packed;
} source;

// Whether every other sub-sample of a voxel, as on a chessboard, has its middle in the voxel's middle:
// unless just one axis has an even number of them.
static bool half_is_enough(const int64_t samples[3]) {
  return samples[0] % 2 + samples[1] % 2 + samples[2] % 2 != 2;
}

static sb_status sample_grid(const source *in, const int64_t dims[3], const double out_to_in[16],
                             int most_samples, const uint8_t *where, sb_volume *out) {
  const double *m = out_to_in, step[3] = {m[0], m[4], m[8]};
  int64_t samples[3], all = 1;
  double reach[3];
  for (int i = 0; i < 3; i++) {
    double width = sqrt(m[i] * m[i] + m[4 + i] * m[4 + i] + m[8 + i] * m[8 + i]);
    samples[i] = (int64_t)(fmax(1, fmin(width, most_samples)) + 0.5);
    all *= samples[i];
    reach[i] = 0.5 * (fabs(m[4 * i]) + fabs(m[4 * i + 1]) + fabs(m[4 * i + 2]));
  }
  const int64_t nx = out->dims[0], ny = out->dims[1];
  const bool thinned = in->padded == NULL && half_is_enough(samples);
  const float weight = 1.0f / (float)(thinned ? (all + 1) / 2 : all);
  float *line = NULL;
  sb_status status = SB_NEW(&line, nx, "sampling");
  if (status.code != SB_OK) return status;
  for (int64_t row = 0; row < ny * out->dims[2]; row++) {
    int64_t first, end;
    const int64_t y = row % ny, z = row / ny;
    double at[3] = {0, (double)y, (double)z}, start[3];
    float *target = out->voxels + nx * row;
    memset(target, 0, (size_t)nx * sizeof *target);
    wanted_part(where, row, nx, &first, &end);
    sb_affine_apply(m, at, start);
    clip_row(dims, start, step, reach, &first, &end);
    for (int64_t s = 0; s < all && first < end; s++) {
      // Sub-samples are the centres of equal parts of the voxel.
      const int64_t which[3] = {s % samples[0], s / samples[0] % samples[1],
                                s / (samples[0] * samples[1])};
      if (thinned && (which[0] + which[1] + which[2]) % 2 != 0) continue;
      double p[3] = {(double)first, at[1], at[2]};
      for (int i = 0; i < 3; i++) p[i] += ((double)which[i] + 0.5) / (double)samples[i] - 0.5;
      sb_affine_apply(m, p, start);
      if (in->padded != NULL)
        sb_sample_row(in->padded, start, step, end - first, line);
      else
        sb_sample_packed_row(in->packed, start, step, end - first, line);
      add_row(end - first, line, target + first);
    }
    for (int64_t i = first; i < end; i++) target[i] *= weight;
    if (in->packed != NULL)
      to_intensities(end - first, in->packed->low, in->packed->step, target + first);
  }
  free(line);
  return status;
}

sb_status sb_sample_grid(const sb_padded *in, const double out_to_in[16], int most_samples,
                         const uint8_t *where, sb_volume *out) {
  const source from = {.padded = in};
  return sample_grid(&from, in->dims, out_to_in, most_samples, where, out);
}

sb_status sb_sample_packed_grid(const sb_packed *in, const double out_to_in[16], int most_samples,
                                const uint8_t *where, sb_volume *out) {
  const source from = {.packed = in};
  return sample_grid(&from, in->dims, out_to_in, most_samples, where, out);
}
