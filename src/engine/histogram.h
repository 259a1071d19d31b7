// The bins that scores are counted in.
//   - A measure with a limited range: equal widths over it.
//   - A distance without a limit: equal ratios from 2^-20 to 2^40 (in 2,000 bins 2.1 % each), so that
//     the unit of the intensities does not matter.
// What lies outside is in the end bins.
#ifndef SB_ENGINE_HISTOGRAM_H
#define SB_ENGINE_HISTOGRAM_H

#include <math.h>
#include <stdint.h>

#include "engine/screened.h"
#include "samebrain/measure.h"

enum { SB_RATIO_FIRST = -20, SB_RATIO_LAST = 40 }; // powers of two

static inline int64_t sb_histogram_bin(const sb_measure_info *info, int64_t bins, double score) {
  if (isfinite(info->range_max)) return sb_range_bin(info->range_min, info->range_max, bins, score);
  return sb_range_bin(SB_RATIO_FIRST, SB_RATIO_LAST, bins, log2(score - info->range_min));
}

// Where bin i begins, and for i = bins where the last one ends.
static inline double sb_histogram_edge(const sb_measure_info *info, int64_t bins, int64_t i) {
  double share = (double)i / (double)bins;
  if (isfinite(info->range_max))
    return info->range_min + (info->range_max - info->range_min) * share;
  if (i == 0) return info->range_min;
  return info->range_min + exp2(SB_RATIO_FIRST + (SB_RATIO_LAST - SB_RATIO_FIRST) * share);
}

#endif
