// Damages to anatomy: missing or diseased parts, and brains whose shape changed, as it does over years
// or as another scanner's gradients show it (see damages.h).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "damage_tools.h"
#include "image/orient.h"
#include "image/resample.h"
#include "image/smooth.h"
#include "prepare/mask.h"
#include "registration_cases.h"

// A ball of `a` mm radius beside the centre holds `b` times the brain's mean: a tumour or a cavity.
sb_status lesion(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  const extent e = extent_of(v);
  double size[3], centre[3];
  sb_affine_identity(moved);
  sb_voxel_size(v->affine, size);
  const double side = uniform(seed, 0, 1) < 0.5 ? -1 : 1;
  const double away_mm[3] = {35 * side, uniform(seed, -30, 30), uniform(seed, 0, 25)};
  for (int i = 0; i < 3; i++) centre[i] = e.centre[i] + away_mm[i] / size[i];
  float *voxel = v->voxels;
  for (int64_t z = 0; z < v->dims[2]; z++)
    for (int64_t y = 0; y < v->dims[1]; y++)
      for (int64_t x = 0; x < v->dims[0]; x++, voxel++) {
        const double p[3] = {(double)x, (double)y, (double)z};
        double square = 0;
        for (int i = 0; i < 3; i++) square += pow((p[i] - centre[i]) * size[i], 2);
        if (*voxel != 0 && square < d->a * d->a)
          *voxel = (float)(e.mean * (d->b + 0.1 * normal(seed)));
      }
  return sb_ok();
}

// Without what is low and at the back: most of the cerebellum, and more.
sb_status no_cerebellum(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)d;
  (void)seed;
  const extent e = extent_of(v);
  sb_affine_identity(moved);
  const double back = (double)e.low[1] + 0.5 * (double)(e.high[1] - e.low[1]);
  const double low = (double)e.low[2] + 0.35 * (double)(e.high[2] - e.low[2]);
  float *voxel = v->voxels;
  for (int64_t z = 0; z < v->dims[2]; z++)
    for (int64_t y = 0; y < v->dims[1]; y++)
      for (int64_t x = 0; x < v->dims[0]; x++, voxel++)
        if ((double)z < low && (double)y < back) *voxel = 0;
  return sb_ok();
}

// ---- Shape --------------------------------------------------------------------------------------

// Where what is seen at a voxel comes from, in voxels.
typedef void source_of(const void *context, const int64_t at[3], double from[3]);

static bool is_brain(const sb_volume *v, const double at[3]) {
  int64_t nearest[3];
  for (int i = 0; i < 3; i++) {
    nearest[i] = llround(at[i]);
    if (nearest[i] < 0 || nearest[i] >= v->dims[i]) return false;
  }
  return v->voxels[nearest[0] + v->dims[0] * (nearest[1] + v->dims[1] * nearest[2])] != 0;
}

// Sees the scan's brain through a map: cubic interpolation, of the brain's outline the nearest voxel.
static sb_status bend(sb_volume *v, source_of *source, const void *context) {
  enum { MARGIN = 8 }; // voxels that the brain may grow by
  const extent e = extent_of(v);
  sb_volume out;
  sb_status status = blank_like(v, &out);
  if (status.code != SB_OK) return status;
  int64_t at[3], low[3], high[3];
  for (int i = 0; i < 3; i++) {
    low[i] = e.low[i] > MARGIN ? e.low[i] - MARGIN : 0;
    high[i] = e.high[i] + MARGIN < v->dims[i] ? e.high[i] + MARGIN : v->dims[i];
  }
  for (at[2] = low[2]; at[2] < high[2]; at[2]++)
    for (at[1] = low[1]; at[1] < high[1]; at[1]++)
      for (at[0] = low[0]; at[0] < high[0]; at[0]++) {
        double from[3];
        source(context, at, from);
        if (is_brain(v, from)) // what cubic interpolation brings below 0 stays brain
          out.voxels[at[0] + v->dims[0] * (at[1] + v->dims[1] * at[2])] =
              fmaxf(sb_sample_cubic(v, from[0], from[1], from[2], 0), 1e-3f * (float)e.mean);
      }
  sb_volume_free(v);
  *v = out;
  return status;
}

typedef struct cube_terms {
  double centre[3], size[3]; // voxels, mm
  double mm[3];              // along each axis, 85 mm from the centre
} cube_terms;

static void off_by_cubes(const void *context, const int64_t at[3], double from[3]) {
  const cube_terms *c = context;
  double away[3], square = 0;
  for (int i = 0; i < 3; i++) {
    away[i] = ((double)at[i] - c->centre[i]) * c->size[i] / 85;
    square += away[i] * away[i];
  }
  for (int i = 0; i < 3; i++) from[i] = (double)at[i] + c->mm[i] * away[i] * square / c->size[i];
}

// As a scanner's gradients distort that are not corrected for: along each axis the error grows with
// the third power of the distance from the brain's centre, to `a` mm 85 mm off.
sb_status distorted(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  const extent e = extent_of(v);
  cube_terms c;
  sb_affine_identity(moved);
  sb_voxel_size(v->affine, c.size);
  for (int i = 0; i < 3; i++) {
    c.centre[i] = e.centre[i];
    c.mm[i] = uniform(seed, 0, 1) < 0.5 ? -d->a : d->a;
  }
  return bend(v, off_by_cubes, &c);
}

enum { WAVES = 8 }; // of each axis

typedef struct waves {
  double size[3];
  double amplitude; // mm
  double wave[3][WAVES][3], phase[3][WAVES];
} waves;

static void off_by_waves(const void *context, const int64_t at[3], double from[3]) {
  const waves *w = context;
  for (int axis = 0; axis < 3; axis++) {
    double off = 0;
    for (int k = 0; k < WAVES; k++) {
      double angle = w->phase[axis][k];
      for (int i = 0; i < 3; i++) angle += w->wave[axis][k][i] * (double)at[i] * w->size[i];
      off += sin(angle);
    }
    from[axis] = (double)at[axis] + w->amplitude * off / w->size[axis];
  }
}

// Every place is moved, by `a` mm (root mean square), differently every few centimetres: waves of 60
// to 120 mm in random directions.
sb_status warped(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  waves w = {.amplitude = d->a * sqrt(2.0 / (3 * WAVES))};
  sb_affine_identity(moved);
  sb_voxel_size(v->affine, w.size);
  for (int axis = 0; axis < 3; axis++)
    for (int k = 0; k < WAVES; k++) {
      const double wave = 6.283185307179586 / uniform(seed, 60, 120);
      double length = 0;
      for (int i = 0; i < 3; i++) {
        w.wave[axis][k][i] = normal(seed);
        length += w.wave[axis][k][i] * w.wave[axis][k][i];
      }
      for (int i = 0; i < 3; i++) w.wave[axis][k][i] *= wave / sqrt(length);
      w.phase[axis][k] = uniform(seed, 0, 6.283185307179586);
    }
  return bend(v, off_by_waves, &w);
}

// A mask smoothed by `sigma_mm`.
static sb_status soft_mask(const sb_volume *like, const uint8_t *mask, double sigma_mm,
                           sb_volume *out) {
  double sigma[3];
  sb_status status = blank_like(like, out);
  if (status.code != SB_OK) return status;
  const int64_t n = voxel_count(out);
  for (int64_t i = 0; i < n; i++) out->voxels[i] = mask[i];
  sb_voxel_size(out->affine, sigma);
  for (int i = 0; i < 3; i++) sigma[i] = sigma_mm / sigma[i];
  return sb_volume_gaussian(out, sigma);
}

// The lateral ventricles: the largest dark part that lies deep in the brain.
static sb_status find_ventricles(const sb_volume *v, const uint8_t *brain, uint8_t *ventricles) {
  static const double DEEP_MM = 10;
  const extent e = extent_of(v);
  sb_volume deep = {0};
  int64_t kept, next;
  sb_status status;
  SB_TRY(soft_mask(v, brain, DEEP_MM, &deep));
  const int64_t n = voxel_count(v);
  for (int64_t i = 0; i < n; i++)
    ventricles[i] = deep.voxels[i] > 0.97f && (double)v->voxels[i] < 0.55 * e.mean;
  SB_TRY(sb_mask_keep_largest(v->dims, ventricles, &kept, &next));
cleanup:
  sb_volume_free(&deep);
  return status;
}

// Two smooth bodies, and how far what is around them moves.
typedef struct bodies {
  const sb_volume *ventricles, *brain; // soft masks
  double size[3];
  double outward, inward; // mm over the steepest slope of each mask
} bodies;

static void slope_at(const sb_volume *v, const int64_t at[3], const double size[3],
                     double slope[3]) {
  const int64_t stride[3] = {1, v->dims[0], v->dims[0] * v->dims[1]};
  const int64_t here = at[0] + stride[1] * at[1] + stride[2] * at[2];
  for (int i = 0; i < 3; i++) {
    const int64_t before = at[i] > 0 ? stride[i] : 0;
    const int64_t after = at[i] + 1 < v->dims[i] ? stride[i] : 0;
    slope[i] = ((double)v->voxels[here + after] - (double)v->voxels[here - before]) / (2 * size[i]);
  }
}

static double steepest(const sb_volume *v, const double size[3]) {
  double most = 0, slope[3];
  int64_t at[3];
  for (at[2] = 0; at[2] < v->dims[2]; at[2]++)
    for (at[1] = 0; at[1] < v->dims[1]; at[1]++)
      for (at[0] = 0; at[0] < v->dims[0]; at[0]++) {
        slope_at(v, at, size, slope);
        most = fmax(most, slope[0] * slope[0] + slope[1] * slope[1] + slope[2] * slope[2]);
      }
  return sqrt(most);
}

// Around the ventricles tissue gives way outwards, at the surface inwards.
static void off_by_bodies(const void *context, const int64_t at[3], double from[3]) {
  const bodies *b = context;
  double deep[3], surface[3];
  slope_at(b->ventricles, at, b->size, deep);
  slope_at(b->brain, at, b->size, surface);
  for (int i = 0; i < 3; i++)
    from[i] = (double)at[i] + (b->outward * deep[i] - b->inward * surface[i]) / b->size[i];
}

// Ventricles wider by `a` mm on every side, the surface `b` mm farther in; fluid where tissue was.
sb_status atrophied(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  sb_volume ventricles = {0}, surface = {0};
  uint8_t *brain = NULL, *inside = NULL;
  const int64_t n = voxel_count(v);
  const double mean = extent_of(v).mean;
  bodies b = {.ventricles = &ventricles, .brain = &surface};
  sb_status status;
  sb_affine_identity(moved);
  sb_voxel_size(v->affine, b.size);
  SB_TRY(SB_NEW(&brain, n, "brain"));
  SB_TRY(SB_NEW(&inside, n, "ventricles"));
  for (int64_t i = 0; i < n; i++) brain[i] = v->voxels[i] != 0;
  SB_TRY(find_ventricles(v, brain, inside));
  SB_TRY(soft_mask(v, inside, 6, &ventricles));
  SB_TRY(soft_mask(v, brain, 4, &surface));
  b.outward = d->a / fmax(steepest(&ventricles, b.size), 1e-9);
  b.inward = d->b / steepest(&surface, b.size);
  SB_TRY(bend(v, off_by_bodies, &b));
  for (int64_t i = 0; i < n; i++)
    if (brain[i] == 0)
      v->voxels[i] = 0;
    else if (v->voxels[i] == 0)
      v->voxels[i] = (float)(mean * (0.3 + 0.05 * normal(seed)));
cleanup:
  sb_volume_free(&ventricles);
  sb_volume_free(&surface);
  free(brain);
  free(inside);
  return status;
}
