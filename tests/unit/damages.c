// Damages done to scans, and the list of all of them (see damages.h).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "damage_tools.h"
#include "damages.h"
#include "image/orient.h"
#include "image/smooth.h"
#include "prepare/sample.h"
#include "registration_cases.h"

// ---- Header -------------------------------------------------------------------------------------

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

// ---- Grid ---------------------------------------------------------------------------------------

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

// ---- Intensities --------------------------------------------------------------------------------

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

// ---- Skull stripping ----------------------------------------------------------------------------

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

// Years later on another scanner: atrophy, other gradients, field, noise and voxels.
static sb_status years_later(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]) {
  const damage older = {.a = 2, .b = 1}, elsewhere = {.a = 4}, uneven = {.a = 0.2, .b = 0.05},
               coarser = {.a = 3, .b = 1.2};
  sb_status status;
  (void)d;
  SB_TRY(atrophied(&older, v, seed, moved));
  SB_TRY(distorted(&elsewhere, v, seed, moved));
  SB_TRY(bias_or_noise(&uneven, v, seed, moved));
  SB_TRY(reslice(&coarser, v, seed, moved));
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
    {"gradients off by 4 mm", distorted, 4, 0},
    {"moved by 2 mm from place to place", warped, 2, 0},
    {"ventricles 2 mm wider, surface 1 mm", atrophied, 2, 1},
    {"ventricles 4 mm wider, surface 2 mm", atrophied, 4, 2},
    {"years later on another scanner", years_later, 0, 0},
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
