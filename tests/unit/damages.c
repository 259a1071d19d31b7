// Damages, non-brains, and their comparison with the undamaged scans (see damages.h).
#include "damages.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "image/orient.h"
#include "image/smooth.h"
#include "prepare/mask.h"
#include "prepare/sample.h"
#include "registration_cases.h"

// ---- Helpers ------------------------------------------------------------------------------------

static int64_t voxel_count(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

static sb_status blank_like(const sb_volume *in, sb_volume *out) {
  *out = *in;
  out->voxels = NULL;
  return SB_NEW_ZERO(&out->voxels, voxel_count(in), "damaged scan");
}

static sb_status copy_of(const sb_volume *in, sb_volume *out) {
  sb_status status = blank_like(in, out);
  if (status.code == SB_OK)
    memcpy(out->voxels, in->voxels, (size_t)voxel_count(in) * sizeof *out->voxels);
  return status;
}

// Where the brain (what is not 0) is: its box, centre (voxels) and mean intensity.
typedef struct extent {
  int64_t low[3], high[3]; // first, one past last
  double centre[3], mean, most;
} extent;

static extent extent_of(const sb_volume *v) {
  extent e = {.low = {INT64_MAX, INT64_MAX, INT64_MAX}};
  double count = 0;
  const float *voxel = v->voxels;
  for (int64_t z = 0; z < v->dims[2]; z++)
    for (int64_t y = 0; y < v->dims[1]; y++)
      for (int64_t x = 0; x < v->dims[0]; x++, voxel++) {
        if (*voxel == 0) continue;
        const int64_t at[3] = {x, y, z};
        for (int i = 0; i < 3; i++) {
          if (at[i] < e.low[i]) e.low[i] = at[i];
          if (at[i] >= e.high[i]) e.high[i] = at[i] + 1;
          e.centre[i] += (double)at[i];
        }
        e.mean += (double)*voxel;
        e.most = fmax(e.most, (double)*voxel);
        count++;
      }
  for (int i = 0; i < 3; i++) e.centre[i] /= count;
  e.mean /= count;
  return e;
}

// Turns the header about the grid's centre, so that it claims another orientation.
static void turn_header(sb_volume *v, const double r[9], double moved[16]) {
  double centre[3], turned[3];
  for (int i = 0; i < 3; i++) centre[i] = 0.5 * (double)(v->dims[i] - 1);
  sb_affine_apply(v->affine, centre, centre);
  sb_affine_identity(moved);
  for (int i = 0; i < 9; i++) moved[i / 3 * 4 + i % 3] = r[i];
  sb_affine_apply(moved, centre, turned);
  for (int i = 0; i < 3; i++) moved[4 * i + 3] = centre[i] - turned[i];
  sb_affine_multiply(moved, v->affine, v->affine);
}

// Puts the voxels into the order that loading a file gives: the closest to RAS.
static sb_status canonical(sb_volume *v) {
  sb_axis_order order = sb_closest_ras(v->affine);
  sb_volume out = {0};
  sb_reorder_grid(&order, v->dims, v->affine, out.dims, out.affine);
  sb_status status = SB_NEW(&out.voxels, voxel_count(v), "damaged scan");
  if (status.code != SB_OK) return status;
  const int64_t stride[3] = {1, v->dims[0], v->dims[0] * v->dims[1]};
  float *to = out.voxels;
  for (int64_t z = 0; z < out.dims[2]; z++)
    for (int64_t y = 0; y < out.dims[1]; y++)
      for (int64_t x = 0; x < out.dims[0]; x++) {
        const int64_t at[3] = {x, y, z};
        int64_t from = 0;
        for (int i = 0; i < 3; i++)
          from += stride[order.from[i]] * (order.flip[i] ? out.dims[i] - 1 - at[i] : at[i]);
        *to++ = v->voxels[from];
      }
  sb_volume_free(v);
  *v = out;
  return status;
}

// White noise, smoothed to `sigma_mm`, mean 0 and standard deviation 1, on a scan's grid.
static sb_status smooth_noise(const sb_volume *like, double sigma_mm, uint64_t *seed,
                              sb_volume *out) {
  sb_status status = blank_like(like, out);
  if (status.code != SB_OK) return status;
  const int64_t n = voxel_count(out);
  double size[3], sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) out->voxels[i] = (float)normal(seed);
  sb_voxel_size(out->affine, size);
  for (int i = 0; i < 3; i++) size[i] = sigma_mm / size[i];
  status = sb_volume_gaussian(out, size);
  for (int64_t i = 0; i < n; i++) {
    sum += (double)out->voxels[i];
    squares += (double)out->voxels[i] * (double)out->voxels[i];
  }
  const double mean = sum / (double)n, sigma = sqrt(squares / (double)n - mean * mean);
  for (int64_t i = 0; i < n; i++) out->voxels[i] = (float)(((double)out->voxels[i] - mean) / sigma);
  return status;
}

// Smooths by a Gaussian of `sigma_mm` within the brain's outline.
static sb_status blur(sb_volume *v, double sigma_mm) {
  sb_volume share = {0};
  double sigma[3];
  const int64_t n = voxel_count(v);
  sb_status status;
  sb_voxel_size(v->affine, sigma);
  for (int i = 0; i < 3; i++) sigma[i] = sigma_mm / sigma[i];
  SB_TRY(copy_of(v, &share));
  for (int64_t i = 0; i < n; i++) share.voxels[i] = share.voxels[i] != 0;
  SB_TRY(sb_volume_gaussian(&share, sigma));
  SB_TRY(sb_volume_gaussian(v, sigma));
  for (int64_t i = 0; i < n; i++) // a flat outline's share is a half
    v->voxels[i] = share.voxels[i] > 0.5f ? v->voxels[i] / share.voxels[i] : 0;
cleanup:
  sb_volume_free(&share);
  return status;
}

// ---- Damages: header ----------------------------------------------------------------------------

typedef struct damage {
  const char *name;
  sb_status (*spoil)(const struct damage *d, sb_volume *v, uint64_t *seed, double moved[16]);
  double a, b;
} damage;

static sb_status claim_rotation(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  static const int orders[6][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1},
                                   {0, 2, 1}, {2, 1, 0}, {1, 0, 2}};
  (void)seed;
  const int order = (int)d->a / 4, signs = (int)d->a % 4;
  double r[9] = {0}, s[3] = {(signs & 1) != 0 ? -1 : 1, (signs & 2) != 0 ? -1 : 1, 1};
  s[2] = s[0] * s[1] * (order < 3 ? 1 : -1);
  for (int i = 0; i < 3; i++) r[3 * i + orders[order][i]] = s[i];
  turn_header(v, r, moved);
  return canonical(v);
}

// Turned by `a` degrees about an axis oblique to all three, as an odd head position is.
static sb_status tilt_header(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  double axis[3], length = 0, r[9];
  for (int i = 0; i < 3; i++) {
    axis[i] = normal(seed);
    length += axis[i] * axis[i];
  }
  for (int i = 0; i < 3; i++) axis[i] /= sqrt(length);
  const double c = cos(d->a * 0.017453292519943295), s = sin(d->a * 0.017453292519943295);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      r[3 * i + j] = (i == j ? c : 0) + (1 - c) * axis[i] * axis[j] +
                     (i == j ? 0 : s * ((j - i + 3) % 3 == 1 ? -1 : 1) * axis[3 - i - j]);
  turn_header(v, r, moved);
  return canonical(v);
}

// Reverses the voxels along x; the affine says so.
static void store_from_right(sb_volume *v) {
  double flip[16];
  sb_affine_identity(flip);
  flip[0] = -1;
  flip[3] = (double)(v->dims[0] - 1);
  sb_affine_multiply(v->affine, flip, v->affine);
  for (int64_t row = 0; row < v->dims[1] * v->dims[2]; row++) {
    float *x = v->voxels + row * v->dims[0];
    for (int64_t i = 0, j = v->dims[0] - 1; i < j; i++, j--) {
      float kept = x[i];
      x[i] = x[j];
      x[j] = kept;
    }
  }
}

// Writes a file whose sform and qform codes are 0.
static sb_status save_without_codes(const sb_volume *v, const char *path) {
  static const char zeros[4] = {0};
  enum { QFORM_CODE = 252 }; // offset in a NIfTI-1 header; the sform's code follows
  sb_status status = sb_volume_save(v, path);
  if (status.code != SB_OK) return status;
  FILE *file = fopen(path, "r+b");
  if (file == NULL) return sb_error(SB_IO, "%s: cannot be opened", path);
  bool good = fseek(file, QFORM_CODE, SEEK_SET) == 0 && fwrite(zeros, 1, 4, file) == 4;
  good = fclose(file) == 0 && good;
  return good ? status : sb_error(SB_IO, "%s: its header cannot be changed", path);
}

// Stored to the left, to the front and up, as most files are, with no orientation codes: what the
// loader makes of such a file is part of the case.
static sb_status no_codes(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)d;
  (void)seed;
  const char *temporary = getenv("TMPDIR");
  char folder[256], path[300];
  double to_file[16], loaded[16];
  sb_volume_info info;
  snprintf(folder, sizeof folder, "%s/samebrain-damage-XXXXXX",
           temporary != NULL ? temporary : "/tmp");
  if (mkdtemp(folder) == NULL) return sb_error(SB_IO, "%s: cannot be made", folder);
  snprintf(path, sizeof path, "%s/scan.nii", folder);
  store_from_right(v);
  sb_affine_invert(v->affine, to_file);
  sb_status status = save_without_codes(v, path);
  sb_volume_free(v);
  if (status.code == SB_OK) status = sb_volume_load(path, v, &info);
  unlink(path);
  rmdir(folder);
  if (status.code != SB_OK) return status;
  sb_affine_identity(loaded); // the file's voxels to the loaded ones
  if (info.stored_axes[0] == 'L') {
    loaded[0] = -1;
    loaded[3] = (double)(v->dims[0] - 1);
  }
  sb_affine_multiply(loaded, to_file, moved);
  sb_affine_multiply(v->affine, moved, moved);
  return status;
}

static sb_status move_origin(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)seed;
  sb_affine_identity(moved);
  for (int i = 0; i < 3; i++) moved[4 * i + 3] = (i == 1 ? -1 : 1) * d->a;
  sb_affine_multiply(moved, v->affine, v->affine);
  return sb_ok();
}

// Voxel sizes times `a`: a brain of another size.
static sb_status scale_brain(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)seed;
  sb_affine_identity(moved);
  for (int i = 0; i < 3; i++) moved[5 * i] = d->a;
  sb_affine_multiply(moved, v->affine, v->affine);
  return sb_ok();
}

// ---- Damages: grid ------------------------------------------------------------------------------

// Slices `b` mm thick along axis `a` (3: along every axis), each the average of what it spans.
static sb_status reslice(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  static const int64_t origin[3] = {0, 0, 0};
  (void)seed;
  sb_padded padded = {0};
  sb_volume out = *v;
  double size[3], to_old[16];
  sb_status status;
  sb_affine_identity(moved);
  sb_affine_identity(to_old);
  sb_voxel_size(v->affine, size);
  for (int i = 0; i < 3; i++) {
    if ((int)d->a != i && (int)d->a != 3) continue;
    to_old[5 * i] = d->b / size[i];
    to_old[4 * i + 3] = 0.5 * (to_old[5 * i] - 1);
    out.dims[i] = (int64_t)ceil((double)v->dims[i] / to_old[5 * i]);
  }
  out.voxels = NULL;
  sb_affine_multiply(v->affine, to_old, out.affine);
  SB_TRY(SB_NEW(&out.voxels, voxel_count(&out), "damaged scan"));
  SB_TRY(sb_padded_crop(v, origin, v->dims, &padded));
  SB_TRY(sb_sample_grid(&padded, to_old, 8, NULL, &out));
  sb_volume_free(v);
  *v = out;
  out.voxels = NULL;
cleanup:
  sb_padded_free(&padded);
  sb_volume_free(&out);
  return status;
}

// The field of view ends inside the brain: `b` of the brain's extent is missing at side `a`
// (axis times 2, plus 1 for the far side).
static sb_status crop(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)seed;
  const extent e = extent_of(v);
  const int axis = (int)d->a / 2;
  const int64_t missing = llround(d->b * (double)(e.high[axis] - e.low[axis]));
  int64_t low[3] = {0, 0, 0}, high[3] = {v->dims[0], v->dims[1], v->dims[2]};
  if ((int)d->a % 2 == 0)
    low[axis] = e.low[axis] + missing;
  else
    high[axis] = e.high[axis] - missing;
  sb_volume out = *v;
  const double corner[3] = {(double)low[0], (double)low[1], (double)low[2]};
  double p[3];
  sb_affine_identity(moved);
  sb_affine_apply(v->affine, corner, p);
  for (int i = 0; i < 3; i++) {
    out.dims[i] = high[i] - low[i];
    out.affine[4 * i + 3] = p[i];
  }
  sb_status status = SB_NEW(&out.voxels, voxel_count(&out), "damaged scan");
  if (status.code != SB_OK) return status;
  for (int64_t z = 0; z < out.dims[2]; z++)
    for (int64_t y = 0; y < out.dims[1]; y++)
      memcpy(out.voxels + out.dims[0] * (y + out.dims[1] * z),
             v->voxels + low[0] + v->dims[0] * (y + low[1] + v->dims[1] * (z + low[2])),
             (size_t)out.dims[0] * sizeof *out.voxels);
  sb_volume_free(v);
  *v = out;
  return status;
}

// ---- Damages: intensities -----------------------------------------------------------------------

static sb_status bias_or_noise(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  sb_affine_identity(moved);
  spoil(seed, d->a, d->b, v);
  return sb_ok();
}

// Every voxel times `a` plus `b`.
static sb_status rescale(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)seed;
  const int64_t n = voxel_count(v);
  sb_affine_identity(moved);
  for (int64_t i = 0; i < n; i++) v->voxels[i] = (float)((double)v->voxels[i] * d->a + d->b);
  return sb_ok();
}

// The background is `a`; the brain stays.
static sb_status set_background(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)seed;
  const int64_t n = voxel_count(v);
  sb_affine_identity(moved);
  for (int64_t i = 0; i < n; i++)
    if (v->voxels[i] == 0) v->voxels[i] = (float)d->a;
  return sb_ok();
}

// The background is the magnitude of noise, `a` times the brain's mean.
static sb_status noisy_background(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  const int64_t n = voxel_count(v);
  const double sigma = d->a * extent_of(v).mean;
  sb_affine_identity(moved);
  for (int64_t i = 0; i < n; i++)
    if (v->voxels[i] == 0) v->voxels[i] = (float)(sigma * hypot(normal(seed), normal(seed)));
  return sb_ok();
}

// The largest value becomes `a`; rounded to whole numbers.
static sb_status stretch(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)seed;
  const int64_t n = voxel_count(v);
  const double factor = d->a / extent_of(v).most;
  sb_affine_identity(moved);
  for (int64_t i = 0; i < n; i++) v->voxels[i] = (float)round((double)v->voxels[i] * factor);
  return sb_ok();
}

// Differences from the brain's mean times `a`.
static sb_status lower_contrast(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)seed;
  const int64_t n = voxel_count(v);
  const double mean = extent_of(v).mean;
  sb_affine_identity(moved);
  for (int64_t i = 0; i < n; i++)
    if (v->voxels[i] != 0) v->voxels[i] = (float)(mean + d->a * ((double)v->voxels[i] - mean));
  return sb_ok();
}

// ---- Damages: skull stripping and anatomy -------------------------------------------------------

// The mask's edge moves smoothly: by `a` mm on average, 1 mm more or less from place to place. Where
// it moves outwards there is dark tissue.
static sb_status other_mask(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  static const double EDGE_MM = 3; // sigma of the smoothed mask, whose slope turns mm into values
  sb_volume soft = {0}, field = {0};
  const int64_t n = voxel_count(v);
  const double mean = extent_of(v).mean;
  double sigma[3];
  sb_status status;
  sb_affine_identity(moved);
  sb_voxel_size(v->affine, sigma);
  for (int i = 0; i < 3; i++) sigma[i] = EDGE_MM / sigma[i];
  SB_TRY(copy_of(v, &soft));
  for (int64_t i = 0; i < n; i++) soft.voxels[i] = soft.voxels[i] != 0;
  SB_TRY(sb_volume_gaussian(&soft, sigma));
  SB_TRY(smooth_noise(v, 12, seed, &field));
  for (int64_t i = 0; i < n; i++) {
    double shift_mm = d->a + (double)field.voxels[i];
    if ((double)soft.voxels[i] < 0.5 * (1 + erf(-shift_mm / (EDGE_MM * 1.4142135623730951))))
      v->voxels[i] = 0;
    else if (v->voxels[i] == 0)
      v->voxels[i] = (float)(mean * (0.25 + 0.05 * normal(seed)));
  }
cleanup:
  sb_volume_free(&soft);
  sb_volume_free(&field);
  return status;
}

// Tissue left on by skull stripping: patches of dura over the upper half, up to 4 mm thick, and
// `a` mm of neck, a cylinder below the brain stem.
static sb_status remnants(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  sb_volume soft = {0}, field = {0};
  const extent e = extent_of(v);
  double size[3], sigma[3], stem[3] = {e.centre[0], e.centre[1], (double)e.low[2]};
  sb_status status;
  sb_affine_identity(moved);
  sb_voxel_size(v->affine, size);
  for (int i = 0; i < 3; i++) sigma[i] = 2 / size[i];
  SB_TRY(copy_of(v, &soft));
  const int64_t n = voxel_count(v);
  for (int64_t i = 0; i < n; i++) soft.voxels[i] = soft.voxels[i] != 0;
  SB_TRY(sb_volume_gaussian(&soft, sigma));
  SB_TRY(smooth_noise(v, 10, seed, &field));
  for (int64_t i = 0; i < n; i++) {
    const int64_t index[3] = {i % v->dims[0], i / v->dims[0] % v->dims[1],
                              i / (v->dims[0] * v->dims[1])};
    const double x = (double)index[0], y = (double)index[1], z = (double)index[2];
    if (v->voxels[i] != 0) continue;
    bool dura = z > e.centre[2] && soft.voxels[i] > 0.03f && field.voxels[i] > 0.5f;
    bool neck = hypot((x - stem[0]) * size[0], (y - stem[1]) * size[1]) < 15 &&
                fabs(z - stem[2]) * size[2] < d->a;
    if (dura || neck) v->voxels[i] = (float)(e.mean * (0.7 + 0.1 * (double)field.voxels[i]));
  }
cleanup:
  sb_volume_free(&soft);
  sb_volume_free(&field);
  return status;
}

// A ball of `a` mm radius beside the centre holds `b` times the brain's mean: a tumour or a cavity.
static sb_status lesion(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
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
static sb_status no_cerebellum(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
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

static sb_status smooth(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  (void)seed;
  sb_affine_identity(moved);
  return blur(v, d->a);
}

// Much at once: what a clinical scan with a wrong header may be like.
static sb_status several(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  const damage cut = {.a = 3, .b = 0.15}, thick = {.a = 2, .b = 3}, uneven = {.a = 0.3, .b = 0.05},
               turned = {.a = 13};
  double step[16];
  sb_status status;
  (void)d;
  SB_TRY(crop(&cut, v, seed, step));
  SB_TRY(reslice(&thick, v, seed, step));
  SB_TRY(bias_or_noise(&uneven, v, seed, step));
  SB_TRY(claim_rotation(&turned, v, seed, moved)); // the others leave the brain where it is
cleanup:
  return status;
}

static const damage DAMAGES[] = {
    {"nothing", claim_rotation, 0, 0},
#define TURNED(k)                                                                                  \
  { "header turned, rotation " #k, claim_rotation, k, 0 }
    TURNED(1),
    TURNED(2),
    TURNED(3),
    TURNED(4),
    TURNED(5),
    TURNED(6),
    TURNED(7),
    TURNED(8),
    TURNED(9),
    TURNED(10),
    TURNED(11),
    TURNED(12),
    TURNED(13),
    TURNED(14),
    TURNED(15),
    TURNED(16),
    TURNED(17),
    TURNED(18),
    TURNED(19),
    TURNED(20),
    TURNED(21),
    TURNED(22),
    TURNED(23),
#undef TURNED
    {"tilted by 25 degrees", tilt_header, 25, 0},
    {"tilted by 45 degrees", tilt_header, 45, 0},
    {"tilted by 120 degrees", tilt_header, 120, 0},
    {"no orientation codes", no_codes, 0, 0},
    {"origin 300 mm off", move_origin, 300, 0},
    {"sagittal slices of 3 mm", reslice, 0, 3},
    {"coronal slices of 3 mm", reslice, 1, 3},
    {"axial slices of 3 mm", reslice, 2, 3},
    {"sagittal slices of 5 mm", reslice, 0, 5},
    {"coronal slices of 5 mm", reslice, 1, 5},
    {"axial slices of 5 mm", reslice, 2, 5},
    {"2 mm isotropic", reslice, 3, 2},
    {"0.7 mm isotropic", reslice, 3, 0.7},
    {"cut off by 15 %: left", crop, 0, 0.15},
    {"cut off by 15 %: right", crop, 1, 0.15},
    {"cut off by 15 %: back", crop, 2, 0.15},
    {"cut off by 15 %: front", crop, 3, 0.15},
    {"cut off by 15 %: bottom", crop, 4, 0.15},
    {"cut off by 15 %: top", crop, 5, 0.15},
    {"bias field of 30 %", bias_or_noise, 0.3, 0},
    {"signal-to-noise 10", bias_or_noise, 0, 0.1},
    {"times 3.7 plus 500", rescale, 3.7, 500},
    {"times 0.001", rescale, 0.001, 0},
    {"background -1000", set_background, -1000, 0},
    {"background 7", set_background, 7, 0},
    {"background of noise, 3 %", noisy_background, 0.03, 0},
    {"brain scaled by 0.7", scale_brain, 0.7, 0},
    {"brain scaled by 1.3", scale_brain, 1.3, 0},
    {"values to 2e6", stretch, 2e6, 0},
    {"8 bits", stretch, 255, 0},
    {"contrast of a third", lower_contrast, 0.33, 0},
    {"stripped 1.5 mm tighter", other_mask, -1.5, 0},
    {"stripped 1.5 mm looser", other_mask, 1.5, 0},
    {"dura and neck left on", remnants, 25, 0},
    {"dark lesion of 40 mm", lesion, 20, 0.4},
    {"bright lesion of 40 mm", lesion, 20, 1.4},
    {"no cerebellum", no_cerebellum, 0, 0},
    {"smoothed by 3 mm", smooth, 3, 0},
    {"front cut off, turned, 3 mm, bias, noise", several, 0, 0},
};

int damage_count(void) {
  return (int)(sizeof DAMAGES / sizeof *DAMAGES);
}

const char *damage_name(int which) {
  return DAMAGES[which].name;
}

sb_status damage_make(int which, const sb_volume *scan, uint64_t seed, sb_volume *out,
                      double moved[16]) {
  seed = seed * 1000 + (uint64_t)which;
  sb_status status = copy_of(scan, out);
  if (status.code == SB_OK) status = DAMAGES[which].spoil(&DAMAGES[which], out, &seed, moved);
  if (status.code != SB_OK) sb_volume_free(out);
  return status;
}

// ---- Not a brain --------------------------------------------------------------------------------

typedef struct non_brain {
  const char *name;
  sb_status (*make)(const struct non_brain *b, const sb_volume *scan, uint64_t *seed,
                    sb_volume *out);
  double a;
} non_brain;

// A shape given by a function of mm from the middle of a 200 mm cube: 0 outside.
static sb_status shape(double (*value)(const double mm[3], const double *a), const double *a,
                       uint64_t *seed, sb_volume *out) {
  memset(out, 0, sizeof *out);
  sb_affine_identity(out->affine);
  for (int i = 0; i < 3; i++) {
    out->dims[i] = 200;
    out->affine[4 * i + 3] = -100;
  }
  sb_status status = SB_NEW(&out->voxels, voxel_count(out), "phantom");
  if (status.code != SB_OK) return status;
  float *voxel = out->voxels;
  for (int64_t z = 0; z < 200; z++)
    for (int64_t y = 0; y < 200; y++)
      for (int64_t x = 0; x < 200; x++) {
        const double mm[3] = {(double)x - 99.5, (double)y - 99.5, (double)z - 99.5};
        double inside = value(mm, a);
        *voxel++ = inside > 0 ? (float)(inside * (1000 + 20 * normal(seed))) : 0;
      }
  return status;
}

static double ball_value(const double mm[3], const double *a) {
  (void)a;
  return mm[0] * mm[0] + mm[1] * mm[1] + mm[2] * mm[2] < 65 * 65;
}

static double ellipsoid_value(const double mm[3], const double *a) {
  (void)a;
  return pow(mm[0] / 65, 2) + pow(mm[1] / 85, 2) + pow(mm[2] / 60, 2) < 1;
}

// Bright within, darker in a rind of 10 mm: what a blurred brain has in common with a fruit.
static double fruit_value(const double mm[3], const double *a) {
  (void)a;
  double r = sqrt(pow(mm[0] / 65, 2) + pow(mm[1] / 85, 2) + pow(mm[2] / 60, 2));
  return r > 1 ? 0 : (r > 0.85 ? 0.6 : 1);
}

static double cube_value(const double mm[3], const double *a) {
  (void)a;
  return fabs(mm[0]) < 55 && fabs(mm[1]) < 55 && fabs(mm[2]) < 55;
}

// Two bones end to end in a leg: marrow bright, bone dark, flesh between.
static double knee_value(const double mm[3], const double *a) {
  (void)a;
  double leg = hypot(mm[0], mm[1]), bone = hypot(mm[0] - 5, mm[1] + 8);
  if (leg > 60 || fabs(mm[2]) > 80) return 0;
  if (fabs(mm[2]) < 4) return bone < 35 ? 0.2 : 0.5; // the joint's gap
  return bone < 28 ? 1 : bone < 32 ? 0.15 : leg > 54 ? 0.9 : 0.5;
}

// A phantom for quality assurance: a cylinder of fluid with a grid, a row of rods, and a ball.
static double phantom_value(const double mm[3], const double *a) {
  (void)a;
  if (hypot(mm[0], mm[1]) > 70 || fabs(mm[2]) > 60) return 0;
  const bool grid =
      fabs(mm[2]) < 12 && (fabs(remainder(mm[0], 15)) < 1.5 || fabs(remainder(mm[1], 15)) < 1.5);
  const bool rods = mm[2] > 20 && hypot(remainder(mm[0], 20), remainder(mm[1], 20)) < 5;
  const bool ball = mm[2] < -20 && hypot(hypot(mm[0], mm[1]), mm[2] + 38) < 18;
  return grid ? 0.1 : rods ? 0.4 : ball ? 0.6 : 1;
}

// Vertebrae and discs, a canal with a cord behind them, muscle on both sides.
static double spine_value(const double mm[3], const double *a) {
  (void)a;
  const double cord = hypot(mm[0], mm[1] + 30), body = hypot(mm[0], mm[1]);
  if (fabs(mm[0]) > 55 || fabs(mm[1] + 10) > 60 || fabs(mm[2]) > 90) return 0;
  if (cord < 5) return 0.7;
  if (cord < 10) return 0.2;
  if (body < 20) return fabs(remainder(mm[2], 30)) < 4 ? 0.4 : 1;
  return 0.5 + 0.1 * sin(mm[0] / 6);
}

static sb_status make_shape(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                            sb_volume *out) {
  static double (*const values[])(const double mm[3], const double *a) = {
      ball_value, ellipsoid_value, fruit_value, cube_value, knee_value, phantom_value, spine_value};
  (void)scan;
  return shape(values[(int)b->a], NULL, seed, out);
}

static sb_status make_noise(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                            sb_volume *out) {
  (void)b;
  sb_status status = blank_like(scan, out);
  if (status.code != SB_OK) return status;
  const int64_t n = voxel_count(out);
  for (int64_t i = 0; i < n; i++) out->voxels[i] = (float)(100 * hypot(normal(seed), normal(seed)));
  return status;
}

// The brightest fifth of smooth noise.
static sb_status make_blob(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                           sb_volume *out) {
  sb_status status = smooth_noise(scan, b->a, seed, out);
  const int64_t n = voxel_count(scan);
  for (int64_t i = 0; status.code == SB_OK && i < n; i++)
    out->voxels[i] = out->voxels[i] > 0.8f ? 300 + 100 * out->voxels[i] : 0;
  return status;
}

// The left half, upside down.
static sb_status make_half(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                           sb_volume *out) {
  (void)b;
  (void)seed;
  sb_status status = blank_like(scan, out);
  if (status.code != SB_OK) return status;
  const int64_t nx = scan->dims[0], ny = scan->dims[1], nz = scan->dims[2];
  const int64_t middle = llround(extent_of(scan).centre[0]);
  for (int64_t z = 0; z < nz; z++)
    for (int64_t y = 0; y < ny; y++)
      memcpy(out->voxels + nx * (y + ny * z), scan->voxels + nx * (y + ny * (nz - 1 - z)),
             (size_t)middle * sizeof *out->voxels);
  return status;
}

// The upper half upside down in the place of the lower one.
static sb_status make_folded(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                             sb_volume *out) {
  (void)b;
  (void)seed;
  sb_status status = copy_of(scan, out);
  if (status.code != SB_OK) return status;
  const int64_t slice = scan->dims[0] * scan->dims[1], nz = scan->dims[2];
  const int64_t middle = llround(extent_of(scan).centre[2]);
  for (int64_t z = 0; z < middle; z++) {
    const int64_t from = 2 * middle - z;
    if (from < nz)
      memcpy(out->voxels + z * slice, scan->voxels + from * slice,
             (size_t)slice * sizeof *out->voxels);
    else
      memset(out->voxels + z * slice, 0, (size_t)slice * sizeof *out->voxels);
  }
  return status;
}

static sb_status make_two(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                          sb_volume *out) {
  (void)b;
  (void)seed;
  const extent e = extent_of(scan);
  const int64_t wide = e.high[0] - e.low[0] - 2; // they touch
  *out = *scan;
  out->dims[0] = 2 * wide + 20;
  sb_status status = SB_NEW_ZERO(&out->voxels, voxel_count(out), "two brains");
  if (status.code != SB_OK) return status;
  for (int64_t row = 0; row < scan->dims[1] * scan->dims[2]; row++)
    for (int64_t x = e.low[0]; x < e.high[0]; x++)
      for (int copy = 0; copy < 2; copy++) {
        const float value = scan->voxels[x + row * scan->dims[0]];
        if (value != 0) out->voxels[row * out->dims[0] + 8 + x - e.low[0] + copy * wide] = value;
      }
  return status;
}

typedef struct ranked {
  float value;
  int64_t at;
} ranked;

static int compare_ranked(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

// A brain's own outline and histogram, its intensities put in the order of noise smoothed to `a`
// mm: all of a brain but its anatomy.
static sb_status make_scrambled(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                                sb_volume *out) {
  const int64_t n = voxel_count(scan);
  ranked *from = NULL, *to = NULL;
  int64_t count = 0;
  sb_status status;
  SB_TRY(smooth_noise(scan, b->a, seed, out));
  SB_TRY(SB_NEW(&from, n, "ranks"));
  SB_TRY(SB_NEW(&to, n, "ranks"));
  for (int64_t i = 0; i < n; i++) {
    if (scan->voxels[i] == 0) continue;
    from[count] = (ranked){scan->voxels[i], i};
    to[count++] = (ranked){out->voxels[i], i};
  }
  qsort(from, (size_t)count, sizeof *from, compare_ranked);
  qsort(to, (size_t)count, sizeof *to, compare_ranked);
  memset(out->voxels, 0, (size_t)n * sizeof *out->voxels);
  for (int64_t i = 0; i < count; i++) out->voxels[to[i].at] = from[i].value;
cleanup:
  free(from);
  free(to);
  return status;
}

// One value, with `a` of noise, inside the brain's outline.
static sb_status make_filled(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                             sb_volume *out) {
  sb_status status = copy_of(scan, out);
  const int64_t n = voxel_count(scan);
  for (int64_t i = 0; status.code == SB_OK && i < n; i++)
    if (out->voxels[i] != 0) out->voxels[i] = (float)(100 * (1 + b->a * normal(seed)));
  return status;
}

// Dark where the brain is bright, as in a T2-weighted image.
static sb_status make_inverted(const non_brain *b, const sb_volume *scan, uint64_t *seed,
                               sb_volume *out) {
  (void)b;
  (void)seed;
  sb_status status = copy_of(scan, out);
  const int64_t n = voxel_count(scan);
  const float most = (float)(2.2 * extent_of(scan).mean);
  for (int64_t i = 0; status.code == SB_OK && i < n; i++)
    if (out->voxels[i] != 0) out->voxels[i] = fmaxf(1, most - out->voxels[i]);
  return status;
}

static const non_brain NON_BRAINS[] = {
    {"ball", make_shape, 0},
    {"ellipsoid", make_shape, 1},
    {"ellipsoid with a darker rind", make_shape, 2},
    {"cube", make_shape, 3},
    {"knee", make_shape, 4},
    {"phantom", make_shape, 5},
    {"spine", make_shape, 6},
    {"noise", make_noise, 0},
    {"blobs of 10 mm", make_blob, 10},
    {"blobs of 20 mm", make_blob, 20},
    {"half a brain upside down", make_half, 0},
    {"lower half replaced by the upper", make_folded, 0},
    {"two brains side by side", make_two, 0},
    {"outline, histogram, texture of 3 mm", make_scrambled, 3},
    {"outline, histogram, texture of 8 mm", make_scrambled, 8},
    {"outline, one value", make_filled, 0.0},
    {"outline, one value and noise", make_filled, 0.1},
    {"contrast inverted", make_inverted, 0},
};

int non_brain_count(void) {
  return (int)(sizeof NON_BRAINS / sizeof *NON_BRAINS);
}

const char *non_brain_name(int which) {
  return NON_BRAINS[which].name;
}

sb_status non_brain_make(int which, const sb_volume *scan, uint64_t seed, sb_volume *out) {
  seed = seed * 1000 + 500 + (uint64_t)which;
  memset(out, 0, sizeof *out);
  sb_status status = NON_BRAINS[which].make(&NON_BRAINS[which], scan, &seed, out);
  if (status.code != SB_OK) sb_volume_free(out);
  return status;
}

// ---- Gallery ------------------------------------------------------------------------------------

// A path up to its session names the person.
static void person_of(const char *path, char person[256]) {
  const char *end = strstr(path, "/ses-");
  size_t length = end != NULL ? (size_t)(end - path) : strlen(path);
  const size_t skip = length > 255 ? length - 255 : 0; // the end of a long path tells people apart
  memcpy(person, path + skip, length - skip);
  person[length - skip] = '\0';
}

static sb_status embed(const gallery *g, const float *row, float *vector) {
  float *scratch = NULL;
  sb_status status = SB_NEW(&scratch, g->embedder.scratch, "embedding");
  const sb_scan_data scan = {.row = row};
  if (status.code == SB_OK) status = sb_embed(&g->embedder, &scan, vector, scratch);
  free(scratch);
  return status;
}

static sb_status prepare_scan(const gallery *g, gallery_scan *scan) {
  sb_prepared prepared = {0};
  sb_status status;
  person_of(scan->path, scan->person);
  SB_TRY(sb_prepare_file(g->preparer, scan->path, &prepared));
  memcpy(scan->template_to_scan, prepared.template_to_scan, sizeof scan->template_to_scan);
  SB_TRY(SB_NEW(&scan->vector, g->embedder.size, "embedding"));
  SB_TRY(embed(g, prepared.row, scan->vector));
cleanup:
  sb_prepared_free(&prepared);
  return status;
}

static sb_status open_tools(gallery *g) {
  sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  sb_status status;
  SB_TRY(sb_template_load(&options, &g->t));
  SB_TRY(sb_preparer_create(g->t, &prepare, &g->preparer));
  const int64_t *dims = sb_template_grid_dims(g->t);
  const sb_grid grid = {.dims = {dims[0], dims[1], dims[2]},
                        .voxel_mm = options.resolution_mm,
                        .mask = sb_template_mask(g->t),
                        .row_length = sb_template_row_length(g->t)};
  SB_TRY(sb_embedder_open(sb_measure_row_find("bandpass"), &grid, &g->embedder));
cleanup:
  return status;
}

sb_status gallery_open(const char *folder, gallery *out) {
  glob_t found = {0};
  char pattern[512];
  memset(out, 0, sizeof *out);
  sb_status status, failure = sb_ok();
  SB_TRY(open_tools(out));
  snprintf(pattern, sizeof pattern, "%s/*/sub-*/ses-*/anat/*_T1w.nii.gz", folder);
  if (glob(pattern, 0, NULL, &found) != 0) {
    status = sb_error(SB_NOT_FOUND, "no real scans at %s", folder);
    goto cleanup;
  }
  SB_TRY(SB_NEW_ZERO(&out->scans, found.gl_pathc, "gallery"));
  out->count = (int)found.gl_pathc;
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < out->count; i++) {
    snprintf(out->scans[i].path, sizeof out->scans[i].path, "%s", found.gl_pathv[i]);
    sb_status prepared = prepare_scan(out, &out->scans[i]);
#pragma omp critical
    if (prepared.code != SB_OK) failure = prepared;
  }
  status = failure;
cleanup:
  globfree(&found);
  if (status.code != SB_OK) gallery_close(out);
  return status;
}

void gallery_close(gallery *g) {
  for (int i = 0; i < g->count; i++) free(g->scans[i].vector);
  free(g->scans);
  if (g->embedder.measure != NULL) sb_embedder_close(&g->embedder);
  sb_preparer_free(g->preparer);
  sb_template_free(g->t);
  memset(g, 0, sizeof *g);
}

// ---- One case -----------------------------------------------------------------------------------

static double dot(int64_t n, const float *a, const float *b) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
  return sum;
}

static sb_status compare_row(const gallery *g, int scan, bool brain, const float *row,
                             outcome *out) {
  float *vector = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&vector, g->embedder.size, "embedding"));
  SB_TRY(embed(g, row, vector));
  for (int i = 0; i < g->count; i++) {
    double r = dot(g->embedder.length, vector, g->scans[i].vector);
    if (brain && i == scan) out->own = r;
    if (!brain || strcmp(g->scans[i].person, g->scans[scan].person) != 0)
      out->other = fmax(out->other, r);
  }
cleanup:
  free(vector);
  return status;
}

sb_status gallery_case(const gallery *g, int scan, const sb_volume *volume, int which,
                       outcome *out) {
  const bool brain = which < damage_count();
  sb_volume spoiled = {0};
  sb_prepared prepared = {0};
  double moved[16], expected[16];
  *out = (outcome){.error_mm = NAN, .own = NAN, .other = -1};
  sb_status status = brain
                         ? damage_make(which, volume, (uint64_t)scan, &spoiled, moved)
                         : non_brain_make(which - damage_count(), volume, (uint64_t)scan, &spoiled);
  if (status.code != SB_OK) return status;
  out->status = sb_prepare_volume(g->preparer, &spoiled, &prepared);
  out->quality = prepared.quality;
  out->seconds = prepared.seconds;
  if (brain && sb_affine_determinant(prepared.template_to_scan) != 0) {
    sb_affine_multiply(moved, g->scans[scan].template_to_scan, expected);
    out->error_mm = compare_maps(g->t, expected, prepared.template_to_scan).mean_mm;
  }
  if (prepared.row != NULL) status = compare_row(g, scan, brain, prepared.row, out);
  sb_prepared_free(&prepared);
  sb_volume_free(&spoiled);
  return status;
}

bool outcome_links(const outcome *o) {
  return o->status.code == SB_OK && o->own > o->other;
}
