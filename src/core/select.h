// Order statistics without sorting everything.
#ifndef SB_CORE_SELECT_H
#define SB_CORE_SELECT_H

#include <stdint.h>

// The value of rank `rank` (0: the smallest) among `count` values, count above 0 and no NaN among
// them; the values change places.
float sb_select(float *values, int64_t count, int64_t rank);

#endif
