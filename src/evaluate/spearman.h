// Rank correlation (Spearman 1904): Pearson's of middle ranks, which equal values share.
#ifndef SB_EVALUATE_SPEARMAN_H
#define SB_EVALUATE_SPEARMAN_H

#include "evaluate/bootstrap.h"

// Two values that belong together, and whose they are.
typedef struct sb_measured {
  double x, y;
  int64_t person;
  int64_t place; // its own
} sb_measured;

// The correlation, NaN of fewer than three or where all are equal, and its interval over people by the
// draws of `how`, whose people, replicates, seed and threads are used. Sorts the list.
sb_status sb_spearman(sb_measured *list, int64_t count, const sb_redraw *how, double *rho,
                      sb_interval *interval);

#endif
