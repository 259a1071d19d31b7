// Strata: mated pairs by both their scans' values of a covariate, searches by their probe's.
#ifndef SB_EVALUATE_STRATA_H
#define SB_EVALUATE_STRATA_H

#include <math.h>

#include "evaluate/covariates.h"

// A mated pair or a search, and what it adds to a rate.
typedef struct sb_sample {
  int64_t person, other; // `other`: the second person of a false match; -1: none
  int64_t stratum;       // the smallest it is in; -1: in none, a value is missing
  double score;          // a closeness
  double errors, trials;
} sb_sample;

typedef struct sb_samples {
  sb_sample *items;
  int64_t count;
} sb_samples;

// To nine decimals, so that 72.3 and 70.3 are 2 apart.
static inline double sb_difference(double a, double b) {
  return round(fabs(a - b) * 1e9) / 1e9;
}

// Sets every sample's stratum and makes the strata, without their figures. The first is "all". Of
// numbers and dates there are bins within it: of pairs by their difference, by the edges asked for or
// else by quartiles, of searches by quartiles. Of categories each value is a stratum within it, of
// pairs each value within "same" and each two values within "different".
//   a, b  each sample's value, and its second; `b` NULL of searches
sb_status sb_stratify(const sb_covariate *c, const double *a, const double *b, sb_samples *list,
                      sb_stratum **strata, int64_t *count);

// Of many strata those to show: the sums, and of their parts the largest SB_STRATA_SHOWN.
//   shown  out, per stratum
enum { SB_STRATA_SHOWN = 20 };
sb_status sb_strata_show(const sb_stratum *strata, int64_t count, bool *shown);

#endif
