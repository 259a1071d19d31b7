// Canonical scores of chosen pairs.
#include <stdlib.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/order.h"
#include "engine/compare.h"
#include "engine/tile.h"

// Scored at once, on all threads: many, for they share scans.
enum { REQUESTS_AT_ONCE = 16384 };

static int by_probe(const void *left, const void *right) {
  const sb_request *a = left, *b = right;
  if (a->probe != b->probe) return a->probe < b->probe ? -1 : 1;
  return a->gallery < b->gallery ? -1 : a->gallery > b->gallery;
}

static int by_gallery(const void *left, const void *right) {
  const sb_request *a = left, *b = right;
  if (a->gallery != b->gallery) return a->gallery < b->gallery ? -1 : 1;
  return a->probe < b->probe ? -1 : a->probe > b->probe;
}

// From requests[0..count), sorted by one side, takes as many as refer to at most `capacity` scans
// of that side, embeds these scans, and replaces their numbers in the requests by their
// places in the block. Where the block holds all scans of the store already nothing is loaded.
//   index  scratch for `capacity` numbers
static sb_status load_side(sb_comparison *c, sb_request *requests, int64_t count, bool gallery_side,
                           bool complete, int64_t capacity, int64_t *index, float *vectors,
                           int64_t *taken) {
  int64_t places = 0, used = 0, previous = -1;
  *taken = count;
  if (complete) return sb_ok();
  for (; used < count; used++) {
    int64_t *scan = gallery_side ? &requests[used].gallery : &requests[used].probe;
    if (*scan != previous) {
      if (places == capacity) break;
      previous = *scan;
      index[places++] = *scan;
    }
    *scan = places - 1;
  }
  *taken = used;
  return sb_comparison_embed(c, gallery_side ? SB_SLOT_GALLERY : SB_SLOT_PROBES, index, 0, places,
                             vectors);
}

static void score_requests(const sb_comparison *c, const float *a, const float *b,
                           sb_request *requests, int64_t count, sb_scored_pair *pairs) {
  const int64_t stride = c->plan->stride;
  for (int64_t at = 0, some; at < count; at += some) {
    some = sb_smaller(count - at, REQUESTS_AT_ONCE);
    const bool sliced = sb_pairs_share(some, c->plan->probes, c->plan->gallery);
    if (!sliced) qsort(requests + at, (size_t)some, sizeof *requests, by_probe);
    for (int64_t i = 0; i < some; i++) {
      pairs[i].a = a + requests[at + i].probe * stride;
      pairs[i].b = b + requests[at + i].gallery * stride;
    }
    sb_score_canonically(c, pairs, some, sliced);
    for (int64_t i = 0; i < some; i++) *requests[at + i].score = pairs[i].score;
  }
}

sb_status sb_rescore(sb_comparison *c, sb_request *requests, int64_t count) {
  const sb_plan *plan = c->plan;
  double start = sb_now_s();
  sb_status status = sb_ok();
  int64_t *index = NULL;
  sb_scored_pair *pairs = NULL;
  SB_TRY(SB_NEW(&pairs, sb_smaller(count, REQUESTS_AT_ONCE), "requests"));
  if (sb_comparison_is_ready(c)) {
    score_requests(c, c->ready[SB_SLOT_PROBES], c->ready[SB_SLOT_GALLERY], requests, count, pairs);
    goto cleanup;
  }
  // A self-comparison that fits in one block has no second one.
  if (c->b.capacity == 0) {
    if (c->a.count < plan->probes)
      c->a = (sb_block){c->a.vectors, 0, plan->probes, c->a.capacity, true};
    SB_TRY(sb_comparison_embed_here(c, SB_SLOT_PROBES));
  }
  bool all_a = c->a.count == plan->probes && !c->a.elsewhere;
  bool all_b = plan->self ? all_a : c->b.count == plan->gallery && !c->b.elsewhere;
  float *b = plan->self && all_a ? c->a.vectors : c->b.vectors;
  if (!all_a) c->a.count = 0; // about to be overwritten
  if (!all_b) c->b.count = 0;
  // The score is the same from both sides: let each pair of a self-comparison lean one way.
  for (int64_t i = 0; plan->self && i < count; i++)
    if (requests[i].gallery < requests[i].probe) {
      int64_t probe = requests[i].probe;
      requests[i].probe = requests[i].gallery;
      requests[i].gallery = probe;
    }
  SB_TRY(SB_NEW(&index, c->a.capacity + c->b.capacity, "requests"));
  if (count > 1) qsort(requests, (size_t)count, sizeof *requests, by_probe);
  for (int64_t at = 0, taken; at < count; at += taken) {
    SB_TRY(load_side(c, requests + at, count - at, false, all_a, c->a.capacity, index, c->a.vectors,
                     &taken));
    if (taken > 1) qsort(requests + at, (size_t)taken, sizeof *requests, by_gallery);
    for (int64_t inner = at, part; inner < at + taken; inner += part) {
      SB_TRY(load_side(c, requests + inner, at + taken - inner, true, all_b, c->b.capacity, index,
                       b, &part));
      score_requests(c, c->a.vectors, b, requests + inner, part, pairs);
    }
  }
cleanup:
  free(index);
  free(pairs);
  c->timings->rescore_s += sb_now_s() - start;
  return status;
}
