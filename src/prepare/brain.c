// Where the brain is in a skull-stripped scan: background, foreground, box.
#include "prepare/brain.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "core/order.h"
#include "core/select.h"
#include "image/orient.h"
#include "prepare/mask.h"

static const double MOST_ON_FACE_MM2 = 100; // of a brain that the scan holds whole
enum { SAMPLES = 20000 };                   // values looked at for a robust statistic

// ---- Background ---------------------------------------------------------------------------------

// Every `stride`-th voxel of the scan's six faces, sorted.
static int64_t face_values(const sb_volume *scan, float values[SAMPLES]) {
  const int64_t nx = scan->dims[0], ny = scan->dims[1], nz = scan->dims[2];
  const int64_t faces = 2 * (nx * ny + nx * nz + ny * nz);
  const int64_t stride = faces / SAMPLES + 1;
  int64_t count = 0, wait = 0;
  bool sorted = true; // as a background without noise is
  for (int64_t z = 0; z < nz; z++)
    for (int64_t y = 0; y < ny; y++) {
      bool inner = z > 0 && z + 1 < nz && y > 0 && y + 1 < ny;
      for (int64_t x = 0; x < nx; x += inner && nx > 1 ? nx - 1 : 1) {
        if (wait-- > 0 || count == SAMPLES) continue;
        wait = stride - 1;
        values[count++] = scan->voxels[x + nx * (y + ny * z)];
        sorted = sorted && (count < 2 || values[count - 1] >= values[count - 2]);
      }
    }
  if (!sorted) qsort(values, (size_t)count, sizeof *values, sb_order_floats);
  return count;
}

// The background's value and the spread of its noise, from sorted face values: the value that a
// third of them share, else their median.
static void background_of(const float *values, int64_t count, float scratch[SAMPLES],
                          double *background, double *sigma) {
  int64_t best = 0, run = 0;
  for (int64_t i = 0; i < count; i++) {
    run = i > 0 && values[i] == values[i - 1] ? run + 1 : 1;
    if (run > best) {
      best = run;
      *background = (double)values[i];
    }
  }
  *sigma = 0;
  if (best * 3 >= count) return;
  *background = (double)values[count / 2];
  for (int64_t i = 0; i < count; i++) scratch[i] = fabsf(values[i] - (float)*background);
  *sigma = 1.4826 * (double)sb_select(scratch, count, count / 2);
}

// How far a voxel must be from the background to be foreground: 2 % of the bright end of what
// differs from it at all, and six times its noise.
static double threshold_of(const sb_volume *scan, double background, double sigma,
                           float scratch[SAMPLES]) {
  const int64_t n = scan->dims[0] * scan->dims[1] * scan->dims[2];
  const double floor = 6 * sigma;
  const int64_t stride = sb_even_stride(scan->dims, 2 * SAMPLES); // most of it is background
  int64_t count = 0;
  for (int64_t i = 0; i < n && count < SAMPLES; i += stride) {
    double distance = fabs((double)scan->voxels[i] - background);
    if (distance > floor) scratch[count++] = (float)distance;
  }
  if (count == 0) return INFINITY;
  return fmax(floor, 0.02 * (double)sb_select(scratch, count, count * 98 / 100));
}

// ---- Cells: blocks of voxels about 4 mm wide, coarse enough to be quick -------------------------

static const double CELL_MM = 4;

typedef struct cell_grid {
  int64_t size[3], dims[3]; // voxels a cell, cells
  uint8_t *on;
} cell_grid;

// Adds 1 where a row's voxels are foreground.
SB_CLONES
static void count_foreground(int64_t count, const float *row, float background, float threshold,
                             uint16_t *restrict out) {
  for (int64_t i = 0; i < count; i++)
    out[i] = (uint16_t)(out[i] + (fabsf(row[i] - background) > threshold));
}

// A cell is on when a quarter of it is foreground. Where cells are more than a row wide, every other
// row is looked at.
static sb_status cells_create(const sb_volume *scan, float background, float threshold,
                              cell_grid *out) {
  memset(out, 0, sizeof *out);
  for (int i = 0; i < 3; i++) {
    const double *a = scan->affine;
    double mm = sqrt(a[i] * a[i] + a[4 + i] * a[4 + i] + a[8 + i] * a[8 + i]);
    out->size[i] = llround(fmin(fmax(1, CELL_MM / mm), 16));
    out->dims[i] = (scan->dims[i] + out->size[i] - 1) / out->size[i];
  }
  const int64_t cells = out->dims[0] * out->dims[1] * out->dims[2], wide = out->size[0];
  const int64_t every = out->size[1] > 1 ? 2 : 1, *dims = scan->dims;
  const int64_t whole = out->size[0] * out->size[1] * out->size[2] / every;
  uint16_t *counts = NULL; // of the rows of a row of cells, padded to whole cells
  sb_status status;
  SB_TRY(SB_NEW(&out->on, cells, "brain"));
  SB_TRY(SB_NEW(&counts, out->dims[0] * wide, "brain"));
  for (int64_t row = 0; row < out->dims[1] * out->dims[2]; row++) {
    const int64_t y = row % out->dims[1] * out->size[1], z = row / out->dims[1] * out->size[2];
    memset(counts, 0, (size_t)(out->dims[0] * wide) * sizeof *counts);
    for (int64_t k = z; k < z + out->size[2] && k < dims[2]; k++)
      for (int64_t j = y + (y + k) % every; j < y + out->size[1] && j < dims[1]; j += every)
        count_foreground(dims[0], scan->voxels + dims[0] * (j + dims[1] * k), background, threshold,
                         counts);
    for (int64_t cell = 0; cell < out->dims[0]; cell++) {
      int64_t count = 0;
      for (int64_t i = 0; i < wide; i++) count += counts[cell * wide + i];
      out->on[out->dims[0] * row + cell] = count * 4 >= whole;
    }
  }
cleanup:
  free(counts);
  return status;
}

// The first and one-past-last cell that is on along each axis, and the centre of mass in cells.
static void cells_measure(const cell_grid *cells, int64_t low[3], int64_t high[3], double centre[3],
                          int64_t *count) {
  for (int i = 0; i < 3; i++) {
    low[i] = INT64_MAX;
    high[i] = 0;
    centre[i] = 0;
  }
  *count = 0;
  for (int64_t z = 0; z < cells->dims[2]; z++)
    for (int64_t y = 0; y < cells->dims[1]; y++)
      for (int64_t x = 0; x < cells->dims[0]; x++) {
        if (cells->on[x + cells->dims[0] * (y + cells->dims[1] * z)] == 0) continue;
        const int64_t at[3] = {x, y, z};
        for (int i = 0; i < 3; i++) {
          if (at[i] < low[i]) low[i] = at[i];
          if (at[i] >= high[i]) high[i] = at[i] + 1;
          centre[i] += (double)at[i];
        }
        (*count)++;
      }
  for (int i = 0; i < 3 && *count > 0; i++) centre[i] /= (double)*count;
}

// ---- The brain ----------------------------------------------------------------------------------

SB_CLONES
static void subtract_row(int64_t count, const float *restrict in, float background,
                         float *restrict out) {
  for (int64_t i = 0; i < count; i++) out[i] = in[i] - background;
}

// Copies the box of cells low..high-1, the background taken off, 0 in cells that are off.
static sb_status cut_out(const sb_volume *scan, const cell_grid *cells, const int64_t low[3],
                         const int64_t high[3], float background, sb_volume *out) {
  int64_t first[3], last[3];
  for (int i = 0; i < 3; i++) { // one cell more on each side: edge cells may be off
    first[i] = (low[i] > 0 ? low[i] - 1 : 0) * cells->size[i];
    last[i] = (high[i] + 1) * cells->size[i];
    if (last[i] > scan->dims[i]) last[i] = scan->dims[i];
    out->dims[i] = last[i] - first[i];
  }
  sb_status status = SB_NEW(&out->voxels, out->dims[0] * out->dims[1] * out->dims[2], "brain");
  if (status.code != SB_OK) return status;
  const double corner[3] = {(double)first[0], (double)first[1], (double)first[2]};
  double moved[3];
  memcpy(out->affine, scan->affine, sizeof out->affine);
  sb_affine_apply(scan->affine, corner, moved);
  for (int i = 0; i < 3; i++) out->affine[4 * i + 3] = moved[i];
  const int64_t wide = cells->size[0];
  const int64_t from_cell = first[0] / wide, end_cell = (last[0] + wide - 1) / wide;
  for (int64_t z = first[2]; z < last[2]; z++)
    for (int64_t y = first[1]; y < last[1]; y++) {
      const float *from = scan->voxels + scan->dims[0] * (y + scan->dims[1] * z);
      float *to = out->voxels + out->dims[0] * (y - first[1] + out->dims[1] * (z - first[2]));
      const uint8_t *on =
          cells->on + cells->dims[0] * (y / cells->size[1] + cells->dims[1] * (z / cells->size[2]));
      for (int64_t cell = from_cell, next; cell < end_cell; cell = next) { // cells alike at once
        for (next = cell + 1; next < end_cell && on[next] == on[cell];) next++;
        const int64_t x = cell * wide, end = next < end_cell ? next * wide : last[0];
        if (on[cell] != 0)
          subtract_row(end - x, from + x, background, to + x - first[0]);
        else
          memset(to + x - first[0], 0, (size_t)(end - x) * sizeof *to);
      }
    }
  return status;
}

// The foreground voxels of a cell on one of the scan's faces.
//   at  the voxel's place along the axis that the face cuts
static int64_t count_on_face(const sb_volume *scan, const cell_grid *cells, const int64_t cell[3],
                             int axis, int64_t at, float background, float threshold) {
  int64_t from[3], to[3], count = 0;
  for (int i = 0; i < 3; i++) {
    from[i] = i == axis ? at : cell[i] * cells->size[i];
    to[i] = i == axis ? at + 1 : from[i] + cells->size[i];
    if (to[i] > scan->dims[i]) to[i] = scan->dims[i];
  }
  for (int64_t z = from[2]; z < to[2]; z++)
    for (int64_t y = from[1]; y < to[1]; y++) {
      const float *row = scan->voxels + scan->dims[0] * (y + scan->dims[1] * z);
      for (int64_t x = from[0]; x < to[0]; x++) count += fabsf(row[x] - background) > threshold;
    }
  return count;
}

// Finds the scan's faces that more than 1 cm2 of the brain lie on: the scan ends inside the brain.
static void find_cuts(const sb_volume *scan, const cell_grid *cells, float background,
                      sb_brain *out) {
  double mm[3];
  sb_voxel_size(scan->affine, mm);
  for (int face = 0; face < 6; face++) {
    const int axis = face / 2, a = (axis + 1) % 3, b = (axis + 2) % 3;
    const int64_t at = face % 2 == 0 ? 0 : scan->dims[axis] - 1;
    int64_t cell[3], count = 0;
    cell[axis] = at / cells->size[axis];
    for (cell[b] = 0; cell[b] < cells->dims[b]; cell[b]++)
      for (cell[a] = 0; cell[a] < cells->dims[a]; cell[a]++)
        if (cells->on[cell[0] + cells->dims[0] * (cell[1] + cells->dims[1] * cell[2])] != 0)
          count += count_on_face(scan, cells, cell, axis, at, background, (float)out->threshold);
    out->cut[axis][face % 2] = (double)count * mm[a] * mm[b] > MOST_ON_FACE_MM2;
  }
}

// A brain's darkest tissue is near the background in a plain scan. Where it is not (values centred on
// their mean, a large offset, a bright background), the brain's values are moved so that it is: what
// is 0 and outside would else be mid-grey, or all of the brain one bright blob.
//   sigma    of the background's noise; without noise, exactly 0 is outside
//   scratch  SAMPLES floats
static void move_dark_end(double sigma, float scratch[SAMPLES], sb_brain *brain) {
  const int64_t n = brain->image.dims[0] * brain->image.dims[1] * brain->image.dims[2];
  const float outside = sigma > 0 ? (float)brain->threshold : 0;
  const int64_t stride = sb_even_stride(brain->image.dims, 2 * SAMPLES);
  float *voxels = brain->image.voxels;
  int64_t count = 0;
  for (int64_t i = 0; i < n && count < SAMPLES; i += stride)
    if (fabsf(voxels[i]) > outside) scratch[count++] = voxels[i];
  if (count < 100) return;
  const float low = sb_select(scratch, count, count * 2 / 100);
  const float range = sb_select(scratch, count, count * 98 / 100) - low;
  if (!(range > 0) || (low > -0.05f * range && low < range)) return;
  const float shift = 0.1f * range - low, least = 0.03f * range;
  for (int64_t i = 0; i < n; i++) {
    // A lone 0 between two voxels of the brain is brain that happens to equal the background.
    bool lone = low < 0 && i > 0 && i + 1 < n && fabsf(voxels[i - 1]) > outside &&
                fabsf(voxels[i + 1]) > outside;
    if (!(fabsf(voxels[i]) > outside) && !lone) continue;
    voxels[i] += shift;
    if (voxels[i] < least) voxels[i] = least;
  }
  brain->threshold = 0.02 * (double)(range + 0.1f * range);
}

// The range of a brain's intensities, without the extremes: 0 is in it and one of its 255 steps.
static void value_range(const sb_volume *image, float scratch[SAMPLES], float *low, float *high) {
  const int64_t n = image->dims[0] * image->dims[1] * image->dims[2];
  const int64_t stride = sb_even_stride(image->dims, SAMPLES);
  int64_t count = 0;
  *low = *high = 0;
  for (int64_t i = 0; i < n; i += stride)
    if (image->voxels[i] != 0) scratch[count++] = image->voxels[i];
  if (count == 0) return;
  const float bottom = sb_select(scratch, count, count * 2 / 1000);
  const float top = sb_select(scratch, count, count * 998 / 1000), margin = 0.1f * (top - bottom);
  if (bottom < 0) *low = bottom - margin;
  if (top > 0) *high = top + margin;
  const float step = (*high - *low) / 254;
  if (*low < 0) *low = -step * ceilf(-*low / step);
  *high = *low + 255 * step;
}

static sb_status pack(float scratch[SAMPLES], sb_brain *brain) {
  float low, high;
  value_range(&brain->image, scratch, &low, &high);
  return sb_packed_create(&brain->image, low, high, &brain->packed);
}

sb_status sb_brain_find(const sb_volume *scan, sb_brain *out) {
  return sb_brain_find_below(scan, INFINITY, out);
}

sb_status sb_brain_find_below(const sb_volume *scan, double most_mm3, sb_brain *out) {
  memset(out, 0, sizeof *out);
  cell_grid cells = {0};
  float *values = NULL, *scratch = NULL;
  int64_t low[3], high[3], count, next;
  double sigma, centre[3];
  sb_status status;
  SB_TRY(SB_NEW(&values, SAMPLES, "brain"));
  SB_TRY(SB_NEW(&scratch, SAMPLES, "brain"));
  int64_t faces = face_values(scan, values);
  background_of(values, faces, scratch, &out->background, &sigma);
  out->threshold = threshold_of(scan, out->background, sigma, scratch);
  SB_TRY(cells_create(scan, (float)out->background, (float)out->threshold, &cells));
  SB_TRY(sb_mask_keep_largest(cells.dims, cells.on, &count, &next));
  if (2 * next > count) {
    status = sb_error(SB_CONTENT,
                      "two separate bodies, the smaller one with %.0f %% of the larger "
                      "one's volume: one brain is expected in an image",
                      100 * (double)next / (double)count);
    goto cleanup;
  }
  SB_TRY(sb_mask_fill_holes(cells.dims, cells.on));
  cells_measure(&cells, low, high, centre, &count);
  const double voxel_mm3 = fabs(sb_affine_determinant(scan->affine));
  out->volume_mm3 = (double)(count * cells.size[0] * cells.size[1] * cells.size[2]) * voxel_mm3;
  if (out->volume_mm3 < 50e3) {
    status = sb_error(SB_CONTENT,
                      "only %.0f cm3 stand out from the background of %g: no brain (one has "
                      "300 to 2000 cm3); are the header's voxel sizes right?",
                      out->volume_mm3 / 1000, out->background);
    goto cleanup;
  }
  for (int i = 0; i < 3; i++) centre[i] = (centre[i] + 0.5) * (double)cells.size[i] - 0.5;
  sb_affine_apply(scan->affine, centre, out->centre_mm);
  if (out->volume_mm3 > most_mm3) goto cleanup;
  find_cuts(scan, &cells, (float)out->background, out);
  SB_TRY(sb_mask_dilate(cells.dims, cells.on)); // what cells at the brain's edge hold is brain too
  SB_TRY(cut_out(scan, &cells, low, high, (float)out->background, &out->image));
  move_dark_end(sigma, scratch, out);
  SB_TRY(pack(scratch, out));
cleanup:
  free(values);
  free(scratch);
  free(cells.on);
  return status;
}

sb_status sb_brain_background(const sb_volume *scan, float *background) {
  float *values = NULL, *scratch = NULL;
  double value = 0, sigma;
  sb_status status;
  SB_TRY(SB_NEW(&values, SAMPLES, "brain"));
  SB_TRY(SB_NEW(&scratch, SAMPLES, "brain"));
  background_of(values, face_values(scan, values), scratch, &value, &sigma);
  *background = (float)value;
cleanup:
  free(values);
  free(scratch);
  return status;
}

void sb_brain_free(sb_brain *brain) {
  sb_volume_free(&brain->image);
  sb_packed_free(&brain->packed);
}

double sb_brain_noise(const sb_brain *brain) {
  const sb_volume *v = &brain->image;
  const int64_t n = v->dims[0] * v->dims[1] * v->dims[2];
  const int64_t stride = sb_even_stride(v->dims, 4 * SAMPLES);
  const float threshold = (float)brain->threshold;
  float *differences = malloc(SAMPLES * sizeof *differences);
  if (differences == NULL) return NAN;
  int64_t count = 0;
  double sum = 0;
  for (int64_t i = 1; i + 1 < n && count < SAMPLES; i += stride) {
    const float *at = v->voxels + i; // rows end in background, which the test below leaves out
    if (fabsf(at[-1]) <= threshold || fabsf(at[0]) <= threshold || fabsf(at[1]) <= threshold)
      continue;
    differences[count++] = fabsf(at[-1] - 2 * at[0] + at[1]);
    sum += (double)fabsf(at[0]);
  }
  double noise = NAN;
  if (count > 100) {
    // Second differences of white noise have sqrt(6) times its sigma; 0.6745 is a normal's MAD.
    noise = (double)sb_select(differences, count, count / 2) / (0.6745 * sqrt(6)) /
            (sum / (double)count);
  }
  free(differences);
  return noise;
}
