// Binary masks on a grid: components, holes, growing and shrinking.
#ifndef SB_PREPARE_MASK_H
#define SB_PREPARE_MASK_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/status.h"

// Keeps the largest 6-connected component of the voxels that are not 0; sets all others to 0.
//   mask   in/out, dims[0] * dims[1] * dims[2] bytes, x fastest
//   count  out: voxels kept; 0 when the mask is empty
//   next   out: voxels of the next largest component
sb_status sb_mask_keep_largest(const int64_t dims[3], uint8_t *mask, int64_t *count, int64_t *next);

// The box around the voxels that are not 0: the first on each axis and one past the last. False, and
// an empty box, when there are none.
bool sb_mask_bounds(const int64_t dims[3], const uint8_t *mask, int64_t first[3], int64_t end[3]);

// Sets to 1 every 0-voxel that cannot be reached from the grid's border through 0-voxels, by steps
// over faces. The mask holds 0 and 1 only.
sb_status sb_mask_fill_holes(const int64_t dims[3], uint8_t *mask);

// Keeps of a mask what can be reached through 1s from its voxels that are 1 in `seeds` too, by steps
// over faces. Both hold 0 and 1 only.
sb_status sb_mask_keep_touching(const int64_t dims[3], uint8_t *mask, const uint8_t *seeds);

// Sets to 1 every voxel that touches a 1 by a face, an edge or a corner.
sb_status sb_mask_dilate(const int64_t dims[3], uint8_t *mask);

// Grows (or shrinks) the 1s by about `steps` voxels in every direction: steps to the 6 and to the
// 26 neighbours in turn, whose sum is nearly a ball. The world outside the grid is 0 when growing
// and 1 when shrinking. Masks hold 0 and 1 only.
sb_status sb_mask_grow(const int64_t dims[3], uint8_t *mask, int steps);
sb_status sb_mask_shrink(const int64_t dims[3], uint8_t *mask, int steps);
// Grows as sb_mask_grow does, after each step keeping only what `within` has: it goes around what
// is not there, never across.
sb_status sb_mask_grow_within(const int64_t dims[3], uint8_t *mask, const uint8_t *within,
                              int steps);

#endif
