// Figures of how well a scan was placed, and whether what was found is a brain on the template.
#ifndef SB_PREPARE_QUALITY_H
#define SB_PREPARE_QUALITY_H

#include "prepare/align.h"
#include "prepare/brain.h"
#include "prepare/structure.h"
#include "samebrain/prepare.h"

enum { SB_MOST_BRAIN_CM3 = 2000 }; // more that stands out from the background is no brain alone

// The quality of a row before it is filled outside the brain.
void sb_quality_measure(const sb_preparer *p, const sb_brain *brain, const sb_alignment *alignment,
                        const sb_structure *structure, sb_prepared *out);

// Is the result a brain on the template? Errors: SB_UNSUPPORTED (a whole head), SB_ALIGN (it does not
// fit, or is none), SB_CONTENT (too blurred).
sb_status sb_quality_check(const sb_preparer *p, const sb_brain *brain, const sb_quality *q);

#endif
