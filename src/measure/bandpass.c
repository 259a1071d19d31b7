// bandpass: the correlation of what is left of two rows without their smooth part. From each voxel
// the Gaussian-weighted mean (sigma 4 mm, cut at 4 sigma) of the voxels around it in the mask is
// subtracted: a normalised convolution, G(row) / G(mask), so that the mask's edge casts no shadow.
// What remains, fine local structure, is then correlated as in pearson.
//
// The convolution is separable and runs on the mask's bounding box with zeros around it: along x
// and y plane by plane, then along z, each as 2r+1 shifted adds over lines whose length is a
// multiple of the widest vector. G(mask) depends on the grid alone and is kept as its inverse.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "measure/correlation.h"
#include "measure/measure.h"
#include "measure/vector.h"

static const double SIGMA_MM = 4, CUT_SIGMA = 4;
enum { LINE_UNIT = 16 }; // floats; line lengths are multiples of it

// Consecutive voxels of one line of the box that are in the mask.
typedef struct run {
  int64_t row, x, length; // first element in the row, first x in the box, voxels
} run;

typedef struct band {
  int64_t nx, ny, nz; // box; nx padded to LINE_UNIT
  int radius;         // of the kernel, voxels
  float *weight;      // weight[k] = weight[-k], k = 0..radius
  run *runs;          // of all lines, in row order
  int64_t *first_run; // of line y + ny * z; one more at the end
  float *inverse;     // 1 / G(mask), a row
} band;

// Scratch, in floats: one input line with its borders, one plane with borders along y, the box
// with borders along z, one output line.
static int64_t line_floats(const band *b) {
  return b->nx + 2 * b->radius + LINE_UNIT;
}
static int64_t plane_floats(const band *b) {
  return (b->ny + 2 * b->radius) * b->nx;
}
static int64_t box_floats(const band *b) {
  return (b->nz + 2 * b->radius) * b->ny * b->nx;
}

static int64_t scratch_length(const sb_grid *grid, const void *context) {
  (void)grid;
  const band *b = context;
  return line_floats(b) + plane_floats(b) + box_floats(b) + b->nx;
}

static inline __attribute__((always_inline)) void add_taps(int64_t count, int radius,
                                                           const float *weight,
                                                           const float *restrict in, int64_t stride,
                                                           float *restrict out) {
  const float *centre = in + radius * stride;
  for (int64_t i = 0; i < count; i++) {
    float sum = weight[0] * centre[i];
#pragma GCC unroll 16
    for (int k = 1; k <= radius; k++)
      sum += weight[k] * (centre[i - k * stride] + centre[i + k * stride]);
    out[i] = sum;
  }
}

// out[i] = sum over k of weight[|k|] * in[i + (radius + k) * stride], i < count, a multiple of
// LINE_UNIT. The usual radii (1, 2, 3 and 4 mm voxels) are compiled with their loops unrolled.
SB_VECTOR_CLONES static void convolve(int64_t count, int radius, const float *weight,
                                      const float *restrict in, int64_t stride,
                                      float *restrict out) {
  count -= count % LINE_UNIT;
  switch (radius) {
  case 4:
    add_taps(count, 4, weight, in, stride, out);
    break;
  case 5:
    add_taps(count, 5, weight, in, stride, out);
    break;
  case 8:
    add_taps(count, 8, weight, in, stride, out);
    break;
  case 16:
    add_taps(count, 16, weight, in, stride, out);
    break;
  default:
    add_taps(count, radius, weight, in, stride, out);
    break;
  }
}

// Along x and y: the row's values, or ones where `row` is NULL, smoothed in each plane of `box`.
static void smooth_planes(const band *b, const float *row, float *line, float *plane, float *box) {
  const int64_t border = (int64_t)b->radius * b->nx;
  memset(line, 0, (size_t)line_floats(b) * sizeof *line);
  memset(plane, 0, (size_t)plane_floats(b) * sizeof *plane);
  for (int64_t z = 0; z < b->nz; z++) {
    for (int64_t y = 0; y < b->ny; y++) {
      int64_t first = b->first_run[y + b->ny * z], last = b->first_run[y + b->ny * z + 1];
      float *smoothed = plane + border + y * b->nx;
      if (first == last) {
        memset(smoothed, 0, (size_t)b->nx * sizeof *smoothed);
        continue;
      }
      memset(line + b->radius, 0, (size_t)b->nx * sizeof *line);
      for (const run *r = b->runs + first; r < b->runs + last; r++) {
        float *to = line + b->radius + r->x;
        if (row != NULL) memcpy(to, row + r->row, (size_t)r->length * sizeof *to);
        for (int64_t i = 0; row == NULL && i < r->length; i++) to[i] = 1;
      }
      convolve(b->nx, b->radius, b->weight, line, 1, smoothed);
    }
    float *slab = box + (z + b->radius) * b->ny * b->nx;
    convolve(b->ny * b->nx, b->radius, b->weight, plane, b->nx, slab);
  }
}

// Along z, line by line (all z of one y stay in the first cache): calls for each run give
// `use`: the smoothed values of the run.
static void smooth(const band *b, const float *row, float *scratch, float *out,
                   void (*use)(const band *b, const run *r, const float *smoothed, const float *row,
                               float *out)) {
  float *line = scratch, *plane = line + line_floats(b), *box = plane + plane_floats(b);
  float *result = box + box_floats(b);
  const int64_t slab = b->ny * b->nx, border = b->radius * slab;
  memset(box, 0, (size_t)border * sizeof *box);
  memset(box + border + b->nz * slab, 0, (size_t)border * sizeof *box);
  smooth_planes(b, row, line, plane, box);
  for (int64_t y = 0; y < b->ny; y++)
    for (int64_t z = 0; z < b->nz; z++) {
      int64_t first = b->first_run[y + b->ny * z], last = b->first_run[y + b->ny * z + 1];
      if (first == last) continue;
      const run *end = b->runs + last - 1;
      int64_t x0 = b->runs[first].x / LINE_UNIT * LINE_UNIT;
      int64_t x1 = (end->x + end->length + LINE_UNIT - 1) / LINE_UNIT * LINE_UNIT;
      convolve(x1 - x0, b->radius, b->weight, box + z * slab + y * b->nx + x0, slab, result + x0);
      for (const run *r = b->runs + first; r <= end; r++) use(b, r, result + r->x, row, out);
    }
}

static void use_inverse(const band *b, const run *r, const float *smoothed, const float *row,
                        float *out) {
  (void)b;
  (void)row;
  for (int64_t i = 0; i < r->length; i++) out[r->row + i] = 1.0f / smoothed[i];
}

static void use_subtract(const band *b, const run *r, const float *smoothed, const float *row,
                         float *out) {
  for (int64_t i = r->row; i < r->row + r->length; i++)
    out[i] = row[i] - *smoothed++ * b->inverse[i];
}

static sb_status embed(const sb_grid *grid, const void *context, const float *row, float *vector,
                       float *scratch) {
  smooth(context, row, scratch, vector, use_subtract);
  return sb_standardise(grid->row_length, vector, sb_rms(grid->row_length, row), vector);
}

// ---- What is computed once for a grid -----------------------------------------------------------

static void destroy(void *context) {
  band *b = context;
  if (b == NULL) return;
  free(b->weight);
  free(b->runs);
  free(b->first_run);
  free(b->inverse);
  free(b);
}

// The mask's bounding box: first voxel and size. False for an empty mask.
static bool bounding_box(const sb_grid *grid, int64_t first[3], int64_t size[3]) {
  int64_t last[3] = {-1, -1, -1};
  for (int axis = 0; axis < 3; axis++) first[axis] = grid->dims[axis];
  const uint8_t *mask = grid->mask;
  int64_t at[3];
  for (at[2] = 0; at[2] < grid->dims[2]; at[2]++)
    for (at[1] = 0; at[1] < grid->dims[1]; at[1]++)
      for (at[0] = 0; at[0] < grid->dims[0]; at[0]++) {
        if (!*mask++) continue;
        for (int axis = 0; axis < 3; axis++) {
          if (at[axis] < first[axis]) first[axis] = at[axis];
          if (at[axis] > last[axis]) last[axis] = at[axis];
        }
      }
  for (int axis = 0; axis < 3; axis++) size[axis] = last[axis] - first[axis] + 1;
  return last[0] >= 0;
}

// The runs of one line of the mask; returns how many. `runs` may be NULL, to count.
static int64_t find_runs(const uint8_t *line, int64_t length, int64_t *row, run *runs) {
  int64_t count = 0;
  for (int64_t x = 0; x < length;) {
    if (!line[x]) {
      x++;
      continue;
    }
    int64_t start = x;
    while (x < length && line[x]) x++;
    if (runs != NULL) runs[count] = (run){.row = *row, .x = start, .length = x - start};
    *row += x - start;
    count++;
  }
  return count;
}

static sb_status index_runs(band *b, const sb_grid *grid, const int64_t first[3], int64_t width) {
  sb_status status = SB_NEW(&b->first_run, b->ny * b->nz + 1, "band-pass index");
  for (int pass = 0; pass < 2 && status.code == SB_OK; pass++) { // count, then fill
    int64_t runs = 0, row = 0;
    for (int64_t line = 0; line < b->ny * b->nz; line++) {
      int64_t y = first[1] + line % b->ny, z = first[2] + line / b->ny;
      const uint8_t *mask = grid->mask + first[0] + grid->dims[0] * (y + grid->dims[1] * z);
      b->first_run[line] = runs;
      runs += find_runs(mask, width, &row, pass == 0 ? NULL : b->runs + runs);
    }
    b->first_run[b->ny * b->nz] = runs;
    if (pass == 0) status = SB_NEW(&b->runs, runs, "band-pass index");
  }
  return status;
}

static sb_status create(const sb_grid *grid, void **context) {
  sb_status status = sb_ok();
  float *scratch = NULL;
  band *b = NULL;
  SB_TRY(SB_NEW_ZERO(&b, 1, "band-pass filter"));
  int64_t first[3], size[3];
  if (!bounding_box(grid, first, size)) {
    status = sb_error(SB_CONTENT, "the template's mask is empty");
    goto cleanup;
  }
  b->nx = (size[0] + LINE_UNIT - 1) / LINE_UNIT * LINE_UNIT;
  b->ny = size[1];
  b->nz = size[2];
  double sigma_vox = SIGMA_MM / grid->voxel_mm;
  b->radius = (int)(CUT_SIGMA * sigma_vox + 0.5);
  SB_TRY(SB_NEW(&b->weight, b->radius + 1, "band-pass kernel"));
  for (int k = 0; k <= b->radius; k++)
    b->weight[k] = (float)exp(-0.5 * (k / sigma_vox) * (k / sigma_vox));
  SB_TRY(index_runs(b, grid, first, size[0]));
  SB_TRY(SB_NEW(&b->inverse, grid->row_length, "band-pass denominator"));
  SB_TRY(SB_NEW(&scratch, scratch_length(grid, b), "band-pass scratch"));
  smooth(b, NULL, scratch, b->inverse, use_inverse);
  *context = b;
  b = NULL;
cleanup:
  free(scratch);
  destroy(b);
  return status;
}

static int64_t row_length(const sb_grid *grid) {
  return grid->row_length;
}

const sb_measure sb_measure_bandpass = {
    .info = {.name = "bandpass",
             .title = "Pearson correlation of the image minus its Gaussian of 4 mm sigma",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .invariant_to = "scale, offset and smooth variation of the intensities",
             .source = "normalised convolution: Knutsson and Westin 1993, Proc. CVPR:515"},
    .create = create,
    .destroy = destroy,
    .embedding_length = row_length,
    .scratch_length = scratch_length,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
};
