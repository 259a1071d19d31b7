// The bias field of a scan: the smooth gain of the receiving coil, estimated on the rows' grid.
#ifndef SB_PREPARE_BIAS_H
#define SB_PREPARE_BIAS_H

#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/volume.h"

// Estimates the field as N4 does (Tustison et al., IEEE TMI 29:1310, 2010, after Sled et al., IEEE
// TMI 17:87, 1998): in the log domain a smooth field blurs the histogram; sharpening the histogram
// by deconvolution says which intensity each voxel was likely to have, and a B-spline through the
// differences is added to the field, over again, on finer and finer control points. Works on blocks
// of about 4 mm; one thread, the same bytes every time.
//   image   intensities above the background's; x, y and z axes of voxels `voxel_mm` wide
//   brain   where it is brain: 0 or 1 per voxel
//   field   out: the logarithm of the field at each voxel of the image, of mean 0 over the brain.
//           All 0 when there is too little brain (64 cm3) to tell.
// Errors: SB_NO_MEMORY.
sb_status sb_bias_estimate(const sb_volume *image, double voxel_mm, const uint8_t *brain,
                           float *field);

#endif
