// The row that an alignment gives: resampled once, the bias field taken off, harmonised.
#ifndef SB_PREPARE_ROW_H
#define SB_PREPARE_ROW_H

#include "prepare/align.h"
#include "prepare/brain.h"
#include "samebrain/prepare.h"

// Room for a row and a mask, and for a byte per row element.
sb_status sb_row_room(const sb_template *t, sb_prepared *out, uint8_t **brain_in_row);

// The row, and its quality, into arrays that are there already.
//   brain_in_row  scratch, a byte per row element
sb_status sb_row_make(const sb_preparer *p, const sb_prepare_options *options,
                      const sb_brain *brain, const sb_alignment *alignment, uint8_t *brain_in_row,
                      sb_prepared *out);

#endif
