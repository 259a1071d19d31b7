#include "engine/rows.h"

#include <fcntl.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/half.h"
#include "core/memory.h"
#include "core/order.h"
#include "store/mirror.h"

// A thread's memory: the embedder's, a row, and the row as it is stored, then perhaps its mirrored mask.
static int64_t private_floats(const sb_embedder *embedder) {
  const int64_t length = embedder->grid.row_length, *dims = embedder->grid.dims;
  const int64_t mask = (dims[0] * dims[1] * dims[2] + 31) / 32;
  return sb_round_up(embedder->scratch) + sb_round_up(length) +
         sb_round_up(sb_larger((length + 1) / 2, mask));
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
  SB_TRY(SB_NEW_ZERO(&out->files, threads, "scratch"));
  SB_TRY(SB_NEW(&out->fetch, 1, "scratch"));
  sb_fetch_open(out->fetch);
cleanup:
  if (status.code != SB_OK) sb_reader_close(out);
  return status;
}

void sb_reader_close(sb_reader *reader) {
  if (reader->fetch != NULL) sb_fetch_close(reader->fetch);
  free(reader->fetch);
  for (int i = 0; reader->files != NULL && i < reader->threads; i++)
    if (reader->files[i].path != NULL) close(reader->files[i].file);
  free(reader->files);
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

static sb_status decode(const sb_store *store, int64_t i, const uint16_t *stored, float *row) {
  const sb_scan_record *record = sb_store_record(store, i);
  const sb_mirror *mirror = sb_store_mirror(store);
  int64_t length = sb_store_row_length(store);
  double scale = record->scale, offset = record->offset;
  sb_status status = sb_ok();
  if (mirror != NULL)
    status = sb_mirror_row(mirror, stored, row);
  else
    sb_half_to_floats((size_t)length, stored, row);
  if (scale == 1 && offset == 0) return status;
  for (int64_t v = 0; v < length; v++) row[v] = sb_row_value(row[v], scale, offset);
  return status;
}

sb_status sb_store_row_values(const sb_store *store, int64_t i, float *row) {
  return decode(store, i, sb_store_row(store, i), row);
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

// A row as it is stored, read into the thread's own memory: where each row is wanted once, a copy costs less than the
// mapping's pages, which come and go. The mapped row where it cannot be read.
static const uint16_t *read_row(const sb_reader *reader, const sb_store *store, int64_t i,
                                uint16_t *memory) {
  const sb_row_place place = sb_store_row_place(store, i);
  const size_t bytes = (size_t)sb_store_row_length(store) * sizeof *memory;
  sb_row_file *from = reader->files + omp_get_thread_num();
  if (from->path != place.path) {
    if (from->path != NULL) close(from->file);
    from->file = open(place.path, O_RDONLY | O_CLOEXEC);
    from->path = from->file >= 0 ? place.path : NULL;
  }
  if (from->path == NULL) return sb_store_row(store, i);
  const ssize_t got = pread(from->file, memory, bytes, place.offset);
  return got == (ssize_t)bytes ? memory : sb_store_row(store, i);
}

// Of rows that were embedded in order, all threads are past those before the last AHEAD_BYTES.
static void forget_behind(const sb_rows *rows, int64_t at) {
  const int64_t behind = AHEAD_BYTES / (sb_store_row_length(rows->store) * 2) + 1;
  if (at >= 2 * behind && at % behind == 0) sb_rows_forget(rows->store, rows->first, at - behind);
}

// A scan's row and mask, and its embedding.
//   memory  for the row as it is stored, then for its mirrored mask
static sb_status embed(const sb_reader *reader, const sb_store *store, int64_t i,
                       const uint16_t *stored, float *row, void *memory, float *embedding) {
  const sb_mirror *mirror = sb_store_mirror(store);
  const sb_status status = decode(store, i, stored, row);
  if (status.code != SB_OK) return status;
  sb_scan_data data = {.row = row, .own_mask = sb_store_own_mask(store, i)};
  if (mirror != NULL) {
    sb_mirror_mask(mirror, data.own_mask, memory);
    data.own_mask = memory;
  }
  return sb_embed(reader->embedder, &data, embedding, sb_reader_scratch(reader));
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
    float *stored = row + sb_round_up(reader->embedder->grid.row_length);
    int64_t scan = sb_rows_scan(&rows, i);
    sb_fetch_take(reader->fetch, i);
    const uint16_t *halves = read_row(reader, store, scan, (uint16_t *)(void *)stored);
    sb_status status =
        embed(reader, store, scan, halves, row, stored, embeddings + i * reader->stride);
    if (forgets) forget_behind(&rows, i);
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
