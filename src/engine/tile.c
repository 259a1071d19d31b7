#include "engine/tile.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/order.h"
#include "engine/line.h"

int64_t sb_tile_bytes(const sb_plan *plan, int64_t probe_tile, int64_t gallery_tile) {
  const int64_t line = sb_larger(probe_tile, gallery_tile);
  const int64_t values = probe_tile * gallery_tile * (int64_t)sizeof(double);
  const int64_t of_line = plan->threads * line * (int64_t)(sizeof(sb_screened) + sizeof(float));
  return values + of_line + (plan->coarse ? sb_settling_bytes(plan, probe_tile, gallery_tile) : 0);
}

sb_status sb_tile_open(const sb_plan *plan, sb_tile *out) {
  const int64_t values = plan->probe_tile * plan->gallery_tile;
  sb_status status;
  *out = (sb_tile){.line = sb_larger(plan->probe_tile, plan->gallery_tile)};
  SB_TRY(SB_NEW(&out->values, values, "a tile of scores"));
  SB_TRY(SB_NEW(&out->scores, plan->threads * out->line, "a tile of scores"));
  SB_TRY(SB_NEW(&out->floats, plan->threads * out->line, "a tile of scores"));
  if (plan->coarse) SB_TRY(sb_settling_open(plan, out->line, &out->settling));
cleanup:
  if (status.code != SB_OK) sb_tile_close(out);
  return status;
}

void sb_tile_close(sb_tile *t) {
  free(t->values);
  free(t->scores);
  free(t->floats);
  sb_settling_close(&t->settling);
  memset(t, 0, sizeof *t);
}

// ---- Lines --------------------------------------------------------------------------------------

sb_extent sb_tile_extent(const sb_sink *sink, const sb_tile *t) {
  return (sb_extent){t->probe, t->probes, t->gallery, t->galleries, sink->people->self};
}

int64_t sb_tile_lines(const sb_sink *sink, const sb_tile *t) {
  const sb_extent extent = sb_tile_extent(sink, t);
  return sb_extent_lines(&extent);
}

static sb_line line_of(const sb_comparison *c, const sb_sink *sink, const sb_tile *t, int64_t i) {
  const sb_extent extent = sb_tile_extent(sink, t);
  const sb_span span = sb_extent_line(&extent, i);
  const bool row = i < t->probes;
  const int64_t own = row ? i : i - t->probes, skip = row ? span.first - t->gallery : 0;
  const int64_t stride = c->plan->stride;
  sb_line line = {.probe = span.probe,
                  .first = span.first,
                  .count = span.count,
                  .at = span.at,
                  .step = span.step,
                  .own = (row ? t->a : t->b) + own * stride,
                  .others = (row ? t->b : t->a) + skip * stride};
  if (t->lost_a != NULL) {
    line.own_lost = (row ? t->lost_a : t->lost_b) + own;
    line.others_lost = (row ? t->lost_b : t->lost_a) + skip;
  }
  return line;
}

sb_screened sb_line_score(const sb_comparison *c, const sb_tile *t, const sb_line *l, int64_t x) {
  const sb_embedder *e = c->embedder;
  const int64_t place = sb_line_place(l, x);
  const double value = t->values[place];
  if (t->settling.state != NULL && t->settling.state[place] == SB_PAIR_SETTLED)
    return (sb_screened){value, value, value};
  if (e->measure->epilogue == NULL)
    return sb_screen_around(e->measure, value, t->apart.absolute + t->apart.relative * fabs(value));
  const double error =
      l->others_lost == NULL ? t->error : sb_pair_error(t->error, l->own_lost, l->others_lost + x);
  return sb_screen_interval(e->measure, value, error, e->length, sb_embedding_at(e, l->own).terms,
                            sb_embedding_at(e, l->others + x * c->plan->stride).terms);
}

static sb_status for_lines(const sb_comparison *c, sb_sink *sink, sb_tile *t, int64_t first,
                           int64_t last, sb_line_work work) {
  sb_status failure = sb_ok();
  bool all_room = true;
#pragma omp parallel for num_threads(c->plan->threads) schedule(dynamic, 8) reduction(&& : all_room)
  for (int64_t i = first; i < last; i++) {
    const sb_line l = line_of(c, sink, t, i);
    if (l.count <= 0) continue;
    bool room = true;
    const sb_status status = work(c, sink, t, &l, i, &room);
    all_room = all_room && room;
    if (status.code != SB_OK) {
#pragma omp critical(sb_tile_failure)
      failure = status;
    }
  }
  if (failure.code == SB_OK && !all_room) failure = sb_sink_full(sink);
  return failure;
}

sb_status sb_for_all_lines(const sb_comparison *c, sb_sink *sink, sb_tile *t, sb_line_work work) {
  sb_status status = for_lines(c, sink, t, 0, t->probes, work);
  if (status.code == SB_OK) status = for_lines(c, sink, t, t->probes, sb_tile_lines(sink, t), work);
  return status;
}

sb_status sb_line_screen(const sb_comparison *c, sb_sink *sink, const sb_tile *t, const sb_line *l,
                         sb_screened **scores) {
  const int64_t thread = omp_get_thread_num();
  *scores = t->scores + thread * t->line;
  for (int64_t x = 0; x < l->count; x++) (*scores)[x] = sb_line_score(c, t, l, x);
  sb_sink_count(sink, l->probe, l->first, l->count, *scores);
  if (sink->matrix < 0) return sb_ok();
  return sb_sink_write(sink, l->probe, l->first, l->count, *scores, t->floats + thread * t->line);
}

// ---- Fine screens -------------------------------------------------------------------------------

static sb_status deliver_line(const sb_comparison *c, sb_sink *sink, sb_tile *t, const sb_line *l,
                              int64_t index, bool *room) {
  (void)index;
  sb_screened *scores;
  const sb_status status = sb_line_screen(c, sink, t, l, &scores);
  for (int64_t x = 0; x < l->count && *room; x++)
    *room = sb_sink_add(sink, l->probe, sb_sink_candidate(sink, scores + x, l->first + x));
  return status;
}

sb_status sb_tile_deliver(const sb_comparison *c, sb_sink *sink, const sb_tile *t) {
  sb_tile tile = *t;
  return sb_for_all_lines(c, sink, &tile, deliver_line);
}
