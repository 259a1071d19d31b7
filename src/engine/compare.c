#include "engine/compare.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/order.h"
#include "engine/select.h"
#include "engine/tile.h"
#include "engine/warn.h"
#include "store/mirror.h"

sb_status sb_comparison_open(sb_comparison *c) {
  const sb_plan *plan = c->plan;
  sb_status status = sb_reader_open(c->embedder, plan->threads, &c->reader);
  c->a = (sb_block){.capacity = plan->probe_tile};
  c->b = (sb_block){.capacity = sb_plan_streams(plan) ? plan->gallery_tile : 0};
  if (sb_comparison_is_ready(c)) return status; // blocks are parts of what is in memory
  if (status.code == SB_OK)
    status = SB_NEW(&c->a.vectors, c->a.capacity * plan->stride, "vectors of the probes");
  if (status.code == SB_OK)
    status = SB_NEW(&c->b.vectors, c->b.capacity * plan->stride, "vectors of the gallery");
  if (status.code == SB_OK) {
    const size_t vector_bytes = (size_t)plan->stride * sizeof *c->a.vectors;
    sb_prefer_large_pages(c->a.vectors, (size_t)c->a.capacity * vector_bytes);
    sb_prefer_large_pages(c->b.vectors, (size_t)c->b.capacity * vector_bytes);
  }
  return status;
}

void sb_comparison_close(sb_comparison *c) {
  if (!sb_comparison_is_ready(c)) {
    free(c->a.vectors);
    free(c->b.vectors);
  }
  c->a = c->b = (sb_block){0};
  sb_reader_close(&c->reader);
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
  sb_status status = c->screen->put(c->screen_context, slot, block->vectors, block->count,
                                    c->plan->length, c->plan->stride);
  if (status.code == SB_OK && c->screen->coarse) // for tiles that int8 cannot tell apart
    status = sb_backend_cpu.put(c->compute->fine, slot, block->vectors, block->count,
                                c->plan->length, c->plan->stride);
  return status;
}

// Whether the backend embeds rows itself. A coarse screen is settled from the host's embeddings.
static bool backend_embeds(const sb_comparison *c) {
  return c->compute != NULL && !sb_comparison_is_ready(c) && c->screen->put_rows != NULL &&
         c->screen->embed_supports(&c->embedder->recipe);
}

sb_status sb_comparison_embed_here(sb_comparison *c, sb_slot slot) {
  sb_block *block = slot == SB_SLOT_PROBES ? &c->a : &c->b;
  if (!block->elsewhere) return sb_ok();
  // There is no second block, but the backend had no room for the first one whole.
  if (block->capacity < block->count) {
    free(block->vectors);
    block->capacity = 0;
    sb_status status =
        SB_NEW(&block->vectors, c->plan->gallery_tile * c->plan->stride, "vectors of the gallery");
    if (status.code != SB_OK) return status;
    block->capacity = c->plan->gallery_tile;
  }
  block->elsewhere = false;
  return sb_comparison_embed(c, slot, NULL, block->first, block->count, block->vectors);
}

sb_status sb_comparison_embed(const sb_comparison *c, sb_slot slot, const int64_t *index,
                              int64_t first, int64_t count, float *embeddings) {
  const int64_t size = c->embedder->size;
  if (c->ready[slot] == NULL)
    return sb_reader_embed(&c->reader, slot == SB_SLOT_PROBES ? c->probe : c->gallery, index, first,
                           count, embeddings);
  for (int64_t i = 0; i < count; i++)
    memcpy(embeddings + i * size, c->ready[slot] + (index != NULL ? index[i] : first + i) * size,
           (size_t)size * sizeof *embeddings);
  return sb_ok();
}

// The scans' embeddings into a block that has their numbers, and to the backend; or by the backend. Rows
// that it cannot embed the host refuses, in words.
static sb_status fill(sb_comparison *c, sb_slot slot, sb_block *block) {
  const sb_store *store = slot == SB_SLOT_PROBES ? c->probe : c->gallery;
  sb_status status = sb_ok();
  sb_stored_row *rows = NULL;
  block->elsewhere = backend_embeds(c) && sb_store_mirror(store) == NULL;
  if (block->elsewhere) {
    bool well = false;
    SB_TRY(SB_NEW(&rows, block->count, "rows"));
    for (int64_t i = 0; i < block->count; i++)
      rows[i] = sb_store_stored_row(store, block->first + i);
    SB_TRY(c->screen->put_rows(c->screen_context, slot, rows, block->count, &well));
    for (int64_t i = 0; i < block->count; i++) sb_store_release_row(store, block->first + i);
    if (well) goto cleanup;
  }
  block->elsewhere = c->ready[slot] == NULL;
  SB_TRY(sb_comparison_embed_here(c, slot));
  SB_TRY(put(c, slot));
cleanup:
  free(rows);
  return status;
}

// Whether nobody reads a block's rows after it: of a coarse screen, whose candidates are settled by then, and of
// the gallery with the last block of probes.
static bool is_last_reading(const sb_comparison *c, sb_slot slot) {
  return c->compute != NULL && c->screen->coarse &&
         (slot == SB_SLOT_PROBES || c->a.first + c->a.count == c->plan->range.last);
}

// Puts the scans [first, first + count) into the block, unless they are there already.
static sb_status load(sb_comparison *c, sb_slot slot, int64_t first, int64_t count) {
  sb_block *block = slot == SB_SLOT_PROBES ? &c->a : &c->b;
  if (block->first == first && block->count == count) return sb_ok();
  double start = sb_now_s();
  if (c->ready[slot] != NULL) block->vectors = (float *)c->ready[slot] + first * c->plan->stride;
  block->first = first;
  block->count = count;
  c->reader.forgets = c->forgets && is_last_reading(c, slot);
  sb_status status = fill(c, slot, block);
  c->reader.forgets = false;
  if (status.code != SB_OK) block->count = 0;
  c->rows_read += block->count;
  c->timings->embed_s += sb_now_s() - start;
  return status;
}

// Tells the system which rows the next load() takes, so that it reads them while a tile is compared:
// the gallery's from `gallery` on, or when these are through the next block of probes.
static void announce_next(const sb_comparison *c, int64_t gallery) {
  const sb_plan *plan = c->plan;
  const int64_t probe = c->a.first + c->a.count;
  if (sb_comparison_is_ready(c)) return;
  if (gallery < plan->gallery)
    sb_reader_announce(&c->reader, c->gallery, gallery,
                       sb_smaller(plan->gallery_tile, plan->gallery - gallery));
  else if (probe < plan->range.last)
    sb_reader_announce(&c->reader, c->probe, probe,
                       sb_smaller(plan->probe_tile, plan->range.last - probe));
}

// The same of as many as the backend has room for: up to `count`, else up to half of them, and so on.
static sb_status load_some(sb_comparison *c, sb_slot slot, int64_t first, int64_t count) {
  for (;;) {
    const int64_t some = sb_smaller(count, c->most[slot]);
    const sb_status status = load(c, slot, first, some);
    if (status.code != SB_NO_MEMORY || some < 2) return sb_comparison_blame(c, status);
    c->most[slot] = some / 2;
  }
}

// Of the screen's dot products, beside what rounding lost of the vectors.
static double dot_error(const sb_comparison *c) {
  const int64_t k = c->plan->length;
  return sb_dot_error(c->screen->gemm_error(c->screen_context, k), k);
}

static const sb_lost *lost(const sb_comparison *c, sb_slot slot) {
  return c->screen->lost == NULL ? NULL : c->screen->lost(c->screen_context, slot);
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

// Canonical scores: a few gallery scans at a time, so that they stay near while the probes pass.
static void score_tile(const sb_comparison *c, const sb_tile *t, const walk *w) {
  enum { GALLERIES = 4, PROBES = 8 };
  const sb_plan *plan = c->plan;
  const int64_t across = (t->galleries + GALLERIES - 1) / GALLERIES;
  const int64_t blocks = across * ((t->probes + PROBES - 1) / PROBES);
#pragma omp parallel for num_threads(plan->threads) schedule(dynamic)
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t i0 = block / across * PROBES, j0 = block % across * GALLERIES;
    if (omp_get_thread_num() == 0) tell(c, w, t->pairs * block / blocks);
    for (int64_t i = i0; i < sb_smaller(i0 + PROBES, t->probes); i++)
      for (int64_t j = j0; j < sb_smaller(j0 + GALLERIES, t->galleries); j++) {
        if (plan->self && t->probe + i > t->gallery + j) continue;
        t->values[i * t->galleries + j] =
            sb_embedded_score(c->embedder, t->a + i * plan->stride, t->b + j * plan->stride,
                              sb_reader_scratch(&c->reader));
      }
  }
}

// The pair family: by the backend where it can, as a screen, or here, canonically.
static sb_status score_pairs(sb_comparison *c, sb_tile *t, const walk *w, sb_part b) {
  const sb_part a = {SB_SLOT_PROBES, 0, t->probes};
  t->apart = (sb_score_error){0};
  if (backend_scores_pairs(c)) {
    const sb_backend *backend = c->compute->backend;
    t->apart = backend->pair_error(&c->embedder->form);
    return sb_comparison_blame(
        c, backend->pair_tile(c->compute->context, a, b, t->values, t->galleries));
  }
  score_tile(c, t, w);
  return sb_ok();
}

// The tile's dot products. Of a block of probes with itself only those up to the diagonal count: parts
// of it, each with the probes up to its last, so that little beyond is computed.
static sb_status multiply(const sb_backend *backend, void *context, const sb_tile *t, sb_part b) {
  enum { PART = 256 };
  sb_status status = sb_ok();
  if (b.slot != SB_SLOT_PROBES || backend->skips_below_diagonal)
    return backend->gemm_nt(context, (sb_part){SB_SLOT_PROBES, 0, t->probes}, b, t->values,
                            t->galleries);
  for (int64_t at = 0; at < b.count && status.code == SB_OK; at += PART) {
    const sb_part part = {b.slot, b.first + at, sb_smaller(PART, b.count - at)};
    const sb_part before = {SB_SLOT_PROBES, 0, part.first + part.count};
    status = backend->gemm_nt(context, before, part, t->values + at, t->galleries);
  }
  return status;
}

// Dot products by the screen, and what rounding lost of the vectors.
static sb_status multiply_tile(sb_comparison *c, sb_tile *t, sb_part b) {
  const sb_status status = sb_comparison_blame(c, multiply(c->screen, c->screen_context, t, b));
  t->lost_a = lost(c, SB_SLOT_PROBES);
  t->lost_b = t->lost_a == NULL ? NULL : lost(c, b.slot) + b.first;
  return status;
}

// A coarse screen's scores to the sink. Where many pairs are too near to call, a float32 product tells
// most of them apart: cheaper for a whole tile than as many canonical scores.
static sb_status settle_tile(sb_comparison *c, sb_sink *sink, sb_tile *t, sb_part b) {
  int64_t open = 0;
  sb_status status = sb_tile_survey(c, sink, t, &open);
  if (status.code != SB_OK) return status;
  const bool anew = open > t->pairs / SB_CANONICAL_COST && c->compute->fine != NULL;
  if (anew) {
    const double start = sb_now_s();
    status = multiply(&sb_backend_cpu, c->compute->fine, t, b);
    t->error =
        sb_dot_error(sb_backend_cpu.gemm_error(c->compute->fine, c->plan->length), c->plan->length);
    t->lost_a = t->lost_b = NULL;
    c->timings->multiply_s += sb_now_s() - start;
    c->timings->select_s -= sb_now_s() - start;
  }
  return status.code == SB_OK ? sb_tile_settle(c, sink, t, anew) : status;
}

// Compares the tile's pairs and gives their scores to the sink.
static sb_status do_tile(sb_comparison *c, sb_sink *sink, sb_tile *t, walk *w, sb_part b) {
  const sb_plan *plan = c->plan;
  sb_status status = sb_ok();
  t->a = c->a.vectors;
  t->b = (b.slot == SB_SLOT_PROBES ? c->a.vectors : c->b.vectors) + b.first * plan->stride;
  if (!by_pairs(c)) t->error = dot_error(c);
  if (c->selecting != NULL) {
    bool started = false;
    status = sb_select_tile(c, sink, t, b, &started);
    if (started) advance(c, w, t->pairs);
    if (started || status.code != SB_OK) return status;
  }
  double start = sb_now_s();
  if (by_pairs(c))
    status = score_pairs(c, t, w, b);
  else
    status = multiply_tile(c, t, b);
  double multiplied = sb_now_s();
  c->timings->multiply_s += multiplied - start;
  if (status.code != SB_OK) return status;
  const bool coarse = !by_pairs(c) && c->screen->coarse;
  status = coarse ? settle_tile(c, sink, t, b) : sb_tile_deliver(c, sink, t);
  c->timings->select_s += sb_now_s() - multiplied;
  advance(c, w, t->pairs);
  return status;
}

// A block of probes against itself, one triangle, cut into tiles of the gallery's size.
static sb_status compare_within(sb_comparison *c, sb_sink *sink, sb_tile *t, walk *w) {
  sb_status status = sb_ok();
  announce_next(c, c->a.first + c->a.count);
  for (int64_t at = 0; at < c->a.count && status.code == SB_OK; at += t->galleries) {
    t->galleries = sb_smaller(c->most[SB_SLOT_GALLERY], c->a.count - at);
    t->gallery = c->a.first + at;
    t->probe = c->a.first;
    t->probes = at + t->galleries;
    t->pairs = t->galleries * at + t->galleries * (t->galleries - 1) / 2;
    status = do_tile(c, sink, t, w, (sb_part){SB_SLOT_PROBES, at, t->galleries});
  }
  return status;
}

// A block of probes against the gallery from `first` on.
static sb_status compare_across(sb_comparison *c, sb_sink *sink, sb_tile *t, walk *w,
                                int64_t first) {
  sb_status status = sb_ok();
  for (int64_t at = first; at < c->plan->gallery && status.code == SB_OK; at += t->galleries) {
    status = load_some(c, SB_SLOT_GALLERY, at, c->plan->gallery - at);
    t->galleries = c->b.count;
    t->gallery = at;
    t->probe = c->a.first;
    t->probes = c->a.count;
    t->pairs = t->probes * t->galleries;
    announce_next(c, at + t->galleries);
    if (status.code == SB_OK)
      status = do_tile(c, sink, t, w, (sb_part){SB_SLOT_GALLERY, 0, t->galleries});
  }
  return status;
}

// Tells the backend what its pairs are scored by, or its rows embedded.
static sb_status begin(sb_comparison *c) {
  sb_status status = sb_ok();
  if (backend_scores_pairs(c))
    status = c->compute->backend->pair_begin(c->compute->context, &c->embedder->form);
  else if (backend_embeds(c))
    status = c->screen->embed_begin(c->screen_context, &c->embedder->recipe);
  return sb_comparison_blame(c, status);
}

static sb_status compare_all(sb_comparison *c, sb_sink *sink) {
  const sb_plan *plan = c->plan;
  sb_status status = sb_ok();
  const sb_range range = plan->range;
  sb_tile t = {0};
  walk w = {.total = sb_range_pairs(range, plan->gallery, plan->self)};
  snprintf(w.stage, sizeof w.stage, "comparing by %s", c->embedder->measure->info.name);
  SB_TRY(sb_tile_open(plan, &t));
  c->most[SB_SLOT_PROBES] = plan->probe_tile;
  c->most[SB_SLOT_GALLERY] = plan->gallery_tile;
  SB_TRY(begin(c));
  SB_TRY(sb_select_begin(c, sink));
  for (int64_t at = range.first; at < range.last; at += c->a.count) {
    SB_TRY(load_some(c, SB_SLOT_PROBES, at, range.last - at));
    if (plan->self) SB_TRY(compare_within(c, sink, &t, &w));
    SB_TRY(compare_across(c, sink, &t, &w, plan->self ? at + c->a.count : 0));
  }
  SB_TRY(sb_select_end(c, sink));
  sb_sink_finish(sink, plan->threads);
cleanup:
  sb_select_close(c);
  sb_tile_close(&t);
  return status;
}

sb_status sb_compare_all(sb_comparison *c, sb_sink *sink) {
  const sb_status status = compare_all(c, sink);
  if (!c->backend_failed || c->compute == NULL || !sb_compute_fall_back(c->compute, &status))
    return status;
  sb_warn(c->progress, "%s; going on with the CPU", status.message);
  c->screen = c->compute->backend;
  c->screen_context = c->compute->context;
  c->backend_failed = false;
  c->a.count = c->b.count = 0;
  sb_sink_empty(sink); // what a device had counted is lost with it
  return compare_all(c, sink);
}
