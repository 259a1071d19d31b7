// localz: the correlation of two rows after each voxel was standardised among its neighbours: the
// mean of the cube of 10 mm around it, as far as it is in the mask, is subtracted, and the result
// divided by the standard deviation there. A deviation of a twentieth of the whole row's is added in
// squares, so that noise in flat places is not blown up.
#include <math.h>

#include "measure/correlation.h"
#include "measure/filter.h"
#include "measure/measure.h"
#include "measure/row.h"
#include "measure/vector.h"

static const double WINDOW_MM = 10, LEAST_SHARE = 0.05;

static sb_status create(const sb_grid *grid, void **context) {
  return sb_filter_create_cube(grid, sb_filter_cube_radius(grid, WINDOW_MM), (sb_filter **)context);
}

static void destroy(void *context) {
  sb_filter_free(context);
}

static int64_t scratch_length(const sb_grid *grid, const void *context) {
  return 2 * sb_round_up(grid->row_length) + sb_filter_scratch(context);
}

typedef struct local {
  const float *inverse, *centred;
  float *mean, *vector, least; // least: the variance added
} local;

static void use_mean(void *user, int64_t first, int64_t count, const float *sums) {
  const local *l = user;
  for (int64_t i = first; i < first + count; i++) l->mean[i] = *sums++ * l->inverse[i];
}

static void use_squares(void *user, int64_t first, int64_t count, const float *sums) {
  const local *l = user;
  for (int64_t i = first; i < first + count; i++) {
    float variance = *sums++ * l->inverse[i] - l->mean[i] * l->mean[i];
    variance = (variance > 0 ? variance : 0) + l->least;
    l->vector[i] = (l->centred[i] - l->mean[i]) / sqrtf(variance);
  }
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)terms;
  const int64_t n = grid->row_length;
  float *centred = scratch, *mean = centred + sb_round_up(n), *rest = mean + sb_round_up(n);
  sb_row_facts facts;
  sb_status status = sb_row_examine(n, scan->row, &facts);
  if (status.code != SB_OK) return status;
  sb_centre_scale(n, scan->row, facts.mean, 1 / facts.sd, centred);
  local l = {sb_filter_inverse(context), centred, mean, vector, (float)(LEAST_SHARE * LEAST_SHARE)};
  sb_filter_apply(context, centred, NULL, rest, use_mean, &l);
  sb_filter_apply(context, centred, centred, rest, use_squares, &l);
  return sb_standardise(n, vector, 1, vector);
}

const sb_measure sb_measure_localz = {
    .info = {.name = "localz",
             .title = "Pearson correlation after standardising each voxel in a cube of 10 mm",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "scale, offset and smooth variation of intensities and contrast",
             .cost = "a dot product of V",
             .source = "local contrast normalisation: Jarrett 2009, Proc. ICCV:2146"},
    .create = create,
    .destroy = destroy,
    .embedding_length = sb_row_of_voxels,
    .scratch_length = scratch_length,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
    .from_dot = SB_FROM_DOT_CORRELATION,
};
