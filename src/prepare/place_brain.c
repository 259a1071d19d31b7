#include "prepare/place_brain.h"

#include <string.h>

#include "core/clock.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "prepare/preparer.h"
#include "prepare/quality.h"
#include "prepare/row.h"

// Takes scales and shears out of a map; the brain's centre stays where it is.
static void make_rigid(const sb_aligner *aligner, double map[16]) {
  double centre[3], placed[3], turned[3], r[16];
  if (!sb_affine_rotation(map, r)) return; // a map that is singular is refused for its stretch
  sb_affine_apply(aligner->frame_to_ras, aligner->centre_mm, centre);
  sb_affine_apply(map, centre, placed);
  sb_affine_apply(r, centre, turned);
  for (int i = 0; i < 3; i++) r[4 * i + 3] = placed[i] - turned[i];
  memcpy(map, r, sizeof r);
}

// The place whose weak octants fit best, of those that alignment offers.
static sb_status best_place(const sb_preparer *p, const sb_brain *brain, bool thorough,
                            uint8_t *brain_in_row, sb_alignment *chosen, sb_prepared *out) {
  sb_alignment places[SB_ALIGN_PLACES];
  int count, best = 0, last = 0;
  double best_structure = -2, since = sb_thread_cpu_s();
  sb_status status;
  SB_TRY(sb_align_places(&p->aligner, brain, thorough, places, &count));
  sb_lap(&since, &out->steps.align);
  for (; last < count; last++) {
    status = sb_row_make(p, &p->options, brain, &places[last], brain_in_row, out);
    if (status.code == SB_CONTENT && count > 1) continue; // next to nothing of the brain is there
    if (status.code != SB_OK) goto cleanup;
    if (out->quality.structure > best_structure) {
      best = last;
      best_structure = out->quality.structure;
    }
  }
  *chosen = places[best];
  if (count > 1) SB_TRY(sb_row_make(p, &p->options, brain, chosen, brain_in_row, out));
cleanup:
  return status;
}

static const double MOST_OFF_MM = 8;

// The identity must be about where alignment would
// lead: other tools and other templates in MNI space differ by some millimetres, scans where the
// scanner put them by more.
sb_status sb_place_given(const sb_preparer *p, const sb_brain *brain, uint8_t *brain_in_row,
                         sb_prepared *out) {
  sb_alignment given;
  double off_mm, since = sb_thread_cpu_s();
  sb_status status;
  SB_TRY(sb_align_given(&p->aligner, brain, &given, &off_mm));
  sb_lap(&since, &out->steps.align);
  if (off_mm > MOST_OFF_MM) {
    status = sb_error(SB_ALIGN, "alignment would move it by %.1f mm, and %g are allowed", off_mm,
                      MOST_OFF_MM);
    goto cleanup;
  }
  SB_TRY(sb_row_make(p, &p->options, brain, &given, brain_in_row, out));
  out->quality.off_mm = off_mm;
  SB_TRY(sb_quality_check(p, brain, &out->quality));
cleanup:
  if (status.code == SB_ALIGN || status.code == SB_CONTENT) {
    const sb_status reason = status;
    status = sb_error(SB_ALIGN,
                      "not on the template as it lies (%s); without --space template it is aligned",
                      reason.code == SB_ALIGN ? reason.message : "hardly any of it is there");
  }
  return status;
}

// Whether it is a brain in its place
// was told with them: most brains are smaller than the template, and fit badly at their own size.
sb_status sb_place_rigid(const sb_preparer *p, const sb_brain *brain, uint8_t *brain_in_row,
                         sb_alignment *alignment, sb_prepared *out) {
  const sb_quality affine = out->quality;
  make_rigid(&p->aligner, alignment->template_to_scan);
  sb_status status = sb_row_make(p, &p->options, brain, alignment, brain_in_row, out);
  out->quality.structure = affine.structure;
  out->quality.structure_whole = affine.structure_whole;
  return status;
}

sb_status sb_place_found(const sb_preparer *p, const sb_brain *brain, int looks,
                         uint8_t *brain_in_row, double affine[16], sb_prepared *out) {
  sb_alignment alignment = {0};
  sb_status status = sb_error(SB_ALIGN, "not looked for");
  for (int look = SB_LOOK_QUICK; look <= SB_LOOK_THOROUGH && status.code == SB_ALIGN; look++) {
    if ((looks & look) == 0) continue;
    SB_TRY(best_place(p, brain, look == SB_LOOK_THOROUGH, brain_in_row, &alignment, out));
    status = sb_quality_check(p, brain, &out->quality);
  }
  if (status.code != SB_OK) goto cleanup;
  memcpy(affine, alignment.template_to_scan, sizeof alignment.template_to_scan);
  if (p->options.dof == 6) SB_TRY(sb_place_rigid(p, brain, brain_in_row, &alignment, out));
cleanup:
  return status;
}
