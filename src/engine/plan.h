// How a comparison is cut into tiles so that it fits in the memory that was granted.
//
// Vectors of a block of probes are kept (a); the gallery's stream past them, a tile (b) at a time.
// Every tile's scores (c) are consumed before the next. A self-comparison computes one triangle: a
// block against itself, without b, and against what comes after it.
#ifndef SB_ENGINE_PLAN_H
#define SB_ENGINE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/backend.h"
#include "engine/share.h"
#include "measure/measure.h"

// Sizes that tests set to reach every path with small inputs; 0: planned.
typedef struct sb_limits {
  int64_t probe_tile, gallery_tile, k_chunk;
} sb_limits;

typedef struct sb_plan {
  int64_t probes, gallery;
  bool self;
  sb_range range; // the probes that are compared
  int threads;
  int64_t length, stride;           // of a vector and of an embedding, floats
  int64_t probe_tile, gallery_tile; // scans
  int64_t k_chunk;
  bool coarse;          // the screen may be coarse (see tile.h)
  int64_t bins;         // of each probe's histogram
  int64_t memory_bytes; // what was granted
  int64_t fixed_bytes;  // names, the measure's tables, per-thread scratch
  int64_t probe_bytes;  // histograms, bounds and candidate lists of all probes
  int64_t list_bytes;   // of these, and in reserve, what candidate lists may grow to
  int64_t tile_bytes;   // a, b, c and the backend's workspace
} sb_plan;

// Bins of a histogram over the range of scores: 2,000 up to 10,000 probes (a bin of a correlation
// is then 0.001 wide), fewer for more, at least 100, so that the table stays small beside the rows.
// It depends on the number of probes alone.
int64_t sb_histogram_bins(int64_t probes);
// What a candidate takes: its entry in a list, and its place in the queue for rescoring.
enum { SB_CANDIDATE_BYTES = 24 + 24 };
// Candidates that a list for the closest `wanted` has room for at first.
int64_t sb_list_capacity(int64_t wanted);

//   range   the probes that are compared; {0, probes}: all
// Errors: SB_NO_MEMORY says how much is needed.
sb_status sb_plan_make(int64_t probes, int64_t gallery, bool self, sb_range range, int64_t top,
                       int threads, int64_t memory_bytes, const sb_embedder *embedder,
                       const sb_backend *backend, const void *backend_context,
                       const sb_limits *limits, sb_plan *out);
static inline int64_t sb_plan_total_bytes(const sb_plan *p) {
  return p->fixed_bytes + p->probe_bytes + p->tile_bytes;
}
// Whether tiles of b are needed at all.
static inline bool sb_plan_streams(const sb_plan *p) {
  const bool all = p->range.last - p->range.first == p->probes;
  return !(p->self && all && p->probe_tile >= p->probes);
}

#endif
