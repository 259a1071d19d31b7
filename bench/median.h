// The median of figures.
#ifndef SB_BENCH_MEDIAN_H
#define SB_BENCH_MEDIAN_H

#include <math.h>
#include <stdlib.h>

#include "core/order.h"

// Sorts the values; NaN where there are none.
static inline double median(int count, double *values) {
  if (count == 0) return NAN;
  qsort(values, (size_t)count, sizeof *values, sb_order_doubles);
  return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

#endif
