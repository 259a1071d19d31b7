// Gaussian smoothing (see smooth.h). Two sweeps over memory: the first takes each z slice through x
// and y in a scratch slice that stays in cache, the second takes each plane of constant y through
// z. All inner loops run along x.
#include "image/smooth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/memory.h"

static const double TRUNCATE = 3.5;
static const double LARGEST_SIGMA = 1000;

// weights[0] is the centre's, weights[k] that of both neighbours at distance k; radius 0: no
// filter.
typedef struct kernel {
  int64_t radius;
  float *weights;
} kernel;

static sb_status make_kernel(double sigma, kernel *k) {
  if (!isfinite(sigma) || sigma > LARGEST_SIGMA)
    return sb_error(SB_USAGE, "cannot smooth with a sigma of %g voxels (at most %g)", sigma,
                    LARGEST_SIGMA);
  k->radius = sigma > 0 ? (int64_t)ceil(TRUNCATE * sigma) : 0;
  sb_status status = SB_NEW(&k->weights, k->radius + 1, "filter weights");
  if (status.code != SB_OK) return status;
  double sum = 1;
  for (int64_t i = 1; i <= k->radius; i++)
    sum += 2 * exp(-0.5 * ((double)i / sigma) * ((double)i / sigma));
  for (int64_t i = 0; i <= k->radius; i++)
    k->weights[i] =
        (float)(i == 0 ? 1 / sum : exp(-0.5 * ((double)i / sigma) * ((double)i / sigma)) / sum);
  return status;
}

enum { LANES = 16 };
typedef float lanes
    __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

// out[i] = sum of weights[d] * (in[i - d * stride] + in[i + d * stride]) for i in [0, n).
SB_CLONES static void filter_row(int64_t n, const float *restrict in, int64_t stride,
                                 int64_t radius, const float *restrict weights,
                                 float *restrict out) {
  int64_t from = 0;
  for (; n >= LANES && from < n; from += LANES) {
    const int64_t i = from + LANES <= n ? from : n - LANES; // the last ones may be done twice
    lanes sum = weights[0] * *(const lanes *)(in + i);
    for (int64_t d = 1; d <= radius; d++)
      sum += weights[d] *
             (*(const lanes *)(in + i - d * stride) + *(const lanes *)(in + i + d * stride));
    *(lanes *)(out + i) = sum;
  }
  for (int64_t i = from; i < n; i++) {
    float sum = weights[0] * in[i];
    for (int64_t d = 1; d <= radius; d++)
      sum += weights[d] * (in[i - d * stride] + in[i + d * stride]);
    out[i] = sum;
  }
}

// Slice by slice through x and y. `line` holds a row with radius[0] zeros on both sides, `slice`
// one slice with radius[1] rows of zeros on both sides.
static void filter_slices(float *data, const int64_t dims[3], const kernel kernels[3], float *line,
                          float *slice) {
  const int64_t nx = dims[0], ny = dims[1];
  float *row_in = line + kernels[0].radius, *rows = slice + kernels[1].radius * nx;
  for (int64_t k = 0; k < dims[2]; k++) {
    float *plane = data + nx * ny * k;
    for (int64_t j = 0; j < ny; j++) {
      memcpy(row_in, plane + nx * j, (size_t)nx * sizeof *row_in);
      filter_row(nx, row_in, 1, kernels[0].radius, kernels[0].weights, rows + nx * j);
    }
    for (int64_t j = 0; j < ny; j++)
      filter_row(nx, rows + nx * j, nx, kernels[1].radius, kernels[1].weights, plane + nx * j);
  }
}

// Plane by plane through z. `slice` has radius[2] rows of zeros on both sides.
static void filter_columns(float *data, const int64_t dims[3], const kernel *z, float *slice) {
  const int64_t nx = dims[0], ny = dims[1], nz = dims[2];
  float *rows = slice + z->radius * nx;
  for (int64_t j = 0; j < ny; j++) {
    for (int64_t k = 0; k < nz; k++)
      memcpy(rows + nx * k, data + nx * (j + ny * k), (size_t)nx * sizeof *rows);
    for (int64_t k = 0; k < nz; k++)
      filter_row(nx, rows + nx * k, nx, z->radius, z->weights, data + nx * (j + ny * k));
  }
}

sb_status sb_gaussian(float *data, const int64_t dims[3], const double sigma_vox[3]) {
  sb_status status;
  kernel kernels[3] = {{0, NULL}, {0, NULL}, {0, NULL}};
  float *line = NULL, *slice_y = NULL, *slice_z = NULL;
  for (int axis = 0; axis < 3; axis++) SB_TRY(make_kernel(sigma_vox[axis], &kernels[axis]));
  SB_TRY(SB_NEW_ZERO(&line, dims[0] + 2 * kernels[0].radius, "a padded row"));
  SB_TRY(SB_NEW_ZERO(&slice_y, dims[0] * (dims[1] + 2 * kernels[1].radius), "a padded slice"));
  SB_TRY(SB_NEW_ZERO(&slice_z, dims[0] * (dims[2] + 2 * kernels[2].radius), "a padded slice"));
  if (kernels[0].radius > 0 || kernels[1].radius > 0)
    filter_slices(data, dims, kernels, line, slice_y);
  if (kernels[2].radius > 0) filter_columns(data, dims, &kernels[2], slice_z);
cleanup:
  free(line);
  free(slice_y);
  free(slice_z);
  for (int axis = 0; axis < 3; axis++) free(kernels[axis].weights);
  return status;
}

sb_status sb_volume_gaussian(sb_volume *v, const double sigma_vox[3]) {
  return sb_gaussian(v->voxels, v->dims, sigma_vox);
}
