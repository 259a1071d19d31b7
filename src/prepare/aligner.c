// The template's side of the alignment: its levels, made once.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "image/resample.h"
#include "image/smooth.h"
#include "prepare/align.h"
#include "prepare/mask.h"

const double sb_align_level_mm[SB_ALIGN_LEVELS] = {8, 4, 2, 1};

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
    SB_TRY(add_level(&t->image, t->mask, fine_mm, sb_align_level_mm[l], l, out));
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

double sb_align_gain(const sb_aligner *aligner, const sb_alignment *alignment,
                     const double point_mm[3]) {
  double p[3];
  sb_affine_apply(aligner->ras_to_frame, point_mm, p);
  const double gain =
      sb_align_level_gain(&aligner->levels[SB_ALIGN_LEVELS - 1], alignment->gain, p);
  return fmax(1.0 / 3, fmin(3, gain));
}
