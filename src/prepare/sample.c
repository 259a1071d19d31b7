// Fast linear sampling of a scan along rows of another grid.
#include "prepare/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/geometry.h"
#include "core/memory.h"

sb_status sb_padded_crop(const sb_volume *in, const int64_t first[3], const int64_t dims[3],
                         sb_padded *out) {
  for (int i = 0; i < 3; i++) out->dims[i] = dims[i] + 3;
  out->voxels = NULL;
  if (out->dims[0] * out->dims[1] * out->dims[2] > INT32_MAX)
    return sb_error(SB_UNSUPPORTED, "an image of %lld x %lld x %lld voxels is too large to align",
                    (long long)dims[0], (long long)dims[1], (long long)dims[2]);
  sb_status status = SB_NEW_ZERO(&out->voxels, out->dims[0] * out->dims[1] * out->dims[2], "image");
  if (status.code != SB_OK) return status;
  for (int64_t z = 0; z < dims[2]; z++)
    for (int64_t y = 0; y < dims[1]; y++)
      memcpy(out->voxels + 1 + out->dims[0] * (y + 1 + out->dims[1] * (z + 1)),
             in->voxels + first[0] + in->dims[0] * (first[1] + y + in->dims[1] * (first[2] + z)),
             (size_t)dims[0] * sizeof(float));
  return status;
}

void sb_padded_free(sb_padded *padded) {
  free(padded->voxels);
  padded->voxels = NULL;
}

SB_CLONES
void sb_sample_row(const sb_padded *in, const double start[3], const double step[3], int64_t count,
                   float *restrict out) {
  const float *restrict voxels = in->voxels;
  const int32_t row = (int32_t)in->dims[0], plane = (int32_t)(in->dims[0] * in->dims[1]);
  // Beyond the zero border everything is zero: clamping to it replaces bounds checks.
  const float high_x = (float)(in->dims[0] - 2), high_y = (float)(in->dims[1] - 2),
              high_z = (float)(in->dims[2] - 2);
  const float x0 = (float)(start[0] + 1), y0 = (float)(start[1] + 1), z0 = (float)(start[2] + 1);
  const float dx = (float)step[0], dy = (float)step[1], dz = (float)step[2];
  for (int32_t i = 0; i < (int32_t)count; i++) {
    float x = x0 + (float)i * dx, y = y0 + (float)i * dy, z = z0 + (float)i * dz;
    x = x > 0 ? x : 0;
    y = y > 0 ? y : 0;
    z = z > 0 ? z : 0;
    x = x < high_x ? x : high_x;
    y = y < high_y ? y : high_y;
    z = z < high_z ? z : high_z;
    int32_t ix = (int32_t)x, iy = (int32_t)y, iz = (int32_t)z;
    float fx = x - (float)ix, fy = y - (float)iy, fz = z - (float)iz;
    int32_t at = ix + iy * row + iz * plane;
    float v000 = voxels[at], v100 = voxels[at + 1];
    float v010 = voxels[at + row], v110 = voxels[at + row + 1];
    float v001 = voxels[at + plane], v101 = voxels[at + plane + 1];
    float v011 = voxels[at + plane + row], v111 = voxels[at + plane + row + 1];
    float v00 = v000 + fx * (v100 - v000), v10 = v010 + fx * (v110 - v010);
    float v01 = v001 + fx * (v101 - v001), v11 = v011 + fx * (v111 - v011);
    float v0 = v00 + fy * (v10 - v00), v1 = v01 + fy * (v11 - v01);
    out[i] = v0 + fz * (v1 - v0);
  }
}

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

sb_status sb_sample_grid(const sb_padded *in, const double out_to_in[16], int most_samples,
                         const uint8_t *where, sb_volume *out) {
  const double *m = out_to_in;
  int64_t samples[3];
  for (int i = 0; i < 3; i++) {
    double width = sqrt(m[i] * m[i] + m[4 + i] * m[4 + i] + m[8 + i] * m[8 + i]);
    samples[i] = (int64_t)(fmax(1, fmin(width, most_samples)) + 0.5);
  }
  const int64_t nx = out->dims[0], ny = out->dims[1], sx = samples[0];
  const double step[3] = {m[0] / (double)sx, m[4] / (double)sx, m[8] / (double)sx};
  const float weight = 1.0f / (float)(samples[0] * samples[1] * samples[2]);
  float *line = NULL;
  sb_status status = SB_NEW(&line, nx * sx, "sampling");
  if (status.code != SB_OK) return status;
  for (int64_t row = 0; row < ny * out->dims[2]; row++) {
    int64_t first, end;
    float *target = out->voxels + nx * row;
    memset(target, 0, (size_t)nx * sizeof *target);
    wanted_part(where, row, nx, &first, &end);
    for (int64_t sub = 0; sub < samples[1] * samples[2] && first < end; sub++) {
      // Sub-samples are the centres of equal parts of the voxel.
      const double p[3] = {
          (double)first + 0.5 / (double)sx - 0.5,
          (double)(row % ny) + ((double)(sub % samples[1]) + 0.5) / (double)samples[1] - 0.5,
          (double)(row / ny) + ((double)(sub / samples[1]) + 0.5) / (double)samples[2] - 0.5};
      double start[3];
      sb_affine_apply(m, p, start);
      sb_sample_row(in, start, step, (end - first) * sx, line);
      for (int64_t i = first; i < end; i++) {
        float sum = 0;
        for (int64_t s = 0; s < sx; s++) sum += line[(i - first) * sx + s];
        target[i] += sum * weight;
      }
    }
  }
  free(line);
  return status;
}
