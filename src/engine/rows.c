#include "engine/rows.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
  return SB_NEW(&out->scratch, threads * out->private_floats, "scratch");
}

void sb_reader_close(sb_reader *reader) {
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

// ---- What the system is told of rows that are about to be read, and of those that were ------------

// How much is fetched ahead of the row that is read, and while something else is done.
enum { AHEAD_BYTES = 64 << 20, MEANWHILE_BYTES = 512 << 20 };

static int64_t row_bytes(const sb_store *store) {
  return sb_store_row_length(store) * (int64_t)sizeof(uint16_t);
}

// Advice about a row's pages: failing is no error.
static void advise(const sb_store *store, int64_t i, int advice) {
  const char *row = (const char *)sb_store_row(store, i);
  size_t before = (uintptr_t)row % (uintptr_t)sysconf(_SC_PAGESIZE);
  madvise((void *)(row - before), before + (size_t)row_bytes(store), advice);
}

// The system takes memory for what it reads before the call returns: work for all threads.
void sb_rows_announce(const sb_store *store, int64_t first, int64_t count, int threads) {
  const int64_t most = MEANWHILE_BYTES / row_bytes(store);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
  for (int64_t i = 0; i < (count < most ? count : most); i++)
    advise(store, first + i, MADV_WILLNEED);
}

void sb_store_release_row(const sb_store *store, int64_t i) {
  advise(store, i, MADV_DONTNEED);
}

double sb_rows_held(const sb_store *store) {
  enum { SAMPLE = 256 };
  const int64_t count = sb_store_count(store), sample = count < SAMPLE ? count : SAMPLE;
  int64_t held = 0;
  for (int64_t i = 0; i < sample; i++) { // by the page that a row begins on
    const char *row = (const char *)sb_store_row(store, i * count / sample);
    unsigned char in_memory = 0;
    held += mincore((void *)(row - (uintptr_t)row % (uintptr_t)sysconf(_SC_PAGESIZE)), 1,
                    &in_memory) == 0 &&
            (in_memory & 1);
  }
  return sample > 0 ? (double)held / (double)sample : 0;
}

static int64_t scan_at(const int64_t *index, int64_t first, int64_t i) {
  return index != NULL ? index[i] : first + i;
}

sb_status sb_reader_embed(const sb_reader *reader, const sb_store *store, const int64_t *index,
                          int64_t first, int64_t count, float *embeddings) {
  sb_status failure = sb_ok();
  int64_t failed = INT64_MAX;
  const int64_t ahead = AHEAD_BYTES / row_bytes(store) + 1;
  const bool forgets = reader->forgets && index == NULL;
  for (int64_t i = 0; i < ahead && i < count; i++)
    advise(store, scan_at(index, first, i), MADV_WILLNEED);
#pragma omp parallel for num_threads(reader->threads) schedule(dynamic)
  for (int64_t i = 0; i < count; i++) {
    float *scratch = sb_reader_scratch(reader);
    float *row = scratch + sb_round_up(reader->embedder->scratch);
    int64_t scan = scan_at(index, first, i);
    if (i + ahead < count) advise(store, scan_at(index, first, i + ahead), MADV_WILLNEED);
    sb_row_values(store, scan, row);
    sb_store_release_row(store, scan);
    if (forgets && i % ahead == 0 && i >= 2 * ahead) // all threads are past these
      sb_store_forget_rows(store, first + i - 2 * ahead, ahead);
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
  if (forgets) sb_store_forget_rows(store, first, count);
  if (failed == INT64_MAX) return sb_ok();
  const sb_scan_record *record = sb_store_record(store, failed);
  return sb_error(failure.code, "%s: scan %s of dataset %s cannot be compared by %s: %s",
                  sb_store_path(store), record->scan.scan_id, record->scan.dataset,
                  reader->embedder->measure->info.name, failure.message);
}
