// Parts of preparation one by one, for programs that try several ways of making a row, or look at what is between.
#ifndef SB_BENCH_STEPS_H
#define SB_BENCH_STEPS_H

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "prepare/align.h"
#include "prepare/brain.h"
#include "prepare/place_head.h"
#include "prepare/preparer.h"
#include "prepare/quality.h"
#include "prepare/row.h"

// Finds the brain and aligns it, with 12 degrees of freedom. Free the brain with sb_brain_free, also after an
// error.
static inline sb_status place_brain(const sb_preparer *p, const sb_volume *volume, sb_brain *brain,
                                    sb_alignment *alignment) {
  const sb_status status = sb_brain_find(volume, brain);
  return status.code == SB_OK ? sb_align(&p->aligner, brain, alignment) : status;
}

// The row of a placed brain and its quality, with the preparer's template but these options.
//   out  row and own_mask are allocated here; free with sb_prepared_free, also after an error
static inline sb_status make_row(const sb_preparer *p, const sb_prepare_options *options,
                                 const sb_brain *brain, const sb_alignment *alignment,
                                 sb_prepared *out) {
  uint8_t *brain_in_row = NULL;
  sb_status status;
  SB_TRY(sb_row_room(p->tmpl, out, &brain_in_row));
  SB_TRY(sb_row_make(p, options, brain, alignment, brain_in_row, out));
  SB_TRY(sb_quality_check(p, brain, &out->quality));
cleanup:
  free(brain_in_row);
  return status;
}

// The brain of a whole head as preparation cuts it out: the box around it on the scan's own voxels, 0
// outside the brain. Free with sb_volume_free.
static inline sb_status cut_brain(const sb_preparer *p, const sb_volume *volume, sb_volume *brain) {
  uint8_t *brain_in_row = NULL;
  sb_prepared prepared;
  sb_status status;
  memset(brain, 0, sizeof *brain);
  SB_TRY(sb_row_room(p->tmpl, &prepared, &brain_in_row));
  SB_TRY(sb_place_head(p, volume, brain_in_row, brain, &prepared));
cleanup:
  free(brain_in_row);
  sb_prepared_free(&prepared);
  if (status.code != SB_OK) sb_volume_free(brain);
  return status;
}

#endif
