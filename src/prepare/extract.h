// Brain extraction: the brain cut out of a whole head, by alignment to the template's head.
#ifndef SB_PREPARE_EXTRACT_H
#define SB_PREPARE_EXTRACT_H

#include "prepare/head.h"

// Aligns a scan of a whole head, at 8 and 4 mm. Errors: SB_ALIGN, SB_CONTENT, SB_NO_MEMORY.
//   thorough  from more starts, and the next best places too, best first
sb_status sb_head_align(const sb_head *head, const sb_volume *scan, bool thorough,
                        sb_alignment places[SB_ALIGN_PLACES], int *count);

// What extraction found, in the template's space.
typedef struct sb_extraction {
  double scalp;        // share of where a head has its scalp that is not dark
  double overlap;      // Dice with the template's brain
  double volume_ratio; // over the template's
  double edge;         // share of the voxels around the brain that are as bright as it is
} sb_extraction;

// Cuts the brain out of an aligned head.
//   brain   out: the box around the brain on the scan's own voxels, the scan's background taken
//           off, 0 outside the brain; free with sb_volume_free
// Errors: SB_CONTENT when there is no scalp around the brain, so that it is no head; SB_ALIGN when
// what was found is not like a brain; both with the figures that say so. SB_NO_MEMORY.
sb_status sb_head_extract(const sb_head *head, const sb_volume *scan, const sb_alignment *alignment,
                          sb_extraction *figures, sb_volume *brain);

#endif
