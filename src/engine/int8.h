// Vectors as int8: whole numbers from -SB_INT8_LEVELS to SB_INT8_LEVELS, times a scale for each chunk of
// a vector.
#ifndef SB_ENGINE_INT8_H
#define SB_ENGINE_INT8_H

#include <stdint.h>

#include "engine/lost.h"

// With a vector of offset numbers (1 to 255) on the other side, sums over a chunk fit 32 bits.
enum { SB_INT8_LEVELS = 127, SB_INT8_MOST_CHUNK = 32768 };

// What a vector has lost so far: the sum of its squares, and of its products with the common direction; and the
// vector's own with that.
typedef struct sb_int8_sums {
  double squares, along, common;
} sb_int8_sums;

// Rounds one chunk, `count` elements (1 to SB_INT8_MOST_CHUNK) of a vector of norm at most 1 + 2^-23, with
// the scale that loses about the least: a few giants are cut off where that serves the many. Adds to the sums of
// what is lost, what is cut off included. The numbers depend on the chunk alone.
//   common  the same elements of the common direction, of a norm between 1 - 2^-20 and 1; NULL: there is none
//   ahead   what will be rounded next, to be fetched from memory meanwhile: a hint, any address will do
void sb_int8_round_chunk(int64_t count, const float *chunk, const float *common, const float *ahead,
                         int8_t *out, float *scale, sb_int8_sums *sums);

// Bounds on what a vector lost, from the sums over its chunks.
sb_lost sb_int8_lost(const sb_int8_sums *sums);

// The whole vector of k elements in chunks of `chunk`: k numbers, and one scale for each chunk, begun or
// whole. Returns sb_int8_lost, without a common direction.
sb_lost sb_int8_round(int64_t k, int64_t chunk, const float *vector, int8_t *out, float *scales);

#endif
