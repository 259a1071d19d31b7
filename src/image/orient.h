// Which storage axis is which body axis: the closest canonical (RAS) order of a grid.
#ifndef SB_IMAGE_ORIENT_H
#define SB_IMAGE_ORIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/volume.h"

// Reordered axis r (0 right, 1 anterior, 2 superior) is storage axis from[r], reversed if flip[r].
typedef struct sb_axis_order {
  int from[3];
  bool flip[3];
} sb_axis_order;

// The assignment of storage axes to body axes that fits the affine best: the largest sum of the
// absolute cosines between them, over all six (the storage order itself on a tie).
sb_axis_order sb_closest_ras(const double affine[16]);

// The dims and the affine of the reordered grid.
void sb_reorder_grid(const sb_axis_order *order, const int64_t stored_dims[3],
                     const double stored_affine[16], int64_t dims[3], double affine[16]);

// Storage axes as letters, e.g. "LPS" when i runs to the left, j to the back and k up.
void sb_axis_letters(const sb_axis_order *order, char letters[4]);

// Why it is not certain which side of an image is left, for a person; free() it. NULL where it is (or
// there is no memory).
char *sb_sides_doubt(sb_orientation_source source, const char *path);

// Lengths of the affine's columns: the voxel's size.
void sb_voxel_size(const double affine[16], double size[3]);

#endif
