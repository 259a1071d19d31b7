// Mated and non-mated scores as two weighted histograms over the same bins, and every figure that
// follows from those alone: ROC, AUC, equal error rate, true accept rate at a false accept rate,
// d-prime. A study gives one pool, each of its bootstrap replicates another.
#ifndef SB_EVALUATE_POOL_H
#define SB_EVALUATE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "evaluate/study.h"

typedef struct sb_moments {
  double weight, mean, variance; // n - 1 in the variance; NaN where there is too little
} sb_moments;

typedef struct sb_pool {
  double low, high;
  int64_t bins;
  double *mated, *nonmated; // weights
  double mated_weight, nonmated_weight;
} sb_pool;

sb_status sb_pool_new(const sb_study *study, sb_pool *out); // all weights zero
void sb_pool_free(sb_pool *pool);                           // a zeroed one is fine
// Adds up mated_weight and nonmated_weight.
void sb_pool_total(sb_pool *pool);
// Every pair once.
sb_status sb_pool_of_study(const sb_study *study, sb_pool *out);

static inline double sb_pool_width(const sb_pool *p) {
  return (p->high - p->low) / (double)p->bins;
}
static inline double sb_pool_centre(const sb_pool *p, int64_t bin) {
  return p->low + sb_pool_width(p) * ((double)bin + 0.5);
}

// Of weights at the bins' centres; `unit` is what one observation weighs.
sb_moments sb_pool_moments(const sb_pool *pool, const double *weights, double unit);

// P(mated closer than non-mated) + half of P(both in one bin). NaN where there is no pair of a kind.
double sb_pool_auc(const sb_pool *pool);
// How far that can be from the same figure of the scores themselves: half of P(both in one bin).
double sb_pool_auc_error(const sb_pool *pool);
// Where the false match and false non-match rate are equal, on the line between two bin edges; in
// the middle of the gap where there is one between all non-mated and all mated scores.
double sb_pool_eer(const sb_pool *pool, double *threshold);
// The lowest bin edge with at most `far` of the non-mated weight at or above it, and the share of
// the mated weight there; NaN where there is none. The edge needs non-mated pairs alone.
double sb_pool_tar(const sb_pool *pool, double far, double *threshold);
// Shares at or above `threshold`, linear within its bin.
double sb_pool_above(const sb_pool *pool, const double *weights, double total, double threshold);
// A variance, or 0 where it is but rounding: scores have nine decimals.
static inline double sb_real_variance(double variance, double low, double high) {
  double least = 1e-9 * (high - low);
  return variance <= least * least ? 0 : variance;
}
double sb_d_prime(const sb_moments *mated, const sb_moments *nonmated);

#endif
