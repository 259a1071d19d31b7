// The filter runs on the mask's bounding box with zeros around it: along x and y plane by plane, then
// along z, each as 2r+1 shifted adds over lines whose length is a multiple of the widest vector.
#include "measure/filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "measure/box.h"
#include "measure/vector.h"

enum { LINE_UNIT = 16 }; // floats; line lengths are multiples of it

// Consecutive voxels of one line of the box that are in the mask.
typedef struct run {
  int64_t row, x, length; // first element in the row, first x in the box, voxels
} run;

struct sb_filter {
  int64_t first[3], size[3]; // of the box
  int64_t nx, ny, nz;        // the same size, but nx padded to LINE_UNIT
  int radius;                // of the kernel, voxels
  float *weight;             // weight[k] = weight[-k], k = 0..radius
  run *runs;                 // of all lines, in row order
  int64_t *first_run;        // of line y + ny * z; one more at the end
  float *inverse;            // a row
};

// Scratch, in floats: one input line with its borders, one plane with borders along y, the box
// with borders along z, one output line.
static int64_t line_floats(const sb_filter *b) {
  return b->nx + 2 * b->radius + LINE_UNIT;
}
static int64_t plane_floats(const sb_filter *b) {
  return (b->ny + 2 * b->radius) * b->nx;
}
static int64_t box_floats(const sb_filter *b) {
  return (b->nz + 2 * b->radius) * b->ny * b->nx;
}

int64_t sb_filter_scratch(const sb_filter *b) {
  return line_floats(b) + plane_floats(b) + box_floats(b) + b->nx;
}

const float *sb_filter_inverse(const sb_filter *b) {
  return b->inverse;
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
// LINE_UNIT. The usual radii are compiled with their loops unrolled.
SB_VECTOR_CLONES static void convolve(int64_t count, int radius, const float *weight,
                                      const float *restrict in, int64_t stride,
                                      float *restrict out) {
  count -= count % LINE_UNIT;
  switch (radius) {
  case 2:
    add_taps(count, 2, weight, in, stride, out);
    break;
  case 3:
    add_taps(count, 3, weight, in, stride, out);
    break;
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

// What is filtered, for one run of voxels.
static void fill_run(const run *r, const float *one, const float *other, float *to) {
  if (one == NULL)
    for (int64_t i = 0; i < r->length; i++) to[i] = 1;
  else if (other == NULL)
    memcpy(to, one + r->row, (size_t)r->length * sizeof *to);
  else
    for (int64_t i = 0; i < r->length; i++) to[i] = one[r->row + i] * other[r->row + i];
}

// Along x and y, in each plane of `box`.
static void smooth_planes(const sb_filter *b, const float *one, const float *other, float *line,
                          float *plane, float *box) {
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
      for (const run *r = b->runs + first; r < b->runs + last; r++)
        fill_run(r, one, other, line + b->radius + r->x);
      convolve(b->nx, b->radius, b->weight, line, 1, smoothed);
    }
    float *slab = box + (z + b->radius) * b->ny * b->nx;
    convolve(b->ny * b->nx, b->radius, b->weight, plane, b->nx, slab);
  }
}

// Then along z, line by line (all z of one y stay in the first cache).
void sb_filter_apply(const sb_filter *b, const float *one, const float *other, float *scratch,
                     sb_filter_use use, void *user) {
  float *line = scratch, *plane = line + line_floats(b), *box = plane + plane_floats(b);
  float *result = box + box_floats(b);
  const int64_t slab = b->ny * b->nx, border = b->radius * slab;
  memset(box, 0, (size_t)border * sizeof *box);
  memset(box + border + b->nz * slab, 0, (size_t)border * sizeof *box);
  smooth_planes(b, one, other, line, plane, box);
  for (int64_t y = 0; y < b->ny; y++)
    for (int64_t z = 0; z < b->nz; z++) {
      int64_t first = b->first_run[y + b->ny * z], last = b->first_run[y + b->ny * z + 1];
      if (first == last) continue;
      const run *end = b->runs + last - 1;
      int64_t x0 = b->runs[first].x / LINE_UNIT * LINE_UNIT;
      int64_t x1 = (end->x + end->length + LINE_UNIT - 1) / LINE_UNIT * LINE_UNIT;
      convolve(x1 - x0, b->radius, b->weight, box + z * slab + y * b->nx + x0, slab, result + x0);
      for (const run *r = b->runs + first; r <= end; r++)
        use(user, r->row, r->length, result + r->x);
    }
}

// ---- What is computed once for a grid -----------------------------------------------------------

static void use_inverse(void *user, int64_t first, int64_t count, const float *sums) {
  float *inverse = user;
  for (int64_t i = 0; i < count; i++) inverse[first + i] = 1.0f / sums[i];
}

void sb_filter_free(sb_filter *b) {
  if (b == NULL) return;
  free(b->weight);
  free(b->runs);
  free(b->first_run);
  free(b->inverse);
  free(b);
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

static sb_status index_runs(sb_filter *b, const sb_grid *grid) {
  sb_status status = SB_NEW(&b->first_run, b->ny * b->nz + 1, "filter index");
  for (int pass = 0; pass < 2 && status.code == SB_OK; pass++) { // count, then fill
    int64_t runs = 0, row = 0;
    for (int64_t line = 0; line < b->ny * b->nz; line++) {
      int64_t y = b->first[1] + line % b->ny, z = b->first[2] + line / b->ny;
      const uint8_t *mask = grid->mask + b->first[0] + grid->dims[0] * (y + grid->dims[1] * z);
      b->first_run[line] = runs;
      runs += find_runs(mask, b->size[0], &row, pass == 0 ? NULL : b->runs + runs);
    }
    b->first_run[b->ny * b->nz] = runs;
    if (pass == 0) status = SB_NEW(&b->runs, runs, "filter index");
  }
  return status;
}

sb_status sb_filter_create(const sb_grid *grid, int radius, const float *weight, sb_filter **out) {
  sb_status status = sb_ok();
  float *scratch = NULL;
  sb_filter *b = NULL;
  *out = NULL;
  SB_TRY(SB_NEW_ZERO(&b, 1, "filter"));
  SB_TRY(sb_mask_box(grid, b->first, b->size));
  b->nx = (b->size[0] + LINE_UNIT - 1) / LINE_UNIT * LINE_UNIT;
  b->ny = b->size[1];
  b->nz = b->size[2];
  b->radius = radius;
  SB_TRY(SB_NEW(&b->weight, radius + 1, "filter kernel"));
  memcpy(b->weight, weight, (size_t)(radius + 1) * sizeof *weight);
  SB_TRY(index_runs(b, grid));
  SB_TRY(SB_NEW(&b->inverse, grid->row_length, "filter denominator"));
  SB_TRY(SB_NEW(&scratch, sb_filter_scratch(b), "filter scratch"));
  sb_filter_apply(b, NULL, NULL, scratch, use_inverse, b->inverse);
  *out = b;
  b = NULL;
cleanup:
  free(scratch);
  sb_filter_free(b);
  return status;
}

void sb_filter_form(const sb_filter *b, const sb_grid *grid, sb_form *out) {
  out->kind = SB_FORM_WINDOWS;
  out->windows = (sb_windows_form){.mask = grid->mask,
                                   .stride = sb_round_up(grid->row_length),
                                   .radius = b->radius,
                                   .weight = b->weight};
  memcpy(out->windows.dims, grid->dims, sizeof grid->dims);
  memcpy(out->windows.first, b->first, sizeof b->first);
  memcpy(out->windows.size, b->size, sizeof b->size);
}

void sb_filter_recipe(const sb_filter *b, const sb_grid *grid, sb_recipe *out) {
  out->mask = grid->mask;
  out->radius = b->radius;
  out->weight = b->weight;
  out->inverse = b->inverse;
  memcpy(out->dims, grid->dims, sizeof grid->dims);
  memcpy(out->first, b->first, sizeof b->first);
  memcpy(out->size, b->size, sizeof b->size);
}

int sb_filter_cube_radius(const sb_grid *grid, double width_mm) {
  int radius = (int)floor(0.5 * width_mm / grid->voxel_mm);
  return radius > 1 ? radius : 1;
}

sb_status sb_filter_create_cube(const sb_grid *grid, int radius, sb_filter **out) {
  float *weight = NULL;
  sb_status status = SB_NEW(&weight, radius + 1, "filter kernel");
  for (int k = 0; k <= radius && status.code == SB_OK; k++) weight[k] = 1;
  if (status.code == SB_OK) status = sb_filter_create(grid, radius, weight, out);
  free(weight);
  return status;
}

sb_status sb_filter_create_gauss(const sb_grid *grid, double sigma_vox, int radius,
                                 sb_filter **out) {
  float *weight = NULL;
  sb_status status = SB_NEW(&weight, radius + 1, "filter kernel");
  for (int k = 0; k <= radius && status.code == SB_OK; k++)
    weight[k] = (float)exp(-0.5 * (k / sigma_vox) * (k / sigma_vox));
  if (status.code == SB_OK) status = sb_filter_create(grid, radius, weight, out);
  free(weight);
  return status;
}
