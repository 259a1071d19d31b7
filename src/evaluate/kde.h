// The paper's kind of threshold: a Gaussian kernel density of the mated and one of the non-mated
// scores, each integrating to 1, and the score at which the two cross.
#ifndef SB_EVALUATE_KDE_H
#define SB_EVALUATE_KDE_H

#include "evaluate/pool.h"

// A density: the centres of the bins that are not empty, their weights, and the kernel's width.
typedef struct sb_kde {
  int64_t points;
  double *at, *log_weight; // ascending; weights sum to 1
  double bandwidth;
  double mean;
} sb_kde;

// Silverman's rule of thumb (1986, eq. 3.31): 0.9 min(sd, IQR / 1.34) n^(-1/5), with n the number
// of pairs; the standard deviation alone where the interquartile range is 0, and never less than
// half a bin. A density of fewer than two observations, or of equal ones, has no bandwidth:
// `bandwidth` is NaN.
sb_status sb_kde_open(const sb_pool *pool, const double *weights, double unit, sb_kde *out);
void sb_kde_close(sb_kde *kde); // a zeroed one is fine

// The logarithm of the density, good however far from the data.
double sb_kde_log_density(const sb_kde *kde, double x);
// Where, between the two means, the mated density overtakes the non-mated one; of several places
// the one with the smallest sum of both errors by the densities. NaN where there is none: a density
// without bandwidth, or a mated mean that is not above the non-mated one.
sb_status sb_kde_threshold(const sb_pool *pool, double *threshold, double bandwidth[2]);

#endif
