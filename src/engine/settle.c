// Coarse screens: which pairs of a tile could matter, and their canonical scores.
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/line.h"

// ---- Memory -------------------------------------------------------------------------------------

// Pairs that a thread scores at once: many, for they share scans.
enum { PAIRS_AT_ONCE = 32768 };

static int64_t capacity_of(const sb_plan *plan, int64_t values) {
  const int64_t most = (int64_t)plan->threads * PAIRS_AT_ONCE;
  return values < most ? values : most;
}

int64_t sb_settling_bytes(const sb_plan *plan, int64_t probe_tile, int64_t gallery_tile) {
  const int64_t line = probe_tile > gallery_tile ? probe_tile : gallery_tile;
  const int64_t values = probe_tile * gallery_tile;
  return values + (probe_tile + gallery_tile) * (int64_t)sizeof(sb_cutoffs) +
         plan->threads * line * (int64_t)sizeof(sb_candidate) +
         capacity_of(plan, values) * (int64_t)(sizeof(sb_scored_pair) + sizeof(int64_t));
}

sb_status sb_settling_open(const sb_plan *plan, int64_t line, sb_settling *out) {
  const int64_t values = plan->probe_tile * plan->gallery_tile;
  sb_status status;
  *out = (sb_settling){.capacity = capacity_of(plan, values)};
  SB_TRY(SB_NEW(&out->state, values, "a tile of scores"));
  SB_TRY(SB_NEW(&out->cutoffs, plan->probe_tile + plan->gallery_tile, "candidates"));
  SB_TRY(SB_NEW(&out->found, plan->threads * line, "candidates"));
  SB_TRY(SB_NEW(&out->pairs, out->capacity, "candidates"));
  SB_TRY(SB_NEW(&out->places, out->capacity, "candidates"));
cleanup:
  if (status.code != SB_OK) sb_settling_close(out);
  return status;
}

void sb_settling_close(sb_settling *s) {
  free(s->state);
  free(s->cutoffs);
  free(s->found);
  free(s->pairs);
  free(s->places);
  memset(s, 0, sizeof *s);
}

// ---- Canonical scores ---------------------------------------------------------------------------

void sb_score_canonically(const sb_comparison *c, sb_scored_pair *pairs, int64_t count,
                          bool sliced) {
#pragma omp parallel num_threads(c->plan->threads)
  {
    const int64_t share = omp_get_thread_num(), shares = omp_get_num_threads();
    const int64_t first = count * share / shares, last = count * (share + 1) / shares;
    sb_embedded_scores(c->embedder, pairs + first, last - first, sliced,
                       sb_reader_scratch(&c->reader));
  }
}

// The scores of the pairs that are in the queue.
static void settle_queue(const sb_comparison *c, sb_tile *t, int64_t count, bool sliced) {
  sb_settling *s = &t->settling;
  for (int64_t i = 0; i < count; i++) {
    const int64_t probe = s->places[i] / t->galleries, gallery = s->places[i] % t->galleries;
    s->pairs[i].a = t->a + probe * c->plan->stride;
    s->pairs[i].b = t->b + gallery * c->plan->stride;
  }
  sb_score_canonically(c, s->pairs, count, sliced);
  for (int64_t i = 0; i < count; i++) {
    t->values[s->places[i]] = s->pairs[i].score;
    s->state[s->places[i]] = SB_PAIR_SETTLED;
  }
}

static int64_t count_wanted(const sb_tile *t) {
  int64_t wanted = 0;
  for (int64_t i = 0; i < t->probes * t->galleries; i++)
    wanted += t->settling.state[i] == SB_PAIR_WANTED;
  return wanted;
}

// Gives all wanted pairs their canonical scores: one probe after the other, or where the pairs share many
// scans one gallery scan after the other, in slices.
static void settle_wanted(const sb_comparison *c, sb_tile *t) {
  sb_settling *s = &t->settling;
  const int64_t wanted = count_wanted(t);
  const bool sliced = sb_pairs_share(wanted, t->probes, t->galleries);
  const int64_t outer = sliced ? t->galleries : t->probes, inner = t->probes + t->galleries - outer;
  int64_t queued = 0;
  for (int64_t o = 0; o < outer && wanted > 0; o++)
    for (int64_t i = 0; i < inner; i++) {
      const int64_t place = sliced ? i * t->galleries + o : o * t->galleries + i;
      if (s->state[place] != SB_PAIR_WANTED) continue;
      if (queued == s->capacity) {
        settle_queue(c, t, queued, sliced);
        queued = 0;
      }
      s->places[queued++] = place;
    }
  settle_queue(c, t, queued, sliced);
}

// The first mated pair of a probe of the tile, or of a later one.
static int64_t first_mated(const sb_mated *mated, const sb_tile *t) {
  int64_t low = 0, high = mated->count;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (mated->pairs[middle].probe < t->probe)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// The tile's mated pairs: asks for them, or keeps the scores of those that were asked for.
static void for_mated(const sb_sink *sink, sb_tile *t, bool settled) {
  const sb_mated *mated = &sink->mated;
  for (int64_t i = first_mated(mated, t); i < mated->count; i++) {
    const int64_t row = mated->pairs[i].probe - t->probe;
    const int64_t column = mated->pairs[i].gallery - t->gallery;
    if (row >= t->probes) break;
    if (column < 0 || column >= t->galleries) continue;
    const int64_t place = row * t->galleries + column;
    if (settled)
      mated->scores[i] = t->values[place];
    else
      t->settling.state[place] = SB_PAIR_WANTED;
  }
}

// ---- What could matter --------------------------------------------------------------------------

static uint8_t *state_of(const sb_tile *t, const sb_line *l, int64_t x) {
  return t->settling.state + sb_line_place(l, x);
}

static sb_candidate *found_by_thread(const sb_tile *t) {
  return t->settling.found + omp_get_thread_num() * t->line;
}

// Adds to what was found in a tile what a list has already, as far as there is room; returns how many they are.
static int64_t add_listed(const sb_tile *t, const sb_shortlist *list, sb_candidate *found,
                          int64_t count) {
  for (int64_t i = 0; i < list->count && count < t->line; i++)
    found[count++] = (sb_candidate){list->items[i].low, list->items[i].high, -1};
  return count;
}

// Of candidates leaves what could be wanted beside the best of them, and returns how close that must be.
static double prune(const sb_screen *screen, sb_candidate *found, int64_t *count) {
  const int64_t all = *count;
  if (all < screen->wanted) return -INFINITY;
  const double cutoff = fmin(screen->threshold, sb_kth_low(found, all, screen->wanted));
  *count = 0;
  for (int64_t i = 0; i < all; i++)
    if (found[i].high >= cutoff) found[(*count)++] = found[i];
  return cutoff;
}

// Finds the candidates of a line, which are open then.
static int64_t find_open(const sb_sink *sink, const sb_tile *t, const sb_line *l,
                         const sb_screened *scores, sb_list_kind kind, sb_candidate *found) {
  const sb_screen *screen = sink->screens + kind;
  double cutoff = sink->lists[kind][l->probe].cutoff;
  int64_t count = 0, room = 4 * screen->wanted + 64; // pruned when so many
  for (int64_t x = 0; x < l->count; x++) {
    const sb_candidate item = sb_sink_candidate(sink, scores + x, x);
    if (item.high < cutoff || !sb_sink_lists(sink, kind, l->probe, l->first + x)) continue;
    uint8_t *state = state_of(t, l, x);
    if (*state == SB_PAIR_FAR) *state = SB_PAIR_OPEN;
    found[count++] = item;
    if (count < room) continue;
    cutoff = fmax(cutoff, prune(screen, found, &count));
    if (room < 2 * count) room = 2 * count;
  }
  return count;
}

// Asks for those of a line that are by their low ends among the best so far, as many as a list wants, and for those
// that will matter beside them if scores are where the screen has them: then what these share is read once.
// Only where they are few.
static void want_leaders(sb_sink *sink, const sb_tile *t, const sb_line *l,
                         const sb_screened *scores, sb_list_kind kind) {
  sb_candidate *found = found_by_thread(t);
  const sb_shortlist *list = sink->lists[kind] + l->probe;
  const int64_t wanted = sink->screens[kind].wanted;
  int64_t count = find_open(sink, t, l, scores, kind, found), open = 0;
  if (count == 0) return;
  count = add_listed(t, list, found, count);
  const double least = count > wanted ? sb_kth_low(found, count, wanted) : -INFINITY;
  double last = sink->screens[kind].threshold; // the lowest score that is expected to matter
  for (int64_t i = 0; i < count; i++)
    if (found[i].low >= least) last = fmin(last, (found[i].low + found[i].high) / 2);
  for (int64_t i = 0; i < count; i++) open += found[i].low < least && found[i].high >= last;
  const bool few = open <= l->count / SB_CANONICAL_COST;
  for (int64_t i = 0; i < count; i++)
    if (found[i].gallery >= 0 && (found[i].low >= least || (few && found[i].high >= last)))
      *state_of(t, l, found[i].gallery) = SB_PAIR_WANTED;
}

static sb_status survey_line(const sb_comparison *c, sb_sink *sink, sb_tile *t, const sb_line *l,
                             int64_t index, bool *room) {
  (void)index, (void)room;
  sb_screened *scores;
  const sb_status status = sb_line_screen(c, sink, t, l, &scores);
  for (int kind = 0; kind < SB_LIST_KINDS; kind++)
    want_leaders(sink, t, l, scores, (sb_list_kind)kind);
  return status;
}

// How close a pair must be to matter to a list: as the last wanted of those that are settled or listed.
static double least_that_matters(const sb_sink *sink, const sb_tile *t, const sb_line *l,
                                 sb_list_kind kind) {
  sb_candidate *found = found_by_thread(t);
  const sb_shortlist *list = sink->lists[kind] + l->probe;
  const sb_screen *screen = sink->screens + kind;
  int64_t count = 0;
  for (int64_t x = 0; x < l->count; x++) {
    if (*state_of(t, l, x) != SB_PAIR_SETTLED || !sb_sink_lists(sink, kind, l->probe, l->first + x))
      continue;
    const double closeness = sink->direction * t->values[sb_line_place(l, x)];
    found[count++] = (sb_candidate){closeness, closeness, x};
  }
  if (count == 0) return list->cutoff;
  count = add_listed(t, list, found, count);
  if (count < screen->wanted) return list->cutoff;
  return fmax(list->cutoff, fmin(screen->threshold, sb_kth_low(found, count, screen->wanted)));
}

// Whether one of the lists could want the pair.
static bool matters(const sb_sink *sink, const sb_cutoffs *cutoffs, const sb_line *l, int64_t x,
                    const sb_screened *score) {
  const sb_candidate item = sb_sink_candidate(sink, score, x);
  for (int kind = 0; kind < SB_LIST_KINDS; kind++)
    if (item.high >= cutoffs->least[kind] && item.high >= sink->lists[kind][l->probe].cutoff &&
        sb_sink_lists(sink, (sb_list_kind)kind, l->probe, l->first + x))
      return true;
  return false;
}

// Asks for all open pairs of a line that could matter.
static sb_status want_line(const sb_comparison *c, sb_sink *sink, sb_tile *t, const sb_line *l,
                           int64_t index, bool *room) {
  (void)room;
  sb_cutoffs *cutoffs = t->settling.cutoffs + index;
  cutoffs->open = 0;
  for (int64_t x = 0; x < l->count; x++) {
    uint8_t *state = state_of(t, l, x);
    if (*state != SB_PAIR_OPEN) continue;
    const sb_screened score = sb_line_score(c, t, l, x);
    if (!matters(sink, cutoffs, l, x, &score)) continue;
    *state = SB_PAIR_WANTED;
    cutoffs->open++;
  }
  return sb_ok();
}

static sb_status judge_line(const sb_comparison *c, sb_sink *sink, sb_tile *t, const sb_line *l,
                            int64_t index, bool *room) {
  for (int kind = 0; kind < SB_LIST_KINDS; kind++)
    t->settling.cutoffs[index].least[kind] = least_that_matters(sink, t, l, (sb_list_kind)kind);
  return want_line(c, sink, t, l, index, room);
}

static void set_all(sb_tile *t, int state) {
  memset(t->settling.state, state, (size_t)(t->probes * t->galleries));
}

sb_status sb_tile_survey(const sb_comparison *c, sb_sink *sink, sb_tile *t, int64_t *open) {
  sb_status status;
  *open = 0;
  set_all(t, SB_PAIR_FAR);
  memset(t->settling.cutoffs, 0,
         (size_t)sb_tile_lines(sink, t) * sizeof *t->settling.cutoffs); // not all lines meet anyone
  SB_TRY(sb_for_all_lines(c, sink, t, survey_line));
  for_mated(sink, t, false);
  settle_wanted(c, t);
  for_mated(sink, t, true);
  SB_TRY(sb_for_all_lines(c, sink, t, judge_line));
  for (int64_t i = 0; i < sb_tile_lines(sink, t); i++) *open += t->settling.cutoffs[i].open;
cleanup:
  return status;
}

static sb_status list_line(const sb_comparison *c, sb_sink *sink, sb_tile *t, const sb_line *l,
                           int64_t index, bool *room) {
  (void)c, (void)index;
  for (int64_t x = 0; x < l->count && *room; x++) {
    if (*state_of(t, l, x) != SB_PAIR_SETTLED) continue;
    const double score = t->values[sb_line_place(l, x)];
    const sb_screened settled = {score, score, score};
    *room = sb_sink_add(sink, l->probe, sb_sink_candidate(sink, &settled, l->first + x));
  }
  sb_sink_prune(sink, l->probe);
  return sb_ok();
}

sb_status sb_tile_settle(const sb_comparison *c, sb_sink *sink, sb_tile *t, bool anew) {
  sb_status status;
  if (anew) {
    set_all(t, SB_PAIR_OPEN);
    SB_TRY(sb_for_all_lines(c, sink, t, want_line));
  }
  settle_wanted(c, t);
  SB_TRY(sb_for_all_lines(c, sink, t, list_line));
cleanup:
  return status;
}
