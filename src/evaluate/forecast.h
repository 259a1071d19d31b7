// What to expect of larger galleries: FPIR at a threshold and rank-1, from a small experiment.
//
// A search against N others finds somebody with probability 1 - exp(-N q), q being the tail of one
// comparison. q differs between probes, some of whom resemble everybody: scores are shifted by an
// effect of the probe (normal, its variance by the method of moments from the probes' mean scores),
// and FPIR is the mean over that. What plain binomial extrapolation leaves out is just this, and the
// tail beyond the closest pair seen.
#ifndef SB_EVALUATE_FORECAST_H
#define SB_EVALUATE_FORECAST_H

#include "evaluate/study.h"
#include "evaluate/tail.h"

enum { SB_GALLERIES = 5 };
extern const double sb_galleries[SB_GALLERIES]; // 10^3 to 10^7

// A study's forecaster.
typedef struct sb_forecaster {
  const sb_study *study;
  sb_tail tail;         // of z without the probes' effects
  double effect_sd;     // of a probe, in z
  double effect_df;     // degrees of freedom of that
  double mean_se;       // standard error of all scores' level: people are a sample
  double *rest;         // per mated probe: z of its closest mate, less the probe's effect
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
sb_status sb_forecast_open(const sb_study *study, bool nonmated_known, sb_forecaster *out);
void sb_forecast_close(sb_forecaster *forecaster); // a zeroed one is fine

// Every figure at one gallery size. NaN where the tail is not known, or nobody has a mate.
sb_status sb_forecast_at(const sb_forecaster *f, double gallery, double threshold, uint64_t seed,
                         sb_forecast *out);

#endif
