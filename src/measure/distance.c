#include "measure/distance.h"

#include <math.h>

#include "measure/row.h"
#include "measure/vector.h"

sb_status sb_distance_embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                            float *vector, double *terms, float *scratch) {
  (void)context;
  (void)scratch;
  sb_row_facts facts;
  sb_status status = sb_row_examine(grid->row_length, scan->row, &facts);
  if (status.code != SB_OK) return status;
  int exponent;
  frexp(sqrt(facts.squares), &exponent); // the norm is below 2^exponent
  terms[SB_TERM_SCALE] = ldexp(1, exponent);
  terms[SB_TERM_SQUARES] = facts.squares;
  terms[SB_TERM_MIN] = (double)facts.min;
  terms[SB_TERM_MAX] = (double)facts.max;
  terms[SB_TERM_VOXELS] = (double)grid->row_length;
  sb_centre_scale(grid->row_length, scan->row, 0, ldexp(1, -exponent), vector);
  return status;
}

double sb_distance_squares(const sb_grid *grid, sb_embedding a, sb_embedding b) {
  return sb_sum_squared_differences(grid->row_length, a.vector, a.terms[SB_TERM_SCALE], b.vector,
                                    b.terms[SB_TERM_SCALE]);
}
