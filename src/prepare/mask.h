// Binary masks on a grid: components and holes.
#ifndef SB_PREPARE_MASK_H
#define SB_PREPARE_MASK_H

#include <stdint.h>

#include "samebrain/status.h"

// Keeps the largest 6-connected component of the voxels that are not 0; sets all others to 0.
//   mask   in/out, dims[0] * dims[1] * dims[2] bytes, x fastest
//   count  out: voxels kept; 0 when the mask is empty
//   next   out: voxels of the next largest component
sb_status sb_mask_keep_largest(const int64_t dims[3], uint8_t *mask, int64_t *count, int64_t *next);

// Sets to 1 every 0-voxel that cannot be reached from the grid's border through 0-voxels.
sb_status sb_mask_fill_holes(const int64_t dims[3], uint8_t *mask);

// Sets to 1 every voxel that touches a 1 by a face, an edge or a corner.
sb_status sb_mask_dilate(const int64_t dims[3], uint8_t *mask);

#endif
