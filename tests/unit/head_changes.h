// What else heads go through before they are linked: scanners, faces taken off, fields of view that
// end too soon. Each change is made to a head and to its brain's mask alike.
#ifndef SB_TESTS_HEAD_CHANGES_H
#define SB_TESTS_HEAD_CHANGES_H

#include "head_cases.h"

// The box of a mask: its first and last voxel along each axis.
static inline void mask_box(const sb_volume *v, const uint8_t *mask, int64_t low[3],
                            int64_t high[3]) {
  for (int a = 0; a < 3; a++) {
    low[a] = v->dims[a];
    high[a] = 0;
  }
  for (int64_t i = 0; i < voxels_of(v); i++) {
    if (mask[i] == 0) continue;
    const int64_t at[3] = {i % v->dims[0], i / v->dims[0] % v->dims[1],
                           i / (v->dims[0] * v->dims[1])};
    for (int a = 0; a < 3; a++) {
      if (at[a] < low[a]) low[a] = at[a];
      if (at[a] > high[a]) high[a] = at[a];
    }
  }
}

// The field of view ends: what is left is `first` to `end` - 1 along an axis.
static inline void cut_at(sb_volume *v, uint8_t *mask, int axis, int64_t first, int64_t end) {
  const int64_t old[3] = {v->dims[0], v->dims[1], v->dims[2]};
  int64_t low[3] = {0, 0, 0}, high[3] = {old[0], old[1], old[2]}, to = 0;
  low[axis] = first < 0 ? 0 : first;
  high[axis] = end > old[axis] ? old[axis] : end;
  for (int64_t z = low[2]; z < high[2]; z++)
    for (int64_t y = low[1]; y < high[1]; y++)
      for (int64_t x = low[0]; x < high[0]; x++, to++) {
        const int64_t from = x + old[0] * (y + old[1] * z);
        v->voxels[to] = v->voxels[from];
        mask[to] = mask[from];
      }
  v->dims[axis] = high[axis] - low[axis];
  for (int i = 0; i < 3; i++) v->affine[4 * i + 3] += (double)low[axis] * v->affine[4 * i + axis];
}

// Linear interpolation onto voxels of another size.
static inline sb_status resized(sb_volume *v, uint8_t **mask, const double mm[3]) {
  sb_volume out = *v, soft = *v, soft_out;
  double to_old[16], size[3];
  sb_status status;
  out.voxels = soft.voxels = NULL;
  sb_voxel_size(v->affine, size);
  sb_affine_identity(to_old);
  for (int a = 0; a < 3; a++) {
    to_old[5 * a] = mm[a] / size[a];
    out.dims[a] = (int64_t)((double)v->dims[a] / to_old[5 * a]);
  }
  sb_affine_multiply(v->affine, to_old, out.affine);
  soft_out = out;
  SB_TRY(SB_NEW(&out.voxels, voxels_of(&out), "resized head"));
  SB_TRY(SB_NEW(&soft.voxels, voxels_of(v), "resized mask"));
  SB_TRY(SB_NEW(&soft_out.voxels, voxels_of(&out), "resized mask"));
  for (int64_t i = 0; i < voxels_of(v); i++) soft.voxels[i] = (*mask)[i];
  resample(v, to_old, sb_sample_linear, &out);
  resample(&soft, to_old, sb_sample_linear, &soft_out);
  free(*mask);
  *mask = NULL;
  SB_TRY(SB_NEW(mask, voxels_of(&out), "resized mask"));
  for (int64_t i = 0; i < voxels_of(&out); i++) (*mask)[i] = soft_out.voxels[i] >= 0.5f;
  sb_volume_free(v);
  *v = out;
  out.voxels = NULL;
cleanup:
  sb_volume_free(&out);
  sb_volume_free(&soft);
  sb_volume_free(&soft_out);
  return status;
}

// The mean of what is above the mean: about the brightness of white matter and fat.
static inline double bright_of(const sb_volume *v) {
  double mean = 0;
  for (int pass = 0; pass < 2; pass++) {
    double sum = 0, count = 0;
    for (int64_t i = 0; i < voxels_of(v); i++) {
      if ((double)v->voxels[i] <= mean) continue;
      sum += (double)v->voxels[i];
      count++;
    }
    mean = sum / count;
  }
  return mean;
}

// ---- The changes --------------------------------------------------------------------------------

typedef sb_status head_change(sb_volume *v, uint8_t **mask);

static inline sb_status times_0_7(sb_volume *v, uint8_t **mask) {
  (void)mask;
  for (int k = 0; k < 12; k++) v->affine[k] *= 0.7;
  return sb_ok();
}

static inline sb_status times_1_3(sb_volume *v, uint8_t **mask) {
  (void)mask;
  for (int k = 0; k < 12; k++) v->affine[k] *= 1.3;
  return sb_ok();
}

static inline sb_status header_turned(sb_volume *v, uint8_t **mask) {
  static const double turned[12] = {0, 1, 0, 0, 0, 0, -1, 0, -1, 0, 0, 0};
  double size[3];
  (void)mask;
  sb_voxel_size(v->affine, size);
  memcpy(v->affine, turned, sizeof turned);
  for (int k = 0; k < 12; k++) v->affine[k] *= k % 4 < 3 ? size[k % 4] : 1;
  return sb_ok();
}

// Chin on the chest.
static inline sb_status nodding(sb_volume *v, uint8_t **mask) {
  double turned[16];
  (void)mask;
  sb_affine_identity(turned);
  turned[5] = turned[10] = 0.866;
  turned[6] = 0.5;
  turned[9] = -0.5;
  sb_affine_multiply(turned, v->affine, v->affine);
  return sb_ok();
}

static inline sb_status background_7(sb_volume *v, uint8_t **mask) {
  (void)mask;
  for (int64_t i = 0; i < voxels_of(v); i++) v->voxels[i] += 7;
  return sb_ok();
}

static inline sb_status offset_and_scaled(sb_volume *v, uint8_t **mask) {
  (void)mask;
  for (int64_t i = 0; i < voxels_of(v); i++) v->voxels[i] = 0.01f * v->voxels[i] - 1000;
  return sb_ok();
}

static inline sb_status noisy(sb_volume *v, uint8_t **mask) {
  const float sigma = (float)(0.08 * bright_of(v));
  uint64_t seed = 5;
  (void)mask;
  for (int64_t i = 0; i < voxels_of(v); i++)
    v->voxels[i] =
        hypotf(v->voxels[i] + sigma * (float)normal(&seed), sigma * (float)normal(&seed));
  return sb_ok();
}

// Brighter towards the back and above by 40 %, darker in front and below.
static inline sb_status field_of_40(sb_volume *v, uint8_t **mask) {
  (void)mask;
  for (int64_t i = 0; i < voxels_of(v); i++) {
    const double y = (double)(i / v->dims[0] % v->dims[1]) / (double)v->dims[1] - 0.5,
                 z = (double)(i / (v->dims[0] * v->dims[1])) / (double)v->dims[2] - 0.5;
    v->voxels[i] *= (float)(1 + 0.4 * fmax(-1, fmin(1, 2 * z - 2 * y)));
  }
  return sb_ok();
}

// Grey and white matter brought nearer to each other.
static inline sb_status low_contrast(sb_volume *v, uint8_t **mask) {
  const float bright = (float)bright_of(v);
  (void)mask;
  for (int64_t i = 0; i < voxels_of(v); i++)
    v->voxels[i] = bright * sqrtf(fmaxf(0, v->voxels[i]) / bright);
  return sb_ok();
}

// A tenth of the image lies over it, half a field of view further: a ghost, or what wraps around.
static inline sb_status ghost(sb_volume *v, uint8_t **mask) {
  const int64_t nx = v->dims[0], ny = v->dims[1];
  float *column = NULL;
  (void)mask;
  sb_status status = SB_NEW(&column, ny, "ghost");
  for (int64_t z = 0; status.code == SB_OK && z < v->dims[2]; z++)
    for (int64_t x = 0; x < nx; x++) {
      float *at = v->voxels + x + nx * ny * z;
      for (int64_t y = 0; y < ny; y++) column[y] = at[nx * y];
      for (int64_t y = 0; y < ny; y++) at[nx * y] += 0.1f * column[(y + ny / 2) % ny];
    }
  free(column);
  return status;
}

// Slices of 3 mm.
static inline sb_status thick_slices(sb_volume *v, uint8_t **mask) {
  static const int64_t factors[3] = {1, 1, 3};
  sb_volume soft = *v, small = {0}, small_mask = {0};
  sb_status status;
  soft.voxels = NULL;
  SB_TRY(SB_NEW(&soft.voxels, voxels_of(v), "mask"));
  for (int64_t i = 0; i < voxels_of(v); i++) soft.voxels[i] = (*mask)[i];
  SB_TRY(sb_volume_shrink(v, factors, &small));
  SB_TRY(sb_volume_shrink(&soft, factors, &small_mask));
  for (int64_t i = 0; i < voxels_of(&small); i++) (*mask)[i] = small_mask.voxels[i] >= 0.5f;
  sb_volume_free(v);
  *v = small;
  small.voxels = NULL;
cleanup:
  sb_volume_free(&soft);
  sb_volume_free(&small);
  sb_volume_free(&small_mask);
  return status;
}

static inline sb_status voxels_of_0_8(sb_volume *v, uint8_t **mask) {
  static const double mm[3] = {0.8, 0.8, 0.8};
  return resized(v, mask, mm);
}

static inline sb_status voxels_of_1_2(sb_volume *v, uint8_t **mask) {
  static const double mm[3] = {0.9, 1.2, 1.2};
  return resized(v, mask, mm);
}

// The field of view ends just below the brain, and in front of it.
static inline sb_status no_neck(sb_volume *v, uint8_t **mask) {
  int64_t low[3], high[3];
  mask_box(v, *mask, low, high);
  cut_at(v, *mask, 2, low[2] - 2, v->dims[2]);
  return sb_ok();
}

static inline sb_status no_face(sb_volume *v, uint8_t **mask) {
  int64_t low[3], high[3];
  mask_box(v, *mask, low, high);
  cut_at(v, *mask, 1, 0, high[1] + 3);
  return sb_ok();
}

// It ends within the brain: a tenth of its height is missing above.
static inline sb_status no_top(sb_volume *v, uint8_t **mask) {
  int64_t low[3], high[3];
  mask_box(v, *mask, low, high);
  cut_at(v, *mask, 2, 0, high[2] - (high[2] - low[2]) / 10);
  return sb_ok();
}

static inline sb_status no_cerebellum(sb_volume *v, uint8_t **mask) {
  int64_t low[3], high[3];
  mask_box(v, *mask, low, high);
  cut_at(v, *mask, 2, low[2] + (high[2] - low[2]) / 7, v->dims[2]);
  return sb_ok();
}

// Neither neck nor face, and small: about as large as a brain.
static inline sb_status slab(sb_volume *v, uint8_t **mask) {
  int64_t low[3], high[3];
  mask_box(v, *mask, low, high);
  cut_at(v, *mask, 2, low[2] + (high[2] - low[2]) / 5, v->dims[2]);
  for (int k = 0; k < 12; k++) v->affine[k] *= 0.85;
  return sb_ok();
}

// The face is blanked up to the brain, as programs that make data shareable do.
static inline sb_status defaced(sb_volume *v, uint8_t **mask) {
  int64_t low[3], high[3];
  mask_box(v, *mask, low, high);
  const int64_t front = high[1] - (high[1] - low[1]) / 4, top = (low[2] + high[2]) / 2;
  for (int64_t i = 0; i < voxels_of(v); i++) {
    const int64_t y = i / v->dims[0] % v->dims[1], z = i / (v->dims[0] * v->dims[1]);
    if ((*mask)[i] == 0 && y > front && z < top) v->voxels[i] = 0;
  }
  return sb_ok();
}

// The neck goes on for 80 mm more.
static inline sb_status long_neck(sb_volume *v, uint8_t **mask) {
  double size[3];
  sb_voxel_size(v->affine, size);
  const int64_t more = llround(80 / size[2]), slice = v->dims[0] * v->dims[1];
  sb_volume out = *v;
  uint8_t *longer = NULL;
  sb_status status;
  out.voxels = NULL;
  out.dims[2] += more;
  SB_TRY(SB_NEW(&out.voxels, voxels_of(&out), "head"));
  SB_TRY(SB_NEW_ZERO(&longer, voxels_of(&out), "mask"));
  for (int64_t z = 0; z < out.dims[2]; z++) {
    const int64_t from = z < more ? 0 : z - more;
    memcpy(out.voxels + slice * z, v->voxels + slice * from, (size_t)slice * sizeof *out.voxels);
    if (z >= more) memcpy(longer + slice * z, *mask + slice * from, (size_t)slice);
  }
  for (int i = 0; i < 3; i++) out.affine[4 * i + 3] -= (double)more * v->affine[4 * i + 2];
  sb_volume_free(v);
  *v = out;
  out.voxels = NULL;
  free(*mask);
  *mask = longer;
  longer = NULL;
cleanup:
  sb_volume_free(&out);
  free(longer);
  return status;
}

static const struct {
  const char *name;
  head_change *change;
} HEAD_CHANGES[] = {
    {"scaled by 0.7", times_0_7},
    {"scaled by 1.3", times_1_3},
    {"header turned", header_turned},
    {"nodding by 30 degrees", nodding},
    {"background 7", background_7},
    {"times 0.01 less 1000", offset_and_scaled},
    {"noise of 8 %, in the air too", noisy},
    {"field of 40 %", field_of_40},
    {"low contrast", low_contrast},
    {"ghost of a tenth", ghost},
    {"slices of 3 mm", thick_slices},
    {"voxels of 0.8 mm", voxels_of_0_8},
    {"voxels of 0.9 x 1.2 x 1.2 mm", voxels_of_1_2},
    {"cut off below the brain", no_neck},
    {"cut off at the face", no_face},
    {"cut off above, in the brain", no_top},
    {"cut off within the cerebellum", no_cerebellum},
    {"a small slab", slab},
    {"defaced", defaced},
    {"neck 80 mm longer", long_neck},
};
enum { HEAD_CHANGE_COUNT = sizeof HEAD_CHANGES / sizeof *HEAD_CHANGES };

#endif
