// Parts of preparation, for programs that try several ways of making a row or look at what is between.
#ifndef SB_PREPARE_PIPELINE_H
#define SB_PREPARE_PIPELINE_H

#include "prepare/align.h"
#include "prepare/brain.h"
#include "samebrain/prepare.h"

// Finds the brain and aligns it. Free the brain with sb_brain_free, also after an error.
sb_status sb_prepare_place(const sb_preparer *p, const sb_volume *volume, sb_brain *brain,
                           sb_alignment *alignment);

// The row of a placed brain and its quality, with the preparer's template but these options.
//   out  row and own_mask are allocated here; free with sb_prepared_free, also after an error
sb_status sb_prepare_row(const sb_preparer *p, const sb_prepare_options *options,
                         const sb_brain *brain, const sb_alignment *alignment, sb_prepared *out);

// The brain of a whole head as preparation cuts it out: the box around it on the scan's own voxels, 0
// outside the brain. Free with sb_volume_free.
sb_status sb_prepare_extract(const sb_preparer *p, const sb_volume *volume, sb_volume *brain);

#endif
