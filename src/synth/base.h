// The brain that every synthetic person is a variant of: a template's, or one made from formulas.
#ifndef SB_SYNTH_BASE_H
#define SB_SYNTH_BASE_H

#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/volume.h"

// `image`: white matter near 1, zero outside the brain. `inside`: the brain's mask, blurred, on the
// same grid: 1 deep inside, 0.5 at the outline, 0 outside. `to_voxel`: RAS mm to voxels.
// `low_mm`, `high_mm`: the corners of the box around the brain; `centre_mm` its centre of mass.
typedef struct sb_base {
  sb_volume image, inside;
  double to_voxel[16];
  double low_mm[3], high_mm[3], centre_mm[3];
} sb_base;

// From a skull-stripped image with zero (or less) outside the brain. Errors: those of
// sb_volume_load; SB_CONTENT when the image is not a stripped brain.
sb_status sb_base_load(const char *path, sb_base *out);

// Two folded hemispheres with ventricles and deep nuclei, a cerebellum and a brain stem, 1 mm,
// about where MNI space has them. Always the same. Errors: SB_NO_MEMORY.
sb_status sb_base_procedural(sb_base *out);

void sb_base_free(sb_base *base);

#endif
