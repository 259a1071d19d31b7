// Whether two files hold one image: their residual noise, voxel by voxel.
#ifndef SB_EVALUATE_NOISE_H
#define SB_EVALUATE_NOISE_H

#include "evaluate/placed.h"

// The correlation of what is left of each voxel without the mean of its six neighbours, over the
// voxels of `brain`. A copy has the same voxels, in whatever order, datatype and contrast, and
// their noise; a rescan has other noise, and the brain lies otherwise between its voxels. Voxels are
// matched through the alignment of both to the template, rounded to whole voxels and axes, and moved
// by up to `reach` voxels along each axis to where the noise agrees best; so nothing is interpolated, and
// headers need not be right.
//   reach        how far alignment may err, in voxels
//   correlation  out: NaN when the voxels do not lie alike (other sizes or angles), are larger than
//                1.5 mm (what is left of them is anatomy then), or have no noise
sb_status sb_noise_agreement(const sb_placed *a, const sb_placed *b, const sb_common_brain *brain,
                             int reach, double *correlation);

#endif
