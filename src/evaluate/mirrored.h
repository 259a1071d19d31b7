// Scans whose left and right are exchanged: pairs that are alike only when one of the two is mirrored.
#ifndef SB_EVALUATE_MIRRORED_H
#define SB_EVALUATE_MIRRORED_H

#include "evaluate/likeness.h"
#include "evaluate/verdict.h"

// Writes who must be taken for one person where mirror images are compared: by labels, or because their scans are
// alike as they are. Brains are so nearly symmetric that a scan and the mirror image of another of the
// same person are closer than those of two people, and that must not pass for chance. `path` gets an identities table.
// Errors: SB_IO, SB_NO_MEMORY.
sb_status sb_write_persons(const sb_likeness *as_is, const char *path);

// Fills `mirrored` and `mirrored_score` of every case, and observes mirrored ones to be the same. A pair is
// mirrored that
//   - is closer with one of the two mirrored, from whichever side it is seen, than as it is; and
//   - is so close that chance does not explain it: by the tail of mirrored scores of two people, for expected
//     pairs among their number, for others among all; and
//   - with bandpass, reaches SB_LIKELY_MIRRORED. Where there are too few scans for a tail, that alone.
// Cases must be sorted by their scans. Errors: SB_NO_MEMORY.
sb_status sb_observe_mirrored(const sb_likeness *mirrored, double expected_false, sb_cases *cases);

// Fills `exchanged` of every mirrored case: the scan beside whom fewer others lie as it does, or else the
// one whose header leaves the sides in doubt, where the other's does not. `alike` is how many others
// lie as the other one does, copies left out. Errors: SB_NO_MEMORY.
sb_status sb_tell_exchanged(const sb_store *store, sb_cases *cases);

#endif
