#include "prepare/place_head.h"

#include <math.h>
#include <string.h>

#include "core/clock.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "prepare/extract.h"
#include "prepare/place_brain.h"
#include "prepare/preparer.h"
#include "prepare/quality.h"
#include "prepare/row.h"

// Aligns a brain that was cut out, from where its head was aligned. The check of its structure tells
// whether that was right.
static sb_status near_place(const sb_preparer *p, const sb_head *head, const sb_brain *brain,
                            const sb_alignment *head_alignment, uint8_t *brain_in_row,
                            double affine[16], sb_prepared *out) {
  sb_alignment found;
  double start[16], since = sb_thread_cpu_s();
  sb_status status;
  if (!sb_affine_invert(head->to_template, start))
    return sb_error(SB_ALIGN, "the template and its head do not fit");
  sb_affine_multiply(head_alignment->template_to_scan, start, start);
  SB_TRY(sb_align_near(&p->aligner, brain, start, &found));
  found.starts = head_alignment->starts;
  found.next_correlation = head_alignment->next_correlation;
  sb_lap(&since, &out->steps.align);
  SB_TRY(sb_row_make(p, &p->options, brain, &found, brain_in_row, out));
  SB_TRY(sb_quality_check(p, brain, &out->quality));
  memcpy(affine, found.template_to_scan, sizeof found.template_to_scan);
  if (p->options.dof == 6) SB_TRY(sb_place_rigid(p, brain, brain_in_row, &found, out));
cleanup:
  return status;
}

// Cuts the brain out of a head that has been aligned and takes it as a stripped scan.
//   search  where it does not fit near its head's place, look for it from all starts
//   cut     out: the brain as it was cut out; free with sb_volume_free
//   affine  out: the brain's own alignment
static sb_status place_cut(const sb_preparer *p, const sb_head *head, const sb_volume *volume,
                           const sb_alignment *alignment, bool search, uint8_t *brain_in_row,
                           double affine[16], sb_volume *cut, sb_prepared *out) {
  sb_extraction figures;
  sb_brain brain = {0};
  double since = sb_thread_cpu_s();
  sb_status status;
  sb_volume_free(cut);
  SB_TRY(sb_head_extract(head, volume, alignment, &figures, cut));
  SB_TRY(sb_brain_find(cut, &brain));
  sb_lap(&since, &out->steps.brain);
  status = near_place(p, head, &brain, alignment, brain_in_row, affine, out);
  if (search && (status.code == SB_ALIGN || status.code == SB_CONTENT))
    status = sb_place_found(p, &brain, SB_LOOK_TWICE, brain_in_row, affine, out);
  out->quality.brain = SB_BRAIN_WAS_EXTRACTED;
  out->quality.extraction_overlap = figures.overlap;
  out->quality.extraction_edge = figures.edge;
cleanup:
  sb_brain_free(&brain);
  return status;
}

// How far, in mm, a brain is moved between its head's alignment and its own.
static double disagreement_mm(const sb_head *head, const double head_map[16],
                              const double brain_map[16]) {
  double centre[3];
  sb_affine_apply(head->aligner.frame_to_ras, head->aligner.centre_mm, centre);
  return sb_affine_apart(head_map, brain_map, centre);
}

static bool may_be_elsewhere(sb_status status) {
  return status.code == SB_ALIGN || status.code == SB_CONTENT;
}

// The first of the places where a head may be that gives a brain.
//   search  where none does, look for the brain that the best place gives from all starts
//   found   out: that place
//   affine  out: the brain's own alignment
static sb_status try_places(const sb_preparer *p, const sb_head *head, const sb_volume *volume,
                            const sb_alignment *places, int count, bool search,
                            uint8_t *brain_in_row, sb_alignment *found, double affine[16],
                            sb_volume *cut, sb_prepared *out) {
  sb_status first = sb_ok();
  for (int i = 0; i < count; i++) {
    sb_status status =
        place_cut(p, head, volume, &places[i], false, brain_in_row, affine, cut, out);
    *found = places[i];
    if (i == 0) first = status; // of several failures that of the best place tells most
    if (!may_be_elsewhere(status)) return status;
  }
  *found = places[0];
  if (!search) return first;
  return place_cut(p, head, volume, found, true, brain_in_row, affine, cut, out);
}

// The brain that was cut out is aligned on its own; where that tells that the
// head was aligned wrongly, the brain is cut out again, where it is.
sb_status sb_place_head(const sb_preparer *p, const sb_volume *volume, uint8_t *brain_in_row,
                        sb_volume *cut, sb_prepared *out) {
  static const double MOST_MM = 8;
  const sb_head *head;
  sb_alignment places[SB_ALIGN_PLACES], found;
  double affine[16];
  int count;
  sb_status status;
  SB_TRY(sb_preparer_head(p, &head));
  for (int look = 0; look < 2; look++) { // the second one thorough
    double since = sb_thread_cpu_s();
    status = sb_head_align(head, volume, look > 0, places, &count);
    sb_lap(&since, &out->steps.brain);
    if (status.code == SB_OK)
      status = try_places(p, head, volume, places, count, look > 0, brain_in_row, &found, affine,
                          cut, out);
    if (!may_be_elsewhere(status)) break;
  }
  if (status.code != SB_OK) goto cleanup;
  sb_affine_multiply(affine, head->to_template, affine);
  if (disagreement_mm(head, found.template_to_scan, affine) > MOST_MM) {
    memcpy(found.template_to_scan, affine, sizeof affine);
    SB_TRY(place_cut(p, head, volume, &found, true, brain_in_row, affine, cut, out));
  }
cleanup:
  return status;
}

// Whether more stands out from the background than a stripped brain has around it: a head without
// face and neck may well fit as a brain. Stripped scans have up to 1.15 times the template's volume.
static bool is_too_large(const sb_preparer *p, const sb_brain *brain, const sb_prepared *found) {
  static const double MOST_RATIO = 1.3;
  return brain->volume_mm3 >
         MOST_RATIO * p->aligner.volume_mm3 * fabs(sb_affine_determinant(found->template_to_scan));
}

// As a head, else as a brain.
//   looks   at the brain; both: it has a head's size, and where it is neither, what is wrong with it
//           as a head matters, unless it has no scalp and a brain's size
static sb_status head_first(const sb_preparer *p, const sb_volume *volume, int looks,
                            sb_brain *brain, uint8_t *brain_in_row, sb_volume *cut,
                            sb_prepared *out) {
  double affine[16];
  sb_status as_head = sb_place_head(p, volume, brain_in_row, cut, out), as_brain;
  if (as_head.code == SB_OK) return as_head;
  sb_brain_free(brain);
  as_brain = sb_brain_find(volume, brain);
  if (as_brain.code == SB_OK) as_brain = sb_place_found(p, brain, looks, brain_in_row, affine, out);
  if (as_brain.code == SB_OK || looks != SB_LOOK_TWICE) return as_brain;
  return as_head.code == SB_CONTENT && as_brain.code != SB_UNSUPPORTED ? as_brain : as_head;
}

// The volume only says what is tried first.
sb_status sb_place_either(const sb_preparer *p, const sb_volume *volume, sb_brain *brain,
                          uint8_t *brain_in_row, sb_volume *cut, sb_prepared *out) {
  double affine[16];
  if (brain->volume_mm3 > 1000.0 * SB_MOST_BRAIN_CM3)
    return head_first(p, volume, SB_LOOK_TWICE, brain, brain_in_row, cut, out);
  sb_status status = sb_place_found(p, brain, SB_LOOK_QUICK, brain_in_row, affine, out);
  if (status.code == SB_OK && !is_too_large(p, brain, out)) return status;
  if (status.code != SB_OK && status.code != SB_ALIGN) return status;
  return head_first(p, volume, status.code == SB_OK ? SB_LOOK_QUICK : SB_LOOK_THOROUGH, brain,
                    brain_in_row, cut, out);
}
