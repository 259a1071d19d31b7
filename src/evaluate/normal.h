// The standard normal distribution far out in its tail, where erfc() has long become 0.
#ifndef SB_EVALUATE_NORMAL_H
#define SB_EVALUATE_NORMAL_H

#include <math.h>

// log P(X >= x) of a standard normal X; for x > 30 by the asymptotic series of Mills' ratio.
static inline double sb_log_upper(double x) {
  if (x < 30) return log(0.5 * erfc(x * 0.70710678118654752));
  double r = 1 / (x * x);
  return -0.5 * x * x - log(x * 2.5066282746310002) + log1p(-r + 3 * r * r);
}

static inline double sb_normal_upper(double x) {
  return 0.5 * erfc(x * 0.70710678118654752);
}

// The x with P(X <= x) = p, by bisection; +-8 and beyond are cut.
static inline double sb_normal_quantile(double p) {
  double low = -8, high = 8;
  for (int i = 0; i < 60; i++) {
    double middle = (low + high) / 2;
    if (sb_normal_upper(-middle) < p)
      low = middle;
    else
      high = middle;
  }
  return (low + high) / 2;
}

#endif
