// What mi, nmi and cr share: rows in 64 levels (quantise.h), once per scan, and the joint histogram
// of two. Counts are integers, so every processor has the same.
#ifndef SB_MEASURE_JOINT_H
#define SB_MEASURE_JOINT_H

#include <stdint.h>

#include "measure/elements.h"
#include "measure/form.h"
#include "measure/measure.h"

typedef struct sb_joint {
  uint32_t count[SB_JOINT_BINS]; // of level a * SB_LEVELS + level b
  uint32_t a[SB_LEVELS], b[SB_LEVELS];
} sb_joint;

// A measure's embedding: a byte for each voxel, in place of floats.
int64_t sb_joint_length(const sb_grid *grid, const void *context);
int64_t sb_joint_scratch(const sb_grid *grid, const void *context);
sb_status sb_joint_embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                         float *vector, double *terms, float *scratch);
// The histogram of two embeddings; it lies in `scratch`, of sb_joint_scratch floats.
const sb_joint *sb_joint_of(const sb_grid *grid, sb_embedding a, sb_embedding b, float *scratch);

// The joint entropy is the same bits for both orders of the scans.
sb_entropies sb_joint_entropies(const sb_grid *grid, const sb_joint *joint);

#endif
