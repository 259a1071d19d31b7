// Similarity measures: one table, and the means to apply a measure to two scans.
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
  double range_min, range_max; // range_max is INFINITY for a distance without a limit
  bool higher_is_closer;       // a similarity; false: a distance
  bool gemm;                   // all pairs by a matrix product; false: a kernel for each pair
  const char *invariant_to;    // e.g. "scale and offset of the intensities"
  const char *cost;            // of one pair, V being the voxels of a row
  const char *source;          // the paper or book that defines it
} sb_measure_info;

// The table; NULL past its end.
SB_API const sb_measure_info *sb_measure_at(size_t index);
// By name; NULL when there is none.
SB_API const sb_measure_info *sb_measure_find(const char *name);

// What measures are computed from.
typedef struct sb_scan_data {
  const float *row;        // its values in the grid's mask
  const uint8_t *own_mask; // the scan's own brain, a bit for each voxel of the grid, the most
                           // significant of a byte first (as sb_store_own_mask has it); NULL where
                           // it is not known
} sb_scan_data;

// The score of two scans, of rows of `length` values on the masked grid (`mask` has
// dims[0]*dims[1]*dims[2] bytes, `length` of them 1). Canonical: computed on the host in a fixed
// order, the same on every machine setting. Errors: SB_NOT_FOUND (no such measure), SB_CONTENT (a
// row without variation; values that are not finite; a mask that is needed and missing or empty),
// SB_USAGE (rows that do not fit the mask), SB_NO_MEMORY.
SB_API sb_status sb_measure_score_scans(const char *name, const int64_t dims[3], double voxel_mm,
                                        const uint8_t *mask, int64_t length, const sb_scan_data *a,
                                        const sb_scan_data *b, double *score);

// The same from two rows, for all measures but those that compare the scans' own masks.
SB_API sb_status sb_measure_score(const char *name, const int64_t dims[3], double voxel_mm,
                                  const uint8_t *mask, const float *row_a, const float *row_b,
                                  int64_t length, double *score);

#endif
