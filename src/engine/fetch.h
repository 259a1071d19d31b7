// Rows on their way from disk through the system's cache: read ahead in the background, let go of when
// they were used. Nothing here can fail: rows that were not fetched are read when they are touched.
#ifndef SB_ENGINE_FETCH_H
#define SB_ENGINE_FETCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "samebrain/store.h"

// Scans of a store, in an order: index[i], or first + i where `index` is NULL.
typedef struct sb_rows {
  const sb_store *store;
  const int64_t *index;
  int64_t first, count;
} sb_rows;
static inline int64_t sb_rows_scan(const sb_rows *rows, int64_t i) {
  return rows->index != NULL ? rows->index[i] : rows->first + i;
}

// A thread that reads rows, so that the system has them when they are wanted: from end to end in one long
// stretch, which costs the system far less than advice about each of them.
typedef struct sb_fetch {
  sb_rows rows;
  int64_t ahead; // how many rows beyond those that were taken
  bool running;
  pthread_t thread;
  // Under the lock, and told by `changed`.
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int64_t taken;
  bool stop;
} sb_fetch;

void sb_fetch_open(sb_fetch *fetch);
void sb_fetch_close(sb_fetch *fetch);

// Begins to fetch rows, up to `ahead_bytes` ahead of those that were taken, instead of what was fetched so
// far. Does nothing where the system seems to hold them already.
void sb_fetch_begin(sb_fetch *fetch, const sb_rows *rows, int64_t ahead_bytes);
// Whether these are what is being fetched, or the first of it.
bool sb_fetch_has(const sb_fetch *fetch, const sb_rows *rows);
// Tells that the first `taken` rows were used.
void sb_fetch_take(sb_fetch *fetch, int64_t taken);
void sb_fetch_end(sb_fetch *fetch);

// The share of rows that the system's cache holds, by a sample of them.
double sb_rows_held(const sb_rows *rows);

// Asks for a row and its own mask that are about to be read alone: the system would bring megabytes beside what is touched.
void sb_row_expect(const sb_store *store, int64_t i);
// Lets go of a row's pages: they stay in the system's cache, but a gallery that streams by does not
// pile up in this process. Rows are read-only shared mappings of a file (see sb_store_row), so nothing
// is lost, and a neighbour's part of a shared page comes back when it is touched.
void sb_store_release_row(const sb_store *store, int64_t i);
// Lets go of scans [first, first + count) in the system's cache, too: rows that stream by once.
void sb_rows_forget(const sb_store *store, int64_t first, int64_t count);

#endif
