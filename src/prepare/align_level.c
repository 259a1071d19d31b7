// Building a level: which voxels take part, and what is there of the template.
#include "prepare/align_level.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "prepare/align_model.h"

// Of fine grids every `thin`-th row is enough: so many voxels are left to look at. Coarse levels tell
// places from each other and need fewer than those that alignment ends on.
static const double COARSE_MM = 3;
static const int64_t ENOUGH_VOXELS = 250000, ENOUGH_COARSE = 60000;

// Which voxels of each row take part: from the first to the last where the smoothed mask says that
// the brain is near. Rows of thinned grids are as far from each other in y as in z, about.
static sb_status find_spans(const sb_volume *nearness, sb_align_level *level) {
  const int64_t nx = nearness->dims[0], ny = nearness->dims[1], nz = nearness->dims[2];
  const int64_t enough = level->spacing_mm[1] > COARSE_MM ? ENOUGH_COARSE : ENOUGH_VOXELS;
  int64_t thin = 1;
  while (nx * ny * nz > enough * thin) thin *= 2;
  const int64_t aside = llround(sqrt((double)thin));
  sb_status status = SB_NEW(&level->spans, ny * nz, "alignment");
  if (status.code != SB_OK) return status;
  for (int64_t z = 0; z < nz; z++)
    for (int64_t y = 0; y < ny; y++) {
      if ((y + aside * z) % thin != 0) continue;
      const float *row = nearness->voxels + nx * (y + ny * z);
      int64_t first = 0, last = nx - 1;
      while (first < nx && row[first] < 0.05f) first++;
      while (last > first && row[last] < 0.05f) last--;
      if (first >= nx) continue;
      sb_span *span = &level->spans[level->span_count++];
      *span = (sb_span){.x = (int32_t)first,
                        .y = (int32_t)y,
                        .z = (int32_t)z,
                        .count = (int32_t)(last - first + 1),
                        .offset = level->stored};
      int32_t padded = (span->count + SB_LANES - 1) / SB_LANES * SB_LANES;
      level->voxels += span->count;
      level->stored += padded;
      if (padded > level->longest) level->longest = padded;
    }
  return status;
}

// Central difference along one axis, per mm; one-sided at the grid's ends.
static float derivative(const sb_volume *v, const int64_t at[3], int axis, double spacing_mm) {
  int64_t low[3] = {at[0], at[1], at[2]}, high[3] = {at[0], at[1], at[2]};
  if (low[axis] > 0) low[axis]--;
  if (high[axis] + 1 < v->dims[axis]) high[axis]++;
  const int64_t *d = v->dims;
  float difference = v->voxels[high[0] + d[0] * (high[1] + d[1] * high[2])] -
                     v->voxels[low[0] + d[0] * (low[1] + d[1] * low[2])];
  return high[axis] == low[axis]
             ? 0
             : difference / (float)((double)(high[axis] - low[axis]) * spacing_mm);
}

static void fill_spans(const sb_volume *image, const sb_volume *smooth_mask,
                       sb_align_level *level) {
  for (int64_t s = 0; s < level->span_count; s++) {
    const sb_span *span = &level->spans[s];
    for (int32_t i = 0; i < span->count; i++) {
      const int64_t at[3] = {span->x + i, span->y, span->z};
      int64_t from = at[0] + image->dims[0] * (at[1] + image->dims[1] * at[2]),
              to = span->offset + i;
      level->template_values[to] = image->voxels[from];
      level->smooth_mask[to] = smooth_mask->voxels[from];
      for (int d = 0; d < 3; d++)
        level->gradient[d][to] = derivative(image, at, d, level->spacing_mm[d]);
      level->template_sum += (double)image->voxels[from];
      level->template_squares += (double)image->voxels[from] * (double)image->voxels[from];
    }
  }
}

sb_status sb_align_level_create(const sb_volume *image, const sb_volume *mask,
                                const sb_volume *nearness, const double spacing_mm[3],
                                const double origin_mm[3], const double centre_mm[3],
                                sb_align_level *out) {
  memset(out, 0, sizeof *out);
  memcpy(out->spacing_mm, spacing_mm, sizeof out->spacing_mm);
  memcpy(out->origin_mm, origin_mm, sizeof out->origin_mm);
  memcpy(out->centre_mm, centre_mm, sizeof out->centre_mm);
  float *basis = NULL;
  sb_status status;
  SB_TRY(find_spans(nearness, out));
  SB_TRY(SB_NEW_ZERO(&out->template_values, out->stored, "alignment"));
  SB_TRY(SB_NEW_ZERO(&out->smooth_mask, out->stored, "alignment"));
  for (int d = 0; d < 3; d++) SB_TRY(SB_NEW_ZERO(&out->gradient[d], out->stored, "alignment"));
  fill_spans(image, mask, out);
  SB_TRY(SB_NEW(&basis, out->longest * SB_ALIGN_BASIS, "alignment"));
  if (!sb_align_level_solve(out, basis))
    status = sb_error(SB_CONTENT, "the template has too little structure to align to");
cleanup:
  free(basis);
  if (status.code != SB_OK) sb_align_level_free(out);
  return status;
}

void sb_align_level_free(sb_align_level *level) {
  free(level->spans);
  free(level->template_values);
  free(level->smooth_mask);
  for (int d = 0; d < 3; d++) free(level->gradient[d]);
  memset(level, 0, sizeof *level);
}
