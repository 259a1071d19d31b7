#include "store/mirror.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/half.h"
#include "core/memory.h"
#include "prepare/align.h"
#include "prepare/brain.h"

// ---- The map ------------------------------------------------------------------------------------

// The template's brain with its rows of voxels reversed; free() its voxels.
static sb_status reversed(const sb_volume *image, const uint8_t *mask, sb_volume *out) {
  const int64_t width = image->dims[0], rows = image->dims[1] * image->dims[2];
  *out = *image;
  sb_status status = SB_NEW(&out->voxels, width * rows, "mirror image");
  for (int64_t r = 0; r < rows && status.code == SB_OK; r++)
    for (int64_t i = 0; i < width; i++) {
      const int64_t from = r * width + width - 1 - i;
      out->voxels[r * width + i] = mask[from] ? image->voxels[from] : 0;
    }
  return status;
}

static sb_status find_map(const sb_volume *image, const uint8_t *mask, double map_mm[16]) {
  const sb_template t = {.image = *image, .mask = (uint8_t *)mask, .path = "the store's template"};
  sb_volume mirrored = {0};
  sb_aligner aligner = {0};
  sb_brain brain = {0};
  sb_alignment found;
  double reversal[16], to_voxels[16];
  sb_status status;
  SB_TRY(reversed(image, mask, &mirrored));
  SB_TRY(sb_aligner_create(&t, &aligner));
  SB_TRY(sb_brain_find(&mirrored, &brain));
  SB_TRY(sb_align(&aligner, &brain, &found));
  sb_affine_identity(reversal);
  reversal[0] = -1;
  reversal[3] = (double)(image->dims[0] - 1);
  if (!sb_affine_invert(image->affine, to_voxels)) {
    status = sb_error(SB_FORMAT, "the template's orientation matrix is singular");
    goto cleanup;
  }
  sb_affine_multiply(to_voxels, found.template_to_scan, map_mm);
  sb_affine_multiply(reversal, map_mm, map_mm);
  sb_affine_multiply(image->affine, map_mm, map_mm);
cleanup:
  sb_brain_free(&brain);
  sb_aligner_free(&aligner);
  free(mirrored.voxels);
  return status;
}

// Places with a border: voxel (i, j, k) of the grid stands at (i + 1, j + 1, k + 1).
static int64_t bordered(const sb_mirror *m, int64_t i, int64_t j, int64_t k) {
  return i + 1 + (m->dims[0] + 2) * (j + 1 + (m->dims[1] + 2) * (k + 1));
}

static sb_status number_places(const uint8_t *mask, sb_mirror *m) {
  const int64_t count = (m->dims[0] + 2) * (m->dims[1] + 2) * (m->dims[2] + 2);
  sb_status status = SB_NEW(&m->place, count, "mirror image");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < count; i++) m->place[i] = -1;
  for (int64_t k = 0, at = 0; k < m->dims[2]; k++)
    for (int64_t j = 0; j < m->dims[1]; j++)
      for (int64_t i = 0; i < m->dims[0]; i++, at++)
        if (mask[at]) m->place[bordered(m, i, j, k)] = (int32_t)m->row_length++;
  return status;
}

sb_status sb_mirror_create(const sb_volume *image, const uint8_t *mask, sb_mirror *out) {
  double to_voxels[16];
  sb_status status;
  *out = (sb_mirror){.dims = {image->dims[0], image->dims[1], image->dims[2]}};
  SB_TRY(find_map(image, mask, out->map_mm));
  SB_TRY(number_places(mask, out));
  sb_affine_invert(image->affine, to_voxels); // find_map would have failed
  sb_affine_multiply(out->map_mm, image->affine, out->map);
  sb_affine_multiply(to_voxels, out->map, out->map);
cleanup:
  if (status.code != SB_OK) sb_mirror_free(out);
  return status;
}

void sb_mirror_free(sb_mirror *mirror) {
  free(mirror->place);
  memset(mirror, 0, sizeof *mirror);
}

// ---- Rows and masks -----------------------------------------------------------------------------

static double mean_of(const float *values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += (double)values[i];
  return sum / (double)count;
}

// The row between the voxels around a point, as far as these are in the mask.
static float sample(const sb_mirror *m, const float *values, const double at[3], float otherwise) {
  int64_t low[3];
  float part[3], sum = 0, weights = 0;
  for (int a = 0; a < 3; a++) {
    if (!(at[a] >= -1 && at[a] < (double)m->dims[a])) return otherwise;
    low[a] = (int64_t)(at[a] + 1) - 1; // rounded down
    part[a] = (float)(at[a] - (double)low[a]);
  }
  const int32_t *corner = m->place + bordered(m, low[0], low[1], low[2]);
  const int64_t row = m->dims[0] + 2, slice = row * (m->dims[1] + 2);
  for (int c = 0; c < 4; c++) {
    const int32_t *places = corner + (c & 1) * row + (c >> 1) * slice;
    const float weight = (c & 1 ? part[1] : 1 - part[1]) * (c >> 1 ? part[2] : 1 - part[2]);
    const float left = places[0] < 0 ? 0 : weight * (1 - part[0]);
    const float right = places[1] < 0 ? 0 : weight * part[0];
    if (left > 0) sum += left * values[places[0]];
    if (right > 0) sum += right * values[places[1]];
    weights += left + right;
  }
  return weights > 0 ? sum / weights : otherwise;
}

// Where voxel (i, j, k) of the grid has its mirror image.
static void look(const sb_mirror *m, int64_t i, int64_t j, int64_t k, double at[3]) {
  const double voxel[3] = {(double)i, (double)j, (double)k};
  sb_affine_apply(m->map, voxel, at);
}

sb_status sb_mirror_row(const sb_mirror *m, const uint16_t *halves, float *row) {
  float *values;
  sb_status status = SB_NEW(&values, m->row_length, "mirror image");
  if (status.code != SB_OK) return status;
  sb_half_to_floats((size_t)m->row_length, halves, values);
  const float otherwise = (float)mean_of(values, m->row_length);
  for (int64_t k = 0; k < m->dims[2]; k++)
    for (int64_t j = 0; j < m->dims[1]; j++)
      for (int64_t i = 0; i < m->dims[0]; i++) {
        const int32_t place = m->place[bordered(m, i, j, k)];
        double at[3];
        if (place < 0) continue;
        look(m, i, j, k, at);
        row[place] = sample(m, values, at, otherwise);
      }
  free(values);
  return status;
}

void sb_mirror_mask(const sb_mirror *m, const uint8_t *packed, uint8_t *mirrored) {
  const int64_t *dims = m->dims;
  memset(mirrored, 0, (size_t)(dims[0] * dims[1] * dims[2] + 7) / 8);
  for (int64_t k = 0, to = 0; k < dims[2]; k++)
    for (int64_t j = 0; j < dims[1]; j++)
      for (int64_t i = 0; i < dims[0]; i++, to++) {
        double at[3];
        bool inside = true;
        look(m, i, j, k, at);
        for (int a = 0; a < 3; a++) {
          at[a] = floor(at[a] + 0.5);
          inside = inside && at[a] >= 0 && at[a] < (double)dims[a];
        }
        if (!inside) continue;
        const int64_t from = (int64_t)at[0] + dims[0] * ((int64_t)at[1] + dims[1] * (int64_t)at[2]);
        if (packed[from / 8] & 0x80 >> from % 8)
          mirrored[to / 8] = (uint8_t)(mirrored[to / 8] | 0x80 >> to % 8);
      }
}
