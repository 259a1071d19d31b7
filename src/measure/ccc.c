// ccc: Lin's concordance correlation coefficient, 2 s_ab / (s_a^2 + s_b^2 + (m_a - m_b)^2): how far
// two rows agree on the line of identity. Equal to 1 - mse / (s_a^2 + s_b^2 + (m_a - m_b)^2), which is
// how it is computed, so that nearly equal rows do not cancel.
#include "measure/distance.h"
#include "measure/row.h"

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  sb_row_facts facts;
  sb_status status = sb_row_examine(grid->row_length, scan->row, &facts);
  if (status.code != SB_OK) return status;
  terms[SB_TERM_ROW_MEAN] = facts.mean;
  terms[SB_TERM_VARIANCE] = facts.sd * facts.sd;
  return sb_distance_embed(grid, context, scan, vector, terms, scratch);
}

static double epilogue(double dot, const double *a, const double *b) {
  return sb_ccc_of(sb_squares_from_dot(dot, a, b), a, b);
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)context;
  (void)scratch;
  return sb_ccc_of(sb_distance_squares(grid, a, b), a.terms, b.terms);
}

const sb_measure sb_measure_ccc = {
    .info = {.name = "ccc",
             .title = "Lin's concordance correlation coefficient of the intensities",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "a common scale and offset of the intensities",
             .cost = "a dot product of V",
             .source = "Lin 1989, Biometrics 45:255"},
    .embedding_length = sb_row_of_voxels,
    .term_count = SB_CCC_TERMS,
    .embed = embed,
    .epilogue = epilogue,
    .from_dot = SB_FROM_DOT_CCC,
    .score = score,
};
