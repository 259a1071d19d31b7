// A scan with the place of a template's brain in it, and how the voxels of two of them lie.
#ifndef SB_EVALUATE_PLACED_H
#define SB_EVALUATE_PLACED_H

#include "measure/measure.h"
#include "samebrain/volume.h"

typedef struct sb_placed {
  const sb_volume *volume;
  double template_to_scan[16]; // RAS mm to RAS mm
} sb_placed;

// Where two scans have brain: voxels of the template's grid.
typedef struct sb_common_brain {
  const sb_grid *grid;
  const double *affine; // 4x4, voxel to RAS mm
  const uint8_t *mask;  // 1 where both have brain, well inside
} sb_common_brain;

typedef struct sb_brain_voxels {
  int32_t (*at)[3];
  int64_t count;
  double centre[3]; // their mean
} sb_brain_voxels;

// Whether voxels are small enough for their noise to say something: beyond 1.5 mm they differ from
// their neighbours by anatomy more than by noise.
bool sb_is_fine(const sb_volume *volume);

// Voxels of a to voxels of b, by way of the template. False when a matrix is singular.
bool sb_voxel_map(const sb_placed *a, const sb_placed *b, double map[16]);

// The voxels of a scan that lie in the common brain, and at least `margin` voxels within the image;
// free() out->at. Errors: SB_NO_MEMORY.
sb_status sb_list_brain(const sb_placed *scan, const sb_common_brain *brain, int64_t margin,
                        sb_brain_voxels *out);

// What is left of a voxel without the mean of its six neighbours, all of which the image must have.
double sb_residual(const sb_volume *volume, const int64_t at[3]);

// Sums of pairs of numbers, one of each voxel that was tried and lies in both images.
typedef struct sb_sums {
  double tried, n, x, y, xx, yy, xy;
} sb_sums;

static inline void sb_sums_add(sb_sums *s, double x, double y) {
  s->n++;
  s->x += x;
  s->y += y;
  s->xx += x * x;
  s->yy += y * y;
  s->xy += x * y;
}

// NaN when less than half of what was tried is in both images, or one of the two does not vary.
double sb_sums_correlation(const sb_sums *s);

#endif
