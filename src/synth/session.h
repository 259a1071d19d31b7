// One scan of a synthetic person: pose, grid, outline, contrast, bias field and noise.
#ifndef SB_SYNTH_SESSION_H
#define SB_SYNTH_SESSION_H

#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/volume.h"
#include "synth/base.h"
#include "synth/person.h"

// Renders the session that `key` stands for. `voxel_mm` 0: a voxel size of its own, 0.9 to 1.3 mm.
// Voxels are whole numbers from 0 (outside the brain) to at most 32,767; the grid may be in any
// storage orientation, which `out->affine` tells. Free with sb_volume_free. Errors: SB_NO_MEMORY.
sb_status sb_session_render(const sb_base *base, const sb_person *person, uint64_t key,
                            double voxel_mm, sb_volume *out);

#endif
