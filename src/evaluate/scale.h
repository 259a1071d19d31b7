// Between a measure's scores and closenesses, which rise with likeness and lie in equal bins.
//   - A similarity is its own closeness, a distance minus it.
//   - A distance without a limit is counted in bins of equal ratios (engine/histogram.h): its
//     closeness is minus its binary logarithm, and what lies beyond the bins is at their ends.
#ifndef SB_EVALUATE_SCALE_H
#define SB_EVALUATE_SCALE_H

#include <stdbool.h>

#include "engine/histogram.h"

typedef struct sb_scale {
  double direction; // 1; -1 of a distance
  bool ratio;       // of a distance without a limit
  double least;     // its smallest value
} sb_scale;

static inline sb_scale sb_scale_of(const sb_measure_info *info) {
  return (sb_scale){info->higher_is_closer ? 1 : -1, !isfinite(info->range_max), info->range_min};
}

static inline double sb_scale_closeness(const sb_scale *scale, double score) {
  if (!scale->ratio || isnan(score)) return scale->direction * score;
  double doublings = score > scale->least ? log2(score - scale->least) : SB_RATIO_FIRST;
  return -fmin(fmax(doublings, SB_RATIO_FIRST), SB_RATIO_LAST);
}

static inline double sb_scale_score(const sb_scale *scale, double closeness) {
  return scale->ratio ? scale->least + exp2(-closeness) : scale->direction * closeness;
}

#endif
