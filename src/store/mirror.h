// Mirror images: what a row would have been, had left and right been exchanged in the scan.
//
// A template brain is not its own mirror image: its plane of symmetry is not the grid's middle, and its
// halves differ in shape. So the template is aligned to its own mirror image, once, as a scan would be;
// a mirrored row is the row seen through that map. It is not the row that preparing the mirrored scan gives: that
// scan is aligned anew, and differs from the map found here by what this brain's halves differ in beside the template's.
#ifndef SB_STORE_MIRROR_H
#define SB_STORE_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/store.h"

typedef struct sb_mirror {
  int64_t dims[3];    // of the rows' grid
  int64_t row_length; // V
  double map_mm[16];  // a point of the template (RAS mm) to where its mirror image is
  double map[16];     // the same in voxels of the grid
  int32_t
      *place; // of the grid's voxels, with a border of one voxel: their place in a row; -1: none
} sb_mirror;

// Finds the map. Deterministic.
//   image, mask   the template on the rows' grid; `mask` has its voxels, 0 or 1
// Errors: SB_ALIGN, SB_CONTENT (the template cannot be aligned to its mirror image), SB_NO_MEMORY.
sb_status sb_mirror_create(const sb_volume *image, const uint8_t *mask, sb_mirror *out);
void sb_mirror_free(sb_mirror *mirror); // a zeroed one is fine

// The mirror image of a row of float16, by linear interpolation of what the mask holds; the row's mean
// where that is nothing. Errors: SB_NO_MEMORY.
sb_status sb_mirror_row(const sb_mirror *mirror, const uint16_t *halves, float *row);
// The mirror image of a scan's own mask, packed as the store has it, by the nearest voxel.
void sb_mirror_mask(const sb_mirror *mirror, const uint8_t *packed, uint8_t *mirrored);

// From here on a store's scans are their mirror images: the engine mirrors rows and own masks when it reads
// them (engine/rows.h); sb_store_row and the like still give what is on disk. Errors: those of
// sb_mirror_create, and of sb_volume_load for the store's template.
sb_status sb_store_mirror_all(sb_store *store);
// The same, beside the store as it is, which must outlive *out; close that with sb_store_close.
sb_status sb_store_mirrored(const sb_store *store, sb_store **out);
// Whether the one was made of the other by sb_store_mirrored, or is the other.
bool sb_store_is_of(const sb_store *mirrored, const sb_store *store);
// NULL for a store as it is.
const sb_mirror *sb_store_mirror(const sb_store *store);

#endif
