// Affine alignment of a brain to the template: starts in all axis orientations at 8 mm, the best
// four at 4 mm, the best one at 2 and 1 mm.
#include "prepare/align.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "image/resample.h"
#include "image/smooth.h"
#include "prepare/mask.h"

static const double LEVEL_MM[SB_ALIGN_LEVELS] = {8, 4, 2, 1};

// ---- The template's side ------------------------------------------------------------------------

static void brain_centre(const sb_volume *image, const uint8_t *mask, const double spacing[3],
                         sb_aligner *out) {
  double sum[3] = {0}, count = 0;
  for (int64_t z = 0; z < image->dims[2]; z++)
    for (int64_t y = 0; y < image->dims[1]; y++)
      for (int64_t x = 0; x < image->dims[0]; x++) {
        if (mask[x + image->dims[0] * (y + image->dims[1] * z)] == 0) continue;
        sum[0] += (double)x;
        sum[1] += (double)y;
        sum[2] += (double)z;
        count++;
      }
  for (int i = 0; i < 3; i++) out->centre_mm[i] = sum[i] / count * spacing[i];
  out->volume_mm3 = count * spacing[0] * spacing[1] * spacing[2];
}

// The level nearest to `mm`: image and mask averaged over blocks, the mask smoothed by 2 and 4 mm.
static sb_status make_level(const sb_volume *image, const sb_volume *mask, const double fine_mm[3],
                            const double centre_mm[3], double mm, sb_align_level *out) {
  sb_volume small = {0}, smooth = {0}, near = {0};
  int64_t factors[3];
  double spacing[3], origin[3], narrow[3], wide[3];
  sb_status status;
  for (int i = 0; i < 3; i++) {
    factors[i] = llround(fmax(1, mm / fine_mm[i]));
    spacing[i] = (double)factors[i] * fine_mm[i];
    origin[i] = 0.5 * (double)(factors[i] - 1) * fine_mm[i];
    narrow[i] = 2 / spacing[i];
    wide[i] = 4 / spacing[i];
  }
  SB_TRY(sb_volume_shrink(image, factors, &small));
  SB_TRY(sb_volume_shrink(mask, factors, &smooth));
  SB_TRY(sb_volume_shrink(mask, factors, &near));
  SB_TRY(sb_volume_gaussian(&smooth, narrow));
  SB_TRY(sb_volume_gaussian(&near, wide));
  SB_TRY(sb_align_level_create(&small, &smooth, &near, spacing, origin, centre_mm, out));
cleanup:
  sb_volume_free(&small);
  sb_volume_free(&smooth);
  sb_volume_free(&near);
  return status;
}

// The frame that all levels share.
static sb_status make_frame(const sb_template *t, double fine_mm[3], sb_aligner *out) {
  double to_voxels[16];
  memset(out, 0, sizeof *out);
  sb_affine_identity(to_voxels);
  for (int i = 0; i < 3; i++) {
    const double *a = t->image.affine;
    fine_mm[i] = sqrt(a[i] * a[i] + a[4 + i] * a[4 + i] + a[8 + i] * a[8 + i]);
    to_voxels[5 * i] = 1 / fine_mm[i];
  }
  sb_affine_multiply(t->image.affine, to_voxels, out->frame_to_ras);
  if (!sb_affine_invert(out->frame_to_ras, out->ras_to_frame))
    return sb_error(SB_FORMAT, "%s: the template's orientation matrix is singular", t->path);
  brain_centre(&t->image, t->mask, fine_mm, out);
  return sb_ok();
}

// Level `at` of an image on the template's grid, of which the voxels where `near` is 1 take part.
static sb_status add_level(const sb_volume *image, const uint8_t *near, const double fine_mm[3],
                           double mm, int at, sb_aligner *out) {
  sb_volume mask = *image;
  const int64_t n = image->dims[0] * image->dims[1] * image->dims[2];
  sb_status status = SB_NEW(&mask.voxels, n, "template mask");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < n; i++) mask.voxels[i] = near[i];
  status = make_level(image, &mask, fine_mm, out->centre_mm, mm, &out->levels[at]);
  if (out->levels[at].longest > out->longest) out->longest = out->levels[at].longest;
  free(mask.voxels);
  return status;
}

sb_status sb_aligner_create(const sb_template *t, sb_aligner *out) {
  double fine_mm[3];
  sb_status status;
  SB_TRY(make_frame(t, fine_mm, out));
  for (int l = 0; l < SB_ALIGN_LEVELS; l++)
    SB_TRY(add_level(&t->image, t->mask, fine_mm, LEVEL_MM[l], l, out));
cleanup:
  if (status.code != SB_OK) sb_aligner_free(out);
  return status;
}

sb_status sb_aligner_create_head(const sb_template *t, const sb_volume *head, double margin_mm,
                                 sb_aligner *out) {
  const int64_t n = head->dims[0] * head->dims[1] * head->dims[2];
  double fine_mm[3];
  uint8_t *near = NULL;
  sb_status status;
  SB_TRY(make_frame(t, fine_mm, out));
  SB_TRY(SB_NEW(&near, n, "template mask"));
  memcpy(near, t->mask, (size_t)n);
  SB_TRY(sb_mask_grow(head->dims, near,
                      (int)(margin_mm / cbrt(fine_mm[0] * fine_mm[1] * fine_mm[2]) + 0.5)));
  SB_TRY(add_level(head, near, fine_mm, 8, SB_HEAD_COARSE, out));
  SB_TRY(add_level(head, near, fine_mm, 4, SB_HEAD_FINE, out));
  SB_TRY(add_level(head, t->mask, fine_mm, 4, SB_HEAD_BRAIN, out));
cleanup:
  free(near);
  if (status.code != SB_OK) sb_aligner_free(out);
  return status;
}

void sb_aligner_free(sb_aligner *aligner) {
  for (int l = 0; l < SB_ALIGN_LEVELS; l++) sb_align_level_free(&aligner->levels[l]);
}

// ---- The scan's side ----------------------------------------------------------------------------

// The scan at every level, and where its voxels are in the brain's box.
typedef struct scan_pyramid {
  sb_packed made[SB_ALIGN_LEVELS];          // those that are smaller than the brain's image
  const sb_packed *levels[SB_ALIGN_LEVELS]; // these, or the image as it is
  double from_box[SB_ALIGN_LEVELS][16];     // the box's voxel coordinates to the level's
} scan_pyramid;

static void pyramid_free(scan_pyramid *pyramid) {
  for (int l = 0; l < SB_ALIGN_LEVELS; l++) sb_packed_free(&pyramid->made[l]);
}

// From fine to coarse, each level averaged from the one before.
static sb_status pyramid_create(const sb_brain *brain, scan_pyramid *out) {
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
      factors[i] = llround(fmax(1, LEVEL_MM[l] / mm));
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

// ---- Descent ------------------------------------------------------------------------------------

// A map from template millimetres to the box's voxels, and how well it fits.
typedef struct candidate {
  double map[16];
  double ncc;
  double gain[SB_GAINS]; // of the last step
} candidate;

// The levels as the scan at hand is seen on them.
typedef struct scan_focus {
  sb_align_view views[SB_ALIGN_LEVELS];
  bool wanted[SB_ALIGN_LEVELS]; // false: the whole level
  sb_align_level level;         // the one in work
  float *weight, *basis;
} scan_focus;

typedef struct search {
  const sb_aligner *aligner;
  const scan_pyramid *scan;
  float *line;
  scan_focus *focus; // NULL: whole levels
} search;

// Coarse levels take all that the field of view holds: the outline leads to the right place. Fine
// ones stay inside the brain: where its outline runs is up to the stripping, and what is as dark as
// fluid may be brain that was cut off, resected or lost.
static sb_status focus_create(const sb_aligner *aligner, const sb_brain *brain,
                              const scan_pyramid *scan, scan_focus *out) {
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

static void focus_free(scan_focus *focus) {
  free(focus->weight);
  free(focus->basis);
}

// A level as the scan is seen on it from a place; NULL when too little is seen.
static const sb_align_level *level_from(const search *s, int level, const candidate *c) {
  const sb_align_level *whole = &s->aligner->levels[level];
  scan_focus *f = s->focus;
  double to_scan[16];
  if (f == NULL || !f->wanted[level]) return whole;
  sb_affine_multiply(s->scan->from_box[level], c->map, to_scan);
  return sb_align_level_focus(whole, s->scan->levels[level], to_scan, &f->views[level], s->line,
                              f->weight, f->basis, &f->level)
             ? &f->level
             : NULL;
}

// How far the map moved, in mm of the template: the largest shift of a point 70 mm from the centre.
static double step_mm(const sb_aligner *aligner, const double step[16]) {
  double most = 0;
  for (int corner = 0; corner < 8; corner++) {
    double p[3], q[3], square = 0;
    for (int i = 0; i < 3; i++) p[i] = aligner->centre_mm[i] + ((corner >> i & 1) != 0 ? 40 : -40);
    sb_affine_apply(step, p, q);
    for (int i = 0; i < 3; i++) square += (q[i] - p[i]) * (q[i] - p[i]);
    most = fmax(most, sqrt(square));
  }
  return most;
}

static double look(const search *s, const sb_align_level *on, int level, const candidate *c,
                   sb_alignment_sums *sums) {
  double to_scan[16];
  sb_affine_multiply(s->scan->from_box[level], c->map, to_scan);
  sb_align_level_look(on, s->scan->levels[level], to_scan, s->line, sums);
  return sb_align_level_ncc(on, sums);
}

enum { REFOCUS = 4 }; // most steps between looks at what the scan tells about

// Up to `steps` Gauss-Newton steps from a rough place: correlation may fall on the way, and the map
// where it was highest is kept. Ends early when a step is below `enough_mm`.
static void descend(const search *s, int level, sb_freedom freedom, int steps, double enough_mm,
                    candidate *c) {
  const sb_align_level *const whole = &s->aligner->levels[level], *on = NULL;
  int age = REFOCUS;
  candidate now = *c;
  c->ncc = -1;
  for (int i = 0; i <= steps; i++) {
    double step[16];
    sb_alignment_sums sums;
    if (age == REFOCUS) {
      on = level_from(s, level, &now);
      age = 0;
    }
    if (on == NULL) return;
    age++;
    now.ncc = look(s, on, level, &now, &sums);
    if (!isfinite(now.ncc)) return;
    if (now.ncc > c->ncc) *c = now;
    if (i == steps || !sb_align_level_step(on, &sums, freedom, step, now.gain)) return;
    sb_affine_multiply(now.map, step, now.map);
    if (step_mm(s->aligner, step) >= enough_mm) continue;
    if (age == 1 || on == whole) return;
    age = REFOCUS; // there, unless another look at the scan says otherwise
  }
}

// Up to `steps` steps from nearby: the last map is the result, since a step goes to where the model
// with its gain fits best, and plain correlation, which knows no gain, would pull back. The
// correlation is that before the last step. It ends when correlation falls clearly.
static void polish(const search *s, int level, sb_freedom freedom, int steps, double enough_mm,
                   candidate *c) {
  static const double CLEARLY = 0.02, MOST_MM = 2;
  const sb_align_level *on = level_from(s, level, c);
  candidate now = *c;
  c->ncc = -1;
  for (int i = 0; i < steps && on != NULL; i++) {
    double step[16];
    sb_alignment_sums sums;
    now.ncc = look(s, on, level, &now, &sums);
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

// ---- Starts -------------------------------------------------------------------------------------

enum { TILTS = 12, SHIFTS = 6, KEPT = SB_ALIGN_PLACES };
enum { STARTS = SB_AXIS_ROTATIONS * (1 + TILTS + SHIFTS) };

void sb_axis_rotation(int which, double r[9]) {
  static const int orders[6][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1},
                                   {0, 2, 1}, {2, 1, 0}, {1, 0, 2}};
  int order = which / 4, signs = which % 4;
  // Two free signs; the third makes the determinant +1 (the last three orders are odd).
  double s[3] = {(signs & 1) != 0 ? -1 : 1, (signs & 2) != 0 ? -1 : 1, 1};
  s[2] = s[0] * s[1] * (order < 3 ? 1 : -1);
  memset(r, 0, 9 * sizeof *r);
  for (int i = 0; i < 3; i++) r[3 * i + orders[order][i]] = s[i];
}

// Rotation by 40 degrees about one of 12 axes, evenly spread (the vertices of an icosahedron).
static void tilt(int which, double r[9]) {
  static const double golden = 1.6180339887498949, angle = 40 * 0.017453292519943295;
  double length = sqrt(1 + golden * golden), a[3] = {0};
  int first = which / 4;
  a[first] = ((which & 1) != 0 ? -1 : 1) / length;
  a[(first + 1) % 3] = ((which & 2) != 0 ? -golden : golden) / length;
  double c = cos(angle), s = sin(angle);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      double cross = i == j ? 0 : ((j - i + 3) % 3 == 1 ? -a[3 - i - j] : a[3 - i - j]);
      r[3 * i + j] = (i == j ? c : 0) + (1 - c) * a[i] * a[j] + s * cross;
    }
}

// The map that turns the template by `r`, scales it, and puts its centre at `centre_mm` (RAS).
static void start_map(const sb_aligner *aligner, const sb_brain *brain, const double r[9],
                      double scale, const double centre_mm[3], double map[16]) {
  double to_ras[16], to_box[16], p[3];
  sb_affine_identity(to_ras);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) to_ras[4 * i + j] = scale * r[3 * i + j];
  sb_affine_apply(to_ras, aligner->centre_mm, p);
  for (int i = 0; i < 3; i++) to_ras[4 * i + 3] = centre_mm[i] - p[i];
  sb_affine_invert(brain->image.affine, to_box);
  sb_affine_multiply(to_box, to_ras, map);
}

// Distance between where two maps put the brain, in mm of the template.
static double difference_mm(const sb_aligner *aligner, const candidate *a, const candidate *b) {
  double inverse[16], step[16];
  if (!sb_affine_invert(a->map, inverse)) return INFINITY;
  sb_affine_multiply(inverse, b->map, step);
  return step_mm(aligner, step);
}

// Puts a candidate among the best `most`, unless a better one is in the same place.
static void keep_of(const sb_aligner *aligner, const candidate *c, int most, candidate *best,
                    int *count) {
  static const double SAME_MM = 12;
  for (int i = 0; i < *count; i++)
    if (difference_mm(aligner, &best[i], c) < SAME_MM) {
      if (c->ncc <= best[i].ncc) return;
      memmove(&best[i], &best[i + 1], (size_t)(*count - i - 1) * sizeof *best); // worse twin out
      (*count)--;
      i--;
    }
  int at = *count;
  while (at > 0 && best[at - 1].ncc < c->ncc) at--;
  if (at >= most) return;
  int tail = (*count < most ? *count : most - 1) - at;
  memmove(&best[at + 1], &best[at], (size_t)tail * sizeof *best);
  best[at] = *c;
  if (*count < most) (*count)++;
}

static void keep(const sb_aligner *aligner, const candidate *c, candidate best[KEPT], int *count) {
  keep_of(aligner, c, KEPT, best, count);
}

// Start `which`: an axis rotation, then tilts of it, then the centre 25 mm off along each of the
// template's axes, for brains that are cut off.
static void start_of(const sb_aligner *aligner, const sb_brain *brain, double scale, int which,
                     double map[16]) {
  static const double SHIFT_MM = 25;
  const int variant = which / SB_AXIS_ROTATIONS - 1;
  double axis[9], tilted[9], centre[3];
  sb_axis_rotation(which % SB_AXIS_ROTATIONS, axis);
  memcpy(centre, brain->centre_mm, sizeof centre);
  if (variant >= 0 && variant < TILTS) {
    double r[9];
    tilt(variant, tilted);
    for (int k = 0; k < 9; k++)
      r[k] = axis[k / 3 * 3] * tilted[k % 3] + axis[k / 3 * 3 + 1] * tilted[3 + k % 3] +
             axis[k / 3 * 3 + 2] * tilted[6 + k % 3];
    memcpy(axis, r, sizeof axis);
  } else if (variant >= TILTS) {
    const int along = (variant - TILTS) / 2;
    const double shift = (variant % 2 != 0 ? -1 : 1) * scale * SHIFT_MM;
    for (int i = 0; i < 3; i++) centre[i] += shift * axis[3 * i + along];
  }
  start_map(aligner, brain, axis, scale, centre, map);
}

// Whether a place fits so much worse than the best so far that more steps would not catch up.
static bool is_far_worse(const candidate *c, const candidate best[KEPT], int count) {
  static const double FAR_WORSE = 0.2;
  return count > 0 && c->ncc < best[0].ncc - FAR_WORSE;
}

// The coarse search over starts first..last-1.
static void try_starts(const search *s, const sb_brain *brain, int first, int last,
                       candidate best[KEPT], int *count) {
  const sb_aligner *aligner = s->aligner;
  double scale = cbrt(brain->volume_mm3 / aligner->volume_mm3);
  for (int i = first; i < last; i++) {
    candidate c;
    start_of(aligner, brain, scale, i, c.map);
    descend(s, 0, SB_SIMILARITY, 12, 1, &c);
    if (c.ncc > 0 && !is_far_worse(&c, best, *count)) descend(s, 0, SB_AFFINE, 12, 1, &c);
    if (c.ncc > 0) keep(aligner, &c, best, count);
  }
}

// One more start: the brain where the header says it is, for scans whose centre of mass misleads.
static void try_header(const search *s, const sb_brain *brain, candidate best[KEPT], int *count) {
  static const double upright[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  double centre[3], distance = 0;
  sb_affine_apply(s->aligner->frame_to_ras, s->aligner->centre_mm, centre);
  for (int i = 0; i < 3; i++) distance = fmax(distance, fabs(centre[i] - brain->centre_mm[i]));
  if (distance > 60) return; // the header's origin is not where the template's is
  candidate c;
  start_map(s->aligner, brain, upright, 1, centre, c.map);
  descend(s, 0, SB_SIMILARITY, 8, 1, &c);
  if (c.ncc > 0) descend(s, 0, SB_AFFINE, 8, 1, &c);
  if (c.ncc > 0) keep(s->aligner, &c, best, count);
}

// The kept starts at 4 mm, sorted again by how well they fit there. A place that fits far worse than
// the best after the steps that change most is not looked at any longer.
static void refine(const search *s, candidate best[KEPT], int *count) {
  candidate coarse[KEPT];
  int coarse_count = *count;
  memcpy(coarse, best, sizeof coarse);
  *count = 0;
  for (int i = 0; i < coarse_count; i++) {
    descend(s, 1, SB_AFFINE, 5, 0.2, &coarse[i]);
    if (!is_far_worse(&coarse[i], best, *count)) descend(s, 1, SB_AFFINE, 15, 0.2, &coarse[i]);
    if (coarse[i].ncc > 0) keep(s->aligner, &coarse[i], best, count);
  }
}

static double lead(const candidate best[KEPT], int count) {
  return count < 2 ? best[0].ncc : best[0].ncc - best[1].ncc;
}

// ---- Ends ---------------------------------------------------------------------------------------

// How much better the brain fits than its mirror image, at 4 mm.
//   as_is  how well it fits there
static double handedness(const search *s, const candidate *found, double as_is) {
  candidate mirrored = *found;
  double flip[16];
  sb_affine_identity(flip);
  flip[0] = -1;
  // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there always is an aligner
  flip[3] = 2 * s->aligner->centre_mm[0];
  sb_affine_multiply(found->map, flip, mirrored.map);
  descend(s, 1, SB_AFFINE, 6, 0.1, &mirrored);
  return as_is - mirrored.ncc;
}

// A right alignment of a whole brain leads the next place by 0.1 and more and fits with 0.78 and
// more at 4 mm; both depend on the scan, so that less is a doubt and no more.
static bool doubtful(const candidate best[KEPT], int count) {
  return count == 0 || lead(best, count) < 0.1 || best[0].ncc < 0.78;
}

// From a place that fits at 4 mm to where alignment ends; its correlation at 2 mm. Few steps: what the
// first leave undone is what the scan hardly tells, and going on until nothing moves takes two scans
// of one person further apart again.
static double settle(const search *s, candidate *c) {
  polish(s, 2, SB_AFFINE, 4, 0.05, c);
  const double correlation = c->ncc;
  polish(s, 3, SB_AFFINE, 3, 0.01, c);
  return correlation;
}

// Takes a place that a descent at 4 mm led to on to full resolution. False when it comes to nothing.
static bool finish(const search *s, const sb_brain *brain, const candidate *start,
                   sb_alignment *out) {
  candidate found = *start;
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
  scan_pyramid pyramid = {0};
  scan_focus focus = {0};
  search s = {aligner, &pyramid, NULL, &focus};
  candidate best[KEPT];
  int kept = 0, starts = SB_AXIS_ROTATIONS + 1;
  sb_status status;
  *count = 0;
  SB_TRY(SB_NEW(&s.line, aligner->longest, "alignment"));
  SB_TRY(pyramid_create(brain, &pyramid));
  SB_TRY(focus_create(aligner, brain, &pyramid, &focus));

  try_starts(&s, brain, 0, SB_AXIS_ROTATIONS, best, &kept);
  try_header(&s, brain, best, &kept);
  refine(&s, best, &kept);
  if (thorough || doubtful(best, kept)) {
    try_starts(&s, brain, SB_AXIS_ROTATIONS, STARTS, best, &kept);
    refine(&s, best, &kept);
    starts = STARTS + 1;
  }
  for (int i = 0; i < kept && (i == 0 || thorough || doubtful(best, kept)); i++) {
    sb_alignment *place = &places[*count];
    if (!finish(&s, brain, &best[i], place)) continue;
    place->starts = starts;
    place->next_correlation = i == 0 ? lead(best, kept) : best[i].ncc - best[0].ncc;
    (*count)++;
  }
  if (*count == 0)
    status =
        sb_error(SB_ALIGN,
                 "no alignment to the template fits from any of %d starts: not T1-weighted, or "
                 "not a brain?",
                 starts);
cleanup:
  free(s.line);
  focus_free(&focus);
  pyramid_free(&pyramid);
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
  scan_pyramid pyramid = {0};
  scan_focus focus = {0};
  search s = {aligner, &pyramid, NULL, &focus};
  candidate here = {.gain = {1}}, settled;
  sb_alignment_sums sums;
  double to_box[16], step[16];
  sb_status status;
  memset(given, 0, sizeof *given);
  sb_affine_identity(given->template_to_scan);
  SB_TRY(SB_NEW(&s.line, aligner->longest, "alignment"));
  SB_TRY(pyramid_create(brain, &pyramid));
  SB_TRY(focus_create(aligner, brain, &pyramid, &focus));
  sb_affine_invert(brain->image.affine, to_box);
  sb_affine_multiply(to_box, aligner->frame_to_ras, here.map);

  const sb_align_level *on = level_from(&s, 2, &here);
  here.ncc = look(&s, on != NULL ? on : &aligner->levels[2], 2, &here, &sums);
  given->correlation = here.ncc;
  settled = here;
  descend(&s, 1, SB_AFFINE, 6, 0.1, &settled);
  given->handedness = handedness(&s, &here, settled.ncc);
  given->next_correlation = NAN; // nothing was searched for
  on = level_from(&s, 3, &here);
  if (on == NULL) on = &aligner->levels[3];
  look(&s, on, 3, &here, &sums);
  sb_align_level_step(on, &sums, SB_AFFINE, step, here.gain);
  memcpy(given->gain, here.gain, sizeof given->gain);

  settled = here;
  descend(&s, 0, SB_SIMILARITY, 12, 1, &settled);
  descend(&s, 0, SB_AFFINE, 12, 1, &settled);
  descend(&s, 1, SB_AFFINE, 20, 0.2, &settled);
  const double correlation = settle(&s, &settled);
  // Plain correlation may fall a little where the model with its gain fits better.
  *moved_mm = correlation > here.ncc - 0.02 ? difference_mm(aligner, &here, &settled) : 0;
cleanup:
  free(s.line);
  focus_free(&focus);
  pyramid_free(&pyramid);
  return status;
}

// ---- Heads --------------------------------------------------------------------------------------

// Places of a head that are looked at more closely. Its outline and what surrounds the brain (fat,
// muscle, a face that was cut off) differ from head to head, so the right place need not be the
// best one at 8 mm.
enum { HEAD_KEPT = 6, HEAD_KEPT_THOROUGH = 24 };

// The best of these starts, by how well the brain alone fits: the right place (0.57 to 0.83 in the
// heads at hand) leads all others, while with its surroundings it often does not.
static void try_head_starts(const search *s, const sb_brain *brain, const sb_align_start *starts,
                            int count, bool thorough, candidate best[KEPT], int *kept) {
  candidate coarse[HEAD_KEPT_THOROUGH];
  const int most = thorough ? HEAD_KEPT_THOROUGH : HEAD_KEPT;
  int coarse_kept = 0;
  for (int i = 0; i < count; i++) {
    candidate c;
    start_map(s->aligner, brain, starts[i].rotation, starts[i].scale, starts[i].centre_mm, c.map);
    descend(s, SB_HEAD_COARSE, SB_SIMILARITY, thorough ? 16 : 8, 1, &c);
    if (c.ncc > 0) keep_of(s->aligner, &c, most, coarse, &coarse_kept);
  }
  for (int i = 0; i < coarse_kept; i++) {
    descend(s, SB_HEAD_COARSE, SB_AFFINE, 12, 0.5, &coarse[i]);
    descend(s, SB_HEAD_FINE, SB_AFFINE, 4, 0.5, &coarse[i]);
    descend(s, SB_HEAD_BRAIN, SB_AFFINE, 6, 0.5, &coarse[i]);
    if (coarse[i].ncc > 0) keep(s->aligner, &coarse[i], best, kept);
  }
}

// Takes a place of a head to the end. False when it comes to nothing.
static bool finish_head(const search *s, const sb_brain *brain, candidate *c, sb_alignment *out) {
  memset(out, 0, sizeof *out);
  polish(s, SB_HEAD_BRAIN, SB_AFFINE, 12, 0.1, c);
  out->correlation = c->ncc;
  sb_affine_multiply(brain->image.affine, c->map, out->template_to_scan);
  sb_affine_multiply(out->template_to_scan, s->aligner->ras_to_frame, out->template_to_scan);
  return c->ncc > 0;
}

sb_status sb_align_head(const sb_aligner *aligner, const sb_brain *brain,
                        const sb_align_start *starts, int start_count, int likely, bool thorough,
                        sb_alignment places[SB_ALIGN_PLACES], int *count) {
  static const double CLEAR = 0.6;
  scan_pyramid pyramid = {0};
  search s = {.aligner = aligner, .scan = &pyramid};
  candidate best[KEPT];
  int kept = 0, tried = likely;
  sb_status status;
  *count = 0;
  SB_TRY(SB_NEW(&s.line, aligner->longest, "alignment"));
  SB_TRY(pyramid_create(brain, &pyramid));
  try_head_starts(&s, brain, starts, likely, thorough, best, &kept);
  if (thorough || kept == 0 || best[0].ncc < CLEAR) {
    try_head_starts(&s, brain, starts + likely, start_count - likely, thorough, best, &kept);
    tried = start_count;
  }
  const double ahead = kept > 0 ? lead(best, kept) : 0;
  for (int i = 0; i < (thorough ? kept : 1) && i < kept; i++) {
    sb_alignment *place = &places[*count];
    if (!finish_head(&s, brain, &best[i], place)) continue;
    place->next_correlation = i == 0 ? ahead : place->correlation - places[0].correlation;
    place->starts = tried;
    (*count)++;
  }
  if (*count == 0) status = sb_error(SB_ALIGN, "no alignment to the template's head fits");
cleanup:
  free(s.line);
  pyramid_free(&pyramid);
  return status;
}

sb_status sb_align_near(const sb_aligner *aligner, const sb_brain *brain,
                        const double template_to_scan[16], sb_alignment *out) {
  scan_pyramid pyramid = {0};
  scan_focus focus = {0};
  search s = {aligner, &pyramid, NULL, &focus};
  candidate found;
  double to_box[16];
  sb_status status;
  memset(out, 0, sizeof *out);
  SB_TRY(SB_NEW(&s.line, aligner->longest, "alignment"));
  SB_TRY(pyramid_create(brain, &pyramid));
  SB_TRY(focus_create(aligner, brain, &pyramid, &focus));
  bool fits = sb_affine_invert(brain->image.affine, to_box);
  if (fits) {
    sb_affine_multiply(template_to_scan, aligner->frame_to_ras, found.map);
    sb_affine_multiply(to_box, found.map, found.map);
    descend(&s, 1, SB_AFFINE, 20, 0.2, &found);
    fits = found.ncc > 0 && finish(&s, brain, &found, out);
  }
  if (!fits) status = sb_error(SB_ALIGN, "no alignment to the template fits nearby");
  out->starts = 1;
cleanup:
  free(s.line);
  focus_free(&focus);
  pyramid_free(&pyramid);
  return status;
}

double sb_align_gain(const sb_aligner *aligner, const sb_alignment *alignment,
                     const double point_mm[3]) {
  double p[3];
  sb_affine_apply(aligner->ras_to_frame, point_mm, p);
  const double gain =
      sb_align_level_gain(&aligner->levels[SB_ALIGN_LEVELS - 1], alignment->gain, p);
  return fmax(1.0 / 3, fmin(3, gain));
}
