// An average brain made from a cohort, to prepare with where Colin27 is not at hand or not alike.
// In: skull-stripped scans; out: template.nii.gz in a folder. Align all to the template so far,
// average, take the mean shape out, again.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/geometry.h"
#include "core/lock.h"
#include "core/memory.h"
#include "core/threads.h"
#include "prepare/align.h"
#include "prepare/brain.h"
#include "prepare/labels.h"
#include "prepare/sample.h"
#include "prepare/template.h"

static const double MARGIN_MM = 12; // around the brain, and the grid is 1 mm

sb_template_build_options sb_template_build_options_default(void) {
  return (sb_template_build_options){.rounds = 4};
}

// The sum of aligned scans on a 1 mm grid: intensities over each brain's mean, and how many brains
// cover each voxel; and the sum of the maps' 3x3 parts.
typedef struct average {
  sb_volume sum;
  uint16_t *cover;
  double linear[9];
  int64_t count;
} average;

// A grid of 1 mm voxels along RAS axes around the box of `volume`.
static sb_status average_start(const sb_volume *volume, average *out) {
  double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
  memset(out, 0, sizeof *out);
  for (int corner = 0; corner < 8; corner++) {
    double p[3];
    for (int i = 0; i < 3; i++) p[i] = (corner >> i & 1) != 0 ? (double)(volume->dims[i] - 1) : 0;
    sb_affine_apply(volume->affine, p, p);
    for (int i = 0; i < 3; i++) {
      low[i] = fmin(low[i], p[i]);
      high[i] = fmax(high[i], p[i]);
    }
  }
  sb_affine_identity(out->sum.affine);
  for (int i = 0; i < 3; i++) {
    out->sum.affine[4 * i + 3] = floor(low[i] - MARGIN_MM);
    out->sum.dims[i] = (int64_t)ceil(high[i] - low[i] + 2 * MARGIN_MM) + 1;
  }
  int64_t n = out->sum.dims[0] * out->sum.dims[1] * out->sum.dims[2];
  sb_status status = SB_NEW_ZERO(&out->sum.voxels, n, "average");
  if (status.code == SB_OK) status = SB_NEW_ZERO(&out->cover, n, "average");
  return status;
}

static void average_free(average *a) {
  free(a->sum.voxels);
  free(a->cover);
}

// One brain seen on a grid through a map from the grid's RAS mm to the scan's.
static sb_status seen(const sb_brain *brain, const double to_scan[16], const sb_volume *grid,
                      sb_volume *out) {
  static const int64_t origin[3] = {0, 0, 0};
  sb_padded padded = {0};
  double map[16];
  sb_status status;
  *out = *grid;
  out->voxels = NULL;
  SB_TRY(SB_NEW(&out->voxels, grid->dims[0] * grid->dims[1] * grid->dims[2], "aligned scan"));
  if (!sb_affine_invert(brain->image.affine, map)) {
    status = sb_error(SB_FORMAT, "the header's orientation matrix is singular");
    goto cleanup;
  }
  sb_affine_multiply(map, to_scan, map);
  sb_affine_multiply(map, grid->affine, map);
  SB_TRY(sb_padded_crop(&brain->image, origin, brain->image.dims, &padded));
  SB_TRY(sb_sample_grid(&padded, map, SB_SUB_SAMPLES, NULL, out));
cleanup:
  sb_padded_free(&padded);
  return status;
}

static void average_add(const sb_brain *brain, const sb_volume *aligned, const double to_scan[16],
                        average *a) {
  const int64_t n = aligned->dims[0] * aligned->dims[1] * aligned->dims[2];
  const float threshold = (float)brain->threshold;
  double mean = 0, count = 0;
  for (int64_t i = 0; i < n; i++)
    if (aligned->voxels[i] > threshold) {
      mean += (double)aligned->voxels[i];
      count++;
    }
  if (count == 0) return;
  const float scale = (float)(count / mean);
  for (int64_t i = 0; i < n; i++) {
    a->sum.voxels[i] += aligned->voxels[i] * scale;
    a->cover[i] = (uint16_t)(a->cover[i] + (aligned->voxels[i] > threshold));
  }
  for (int i = 0; i < 9; i++) a->linear[i] += to_scan[i / 3 * 4 + i % 3];
  a->count++;
}

// The average where at least half of the brains are, 0 elsewhere, on a scale of 100 for the mean.
static void average_end(average *a) {
  const int64_t n = a->sum.dims[0] * a->sum.dims[1] * a->sum.dims[2];
  for (int64_t i = 0; i < n; i++) {
    bool inside = 2 * (int64_t)a->cover[i] >= a->count;
    float value = 100 * a->sum.voxels[i] / (float)a->count;
    a->sum.voxels[i] = inside ? (value > 0.1f ? value : 0.1f) : 0;
  }
}

// The stretch in a matrix's 3x3 part: what remains when the nearest rotation is taken out.
static void stretch_of(const double matrix[16], double stretch[16]) {
  double rotation[16];
  sb_affine_rotation(matrix, rotation);
  sb_affine_identity(stretch);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      stretch[4 * i + j] = 0;
      for (int k = 0; k < 3; k++) stretch[4 * i + j] += rotation[4 * k + i] * matrix[4 * k + j];
    }
}

// The average given the scans' mean shape: the stretch in the mean of all maps, about the brain's
// centre. Without it the average would keep the first scan's size and shape.
static sb_status to_mean_shape(const average *a, average *out) {
  double mean[16], stretch[16], inverse[16], p[3];
  sb_brain brain = {0};
  sb_volume moved = {0};
  sb_status status;
  sb_affine_identity(mean);
  for (int i = 0; i < 9; i++) mean[i / 3 * 4 + i % 3] = a->linear[i] / (double)a->count;
  stretch_of(mean, stretch);
  SB_TRY(sb_brain_find(&a->sum, &brain));
  sb_affine_apply(stretch, brain.centre_mm, p);
  for (int i = 0; i < 3; i++) stretch[4 * i + 3] = brain.centre_mm[i] - p[i];
  if (!sb_affine_invert(stretch, inverse)) {
    status = sb_error(SB_ALIGN, "the scans' mean shape is degenerate");
    goto cleanup;
  }
  sb_volume box = brain.image; // where the brain will be
  sb_affine_multiply(stretch, brain.image.affine, box.affine);
  SB_TRY(average_start(&box, out));
  SB_TRY(seen(&brain, inverse, &out->sum, &moved));
  free(out->sum.voxels);
  out->sum.voxels = moved.voxels;
cleanup:
  sb_brain_free(&brain);
  return status;
}

// ---- Rounds -------------------------------------------------------------------------------------

static void warn(const sb_progress *progress, const char *text) {
  if (progress != NULL && progress->warn != NULL) progress->warn(progress->context, text);
}

static sb_status load_brain(const char *path, sb_brain *brain) {
  sb_volume scan = {0};
  sb_status status = sb_volume_load(path, &scan, NULL);
  if (status.code != SB_OK) return status;
  status = sb_refuse_labels(&scan);
  if (status.code == SB_OK) status = sb_brain_find(&scan, brain);
  sb_volume_free(&scan);
  return status.code == SB_OK ? status : sb_error(status.code, "%s: %s", path, status.message);
}

// The first scan that can be used, on a grid of its own: what the first round aligns to.
static sb_status first_template(const char *const *paths, size_t count, const char *out) {
  sb_status status = sb_error(SB_USAGE, "no scans to make a template of");
  for (size_t i = 0; i < count; i++) {
    sb_brain brain = {0};
    sb_volume aligned = {0};
    average a = {0};
    double identity[16];
    sb_affine_identity(identity);
    status = load_brain(paths[i], &brain);
    if (status.code == SB_OK) status = average_start(&brain.image, &a);
    if (status.code == SB_OK) status = seen(&brain, identity, &a.sum, &aligned);
    if (status.code == SB_OK) {
      average_add(&brain, &aligned, identity, &a);
      average_end(&a);
      status = sb_volume_save(&a.sum, out);
    }
    average_free(&a);
    sb_volume_free(&aligned);
    sb_brain_free(&brain);
    if (status.code == SB_OK || status.code == SB_NO_MEMORY) return status;
  }
  return status;
}

// One scan's part in a round. Aligning may run on any thread, adding goes in the scans' order.
static sb_status align_one(const sb_aligner *aligner, const char *path, const sb_volume *grid,
                           sb_brain *brain, sb_volume *aligned, double to_scan[16]) {
  sb_alignment alignment;
  sb_status status = load_brain(path, brain);
  if (status.code != SB_OK) return status;
  status = sb_align(aligner, brain, &alignment);
  if (status.code == SB_OK && alignment.correlation < 0.5)
    status = sb_error(SB_ALIGN, "fits the template so far with %.2f only", alignment.correlation);
  if (status.code != SB_OK) return sb_error(status.code, "%s: %s", path, status.message);
  memcpy(to_scan, alignment.template_to_scan, sizeof alignment.template_to_scan);
  return seen(brain, to_scan, grid, aligned);
}

// Aligns all scans to the template in `from`, and writes their average to `to`.
static sb_status one_round(const char *const *paths, size_t count, int threads, int round,
                           int rounds, const char *from, const char *to,
                           const sb_progress *progress, int64_t *used) {
  sb_template_options options = sb_template_options_default();
  sb_template *t = NULL;
  sb_aligner aligner = {0};
  average a = {0}, shaped = {0};
  sb_status status;
  options.image_path = from;
  SB_TRY(sb_template_load(&options, &t));
  SB_TRY(sb_aligner_create(t, &aligner));
  SB_TRY(average_start(&t->image, &a));
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(threads)
  for (size_t i = 0; i < count; i++) {
    sb_brain brain = {0};
    sb_volume aligned = {0};
    double to_scan[16];
    sb_status one = align_one(&aligner, paths[i], &a.sum, &brain, &aligned, to_scan);
#pragma omp ordered
    {
      if (one.code == SB_OK)
        average_add(&brain, &aligned, to_scan, &a);
      else if (round == rounds - 1)
        warn(progress, one.message);
      if (progress != NULL && progress->advance != NULL)
        progress->advance(progress->context, "averaging",
                          round * (long long)count + (long long)i + 1, rounds * (long long)count);
    }
    sb_volume_free(&aligned);
    sb_brain_free(&brain);
  }
  *used = a.count;
  if (a.count == 0) {
    status = sb_error(SB_ALIGN, "none of the %zu scans could be averaged", count);
    goto cleanup;
  }
  average_end(&a);
  SB_TRY(to_mean_shape(&a, &shaped));
  SB_TRY(sb_volume_save(&shaped.sum, to));
cleanup:
  average_free(&a);
  average_free(&shaped);
  sb_aligner_free(&aligner);
  sb_template_free(t);
  return status;
}

sb_status sb_template_build(const char *const *paths, size_t count,
                            const sb_template_build_options *options, const sb_progress *progress,
                            const char *folder, int64_t *used) {
  const sb_template_build_options defaults = sb_template_build_options_default();
  char *path = NULL, *so_far = NULL;
  sb_hold hold = {0};
  sb_status status;
  *used = 0;
  if (options == NULL) options = &defaults;
  if (options->rounds < 1 || count > UINT16_MAX)
    return sb_error(SB_USAGE, "a template needs at least one round, and at most %d scans",
                    UINT16_MAX);
  SB_TRY(sb_hold_take(folder, &hold));
  path = sb_path_join(folder, "template.nii.gz");
  if (path != NULL && sb_is_file(path)) {
    status = sb_error(SB_USAGE, "%s: there is a template already; name another folder", path);
    goto cleanup;
  }
  so_far = sb_path_join(folder, "unfinished.nii.gz"); // from here on it is this run's
  if (path == NULL || so_far == NULL) {
    status = sb_error(SB_NO_MEMORY, "out of memory");
    goto cleanup;
  }
  // The last round alone writes the template, so that a run that is killed leaves none.
  SB_TRY(first_template(paths, count, so_far));
  for (int round = 0; round < options->rounds; round++)
    SB_TRY(one_round(paths, count, sb_thread_count(options->threads), round, options->rounds,
                     so_far, round == options->rounds - 1 ? path : so_far, progress, used));
cleanup:
  if (so_far != NULL) remove(so_far);
  sb_hold_release(&hold);
  free(so_far);
  free(path);
  return status;
}
