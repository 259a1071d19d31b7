// Vectors as int8: whole numbers from -levels to levels, times a scale for each chunk of a vector.
#ifndef SB_ENGINE_INT8_H
#define SB_ENGINE_INT8_H

#include <stdint.h>

enum { SB_INT8_LEVELS = 127 };

// Rounds a vector of k floats (norm at most 1 + 2^-23) to chunks of `chunk`, each with the scale that
// loses about the least: a few giants are cut off where that serves the many. Writes k numbers and
// one scale for each chunk, begun or whole. Returns a bound on the Euclidean norm of what is lost,
// what is cut off included. The bits depend on the vector alone.
double sb_int8_round(int64_t k, int64_t chunk, int levels, const float *vector, int8_t *out,
                     float *scales);

#endif
