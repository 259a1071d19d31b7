// The template: the image that scans are aligned to, and the grid and mask that rows live on.
// In: a skull-stripped brain (and its mask); out: an immutable sb_template.
#include "prepare/template.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "prepare/mask.h"
#include "prepare/sample.h"

static const char COLIN27[] = SAMEBRAIN_COLIN27 "/ch2bet.nii.gz";
static const char COLIN27_HEAD[] = SAMEBRAIN_COLIN27 "/ch2.nii.gz";

sb_template_options sb_template_options_default(void) {
  return (sb_template_options){.resolution_mm = 2};
}

const char *sb_template_default_path(void) {
  const char *path = getenv("SAMEBRAIN_TEMPLATE");
  if (path != NULL && path[0] != '\0') return path;
  return sb_is_file(COLIN27) ? COLIN27 : NULL;
}

static int64_t voxel_count(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

// Refuses what cannot be a brain by its size, and a mask that lies where the image is empty.
static sb_status check_brain(const sb_template *t, const char *path) {
  static const double LEAST_CM3 = 50, MOST_CM3 = 2500;
  const int64_t n = voxel_count(&t->image);
  int64_t brain = 0, empty = 0;
  for (int64_t i = 0; i < n; i++) {
    brain += t->mask[i];
    empty += t->mask[i] != 0 && t->image.voxels[i] == 0;
  }
  const double cm3 = (double)brain * fabs(sb_affine_determinant(t->image.affine)) / 1000;
  if (!(cm3 >= LEAST_CM3 && cm3 <= MOST_CM3))
    return sb_error(SB_CONTENT,
                    "%s: %.0f cm3 are brain, where a template's has %g to %g; is it a whole head "
                    "(strip it, or give --template-mask), or are the header's voxel sizes wrong?",
                    path, cm3, LEAST_CM3, MOST_CM3);
  if (2 * empty > brain)
    return sb_error(SB_CONTENT, "%s: the template %s is 0 in %.0f %% of this mask; is it its own?",
                    path, t->path, 100 * (double)empty / (double)brain);
  return sb_ok();
}

// The brain: the given mask, or the image's largest part above zero; holes are filled.
static sb_status make_mask(sb_template *t, const char *mask_path) {
  sb_volume given = {0};
  int64_t n = voxel_count(&t->image), count, next;
  sb_status status;
  SB_TRY(SB_NEW(&t->mask, n, "template mask"));
  if (mask_path != NULL) {
    SB_TRY(sb_volume_load(mask_path, &given, NULL));
    for (int i = 0; i < 16; i++)
      if (fabs(given.affine[i] - t->image.affine[i]) > 1e-3 ||
          (i < 3 && given.dims[i] != t->image.dims[i])) {
        status = sb_error(SB_CONFLICT,
                          "%s: not on the grid of the template %s; give a mask with the "
                          "same dimensions and orientation",
                          mask_path, t->path);
        goto cleanup;
      }
    // 0 and 1, labels, or probabilities.
    for (int64_t i = 0; i < n; i++) t->mask[i] = given.voxels[i] > 0.5f;
  } else {
    for (int64_t i = 0; i < n; i++) t->mask[i] = t->image.voxels[i] > 0;
  }
  SB_TRY(sb_mask_keep_largest(t->image.dims, t->mask, &count, &next));
  if (count > n * 3 / 5) {
    status = sb_error(SB_CONTENT,
                      "%s: %.0f %% of the image is brain; a template must be skull-stripped "
                      "with a background of 0, or come with its mask (--template-mask)",
                      mask_path != NULL ? mask_path : t->path, 100.0 * (double)count / (double)n);
    goto cleanup;
  }
  SB_TRY(sb_mask_fill_holes(t->image.dims, t->mask));
  SB_TRY(check_brain(t, mask_path != NULL ? mask_path : t->path));
  for (int64_t i = 0; i < n; i++)
    if (t->mask[i] == 0) t->image.voxels[i] = 0;
cleanup:
  sb_volume_free(&given);
  return status;
}

// The grid of the rows: from the template's first voxel on, resolution_mm apart, along RAS axes.
static void set_row_grid(const sb_template *t, sb_volume *grid) {
  double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
  for (int corner = 0; corner < 8; corner++) {
    double p[3];
    for (int i = 0; i < 3; i++) p[i] = (corner >> i & 1) != 0 ? (double)(t->image.dims[i] - 1) : 0;
    sb_affine_apply(t->image.affine, p, p);
    for (int i = 0; i < 3; i++) {
      low[i] = fmin(low[i], p[i]);
      high[i] = fmax(high[i], p[i]);
    }
  }
  sb_affine_identity(grid->affine);
  for (int i = 0; i < 3; i++) {
    grid->dims[i] = (int64_t)floor((high[i] - low[i]) / t->resolution_mm + 1e-6) + 1;
    grid->affine[5 * i] = t->resolution_mm;
    grid->affine[4 * i + 3] = low[i];
  }
}

// The template and its mask on the rows' grid, averaged over each voxel's extent.
static sb_status make_rows(sb_template *t) {
  static const int64_t origin[3] = {0, 0, 0};
  sb_volume mask = {0}, mask_on_grid = {0};
  sb_padded padded = {0};
  double to_template[16];
  sb_status status;
  set_row_grid(t, &t->row_image);
  int64_t n = voxel_count(&t->image), grid_n = voxel_count(&t->row_image);
  mask = t->image;
  mask.voxels = NULL;
  mask_on_grid = t->row_image;
  SB_TRY(SB_NEW(&mask.voxels, n, "template mask"));
  SB_TRY(SB_NEW(&mask_on_grid.voxels, grid_n, "template mask"));
  SB_TRY(SB_NEW(&t->row_image.voxels, grid_n, "template"));
  SB_TRY(SB_NEW(&t->row_mask, grid_n, "template mask"));
  for (int64_t i = 0; i < n; i++) mask.voxels[i] = t->mask[i];
  if (!sb_affine_invert(t->image.affine, to_template)) {
    status = sb_error(SB_FORMAT, "%s: the header's orientation matrix is singular", t->path);
    goto cleanup;
  }
  sb_affine_multiply(to_template, t->row_image.affine, to_template);
  SB_TRY(sb_padded_crop(&t->image, origin, t->image.dims, &padded));
  SB_TRY(sb_sample_grid(&padded, to_template, SB_SUB_SAMPLES, NULL, &t->row_image));
  sb_padded_free(&padded);
  SB_TRY(sb_padded_crop(&mask, origin, mask.dims, &padded));
  SB_TRY(sb_sample_grid(&padded, to_template, SB_SUB_SAMPLES, NULL, &mask_on_grid));
  for (int64_t i = 0; i < grid_n; i++)
    t->row_length += t->row_mask[i] = mask_on_grid.voxels[i] >= 0.5f;
  sb_mask_bounds(t->row_image.dims, t->row_mask, t->row_first, t->row_end);
  SB_TRY(SB_NEW(&t->row_index, t->row_length, "template row index"));
  for (int64_t i = 0, next = 0; i < grid_n; i++)
    if (t->row_mask[i] != 0) t->row_index[next++] = i;
cleanup:
  sb_padded_free(&padded);
  free(mask.voxels);
  free(mask_on_grid.voxels);
  return status;
}

// Which head scans of whole heads are aligned to: the one named, else Colin27's, whose brain need not
// be the template, as only a mask is carried over from it.
static sb_status find_head(sb_template *t, const char *given) {
  if (given != NULL && !sb_is_file(given))
    return sb_error(SB_NOT_FOUND, "%s: no such file (the template's whole head)", given);
  if (given == NULL && !(sb_is_file(COLIN27) && sb_is_file(COLIN27_HEAD))) return sb_ok();
  t->head_path = sb_strdup(given != NULL ? given : COLIN27_HEAD);
  if (given == NULL && strcmp(t->path, COLIN27) != 0) t->head_brain_path = sb_strdup(COLIN27);
  if (t->head_path == NULL ||
      (given == NULL && strcmp(t->path, COLIN27) != 0 && t->head_brain_path == NULL))
    return sb_error(SB_NO_MEMORY, "out of memory for the template");
  return sb_ok();
}

static void set_hash(sb_template *t) {
  sb_sha256 hash;
  sb_sha256_start(&hash);
  sb_sha256_add(&hash, t->image.dims, sizeof t->image.dims);
  sb_sha256_add(&hash, t->image.affine, sizeof t->image.affine);
  sb_sha256_add(&hash, &t->resolution_mm, sizeof t->resolution_mm);
  sb_sha256_add(&hash, t->image.voxels, (size_t)voxel_count(&t->image) * sizeof(float));
  sb_sha256_add(&hash, t->mask, (size_t)voxel_count(&t->image));
  sb_sha256_end(&hash, t->hash);
}

sb_status sb_template_load(const sb_template_options *options, sb_template **out) {
  const sb_template_options defaults = sb_template_options_default();
  *out = NULL;
  if (options == NULL) options = &defaults;
  double mm = options->resolution_mm;
  if (mm != 1 && mm != 2 && mm != 3 && mm != 4)
    return sb_error(SB_USAGE, "resolution %g mm: rows are sampled at 1, 2, 3 or 4 mm", mm);
  const char *path = options->image_path != NULL ? options->image_path : sb_template_default_path();
  if (path == NULL)
    return sb_error(SB_NOT_FOUND,
                    "no template brain: %s is not there; install the Debian package "
                    "mricron-data, or name a skull-stripped brain with --template or in "
                    "SAMEBRAIN_TEMPLATE",
                    COLIN27);
  sb_template *t = calloc(1, sizeof *t);
  if (t == NULL) return sb_error(SB_NO_MEMORY, "out of memory for the template");
  sb_status status;
  t->resolution_mm = mm;
  t->path = sb_strdup(path);
  if (t->path == NULL) {
    status = sb_error(SB_NO_MEMORY, "out of memory for the template");
    goto cleanup;
  }
  SB_TRY(sb_volume_load(path, &t->image, NULL));
  SB_TRY(find_head(t, options->head_path));
  SB_TRY(make_mask(t, options->mask_path));
  SB_TRY(make_rows(t));
  set_hash(t);
  *out = t;
  t = NULL;
cleanup:
  sb_template_free(t);
  return status;
}

void sb_template_free(sb_template *t) {
  if (t == NULL) return;
  sb_volume_free(&t->image);
  sb_volume_free(&t->row_image);
  free(t->mask);
  free(t->row_mask);
  free(t->row_index);
  free(t->path);
  free(t->head_path);
  free(t->head_brain_path);
  free(t);
}

const int64_t *sb_template_grid_dims(const sb_template *t) {
  return t->row_image.dims;
}
const double *sb_template_grid_affine(const sb_template *t) {
  return t->row_image.affine;
}
const uint8_t *sb_template_mask(const sb_template *t) {
  return t->row_mask;
}
const float *sb_template_image(const sb_template *t) {
  return t->row_image.voxels;
}
int64_t sb_template_row_length(const sb_template *t) {
  return t->row_length;
}
const int64_t *sb_template_row_index(const sb_template *t) {
  return t->row_index;
}
const char *sb_template_hash(const sb_template *t) {
  return t->hash;
}
const char *sb_template_path(const sb_template *t) {
  return t->path;
}
