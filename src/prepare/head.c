// The template's side of brain extraction. In: the template's whole head and its brain's mask; out:
// what scans are aligned to, and masks on a grid around the brain.
#include "prepare/head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "image/orient.h"
#include "image/resample.h"
#include "prepare/mask.h"
#include "prepare/sample.h"

// All in millimetres of the template.
static const double MARGIN_MM = 16; // around the brain, what alignment looks at
static const double REACH_MM = 9;   // how far a scan's brain may be from the template's
static const double EDGE_MM = 6;    // of the grid, around all of that
static const double CORE_MM = 6;    // how deep inside everything is brain
static const double AROUND_MM = 3;  // how far out dark and bright are learnt
static const double SCALP_MM = 7.5, AIR_MM = 13.5; // from the brain to the scalp, and beyond it

static int64_t voxel_count(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

static int steps(double mm) {
  return (int)(mm / SB_HEAD_GRID_MM + 0.5);
}

// The grid: along the template's axes, around all that is in reach of its brain.
static void set_grid(const sb_template *t, sb_volume *grid) {
  const int64_t *d = t->image.dims;
  double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {0}, mm[3], to_template[16];
  sb_voxel_size(t->image.affine, mm);
  for (int64_t i = 0; i < voxel_count(&t->image); i++) {
    if (t->mask[i] == 0) continue;
    const int64_t at[3] = {i % d[0], i / d[0] % d[1], i / (d[0] * d[1])};
    for (int a = 0; a < 3; a++) {
      low[a] = fmin(low[a], (double)at[a]);
      high[a] = fmax(high[a], (double)at[a]);
    }
  }
  sb_affine_identity(to_template);
  for (int a = 0; a < 3; a++) {
    const double edge = (REACH_MM + EDGE_MM) / mm[a];
    grid->dims[a] = (int64_t)ceil((high[a] - low[a] + 2 * edge) * mm[a] / SB_HEAD_GRID_MM) + 1;
    to_template[5 * a] = SB_HEAD_GRID_MM / mm[a];
    to_template[4 * a + 3] = low[a] - edge;
  }
  sb_affine_multiply(t->image.affine, to_template, grid->affine);
}

// The template's mask on the grid.
static sb_status sample_mask(const sb_template *t, const sb_volume *grid, uint8_t *out) {
  static const int64_t origin[3] = {0, 0, 0};
  sb_volume mask = t->image, sampled = *grid;
  sb_padded padded = {0};
  double to_voxels[16];
  const int64_t n = voxel_count(&t->image);
  sb_status status;
  mask.voxels = sampled.voxels = NULL;
  SB_TRY(SB_NEW(&mask.voxels, n, "template mask"));
  SB_TRY(SB_NEW(&sampled.voxels, voxel_count(grid), "template mask"));
  for (int64_t i = 0; i < n; i++) mask.voxels[i] = t->mask[i];
  if (!sb_affine_invert(t->image.affine, to_voxels)) {
    status = sb_error(SB_FORMAT, "%s: the header's orientation matrix is singular", t->path);
    goto cleanup;
  }
  sb_affine_multiply(to_voxels, grid->affine, to_voxels);
  SB_TRY(sb_padded_crop(&mask, origin, mask.dims, &padded));
  SB_TRY(sb_sample_grid(&padded, to_voxels, 2, NULL, &sampled));
  for (int64_t i = 0; i < voxel_count(grid); i++) out[i] = sampled.voxels[i] >= 0.5f;
cleanup:
  sb_padded_free(&padded);
  free(mask.voxels);
  free(sampled.voxels);
  return status;
}

// The brain grown (or shrunk) by `mm`, in an array made here.
static sb_status grown(const sb_head *head, double mm, uint8_t **out) {
  const int64_t n = voxel_count(&head->grid);
  sb_status status = SB_NEW(out, n, "template mask");
  if (status.code != SB_OK) return status;
  memcpy(*out, head->brain, (size_t)n);
  return mm < 0 ? sb_mask_shrink(head->grid.dims, *out, steps(-mm))
                : sb_mask_grow(head->grid.dims, *out, steps(mm));
}

static sb_status make_masks(const sb_template *t, sb_head *head) {
  const int64_t n = voxel_count(&head->grid), plane = head->grid.dims[0] * head->grid.dims[1];
  double centre[3], up[3];
  uint8_t *skull = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&head->brain, n, "template mask"));
  SB_TRY(sample_mask(t, &head->grid, head->brain));
  SB_TRY(grown(head, -CORE_MM, &head->core));
  SB_TRY(grown(head, AROUND_MM, &head->around));
  SB_TRY(grown(head, REACH_MM, &head->reach));
  SB_TRY(grown(head, SCALP_MM, &skull));
  SB_TRY(grown(head, AIR_MM, &head->scalp));
  // The scalp is looked for above the brain's centre: face and neck lie around the rest.
  sb_affine_apply(head->aligner.frame_to_ras, head->aligner.centre_mm, centre);
  for (int64_t i = 0; i < n; i++) {
    const int64_t x = i % head->grid.dims[0], y = i / head->grid.dims[0] % head->grid.dims[1];
    const int64_t z = i / plane;
    const double at[3] = {(double)x, (double)y, (double)z};
    sb_affine_apply(head->grid.affine, at, up);
    head->scalp[i] = head->scalp[i] != 0 && skull[i] == 0 && up[2] > centre[2];
  }
  SB_TRY(grown(head, REACH_MM + 2 * SB_HEAD_GRID_MM, &head->looked_at));
  for (int64_t i = 0; i < n; i++) head->looked_at[i] |= head->scalp[i];
cleanup:
  free(skull);
  return status;
}

void sb_head_top(const sb_brain *head, const double up[3], double deep_mm, double centre_mm[3]) {
  enum { BINS = 512 };
  static const double BIN_MM = 4,
                      LEAST_SHARE = 0.1; // of the fullest slab, for the first that counts
  const sb_volume *v = &head->image;
  const float threshold = (float)head->threshold;
  double counts[BINS] = {0}, sums[BINS][3] = {{0}}, along[4] = {0}, corner = INFINITY;
  for (int j = 0; j < 4; j++)
    for (int i = 0; i < 3; i++) along[j] += up[i] * v->affine[4 * i + j];
  for (int c = 0; c < 8; c++) {
    double height = along[3];
    for (int j = 0; j < 3; j++) height += (c >> j & 1) != 0 ? along[j] * (double)v->dims[j] : 0;
    corner = fmin(corner, height);
  }
  for (int64_t z = 0; z < v->dims[2]; z++)
    for (int64_t y = 0; y < v->dims[1]; y++) {
      const float *row = v->voxels + v->dims[0] * (y + v->dims[1] * z);
      const double base = along[1] * (double)y + along[2] * (double)z + along[3] - corner;
      for (int64_t x = 0; x < v->dims[0]; x++) {
        if (!(fabsf(row[x]) > threshold)) continue;
        int bin = (int)fmin(BINS - 1, (base + along[0] * (double)x) / BIN_MM);
        counts[bin]++;
        sums[bin][0] += (double)x;
        sums[bin][1] += (double)y;
        sums[bin][2] += (double)z;
      }
    }
  double most = 0, count = 0, centre[3] = {0};
  for (int b = 0; b < BINS; b++) most = fmax(most, counts[b]);
  int top = BINS - 1;
  while (top > 0 && counts[top] <= LEAST_SHARE * most) top--;
  for (int b = top; b >= 0 && (top - b) * BIN_MM < deep_mm; b--) {
    count += counts[b];
    for (int i = 0; i < 3; i++) centre[i] += sums[b][i];
  }
  for (int i = 0; i < 3; i++) centre[i] /= fmax(1, count);
  sb_affine_apply(v->affine, centre, centre_mm);
}

static sb_status measure_top(const sb_volume *image, sb_head *head) {
  static const double up[3] = {0, 0, 1};
  double centre[3], top[3], mm[3];
  int64_t factors[3];
  sb_volume small = {0};
  sb_brain found = {0};
  sb_status status;
  sb_voxel_size(image->affine, mm);
  for (int i = 0; i < 3; i++) factors[i] = llround(fmax(1, 4 / mm[i]));
  SB_TRY(sb_volume_shrink(image, factors, &small));
  SB_TRY(sb_brain_find(&small, &found));
  sb_affine_apply(head->aligner.frame_to_ras, head->aligner.centre_mm, centre);
  sb_head_top(&found, up, SB_HEAD_TOP_MM, top);
  for (int i = 0; i < 3; i++) head->top_to_brain_mm[i] = centre[i] - top[i];
cleanup:
  sb_volume_free(&small);
  sb_brain_free(&found);
  return status;
}

// Head and brain of one pair.
static sb_status create(const sb_template *brain, const char *head_path, sb_head *out) {
  sb_volume image = {0};
  sb_status status;
  SB_TRY(sb_volume_load(head_path, &image, NULL));
  for (int i = 0; i < 16; i++)
    if (fabs(image.affine[i] - brain->image.affine[i]) > 1e-3 ||
        (i < 3 && image.dims[i] != brain->image.dims[i])) {
      status = sb_error(SB_CONFLICT,
                        "%s: not on the grid of its brain %s; give a head with the same dimensions "
                        "and orientation",
                        head_path, brain->path);
      goto cleanup;
    }
  SB_TRY(sb_aligner_create_head(brain, &image, MARGIN_MM, &out->aligner));
  SB_TRY(measure_top(&image, out));
  set_grid(brain, &out->grid);
  SB_TRY(make_masks(brain, out));
cleanup:
  sb_volume_free(&image);
  return status;
}

// Where the brain of another template lies on the one of the rows.
static sb_status place_brain(const sb_aligner *aligner, const sb_template *other, double map[16]) {
  sb_brain brain = {0};
  sb_alignment alignment;
  sb_status status;
  SB_TRY(sb_brain_find(&other->image, &brain));
  SB_TRY(sb_align(aligner, &brain, &alignment));
  if (!sb_affine_invert(alignment.template_to_scan, map))
    status = sb_error(SB_ALIGN, "%s: its alignment to the template is singular", other->path);
cleanup:
  sb_brain_free(&brain);
  return status;
}

sb_status sb_head_create(const sb_template *t, const sb_aligner *aligner, sb_head *out) {
  sb_template_options options = sb_template_options_default();
  sb_template *brain = NULL;
  sb_status status;
  memset(out, 0, sizeof *out);
  if (t->head_path == NULL)
    return sb_error(SB_UNSUPPORTED,
                    "a whole head, and there is none to align it to: install the Debian package "
                    "mricron-data, name the head of the template %s with --template-head, give the "
                    "scan's brain mask, or strip the skull first",
                    t->path);
  sb_affine_identity(out->to_template);
  if (t->head_brain_path != NULL) {
    options.image_path = t->head_brain_path;
    SB_TRY(sb_template_load(&options, &brain));
    SB_TRY(place_brain(aligner, brain, out->to_template));
  }
  SB_TRY(create(brain != NULL ? brain : t, t->head_path, out));
cleanup:
  sb_template_free(brain);
  if (status.code != SB_OK) sb_head_free(out);
  return status;
}

void sb_head_free(sb_head *head) {
  sb_aligner_free(&head->aligner);
  free(head->brain);
  free(head->core);
  free(head->around);
  free(head->reach);
  free(head->scalp);
  free(head->looked_at);
  memset(head, 0, sizeof *head);
}
