// Gaussian smoothing: separable, in place, cut at 3.5 sigma, weights summing to 1. Outside the
// image everything is 0 and nothing is renormalised, so values fall off towards the edge of the
// grid (divide by a smoothed mask for a normalised convolution). The same bits on every processor.
#ifndef SB_IMAGE_SMOOTH_H
#define SB_IMAGE_SMOOTH_H

#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/volume.h"

// data[i + dims[0] * (j + dims[1] * k)]; sigma_vox in voxels for each axis, 0 or less for none.
// Errors: SB_USAGE (a sigma that is not finite or above 1,000 voxels), SB_NO_MEMORY (scratch space
// of two or three slices); `data` is unchanged after an error.
sb_status sb_gaussian(float *data, const int64_t dims[3], const double sigma_vox[3]);
sb_status sb_volume_gaussian(sb_volume *v, const double sigma_vox[3]);

#endif
