// Saving in a chosen datatype, for what is kept for other programs to read.
#ifndef SB_IMAGE_NIFTI_SAVE_H
#define SB_IMAGE_NIFTI_SAVE_H

#include "samebrain/volume.h"

typedef enum sb_save_type {
  SB_SAVE_UINT8,
  SB_SAVE_INT16,
  SB_SAVE_UINT16,
  SB_SAVE_FLOAT32,
  SB_SAVE_FLOAT64
} sb_save_type;

// As sb_volume_save, with stored = (value - inter) / slope, and slope and inter in the header.
// Integer types take the nearest integer, values beyond their range its end, NaN what stands for 0.
// Errors: SB_IO, SB_NO_MEMORY, SB_USAGE (empty volume, an axis beyond 32,767 voxels, a slope that
// is 0 or not finite).
sb_status sb_volume_save_as(const sb_volume *volume, const char *path, sb_save_type type,
                            double slope, double inter);

#endif
