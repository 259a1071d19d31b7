// cosine: the cosine of the angle between two rows.
#include <math.h>

#include "measure/correlation.h"
#include "measure/measure.h"
#include "measure/row.h"
#include "measure/vector.h"

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)context;
  (void)terms;
  (void)scratch;
  sb_row_facts facts;
  sb_status status = sb_row_examine(grid->row_length, scan->row, &facts);
  if (status.code == SB_OK)
    sb_centre_scale(grid->row_length, scan->row, 0, 1 / sqrt(facts.squares), vector);
  return status;
}

const sb_measure sb_measure_cosine = {
    .info = {.name = "cosine",
             .title = "Cosine of the angle between the rows of intensities",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "scale of the intensities",
             .cost = "a dot product of V",
             .source = "Salton and McGill 1983, Introduction to Modern Information Retrieval"},
    .embedding_length = sb_row_of_voxels,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
    .from_dot = SB_FROM_DOT_CORRELATION,
};
