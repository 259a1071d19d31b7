// Sampling of a volume between its voxels, and coarser grids.
// Voxel coordinates: (0,0,0) is the centre of the first voxel. A point counts as inside the image
// when it is at most half a voxel beyond the outermost centres (there the edge's value continues);
// every other point, NaN included, has the value `outside`.
#ifndef SB_IMAGE_RESAMPLE_H
#define SB_IMAGE_RESAMPLE_H

#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/volume.h"

// One value: trilinear, or by cubic convolution of 4x4x4 voxels (Keys 1981, a = -0.5), which overshoots at
// sharp edges. Both return the voxel itself at a voxel's centre.
float sb_sample_linear(const sb_volume *v, double x, double y, double z, float outside);
float sb_sample_cubic(const sb_volume *v, double x, double y, double z, float outside);

// Averages blocks of factors[0] x factors[1] x factors[2] voxels; blocks cut by the end of the grid
// average what there is of them. The affine maps a new voxel to the centre of its (whole) block.
//   out  made here; free with sb_volume_free; empty after an error
// Errors: SB_USAGE (a factor below 1), SB_NO_MEMORY.
sb_status sb_volume_shrink(const sb_volume *in, const int64_t factors[3], sb_volume *out);

#endif
