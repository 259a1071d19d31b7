// Where the brain of a whole head is: the head is aligned, the brain cut out and aligned on its own.
#ifndef SB_PREPARE_PLACE_HEAD_H
#define SB_PREPARE_PLACE_HEAD_H

#include "prepare/brain.h"
#include "samebrain/prepare.h"

// The row of a whole head.
//   cut  out: the brain as it was cut out; free with sb_volume_free
sb_status sb_place_head(const sb_preparer *p, const sb_volume *volume, uint8_t *brain_in_row,
                        sb_volume *cut, sb_prepared *out);

// Stripped or a head? What it fits as, it is.
//   brain  what was found in it as a stripped scan; another one is found where it turns out to be a head
sb_status sb_place_either(const sb_preparer *p, const sb_volume *volume, sb_brain *brain,
                          uint8_t *brain_in_row, sb_volume *cut, sb_prepared *out);

#endif
