// Vectors as int8: whole numbers, times a scale for each chunk of a vector, rounded at random (lost.h). What a C and a
// CUDA compiler take alike is here.
#ifndef SB_ENGINE_INT8_H
#define SB_ENGINE_INT8_H

#include <math.h>
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

// The scale of a chunk whose largest magnitude is given: that becomes 126, before its random number is added.
SB_HD static inline float sb_int8_scale(float most) {
  const float levels = 126, nothing = 1e-15f; // far less than what float32 products lose
  return most > nothing ? most / levels : 0;
}

// Adds a chunk of `count` elements to the sums.
//   squares  of its norm, within a factor of 1 + 2^-13
SB_HD static inline void sb_int8_add(sb_int8_sums *sums, float scale, double squares,
                                     int64_t count) {
  const double step = (double)scale * (double)scale, most = squares * (1 + 0x1p-12);
  sums->steps += step * step;
  sums->sizes += most * most;
  sums->spreads += step * (double)count;
}

// What a vector lost, from the sums over its chunks, of up to `chunk` elements. Half a step, and 2^-16 of one that x_i / s is
// off by, belong to an element's size (lost.h).
SB_HD static inline sb_lost sb_int8_lost(const sb_int8_sums *sums, int64_t chunk) {
  const double more = 1 + 0x1p-40, step = sqrt(sqrt(sums->steps)) * more;
  sb_lost out;
  out.step = step;
  out.size = sqrt(sqrt(sums->sizes)) * more + (0.5 + 0x1p-15) * step * sqrt((double)chunk);
  out.spread = sqrt(sums->spreads) * more;
  return out;
}

// Rounds one chunk, `count` elements (1 to SB_INT8_MOST_CHUNK) of a vector of norm at most 1 + 2^-23, with the
// scale that its largest element asks for, and adds to the sums. The numbers depend on the chunk and its place alone.
//   dither  the numbers of the same elements
//   ahead   what will be rounded next, to be fetched from memory meanwhile: a hint, which is not read
void sb_int8_round_chunk(int64_t count, const float *chunk, const float *dither, const float *ahead,
                         int8_t *out, float *scale, sb_int8_sums *sums);

// Of two rounded vectors, a bound on the error of the float64 sum of `chunks` chunk products, exact themselves and each
// times two scales: gamma64(chunks + 2) times the sum of their sizes, at most |a'| |b'|. Rounding adds to a vector at most the
// steps of all its elements, sqrt(SB_INT8_MOST_CHUNK) / 126 of itself: (1 + 1.44)^2 < 6.
static inline double sb_int8_sum_error(int64_t chunks) {
  const double terms = ((double)chunks + 2) * 0x1p-53;
  return terms / (1 - terms) * 6;
}

#endif
