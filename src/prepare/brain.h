// Where the brain is in a skull-stripped scan: background, foreground, box.
#ifndef SB_PREPARE_BRAIN_H
#define SB_PREPARE_BRAIN_H

#include <stdbool.h>

#include "prepare/sample.h"
#include "samebrain/volume.h"

// The brain cut out of a scan: intensities above the background's, 0 outside the brain.
typedef struct sb_brain {
  sb_volume image;  // the box around the brain; owns its voxels; affine as the scan's
  sb_packed packed; // the image in 255 steps, without its extremes
  double background;
  double threshold;    // voxels of `image` beyond +-this stand out from the background
  double volume_mm3;   // of the foreground, holes filled
  double centre_mm[3]; // its centre of mass, RAS
  bool cut[3][2]; // does the scan end inside the brain, at the low and the high end of an axis?
} sb_brain;

// Finds the background value (any constant, or low noise), the largest connected part that differs
// from it, and the box around that part.
// Where the brain's values lie far from the background's or on both sides of it, they are moved.
// At a cut end the box ends with the scan's last voxels: what the brain is like beyond is unknown.
// Errors: SB_CONTENT when nothing, or next to nothing, stands out from the background, or two
// bodies of like size do.
sb_status sb_brain_find(const sb_volume *scan, sb_brain *out);
// The same, but where more than `most_mm3` stand out the box is not cut out: `image` and `packed` are left
// empty.
sb_status sb_brain_find_below(const sb_volume *scan, double most_mm3, sb_brain *out);
// The background's value alone.
sb_status sb_brain_background(const sb_volume *scan, float *background);
void sb_brain_free(sb_brain *brain);

// Standard deviation of the noise over the brain's mean intensity, from second differences.
// NaN when too few voxels are brain.
double sb_brain_noise(const sb_brain *brain);

#endif
