// Where a skull-stripped brain is: of the places that alignment offers, the one where the row looks
// like a brain. The rows and figures go into a sb_prepared with room for them (sb_row_room).
#ifndef SB_PREPARE_PLACE_BRAIN_H
#define SB_PREPARE_PLACE_BRAIN_H

#include "prepare/align.h"
#include "prepare/brain.h"
#include "samebrain/prepare.h"

// How alignment looks for a brain's place: from the likely starts, and from all starts at the next
// best places too. With both, the second look follows where the first leads to nothing.
enum { SB_LOOK_QUICK = 1, SB_LOOK_THOROUGH = 2, SB_LOOK_TWICE = SB_LOOK_QUICK | SB_LOOK_THOROUGH };

// The row of a scan that is aligned here.
//   affine  out: the alignment, whatever the degrees of freedom of the row
sb_status sb_place_found(const sb_preparer *p, const sb_brain *brain, int looks,
                         uint8_t *brain_in_row, double affine[16], sb_prepared *out);

// The row of a scan that was aligned elsewhere.
sb_status sb_place_given(const sb_preparer *p, const sb_brain *brain, uint8_t *brain_in_row,
                         sb_prepared *out);

// The same scan without the scales and shears that made it fit.
sb_status sb_place_rigid(const sb_preparer *p, const sb_brain *brain, uint8_t *brain_in_row,
                         sb_alignment *alignment, sb_prepared *out);

#endif
