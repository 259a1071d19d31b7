// What all measures share that end in a correlation: the last step of the embedding and the
// epilogue.
#ifndef SB_MEASURE_CORRELATION_H
#define SB_MEASURE_CORRELATION_H

#include <stdint.h>

#include "samebrain/status.h"

// Subtracts the mean and divides by the norm, so that dot products are correlations.
//   reference_rms   root mean square of what the values were computed from: values whose deviation
//                   is below a millionth of it are float rounding, not content
//   vector          out; may be values
// Errors: SB_CONTENT.
sb_status sb_standardise(int64_t count, const float *values, double reference_rms, float *vector);

// Root mean square of a row.
double sb_rms(int64_t count, const float *values);

// A dot product of unit vectors as a correlation: rounding must not carry it beyond [-1, 1].
static inline double sb_clamp_correlation(double dot) {
  return dot > 1 ? 1 : dot < -1 ? -1 : dot;
}

#endif
