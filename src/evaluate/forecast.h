// What to expect of larger galleries: FPIR at a threshold and rank-1, from a small experiment.
//
// A search against N others finds somebody with probability 1 - exp(-N q), q being the tail of one
// comparison. A score, Fisher-transformed, is taken to be
//
//   level + a (the probe's effect) + b (the gallery scan's effect) + noise
//
// The a are read off the probes' mean scores and taken out, the b by asking how rare a score is among
// those that the b of this study and normal noise would give. What is left is the noise's tail, of
// pairs that then owe nothing to each other: a generalised Pareto distribution, weighed (tail.h). What
// people's effects are like is weighed too (effects.h). q puts all together again, for people drawn
// from those, and FPIR is the mean over a. What plain binomial extrapolation leaves out is just this.
#ifndef SB_EVALUATE_FORECAST_H
#define SB_EVALUATE_FORECAST_H

#include "evaluate/effects.h"
#include "evaluate/study.h"
#include "evaluate/tail.h"

enum { SB_GALLERIES = 5 };
extern const double sb_galleries[SB_GALLERIES]; // 10^3 to 10^7

// A study's forecaster.
typedef struct sb_forecaster {
  const sb_study *study;
  uint64_t seed;
  double level;          // mean z of the probes' means
  sb_effects effects;    // of the probes, and of gallery scans alike, in z
  double noise_sd;       // of z without both effects
  double strangers;      // share of the gallery whose people are not among the probes
  sb_tail tail;          // of normal deviates: see forecast.c
  sb_effect_draw *draws; // what is not known, drawn again and again: the effects ...
  double *log_q; // ... and with them and a tail the logarithm of one comparison's q, tabulated
  double tail_low, tail_step;
  double *rest;         // per mated probe: z of its closest mate, less level and probe's effect
  int64_t *rest_person; // whose it is
  int64_t rest_count, mated_people;
  bool nonmated_known;
  double nonmated; // pairs
  double *beyond;  // per bin: the share of non-mated comparisons in it and above
  double valid_to; // gallery size up to which this was checked by hiding
} sb_forecaster;

typedef struct sb_forecast {
  double gallery;
  double fpir, fpir_low, fpir_high, fpir_binomial;
  double rank1, rank1_low, rank1_high, rank1_binomial;
  bool valid; // the gallery is within the range checked
} sb_forecast;

// How many times the experiment's people a gallery may be for the forecast to count as checked.
#define SB_FORECAST_REACH 20.0

//   nonmated_known  false: there may be mates among the pairs that count as non-mated
sb_status sb_forecast_open(const sb_study *study, bool nonmated_known, uint64_t seed,
                           sb_forecaster *out);
void sb_forecast_close(sb_forecaster *forecaster); // a zeroed one is fine

// Every figure at one gallery size. NaN where the tail is not known, or nobody has a mate. Without
// known people there is no observed share of false matches, so no binomial extrapolation either.
sb_status sb_forecast_at(const sb_forecaster *f, double gallery, double threshold,
                         sb_forecast *out);

#endif
