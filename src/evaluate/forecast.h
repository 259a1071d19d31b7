// What to expect of larger galleries: FPIR at a threshold and rank-1, from a small experiment.
//
// A search against N others finds somebody with probability 1 - exp(-N q), q being the tail of one
// comparison. q differs between probes, some of whom resemble everybody: scores are shifted by an
// effect of the probe (normal, its variance by the method of moments from the probes' mean scores),
// and FPIR is the mean over that. What plain binomial extrapolation leaves out is just this, and the
// tail beyond the closest pair seen.
#ifndef SB_EVALUATE_FORECAST_H
#define SB_EVALUATE_FORECAST_H

#include "evaluate/effects.h"
#include "evaluate/study.h"
#include "evaluate/tail.h"

enum { SB_GALLERIES = 5 };
extern const double sb_galleries[SB_GALLERIES]; // 10^3 to 10^7

// What is not known, drawn once: people's effects, and with them a tail.
typedef struct sb_forecast_draw {
  sb_effect_draw effects;
} sb_forecast_draw;

// A study's forecaster.
typedef struct sb_forecaster {
  const sb_study *study;
  uint64_t seed;
  double level;       // mean z of the probes' means
  sb_effects effects; // of the probes, and of gallery scans alike, in z
  double noise_sd;    // of z without both effects
  sb_tail tail;       // of normal deviates: see forecast.c
  sb_forecast_draw *draws;
  double tail_low, tail_step, *log_q; // per draw: the logarithm of the tail, tabulated
  double *rest;         // per mated probe: z of its closest mate, less level and probe's effect
  int64_t *rest_person; // whose it is
  int64_t rest_count, mated_people;
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

// Every figure at one gallery size. NaN where the tail is not known, or nobody has a mate.
sb_status sb_forecast_at(const sb_forecaster *f, double gallery, double threshold,
                         sb_forecast *out);

#endif
