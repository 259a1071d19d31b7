// Fast linear sampling of a scan along rows of another grid.
#ifndef SB_PREPARE_SAMPLE_H
#define SB_PREPARE_SAMPLE_H

#include <stdint.h>

#include "samebrain/volume.h"

// A volume with a border of zeros, so that sampling needs no bounds check: voxel (i,j,k) of the
// volume is at (i + 1, j + 1, k + 1), and two more planes end each axis.
typedef struct sb_padded {
  float *voxels; // owned
  int64_t dims[3];
} sb_padded;

// Copies the voxels of a box of `in` (first corner and dims) into a padded volume.
sb_status sb_padded_crop(const sb_volume *in, const int64_t first[3], const int64_t dims[3],
                         sb_padded *out);
void sb_padded_free(sb_padded *padded);

// out[i] = the volume, linearly interpolated at start + i * step (voxel coordinates of the unpadded
// volume); 0 outside. The same bits on every processor.
void sb_sample_row(const sb_padded *in, const double start[3], const double step[3], int64_t count,
                   float *out);

// A volume for looking at it often and not too exactly: intensities in 255 steps, a byte each. A step
// is 0.4 % of the range, well below a scan's noise.
typedef struct sb_packed {
  uint8_t *bytes;  // owned
  int64_t dims[3]; // with the same border as sb_padded's
  float low, step; // value b stands for intensity low + b * step
} sb_packed;

// Packs a volume: `low` becomes 0 and `high` 255, what is beyond them is pulled in, and the border
// holds what intensity 0 becomes.
sb_status sb_packed_create(const sb_volume *in, float low, float high, sb_packed *out);
void sb_packed_free(sb_packed *packed);

// As sb_sample_row, in steps of intensity (0 to 255).
void sb_sample_packed_row(const sb_packed *in, const double start[3], const double step[3],
                          int64_t count, float *out);

// Fills `out` (dims set, voxels allocated) with `in` averaged over each voxel's extent: as many
// linear samples per axis as an `out` voxel is wide in `in` voxels, at most `most_samples`.
//   out_to_in  voxel to voxel
//   where      0 or 1 per voxel of `out`; in each row only what lies between its first and last 1
//              is sampled, the rest is 0. NULL: everything
sb_status sb_sample_grid(const sb_padded *in, const double out_to_in[16], int most_samples,
                         const uint8_t *where, sb_volume *out);
// The same of a packed volume, in intensities; of the samples every other one, as on a chessboard,
// where these have their middle in the voxel's (that is, unless just one axis has an even number).
sb_status sb_sample_packed_grid(const sb_packed *in, const double out_to_in[16], int most_samples,
                                const uint8_t *where, sb_volume *out);

#endif
