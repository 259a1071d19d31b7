// The table of similarity measures, and the score of two scans. A new measure is one file that
// defines its sb_measure_NAME, and one row here (docs/adding-a-measure.md).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "measure/measure.h"
#include "measure/vector.h"

// clang-format off
#define MEASURES(row) \
  /* by a matrix product */ \
  row(pearson) \
  row(cosine) \
  row(spearman) \
  row(mse) \
  row(nrmse) \
  row(psnr) \
  row(ccc) \
  row(bandpass) \
  row(localz) \
  row(gradient) \
  row(dice) \
  row(outline) \
  row(fused) \
  /* pair by pair */ \
  row(mae) \
  row(ssim) \
  row(uqi) \
  row(mi) \
  row(nmi) \
  row(cr) \
  row(lncc) \
  row(poc)
// clang-format on

#define DECLARE(name) extern const sb_measure sb_measure_##name;
MEASURES(DECLARE)

#define ADDRESS(name) &sb_measure_##name,
static const sb_measure *const TABLE[] = {MEASURES(ADDRESS) NULL};

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
  out->length = measure->embedding_length(grid, out->context);
  out->size = sb_round_up(out->length) + (measure->term_count > 0 ? SB_EMBEDDING_UNIT : 0);
  out->scratch = measure->scratch_length == NULL ? 0 : measure->scratch_length(grid, out->context);
  out->form =
      (sb_form){.voxels = grid->row_length, .size = out->size, .terms = sb_round_up(out->length)};
  if (measure->form != NULL) measure->form(&out->grid, out->context, &out->form);
  out->recipe = (sb_recipe){.voxels = grid->row_length};
  if (measure->recipe != NULL) measure->recipe(&out->grid, out->context, &out->recipe);
  return sb_ok();
}

void sb_embedder_close(sb_embedder *embedder) {
  if (embedder->measure != NULL && embedder->measure->destroy != NULL)
    embedder->measure->destroy(embedder->context);
  memset(embedder, 0, sizeof *embedder);
}

double sb_embedded_score(const sb_embedder *e, const float *a, const float *b, float *scratch) {
  const sb_embedding one = sb_embedding_at(e, a), other = sb_embedding_at(e, b);
  if (e->measure->score != NULL)
    return e->measure->score(&e->grid, e->context, one, other, scratch);
  return e->measure->epilogue(sb_dot(e->length, a, b), one.terms, other.terms);
}

// What a pair takes from memory: both its embeddings, unless others need them at that time too.
bool sb_pairs_share(int64_t count, int64_t probes, int64_t galleries) {
  enum { EACH = 4 }; // pairs: then slices, which come from memory in shorter stretches, are quicker
  const int64_t scans = (probes < count ? probes : count) + (galleries < count ? galleries : count);
  return count > EACH * scans;
}

// Pairs whose dot products are summed together: two, where they have an embedding in common, or one.
typedef struct joint {
  const float *shared, *others[2];
  double *lanes[2];
  int64_t pairs;
} joint;

static joint joint_of(sb_scored_pair *pairs, int64_t count) {
  sb_scored_pair *one = pairs, *two = pairs + (count > 1 ? 1 : 0);
  if (two != one && one->a == two->a)
    return (joint){one->a, {one->b, two->b}, {one->lanes, two->lanes}, 2};
  if (two != one && one->b == two->b)
    return (joint){one->b, {one->a, two->a}, {one->lanes, two->lanes}, 2};
  return (joint){one->b, {one->a, one->a}, {one->lanes}, 1};
}

static void dot_pairs(int64_t length, sb_scored_pair *pairs, int64_t count, bool sliced) {
  enum { SLICE = 2048, AHEAD = 1024 };
  const int64_t slice = sliced ? SLICE : length;
  for (int64_t i = 0; i < count; i++) memset(pairs[i].lanes, 0, sizeof pairs[i].lanes);
  for (int64_t at = 0; at < length && count > 0; at += slice) {
    joint now = joint_of(pairs, count), next;
    for (int64_t i = 0; i < count; i += now.pairs, now = next) {
      const int64_t left = count - i - now.pairs;
      next = left > 0 ? joint_of(pairs + i + now.pairs, left) : now;
      // Fetched meanwhile: the same slice of what comes next, or these embeddings further on.
      const joint *then = sliced ? &next : &now;
      const int64_t from = sliced ? at : at + AHEAD;
      sb_dot_part(
          length - at < slice ? length - at : slice,
          (const float *const[2]){now.others[0] + at, now.pairs > 1 ? now.others[1] + at : NULL},
          now.shared + at,
          (const float *const[3]){then->others[0] + from, then->others[1] + from,
                                  then->shared + from},
          now.lanes);
    }
  }
}

void sb_embedded_scores(const sb_embedder *e, sb_scored_pair *pairs, int64_t count, bool sliced,
                        float *scratch) {
  if (e->measure->score == NULL) dot_pairs(e->length, pairs, count, sliced);
  for (int64_t i = 0; i < count; i++)
    pairs[i].score = e->measure->score != NULL
                         ? sb_embedded_score(e, pairs[i].a, pairs[i].b, scratch)
                         : e->measure->epilogue(sb_dot_total(pairs[i].lanes),
                                                sb_embedding_at(e, pairs[i].a).terms,
                                                sb_embedding_at(e, pairs[i].b).terms);
}

int64_t sb_row_of_voxels(const sb_grid *grid, const void *context) {
  (void)context;
  return grid->row_length;
}

// The mask must hold as many voxels as the rows have values.
static sb_status check_grid(const sb_grid *grid) {
  const int64_t *dims = grid->dims;
  int64_t voxels = 0, all;
  if (dims[0] < 1 || dims[1] < 1 || dims[2] < 1 || __builtin_mul_overflow(dims[0], dims[1], &all) ||
      __builtin_mul_overflow(all, dims[2], &all))
    return sb_error(SB_USAGE, "a grid of %lld x %lld x %lld voxels", (long long)dims[0],
                    (long long)dims[1], (long long)dims[2]);
  for (int64_t i = 0; i < all; i++) voxels += grid->mask[i] != 0;
  if (voxels == grid->row_length && voxels > 0 && grid->voxel_mm > 0) return sb_ok();
  return sb_error(SB_USAGE, "rows of %lld values do not fit a mask of %lld voxels of %g mm",
                  (long long)grid->row_length, (long long)voxels, grid->voxel_mm);
}

sb_status sb_measure_score_scans(const char *name, const int64_t dims[3], double voxel_mm,
                                 const uint8_t *mask, int64_t length, const sb_scan_data *scan_a,
                                 const sb_scan_data *scan_b, double *score) {
  const sb_grid grid = {{dims[0], dims[1], dims[2]}, voxel_mm, mask, length};
  const sb_measure *measure;
  sb_embedder embedder = {0};
  float *a = NULL, *b = NULL, *scratch = NULL;
  sb_status status = sb_ok();
  *score = NAN;
  SB_TRY(sb_measure_need(name, &measure));
  SB_TRY(check_grid(&grid));
  SB_TRY(sb_embedder_open(measure, &grid, &embedder));
  SB_TRY(SB_NEW(&a, embedder.size, "embedding"));
  SB_TRY(SB_NEW(&b, embedder.size, "embedding"));
  SB_TRY(SB_NEW(&scratch, embedder.scratch, "scratch"));
  SB_TRY(sb_embed(&embedder, scan_a, a, scratch));
  SB_TRY(sb_embed(&embedder, scan_b, b, scratch));
  *score = sb_embedded_score(&embedder, a, b, scratch);
cleanup:
  free(a);
  free(b);
  free(scratch);
  sb_embedder_close(&embedder);
  return status;
}

sb_status sb_measure_score(const char *name, const int64_t dims[3], double voxel_mm,
                           const uint8_t *mask, const float *row_a, const float *row_b,
                           int64_t length, double *score) {
  const sb_scan_data a = {.row = row_a}, b = {.row = row_b};
  return sb_measure_score_scans(name, dims, voxel_mm, mask, length, &a, &b, score);
}
