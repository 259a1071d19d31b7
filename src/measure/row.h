// What every measure asks of a row first: that it has finite values and variation; and its figures.
#ifndef SB_MEASURE_ROW_H
#define SB_MEASURE_ROW_H

#include <stdint.h>

#include "samebrain/status.h"

typedef struct sb_row_facts {
  float min, max;
  double mean, sd; // standard deviation, over all values
  double squares;  // sum of squares
} sb_row_facts;

// Errors: SB_CONTENT. Deviations below a millionth of the root mean square are rounding, not
// variation.
sb_status sb_row_examine(int64_t count, const float *row, sb_row_facts *out);

#endif
