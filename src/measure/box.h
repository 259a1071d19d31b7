// The bounding box of a mask.
#ifndef SB_MEASURE_BOX_H
#define SB_MEASURE_BOX_H

#include <stdint.h>

#include "measure/measure.h"

// First voxel and size along each axis. Errors: SB_CONTENT (an empty mask).
sb_status sb_mask_box(const sb_grid *grid, int64_t first[3], int64_t size[3]);

#endif
