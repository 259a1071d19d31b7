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

// People needed for an interval by resampling; with fewer, only what is exact is told.
enum { SB_LEAST_PEOPLE = 10 };

// A figure of the table. A count is written as an integer.
typedef struct sb_figure {
  const char *name, *definition;
  size_t value, interval; // offsets into sb_evaluation; interval 0: none
  bool is_count;
} sb_figure;

extern const sb_figure sb_figures[];
extern const size_t sb_figure_count;

#endif
