#include "prepare/row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/clones.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "image/orient.h"
#include "image/smooth.h"
#include "prepare/bias.h"
#include "prepare/mask.h"
#include "prepare/preparer.h"
#include "prepare/quality.h"
#include "prepare/sample.h"
#include "prepare/structure.h"
#include "prepare/template.h"

// ---- Resampling ---------------------------------------------------------------------------------

// The brain's image smoothed by a Gaussian as wide in every direction, packed.
static sb_status smooth(const sb_brain *brain, double smooth_mm, sb_packed *out) {
  const int64_t *dims = brain->image.dims, n = dims[0] * dims[1] * dims[2];
  const float low = brain->packed.low, high = low + 255 * brain->packed.step;
  sb_volume image = brain->image;
  double sigma_vox[3];
  sb_status status;
  SB_TRY(SB_NEW(&image.voxels, n, "smoothed scan"));
  memcpy(image.voxels, brain->image.voxels, (size_t)n * sizeof *image.voxels);
  sb_voxel_size(image.affine, sigma_vox);
  for (int i = 0; i < 3; i++) sigma_vox[i] = smooth_mm / sigma_vox[i];
  SB_TRY(sb_volume_gaussian(&image, sigma_vox));
  SB_TRY(sb_packed_create(&image, low, high, out));
cleanup:
  if (image.voxels != brain->image.voxels) sb_volume_free(&image);
  return status;
}

SB_CLONES
static void mark_foreground(int64_t count, const float *restrict values, float threshold,
                            uint8_t *restrict mask) {
  for (int64_t i = 0; i < count; i++) mask[i] = fabsf(values[i]) > threshold;
}

// The brain on the rows' grid, and where on it the scan's own brain is.
//   grid      out: intensities where the template's mask is; voxels allocated here
//   own_mask  out: 0 or 1 per grid voxel
static sb_status resample(const sb_template *t, const sb_brain *brain,
                          const double template_to_scan[16], double smooth_mm, sb_volume *grid,
                          uint8_t *own_mask) {
  const int64_t n = t->row_image.dims[0] * t->row_image.dims[1] * t->row_image.dims[2];
  sb_packed smoothed = {0};
  double grid_to_scan[16], to_voxels[16];
  sb_status status;
  *grid = t->row_image;
  grid->voxels = NULL;
  SB_TRY(SB_NEW(&grid->voxels, n, "resampled scan"));
  if (!sb_affine_invert(brain->image.affine, to_voxels)) {
    status = sb_error(SB_FORMAT, "the header's orientation matrix is singular");
    goto cleanup;
  }
  sb_affine_multiply(template_to_scan, t->row_image.affine, grid_to_scan);
  sb_affine_multiply(to_voxels, grid_to_scan, grid_to_scan);

  // The scan's own brain is where the intensity at the voxel's centre stands out.
  SB_TRY(sb_sample_packed_grid(&brain->packed, grid_to_scan, 1, NULL, grid));
  mark_foreground(n, grid->voxels, (float)brain->threshold, own_mask);
  SB_TRY(sb_mask_fill_holes(grid->dims, own_mask));
  if (smooth_mm > 0) {
    SB_TRY(smooth(brain, smooth_mm, &smoothed));
    SB_TRY(sb_sample_packed_grid(&smoothed, grid_to_scan, 1, t->row_mask, grid));
  } else {
    SB_TRY(sb_sample_packed_grid(&brain->packed, grid_to_scan, SB_SUB_SAMPLES, t->row_mask, grid));
  }
cleanup:
  sb_packed_free(&smoothed);
  return status;
}

// ---- Bias field and what is outside -------------------------------------------------------------

// The field that N4 finds, as a gain for each element of the row.
static sb_status n4_gain(const sb_template *t, const sb_volume *grid, const uint8_t *own_mask,
                         float *gain) {
  const int64_t n = t->row_image.dims[0] * t->row_image.dims[1] * t->row_image.dims[2];
  uint8_t *brain = NULL;
  float *field = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&brain, n, "brain mask"));
  SB_TRY(SB_NEW(&field, n, "bias field"));
  for (int64_t i = 0; i < n; i++) brain[i] = own_mask[i] & t->row_mask[i];
  SB_TRY(sb_bias_estimate(grid, t->resolution_mm, brain, field));
  for (int64_t i = 0; i < t->row_length; i++) gain[i] = expf(field[t->row_index[i]]);
cleanup:
  free(brain);
  free(field);
  return status;
}

static void alignment_gain(const sb_preparer *p, const sb_alignment *alignment, float *gain) {
  const sb_template *t = p->tmpl;
  const int64_t nx = t->row_image.dims[0], ny = t->row_image.dims[1];
  for (int64_t i = 0; i < t->row_length; i++) {
    const int64_t at = t->row_index[i], x = at % nx, y = at / nx % ny, z = at / (nx * ny);
    double point[3] = {(double)x, (double)y, (double)z};
    sb_affine_apply(t->row_image.affine, point, point);
    gain[i] = (float)sb_align_gain(&p->aligner, alignment, point);
  }
}

// Divides the bias field out of a row.
static sb_status remove_bias(const sb_preparer *p, sb_bias bias, const sb_alignment *alignment,
                             const sb_volume *grid, const uint8_t *own_mask, float *row) {
  float *gain = NULL;
  sb_status status = sb_ok();
  if (bias == SB_BIAS_OFF) return status;
  SB_TRY(SB_NEW(&gain, p->tmpl->row_length, "bias field"));
  if (bias == SB_BIAS_N4)
    SB_TRY(n4_gain(p->tmpl, grid, own_mask, gain));
  else
    alignment_gain(p, alignment, gain);
  for (int64_t i = 0; i < p->tmpl->row_length; i++) row[i] /= gain[i];
cleanup:
  free(gain);
  return status;
}

// Fades a harmonised row to 0 over the edge of the scan's own brain, by the brain's share of a
// neighbourhood about a voxel wide.
static sb_status fade(const sb_template *t, const uint8_t *own_mask, float *row) {
  enum { REACH = 4 }; // of the Gaussian
  static const double SIGMA_VOX[3] = {1, 1, 1};
  const int64_t *grid = t->row_image.dims, plane = grid[0] * grid[1];
  const int64_t first = t->row_first[2] > REACH ? t->row_first[2] - REACH : 0;
  const int64_t end = t->row_end[2] + REACH < grid[2] ? t->row_end[2] + REACH : grid[2];
  const int64_t dims[3] = {grid[0], grid[1], end - first}, before = plane * first;
  float *share = NULL; // of the planes first..end-1
  sb_status status;
  SB_TRY(SB_NEW(&share, plane * dims[2], "brain mask"));
  for (int64_t i = 0; i < plane * dims[2]; i++) share[i] = own_mask[before + i];
  SB_TRY(sb_gaussian(share, dims, SIGMA_VOX));
  for (int64_t i = 0; i < t->row_length; i++) row[i] *= share[t->row_index[i] - before];
cleanup:
  free(share);
  return status;
}

static sb_status fill_outside(const sb_preparer *p, const sb_prepare_options *options,
                              const uint8_t *own_mask, float *row) {
  const sb_template *t = p->tmpl;
  const float most = options->winsor_sigma > 0 ? (float)options->winsor_sigma : INFINITY;
  const sb_outside outside = sb_chosen_outside(options);
  if (outside == SB_OUTSIDE_SCAN) return sb_ok();
  if (outside == SB_OUTSIDE_FALLOFF) return fade(t, own_mask, row);
  for (int64_t i = 0; i < t->row_length; i++) {
    if (own_mask[t->row_index[i]] != 0) continue;
    row[i] = outside == SB_OUTSIDE_MEAN ? 0 : fmaxf(-most, fminf(most, p->standard_row[i]));
  }
  return sb_ok();
}

// ---- The list of steps --------------------------------------------------------------------------

sb_status sb_row_make(const sb_preparer *p, const sb_prepare_options *options,
                      const sb_brain *brain, const sb_alignment *alignment, uint8_t *brain_in_row,
                      sb_prepared *out) {
  const sb_template *t = p->tmpl;
  sb_volume grid = {0};
  sb_structure structure;
  double since = sb_thread_cpu_s();
  sb_status status;
  SB_TRY(resample(t, brain, alignment->template_to_scan, options->smooth_mm, &grid, out->own_mask));
  for (int64_t i = 0; i < t->row_length; i++) {
    out->row[i] = grid.voxels[t->row_index[i]];
    brain_in_row[i] = out->own_mask[t->row_index[i]];
  }
  sb_lap(&since, &out->steps.resample);
  SB_TRY(remove_bias(p, sb_chosen_bias(options->bias), alignment, &grid, out->own_mask, out->row));
  sb_lap(&since, &out->steps.bias);
  SB_TRY(sb_harmonise_row(options->harmonise, options->winsor_sigma, &p->scale, t->row_length,
                          brain_in_row, out->row));
  sb_lap(&since, &out->steps.harmonise);
  SB_TRY(sb_structure_measure(t, out->row, brain_in_row, &structure));
  memcpy(out->template_to_scan, alignment->template_to_scan, sizeof out->template_to_scan);
  sb_quality_measure(p, brain, alignment, &structure, out); // of what the scan has, also outside
  sb_lap(&since, &out->steps.check);
  SB_TRY(fill_outside(p, options, out->own_mask, out->row));
  sb_lap(&since, &out->steps.outside);
cleanup:
  sb_volume_free(&grid);
  return status;
}

sb_status sb_row_room(const sb_template *t, sb_prepared *out, uint8_t **brain_in_row) {
  const int64_t n = t->row_image.dims[0] * t->row_image.dims[1] * t->row_image.dims[2];
  sb_status status;
  memset(out, 0, sizeof *out);
  SB_TRY(SB_NEW(&out->row, t->row_length, "row"));
  SB_TRY(SB_NEW(&out->own_mask, n, "brain mask"));
  SB_TRY(SB_NEW(brain_in_row, t->row_length, "brain mask"));
cleanup:
  return status;
}
