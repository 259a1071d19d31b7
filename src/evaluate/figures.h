// All figures of one study, in the measure's own direction; and the table of them that
// evaluation.json is written from.
#ifndef SB_EVALUATE_FIGURES_H
#define SB_EVALUATE_FIGURES_H

#include "evaluate/bootstrap.h"
#include "evaluate/scale.h"
#include "evaluate/study.h"
#include "samebrain/evaluate.h"

// What a study's scores give, thresholds among it, in closenesses.
typedef struct sb_given {
  sb_values value, low, high;
  // Around value.band_hits and value.band_tar, by the rules of all intervals; of sb_figures_of_study.
  sb_interval hits_band[SB_BAND_RANKS], tar_band[SB_BAND_FARS];
} sb_given;

// What identities can show of a study. Members about links are left alone.
//   nonmated_max  closeness of the closest non-mated pair; -INFINITY: none
sb_status sb_figures_of_study(const sb_study *study, const char *measure, const sb_scale *scale,
                              double nonmated_max, const sb_evaluate_options *options,
                              sb_evaluation *out, sb_given *given);

// What a threshold does to a study, wherever it comes from.
typedef struct sb_applied {
  double fnmr, fmr;
  sb_interval fnmr_interval, fmr_interval;
} sb_applied;

// Thresholds are closenesses here and below.
sb_status sb_figures_apply(const sb_study *study, const double *thresholds, int count,
                           const sb_evaluate_options *options, sb_applied *out);
// The same without the figures.
sb_status sb_figures_given(const sb_study *study, const sb_evaluate_options *options,
                           sb_given *given);

// Sets of people that share nobody: what exact bounds count.
typedef struct sb_trials {
  int64_t mated;    // people with mates
  int64_t nonmated; // pairs of two people
  int64_t triples;  // one with a mate, and a pair of two others
  int64_t probes;   // people among the probes
} sb_trials;
sb_status sb_count_trials(const sb_study *study, sb_trials *out);

// The interval of a rate of errors from the ends that resampling gave (NaN: none). Where no error was
// seen, or nothing else, the other end is exact; an upper end that rests on mated people (`always`) is
// never below what no error at all would have given.
//   people  trials that share nobody
sb_interval sb_interval_of_errors(double rate, double low, double high, int64_t people,
                                  bool always);

// People needed for an interval by resampling; with fewer, only what is exact is told.
enum { SB_LEAST_PEOPLE = 10 };

// A figure of the table. A count is written as an integer, or none where it is below 0.
typedef struct sb_figure {
  const char *name, *definition;
  size_t value, interval; // offsets into the struct; interval 0: none
  bool is_count;
} sb_figure;

extern const sb_figure sb_figures[];
extern const size_t sb_figure_count;
// The same of an sb_stratum.
extern const sb_figure sb_stratum_figures[];
extern const size_t sb_stratum_figure_count;

#endif
