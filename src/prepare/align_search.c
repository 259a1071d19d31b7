#include "prepare/align_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "image/resample.h"

// ---- The scan's levels --------------------------------------------------------------------------

static void pyramid_free(sb_align_pyramid *pyramid) {
  for (int l = 0; l < SB_ALIGN_LEVELS; l++) sb_packed_free(&pyramid->made[l]);
}

// From fine to coarse, each level averaged from the one before.
static sb_status pyramid_create(const sb_brain *brain, sb_align_pyramid *out) {
  memset(out, 0, sizeof *out);
  sb_volume current = {0}, smaller = {0};
  const sb_volume *source = &brain->image;
  const sb_packed *packed = &brain->packed;
  const float low = packed->low, high = low + 255 * packed->step;
  double position[16];
  sb_affine_identity(position);
  sb_status status;
  for (int l = SB_ALIGN_LEVELS - 1; l >= 0; l--) {
    int64_t factors[3];
    bool shrinks = false;
    double block[16];
    sb_affine_identity(block);
    for (int i = 0; i < 3; i++) {
      const double *a = source->affine;
      double mm = sqrt(a[i] * a[i] + a[4 + i] * a[4 + i] + a[8 + i] * a[8 + i]);
      factors[i] = llround(fmax(1, sb_align_level_mm[l] / mm));
      shrinks = shrinks || factors[i] > 1;
      block[5 * i] = 1 / (double)factors[i];
      block[4 * i + 3] = -0.5 * (double)(factors[i] - 1) / (double)factors[i];
    }
    if (shrinks) {
      SB_TRY(sb_volume_shrink(source, factors, &smaller));
      sb_volume_free(&current);
      current = smaller;
      memset(&smaller, 0, sizeof smaller);
      source = &current;
      sb_affine_multiply(block, position, position);
      packed = &out->made[l];
      SB_TRY(sb_packed_create(source, low, high, &out->made[l]));
    }
    memcpy(out->from_box[l], position, sizeof position);
    out->levels[l] = packed;
  }
cleanup:
  sb_volume_free(&current);
  sb_volume_free(&smaller);
  if (status.code != SB_OK) pyramid_free(out);
  return status;
}

// ---- What the scan tells about ------------------------------------------------------------------

// Coarse levels take all that the field of view holds: the outline leads to the right place. Fine
// ones stay inside the brain: where its outline runs is up to the stripping, and what is as dark as
// fluid may be brain that was cut off, resected or lost.
static sb_status focus_create(const sb_aligner *aligner, const sb_brain *brain,
                              const sb_align_pyramid *scan, sb_align_focus *out) {
  enum { FIRST_INSIDE = 2 };
  static const float DARK = 1.0f / 6; // of the bright end
  const float low = brain->packed.low, per_step = brain->packed.step;
  const float dark = fmaxf((float)brain->threshold, DARK * (low + 255 * per_step));
  int64_t stored = 0;
  sb_status status;
  memset(out, 0, sizeof *out);
  for (int l = 0; l < SB_ALIGN_LEVELS; l++) {
    sb_align_view *view = &out->views[l];
    *view = (sb_align_view){.inside = l >= FIRST_INSIDE,
                            .dark_low = (-dark - low) / per_step,
                            .dark_high = (dark - low) / per_step};
    out->wanted[l] = view->inside;
    for (int i = 0; i < 3; i++) {
      // The last voxel of a level may be made of fewer of the scan's than the others.
      const double whole = floor((double)brain->image.dims[i] * scan->from_box[l][5 * i] + 1e-6);
      view->low[i] = brain->cut[i][0] ? 0 : -INFINITY;
      view->high[i] = brain->cut[i][1] ? whole - 1 : INFINITY;
      out->wanted[l] = out->wanted[l] || brain->cut[i][0] || brain->cut[i][1];
    }
    if (aligner->levels[l].stored > stored) stored = aligner->levels[l].stored;
  }
  SB_TRY(SB_NEW(&out->weight, stored, "alignment"));
  SB_TRY(SB_NEW(&out->basis, aligner->longest * SB_ALIGN_BASIS, "alignment"));
cleanup:
  return status;
}

static void focus_free(sb_align_focus *focus) {
  free(focus->weight);
  free(focus->basis);
}

sb_status sb_align_search_open(const sb_aligner *aligner, const sb_brain *brain, bool whole,
                               sb_align_search *out) {
  sb_status status;
  memset(out, 0, sizeof *out);
  out->aligner = aligner;
  SB_TRY(SB_NEW(&out->line, aligner->longest, "alignment"));
  SB_TRY(pyramid_create(brain, &out->scan));
  out->whole = whole;
  if (!whole) SB_TRY(focus_create(aligner, brain, &out->scan, &out->focus));
cleanup:
  return status;
}

void sb_align_search_close(sb_align_search *search) {
  free(search->line);
  focus_free(&search->focus);
  pyramid_free(&search->scan);
}

// ---- Descent ------------------------------------------------------------------------------------

const sb_align_level *sb_align_seen(sb_align_search *s, int level, const sb_align_place *c) {
  const sb_align_level *whole = &s->aligner->levels[level];
  sb_align_focus *f = &s->focus;
  double to_scan[16];
  if (s->whole || !f->wanted[level]) return whole;
  sb_affine_multiply(s->scan.from_box[level], c->map, to_scan);
  return sb_align_level_focus(whole, s->scan.levels[level], to_scan, &f->views[level], s->line,
                              f->weight, f->basis, &f->level)
             ? &f->level
             : NULL;
}

// How far the map moved, in mm of the template.
static double step_mm(const sb_aligner *aligner, const double step[16]) {
  double nothing[16];
  sb_affine_identity(nothing);
  return sb_affine_apart(nothing, step, aligner->centre_mm);
}

double sb_align_look(sb_align_search *s, const sb_align_level *on, int level,
                     const sb_align_place *c, sb_alignment_sums *sums) {
  double to_scan[16];
  sb_affine_multiply(s->scan.from_box[level], c->map, to_scan);
  sb_align_level_look(on, s->scan.levels[level], to_scan, s->line, sums);
  return sb_align_level_ncc(on, sums);
}

enum { REFOCUS = 4 }; // most steps between looks at what the scan tells about

void sb_align_descend(sb_align_search *s, int level, sb_freedom freedom, int steps,
                      double enough_mm, sb_align_place *c) {
  const sb_align_level *const whole = &s->aligner->levels[level], *on = NULL;
  int age = REFOCUS;
  sb_align_place now = *c;
  c->ncc = -1;
  for (int i = 0; i <= steps; i++) {
    double step[16];
    sb_alignment_sums sums;
    if (age == REFOCUS) {
      on = sb_align_seen(s, level, &now);
      age = 0;
    }
    if (on == NULL) return;
    age++;
    now.ncc = sb_align_look(s, on, level, &now, &sums);
    if (!isfinite(now.ncc)) return;
    if (now.ncc > c->ncc) *c = now;
    if (i == steps || !sb_align_level_step(on, &sums, freedom, step, now.gain)) return;
    sb_affine_multiply(now.map, step, now.map);
    if (step_mm(s->aligner, step) >= enough_mm) continue;
    if (age == 1 || on == whole) return;
    age = REFOCUS; // there, unless another look at the scan says otherwise
  }
}

void sb_align_polish(sb_align_search *s, int level, sb_freedom freedom, int steps, double enough_mm,
                     sb_align_place *c) {
  static const double CLEARLY = 0.02, MOST_MM = 2;
  const sb_align_level *on = sb_align_seen(s, level, c);
  sb_align_place now = *c;
  c->ncc = -1;
  for (int i = 0; i < steps && on != NULL; i++) {
    double step[16];
    sb_alignment_sums sums;
    now.ncc = sb_align_look(s, on, level, &now, &sums);
    if (!isfinite(now.ncc) || (i > 0 && now.ncc < c->ncc - CLEARLY)) return;
    *c = now;
    if (!sb_align_level_step(on, &sums, freedom, step, now.gain)) return;
    sb_affine_multiply(now.map, step, now.map);
    const double moved_mm = step_mm(s->aligner, step);
    if (moved_mm < MOST_MM) {
      memcpy(c->map, now.map, sizeof now.map);
      memcpy(c->gain, now.gain, sizeof now.gain);
    }
    if (moved_mm < enough_mm) return;
  }
}

double sb_align_difference_mm(const sb_aligner *aligner, const sb_align_place *a,
                              const sb_align_place *b) {
  double inverse[16], step[16];
  if (!sb_affine_invert(a->map, inverse)) return INFINITY;
  sb_affine_multiply(inverse, b->map, step);
  return step_mm(aligner, step);
}
