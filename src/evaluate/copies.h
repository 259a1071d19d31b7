// Which pairs are one image twice.
#ifndef SB_EVALUATE_COPIES_H
#define SB_EVALUATE_COPIES_H

#include "evaluate/verdict.h"
#include "samebrain/store.h"
#include "store/mirror.h"

// Noise of copies agrees at least as much, of rescans less; and rows likewise, by bandpass. Where
// they come from: docs/checking.md.
extern const double sb_copy_noise, sb_copy_resampled, sb_copy_rows;
// More than rescans' noise was seen to agree; short of a copy's perhaps a changed copy.
extern const double sb_rescan_noise, sb_rescan_resampled;

// Fills `compared`, `agreement` and `copy` of every case that is not observed to be different: by the
// files' SHA-256; by the noise of their voxels, as they are and resampled, where both files are still what
// was prepared; else by their rows. A case's scans are numbered as in the store.
// Mirrored cases are compared through the template's mirror image, by noise alone.
//   mirror         of the store; NULL: there are no mirrored cases
//   files_missing  out: cases whose files are gone, changed or not readable any more
// Errors: SB_NO_MEMORY, SB_CONTENT (rows that cannot be compared).
sb_status sb_find_copies(const sb_store *store, const sb_mirror *mirror, int64_t memory_bytes,
                         int threads, const sb_progress *progress, sb_cases *cases,
                         int64_t *files_missing);

#endif
