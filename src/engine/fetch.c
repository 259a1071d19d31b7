#include "engine/fetch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

static int64_t row_bytes(const sb_store *store) {
  return sb_store_row_length(store) * (int64_t)sizeof(uint16_t);
}

static int64_t page_bytes(void) {
  return (int64_t)sysconf(_SC_PAGESIZE);
}

// ---- In the background --------------------------------------------------------------------------

// Whether there is an i-th row to fetch; waits until it is near enough.
static bool may_fetch(sb_fetch *f, int64_t i) {
  pthread_mutex_lock(&f->lock);
  while (!f->stop && i < f->rows.count && i >= f->taken + f->ahead)
    pthread_cond_wait(&f->changed, &f->lock);
  const bool may = !f->stop && i < f->rows.count;
  pthread_mutex_unlock(&f->lock);
  return may;
}

// Has the system read a stretch of a file and hand it to nobody: no copy is made.
static void pass_by(int file, int nowhere, int64_t offset, int64_t bytes) {
  off_t at = offset;
  while (at < offset + bytes && sendfile(nowhere, file, &at, (size_t)(offset + bytes - at)) > 0) {
  }
}

static void *fetch(void *context) {
  sb_fetch *f = context;
  const sb_store *store = f->rows.store;
  const char *path = NULL;
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  int file = -1;
  for (int64_t i = 0; may_fetch(f, i); i++) {
    const sb_row_place place = sb_store_row_place(store, sb_rows_scan(&f->rows, i));
    if (place.path != path) {
      if (file >= 0) close(file);
      file = open(path = place.path, O_RDONLY | O_CLOEXEC);
    }
    pass_by(file, nowhere, place.offset, row_bytes(store));
  }
  if (file >= 0) close(file);
  if (nowhere >= 0) close(nowhere);
  return NULL;
}

void sb_fetch_open(sb_fetch *f) {
  *f = (sb_fetch){0};
  pthread_mutex_init(&f->lock, NULL);
  pthread_cond_init(&f->changed, NULL);
}

void sb_fetch_close(sb_fetch *f) {
  sb_fetch_end(f);
  pthread_cond_destroy(&f->changed);
  pthread_mutex_destroy(&f->lock);
}

void sb_fetch_begin(sb_fetch *f, const sb_rows *rows, int64_t ahead_bytes) {
  sb_fetch_end(f);
  if (sb_rows_held(rows) > 0.9) return;
  f->rows = *rows;
  f->ahead = ahead_bytes / row_bytes(rows->store) + 1;
  f->taken = 0;
  f->stop = false;
  f->running = pthread_create(&f->thread, NULL, fetch, f) == 0;
}

bool sb_fetch_has(const sb_fetch *f, const sb_rows *rows) {
  return f->running && f->rows.store == rows->store && f->rows.index == NULL &&
         rows->index == NULL && f->rows.first == rows->first && f->rows.count >= rows->count;
}

static void tell(sb_fetch *f, int64_t taken, bool stop) {
  pthread_mutex_lock(&f->lock);
  if (taken > f->taken) f->taken = taken;
  f->stop = stop;
  pthread_cond_signal(&f->changed);
  pthread_mutex_unlock(&f->lock);
}

void sb_fetch_take(sb_fetch *f, int64_t taken) {
  tell(f, taken, false);
}

void sb_fetch_end(sb_fetch *f) {
  if (!f->running) return;
  tell(f, 0, true);
  pthread_join(f->thread, NULL);
  f->running = false;
}

// ---- What the system holds ----------------------------------------------------------------------

double sb_rows_held(const sb_rows *rows) {
  enum { SAMPLE = 64 };
  const int64_t sample = rows->count < SAMPLE ? rows->count : SAMPLE;
  int64_t held = 0;
  for (int64_t i = 0; i < sample; i++) { // by the page in a row's middle
    const int64_t scan = sb_rows_scan(rows, i * rows->count / sample);
    const char *row = (const char *)sb_store_row(rows->store, scan) + row_bytes(rows->store) / 2;
    unsigned char in_memory = 0;
    const int code =
        mincore((void *)(row - (uintptr_t)row % (uintptr_t)page_bytes()), 1, &in_memory);
    held += code == 0 && (in_memory & 1);
  }
  return sample > 0 ? (double)held / (double)sample : 1;
}

static void advise(const void *data, int64_t bytes, int advice) {
  const size_t before = (uintptr_t)data % (uintptr_t)page_bytes();
  madvise((void *)((const char *)data - before), before + (size_t)bytes, advice);
}

void sb_row_expect(const sb_store *store, int64_t i) {
  const int64_t *dims = sb_store_grid_dims(store);
  advise(sb_store_row(store, i), row_bytes(store), MADV_WILLNEED);
  advise(sb_store_own_mask(store, i), (dims[0] * dims[1] * dims[2] + 7) / 8, MADV_WILLNEED);
}

void sb_store_release_row(const sb_store *store, int64_t i) {
  advise(sb_store_row(store, i), row_bytes(store), MADV_DONTNEED);
}

void sb_rows_forget(const sb_store *store, int64_t first, int64_t count) {
  for (int64_t at = first, run; at < first + count; at += run) {
    const sb_row_place place = sb_store_row_place(store, at);
    for (run = 1; at + run < first + count; run++) {
      const sb_row_place next = sb_store_row_place(store, at + run);
      if (next.path != place.path || next.offset != place.offset + run * row_bytes(store)) break;
    }
    // The system keeps what is mapped.
    advise(sb_store_row(store, at), run * row_bytes(store), MADV_DONTNEED);
    const int file = open(place.path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    // Pages are kept in groups, and a group goes as a whole: the file's header with the first rows.
    const int64_t from = place.offset < page_bytes() ? 0 : place.offset;
    posix_fadvise(file, from, place.offset - from + run * row_bytes(store), POSIX_FADV_DONTNEED);
    close(file);
  }
}
