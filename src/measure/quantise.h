// A row in few levels: equal steps between its 0.5th and 99.5th percentile, what lies outside in the
// end levels, so that a few bright voxels do not decide on the steps. Scale and offset of the row
// change nothing but rounding.
#ifndef SB_MEASURE_QUANTISE_H
#define SB_MEASURE_QUANTISE_H

#include <stdint.h>

#include "samebrain/status.h"

//   levels   2 to 256
//   out      a level for each value
//   scratch  `count` floats
// Percentile p is the value of rank floor(p (count - 1)), from 0. Where both are equal, the extremes
// take their place. Errors: those of sb_row_examine.
sb_status sb_quantise(int64_t count, const float *row, int levels, uint8_t *out, float *scratch);

#endif
