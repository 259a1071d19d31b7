#include "engine/rows.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/half.h"
#include "core/memory.h"

static int64_t private_floats(const sb_embedder *embedder) {
  return sb_round_up(embedder->grid.row_length) + sb_round_up(embedder->scratch);
}

int64_t sb_reader_bytes(const sb_embedder *embedder, int threads) {
  return (int64_t)threads * private_floats(embedder) * (int64_t)sizeof(float);
}

sb_status sb_reader_open(const sb_embedder *embedder, int threads, sb_reader *out) {
  *out = (sb_reader){.embedder = embedder,
                     .threads = threads,
                     .stride = embedder->size,
                     .private_floats = private_floats(embedder)};
  sb_status status;
  SB_TRY(SB_NEW(&out->scratch, threads * out->private_floats, "scratch"));
  SB_TRY(SB_NEW(&out->fetch, 1, "scratch"));
  sb_fetch_open(out->fetch);
cleanup:
  if (status.code != SB_OK) sb_reader_close(out);
  return status;
}

void sb_reader_close(sb_reader *reader) {
  if (reader->fetch != NULL) sb_fetch_close(reader->fetch);
  free(reader->fetch);
  free(reader->scratch);
  memset(reader, 0, sizeof *reader);
}

sb_grid sb_store_grid(const sb_store *store) {
  const int64_t *dims = sb_store_grid_dims(store);
  const double *affine = sb_store_grid_affine(store);
  return (sb_grid){.dims = {dims[0], dims[1], dims[2]},
                   .voxel_mm =
                       sqrt(affine[0] * affine[0] + affine[4] * affine[4] + affine[8] * affine[8]),
                   .mask = sb_store_mask(store),
                   .row_length = sb_store_row_length(store)};
}

sb_stored_row sb_store_stored_row(const sb_store *store, int64_t i) {
  const sb_scan_record *record = sb_store_record(store, i);
  return (sb_stored_row){sb_store_row(store, i), record->scale, record->offset};
}

void sb_row_values(const sb_store *store, int64_t i, float *row) {
  const sb_scan_record *record = sb_store_record(store, i);
  int64_t length = sb_store_row_length(store);
  double scale = record->scale, offset = record->offset;
  sb_half_to_floats((size_t)length, sb_store_row(store, i), row);
  if (scale == 1 && offset == 0) return;
  for (int64_t v = 0; v < length; v++) row[v] = sb_row_value(row[v], scale, offset);
}

float *sb_reader_scratch(const sb_reader *reader) {
  return reader->scratch + omp_get_thread_num() * reader->private_floats;
}

// ---- Embedding ----------------------------------------------------------------------------------

// How much is fetched ahead of the row that is read, and while something else is done.
enum { AHEAD_BYTES = 64 << 20, MEANWHILE_BYTES = 512 << 20 };

void sb_reader_announce(const sb_reader *reader, const sb_store *store, int64_t first,
                        int64_t count) {
  sb_fetch_begin(reader->fetch, &(sb_rows){store, NULL, first, count}, MEANWHILE_BYTES);
}

// Of rows that were embedded in order, all threads are past those before the last AHEAD_BYTES.
static void forget_behind(const sb_rows *rows, int64_t at) {
  const int64_t behind = AHEAD_BYTES / (sb_store_row_length(rows->store) * 2) + 1;
  if (at >= 2 * behind && at % behind == 0) sb_rows_forget(rows->store, rows->first, at - behind);
}

sb_status sb_reader_embed(const sb_reader *reader, const sb_store *store, const int64_t *index,
                          int64_t first, int64_t count, float *embeddings) {
  sb_status failure = sb_ok();
  int64_t failed = INT64_MAX;
  const sb_rows rows = {store, index, first, count};
  const bool forgets = reader->forgets && index == NULL;
  if (!sb_fetch_has(reader->fetch, &rows)) sb_fetch_begin(reader->fetch, &rows, AHEAD_BYTES);
#pragma omp parallel for num_threads(reader->threads) schedule(dynamic)
  for (int64_t i = 0; i < count; i++) {
    float *scratch = sb_reader_scratch(reader);
    float *row = scratch + sb_round_up(reader->embedder->scratch);
    int64_t scan = sb_rows_scan(&rows, i);
    sb_fetch_take(reader->fetch, i);
    sb_row_values(store, scan, row);
    sb_store_release_row(store, scan);
    if (forgets) forget_behind(&rows, i);
    const sb_scan_data data = {.row = row, .own_mask = sb_store_own_mask(store, scan)};
    sb_status status = sb_embed(reader->embedder, &data, embeddings + i * reader->stride, scratch);
    if (status.code != SB_OK) {
#pragma omp critical(sb_reader_failure)
      if (scan < failed) {
        failed = scan;
        failure = status;
      }
    }
  }
  sb_fetch_end(reader->fetch);
  if (forgets) sb_rows_forget(store, first, count);
  if (failed == INT64_MAX) return sb_ok();
  const sb_scan_record *record = sb_store_record(store, failed);
  return sb_error(failure.code, "%s: scan %s of dataset %s cannot be compared by %s: %s",
                  sb_store_path(store), record->scan.scan_id, record->scan.dataset,
                  reader->embedder->measure->info.name, failure.message);
}
