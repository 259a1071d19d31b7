// A template brain in memory: what sb_template hides.
#ifndef SB_PREPARE_TEMPLATE_H
#define SB_PREPARE_TEMPLATE_H

#include "core/hash.h"
#include "samebrain/prepare.h"

// `image` and `mask` are the template as loaded (closest-canonical RAS, its own voxel size); the
// members named row_ live on the grid of the rows, `resolution_mm` apart.
struct sb_template {
  sb_volume image;
  uint8_t *mask;
  char *path;
  // A whole head for scans that are not skull-stripped, NULL where there is none, and its brain on
  // the same grid, NULL where that is the template itself.
  char *head_path, *head_brain_path;
  double resolution_mm;
  sb_volume row_image;
  uint8_t *row_mask;
  int64_t row_first[3], row_end[3]; // the box of row_mask, one past its last voxels
  int64_t *row_index;
  int64_t row_length;
  char hash[SB_SHA256_HEX];
};

// Linear samples per axis that are averaged into one voxel of a row's grid, at most.
enum { SB_SUB_SAMPLES = 8 };

// Where a template is looked for when none is named: $SAMEBRAIN_TEMPLATE, else Colin27 in the
// folder that was configured, where Debian's mricron-data has it. NULL when there is none. Static
// or environment storage.
const char *sb_template_default_path(void);

#endif
