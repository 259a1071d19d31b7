#include "engine/choose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/screen.h"
#include "engine/tile.h"

// At most so many of either side, spread evenly.
enum { SAMPLE_PROBES = 20, SAMPLE_GALLERY = 140, LEAST_SAMPLE = 8 };
// Fewer operations are not worth a sample: a second of one core in float32.
static const double FEW_OPERATIONS = 1.5e11;
// Times in units of a pair of a float32 product: of an int8 product, and of rounding one vector.
static const double INT8_COST = 0.25, ROUNDING_COST = 20;
// int8 must promise to take less than this part of the time of float32.
static const double WORTHWHILE = 0.85;

typedef struct side {
  int64_t count, step; // every step-th scan
  const float *vectors;
  int64_t stride;
  float *copy; // NULL: the vectors are in memory already
} side;

typedef struct sample {
  side a, b; // probes, gallery
  double *dots;
  sb_candidate *pairs; // closenesses
  int64_t count;
} sample;

static void sample_free(sample *s) {
  free(s->a.copy);
  free(s->b.copy);
  free(s->dots);
  free(s->pairs);
}

// Up to `wanted` of all scans of a side, and their vectors.
static sb_status draw(const sb_comparison *c, sb_slot slot, int64_t wanted, int64_t all, side *s) {
  int64_t *scans = NULL;
  const int64_t size = c->embedder->size;
  sb_status status = sb_ok();
  s->count = wanted < all ? wanted : all;
  s->step = all / s->count;
  if (c->ready[slot] != NULL) {
    s->vectors = c->ready[slot];
    s->stride = s->step * size;
    return status;
  }
  SB_TRY(SB_NEW(&scans, s->count, "a sample"));
  for (int64_t i = 0; i < s->count; i++) scans[i] = i * s->step;
  SB_TRY(SB_NEW(&s->copy, s->count * size, "a sample"));
  SB_TRY(sb_comparison_embed(c, slot, scans, 0, s->count, s->copy));
  s->vectors = s->copy;
  s->stride = size;
cleanup:
  free(scans);
  return status;
}

// A sample that takes up to an eighth of the memory; none where that is too little.
static sb_status sample_draw(sb_comparison *c, const sb_wish *wish, sample *s) {
  const int64_t vector_bytes = c->embedder->size * (int64_t)(sizeof(float) + 1);
  int64_t fit = wish->memory_bytes / 8 / vector_bytes;
  if (fit > SAMPLE_PROBES + SAMPLE_GALLERY) fit = SAMPLE_PROBES + SAMPLE_GALLERY;
  const int64_t probes = fit / 8, gallery = fit - probes;
  sb_status status = sb_ok();
  if (probes < LEAST_SAMPLE || wish->probes < LEAST_SAMPLE || wish->gallery < LEAST_SAMPLE)
    return status;
  SB_TRY(sb_reader_open(c->embedder, wish->threads, &c->reader));
  SB_TRY(draw(c, SB_SLOT_PROBES, probes, wish->probes, &s->a));
  SB_TRY(draw(c, SB_SLOT_GALLERY, gallery, wish->gallery, &s->b));
  SB_TRY(SB_NEW(&s->dots, s->a.count * s->b.count, "a sample"));
  SB_TRY(SB_NEW(&s->pairs, s->a.count * s->b.count, "a sample"));
cleanup:
  sb_reader_close(&c->reader);
  return status;
}

// The sample's pairs as intervals of closeness, without scans met with themselves.
static sb_status sample_screen(const sb_comparison *c, const sb_wish *wish, sample *s) {
  const sb_embedder *e = c->embedder;
  const sb_backend *backend = c->compute->backend;
  void *context = c->compute->context;
  const bool rises = e->measure->info.higher_is_closer;
  const side *a = &s->a, *b = &s->b;
  sb_status status;
  SB_TRY(backend->put(context, SB_SLOT_PROBES, a->vectors, a->count, e->length, a->stride));
  SB_TRY(backend->put(context, SB_SLOT_GALLERY, b->vectors, b->count, e->length, b->stride));
  SB_TRY(backend->gemm_nt(context, (sb_part){SB_SLOT_PROBES, 0, a->count},
                          (sb_part){SB_SLOT_GALLERY, 0, b->count}, s->dots, b->count));
  const sb_lost *lost_a = backend->lost(context, SB_SLOT_PROBES),
                *lost_b = backend->lost(context, SB_SLOT_GALLERY);
  const double base = sb_dot_error(backend->gemm_error(context, e->length), e->length);
  for (int64_t i = 0; i < a->count; i++)
    for (int64_t j = 0; j < b->count; j++) {
      if (wish->self && i * a->step == j * b->step) continue;
      const sb_screened score = sb_screen_interval(
          e->measure, s->dots[i * b->count + j], sb_pair_error(base, lost_a + i, lost_b + j),
          e->length, sb_embedding_at(e, a->vectors + i * a->stride).terms,
          sb_embedding_at(e, b->vectors + j * b->stride).terms);
      // `low` is where the score is, `high` where it could be.
      s->pairs[s->count++] = rises ? (sb_candidate){score.score, score.high, 0}
                                   : (sb_candidate){-score.score, -score.low, 0};
    }
cleanup:
  return status;
}

// The share of pairs whose canonical score is needed only because int8 cannot tell, with the sample's
// pairs standing for all of them.
static double open_share(const sample *s, const sb_wish *wish) {
  const double share = fmin(1, (double)wish->top / (double)wish->gallery);
  int64_t rank = (int64_t)(share * (double)s->count + 0.5), open = 0;
  rank = rank < 1 ? 1 : rank > s->count ? s->count : rank;
  const double least = fmin(wish->threshold, sb_kth_low(s->pairs, s->count, rank));
  for (int64_t i = 0; i < s->count; i++)
    open += s->pairs[i].high >= least && s->pairs[i].low < least;
  return (double)open / (double)s->count;
}

static void choose_fine(sb_comparison *c, sb_choice *out) {
  out->precision = SB_FP32;
  c->screen = &sb_backend_cpu;
  c->screen_context = c->compute->fine;
}

sb_status sb_choose_screen(sb_comparison *c, const sb_wish *wish, sb_choice *out) {
  const sb_compute *compute = c->compute;
  const double pairs = (double)wish->probes * (double)wish->gallery;
  sample s = {0};
  sb_status status = sb_ok();
  c->screen = compute->backend;
  c->screen_context = compute->context;
  *out = (sb_choice){.precision = compute->precision};
  if (compute->no_int8 != NULL) snprintf(out->why, sizeof out->why, "%s", compute->no_int8);
  if (!compute->may_choose || c->embedder->measure->epilogue == NULL) return status;
  if (2 * pairs * (double)c->embedder->length < FEW_OPERATIONS) {
    snprintf(out->why, sizeof out->why, "few pairs: not worth a trial of int8");
    choose_fine(c, out);
    return status;
  }
  SB_TRY(sample_draw(c, wish, &s));
  if (s.pairs == NULL) {
    snprintf(out->why, sizeof out->why, "too little memory, or too few scans, for a trial of int8");
    choose_fine(c, out);
    goto cleanup;
  }
  SB_TRY(sample_screen(c, wish, &s));
  const double open = open_share(&s, wish);
  const double cost = INT8_COST + SB_CANONICAL_COST * open +
                      ROUNDING_COST * (1 / (double)wish->probes + 1 / (double)wish->gallery);
  snprintf(
      out->why, sizeof out->why,
      "of a sample, int8 leaves %.2f %% of the pairs open beside those listed: expected to take "
      "%.0f %% of the time of fp32",
      100 * open, 100 * cost);
  if (cost > WORTHWHILE) choose_fine(c, out);
cleanup:
  sample_free(&s);
  return status;
}
