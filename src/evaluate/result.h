// Everything that an evaluation finds of one measure, ready to be written.
#ifndef SB_EVALUATE_RESULT_H
#define SB_EVALUATE_RESULT_H

#include "evaluate/figures.h"
#include "evaluate/folder.h"
#include "evaluate/forecast.h"
#include "evaluate/links.h"
#include "evaluate/scale.h"

// A line of thresholds.tsv: a threshold, where it comes from and what it does elsewhere.
typedef struct sb_transfer {
  const char *rule;
  char from[160];
  const char *to;
  double threshold; // closeness
  sb_interval interval;
  sb_applied applied;
  int64_t mated_pairs, nonmated_pairs; // of `to`
} sb_transfer;

typedef struct sb_forecast_set {
  const char *rule; // of the threshold
  double threshold; // closeness
  sb_forecast at[SB_GALLERIES];
} sb_forecast_set;

enum { SB_FORECAST_SETS = 3 };

typedef struct sb_result {
  const sb_linked_measure *linked;
  sb_scale scale;
  bool anyone; // somebody's identity is known
  sb_study study;
  sb_evaluation figures;
  sb_given given;             // where anyone is known
  const char **dataset_names; // borrowed
  sb_evaluation *datasets;    // figures within each
  int64_t dataset_count;      // 0 where there is but one
  sb_transfer *transfers;
  int64_t transfer_count;
  sb_tail tail;
  sb_proposals links;
  sb_forecast_set forecasts[SB_FORECAST_SETS];
  int forecast_count;
  double valid_to;
} sb_result;

void sb_result_free(sb_result *result); // a zeroed one is fine

#endif
