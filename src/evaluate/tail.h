// How likely a non-mated pair is to be as close as a given score, far beyond the closest seen: the
// bulk by its median and interquartile range, the tail by a generalised Pareto distribution.
//
//   z      a score mapped onto (-1, 1) and Fisher-transformed, atanh: of correlations of many voxels
//          nearly normal
//   y      -log P(normal > (z - median) / (IQR / 1.349)): the surprise of z under a normal bulk. Were
//          the bulk normal, y would have an exponential tail of scale 1 at every level
//   tail   P(y - u > x | y > u) = (1 + xi x / sigma)^(-1 / xi), the limit for any tail (Pickands
//          1975; Davison and Smith 1990)
//
// Mates must not bend it, however many they are: only pairs between u and u + 6 (what a normal bulk exceeds
// once in 400) enter, by the likelihood of a truncated distribution, and u is where these are few
// enough; of these, a pair that is the best match of both its scans counts as no more than "above the
// second best", censored (of two stores: the best of its probe, and closer than the other probes whose best
// match the gallery scan is, if any). xi and sigma are not known but weighed: a grid of both by likelihood and prior (xi ~ N(0, 0.15), log sigma ~ N(0, 0.5)),
// the likelihood's logarithm divided by how much the exceedances cluster in scans. Every probability
// is a mean over the grid, so that what is not known counts against a link.
#ifndef SB_EVALUATE_TAIL_H
#define SB_EVALUATE_TAIL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/random.h"
#include "evaluate/study.h"

enum { SB_TAIL_XI = 37, SB_TAIL_SIGMA = 41, SB_LEAST_PAIRS = 20 };

// A pair that is the best match of both its scans: its bin, and that of the second best of either (-1: there is
// none).
typedef struct sb_tail_censored {
  int64_t best, second;
} sb_tail_censored;

// The input: counts per bin of equal width in z or in the score.
typedef struct sb_tail_data {
  double low, high;
  bool fisher; // the range is of scores, to be transformed; else it is z already
  int64_t bins;
  const double *counts;       // pairs, each once
  bool known_nonmated;        // nothing is a mate in disguise: all above u is used
  double xi_sd, log_sigma_sd; // of the prior
  bool zoom; // lay the grid anew over where the weight is: for much data and intervals; the mean
             // far out needs the wide one
  int64_t censored_count;
  const sb_tail_censored *censored;
} sb_tail_data;

typedef struct sb_tail {
  bool known;       // false: too few pairs, or all alike
  double low, high; // of scores
  bool fisher;
  double location, scale;                    // of z
  double pairs;                              // all
  int64_t first_bin, end_bin;                // of the data: the tail's, and one past it
  double u, v;                               // levels of y: where they begin
  double exceedances;                        // pairs between u and v
  double above_u;                            // P(y > u), mean over the grid
  double cluster;                            // by what the likelihood is divided, at least 1
  double xi_first, xi_step;                  // the grid; at first -0.4 to 0.95
  double log_sigma_first, log_sigma_step;    // and 0.2 to 5
  double weight[SB_TAIL_XI * SB_TAIL_SIGMA]; // posterior, sums to 1
  double share[SB_TAIL_XI * SB_TAIL_SIGMA];  // P(y > u) given xi and sigma
  double xi, sigma;                          // posterior means
} sb_tail;

static inline double sb_tail_xi(const sb_tail *t, int cell) {
  const int row = cell / SB_TAIL_SIGMA;
  return t->xi_first + t->xi_step * row;
}
static inline double sb_tail_sigma(const sb_tail *t, int cell) {
  return exp(t->log_sigma_first + t->log_sigma_step * (cell % SB_TAIL_SIGMA));
}

double sb_tail_z(const sb_tail *tail, double closeness);

// The bulk, and where its tail lies: the caller counts clusters there. False where nothing can be fitted:
// too few pairs, or all alike.
bool sb_tail_place(const sb_tail_data *data, sb_tail *out);
// Fits one that was placed. `cluster`: by what the logarithm of the likelihood is divided.
sb_status sb_tail_fit(const sb_tail_data *data, double cluster, sb_tail *placed);

// P(a non-mated pair is at least this close), given xi and sigma (cell of the grid).
double sb_tail_above_cell(const sb_tail *tail, int cell, double z);
// The mean over the grid; NaN when the tail is not known.
double sb_tail_above(const sb_tail *tail, double closeness);
// A cell of the grid drawn by its weight.
int sb_tail_draw(const sb_tail *tail, double uniform);

// Everything of a study's non-mated pairs, and, where `with_mated`, of its mated ones as if nobody
// knew.
sb_status sb_tail_of_study(const sb_study *study, bool with_mated, sb_tail *out);

#endif
