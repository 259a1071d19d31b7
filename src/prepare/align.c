// Affine alignment of a brain to the template: starts in all axis orientations at 8 mm, the best
// four at 4 mm, the best one at 2 and 1 mm.
#include "prepare/align.h"

#include <math.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "prepare/align_starts.h"

// How much better the brain fits than its mirror image, at 4 mm.
//   as_is  how well it fits there
static double handedness(sb_align_search *s, const sb_align_place *found, double as_is) {
  sb_align_place mirrored = *found;
  double flip[16];
  sb_affine_identity(flip);
  flip[0] = -1;
  // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there always is an aligner
  flip[3] = 2 * s->aligner->centre_mm[0];
  sb_affine_multiply(found->map, flip, mirrored.map);
  sb_align_descend(s, 1, SB_AFFINE, 6, 0.1, &mirrored);
  return as_is - mirrored.ncc;
}

// A right alignment of a whole brain leads the next place by 0.1 and more and fits with 0.78 and
// more at 4 mm; both depend on the scan, so that less is a doubt and no more.
static bool doubtful(const sb_align_place best[SB_ALIGN_PLACES], int count) {
  return count == 0 || sb_align_lead(best, count) < 0.1 || best[0].ncc < 0.78;
}

// From a place that fits at 4 mm to where alignment ends; its correlation at 2 mm. Few steps: what the
// first leave undone is what the scan hardly tells, and going on until nothing moves takes two scans
// of one person further apart again.
static double settle(sb_align_search *s, sb_align_place *c) {
  sb_align_polish(s, 2, SB_AFFINE, 4, 0.05, c);
  const double correlation = c->ncc;
  sb_align_polish(s, 3, SB_AFFINE, 3, 0.01, c);
  return correlation;
}

// Takes a place that a descent at 4 mm led to on to full resolution. False when it comes to nothing.
static bool finish(sb_align_search *s, const sb_brain *brain, const sb_align_place *start,
                   sb_alignment *out) {
  sb_align_place found = *start;
  memset(found.gain, 0, sizeof found.gain);
  found.gain[0] = 1;
  out->correlation = settle(s, &found);
  out->handedness = handedness(s, &found, start->ncc);
  if (found.ncc <= 0) return false;
  sb_affine_multiply(brain->image.affine, found.map, out->template_to_scan);
  sb_affine_multiply(out->template_to_scan, s->aligner->ras_to_frame, out->template_to_scan);
  memcpy(out->gain, found.gain, sizeof out->gain);
  return true;
}

sb_status sb_align_places(const sb_aligner *aligner, const sb_brain *brain, bool thorough,
                          sb_alignment places[SB_ALIGN_PLACES], int *count) {
  sb_align_search s;
  sb_align_place best[SB_ALIGN_PLACES];
  int kept = 0, starts = SB_AXIS_ROTATIONS + 1;
  sb_status status;
  *count = 0;
  SB_TRY(sb_align_search_open(aligner, brain, false, &s));

  sb_align_try_starts(&s, brain, 0, SB_AXIS_ROTATIONS, best, &kept);
  sb_align_try_header(&s, brain, best, &kept);
  sb_align_refine(&s, best, &kept);
  if (thorough || doubtful(best, kept)) {
    sb_align_try_starts(&s, brain, SB_AXIS_ROTATIONS, SB_ALIGN_STARTS, best, &kept);
    sb_align_refine(&s, best, &kept);
    starts = SB_ALIGN_STARTS + 1;
  }
  for (int i = 0; i < kept && (i == 0 || thorough || doubtful(best, kept)); i++) {
    sb_alignment *place = &places[*count];
    if (!finish(&s, brain, &best[i], place)) continue;
    place->starts = starts;
    place->next_correlation = i == 0 ? sb_align_lead(best, kept) : best[i].ncc - best[0].ncc;
    (*count)++;
  }
  if (*count == 0)
    status =
        sb_error(SB_ALIGN,
                 "no alignment to the template fits from any of %d starts: not T1-weighted, or "
                 "not a brain?",
                 starts);
cleanup:
  sb_align_search_close(&s);
  return status;
}

sb_status sb_align(const sb_aligner *aligner, const sb_brain *brain, sb_alignment *out) {
  sb_alignment places[SB_ALIGN_PLACES];
  int count;
  sb_status status = sb_align_places(aligner, brain, false, places, &count);
  if (status.code == SB_OK) *out = places[0];
  return status;
}

sb_status sb_align_given(const sb_aligner *aligner, const sb_brain *brain, sb_alignment *given,
                         double *moved_mm) {
  sb_align_search s;
  sb_align_place here = {.gain = {1}}, settled;
  sb_alignment_sums sums;
  double to_box[16], step[16];
  sb_status status;
  memset(given, 0, sizeof *given);
  sb_affine_identity(given->template_to_scan);
  SB_TRY(sb_align_search_open(aligner, brain, false, &s));
  sb_affine_invert(brain->image.affine, to_box);
  sb_affine_multiply(to_box, aligner->frame_to_ras, here.map);

  const sb_align_level *on = sb_align_seen(&s, 2, &here);
  here.ncc = sb_align_look(&s, on != NULL ? on : &aligner->levels[2], 2, &here, &sums);
  given->correlation = here.ncc;
  settled = here;
  sb_align_descend(&s, 1, SB_AFFINE, 6, 0.1, &settled);
  given->handedness = handedness(&s, &here, settled.ncc);
  given->next_correlation = NAN; // nothing was searched for
  on = sb_align_seen(&s, 3, &here);
  if (on == NULL) on = &aligner->levels[3];
  sb_align_look(&s, on, 3, &here, &sums);
  sb_align_level_step(on, &sums, SB_AFFINE, step, here.gain);
  memcpy(given->gain, here.gain, sizeof given->gain);

  settled = here;
  sb_align_descend(&s, 0, SB_SIMILARITY, 12, 1, &settled);
  sb_align_descend(&s, 0, SB_AFFINE, 12, 1, &settled);
  sb_align_descend(&s, 1, SB_AFFINE, 20, 0.2, &settled);
  const double correlation = settle(&s, &settled);
  // Plain correlation may fall a little where the model with its gain fits better.
  *moved_mm = correlation > here.ncc - 0.02 ? sb_align_difference_mm(aligner, &here, &settled) : 0;
cleanup:
  sb_align_search_close(&s);
  return status;
}

sb_status sb_align_near(const sb_aligner *aligner, const sb_brain *brain,
                        const double template_to_scan[16], sb_alignment *out) {
  sb_align_search s;
  sb_align_place found;
  double to_box[16];
  sb_status status;
  memset(out, 0, sizeof *out);
  SB_TRY(sb_align_search_open(aligner, brain, false, &s));
  bool fits = sb_affine_invert(brain->image.affine, to_box);
  if (fits) {
    sb_affine_multiply(template_to_scan, aligner->frame_to_ras, found.map);
    sb_affine_multiply(to_box, found.map, found.map);
    sb_align_descend(&s, 1, SB_AFFINE, 20, 0.2, &found);
    fits = found.ncc > 0 && finish(&s, brain, &found, out);
  }
  if (!fits) status = sb_error(SB_ALIGN, "no alignment to the template fits nearby");
  out->starts = 1;
cleanup:
  sb_align_search_close(&s);
  return status;
}
