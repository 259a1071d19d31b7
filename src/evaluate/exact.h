// Bounds that hold exactly where no error was seen (Clopper and Pearson 1934, with 0 of n): the
// largest rate at which n independent trials are all without error with probability `alpha`.
// Trials are people, or sets of different people, never pairs: pairs share people.
#ifndef SB_EVALUATE_EXACT_H
#define SB_EVALUATE_EXACT_H

#include <math.h>
#include <stdint.h>

enum { SB_CONFIDENCE_PERCENT = 95 };
#define SB_ALPHA 0.05

static inline double sb_zero_error_bound(int64_t trials, double alpha) {
  return trials < 1 ? 1 : -expm1(log(alpha) / (double)trials);
}

#endif
