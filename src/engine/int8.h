// Vectors as int8: whole numbers, times a scale for each chunk of a vector, rounded at random (lost.h).
#ifndef SB_ENGINE_INT8_H
#define SB_ENGINE_INT8_H

#include <stdint.h>

#include "engine/lost.h"
#include "samebrain/status.h"

// Numbers are from -127 to 127. With a vector of offset numbers (1 to 255) on the other side, sums over a chunk
// fit 32 bits.
enum { SB_INT8_MOST_CHUNK = 32768 };

// The random numbers that elements are rounded by: the same for all vectors, on every machine.
typedef struct sb_dither {
  float
      *values; // in (-1/2, 1/2), one for each element of a vector: pseudo-random, from a fixed seed
  int64_t count;
} sb_dither;

// Makes `dither` have at least k numbers; zeroed it has none. Errors: SB_NO_MEMORY.
sb_status sb_dither_reserve(sb_dither *dither, int64_t k);
void sb_dither_free(sb_dither *dither);

// Of a vector's chunks so far: the sums of their steps' and norms' fourth powers, and of all elements' squared steps.
typedef struct sb_int8_sums {
  double steps, sizes, spreads;
} sb_int8_sums;

// Rounds one chunk, `count` elements (1 to SB_INT8_MOST_CHUNK) of a vector of norm at most 1 + 2^-23, with the
// scale that its largest element asks for, and adds to the sums. The numbers depend on the chunk and its place alone.
//   dither  the numbers of the same elements
//   ahead   what will be rounded next, to be fetched from memory meanwhile: a hint, which is not read
void sb_int8_round_chunk(int64_t count, const float *chunk, const float *dither, const float *ahead,
                         int8_t *out, float *scale, sb_int8_sums *sums);

// What a vector lost, from the sums over its chunks, of up to `chunk` elements.
sb_lost sb_int8_lost(const sb_int8_sums *sums, int64_t chunk);

// Of two rounded vectors, a bound on the error of the float64 sum of `chunks` chunk products, exact themselves and each
// times two scales: gamma64(chunks + 2) times the sum of their sizes, at most |a'| |b'|. Rounding adds to a vector at most the
// steps of all its elements, sqrt(SB_INT8_MOST_CHUNK) / 126 of itself: (1 + 1.44)^2 < 6.
static inline double sb_int8_sum_error(int64_t chunks) {
  const double terms = ((double)chunks + 2) * 0x1p-53;
  return terms / (1 - terms) * 6;
}

// The whole vector of k elements in chunks of `chunk`: k numbers, and one scale for each chunk, begun or
// whole. Returns sb_int8_lost.
sb_lost sb_int8_round(int64_t k, int64_t chunk, const float *vector, const sb_dither *dither,
                      int8_t *out, float *scales);

#endif
