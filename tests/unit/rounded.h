// A whole vector as int8, by the host (engine/int8.h).
#ifndef TESTS_ROUNDED_H
#define TESTS_ROUNDED_H

#include "engine/int8.h"

// k elements in chunks of `chunk`: k numbers, and a scale for each chunk, begun or whole. Returns what was lost.
static inline sb_lost round_to_int8(int64_t k, int64_t chunk, const float *vector,
                                    const sb_dither *dither, int8_t *out, float *scales) {
  sb_int8_sums sums = {0};
  for (int64_t at = 0; at < k; at += chunk)
    sb_int8_round_chunk(k - at < chunk ? k - at : chunk, vector + at, dither->values + at,
                        vector + at + chunk, out + at, scales++, &sums);
  return sb_int8_lost(&sums, chunk);
}

#endif
