// The table of similarity measures, and the score of two rows. A new measure is one file that
// defines its sb_measure, and one line here.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "measure/measure.h"
#include "measure/vector.h"

static const sb_measure *const TABLE[] = {
    &sb_measure_pearson,
    &sb_measure_bandpass,
    NULL,
};

const sb_measure *sb_measure_row(size_t index) {
  size_t row = 0;
  while (row < index && TABLE[row] != NULL) row++;
  return TABLE[row];
}

const sb_measure *sb_measure_row_find(const char *name) {
  const sb_measure *measure;
  for (size_t i = 0; (measure = sb_measure_row(i)) != NULL; i++)
    if (strcmp(measure->info.name, name) == 0) return measure;
  return NULL;
}

sb_status sb_measure_need(const char *name, const sb_measure **measure) {
  *measure = sb_measure_row_find(name);
  if (*measure != NULL) return sb_ok();
  char names[400] = "";
  const sb_measure *row;
  for (size_t i = 0; (row = sb_measure_row(i)) != NULL; i++) {
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ", row->info.name);
  }
  return sb_error(SB_NOT_FOUND, "there is no measure \"%s\"; there are: %s", name, names);
}

const sb_measure_info *sb_measure_at(size_t index) {
  const sb_measure *measure = sb_measure_row(index);
  return measure == NULL ? NULL : &measure->info;
}

const sb_measure_info *sb_measure_find(const char *name) {
  const sb_measure *measure = sb_measure_row_find(name);
  return measure == NULL ? NULL : &measure->info;
}

sb_status sb_embedder_open(const sb_measure *measure, const sb_grid *grid, sb_embedder *out) {
  *out = (sb_embedder){.measure = measure, .grid = *grid};
  if (measure->create != NULL) {
    sb_status status = measure->create(grid, &out->context);
    if (status.code != SB_OK) return status;
  }
  out->length = measure->embedding_length(grid);
  out->scratch = measure->scratch_length(grid, out->context);
  return sb_ok();
}

void sb_embedder_close(sb_embedder *embedder) {
  if (embedder->measure != NULL && embedder->measure->destroy != NULL)
    embedder->measure->destroy(embedder->context);
  memset(embedder, 0, sizeof *embedder);
}

// The mask must hold as many voxels as the rows have values.
static sb_status check_grid(const sb_grid *grid) {
  int64_t voxels = 0;
  for (int64_t i = 0; i < grid->dims[0] * grid->dims[1] * grid->dims[2]; i++)
    voxels += grid->mask[i] != 0;
  if (voxels == grid->row_length && voxels > 0 && grid->voxel_mm > 0) return sb_ok();
  return sb_error(SB_USAGE, "rows of %lld values do not fit a mask of %lld voxels of %g mm",
                  (long long)grid->row_length, (long long)voxels, grid->voxel_mm);
}

sb_status sb_measure_score(const char *name, const int64_t dims[3], double voxel_mm,
                           const uint8_t *mask, const float *row_a, const float *row_b,
                           int64_t length, double *score) {
  const sb_grid grid = {{dims[0], dims[1], dims[2]}, voxel_mm, mask, length};
  const sb_measure *measure;
  sb_embedder embedder = {0};
  float *a = NULL, *b = NULL, *scratch = NULL;
  sb_status status = sb_ok();
  *score = NAN;
  SB_TRY(sb_measure_need(name, &measure));
  SB_TRY(check_grid(&grid));
  SB_TRY(sb_embedder_open(measure, &grid, &embedder));
  SB_TRY(SB_NEW(&a, embedder.length, "embedding"));
  SB_TRY(SB_NEW(&b, embedder.length, "embedding"));
  SB_TRY(SB_NEW(&scratch, embedder.scratch, "scratch"));
  SB_TRY(sb_embed(&embedder, row_a, a, scratch));
  SB_TRY(sb_embed(&embedder, row_b, b, scratch));
  *score = measure->epilogue(sb_dot(embedder.length, a, b));
cleanup:
  free(a);
  free(b);
  free(scratch);
  sb_embedder_close(&embedder);
  return status;
}
