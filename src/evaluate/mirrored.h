// Scans whose left and right are exchanged: pairs that are alike only when one of the two is mirrored.
#ifndef SB_EVALUATE_MIRRORED_H
#define SB_EVALUATE_MIRRORED_H

#include "evaluate/likeness.h"
#include "evaluate/verdict.h"

// Fills `mirrored` and `mirrored_score` of every case, and observes mirrored ones to be the same. A pair may be
// mirrored that is closer with one of the two mirrored, from whichever side it is seen, than as it is,
// and with bandpass reaches SB_LIKELY_MIRRORED. It is, where chance does not explain it, as `observe` in check.c
// has it of scans as they are: by the tail, of expected pairs among their number, of others among all. Other
// pairs that may be keep `mirrored` until it is known whether they are copies, and then sb_settle_mirrored
// takes it from those that are not. Cases that only a mirror image made are left out where they are not mirrored.
// Cases must be sorted by their scans. Errors: SB_NO_MEMORY.
sb_status sb_observe_mirrored(const sb_likeness *mirrored, double expected_false, sb_cases *cases);
void sb_settle_mirrored(sb_cases *cases);

// Fills `exchanged` of every mirrored case: the scan beside whom fewer others lie as it does, or else the
// one whose header leaves the sides in doubt, where the other's does not. `alike` is how many others
// lie as the other one does, copies left out. Errors: SB_NO_MEMORY.
sb_status sb_tell_exchanged(const sb_store *store, sb_cases *cases);

#endif
