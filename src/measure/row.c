#include "measure/row.h"

#include <math.h>

#include "measure/vector.h"

sb_status sb_row_examine(int64_t count, const float *row, sb_row_facts *out) {
  const double n = (double)count;
  *out = (sb_row_facts){.mean = sb_sum(count, row) / n, .squares = sb_sum_squares(count, row, 0)};
  out->sd = sqrt(sb_sum_squares(count, row, out->mean) / n);
  if (!isfinite(out->squares) || !isfinite(out->sd))
    return sb_error(SB_CONTENT, "a row with values that are not finite");
  if (out->sd <= 1e-6 * sqrt(out->squares / n))
    return sb_error(SB_CONTENT, "a row without variation");
  sb_extremes(count, row, &out->min, &out->max);
  return sb_ok();
}
