// lncc: the squared correlation of two scans in the cube around each voxel, averaged over the mask,
// as ANTs' CC metric has it; the cube reaches 4 mm to each side (ANTs' radius of 4 on 1 mm voxels)
// and counts the mask's voxels alone. A window whose variance does not exceed 1e-5 of the whole
// row's is flat (see sb_squared_correlation).
#include <math.h>

#include "measure/elements.h"
#include "measure/filter.h"
#include "measure/measure.h"
#include "measure/row.h"
#include "measure/vector.h"

static const double RADIUS_MM = 4;
static const float FLAT = 1e-5f;

static sb_status create(const sb_grid *grid, void **context) {
  return sb_filter_create_cube(grid, sb_filter_cube_radius(grid, 2 * RADIUS_MM),
                               (sb_filter **)context);
}

static void destroy(void *context) {
  sb_filter_free(context);
}

// The row standardised, its local means, and one over its local standard deviations.
static int64_t length(const sb_grid *grid, const void *context) {
  (void)context;
  return 3 * sb_round_up(grid->row_length);
}

static int64_t scratch_length(const sb_grid *grid, const void *context) {
  return sb_round_up(grid->row_length) + sb_filter_scratch(context);
}

typedef struct windows {
  const float *inverse, *mean_a, *mean_b, *deviation_a, *deviation_b;
  float *out;
} windows;

static void use_mean(void *user, int64_t first, int64_t count, const float *sums) {
  const windows *w = user;
  for (int64_t i = first; i < first + count; i++) w->out[i] = *sums++ * w->inverse[i];
}

static void use_deviation(void *user, int64_t first, int64_t count, const float *sums) {
  const windows *w = user;
  for (int64_t i = first; i < first + count; i++) {
    float variance = *sums++ * w->inverse[i] - w->mean_a[i] * w->mean_a[i];
    w->out[i] = variance > FLAT ? 1 / sqrtf(variance) : 0;
  }
}

SB_VECTOR_CLONES static void use_correlation(void *user, int64_t first, int64_t count,
                                             const float *sums) {
  const windows *w = user;
  const float *inverse = w->inverse, *mean_a = w->mean_a, *mean_b = w->mean_b;
  const float *deviation_a = w->deviation_a, *deviation_b = w->deviation_b;
  float *out = w->out;
  for (int64_t i = first; i < first + count; i++)
    out[i] = sb_window_correlation(sums[i - first], inverse[i], mean_a[i], mean_b[i],
                                   deviation_a[i], deviation_b[i]);
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)terms;
  const int64_t n = grid->row_length, stride = sb_round_up(n);
  sb_row_facts facts;
  sb_status status = sb_row_examine(n, scan->row, &facts);
  if (status.code != SB_OK) return status;
  sb_centre_scale(n, scan->row, facts.mean, 1 / facts.sd, vector);
  windows w = {
      .inverse = sb_filter_inverse(context), .mean_a = vector + stride, .out = vector + stride};
  sb_filter_apply(context, vector, NULL, scratch, use_mean, &w);
  w.out = vector + 2 * stride;
  sb_filter_apply(context, vector, vector, scratch, use_deviation, &w);
  return status;
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  const int64_t n = grid->row_length, stride = sb_round_up(n);
  windows w = {.inverse = sb_filter_inverse(context),
               .mean_a = a.vector + stride,
               .mean_b = b.vector + stride,
               .deviation_a = a.vector + 2 * stride,
               .deviation_b = b.vector + 2 * stride,
               .out = scratch};
  sb_filter_apply(context, a.vector, b.vector, scratch + stride, use_correlation, &w);
  return sb_sum(n, scratch) / (double)n;
}

static void form(const sb_grid *grid, const void *context, sb_form *out) {
  sb_filter_form(context, grid, out);
  out->windows.score = SB_WINDOWS_CORRELATION;
  out->windows.factor = sb_filter_inverse(context);
}

const sb_measure sb_measure_lncc = {
    .info = {.name = "lncc",
             .title = "Local squared correlation in cubes of 4 mm radius",
             .range_min = 0,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = false,
             .invariant_to = "scale, offset, inversion and smooth variation of intensities and "
                             "contrast",
             .cost = "a filter of 3 x 5 taps over V at 2 mm",
             .source = "Avants 2008, Med. Image Anal. 12:26"},
    .create = create,
    .destroy = destroy,
    .embedding_length = length,
    .scratch_length = scratch_length,
    .embed = embed,
    .score = score,
    .form = form,
};
