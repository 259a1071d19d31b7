// Heads for tests: skull, scalp, face, eyes and neck built around a stripped brain and bent with it,
// whose own mask, bent alike, is the truth that brain extraction is measured against. What is random
// about a head (thicknesses, brightness, bias field, noise, field of view) is drawn from its seed.
#ifndef SB_TESTS_HEAD_CASES_H
#define SB_TESTS_HEAD_CASES_H

#include <stdbool.h>

#include "image/orient.h"
#include "image/smooth.h"
#include "prepare/mask.h"
#include "prepare/sample.h"
#include "prepare/template.h"

#include "registration_cases.h"

static inline int64_t voxels_of(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

// Where a stripped scan differs from its corner, without holes.
static inline sb_status own_mask(const sb_volume *scan, uint8_t **mask) {
  const int64_t n = voxels_of(scan);
  int64_t count, next;
  sb_status status = SB_NEW(mask, n, "mask");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < n; i++) (*mask)[i] = scan->voxels[i] != scan->voxels[0];
  status = sb_mask_keep_largest(scan->dims, *mask, &count, &next);
  return status.code == SB_OK ? sb_mask_fill_holes(scan->dims, *mask) : status;
}

// Dice of a mask and the voxels that are not 0 in an image cut out of the same grid.
static inline sb_status dice_of(const sb_volume *scan, const uint8_t *mask, const sb_volume *brain,
                                double *dice) {
  double to_voxels[16], corner[3] = {brain->affine[3], brain->affine[7], brain->affine[11]};
  const int64_t n = voxels_of(scan), inner = voxels_of(brain), *d = brain->dims;
  int64_t both = 0, sum = 0, offset[3];
  uint8_t *found = NULL;
  if (!sb_affine_invert(scan->affine, to_voxels)) return sb_error(SB_FORMAT, "singular");
  sb_affine_apply(to_voxels, corner, corner);
  for (int i = 0; i < 3; i++) offset[i] = llround(corner[i]);
  sb_status status = SB_NEW(&found, inner, "mask");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < inner; i++) found[i] = brain->voxels[i] != 0;
  status = sb_mask_fill_holes(d, found);
  for (int64_t i = 0; i < n; i++) sum += mask[i];
  for (int64_t i = 0; i < inner; i++) {
    int64_t x = i % d[0] + offset[0], y = i / d[0] % d[1] + offset[1],
            z = i / (d[0] * d[1]) + offset[2];
    sum += found[i];
    both += found[i] & mask[x + scan->dims[0] * (y + scan->dims[1] * z)];
  }
  free(found);
  *dice = 2 * (double)both / (double)sum;
  return status;
}

// ---- Distance from a mask -----------------------------------------------------------------------

// Distance in mm (at most `most_mm`) from the mask, along chains of neighbouring voxels.
static inline void chain_distance(const int64_t dims[3], const double mm[3], const uint8_t *mask,
                                  float most_mm, float *distance) {
  const int64_t n = dims[0] * dims[1] * dims[2];
  int64_t offsets[13];
  int shifts[13][3], count = 0;
  float lengths[13];
  for (int k = -1; k <= 0; k++) // the 13 neighbours that come before a voxel
    for (int j = -1; j <= 1; j++)
      for (int i = -1; i <= 1; i++) {
        if (k > -1 && (j > 0 || (j == 0 && i >= 0))) continue;
        const int s[3] = {i, j, k};
        memcpy(shifts[count], s, sizeof s);
        offsets[count] = i + dims[0] * (j + dims[1] * k);
        lengths[count++] =
            (float)sqrt(i * i * mm[0] * mm[0] + j * j * mm[1] * mm[1] + k * k * mm[2] * mm[2]);
      }
  for (int64_t i = 0; i < n; i++) distance[i] = mask[i] != 0 ? 0 : most_mm;
  for (int pass = 0; pass < 2; pass++)
    for (int64_t step = 0; step < n; step++) {
      int64_t at = pass == 0 ? step : n - 1 - step, sign = pass == 0 ? 1 : -1;
      if (distance[at] <= 0) continue;
      const int64_t p[3] = {at % dims[0], at / dims[0] % dims[1], at / (dims[0] * dims[1])};
      for (int c = 0; c < count; c++) {
        bool inside = true;
        for (int a = 0; a < 3; a++) {
          int64_t q = p[a] + sign * shifts[c][a];
          inside = inside && q >= 0 && q < dims[a];
        }
        if (!inside) continue;
        float other = distance[at + sign * offsets[c]] + lengths[c];
        if (other < distance[at]) distance[at] = other;
      }
    }
}

// ---- Smooth random functions --------------------------------------------------------------------

// Random values on a lattice of 12 mm, smoothed, of about -1 to 1.
typedef struct smooth_field {
  sb_padded lattice;
} smooth_field;

enum { FIELD_SIZE = 34 };
static const double FIELD_MM = 12;

static inline sb_status field_create(uint64_t *state, double wave_mm, smooth_field *f) {
  static const int64_t origin[3] = {0, 0, 0};
  sb_volume v = {.dims = {FIELD_SIZE, FIELD_SIZE, FIELD_SIZE}};
  const double sigma[3] = {wave_mm / FIELD_MM, wave_mm / FIELD_MM, wave_mm / FIELD_MM};
  double square = 0;
  sb_status status;
  sb_affine_identity(v.affine);
  SB_TRY(SB_NEW(&v.voxels, voxels_of(&v), "field"));
  for (int64_t i = 0; i < voxels_of(&v); i++) v.voxels[i] = (float)normal(state);
  SB_TRY(sb_volume_gaussian(&v, sigma));
  for (int64_t i = 0; i < voxels_of(&v); i++)
    square += (double)v.voxels[i] * (double)v.voxels[i] / (double)voxels_of(&v);
  for (int64_t i = 0; i < voxels_of(&v); i++)
    v.voxels[i] = fmaxf(-1, fminf(1, v.voxels[i] * (float)(0.6 / sqrt(square))));
  SB_TRY(sb_padded_crop(&v, origin, v.dims, &f->lattice));
cleanup:
  sb_volume_free(&v);
  return status;
}

// Along a row of voxels: at `start` (mm from the middle of the field), then every `step`.
static inline void field_row(const smooth_field *f, const double start[3], const double step[3],
                             int64_t count, float *out) {
  double s[3], d[3];
  for (int i = 0; i < 3; i++) {
    s[i] = start[i] / FIELD_MM + 0.5 * (FIELD_SIZE - 1);
    d[i] = step[i] / FIELD_MM;
  }
  sb_sample_row(&f->lattice, s, d, count, out);
}

// ---- Tissue -------------------------------------------------------------------------------------

enum { GAP, SKULL, SCALP, MARROW, FAT, BIAS, BEND_X, BEND_Y, BEND_Z, FIELDS };

// What a head is like. Lengths in mm, brightness relative to white matter.
typedef struct head_kind {
  double gap, gap_varies;        // fluid between brain and dura
  double dura, dura_bright;      // its thickness
  double skull, scalp;           // thickness
  double marrow, fat, muscle;    // brightness
  double eye, orbit_fat, vessel; // brightness
  double fluid;                  // brightness
  double bias, noise, bend;      // bias field; sigma of the noise; mm of displacement
  double above, below;           // field of view: above the brain's centre, and below
  bool air_noise;                // else the air is exactly 0, as after defacing or conversion
  bool no_face;                  // defaced
} head_kind;

static inline head_kind head_kind_of(uint64_t *state) {
  head_kind k = {
      .gap = uniform(state, 0.3, 3),
      .gap_varies = uniform(state, 0.3, 1),
      .dura = uniform(state, 0.4, 1.2),
      .dura_bright = uniform(state, 0.3, 0.75),
      .skull = uniform(state, 4, 8),
      .scalp = uniform(state, 3.5, 9),
      .marrow = uniform(state, 0.1, 1.1),
      .fat = uniform(state, 0.8, 1.7),
      .muscle = uniform(state, 0.45, 0.7),
      .eye = uniform(state, 0.15, 0.35),
      .orbit_fat = uniform(state, 1, 1.5),
      .vessel = uniform(state, 0.2, 0.9),
      .fluid = uniform(state, 0.12, 0.3),
      .bias = uniform(state, 0.05, 0.3),
      .noise = uniform(state, 0.015, 0.05),
      .bend = uniform(state, 2, 5),
      .above = uniform(state, 92, 125),
      .below = uniform(state, 75, 165),
      .air_noise = uniform(state, 0, 1) < 0.7,
      .no_face = uniform(state, 0, 1) < 0.2,
  };
  return k;
}

static inline double ball(const double p[3], double x, double y, double z, double rx, double ry,
                          double rz) {
  double a = (p[0] - x) / rx, b = (p[1] - y) / ry, c = (p[2] - z) / rz;
  return sqrt(a * a + b * b + c * c);
}

// What is outside the brain at `p` (template mm), `d` mm from the brain; g are the fields there.
static inline double outside_brain(const head_kind *k, const double g[FIELDS], const double p[3],
                                   double d) {
  const double side = p[0] > 0 ? 33 : -33;
  const double eye = ball(p, side, 62, -36, 12, 12, 12), orbit = ball(p, side, 52, -36, 21, 27, 20);
  const double face = ball(p, 0, 38, -68, 64, 60, 72), nose = ball(p, 0, 58, -62, 13, 34, 22);
  const double neck = ball(p, 0, -22, 0, 62, 68, 1e9), cord = ball(p, 0, -40, 0, 6, 6, 1e9);
  const double fluid = k->gap * fmax(0, 1 + k->gap_varies * 1.5 * g[GAP]);
  const double shell = fluid + k->dura + (orbit < 1 ? 1.5 : k->skull * (1 + 0.4 * g[SKULL]));
  const double scalp = k->scalp * (1 + 0.3 * g[SCALP]);
  if (p[2] < -60 && cord < 1) return 0.85; // the spinal cord goes on where the brain ends
  if (p[2] < -60 && cord < 1.6) return k->fluid;
  if (k->no_face && p[1] > 30 && p[2] < -22 && d > 8) return 0;
  if (d < fluid) return k->fluid;
  if (d < fluid + k->dura) return k->dura_bright;
  if (fabs(p[0]) < 4 && p[2] > 0 && d < shell) return k->vessel; // sagittal sinus
  if (fabs(p[0] - side * (p[1] - 10) / 42) < 2 && fabs(p[2] + 36 - (52 - p[1]) * 0.3) < 2 &&
      p[1] > 10 && p[1] < 52)
    return 0.6; // optic nerve
  if (d < shell) {
    double depth = (d - fluid - k->dura) / (shell - fluid - k->dura);
    return depth > 0.3 && depth < 0.75 && g[MARROW] > -0.2 ? k->marrow : 0.05;
  }
  if (eye < 1) return k->eye;
  if (orbit < 1) return k->orbit_fat;
  if (nose < 1) return 0.02;
  if (d < shell + scalp) return d > shell + scalp - 1.5 ? 0.6 : k->fat * (1 + 0.2 * g[FAT]);
  if (face < 1) return face > 0.93 ? k->fat : k->muscle + 0.35 * g[MARROW];
  if (p[2] < -40 && neck < 1) {
    if (ball(p, 0, -42, 0, 22, 20, 1e9) < 1) return 0.15; // vertebrae
    return neck > 0.9 ? k->fat : k->muscle + 0.1 * g[MARROW];
  }
  return 0;
}

// The brightness of the brain's bright end: the mean of what is above its mean.
static inline double bright_end(const sb_volume *scan, const uint8_t *mask, double background) {
  double mean = 0;
  for (int pass = 0; pass < 2; pass++) {
    double sum = 0, count = 0;
    for (int64_t i = 0; i < voxels_of(scan); i++) {
      double v = (double)scan->voxels[i] - background;
      if (mask[i] == 0 || v <= mean) continue;
      sum += v;
      count++;
    }
    mean = sum / count;
  }
  return mean;
}

// ---- The head -----------------------------------------------------------------------------------

// Two normal numbers for the price of one (Box and Muller).
static inline void normal_pair(uint64_t *state, double *a, double *b) {
  const double length = sqrt(-2 * log(uniform(state, 1e-12, 1)));
  const double angle = uniform(state, 0, 6.283185307179586);
  *a = length * cos(angle);
  *b = length * sin(angle);
}

typedef struct head_plan {
  head_kind kind;
  smooth_field fields[FIELDS];
  double to_template[16]; // scan mm to template mm
  double from_head[16];   // head mm to scan mm, before bending
  const sb_volume *scan;
  const uint8_t *own;
  double to_voxels[16]; // scan mm to scan voxels
  double background, bright;
} head_plan;

// The field of view: 1 mm voxels, 200 x 240 mm across, cut above and below as the kind says.
static inline void head_grid(const head_kind *k, const double centre[3], sb_volume *head) {
  sb_affine_identity(head->affine);
  const double low[3] = {-100, -122, -k->below}, high[3] = {100, 118, k->above};
  for (int i = 0; i < 3; i++) {
    head->dims[i] = llround(high[i] - low[i]);
    head->affine[4 * i + 3] = centre[i] + low[i];
  }
}

// Scan positions (mm) along a row of the head, and the fields there.
//   bend_only  leave out the other fields
static inline void head_row(const head_plan *plan, const sb_volume *head, int64_t row,
                            bool bend_only, float *lines[FIELDS], double (*points)[3]) {
  const int64_t nx = head->dims[0], ny = head->dims[1], nz = head->dims[2];
  const double at[3] = {0, (double)(row % ny), (double)(row / ny)}, step[3] = {1, 0, 0};
  const double start[3] = {at[0] - 0.5 * (double)nx, at[1] - 0.5 * (double)ny,
                           at[2] - 0.5 * (double)nz};
  for (int f = bend_only ? BEND_X : 0; f < FIELDS; f++)
    field_row(&plan->fields[f], start, step, nx, lines[f]);
  for (int64_t x = 0; x < nx; x++) {
    double p[3] = {(double)x, at[1], at[2]};
    sb_affine_apply(head->affine, p, p);
    for (int i = 0; i < 3; i++) p[i] += plan->kind.bend * (double)lines[BEND_X + i][x];
    sb_affine_apply(plan->from_head, p, points[x]);
  }
}

static inline bool nearest_voxel(const sb_volume *v, const double p[3], int64_t *at) {
  int64_t q[3];
  for (int i = 0; i < 3; i++) {
    q[i] = llround(p[i]);
    if (q[i] < 0 || q[i] >= v->dims[i]) return false;
  }
  *at = q[0] + v->dims[0] * (q[1] + v->dims[1] * q[2]);
  return true;
}

// Fills the head's brain and mask (`around` NULL), or all the rest once distances are known.
//   skin  a real head on the template's space, used around the brain in place of the model, with
//         its brain's mask; NULL: the model
static inline void fill_head(const head_plan *plan, const sb_volume *skin,
                             const uint8_t *skin_brain, const float *distance, uint64_t *seed,
                             float *lines[FIELDS], double (*points)[3], sb_volume *head,
                             uint8_t *mask) {
  const head_kind *k = &plan->kind;
  const int64_t nx = head->dims[0];
  double to_skin[16];
  if (skin != NULL) sb_affine_invert(skin->affine, to_skin);
  for (int64_t row = 0; row < head->dims[1] * head->dims[2]; row++) {
    head_row(plan, head, row, distance == NULL, lines, points);
    for (int64_t x = 0; x < nx; x++) {
      const int64_t i = nx * row + x;
      double p[3], g[FIELDS];
      int64_t at;
      if (distance == NULL) {
        sb_affine_apply(plan->to_voxels, points[x], p);
        if (!nearest_voxel(plan->scan, p, &at) || plan->own[at] == 0) continue;
        mask[i] = 1;
        head->voxels[i] = sb_sample_linear(plan->scan, p[0], p[1], p[2], (float)plan->background) -
                          (float)plan->background;
        continue;
      }
      double v = (double)head->voxels[i];
      sb_affine_apply(plan->to_template, points[x], p);
      for (int f = 0; f < FIELDS; f++) g[f] = (double)lines[f][x];
      if (mask[i] == 0 && skin != NULL) {
        sb_affine_apply(to_skin, p, p);
        v = nearest_voxel(skin, p, &at) && skin_brain[at] != 0
                ? plan->bright * k->fluid
                : plan->bright * (double)sb_sample_linear(skin, p[0], p[1], p[2], 0);
      } else if (mask[i] == 0) {
        v = plan->bright * outside_brain(k, g, p, (double)distance[i]);
      }
      if (v <= 0 && !k->air_noise) continue;
      v *= 1 + k->bias * g[BIAS];
      double real, other;
      normal_pair(seed, &real, &other);
      real = v + k->noise * plan->bright * real;
      other *= k->noise * plan->bright;
      head->voxels[i] = (float)sqrt(real * real + other * other);
    }
  }
}

// Builds a head around a stripped scan whose place on the template is known: turned, scaled and
// sheared as random_affine does, and bent.
//   skin  NULL: skull, scalp, face and neck of a model; else what is around another brain: a real
//         head on the template's space, white matter 1, and `skin_brain`, where its brain was
//   mask  out: the brain's, on the head's grid
static inline sb_status build_head(const sb_volume *scan, const double to_scan[16],
                                   const sb_volume *skin, const uint8_t *skin_brain, uint64_t seed,
                                   sb_volume *head, uint8_t **mask) {
  static const double brain_centre[3] = {0, -20, 10}; // of the template's
  static const double one[3] = {1, 1, 1};
  head_plan plan = {.scan = scan, .background = (double)scan->voxels[0]};
  uint8_t *own = NULL;
  float *distance = NULL, *lines[FIELDS] = {NULL};
  double(*points)[3] = NULL, a[16], centre[3];
  sb_status status;
  *mask = NULL;
  memset(head, 0, sizeof *head);
  plan.kind = head_kind_of(&seed);
  for (int f = 0; f < FIELDS; f++)
    SB_TRY(field_create(&seed, f == BIAS || f >= BEND_X ? 40 : 15, &plan.fields[f]));
  SB_TRY(own_mask(scan, &own));
  plan.own = own;
  plan.bright = bright_end(scan, own, plan.background);
  sb_affine_apply(to_scan, brain_centre, centre);
  random_affine(&seed, centre, a);
  sb_affine_apply(a, centre, centre);
  if (!sb_affine_invert(to_scan, plan.to_template) || !sb_affine_invert(a, plan.from_head) ||
      !sb_affine_invert(scan->affine, plan.to_voxels)) {
    status = sb_error(SB_FORMAT, "singular transform");
    goto cleanup;
  }
  head_grid(&plan.kind, centre, head);
  SB_TRY(SB_NEW_ZERO(&head->voxels, voxels_of(head), "head"));
  SB_TRY(SB_NEW_ZERO(mask, voxels_of(head), "mask"));
  SB_TRY(SB_NEW(&distance, voxels_of(head), "distance"));
  SB_TRY(SB_NEW(&points, head->dims[0], "points"));
  for (int f = 0; f < FIELDS; f++) SB_TRY(SB_NEW(&lines[f], head->dims[0], "fields"));
  fill_head(&plan, skin, skin_brain, NULL, &seed, lines, points, head, *mask);
  chain_distance(head->dims, one, *mask, 60, distance);
  fill_head(&plan, skin, skin_brain, distance, &seed, lines, points, head, *mask);
cleanup:
  free(own);
  free(distance);
  free(points);
  for (int f = 0; f < FIELDS; f++) {
    free(lines[f]);
    sb_padded_free(&plan.fields[f].lattice);
  }
  if (status.code != SB_OK) {
    sb_volume_free(head);
    free(*mask);
    *mask = NULL;
  }
  return status;
}

// ---- Colin27's head -----------------------------------------------------------------------------

// The template's head with white matter 1, as build_head takes it.
static inline sb_status skin_of(const sb_template *t, const sb_volume *head, sb_volume *skin) {
  const double bright = bright_end(&t->image, t->mask, 0);
  *skin = *head;
  sb_status status = SB_NEW(&skin->voxels, voxels_of(head), "head");
  for (int64_t i = 0; status.code == SB_OK && i < voxels_of(head); i++)
    skin->voxels[i] = head->voxels[i] / (float)bright;
  return status;
}

// The template's head moved by a random transform, with a bias field of 25 % and noise, also in the
// air.
//   mask  out: the template's, moved alike, on the grid of `moved`
static inline sb_status moved_head(const sb_template *t, const sb_volume *head, uint64_t seed,
                                   sb_volume *moved, uint8_t **mask) {
  static const double centre[3] = {0, -18, 10};
  sb_volume brain = t->image, moved_brain = {0};
  double a[16];
  sb_status status;
  *mask = NULL;
  brain.voxels = NULL;
  memset(moved, 0, sizeof *moved);
  SB_TRY(SB_NEW(&brain.voxels, voxels_of(&brain), "mask"));
  for (int64_t i = 0; i < voxels_of(&brain); i++) brain.voxels[i] = t->mask[i];
  random_affine(&seed, centre, a);
  SB_TRY(moved_scan(head, a, moved));
  SB_TRY(moved_scan(&brain, a, &moved_brain));
  SB_TRY(SB_NEW(mask, voxels_of(moved), "mask"));
  spoil(&seed, 0.25, 0.04, moved);
  for (int64_t i = 0; i < voxels_of(moved); i++) {
    (*mask)[i] = moved_brain.voxels[i] >= 0.5f;
    moved->voxels[i] = fabsf(moved->voxels[i] + (float)(3 * normal(&seed)));
  }
cleanup:
  sb_volume_free(&brain);
  sb_volume_free(&moved_brain);
  return status;
}

#endif
