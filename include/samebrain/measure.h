// Similarity measures: one table, and the means to apply a measure to two rows.
#ifndef SAMEBRAIN_MEASURE_H
#define SAMEBRAIN_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samebrain/status.h"

// What a person may know of a measure. `name` is what -m takes.
typedef struct sb_measure_info {
  const char *name;
  const char *title;
  double range_min, range_max;
  bool higher_is_closer;    // a similarity; false: a distance
  const char *invariant_to; // e.g. "scale and offset of intensities"
  const char *source;       // the paper or book that defines it
} sb_measure_info;

// The table; NULL past its end.
SB_API const sb_measure_info *sb_measure_at(size_t index);
// By name; NULL when there is none.
SB_API const sb_measure_info *sb_measure_find(const char *name);

// The score of two rows of `length` values on the masked grid (`mask` has dims[0]*dims[1]*dims[2]
// bytes, `length` of them 1). Canonical: a fixed-order float64 sum over float32 embeddings, the
// same on every machine setting. Errors: SB_NOT_FOUND (no such measure), SB_CONTENT (a row without
// variation), SB_NO_MEMORY.
SB_API sb_status sb_measure_score(const char *name, const int64_t dims[3], double voxel_mm,
                                  const uint8_t *mask, const float *row_a, const float *row_b,
                                  int64_t length, double *score);

#endif
