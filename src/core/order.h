// The smaller and the larger of two counts, and the order of numbers for qsort.
#ifndef SB_CORE_ORDER_H
#define SB_CORE_ORDER_H

#include <stdint.h>

static inline int64_t sb_smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static inline int64_t sb_larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static inline int sb_order_doubles(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static inline int sb_order_floats(const void *left, const void *right) {
  const float a = *(const float *)left, b = *(const float *)right;
  return (a > b) - (a < b);
}

#endif
