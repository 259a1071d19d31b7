// Sets of voxels as vectors, for Dice's coefficient: a member is 2^-k, what is not is 0, with k such
// that the norm is at most 1; sums over such elements are exact integers but for the scale.
#ifndef SB_MEASURE_SET_H
#define SB_MEASURE_SET_H

#include <stdint.h>

enum { SB_SET_TERMS = 2 };

// The element of a set of `size` members, and its terms (SB_TERM_SET_SCALE and on in elements.h).
float sb_set_element(int64_t size, double *terms);
// The epilogue.
double sb_set_dice(double dot, const double *a, const double *b);

#endif
