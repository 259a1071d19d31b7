// Whether a file holds another one's image, sampled anew at other voxels.
#ifndef SB_EVALUATE_RESAMPLED_H
#define SB_EVALUATE_RESAMPLED_H

#include "evaluate/placed.h"

// Resamples one scan at the other's voxels, linearly, and correlates what is left of both without the
// mean of their six neighbours, taken away twice: of anatomy less is left than with once, of noise more.
// From the alignment of both to the template, the affine map between them is refined to where they agree
// best (Gauss-Newton). A resampled copy has the original's noise, a rescan its own. Either of the two may
// be the copy: the better of both directions.
//   correlation  out: NaN when voxels are larger than 1.5 mm, or the scans that are sampled are so
//                smooth that what is left of them is anatomy
// Errors: SB_NO_MEMORY.
sb_status sb_resampled_agreement(const sb_placed *a, const sb_placed *b,
                                 const sb_common_brain *brain, double *correlation);

#endif
