#include "engine/compare.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/memory.h"
#include "engine/warn.h"

double sb_now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// Asks for large pages: a GEMM touches thousands of rows at once, each in pages of its own.
static void prefer_large_pages(const sb_block *block, int64_t stride) {
  const size_t large = (size_t)2 << 20;
  char *start = (char *)block->vectors;
  size_t bytes = (size_t)(block->capacity * stride) * sizeof *block->vectors;
  size_t before = (large - (uintptr_t)start % large) % large;
  if (bytes < before + large) return;
  madvise(start + before, (bytes - before) / large * large,
          MADV_HUGEPAGE); // advice: may be refused
}

sb_status sb_comparison_open(sb_comparison *c) {
  const sb_plan *plan = c->plan;
  sb_status status = sb_reader_open(c->embedder, plan->threads, &c->reader);
  c->a = (sb_block){.capacity = plan->probe_tile};
  c->b = (sb_block){.capacity = sb_plan_streams(plan) ? plan->gallery_tile : 0};
  if (status.code == SB_OK)
    status = SB_NEW(&c->a.vectors, c->a.capacity * plan->stride, "vectors of the probes");
  if (status.code == SB_OK)
    status = SB_NEW(&c->b.vectors, c->b.capacity * plan->stride, "vectors of the gallery");
  if (status.code == SB_OK) {
    prefer_large_pages(&c->a, plan->stride);
    prefer_large_pages(&c->b, plan->stride);
  }
  return status;
}

void sb_comparison_close(sb_comparison *c) {
  free(c->a.vectors);
  free(c->b.vectors);
  c->a = c->b = (sb_block){0};
  sb_reader_close(&c->reader);
}

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Whether the measure is of the pair family: its embeddings are no vectors.
static bool by_pairs(const sb_comparison *c) {
  return c->embedder->measure->epilogue == NULL;
}

// Whether the backend scores such a measure's pairs; else that is done here.
static bool backend_scores_pairs(const sb_comparison *c) {
  const sb_backend *backend = c->compute != NULL ? c->compute->backend : NULL;
  return by_pairs(c) && backend != NULL && backend->pair_supports != NULL &&
         backend->pair_supports(&c->embedder->form);
}

// Hands what a block holds to the backend.
static sb_status put(sb_comparison *c, sb_slot slot) {
  const sb_block *block = slot == SB_SLOT_PROBES ? &c->a : &c->b;
  if (block->count > 0 && backend_scores_pairs(c))
    return c->compute->backend->pair_put(c->compute->context, slot, block->vectors, block->count);
  if (c->compute == NULL || by_pairs(c) || block->count == 0) return sb_ok();
  return c->compute->backend->put(c->compute->context, slot, block->vectors, block->count,
                                  c->plan->length, c->plan->stride);
}

// After a backend's failure: true when another goes on, with the same blocks.
static bool go_on(sb_comparison *c, const sb_status *failure) {
  if (c->compute == NULL || !sb_compute_fall_back(c->compute, failure)) return false;
  sb_warn(c->progress, "%s; going on with the CPU", failure->message);
  return put(c, SB_SLOT_PROBES).code == SB_OK && put(c, SB_SLOT_GALLERY).code == SB_OK;
}

// Puts the scans [first, first + count) into the block, unless they are there already.
static sb_status load(sb_comparison *c, sb_slot slot, const sb_store *store, int64_t first,
                      int64_t count) {
  sb_block *block = slot == SB_SLOT_PROBES ? &c->a : &c->b;
  if (block->first == first && block->count == count) return sb_ok();
  double start = sb_now_s();
  block->count = 0;
  sb_status status = sb_reader_embed(&c->reader, store, NULL, first, count, block->vectors);
  if (status.code == SB_OK) {
    block->first = first;
    block->count = count;
    status = put(c, slot);
    if (status.code != SB_OK && go_on(c, &status)) status = sb_ok();
  }
  c->timings->embed_s += sb_now_s() - start;
  return status;
}

// ---- Screening ----------------------------------------------------------------------------------

typedef struct walk {
  long long done, total; // pairs
  char stage[64];
} walk;

static void tell(const sb_comparison *c, const walk *w, int64_t more) {
  if (c->progress != NULL && c->progress->advance != NULL)
    c->progress->advance(c->progress->context, w->stage, w->done + more, w->total);
}

static void advance(const sb_comparison *c, walk *w, int64_t pairs) {
  w->done += pairs;
  tell(c, w, 0);
}

// Probes [probe, probe + probes) with gallery scans [gallery, gallery + galleries). In a
// self-comparison only pairs with probe <= gallery count, and each serves both of its scans.
typedef struct tile {
  int64_t probe, probes, gallery, galleries, pairs;
  const float *a, *b;  // their embeddings
  double *values;      // [i * galleries + j]: dot products, or scores of the pair family
  double error;        // of the dot products
  sb_pair_error apart; // of the scores of the pair family
  sb_screened *scores; // for each thread: a line of the tile
  float *lines;        // for each thread: scores on their way into the matrix
  int64_t line;        // elements of each of them
} tile;

// What is known of the score of probe i with gallery scan j of the tile.
static inline sb_screened score_of(const sb_comparison *c, const tile *t, int64_t i, int64_t j) {
  const sb_embedder *e = c->embedder;
  double value = t->values[i * t->galleries + j];
  if (by_pairs(c))
    return sb_screen_around(e->measure, value, t->apart.absolute + t->apart.relative * fabs(value));
  return sb_screen_interval(e->measure, value, t->error, e->length,
                            sb_embedding_at(e, t->a + i * e->size).terms,
                            sb_embedding_at(e, t->b + j * e->size).terms);
}

// What the sink is given of probe row i: from the diagonal on in a self-comparison.
static sb_status take_row(const sb_comparison *c, sb_sink *sink, const tile *t, int64_t i,
                          bool *room) {
  int64_t probe = t->probe + i, skip = 0;
  if (sink->people->self && probe > t->gallery) skip = probe - t->gallery;
  if (skip >= t->galleries) return sb_ok();
  sb_screened *scores = t->scores + omp_get_thread_num() * t->line;
  for (int64_t j = skip; j < t->galleries; j++) scores[j - skip] = score_of(c, t, i, j);
  if (!sb_sink_take(sink, probe, t->gallery + skip, t->galleries - skip, scores)) *room = false;
  if (sink->matrix < 0) return sb_ok();
  return sb_sink_write(sink, probe, t->gallery + skip, t->galleries - skip, scores,
                       t->lines + omp_get_thread_num() * t->line);
}

// The same pairs seen from gallery scan j: the probes before it.
static sb_status take_column(const sb_comparison *c, sb_sink *sink, const tile *t, int64_t j,
                             bool *room) {
  int64_t scan = t->gallery + j, count = smaller(t->probes, scan - t->probe);
  if (count <= 0) return sb_ok();
  sb_screened *scores = t->scores + omp_get_thread_num() * t->line;
  for (int64_t i = 0; i < count; i++) scores[i] = score_of(c, t, i, j);
  if (!sb_sink_take(sink, scan, t->probe, count, scores)) *room = false;
  if (sink->matrix < 0) return sb_ok();
  return sb_sink_write(sink, scan, t->probe, count, scores,
                       t->lines + omp_get_thread_num() * t->line);
}

static sb_status deliver(const sb_comparison *c, sb_sink *sink, const tile *t) {
  const int threads = c->plan->threads;
  sb_status failure = sb_ok();
  bool room = true;
  for (int side = 0; side < (sink->people->self ? 2 : 1); side++) {
    int64_t lines = side == 0 ? t->probes : t->galleries;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8) reduction(&& : room)
    for (int64_t i = 0; i < lines; i++) {
      sb_status status =
          side == 0 ? take_row(c, sink, t, i, &room) : take_column(c, sink, t, i, &room);
      if (status.code != SB_OK) {
#pragma omp critical(sb_deliver_failure)
        failure = status;
      }
    }
  }
  if (failure.code == SB_OK && !room)
    failure = sb_error(SB_NO_MEMORY,
                       "%s: more pairs are near or beyond the threshold than fit in the memory "
                       "granted: set a stricter threshold or allow more memory",
                       sink->measure->info.name);
  return failure;
}

// Canonical scores: a few gallery scans at a time, so that they stay near while the probes pass.
static void score_tile(const sb_comparison *c, const tile *t, const walk *w) {
  enum { GALLERIES = 4, PROBES = 8 };
  const sb_plan *plan = c->plan;
  const int64_t across = (t->galleries + GALLERIES - 1) / GALLERIES;
  const int64_t blocks = across * ((t->probes + PROBES - 1) / PROBES);
#pragma omp parallel for num_threads(plan->threads) schedule(dynamic)
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t i0 = block / across * PROBES, j0 = block % across * GALLERIES;
    if (omp_get_thread_num() == 0) tell(c, w, t->pairs * block / blocks);
    for (int64_t i = i0; i < smaller(i0 + PROBES, t->probes); i++)
      for (int64_t j = j0; j < smaller(j0 + GALLERIES, t->galleries); j++) {
        if (plan->self && t->probe + i > t->gallery + j) continue;
        t->values[i * t->galleries + j] =
            sb_embedded_score(c->embedder, t->a + i * plan->stride, t->b + j * plan->stride,
                              sb_reader_scratch(&c->reader));
      }
  }
}

// The pair family: by the backend where it can, as a screen, or here, canonically.
static sb_status score_pairs(sb_comparison *c, tile *t, const walk *w, sb_part b) {
  const sb_part a = {SB_SLOT_PROBES, 0, t->probes};
  t->apart = (sb_pair_error){0};
  if (backend_scores_pairs(c)) {
    const sb_backend *backend = c->compute->backend;
    sb_status status = backend->pair_tile(c->compute->context, a, b, t->values, t->galleries);
    t->apart = backend->pair_error(&c->embedder->form);
    if (status.code == SB_OK || !go_on(c, &status)) return status;
    return score_pairs(c, t, w, b);
  }
  score_tile(c, t, w);
  return sb_ok();
}

// Dot products by the backend.
static sb_status multiply_tile(sb_comparison *c, const tile *t, sb_part b) {
  const sb_part a = {SB_SLOT_PROBES, 0, t->probes};
  sb_compute *compute = c->compute;
  sb_status status = compute->backend->gemm_nt(compute->context, a, b, t->values, t->galleries);
  if (status.code != SB_OK && go_on(c, &status))
    status = compute->backend->gemm_nt(compute->context, a, b, t->values, t->galleries);
  return status;
}

// Compares the tile's pairs and gives their scores to the sink.
static sb_status do_tile(sb_comparison *c, sb_sink *sink, tile *t, walk *w, sb_part b) {
  const sb_plan *plan = c->plan;
  double start = sb_now_s();
  sb_status status = sb_ok();
  t->a = c->a.vectors;
  t->b = (b.slot == SB_SLOT_PROBES ? c->a.vectors : c->b.vectors) + b.first * plan->stride;
  if (by_pairs(c))
    status = score_pairs(c, t, w, b);
  else
    status = multiply_tile(c, t, b);
  double multiplied = sb_now_s();
  c->timings->multiply_s += multiplied - start;
  if (status.code != SB_OK) return status;
  status = deliver(c, sink, t);
  c->timings->select_s += sb_now_s() - multiplied;
  advance(c, w, t->pairs);
  return status;
}

// A block of probes against itself, one triangle, cut into tiles of the gallery's size.
static sb_status compare_within(sb_comparison *c, sb_sink *sink, tile *t, walk *w) {
  sb_status status = sb_ok();
  for (int64_t at = 0; at < c->a.count && status.code == SB_OK; at += t->galleries) {
    t->galleries = smaller(c->plan->gallery_tile, c->a.count - at);
    t->gallery = c->a.first + at;
    t->probe = c->a.first;
    t->probes = at + t->galleries;
    t->pairs = t->galleries * at + t->galleries * (t->galleries - 1) / 2;
    status = do_tile(c, sink, t, w, (sb_part){SB_SLOT_PROBES, at, t->galleries});
  }
  return status;
}

// A block of probes against the gallery from `first` on.
static sb_status compare_across(sb_comparison *c, sb_sink *sink, tile *t, walk *w, int64_t first) {
  sb_status status = sb_ok();
  for (int64_t at = first; at < c->plan->gallery && status.code == SB_OK; at += t->galleries) {
    t->galleries = smaller(c->plan->gallery_tile, c->plan->gallery - at);
    t->gallery = at;
    t->probe = c->a.first;
    t->probes = c->a.count;
    status = load(c, SB_SLOT_GALLERY, c->gallery, at, t->galleries);
    t->pairs = t->probes * t->galleries;
    if (status.code == SB_OK)
      status = do_tile(c, sink, t, w, (sb_part){SB_SLOT_GALLERY, 0, t->galleries});
  }
  return status;
}

// Tells the backend what its pairs are scored by.
static sb_status begin_pairs(sb_comparison *c) {
  if (!backend_scores_pairs(c)) return sb_ok();
  sb_status status = c->compute->backend->pair_begin(c->compute->context, &c->embedder->form);
  return status.code != SB_OK && go_on(c, &status) ? sb_ok() : status;
}

sb_status sb_compare_all(sb_comparison *c, sb_sink *sink) {
  const sb_plan *plan = c->plan;
  sb_status status = sb_ok();
  tile t = {.line = plan->probe_tile > plan->gallery_tile ? plan->probe_tile : plan->gallery_tile};
  walk w = {.total =
                plan->self ? plan->probes * (plan->probes - 1) / 2 : plan->probes * plan->gallery};
  t.error = sb_dot_error(sb_compute_error(c->compute, plan->length), plan->length);
  snprintf(w.stage, sizeof w.stage, "comparing by %s", c->embedder->measure->info.name);
  SB_TRY(SB_NEW(&t.values, plan->probe_tile * plan->gallery_tile, "a tile of scores"));
  SB_TRY(SB_NEW(&t.scores, plan->threads * t.line, "a tile of scores"));
  SB_TRY(SB_NEW(&t.lines, plan->threads * t.line, "a tile of scores"));
  SB_TRY(begin_pairs(c));
  for (int64_t at = 0; at < plan->probes; at += plan->probe_tile) {
    SB_TRY(load(c, SB_SLOT_PROBES, c->probe, at, smaller(plan->probe_tile, plan->probes - at)));
    if (plan->self) SB_TRY(compare_within(c, sink, &t, &w));
    SB_TRY(compare_across(c, sink, &t, &w, plan->self ? at + c->a.count : 0));
  }
  sb_sink_finish(sink, plan->threads);
cleanup:
  free(t.values);
  free(t.scores);
  free(t.lines);
  return status;
}

// ---- Canonical scores ---------------------------------------------------------------------------

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
  return sb_reader_embed(&c->reader, gallery_side ? c->gallery : c->probe, index, 0, places,
                         vectors);
}

static void score_requests(const sb_comparison *c, const float *a, const float *b,
                           const sb_request *requests, int64_t count) {
  const int64_t stride = c->plan->stride;
#pragma omp parallel for num_threads(c->plan->threads) schedule(dynamic, 16)
  for (int64_t i = 0; i < count; i++)
    *requests[i].score =
        sb_embedded_score(c->embedder, a + requests[i].probe * stride,
                          b + requests[i].gallery * stride, sb_reader_scratch(&c->reader));
}

sb_status sb_rescore(sb_comparison *c, sb_request *requests, int64_t count) {
  const sb_plan *plan = c->plan;
  double start = sb_now_s();
  sb_status status = sb_ok();
  int64_t *index = NULL;
  // A self-comparison that fits in one block has no second one.
  if (c->b.capacity == 0) SB_TRY(load(c, SB_SLOT_PROBES, c->probe, 0, plan->probes));
  bool all_a = c->a.count == plan->probes;
  bool all_b = plan->self ? all_a : c->b.count == plan->gallery;
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
      score_requests(c, c->a.vectors, b, requests + inner, part);
    }
  }
cleanup:
  free(index);
  c->timings->rescore_s += sb_now_s() - start;
  return status;
}
