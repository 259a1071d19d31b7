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

// The epilogue: rounding must not carry a correlation beyond [-1, 1]. No terms are used.
double sb_clamp_correlation(double dot, const double *terms_a, const double *terms_b);

#endif
