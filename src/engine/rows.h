// From rows on disk to embeddings in memory: decodes the float16 rows of a store and embeds them, many
// at a time, on all threads. The embeddings do not depend on the number of threads.
#ifndef SB_ENGINE_ROWS_H
#define SB_ENGINE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/backend.h"
#include "engine/fetch.h"
#include "measure/measure.h"
#include "samebrain/store.h"

// A file that a thread reads rows from.
typedef struct sb_row_file {
  const char *path; // of the store; NULL: none yet
  int file;
} sb_row_file;

typedef struct sb_reader {
  const sb_embedder *embedder;
  int threads;
  int64_t stride; // floats from one embedding to the next
  int64_t private_floats;
  float *scratch;     // private_floats for each thread
  sb_row_file *files; // one for each thread
  sb_fetch *fetch;
  bool forgets; // rows [first, first + count) once they are embedded (sb_rows_forget)
} sb_reader;

// Bytes of private memory that a reader needs.
int64_t sb_reader_bytes(const sb_embedder *embedder, int threads);

// The embedder is borrowed.
sb_status sb_reader_open(const sb_embedder *embedder, int threads, sb_reader *out);
void sb_reader_close(sb_reader *reader); // a zeroed one is fine

// The grid of a store's rows.
sb_grid sb_store_grid(const sb_store *store);
// One row as it is stored. (sb_store_row_values decodes it; where the store is of mirror images, by
// sb_store_mirrored, that is the row's mirror image.)
sb_stored_row sb_store_stored_row(const sb_store *store, int64_t i);
// The calling thread's private memory of embedder->scratch floats, in a team of at most `threads`.
float *sb_reader_scratch(const sb_reader *reader);

// Fetches scans [first, first + count) in the background, until the reader embeds them or others: as many of
// the first of them as the system is asked to hold at once.
void sb_reader_announce(const sb_reader *reader, const sb_store *store, int64_t first,
                        int64_t count);

// Embeds `count` scans into embeddings[0..count), `stride` floats apart: the scans index[i], or
// first + i when `index` is NULL. Errors: SB_CONTENT naming the scan (the first in order).
sb_status sb_reader_embed(const sb_reader *reader, const sb_store *store, const int64_t *index,
                          int64_t first, int64_t count, float *embeddings);

#endif
