// What the parts of a level share: its spans in the scan, sums over them, the normal matrix.
#ifndef SB_PREPARE_ALIGN_MODEL_H
#define SB_PREPARE_ALIGN_MODEL_H

#include <stddef.h>

#include "core/geometry.h"
#include "prepare/align_level.h"

// Coordinates of the model are in units of this, so that all regressors have similar sizes.
static const double SB_ALIGN_UNIT_MM = 100;

typedef float sb_lanes __attribute__((vector_size(SB_LANES * sizeof(float)), may_alias));

// Adds up the 16 lanes of each accumulator, always in the same order.
static inline void sb_fold(size_t count, float (*sums)[SB_LANES]) {
  for (size_t half = SB_LANES / 2; half > 0; half /= 2)
    for (size_t i = 0; i < count; i++)
      for (size_t lane = 0; lane < half; lane++) sums[i][lane] += sums[i][lane + half];
}

// Where a span begins in the scan, and the way from voxel to voxel.
static inline void sb_span_place(const sb_align_level *level, const sb_span *span,
                                 const double to_scan[16], double start[3], double step[3]) {
  const double p[3] = {level->origin_mm[0] + span->x * level->spacing_mm[0],
                       level->origin_mm[1] + span->y * level->spacing_mm[1],
                       level->origin_mm[2] + span->z * level->spacing_mm[2]};
  sb_affine_apply(to_scan, p, start);
  for (int i = 0; i < 3; i++) step[i] = to_scan[4 * i] * level->spacing_mm[0];
}

// The regressors' products with each other, summed over the level.
//   store  scratch, SB_ALIGN_BASIS times the longest span
void sb_align_normal_matrix(const sb_align_level *level, float *store,
                            double h[SB_UNKNOWNS * SB_UNKNOWNS]);

// Makes and factorises the normal matrix for each freedom, and the means of the gain's terms. False
// when there is too little structure.
bool sb_align_level_solve(sb_align_level *level, float *store);

#endif
