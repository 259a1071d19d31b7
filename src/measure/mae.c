// mae: the mean absolute difference of the intensities.
#include <math.h>
#include <string.h>

#include "measure/measure.h"
#include "measure/row.h"
#include "measure/vector.h"

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)context;
  (void)terms;
  (void)scratch;
  sb_row_facts facts;
  memcpy(vector, scan->row, (size_t)grid->row_length * sizeof *vector);
  return sb_row_examine(grid->row_length, scan->row, &facts);
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  (void)scratch;
  return sb_sum_absolute_differences(grid->row_length, a.vector, b.vector) /
         (double)grid->row_length;
}

static void form(const sb_grid *grid, const void *context, sb_form *out) {
  (void)grid;
  (void)context;
  out->kind = SB_FORM_DIFFERENCES;
}

const sb_measure sb_measure_mae = {
    .info = {.name = "mae",
             .title = "Mean absolute difference of the intensities",
             .range_min = 0,
             .range_max = INFINITY,
             .higher_is_closer = false,
             .gemm = false,
             .invariant_to = "a common offset of the intensities",
             .cost = "V differences",
             .source = "Laplace 1774, Mem. Acad. R. Sci. 6:621"},
    .embedding_length = sb_row_of_voxels,
    .embed = embed,
    .score = score,
    .form = form,
};
