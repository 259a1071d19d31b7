#include "evaluate/copies.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/threads.h"
#include "engine/pairs.h"
#include "engine/rows.h"
#include "evaluate/noise.h"
#include "evaluate/resampled.h"
#include "measure/likely.h"

const double sb_copy_noise = 0.7, sb_copy_resampled = 0.9, sb_copy_rows = 0.999,
             sb_rescan_noise = 0.4, sb_rescan_resampled = 0.85;

// How far alignment may put a voxel of a copy from where it is, in voxels: less than one; through the mirror image,
// which fits every brain only so well, more.
enum { REACH = 1, MIRRORED_REACH = 3 };

typedef struct finder {
  const sb_store *store;
  const sb_mirror *mirror;
  sb_grid grid;
  bool *intact;       // per scan: its file is there, and the one that was prepared
  int64_t most_bytes; // that loading one of the files takes
  const sb_progress *progress;
} finder;

static bool is_open(const sb_case *c) {
  return (c->observed != SB_OBSERVED_DIFFERENT || c->mirrored) && !c->copy;
}

static void compare_hashes(const sb_store *store, sb_cases *cases) {
  for (int64_t i = 0; i < cases->count; i++) {
    sb_case *c = cases->items + i;
    const char *sha = sb_store_record(store, c->a)->source_sha256;
    c->agreement = (double)NAN;
    c->copy = *sha != '\0' && strcmp(sha, sb_store_record(store, c->b)->source_sha256) == 0;
    c->compared = c->copy ? SB_COMPARED_FILES : SB_COMPARED_NOT;
  }
}

// ---- Noise --------------------------------------------------------------------------------------

// Looks which of the files that are needed are still there, and what the largest takes.
static sb_status check_files(finder *f, const sb_cases *cases, int threads) {
  int64_t scans = sb_store_count(f->store), most = 0;
  bool *needed = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(&f->intact, scans, "scans"));
  SB_TRY(SB_NEW_ZERO(&needed, scans, "scans"));
  for (int64_t i = 0; i < cases->count; i++)
    if (is_open(cases->items + i)) needed[cases->items[i].a] = needed[cases->items[i].b] = true;
#pragma omp parallel for num_threads(threads) schedule(dynamic) reduction(max : most)
  for (int64_t i = 0; i < scans; i++) {
    const sb_scan_record *record = sb_store_record(f->store, i);
    char sha[SB_SHA256_HEX];
    int64_t voxels, bytes;
    if (!needed[i] || sb_volume_sha256(record->scan.source_path, sha).code != SB_OK ||
        strcmp(sha, record->source_sha256) != 0 ||
        sb_volume_cost(record->scan.source_path, &voxels, &bytes).code != SB_OK)
      continue;
    f->intact[i] = true;
    if (bytes > most) most = bytes;
  }
  f->most_bytes = most;
cleanup:
  free(needed);
  return status;
}

// Both brains and the template's mask, one voxel within their edges; free() *out. Of a mirrored case b's
// mirror image.
static sb_status common_brain(const finder *f, const sb_case *c, uint8_t **out) {
  const int64_t *dims = f->grid.dims, row = dims[0], slice = row * dims[1];
  const int64_t steps[6] = {1, -1, row, -row, slice, -slice};
  const uint8_t *own_a = sb_store_own_mask(f->store, c->a),
                *own_b = sb_store_own_mask(f->store, c->b);
  int64_t voxels = slice * dims[2];
  uint8_t *both = NULL, *mirrored = NULL;
  sb_status status = sb_ok();
  if (c->mirrored) {
    SB_TRY(SB_NEW(&mirrored, (voxels + 7) / 8, "mask"));
    sb_mirror_mask(f->mirror, own_b, mirrored);
    own_b = mirrored;
  }
  SB_TRY(SB_NEW_ZERO(&both, voxels, "mask"));
  SB_TRY(SB_NEW_ZERO(out, voxels, "mask"));
  for (int64_t i = 0; i < voxels; i++)
    both[i] = f->grid.mask[i] && (own_a[i / 8] & own_b[i / 8] & 0x80 >> i % 8) != 0;
  for (int64_t z = 1; z < dims[2] - 1; z++)
    for (int64_t y = 1; y < dims[1] - 1; y++)
      for (int64_t i = z * slice + y * row + 1; i < z * slice + (y + 1) * row - 1; i++) {
        uint8_t inside = both[i];
        for (int s = 0; s < 6; s++) inside &= both[i + steps[s]];
        (*out)[i] = inside;
      }
cleanup:
  free(mirrored);
  free(both);
  return status;
}

static sb_status compare_noise(const finder *f, sb_case *c) {
  const int64_t scans[2] = {c->a, c->b};
  sb_volume volumes[2] = {0};
  sb_placed placed[2];
  uint8_t *brain = NULL;
  double agreement;
  sb_status status = sb_ok();
  for (int i = 0; i < 2; i++) {
    const sb_scan_record *record = sb_store_record(f->store, scans[i]);
    SB_TRY(sb_volume_load(record->scan.source_path, &volumes[i], NULL));
    placed[i].volume = &volumes[i];
    memcpy(placed[i].template_to_scan, record->template_to_scan, sizeof record->template_to_scan);
  }
  if (c->mirrored)
    sb_affine_multiply(placed[1].template_to_scan, f->mirror->map_mm, placed[1].template_to_scan);
  SB_TRY(common_brain(f, c, &brain));
  const sb_common_brain common = {&f->grid, sb_store_grid_affine(f->store), brain};
  SB_TRY(sb_noise_agreement(&placed[0], &placed[1], &common, c->mirrored ? MIRRORED_REACH : REACH,
                            &agreement));
  if (!isnan(agreement)) c->compared = SB_COMPARED_NOISE;
  c->agreement = agreement;
  c->copy = agreement >= sb_copy_noise;
  if (c->copy) goto cleanup;
  SB_TRY(sb_resampled_agreement(&placed[0], &placed[1], &common, &agreement));
  c->copy = agreement >= sb_copy_resampled;
  const bool tells =
      c->compared == SB_COMPARED_NOISE ? agreement >= sb_rescan_resampled : !isnan(agreement);
  if (!tells) goto cleanup;
  c->compared = SB_COMPARED_RESAMPLED;
  c->agreement = agreement;
cleanup:
  free(brain);
  sb_volume_free(&volumes[0]);
  sb_volume_free(&volumes[1]);
  return status;
}

// Pairs at the same time as far as memory goes. One that cannot be read after all counts as gone.
static sb_status compare_files(const finder *f, int64_t memory_bytes, int threads,
                               sb_cases *cases) {
  int64_t room = memory_bytes / (2 * (f->most_bytes + 1)), done = 0, total = 0;
  sb_status failure = sb_ok();
  if (room < threads) threads = room < 1 ? 1 : (int)room;
  for (int64_t i = 0; i < cases->count; i++) total += is_open(cases->items + i);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t i = 0; i < cases->count; i++) {
    sb_case *c = cases->items + i;
    if (!is_open(c)) continue;
    c->gone = !f->intact[c->a] || !f->intact[c->b];
    sb_status status = c->gone ? sb_ok() : compare_noise(f, c);
    c->gone = c->gone || status.code != SB_OK;
#pragma omp critical(sb_copies)
    {
      if (status.code == SB_NO_MEMORY) failure = status;
      done++;
      if (f->progress != NULL && f->progress->advance != NULL)
        f->progress->advance(f->progress->context, "files compared", done, total);
    }
  }
  return failure;
}

// ---- Rows ---------------------------------------------------------------------------------------

// Rows of a mirrored copy are not much closer than those of a mirrored rescan.
static bool is_for_rows(const sb_case *c) {
  return is_open(c) && c->compared == SB_COMPARED_NOT && !c->mirrored;
}

static sb_status compare_rows(const sb_store *store, sb_cases *cases) {
  const sb_measure *measure = sb_measure_row_find(SB_LIKELY_MEASURE);
  sb_pair *pairs = NULL;
  double *scores = NULL;
  int64_t count = 0, used = 0;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&pairs, cases->count, "pairs"));
  SB_TRY(SB_NEW(&scores, cases->count, "scores"));
  for (int64_t i = 0; i < cases->count; i++)
    if (is_for_rows(cases->items + i))
      pairs[count++] = (sb_pair){cases->items[i].a, cases->items[i].b};
  if (count > 0) SB_TRY(sb_score_pairs(store, store, measure, NULL, pairs, count, scores));
  for (int64_t i = 0; i < cases->count && used < count; i++) {
    sb_case *c = cases->items + i;
    if (c->a != pairs[used].probe || c->b != pairs[used].gallery) continue;
    c->compared = SB_COMPARED_ROWS;
    c->agreement = scores[used++];
    c->copy = c->agreement >= sb_copy_rows;
  }
cleanup:
  free(pairs);
  free(scores);
  return status;
}

sb_status sb_find_copies(const sb_store *store, const sb_mirror *mirror, int64_t memory_bytes,
                         int threads, const sb_progress *progress, sb_cases *cases,
                         int64_t *files_missing) {
  finder f = {.store = store, .mirror = mirror, .grid = sb_store_grid(store), .progress = progress};
  sb_status status = sb_ok();
  *files_missing = 0;
  threads = sb_thread_count(threads);
  compare_hashes(store, cases);
  SB_TRY(check_files(&f, cases, threads));
  SB_TRY(compare_files(&f, sb_memory_bytes(memory_bytes), threads, cases));
  for (int64_t i = 0; i < cases->count; i++) *files_missing += cases->items[i].gone;
  SB_TRY(compare_rows(store, cases));
cleanup:
  free(f.intact);
  return status;
}
