// Vectors as int8: whole numbers from -SB_INT8_LEVELS to SB_INT8_LEVELS, times a scale for each chunk of
// a vector.
#ifndef SB_ENGINE_INT8_H
#define SB_ENGINE_INT8_H

#include <stdint.h>

// With a vector of offset numbers (1 to 255) on the other side, sums over a chunk fit 32 bits.
enum { SB_INT8_LEVELS = 127, SB_INT8_MOST_CHUNK = 32768 };

// Rounds one chunk, `count` elements (1 to SB_INT8_MOST_CHUNK) of a vector of norm at most 1 + 2^-23, with
// the scale that loses about the least: a few giants are cut off where that serves the many. Returns
// the sum of squares of what is lost, what is cut off included, as sb_int8_lost needs it. The bits depend
// on the chunk alone.
//   ahead  what will be rounded next, to be fetched from memory meanwhile: a hint, any address will do
double sb_int8_round_chunk(int64_t count, const float *chunk, const float *ahead, int8_t *out,
                           float *scale);

// A bound on the Euclidean norm of what a vector lost, from the sum over its chunks.
double sb_int8_lost(double squares);

// The whole vector of k elements in chunks of `chunk`: k numbers, and one scale for each chunk, begun or
// whole. Returns sb_int8_lost.
double sb_int8_round(int64_t k, int64_t chunk, const float *vector, int8_t *out, float *scales);

#endif
