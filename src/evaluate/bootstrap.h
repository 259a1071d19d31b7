// Subject-level bootstrap (Efron 1979): people are drawn with replacement, each with all of their
// scans, and every figure is computed again. A mated pair weighs as often as its person was drawn; a
// non-mated pair as the product of its two people's numbers, so that copies of one person never form
// a non-mated pair.
//
// Of non-mated pairs a link keeps the closest of each probe one by one and all of them as a
// histogram per probe. The listed ones get exactly that product. For the others the product
// w_a w_b = (1 + e_a)(1 + e_b) is taken to first order, 1 + e_a + e_b (Hoeffding's projection: what
// decides the variance of such averages), which needs histograms per person only. How a gallery
// person's scores lie is read from the same person's probes, or, for people who are in the gallery
// alone, from another person's, drawn once.
#ifndef SB_EVALUATE_BOOTSTRAP_H
#define SB_EVALUATE_BOOTSTRAP_H

#include "evaluate/pool.h"
#include "evaluate/search.h"
#include "samebrain/evaluate.h"

enum { SB_FARS = 4, SB_RANKS = 3 };
extern const double sb_fars[SB_FARS];    // 0.1, 0.01, 0.001, 0.0001
extern const int64_t sb_ranks[SB_RANKS]; // 1, 5, 10

// Where the bands of the curves are worked out: the first ranks, and four false accept rates a decade.
enum { SB_BAND_RANKS = 20, SB_BAND_FARS = 25 };
double sb_band_far(int i); // 10^(-i / 4)

// One value of every figure: of the study, of a replicate, or of an interval's end.
typedef struct sb_values {
  double auc, d_prime, eer, eer_threshold;
  double tar[SB_FARS], tar_threshold[SB_FARS];
  double kde_threshold;
  double hits[SB_RANKS];
  double fpir_threshold, fnir;
  double fnmr[8], fmr[8]; // at given thresholds
  double band_hits[SB_BAND_RANKS], band_tar[SB_BAND_FARS];
} sb_values;

enum { SB_MOST_FIXED = 8, SB_KDE_REPLICATES = 200 };

typedef struct sb_bootstrap {
  const sb_study *study;
  const sb_search *search;
  double fpir;                 // the target at which fnir is told
  double fixed[SB_MOST_FIXED]; // thresholds at which fnmr and fmr are told
  int fixed_count;
  int replicates; // 0: no intervals
  uint64_t seed;
  int threads; // the result does not depend on it
} sb_bootstrap;

// Every figure of the study itself.
sb_status sb_values_of_study(const sb_bootstrap *b, sb_values *out);
// The 95 % percentile interval of each; NaN where no replicate has the figure.
sb_status sb_values_intervals(const sb_bootstrap *b, sb_values *low, sb_values *high);

// Other figures of the same draws: `figure` computes `width` values of one, from how often each person
// was drawn, with room for `scratch` numbers.
typedef struct sb_redraw {
  void (*figure)(const void *context, const double *weight, double *scratch, double *values);
  const void *context;
  int64_t width, scratch, people;
  int replicates;
  uint64_t seed; // as of sb_bootstrap
  int threads;   // the result does not depend on it
} sb_redraw;
// As sb_values_intervals; out[width].
sb_status sb_redraw_intervals(const sb_redraw *r, sb_interval *out);

#endif
