// See damage_tools.h.
#include "damage_tools.h"

#include <math.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "image/orient.h"
#include "image/smooth.h"
#include "registration_cases.h"

int64_t voxel_count(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

sb_status blank_like(const sb_volume *in, sb_volume *out) {
  *out = *in;
  out->voxels = NULL;
  return SB_NEW_ZERO(&out->voxels, voxel_count(in), "damaged scan");
}

sb_status copy_of(const sb_volume *in, sb_volume *out) {
  sb_status status = blank_like(in, out);
  if (status.code == SB_OK)
    memcpy(out->voxels, in->voxels, (size_t)voxel_count(in) * sizeof *out->voxels);
  return status;
}

extent extent_of(const sb_volume *v) {
  extent e = {.low = {INT64_MAX, INT64_MAX, INT64_MAX}};
  double count = 0;
  const float *voxel = v->voxels;
  for (int64_t z = 0; z < v->dims[2]; z++)
    for (int64_t y = 0; y < v->dims[1]; y++)
      for (int64_t x = 0; x < v->dims[0]; x++, voxel++) {
        if (*voxel == 0) continue;
        const int64_t at[3] = {x, y, z};
        for (int i = 0; i < 3; i++) {
          if (at[i] < e.low[i]) e.low[i] = at[i];
          if (at[i] >= e.high[i]) e.high[i] = at[i] + 1;
          e.centre[i] += (double)at[i];
        }
        e.mean += (double)*voxel;
        e.most = fmax(e.most, (double)*voxel);
        count++;
      }
  for (int i = 0; i < 3; i++) e.centre[i] /= count;
  e.mean /= count;
  return e;
}

// White noise, smoothed to `sigma_mm`, mean 0 and standard deviation 1, on a scan's grid.
sb_status smooth_noise(const sb_volume *like, double sigma_mm, uint64_t *seed, sb_volume *out) {
  sb_status status = blank_like(like, out);
  if (status.code != SB_OK) return status;
  const int64_t n = voxel_count(out);
  double size[3], sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) out->voxels[i] = (float)normal(seed);
  sb_voxel_size(out->affine, size);
  for (int i = 0; i < 3; i++) size[i] = sigma_mm / size[i];
  status = sb_volume_gaussian(out, size);
  for (int64_t i = 0; i < n; i++) {
    sum += (double)out->voxels[i];
    squares += (double)out->voxels[i] * (double)out->voxels[i];
  }
  const double mean = sum / (double)n, sigma = sqrt(squares / (double)n - mean * mean);
  for (int64_t i = 0; i < n; i++) out->voxels[i] = (float)(((double)out->voxels[i] - mean) / sigma);
  return status;
}
