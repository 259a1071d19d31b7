#include "engine/tile.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

static int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

int64_t sb_tile_bytes(const sb_plan *plan, int64_t probe_tile, int64_t gallery_tile) {
  const int64_t line = larger(probe_tile, gallery_tile);
  const int64_t values = probe_tile * gallery_tile * (int64_t)sizeof(double);
  const int64_t of_line = (int64_t)(sizeof(sb_screened) + sizeof(float)) +
                          (plan->coarse ? (int64_t)sizeof(sb_candidate) : 0);
  return plan->threads * line * of_line +
         (plan->coarse ? 2 * values + (probe_tile + gallery_tile) * (int64_t)sizeof(sb_cutoffs)
                       : values);
}

sb_status sb_tile_open(const sb_plan *plan, sb_tile *out) {
  const int64_t values = plan->probe_tile * plan->gallery_tile;
  sb_status status;
  *out = (sb_tile){.line = larger(plan->probe_tile, plan->gallery_tile)};
  SB_TRY(SB_NEW(&out->values, values, "a tile of scores"));
  SB_TRY(SB_NEW(&out->scores, plan->threads * out->line, "a tile of scores"));
  SB_TRY(SB_NEW(&out->floats, plan->threads * out->line, "a tile of scores"));
  if (!plan->coarse) return status;
  SB_TRY(SB_NEW(&out->known, values, "a tile of scores"));
  SB_TRY(SB_NEW(&out->found, plan->threads * out->line, "candidates"));
  SB_TRY(SB_NEW(&out->cutoffs, plan->probe_tile + plan->gallery_tile, "candidates"));
cleanup:
  if (status.code != SB_OK) sb_tile_close(out);
  return status;
}

void sb_tile_close(sb_tile *t) {
  free(t->values);
  free(t->scores);
  free(t->floats);
  free(t->known);
  free(t->found);
  free(t->cutoffs);
  memset(t, 0, sizeof *t);
}

// ---- Lines --------------------------------------------------------------------------------------

// One scan with all it meets in a tile: a row of it, or in a self-comparison a column.
typedef struct line {
  int64_t probe;        // the scan
  int64_t first, count; // those it meets
  int64_t at, step;     // of its values
  const float *own, *others;
  double own_lost;
  const double *others_lost; // NULL: a fine screen
} line;

static int64_t lines_of(const sb_sink *sink, const sb_tile *t) {
  return t->probes + (sink->people->self ? t->galleries : 0);
}

// A probe with the gallery scans: from the diagonal on in a self-comparison.
static line row_of(const sb_comparison *c, const sb_sink *sink, const sb_tile *t, int64_t i) {
  int64_t probe = t->probe + i, skip = 0;
  if (sink->people->self && probe > t->gallery) skip = probe - t->gallery;
  if (skip > t->galleries) skip = t->galleries;
  const bool coarse = t->lost_a != NULL;
  return (line){.probe = probe,
                .first = t->gallery + skip,
                .count = t->galleries - skip,
                .at = i * t->galleries + skip,
                .step = 1,
                .own = t->a + i * c->plan->stride,
                .others = t->b + skip * c->plan->stride,
                .own_lost = coarse ? t->lost_a[i] : 0,
                .others_lost = coarse ? t->lost_b + skip : NULL};
}

// The same pairs seen from gallery scan j: the probes before it.
static line column_of(const sb_comparison *c, const sb_tile *t, int64_t j) {
  const int64_t scan = t->gallery + j, before = scan - t->probe;
  const bool coarse = t->lost_a != NULL;
  return (line){.probe = scan,
                .first = t->probe,
                .count = before < t->probes ? before : t->probes,
                .at = j,
                .step = t->galleries,
                .own = t->b + j * c->plan->stride,
                .others = t->a,
                .own_lost = coarse ? t->lost_b[j] : 0,
                .others_lost = coarse ? t->lost_a : NULL};
}

static line line_of(const sb_comparison *c, const sb_sink *sink, const sb_tile *t, int64_t i) {
  return i < t->probes ? row_of(c, sink, t, i) : column_of(c, t, i - t->probes);
}

// What is known of the score with the x-th scan that the line meets.
static inline sb_screened score_of(const sb_comparison *c, const sb_tile *t, const line *l,
                                   int64_t x) {
  const sb_embedder *e = c->embedder;
  const double value = t->values[l->at + x * l->step];
  if (e->measure->epilogue == NULL)
    return sb_screen_around(e->measure, value, t->apart.absolute + t->apart.relative * fabs(value));
  const double error =
      l->others_lost == NULL ? t->error : sb_pair_error(t->error, l->own_lost, l->others_lost[x]);
  return sb_screen_interval(e->measure, value, error, e->length, sb_embedding_at(e, l->own).terms,
                            sb_embedding_at(e, l->others + x * c->plan->stride).terms);
}

// Does something with each line; it may say that there is no room.
typedef sb_status (*line_work)(const sb_comparison *c, sb_sink *sink, sb_tile *t, const line *l,
                               int64_t index, bool *room);

static sb_status for_lines(const sb_comparison *c, sb_sink *sink, sb_tile *t, int64_t first,
                           int64_t last, line_work work) {
  sb_status failure = sb_ok();
  bool all_room = true;
#pragma omp parallel for num_threads(c->plan->threads) schedule(dynamic, 8) reduction(&& : all_room)
  for (int64_t i = first; i < last; i++) {
    const line l = line_of(c, sink, t, i);
    if (l.count <= 0) continue;
    bool room = true;
    const sb_status status = work(c, sink, t, &l, i, &room);
    all_room = all_room && room;
    if (status.code != SB_OK) {
#pragma omp critical(sb_tile_failure)
      failure = status;
    }
  }
  if (failure.code == SB_OK && !all_room)
    failure = sb_error(SB_NO_MEMORY,
                       "%s: more pairs are near or beyond the threshold than fit in the memory "
                       "granted: set a stricter threshold or allow more memory",
                       sink->measure->info.name);
  return failure;
}

// The same for all lines, the rows first: columns find what rows have put into `known`.
static sb_status for_all_lines(const sb_comparison *c, sb_sink *sink, sb_tile *t, line_work work) {
  sb_status status = for_lines(c, sink, t, 0, t->probes, work);
  if (status.code == SB_OK) status = for_lines(c, sink, t, t->probes, lines_of(sink, t), work);
  return status;
}

// The line's screen scores: counted, and put into the matrix.
static sb_status screen_line(const sb_comparison *c, sb_sink *sink, const sb_tile *t, const line *l,
                             sb_screened **scores) {
  const int64_t thread = omp_get_thread_num();
  *scores = t->scores + thread * t->line;
  for (int64_t x = 0; x < l->count; x++) (*scores)[x] = score_of(c, t, l, x);
  sb_sink_count(sink, l->probe, l->first, l->count, *scores);
  if (sink->matrix < 0) return sb_ok();
  return sb_sink_write(sink, l->probe, l->first, l->count, *scores, t->floats + thread * t->line);
}

// ---- Fine screens -------------------------------------------------------------------------------

static sb_status deliver_line(const sb_comparison *c, sb_sink *sink, sb_tile *t, const line *l,
                              int64_t index, bool *room) {
  (void)index;
  sb_screened *scores;
  const sb_status status = screen_line(c, sink, t, l, &scores);
  for (int64_t x = 0; x < l->count && *room; x++)
    *room = sb_sink_add(sink, l->probe, l->first + x, scores[x]);
  return status;
}

sb_status sb_tile_deliver(const sb_comparison *c, sb_sink *sink, const sb_tile *t) {
  sb_tile tile = *t;
  return for_all_lines(c, sink, &tile, deliver_line);
}

// ---- Coarse screens -----------------------------------------------------------------------------

static double *known(const sb_tile *t, const line *l, int64_t x) {
  return t->known + l->at + x * l->step;
}

static bool is_known(const sb_tile *t, const line *l, int64_t x) {
  return !isnan(*known(t, l, x));
}

// The canonical scores of the line's pairs that `found` has in its `gallery`, each computed once for
// both of its scans.
static void settle_pairs(const sb_comparison *c, const sb_tile *t, const line *l,
                         const sb_candidate *found, int64_t count) {
  enum { AT_ONCE = 64 };
  const float *others[AT_ONCE];
  double *places[AT_ONCE], scores[AT_ONCE];
  int64_t used = 0;
  for (int64_t i = 0; i <= count; i++) {
    if (used == AT_ONCE || i == count) {
      sb_embedded_scores(c->embedder, l->own, others, used, sb_reader_scratch(&c->reader), scores);
      for (int64_t s = 0; s < used; s++) *places[s] = scores[s];
      used = 0;
    }
    if (i == count || is_known(t, l, found[i].gallery)) continue;
    places[used] = known(t, l, found[i].gallery);
    others[used++] = l->others + found[i].gallery * c->plan->stride;
  }
}

// The best of a line by their low ends, as many as are wanted, get their canonical scores; returns how
// good one must be to matter to the list: as the last wanted of these, or of what is listed.
static double settle_leaders(const sb_comparison *c, const sb_sink *sink, const sb_tile *t,
                             const line *l, const sb_screened *scores, sb_list_kind kind) {
  sb_candidate *found = t->found + omp_get_thread_num() * t->line;
  const sb_screen *screen = sink->screens + kind;
  const int64_t wanted = screen->wanted;
  const sb_shortlist *list = sink->lists[kind] + l->probe;
  int64_t count = 0;
  for (int64_t x = 0; x < l->count; x++) {
    sb_candidate item = sb_sink_candidate(sink, scores + x, x);
    if (item.high < list->cutoff || !sb_sink_lists(sink, kind, l->probe, l->first + x)) continue;
    found[count++] = item;
  }
  if (count > wanted) {
    const double least = sb_kth_low(found, count, wanted);
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
      if (found[i].low >= least) found[kept++] = found[i];
    count = kept;
  }
  settle_pairs(c, t, l, found, count);
  for (int64_t i = 0; i < count; i++)
    found[i].low = found[i].high = sink->direction * *known(t, l, found[i].gallery);
  if (count < wanted) return list->cutoff;
  return fmax(list->cutoff, fmin(screen->threshold, sb_kth_low(found, count, wanted)));
}

// Whether one of the lists could want the pair.
static bool matters(const sb_sink *sink, const sb_tile *t, const line *l, int64_t index, int64_t x,
                    const sb_screened *score) {
  const sb_candidate item = sb_sink_candidate(sink, score, x);
  for (int kind = 0; kind < SB_LIST_KINDS; kind++)
    if (item.high >= t->cutoffs[index].least[kind] &&
        item.high >= sink->lists[kind][l->probe].cutoff &&
        sb_sink_lists(sink, (sb_list_kind)kind, l->probe, l->first + x))
      return true;
  return false;
}

static sb_status survey_line(const sb_comparison *c, sb_sink *sink, sb_tile *t, const line *l,
                             int64_t index, bool *room) {
  (void)room;
  sb_screened *scores;
  const sb_status status = screen_line(c, sink, t, l, &scores);
  sb_cutoffs *cutoffs = t->cutoffs + index;
  for (int kind = 0; kind < SB_LIST_KINDS; kind++)
    cutoffs->least[kind] = settle_leaders(c, sink, t, l, scores, (sb_list_kind)kind);
  cutoffs->open = 0;
  for (int64_t x = 0; x < l->count; x++)
    cutoffs->open += !is_known(t, l, x) && matters(sink, t, l, index, x, scores + x);
  return status;
}

sb_status sb_tile_survey(const sb_comparison *c, sb_sink *sink, sb_tile *t, int64_t *open) {
  for (int64_t i = 0; i < t->probes * t->galleries; i++) t->known[i] = (double)NAN;
  for (int64_t i = 0; i < lines_of(sink, t); i++) t->cutoffs[i] = (sb_cutoffs){0};
  const sb_status status = for_all_lines(c, sink, t, survey_line);
  *open = 0;
  for (int64_t i = 0; i < lines_of(sink, t); i++) *open += t->cutoffs[i].open;
  return status;
}

static sb_status settle_line(const sb_comparison *c, sb_sink *sink, sb_tile *t, const line *l,
                             int64_t index, bool *room) {
  sb_candidate *found = t->found + omp_get_thread_num() * t->line;
  int64_t count = 0;
  for (int64_t x = 0; x < l->count; x++) {
    if (!is_known(t, l, x)) {
      const sb_screened score = score_of(c, t, l, x);
      if (!matters(sink, t, l, index, x, &score)) continue;
    }
    found[count++].gallery = x;
  }
  settle_pairs(c, t, l, found, count);
  for (int64_t i = 0; i < count && *room; i++) {
    const double exact = *known(t, l, found[i].gallery);
    *room = sb_sink_add(sink, l->probe, l->first + found[i].gallery,
                        (sb_screened){exact, exact, exact});
  }
  sb_sink_prune(sink, l->probe);
  return sb_ok();
}

sb_status sb_tile_settle(const sb_comparison *c, sb_sink *sink, sb_tile *t) {
  return for_all_lines(c, sink, t, settle_line);
}
