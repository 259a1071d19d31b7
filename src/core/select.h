// Order statistics without sorting everything.
#ifndef SB_CORE_SELECT_H
#define SB_CORE_SELECT_H

#include <stdint.h>

// The value of rank `rank` (0: the smallest) among `count` values, count above 0 and no NaN among
// them; the values change places.
float sb_select(float *values, int64_t count, int64_t rank);

// How far apart to take at most `samples` of an image's voxels, dims[0] * dims[1] * dims[2] in a
// row: a step that shares no factor with a slice, so that no column or row is taken again and again.
int64_t sb_even_stride(const int64_t dims[3], int64_t samples);

#endif
