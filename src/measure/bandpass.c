// bandpass: the correlation of what is left of two rows without their smooth part. From each voxel
// the Gaussian-weighted mean (sigma 4 mm, cut at 4 sigma) of the voxels around it in the mask is
// subtracted: a normalised convolution, G(row) / G(mask), so that the mask's edge casts no shadow.
// What remains, fine local structure, is then correlated as in pearson.
#include "measure/correlation.h"
#include "measure/elements.h"
#include "measure/filter.h"
#include "measure/measure.h"

static const double SIGMA_MM = 4, CUT_SIGMA = 4;

static sb_status create(const sb_grid *grid, void **context) {
  double sigma_vox = SIGMA_MM / grid->voxel_mm;
  return sb_filter_create_gauss(grid, sigma_vox, (int)(CUT_SIGMA * sigma_vox + 0.5),
                                (sb_filter **)context);
}

static void destroy(void *context) {
  sb_filter_free(context);
}

static int64_t scratch_length(const sb_grid *grid, const void *context) {
  (void)grid;
  return sb_filter_scratch(context);
}

typedef struct band {
  const float *row, *inverse;
  float *vector;
} band;

static void use(void *user, int64_t first, int64_t count, const float *sums) {
  const band *b = user;
  for (int64_t i = first; i < first + count; i++)
    b->vector[i] = sb_without_smooth(b->row[i], *sums++, b->inverse[i]);
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)terms;
  band b = {scan->row, sb_filter_inverse(context), vector};
  sb_filter_apply(context, scan->row, NULL, scratch, use, &b);
  return sb_standardise(grid->row_length, vector, sb_rms(grid->row_length, scan->row), vector);
}

static void recipe(const sb_grid *grid, const void *context, sb_recipe *out) {
  out->kind = SB_RECIPE_BANDPASS;
  sb_filter_recipe(context, grid, out);
}

const sb_measure sb_measure_bandpass = {
    .info = {.name = "bandpass",
             .title = "Pearson correlation of the image minus its Gaussian of 4 mm sigma",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "scale, offset and smooth variation of the intensities",
             .cost = "a dot product of V",
             .source = "normalised convolution: Knutsson and Westin 1993, Proc. CVPR:515"},
    .create = create,
    .destroy = destroy,
    .embedding_length = sb_row_of_voxels,
    .scratch_length = scratch_length,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
    .from_dot = SB_FROM_DOT_CORRELATION,
    .recipe = recipe,
};
