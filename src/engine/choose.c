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

typedef struct sample {
  int64_t probes, gallery, stride;
  int64_t *probe_scans, *gallery_scans;
  float *a, *b;
  double *dots;
  sb_candidate *pairs; // closenesses
  int64_t count;
} sample;

static int64_t spread(int64_t wanted, int64_t all, int64_t *scans) {
  const int64_t count = wanted < all ? wanted : all;
  for (int64_t i = 0; i < count; i++) scans[i] = i * all / count;
  return count;
}

static void sample_free(sample *s) {
  free(s->probe_scans);
  free(s->gallery_scans);
  free(s->a);
  free(s->b);
  free(s->dots);
  free(s->pairs);
}

// The sample's vectors, as many as take an eighth of the memory; none where that is too few.
static sb_status sample_draw(sb_comparison *c, const sb_wish *wish, sample *s) {
  const sb_embedder *e = c->embedder;
  const int64_t fit = wish->memory_bytes / 8 / (e->size * (int64_t)(sizeof(float) + 1));
  const int64_t shrunk =
      fit < SAMPLE_PROBES + SAMPLE_GALLERY ? fit : SAMPLE_PROBES + SAMPLE_GALLERY;
  sb_status status = sb_ok();
  s->stride = e->size;
  SB_TRY(SB_NEW(&s->probe_scans, SAMPLE_PROBES, "a sample"));
  SB_TRY(SB_NEW(&s->gallery_scans, SAMPLE_GALLERY, "a sample"));
  s->probes = spread(shrunk / 8, wish->probes, s->probe_scans);
  s->gallery = spread(shrunk - shrunk / 8, wish->gallery, s->gallery_scans);
  if (s->probes < LEAST_SAMPLE || s->gallery < LEAST_SAMPLE) return status;
  SB_TRY(SB_NEW(&s->a, s->probes * s->stride, "a sample"));
  SB_TRY(SB_NEW(&s->b, s->gallery * s->stride, "a sample"));
  SB_TRY(SB_NEW(&s->dots, s->probes * s->gallery, "a sample"));
  SB_TRY(SB_NEW(&s->pairs, s->probes * s->gallery, "a sample"));
  SB_TRY(sb_reader_open(e, wish->threads, &c->reader));
  SB_TRY(sb_comparison_embed(c, SB_SLOT_PROBES, s->probe_scans, 0, s->probes, s->a));
  SB_TRY(sb_comparison_embed(c, SB_SLOT_GALLERY, s->gallery_scans, 0, s->gallery, s->b));
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
  sb_status status;
  SB_TRY(backend->put(context, SB_SLOT_PROBES, s->a, s->probes, e->length, s->stride));
  SB_TRY(backend->put(context, SB_SLOT_GALLERY, s->b, s->gallery, e->length, s->stride));
  SB_TRY(backend->gemm_nt(context, (sb_part){SB_SLOT_PROBES, 0, s->probes},
                          (sb_part){SB_SLOT_GALLERY, 0, s->gallery}, s->dots, s->gallery));
  const double *lost_a = backend->lost(context, SB_SLOT_PROBES),
               *lost_b = backend->lost(context, SB_SLOT_GALLERY);
  const double base = sb_dot_error(backend->gemm_error(context, e->length), e->length);
  for (int64_t i = 0; i < s->probes; i++)
    for (int64_t j = 0; j < s->gallery; j++) {
      if (wish->self && s->probe_scans[i] == s->gallery_scans[j]) continue;
      const sb_screened score = sb_screen_interval(
          e->measure, s->dots[i * s->gallery + j], sb_pair_error(base, lost_a[i], lost_b[j]),
          e->length, sb_embedding_at(e, s->a + i * s->stride).terms,
          sb_embedding_at(e, s->b + j * s->stride).terms);
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
