// The smaller and the larger of two counts.
#ifndef SB_CORE_ORDER_H
#define SB_CORE_ORDER_H

#include <stdint.h>

static inline int64_t sb_smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static inline int64_t sb_larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

#endif
