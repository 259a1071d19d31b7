#include "measure/correlation.h"

#include <math.h>

#include "measure/elements.h"
#include "measure/vector.h"

double sb_rms(int64_t count, const float *values) {
  return sqrt(sb_sum_squares(count, values, 0) / (double)count);
}

sb_status sb_standardise(int64_t count, const float *values, double reference_rms, float *vector) {
  double mean = sb_sum(count, values) / (double)count;
  double norm = sqrt(sb_sum_squares(count, values, mean));
  if (!isfinite(norm) || !isfinite(reference_rms))
    return sb_error(SB_CONTENT, "a row with values that are not finite");
  if (!sb_varies(norm, reference_rms, count))
    return sb_error(SB_CONTENT, "a row without variation");
  sb_centre_scale(count, values, mean, 1 / norm, vector);
  return sb_ok();
}

double sb_clamp_correlation(double dot, const double *terms_a, const double *terms_b) {
  (void)terms_a;
  (void)terms_b;
  return sb_clamp(dot, -1, 1);
}
