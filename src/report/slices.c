#include "report/slices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/half.h"
#include "core/memory.h"
#include "core/select.h"
#include "engine/fetch.h"
#include "engine/rows.h"
#include "store/mirror.h"

enum {
  GAP = 4,
  GREYS = 64,
  FINEST = 128
}; // pixels between slices; a slice has at most FINEST a side

// ---- Where the pixels are -----------------------------------------------------------------------

// The part of the grid that the mask takes, and its middle.
typedef struct box {
  int64_t first[3], last[3], middle[3], step;
} box;

static box find_box(const uint8_t *mask, const int64_t dims[3]) {
  box b = {.first = {dims[0], dims[1], dims[2]}, .last = {-1, -1, -1}, .step = 1};
  int64_t voxel = 0;
  for (int64_t z = 0; z < dims[2]; z++)
    for (int64_t y = 0; y < dims[1]; y++)
      for (int64_t x = 0; x < dims[0]; x++, voxel++) {
        if (mask[voxel] == 0) continue;
        const int64_t at[3] = {x, y, z};
        for (int i = 0; i < 3; i++) {
          if (at[i] < b.first[i]) b.first[i] = at[i];
          if (at[i] > b.last[i]) b.last[i] = at[i];
        }
      }
  for (int i = 0; i < 3; i++) {
    b.middle[i] = (b.first[i] + b.last[i]) / 2;
    while ((b.last[i] - b.first[i]) / b.step >= FINEST) b.step++;
  }
  return b;
}

static int extent(const box *b, int axis) {
  return (int)((b->last[axis] - b->first[axis]) / b->step + 1);
}

// One slice, `across` and `up` being its axes, with its left edge at `left`.
static void place(const box *b, const int64_t dims[3], int across, int up, bool mirrored, int left,
                  sb_slices *out) {
  const int width = extent(b, across), height = extent(b, up), top = (out->height - height) / 2;
  for (int row = 0; row < height; row++)
    for (int column = 0; column < width; column++) {
      int64_t at[3] = {b->middle[0], b->middle[1], b->middle[2]};
      at[across] = b->first[across] + b->step * (mirrored ? width - 1 - column : column);
      at[up] = b->first[up] + b->step * (height - 1 - row);
      out->voxel[(int64_t)(top + row) * out->width + left + column] =
          at[0] + dims[0] * (at[1] + dims[1] * at[2]);
    }
}

// The number of the element in the row of each voxel that a pixel shows.
static sb_status find_elements(const uint8_t *mask, int64_t voxels, sb_slices *out) {
  int64_t *element = NULL, next = 0;
  sb_status status = SB_NEW(&element, voxels, "mask");
  if (status.code != SB_OK) return status;
  for (int64_t v = 0; v < voxels; v++) element[v] = mask[v] != 0 ? next++ : -1;
  for (int64_t p = 0; p < out->count; p++)
    out->element[p] = out->voxel[p] < 0 ? -1 : element[out->voxel[p]];
  free(element);
  return status;
}

sb_status sb_slices_create(const sb_store *store, sb_slices *out) {
  const int64_t *dims = sb_store_grid_dims(store);
  const box b = find_box(sb_store_mask(store), dims);
  memset(out, 0, sizeof *out);
  const int x = extent(&b, 0), y = extent(&b, 1), z = extent(&b, 2);
  out->width = x + GAP + x + GAP + y;
  out->height = y > z ? y : z;
  out->count = (int64_t)out->width * out->height;
  sb_status status;
  SB_TRY(SB_NEW(&out->voxel, out->count, "pictures"));
  SB_TRY(SB_NEW(&out->element, out->count, "pictures"));
  for (int64_t p = 0; p < out->count; p++) out->voxel[p] = -1;
  place(&b, dims, 0, 1, false, 0, out);
  place(&b, dims, 0, 2, false, x + GAP, out);
  place(&b, dims, 1, 2, true, x + GAP + x + GAP, out);
  SB_TRY(find_elements(sb_store_mask(store), dims[0] * dims[1] * dims[2], out));
cleanup:
  if (status.code != SB_OK) sb_slices_free(out);
  return status;
}

void sb_slices_free(sb_slices *slices) {
  free(slices->voxel);
  free(slices->element);
  memset(slices, 0, sizeof *slices);
}

// ---- A scan's values ----------------------------------------------------------------------------

// The mirror image of a scan; free() *row and *own.
static sb_status take_mirrored(const sb_store *store, int64_t i, float **row, uint8_t **own) {
  const int64_t *dims = sb_store_grid_dims(store);
  sb_status status;
  SB_TRY(SB_NEW(row, sb_store_row_length(store), "pictures"));
  SB_TRY(SB_NEW(own, (dims[0] * dims[1] * dims[2] + 7) / 8, "pictures"));
  SB_TRY(sb_store_row_values(store, i, *row));
  sb_mirror_mask(sb_store_mirror(store), sb_store_own_mask(store, i), *own);
cleanup:
  return status;
}

sb_status sb_slices_take(const sb_slices *slices, const sb_store *store, int64_t i,
                         sb_sliced *out) {
  memset(out, 0, sizeof *out);
  const sb_scan_record *record = sb_store_record(store, i);
  const uint16_t *row = sb_store_row(store, i);
  const uint8_t *own = sb_store_own_mask(store, i);
  float *mirrored_row = NULL;
  uint8_t *mirrored_own = NULL;
  sb_status status;
  sb_row_expect(store, i);
  SB_TRY(SB_NEW(&out->values, slices->count, "pictures"));
  SB_TRY(SB_NEW(&out->own, slices->count, "pictures"));
  if (sb_store_mirror(store) != NULL) {
    SB_TRY(take_mirrored(store, i, &mirrored_row, &mirrored_own));
    own = mirrored_own;
  }
  for (int64_t p = 0; p < slices->count; p++) {
    int64_t voxel = slices->voxel[p], element = slices->element[p];
    out->values[p] = element < 0 ? NAN
                     : mirrored_row != NULL
                         ? mirrored_row[element]
                         : (float)(sb_half_to_float(row[element]) * record->scale + record->offset);
    out->own[p] = element >= 0 && (own[voxel >> 3] >> (7 - (voxel & 7)) & 1) != 0;
  }
cleanup:
  free(mirrored_row);
  free(mirrored_own);
  if (status.code != SB_OK) sb_sliced_free(out);
  return status;
}

void sb_sliced_free(sb_sliced *sliced) {
  free(sliced->values);
  free(sliced->own);
  memset(sliced, 0, sizeof *sliced);
}

static int64_t collect(const sb_slices *slices, const sb_sliced *from, float *out) {
  int64_t used = 0;
  for (int64_t p = 0; p < slices->count; p++)
    if (from->own[p] && isfinite(from->values[p])) out[used++] = from->values[p];
  return used;
}

sb_status sb_slices_window(const sb_slices *slices, const sb_sliced *a, const sb_sliced *b,
                           float window[2]) {
  float *values = NULL;
  sb_status status = SB_NEW(&values, 2 * slices->count, "pictures");
  if (status.code != SB_OK) return status;
  int64_t count = collect(slices, a, values);
  if (b != NULL) count += collect(slices, b, values + count);
  window[0] = 0;
  window[1] = 1;
  if (count > 0) {
    window[0] = sb_select(values, count, count / 100);
    window[1] = sb_select(values, count, (int64_t)(0.995 * (double)(count - 1)));
  }
  if (!(window[1] > window[0])) window[1] = window[0] + 1;
  free(values);
  return status;
}

// ---- Pictures -----------------------------------------------------------------------------------

enum { STEPS = 32 }; // of colour to either side of no difference

static sb_picture start_picture(const sb_slices *slices, const uint8_t *pixels, int colours) {
  return (sb_picture){
      .width = slices->width, .height = slices->height, .pixels = pixels, .colours = colours};
}

sb_picture sb_slices_grey(const sb_slices *slices, const sb_sliced *a, const float window[2],
                          uint8_t *pixels) {
  sb_picture out = start_picture(slices, pixels, GREYS + 1);
  for (int i = 0; i < GREYS; i++) memset(out.palette[i + 1], 255 * i / (GREYS - 1), 3);
  for (int64_t p = 0; p < slices->count; p++) {
    float level = (a->values[p] - window[0]) / (window[1] - window[0]);
    pixels[p] = a->own[p] && isfinite(level)
                    ? (uint8_t)(1 + lrintf((GREYS - 1) * fminf(fmaxf(level, 0), 1)))
                    : 0;
  }
  return out;
}

sb_picture sb_slices_difference(const sb_slices *slices, const sb_sliced *a, const sb_sliced *b,
                                const float window[2], float full, uint8_t *pixels) {
  // Nearly black where there is none, to blue for less and to orange for more.
  static const double more[3] = {255, 166, 64}, less[3] = {88, 174, 255}, ground[3] = {24, 26, 30};
  sb_picture out = start_picture(slices, pixels, 2 * STEPS + 2);
  for (int i = -STEPS; i <= STEPS; i++)
    for (int c = 0; c < 3; c++) {
      double change = (i < 0 ? less[c] : more[c]) - ground[c];
      out.palette[i + STEPS + 1][c] = (uint8_t)lround(ground[c] + change * abs(i) / STEPS);
    }
  for (int64_t p = 0; p < slices->count; p++) {
    float level = (a->values[p] - b->values[p]) / (window[1] - window[0]) / full;
    pixels[p] =
        isfinite(level) ? (uint8_t)(1 + STEPS + lrintf(STEPS * fminf(fmaxf(level, -1), 1))) : 0;
  }
  return out;
}

double sb_slices_rms(const sb_slices *slices, const sb_sliced *a, const sb_sliced *b,
                     const float window[2]) {
  double squares = 0, count = 0;
  for (int64_t p = 0; p < slices->count; p++) {
    double d = (double)a->values[p] - (double)b->values[p];
    if (!isfinite(d)) continue;
    squares += d * d;
    count++;
  }
  return count > 0 ? sqrt(squares / count) / (window[1] - window[0]) : (double)NAN;
}
