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

// The x with log P(X >= x) = log_p, by Newton's method from above, where the logarithm's concavity
// keeps it from overshooting.
static inline double sb_upper_quantile(double log_p) {
  if (log_p > -0.6931471805599453) return -sb_upper_quantile(log(fmax(-expm1(log_p), 1e-300)));
  double x = sqrt(-2 * log_p);
  for (int i = 0; i < 8; i++) {
    double at = sb_log_upper(x), step = (at - log_p) * exp(at + x * x / 2) * 2.5066282746310002;
    x += step;
    if (fabs(step) < 1e-9) break;
  }
  return x;
}

#endif
