// Where the search begins, and which of the places it leads to are kept.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/geometry.h"
#include "prepare/align_starts.h"

enum { TILTS = 12, SHIFTS = 6 };
static_assert(SB_ALIGN_STARTS == SB_AXIS_ROTATIONS * (1 + TILTS + SHIFTS), "as the header says");

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

void sb_align_start_map(const sb_aligner *aligner, const sb_brain *brain, const double r[9],
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

void sb_align_keep_of(const sb_aligner *aligner, const sb_align_place *c, int most,
                      sb_align_place *best, int *count) {
  static const double SAME_MM = 12;
  for (int i = 0; i < *count; i++)
    if (sb_align_difference_mm(aligner, &best[i], c) < SAME_MM) {
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

void sb_align_keep(const sb_aligner *aligner, const sb_align_place *c,
                   sb_align_place best[SB_ALIGN_PLACES], int *count) {
  sb_align_keep_of(aligner, c, SB_ALIGN_PLACES, best, count);
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
  sb_align_start_map(aligner, brain, axis, scale, centre, map);
}

// Whether a place fits so much worse than the best so far that more steps would not catch up.
static bool is_far_worse(const sb_align_place *c, const sb_align_place best[SB_ALIGN_PLACES],
                         int count) {
  static const double FAR_WORSE = 0.2;
  return count > 0 && c->ncc < best[0].ncc - FAR_WORSE;
}

void sb_align_try_starts(sb_align_search *s, const sb_brain *brain, int first, int last,
                         sb_align_place best[SB_ALIGN_PLACES], int *count) {
  const sb_aligner *aligner = s->aligner;
  double scale = cbrt(brain->volume_mm3 / aligner->volume_mm3);
  for (int i = first; i < last; i++) {
    sb_align_place c;
    start_of(aligner, brain, scale, i, c.map);
    sb_align_descend(s, 0, SB_SIMILARITY, 12, 1, &c);
    if (c.ncc > 0 && !is_far_worse(&c, best, *count)) sb_align_descend(s, 0, SB_AFFINE, 12, 1, &c);
    if (c.ncc > 0) sb_align_keep(aligner, &c, best, count);
  }
}

void sb_align_try_header(sb_align_search *s, const sb_brain *brain,
                         sb_align_place best[SB_ALIGN_PLACES], int *count) {
  static const double upright[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  double centre[3], distance = 0;
  sb_affine_apply(s->aligner->frame_to_ras, s->aligner->centre_mm, centre);
  for (int i = 0; i < 3; i++) distance = fmax(distance, fabs(centre[i] - brain->centre_mm[i]));
  if (distance > 60) return; // the header's origin is not where the template's is
  sb_align_place c;
  sb_align_start_map(s->aligner, brain, upright, 1, centre, c.map);
  sb_align_descend(s, 0, SB_SIMILARITY, 8, 1, &c);
  if (c.ncc > 0) sb_align_descend(s, 0, SB_AFFINE, 8, 1, &c);
  if (c.ncc > 0) sb_align_keep(s->aligner, &c, best, count);
}

// A place that fits far worse than the best after the steps that change most is not looked at any
// longer.
void sb_align_refine(sb_align_search *s, sb_align_place best[SB_ALIGN_PLACES], int *count) {
  sb_align_place coarse[SB_ALIGN_PLACES];
  int coarse_count = *count;
  memcpy(coarse, best, sizeof coarse);
  *count = 0;
  for (int i = 0; i < coarse_count; i++) {
    sb_align_descend(s, 1, SB_AFFINE, 5, 0.2, &coarse[i]);
    if (!is_far_worse(&coarse[i], best, *count))
      sb_align_descend(s, 1, SB_AFFINE, 15, 0.2, &coarse[i]);
    if (coarse[i].ncc > 0) sb_align_keep(s->aligner, &coarse[i], best, count);
  }
}
