// One measure over all pairs: tiles of embeddings in, every score into the sink, and canonical scores
// for chosen pairs. A measure of the GEMM family is screened by the backend's matrix product; one of
// the pair family is computed pair by pair on the host, and its scores are canonical at once.
#ifndef SB_ENGINE_COMPARE_H
#define SB_ENGINE_COMPARE_H

#include <stdint.h>

#include "engine/compute.h"
#include "engine/plan.h"
#include "engine/rows.h"
#include "engine/sink.h"
#include "samebrain/store.h"

// Wall time of each stage.
typedef struct sb_timings {
  double embed_s, multiply_s, select_s, rescore_s, write_s;
} sb_timings;

// Blocks of embeddings, and which scans are in them: [first, first + count). Where the backend embedded
// them, the vectors here are not.
typedef struct sb_block {
  float *vectors;
  int64_t first, count, capacity;
  bool elsewhere;
} sb_block;

typedef struct sb_selecting sb_selecting; // select.h

typedef struct sb_comparison {
  const sb_store *probe, *gallery; // the same pointer in a self-comparison
  // All embeddings, embedder->size apart, where they are in memory already (in a self-comparison the same
  // pointer twice): no store is read then, and both may be NULL.
  const float *ready[SB_SLOTS];
  const sb_plan *plan;
  const sb_embedder *embedder;
  sb_compute *compute;      // NULL where only sb_rescore is called
  const sb_backend *screen; // compute's, or its fine one, and its context
  void *screen_context;
  const sb_progress *progress;
  sb_timings *timings;
  bool forgets; // rows of which this is the last reading need not stay in the system's cache
  sb_reader reader;
  sb_block a, b;           // probes, gallery
  int64_t most[SB_SLOTS];  // scans at once: the plan's tiles, halved where the backend had no room
  sb_selecting *selecting; // NULL: the host selects
  bool backend_failed;     // what failed was the backend, and another could go on
  int64_t rows_read;       // into both blocks, so far
} sb_comparison;

// Passes on how a call of the backend ended.
static inline sb_status sb_comparison_blame(sb_comparison *c, sb_status status) {
  if (status.code != SB_OK) c->backend_failed = true;
  return status;
}

// Takes the memory for the tiles; the members above `reader` are set by the caller.
sb_status sb_comparison_open(sb_comparison *c);
void sb_comparison_close(sb_comparison *c); // after a failed open, too

// Embeds the scans index[i], or first + i where `index` is NULL, of the probes' or the gallery's store.
sb_status sb_comparison_embed(const sb_comparison *c, sb_slot slot, const int64_t *index,
                              int64_t first, int64_t count, float *embeddings);

// Whether all embeddings are in memory.
static inline bool sb_comparison_is_ready(const sb_comparison *c) {
  return c->ready[SB_SLOT_PROBES] != NULL;
}

// The embeddings of what a block holds, by the host; nothing where they are there.
sb_status sb_comparison_embed_here(sb_comparison *c, sb_slot slot);

// Gives the sink every pair. Where the backend fails and the CPU may go on, it does so from the start.
sb_status sb_compare_all(sb_comparison *c, sb_sink *sink);

// A pair whose canonical score is wanted, and where it goes.
typedef struct sb_request {
  int64_t probe, gallery;
  double *score;
} sb_request;

// Computes canonical scores, each row embedded few times. Reorders the requests.
sb_status sb_rescore(sb_comparison *c, sb_request *requests, int64_t count);

#endif
