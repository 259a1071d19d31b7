#include "engine/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"

struct sb_selecting {
  bool flying; // a tile is on its way
  sb_extent tile;
  double *cutoffs; // of its lines
  double *terms;   // of its probes, and then of its gallery scans
  int64_t *starts; // of each line's candidates in
  sb_selected *sorted;
  int64_t capacity;
};

int64_t sb_select_bytes(int64_t probe_tile, int64_t gallery_tile) {
  const int64_t numbers = SB_LIST_KINDS + SB_MOST_TERMS + 1;
  return (probe_tile + gallery_tile) * numbers * (int64_t)sizeof(double);
}

// ---- A comparison -------------------------------------------------------------------------------

void sb_select_close(sb_comparison *c) {
  sb_selecting *s = c->selecting;
  if (s == NULL) return;
  free(s->cutoffs);
  free(s->terms);
  free(s->starts);
  free(s->sorted);
  free(s);
  c->selecting = NULL;
}

static sb_selection selection_of(const sb_comparison *c, const sb_sink *sink) {
  const sb_measure *measure = c->embedder->measure;
  const sb_people *people = sink->people;
  sb_selection out = {.from_dot = measure->from_dot,
                      .range_min = measure->info.range_min,
                      .range_max = measure->info.range_max,
                      .higher_is_closer = measure->info.higher_is_closer,
                      .length = c->embedder->length,
                      .terms = measure->term_count,
                      .probes = people->probe_count,
                      .gallery = people->gallery_count,
                      .self = people->self,
                      .unknown_left_out = people->unknown_left_out,
                      .probe_person = people->probe,
                      .gallery_person = people->gallery,
                      .probe_dataset = people->probe_dataset,
                      .gallery_dataset = people->gallery_dataset,
                      .same = people->same,
                      .bins = sink->bins,
                      .within = sink->within != NULL};
  for (int kind = 0; kind < SB_LIST_KINDS; kind++) {
    out.wanted[kind] = sink->screens[kind].wanted;
    out.threshold[kind] = sink->screens[kind].threshold;
  }
  return out;
}

sb_status sb_select_begin(sb_comparison *c, const sb_sink *sink) {
  const sb_plan *plan = c->plan;
  const int64_t scans = plan->probe_tile + plan->gallery_tile;
  sb_status status = sb_ok();
  if (c->compute == NULL || c->screen->select_begin == NULL || sink->matrix >= 0 ||
      c->embedder->measure->from_dot == SB_FROM_DOT_NONE)
    return status;
  const sb_selection selection = selection_of(c, sink);
  status = c->screen->select_begin(c->screen_context, &selection);
  if (status.code == SB_NO_MEMORY) return sb_ok();
  SB_TRY(sb_comparison_blame(c, status));
  SB_TRY(SB_NEW_ZERO(&c->selecting, 1, "candidates"));
  SB_TRY(SB_NEW(&c->selecting->cutoffs, scans * SB_LIST_KINDS, "candidates"));
  SB_TRY(SB_NEW(&c->selecting->terms, scans * selection.terms, "candidates"));
  SB_TRY(SB_NEW(&c->selecting->starts, scans + 1, "candidates"));
cleanup:
  return status;
}

// ---- Candidates to the sink ---------------------------------------------------------------------

static int by_gallery(const void *left, const void *right) {
  const sb_selected *a = left, *b = right;
  return a->x < b->x ? -1 : a->x > b->x;
}

// Puts the candidates of each line together, in the order of the lines.
static sb_status sort_by_line(sb_selecting *s, const sb_selected *items, int64_t count) {
  const int64_t lines = sb_extent_lines(&s->tile);
  if (count > s->capacity) {
    free(s->sorted);
    s->capacity = 0;
    const sb_status status = SB_NEW(&s->sorted, count, "candidates");
    if (status.code != SB_OK) return status;
    s->capacity = count;
  }
  memset(s->starts, 0, (size_t)(lines + 1) * sizeof *s->starts);
  for (int64_t i = 0; i < count; i++) s->starts[items[i].line + 1]++;
  for (int64_t line = 0; line < lines; line++) s->starts[line + 1] += s->starts[line];
  for (int64_t i = 0; i < count; i++) s->sorted[s->starts[items[i].line]++] = items[i];
  // Each line's start has become the next one's.
  memmove(s->starts + 1, s->starts, (size_t)lines * sizeof *s->starts);
  s->starts[0] = 0;
  return sb_ok();
}

// A line's candidates, in the gallery's order, so that a list does not depend on the order in which the
// device found them.
static bool add_line(sb_sink *sink, const sb_selecting *s, int64_t line) {
  sb_selected *items = s->sorted + s->starts[line];
  const int64_t count = s->starts[line + 1] - s->starts[line];
  const sb_span span = sb_extent_line(&s->tile, line);
  bool room = true;
  if (count == 0) return true;
  qsort(items, (size_t)count, sizeof *items, by_gallery);
  for (int64_t i = 0; i < count && room; i++)
    room = sb_sink_add(sink, span.probe,
                       (sb_candidate){items[i].low, items[i].high, span.first + items[i].x});
  sb_sink_prune(sink, span.probe); // so that the next tile meets the best cutoff
  return room;
}

// Lines of one side: a scan has one of them.
static bool add_lines(const sb_comparison *c, sb_sink *sink, int64_t first, int64_t last) {
  const sb_selecting *s = c->selecting;
  bool room = true;
#pragma omp parallel for num_threads(c->plan->threads) schedule(dynamic, 64) reduction(&& : room)
  for (int64_t line = first; line < last; line++) room = add_line(sink, s, line) && room;
  return room;
}

// Waits for the tile on its way, and gives the sink what came of it.
static sb_status take(sb_comparison *c, sb_sink *sink) {
  sb_selecting *s = c->selecting;
  double start = sb_now_s();
  sb_status status = sb_ok();
  bool more = s->flying;
  s->flying = false;
  while (more) {
    const sb_selected *items;
    int64_t count;
    SB_TRY(
        sb_comparison_blame(c, c->screen->select_take(c->screen_context, &items, &count, &more)));
    const double waited = sb_now_s();
    c->timings->multiply_s += waited - start;
    SB_TRY(sort_by_line(s, items, count));
    const bool room = add_lines(c, sink, 0, s->tile.probes) &&
                      add_lines(c, sink, s->tile.probes, sb_extent_lines(&s->tile));
    if (!room) SB_TRY(sb_sink_full(sink));
    start = sb_now_s();
    c->timings->select_s += start - waited;
  }
cleanup:
  return status;
}

// ---- A tile -------------------------------------------------------------------------------------

// What the lists hold already decides what can matter to them.
static void copy_cutoffs(const sb_sink *sink, sb_selecting *s) {
  for (int64_t line = 0; line < sb_extent_lines(&s->tile); line++) {
    const sb_span span = sb_extent_line(&s->tile, line);
    for (int kind = 0; kind < SB_LIST_KINDS; kind++)
      s->cutoffs[line * SB_LIST_KINDS + kind] = sink->lists[kind][span.probe].cutoff;
  }
}

static void copy_terms(const sb_comparison *c, const float *block, int64_t count, double *out) {
  const int terms = c->embedder->measure->term_count;
  for (int64_t i = 0; i < count && terms > 0; i++)
    memcpy(out + i * terms, sb_embedding_at(c->embedder, block + i * c->plan->stride).terms,
           (size_t)terms * sizeof *out);
}

sb_status sb_select_tile(sb_comparison *c, sb_sink *sink, const sb_tile *t, sb_part b,
                         bool *started) {
  sb_selecting *s = c->selecting;
  sb_status status = take(c, sink);
  if (status.code != SB_OK) return status;
  const double start = sb_now_s();
  double *b_terms = s->terms + t->probes * c->embedder->measure->term_count;
  s->tile = sb_tile_extent(sink, t);
  copy_cutoffs(sink, s);
  copy_terms(c, t->a, t->probes, s->terms);
  copy_terms(c, t->b, t->galleries, b_terms);
  const sb_selection_tile tile = {s->tile, t->error, s->cutoffs, s->terms, b_terms};
  status =
      c->screen->select_start(c->screen_context, (sb_part){SB_SLOT_PROBES, 0, t->probes}, b, &tile);
  *started = s->flying = status.code == SB_OK;
  c->timings->multiply_s += sb_now_s() - start;
  return status.code == SB_NO_MEMORY ? sb_ok() : sb_comparison_blame(c, status);
}

sb_status sb_select_end(sb_comparison *c, sb_sink *sink) {
  sb_status status = sb_ok();
  if (c->selecting == NULL) return status;
  SB_TRY(take(c, sink));
  // The largest error of all pairs stands with the first probe.
  SB_TRY(sb_comparison_blame(
      c, c->screen->select_end(c->screen_context, sink->histogram, sink->within, sink->bounds)));
cleanup:
  return status;
}
