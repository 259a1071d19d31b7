// Sampling of a volume between its voxels, and grids made of other grids.
// Voxel coordinates: (0,0,0) is the centre of the first voxel. A point counts as inside the image
// when it is at most half a voxel beyond the outermost centres (there the edge's value continues);
// every other point, NaN included, has the value `outside`.
#ifndef SB_IMAGE_RESAMPLE_H
#define SB_IMAGE_RESAMPLE_H

#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/volume.h"

typedef enum sb_interpolation {
  SB_LINEAR, // trilinear
  SB_CUBIC   // cubic convolution, 4x4x4 (Keys 1981, a = -0.5); overshoots at sharp edges
} sb_interpolation;

// One value. Both return the voxel itself at a voxel's centre.
float sb_sample_linear(const sb_volume *v, double x, double y, double z, float outside);
float sb_sample_cubic(const sb_volume *v, double x, double y, double z, float outside);

// Fills `out` (dims, affine and voxels are given; the affine is not used) with `in` seen through an
// affine map: voxel p of `out` is `in` at out_to_in * p, voxel to voxel, row-major 4x4. The same
// bits as one call of sb_sample_* per voxel. `in` and `out` must not share voxels. Errors: none
// yet.
sb_status sb_resample(const sb_volume *in, const double out_to_in[16],
                      sb_interpolation interpolation, float outside, sb_volume *out);

// Averages blocks of factors[0] x factors[1] x factors[2] voxels; blocks cut by the end of the grid
// average what there is of them. The affine maps a new voxel to the centre of its (whole) block.
//   out  made here; free with sb_volume_free; empty after an error
// Errors: SB_USAGE (a factor below 1), SB_NO_MEMORY.
sb_status sb_volume_shrink(const sb_volume *in, const int64_t factors[3], sb_volume *out);

#endif
