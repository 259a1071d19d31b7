// IEEE binary16, what rows are stored as.
#ifndef SB_CORE_HALF_H
#define SB_CORE_HALF_H

#include <stddef.h>
#include <stdint.h>

// Round to nearest, ties to even; beyond 65504 gives infinity, NaN stays NaN.
uint16_t sb_half_from_float(float value);
// Exact.
float sb_half_to_float(uint16_t half);

// Arrays; F16C instructions where the processor has them, the same bits everywhere.
void sb_half_from_floats(size_t count, const float *in, uint16_t *out);
void sb_half_to_floats(size_t count, const uint16_t *in, float *out);

#endif
