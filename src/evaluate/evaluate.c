// sb_evaluate: from what link wrote, and from who is who, the figures of each measure.
//
// Where the identities are those that link used, everything is in the folder. With others, scores
// that link listed are used again, and the rest are computed canonically from the stores:
//   - mated pairs that are in neither table;
//   - pairs that change sides: they are taken out of the histogram of non-mated scores, or put in;
//   - for a probe all of whose listed scans are no longer non-mated, the others, unless what was
//     listed proves that they cannot hold the largest non-mated score.
#include "samebrain/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/pairs.h"
#include "engine/sink.h"
#include "engine/warn.h"
#include "evaluate/figures.h"
#include "evaluate/folder.h"

// Beyond this many scores to compute one by one, linking again is cheaper.
enum { MOST_COMPUTED = 10000000 };

typedef struct evaluator {
  const sb_link_folder *folder;
  sb_people before, now; // by link's identities, and by those to evaluate with
  bool changed;          // other identities are given
  sb_pair *mated;        // now, every one
  int64_t mated_count;
  bool assumed;                         // that nobody is in both stores; nothing says so
  bool *has_mate;                       // per probe, now
  sb_store *probe, *gallery;            // opened when needed
  int64_t *probe_index, *gallery_index; // a scan's number in its store
} evaluator;

// What a score is wanted for.
typedef enum purpose {
  MATED,    // a mated pair's score
  LEAVES,   // a pair to take out of the histogram
  ENTERS,   // a pair to put into it
  CANDIDATE // perhaps the closest non-mated pair
} purpose;

typedef struct wanted {
  sb_pair pair;
  purpose purpose;
  double score; // NaN: to be computed
} wanted;

typedef struct wanted_list {
  wanted *items;
  int64_t count, capacity;
} wanted_list;

static sb_status want(wanted_list *list, sb_pair pair, purpose what, double score) {
  if (list->count == list->capacity) {
    int64_t capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
    wanted *grown = realloc(list->items, (size_t)capacity * sizeof *grown);
    if (grown == NULL) return sb_error(SB_NO_MEMORY, "out of memory for scores");
    list->items = grown;
    list->capacity = capacity;
  }
  list->items[list->count++] = (wanted){pair, what, score};
  return sb_ok();
}

// ---- Scores that link listed --------------------------------------------------------------------

static int by_pair(const void *left, const void *right) {
  const sb_listed *a = left, *b = right;
  if (a->probe != b->probe) return a->probe < b->probe ? -1 : 1;
  return a->gallery < b->gallery ? -1 : a->gallery > b->gallery;
}

static double find_score(const sb_listed_array *sorted, int64_t probe, int64_t gallery) {
  const sb_listed key = {.probe = probe, .gallery = gallery};
  const sb_listed *found =
      sorted->count == 0 ? NULL
                         : bsearch(&key, sorted->items, (size_t)sorted->count, sizeof key, by_pair);
  return found == NULL ? (double)NAN : found->score;
}

// The listed score of a pair, from either side in a self-comparison; NaN when it is not listed.
static double known_score(const evaluator *e, const sb_listed_array *sorted, sb_pair pair) {
  double score = find_score(sorted, pair.probe, pair.gallery);
  return isnan(score) && e->now.self ? find_score(sorted, pair.gallery, pair.probe) : score;
}

static sb_status sort_known(const sb_linked_measure *m, sb_listed_array *out) {
  out->count = m->matches.count + m->mated.count;
  sb_status status = SB_NEW(&out->items, out->count, "scores");
  if (status.code != SB_OK) return status;
  if (m->matches.count > 0)
    memcpy(out->items, m->matches.items, (size_t)m->matches.count * sizeof *out->items);
  if (m->mated.count > 0)
    memcpy(out->items + m->matches.count, m->mated.items,
           (size_t)m->mated.count * sizeof *out->items);
  if (out->count > 1) qsort(out->items, (size_t)out->count, sizeof *out->items, by_pair);
  return status;
}

// ---- Scores that must be computed ---------------------------------------------------------------

// Opens one of the stores and finds the scans in it.
static sb_status reopen(const sb_linked_store *linked, const sb_identity *scans, int64_t count,
                        sb_store **store, int64_t **index) {
  sb_identity *list = NULL;
  sb_status status = sb_store_open(linked->path, store);
  if (status.code != SB_OK)
    return sb_error(status.code,
                    "with these identities some scores must be computed from the rows again: %s; "
                    "put the store back to where it was, or link again",
                    status.message);
  if (strcmp(sb_store_template_hash(*store), linked->template_hash) != 0 ||
      strcmp(sb_store_parameters(*store), linked->parameters) != 0)
    return sb_error(SB_CONFLICT, "%s: is not the store that was linked; link again", linked->path);
  int64_t rows = sb_store_count(*store);
  SB_TRY(SB_NEW(&list, rows, "scans"));
  SB_TRY(SB_NEW(index, count, "scans"));
  for (int64_t i = 0; i < rows; i++) {
    const sb_scan *scan = &sb_store_record(*store, i)->scan;
    list[i] = (sb_identity){.dataset = scan->dataset, .scan_id = scan->scan_id};
  }
  for (int64_t i = 0; i < count; i++) {
    (*index)[i] = sb_identity_find(list, rows, scans[i].dataset, scans[i].scan_id);
    bool found = (*index)[i] >= 0;
    if (found &&
        strcmp(sb_store_record(*store, (*index)[i])->source_sha256, scans[i].source_sha256) == 0)
      continue;
    status = sb_error(SB_CONFLICT, "%s: %s scan %s of dataset %s %s; link again", linked->path,
                      found ? "the" : "has no", scans[i].scan_id, scans[i].dataset,
                      found ? "is from another file now" : "any more");
    goto cleanup;
  }
cleanup:
  free(list);
  return status;
}

static sb_status need_stores(evaluator *e) {
  const sb_scans *scans = &e->folder->scans;
  if (e->gallery_index != NULL) return sb_ok();
  sb_status status =
      reopen(&e->folder->probe, scans->probe, scans->probe_count, &e->probe, &e->probe_index);
  if (status.code == SB_OK)
    status = reopen(&e->folder->gallery, scans->gallery, scans->gallery_count, &e->gallery,
                    &e->gallery_index);
  return status;
}

static sb_status compute_missing(evaluator *e, const sb_measure *measure, wanted_list *list) {
  int64_t missing = 0, used = 0;
  sb_pair *pairs = NULL;
  double *scores = NULL;
  for (int64_t i = 0; i < list->count; i++) missing += isnan(list->items[i].score);
  sb_status status = sb_ok();
  if (missing == 0) return status;
  SB_TRY(need_stores(e));
  SB_TRY(SB_NEW(&pairs, missing, "pairs"));
  SB_TRY(SB_NEW(&scores, missing, "scores"));
  for (int64_t i = 0; i < list->count; i++)
    if (isnan(list->items[i].score))
      pairs[used++] = (sb_pair){e->probe_index[list->items[i].pair.probe],
                                e->gallery_index[list->items[i].pair.gallery]};
  SB_TRY(sb_score_pairs(e->probe, e->gallery, measure, pairs, missing, scores));
  used = 0;
  for (int64_t i = 0; i < list->count; i++)
    if (isnan(list->items[i].score)) list->items[i].score = scores[used++];
cleanup:
  free(pairs);
  free(scores);
  return status;
}

// ---- What is wanted -----------------------------------------------------------------------------

static sb_status want_mated(const evaluator *e, const sb_listed_array *known, wanted_list *list) {
  sb_status status = sb_ok();
  for (int64_t i = 0; i < e->mated_count && status.code == SB_OK; i++)
    status = want(list, e->mated[i], MATED, known_score(e, known, e->mated[i]));
  return status;
}

static sb_status want_moved(const evaluator *e, const sb_listed_array *known, wanted_list *list) {
  sb_status status = sb_ok();
  for (int64_t p = 0; p < e->now.probe_count; p++)
    for (int64_t g = e->now.self ? p + 1 : 0; g < e->now.gallery_count; g++) {
      if (g == e->now.same[p]) continue;
      bool was = sb_people_kind(&e->before, p, g) == SB_PAIR_NONMATED;
      bool is = sb_people_kind(&e->now, p, g) == SB_PAIR_NONMATED;
      if (was == is) continue;
      const sb_pair pair = {p, g};
      if (list->count >= MOST_COMPUTED)
        return sb_error(SB_USAGE,
                        "%s: these identities differ in over %d pairs from those that link used; "
                        "link again with them (--identities), it costs less",
                        e->folder->path, MOST_COMPUTED);
      status = want(list, pair, was ? LEAVES : ENTERS, known_score(e, known, pair));
      if (status.code != SB_OK) return status;
    }
  return status;
}

// The listed scans of one probe: matches[first, last).
typedef struct span {
  int64_t first, last;
} span;

static void find_spans(const sb_listed_array *matches, int64_t probes, span *spans) {
  memset(spans, 0, (size_t)probes * sizeof *spans);
  for (int64_t i = 0; i < matches->count; i++) {
    span *s = spans + matches->items[i].probe;
    if (s->last == 0) s->first = i;
    s->last = i + 1;
  }
}

static sb_status want_others(const evaluator *e, const sb_linked_measure *m, span listed,
                             int64_t probe, bool *seen, wanted_list *list) {
  memset(seen, 0, (size_t)e->now.gallery_count * sizeof *seen);
  for (int64_t i = listed.first; i < listed.last; i++) seen[m->matches.items[i].gallery] = true;
  sb_status status = sb_ok();
  for (int64_t g = 0; g < e->now.gallery_count && status.code == SB_OK; g++) {
    if (seen[g] || g == e->now.same[probe] || sb_people_kind(&e->now, probe, g) != SB_PAIR_NONMATED)
      continue;
    if (list->count >= MOST_COMPUTED)
      return sb_error(SB_USAGE,
                      "%s: too few matches were listed for these identities; link again with them "
                      "(--identities)",
                      e->folder->path);
    status = want(list, (sb_pair){probe, g}, CANDIDATE, (double)NAN);
  }
  return status;
}

// The closest non-mated pair: what the lists say, and who else might be it.
static sb_status want_closest(const evaluator *e, const sb_linked_measure *m, double direction,
                              wanted_list *list) {
  int64_t probes = e->now.probe_count;
  double *open = NULL, best = -INFINITY; // closeness that a probe's unlisted scans may still have
  span *spans = NULL;
  bool *seen = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&open, probes, "scores"));
  SB_TRY(SB_NEW(&spans, probes, "scores"));
  SB_TRY(SB_NEW(&seen, e->now.gallery_count, "scores"));
  find_spans(&m->matches, probes, spans);
  for (int64_t p = 0; p < probes; p++) {
    open[p] = INFINITY;
    for (int64_t i = spans[p].first; i < spans[p].last; i++) {
      const sb_listed *line = m->matches.items + i;
      open[p] = direction * line->score;
      if (sb_people_kind(&e->now, p, line->gallery) != SB_PAIR_NONMATED) continue;
      SB_TRY(want(list, (sb_pair){p, line->gallery}, CANDIDATE, line->score));
      if (open[p] > best) best = open[p];
      open[p] = -INFINITY; // all others are farther
      break;
    }
  }
  for (int64_t p = 0; p < probes; p++)
    if (open[p] > best) SB_TRY(want_others(e, m, spans[p], p, seen, list));
cleanup:
  free(open);
  free(spans);
  free(seen);
  return status;
}

// ---- From scores to figures ---------------------------------------------------------------------

// Moves a pair out of the histogram or into it. Its bin is that of the canonical score, the one
// counted was the screen's: next to an edge it may be the neighbour.
static bool move(int64_t *histogram, int64_t bins, int64_t bin, int64_t weight) {
  static const int64_t offsets[] = {0, 1, -1};
  for (int i = 0; i < 3; i++) {
    int64_t at = bin + offsets[i];
    if (at < 0 || at >= bins || histogram[at] + weight < 0) continue;
    histogram[at] += weight;
    return true;
  }
  return false;
}

static void count_rank1(const evaluator *e, const sb_linked_measure *m, sb_evaluation *out) {
  for (int64_t p = 0; p < e->now.probe_count; p++) out->mated_probes += e->has_mate[p];
  for (int64_t i = 0; i < m->matches.count; i++) {
    const sb_listed *line = m->matches.items + i;
    if (line->rank == 1 && sb_people_kind(&e->now, line->probe, line->gallery) == SB_PAIR_MATED)
      out->rank1_probes++;
  }
}

static sb_status histogram_conflict(const evaluator *e, const sb_linked_measure *m) {
  return sb_error(SB_FORMAT,
                  "%s: nonmated-%s.npy does not count the pairs that its scans make; the results "
                  "are damaged, link again",
                  e->folder->path, m->measure->info.name);
}

// Everything that the wanted scores and the histogram give.
static sb_status gather(const evaluator *e, const sb_linked_measure *m, const wanted_list *list,
                        sb_evaluation *out) {
  const sb_measure_info *info = &m->measure->info;
  int64_t sides = e->now.self ? 2 : 1, mated = 0;
  double direction = info->higher_is_closer ? 1 : -1, closest = -INFINITY, *scores = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&scores, e->mated_count, "mated scores"));
  for (int64_t i = 0; i < list->count; i++) {
    const wanted *w = list->items + i;
    if (w->purpose == MATED) {
      scores[mated++] = w->score;
    } else if (w->purpose == CANDIDATE) {
      closest = fmax(closest, direction * w->score);
    } else if (!move(m->histogram, m->bins, sb_histogram_bin(info, m->bins, w->score),
                     w->purpose == LEAVES ? -sides : sides)) {
      status = histogram_conflict(e, m);
      goto cleanup;
    }
  }
  for (int64_t p = 0; !e->changed && p < e->now.probe_count; p++)
    if (!isnan(m->best_nonmated[p])) closest = fmax(closest, direction * m->best_nonmated[p]);
  count_rank1(e, m, out);
  sb_figures_of_mated(info, scores, mated, out);
  out->nonmated_max = isinf(closest) ? (double)NAN : direction * closest;
  int64_t counted = sb_figures_of_histogram(info, m->histogram, m->bins, sides, out);
  sb_figures_of_both(info, out);
  bool all_known = !e->now.unknown_left_out;
  if (counted % sides != 0 ||
      (all_known && counted != sides * (sb_people_pairs(&e->now) - e->mated_count)))
    status = histogram_conflict(e, m);
cleanup:
  free(scores);
  return status;
}

static sb_status evaluate_measure(evaluator *e, const sb_linked_measure *m, sb_evaluation *out) {
  sb_listed_array known = {0};
  wanted_list list = {0};
  double direction = m->measure->info.higher_is_closer ? 1 : -1;
  sb_status status = sb_ok();
  memset(out, 0, sizeof *out);
  strncpy(out->measure, m->measure->info.name, sizeof out->measure - 1);
  SB_TRY(sort_known(m, &known));
  SB_TRY(want_mated(e, &known, &list));
  if (e->changed) {
    SB_TRY(want_moved(e, &known, &list));
    SB_TRY(want_closest(e, m, direction, &list));
  }
  SB_TRY(compute_missing(e, m->measure, &list));
  SB_TRY(gather(e, m, &list, out));
cleanup:
  free(known.items);
  free(list.items);
  return status;
}

// ---- Who is who ---------------------------------------------------------------------------------

static sb_status find_mates(evaluator *e) {
  sb_status status = sb_people_mated(&e->now, &e->mated, &e->mated_count);
  if (status.code == SB_OK) status = SB_NEW_ZERO(&e->has_mate, e->now.probe_count, "scans");
  for (int64_t i = 0; i < e->mated_count && status.code == SB_OK; i++) {
    e->has_mate[e->mated[i].probe] = true;
    if (e->now.self) e->has_mate[e->mated[i].gallery] = true;
  }
  return status;
}

static sb_status know_people(evaluator *e, sb_link_folder *folder,
                             const sb_evaluate_options *options, sb_tsv *table) {
  const char *identities = options->identities;
  sb_identity_mode mode = identities == NULL ? folder->mode : sb_identity_mode_of(identities);
  sb_status status = sb_ok();
  e->changed = identities != NULL;
  SB_TRY(sb_people_create(folder->mode, &folder->scans, &e->before));
  if (e->changed)
    SB_TRY(sb_identities_assign(mode, identities, &folder->scans, table, options->progress));
  SB_TRY(sb_people_create(mode, &folder->scans, &e->now));
  bool anyone = false;
  for (int64_t i = 0; i < e->now.probe_count; i++) anyone = anyone || e->now.probe[i] >= 0;
  if (!anyone) {
    status = sb_error(SB_CONTENT,
                      "%s: there is nothing to evaluate, as nobody's identity is known; give a "
                      "table with the columns dataset, scan_id, person (--identities)",
                      folder->path);
    goto cleanup;
  }
  SB_TRY(find_mates(e));
  e->assumed = mode == SB_IDENTITIES_LABELS && !e->now.self && e->mated_count == 0;
  for (int64_t i = 0; i < e->now.probe_count; i++) e->assumed = e->assumed && e->now.same[i] < 0;
cleanup:
  return status;
}

static void close_evaluator(evaluator *e) {
  sb_people_free(&e->before);
  sb_people_free(&e->now);
  free(e->mated);
  free(e->has_mate);
  free(e->probe_index);
  free(e->gallery_index);
  sb_store_close(e->probe);
  sb_store_close(e->gallery);
}

sb_status sb_evaluate(const char *out, const sb_evaluate_options *options, sb_evaluation *results,
                      size_t capacity, size_t *count) {
  static const char *const assumption =
      "no person is known to be in both stores; the non-mated figures assume that different labels "
      "are different people";
  const sb_evaluate_options defaults = {0};
  if (options == NULL) options = &defaults;
  sb_link_folder folder = {0};
  sb_tsv table = {0};
  evaluator e = {.folder = &folder};
  sb_status status = sb_ok();
  *count = 0;
  SB_TRY(sb_link_folder_open(out, &folder));
  if (folder.measure_count > capacity) {
    status = sb_error(SB_USAGE, "%s: has %zu measures and room was given for %zu", out,
                      folder.measure_count, capacity);
    goto cleanup;
  }
  SB_TRY(know_people(&e, &folder, options, &table));
  for (size_t i = 0; i < folder.measure_count; i++)
    SB_TRY(evaluate_measure(&e, folder.measures + i, results + i));
  SB_TRY(sb_write_evaluation(out, options->identities, e.assumed ? assumption : NULL, &folder,
                             results));
  if (e.assumed)
    sb_warn(options->progress, "%s: %s; tell who is who (--identities)", out, assumption);
  *count = folder.measure_count;
cleanup:
  close_evaluator(&e);
  sb_tsv_free(&table);
  sb_link_folder_close(&folder);
  return status;
}
