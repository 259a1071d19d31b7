// The way from a scan to a row: load it, find the brain (brain.c), align it (place_brain.c, or cut it
// out of a head, place_head.c), make the row (row.c: resample once, take the bias field off, harmonise)
// and check it (quality.c).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "prepare/labels.h"
#include "prepare/place_brain.h"
#include "prepare/place_head.h"
#include "prepare/preparer.h"
#include "prepare/quality.h"
#include "prepare/row.h"
#include "prepare/template.h"

// From the loaded volume on.
//   stripped  it is one, whatever the options say
//   owned     the volume, to be let go of where only its brain is needed any more: the brain has its
//             own copy, and what follows takes as much again; NULL: it is kept
//   steps     those before this
static sb_status prepare(const sb_preparer *p, const sb_volume *volume, bool stripped,
                         sb_volume *owned, const sb_step_seconds *steps, sb_prepared *out) {
  const bool given = p->options.space == SB_SPACE_TEMPLATE;
  double since = sb_thread_cpu_s(), affine[16];
  uint8_t *brain_in_row = NULL;
  sb_brain brain = {0};
  sb_volume cut = {0};
  sb_status status;
  SB_TRY(sb_row_room(p->tmpl, out, &brain_in_row));
  out->steps = *steps;
  SB_TRY(sb_refuse_labels(volume));
  stripped = stripped || given || p->options.brain == SB_BRAIN_STRIPPED;
  if (!stripped && p->options.brain == SB_BRAIN_EXTRACT) {
    SB_TRY(sb_place_head(p, volume, brain_in_row, &cut, out));
    goto cleanup;
  }
  SB_TRY(sb_brain_find_below(volume, stripped ? INFINITY : 1000.0 * SB_MOST_BRAIN_CM3, &brain));
  sb_lap(&since, &out->steps.brain);
  if (stripped && owned != NULL) sb_volume_free(owned);
  if (given)
    SB_TRY(sb_place_given(p, &brain, brain_in_row, out));
  else if (stripped)
    SB_TRY(sb_place_found(p, &brain, SB_LOOK_TWICE, brain_in_row, affine, out));
  else
    SB_TRY(sb_place_either(p, volume, &brain, brain_in_row, &cut, out));
cleanup:
  free(brain_in_row);
  sb_volume_free(&cut);
  sb_brain_free(&brain);
  if (status.code != SB_OK) sb_prepared_free(out);
  return status;
}

// What sb_volume_load sees to, of a volume that may come from elsewhere.
static sb_status check_volume(const sb_volume *volume) {
  const int64_t *dims = volume->dims;
  double inverse[16];
  if (volume->voxels == NULL || dims[0] < 1 || dims[1] < 1 || dims[2] < 1)
    return sb_error(SB_USAGE, "the volume is empty (%lld x %lld x %lld voxels)", (long long)dims[0],
                    (long long)dims[1], (long long)dims[2]);
  for (int i = 0; i < 16; i++)
    if (!isfinite(volume->affine[i]))
      return sb_error(SB_USAGE, "the volume's affine has values that are not finite");
  if (!sb_affine_invert(volume->affine, inverse))
    return sb_error(SB_USAGE, "the volume's affine is singular: it tells no place of each voxel");
  const int64_t n = dims[0] * dims[1] * dims[2];
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(volume->voxels[i]))
      return sb_error(SB_USAGE, "the volume has voxels that are not finite: set them to 0");
  return sb_ok();
}

sb_status sb_prepare_volume(const sb_preparer *p, const sb_volume *volume, sb_prepared *out) {
  const double started = sb_now_s();
  const sb_step_seconds steps = {0};
  memset(out, 0, sizeof *out);
  sb_status status = check_volume(volume);
  if (status.code != SB_OK) return status;
  status = prepare(p, volume, false, NULL, &steps, out);
  out->seconds = sb_now_s() - started;
  return status;
}

static bool same_grid(const sb_volume *a, const sb_volume *b) {
  for (int i = 0; i < 16; i++)
    if (fabs(a->affine[i] - b->affine[i]) > 1e-2) return false;
  return memcmp(a->dims, b->dims, sizeof a->dims) == 0;
}

sb_status sb_prepare_masked(const sb_preparer *p, sb_volume *volume, const sb_volume *mask,
                            sb_prepared *out) {
  const double started = sb_now_s();
  const sb_step_seconds steps = {0};
  memset(out, 0, sizeof *out);
  sb_status status = check_volume(volume);
  if (status.code != SB_OK) return status;
  if (!same_grid(volume, mask))
    return sb_error(SB_CONFLICT, "the mask has another grid; resample it to the scan's");
  const int64_t n = volume->dims[0] * volume->dims[1] * volume->dims[2];
  for (int64_t i = 0; i < n; i++)
    if (!(mask->voxels[i] > 0)) volume->voxels[i] = 0;
  status = prepare(p, volume, true, NULL, &steps, out);
  out->quality.brain = SB_BRAIN_WAS_MASKED;
  out->seconds = sb_now_s() - started;
  return status;
}

sb_status sb_prepare_file(const sb_preparer *p, const char *path, sb_prepared *out) {
  const double started = sb_now_s();
  double since = sb_thread_cpu_s();
  sb_volume volume = {0};
  sb_volume_info info;
  sb_step_seconds steps = {0};
  memset(out, 0, sizeof *out);
  sb_status status = sb_volume_load(path, &volume, &info);
  if (status.code != SB_OK) return status;
  sb_lap(&since, &steps.load);
  status = prepare(p, &volume, false, &volume, &steps, out);
  sb_volume_free(&volume);
  if (status.code != SB_OK) return sb_error(status.code, "%s: %s", path, status.message);
  out->quality.orientation = info.orientation;
  out->quality.nonfinite_voxels = info.nonfinite_voxels;
  out->unit_doubted = info.unit_doubted;
  out->seconds = sb_now_s() - started;
  return status;
}

sb_status sb_prepare_memory(const sb_preparer *p, const char *path, int64_t *bytes) {
  // What a voxel takes after loading: twice a float (the volume and the brain; in heads the volume
  // and what is around its brain) and the packed brain's byte, and the volume itself where it may
  // turn out to be a head; a voxel of the rows' grid: the row, the field and the masks; and what the
  // allocator keeps.
  enum { OF_GRID = 40, KEPT = 32 << 20 };
  const bool stripped =
      p->options.space == SB_SPACE_TEMPLATE || p->options.brain == SB_BRAIN_STRIPPED;
  const int64_t of_voxel = (stripped ? 2 : 3) * (int64_t)sizeof(float) + 1;
  const int64_t *dims = p->tmpl->row_image.dims;
  int64_t voxels, loading;
  sb_status status = sb_volume_cost(path, &voxels, &loading);
  const int64_t working = of_voxel * voxels + OF_GRID * dims[0] * dims[1] * dims[2];
  *bytes = (loading > working ? loading : working) + KEPT;
  return status;
}

void sb_prepared_free(sb_prepared *prepared) {
  if (prepared == NULL) return;
  free(prepared->row);
  free(prepared->own_mask);
  prepared->row = NULL;
  prepared->own_mask = NULL;
}
