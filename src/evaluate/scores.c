#include "evaluate/scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/pairs.h"
#include "engine/sink.h"
#include "evaluate/scale.h"
#include "store/mirror.h"

// Beyond this many scores to compute one by one, linking again is cheaper.
enum { MOST_COMPUTED = 10000000 };

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
static double known_score(const sb_scores *e, const sb_listed_array *sorted, sb_pair pair) {
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

static sb_status need_stores(sb_scores *e) {
  const sb_scans *scans = &e->folder->scans;
  if (e->gallery_index != NULL) return sb_ok();
  sb_status status =
      reopen(&e->folder->probe, scans->probe, scans->probe_count, &e->probe, &e->probe_index);
  if (status.code == SB_OK && e->folder->mirrored) status = sb_store_mirror_all(e->probe);
  if (status.code == SB_OK)
    status = reopen(&e->folder->gallery, scans->gallery, scans->gallery_count, &e->gallery,
                    &e->gallery_index);
  return status;
}

static sb_status compute_missing(sb_scores *e, const sb_linked_measure *m, wanted_list *list) {
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
  SB_TRY(sb_score_pairs(e->probe, e->gallery, m->measure, m->weights, pairs, missing, scores));
  used = 0;
  for (int64_t i = 0; i < list->count; i++)
    if (isnan(list->items[i].score)) list->items[i].score = scores[used++];
cleanup:
  free(pairs);
  free(scores);
  return status;
}

// ---- What is wanted -----------------------------------------------------------------------------

static sb_status want_mated(const sb_scores *e, const sb_listed_array *known, wanted_list *list) {
  sb_status status = sb_ok();
  for (int64_t i = 0; i < e->mated_count && status.code == SB_OK; i++)
    status = want(list, e->mated[i], MATED, known_score(e, known, e->mated[i]));
  return status;
}

static sb_status want_moved(const sb_scores *e, const sb_listed_array *known, wanted_list *list) {
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

static sb_status want_others(const sb_scores *e, const sb_linked_measure *m, span listed,
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
static sb_status want_closest(const sb_scores *e, const sb_linked_measure *m, double direction,
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

// ---- From scores to a study ---------------------------------------------------------------------

// Moves a pair out of a probe's histogram or into it. Its bin is that of the canonical score, the
// one counted was the screen's: the nearest that is not empty.
static bool move(uint32_t *histogram, int64_t bins, int64_t bin, bool enters) {
  for (int64_t step = 0; step < 2 * bins; step++) { // 0, 1, -1, 2, -2, ...
    const int64_t at = bin + (step % 2 != 0 ? (step + 1) / 2 : -step / 2);
    if (at < 0 || at >= bins || (!enters && histogram[at] == 0)) continue;
    histogram[at] += enters ? 1 : UINT32_MAX; // minus one
    return true;
  }
  return false;
}

// The same in all histograms that count the pair: of both its scans in a self-comparison, of all
// pairs and of those within one dataset.
static bool move_pair(const sb_scores *e, const sb_linked_measure *m, const wanted *w) {
  int64_t bin = sb_histogram_bin(&m->measure->info, m->bins, w->score);
  bool enters = w->purpose == ENTERS, both = e->now.self;
  bool within = m->within != NULL && sb_people_within(&e->now, w->pair.probe, w->pair.gallery);
  for (int side = 0; side < (both ? 2 : 1); side++) {
    int64_t line = (side == 0 ? w->pair.probe : w->pair.gallery) * m->bins;
    if (!move(m->histogram + line, m->bins, bin, enters)) return false;
    if (within && !move(m->within + line, m->bins, bin, enters)) return false;
  }
  return true;
}

static sb_status histogram_conflict(const sb_scores *e, const sb_linked_measure *m) {
  return sb_error(SB_FORMAT,
                  "%s: nonmated-%s.npy does not count the pairs that its scans make; the results "
                  "are damaged, link again",
                  e->folder->path, m->measure->info.name);
}

// A histogram of scores as one of closenesses: turned round for a distance.
static void turn(uint32_t *histogram, int64_t lines, int64_t bins) {
  for (int64_t line = 0; line < lines; line++)
    for (int64_t low = line * bins, high = low + bins - 1; low < high; low++, high--) {
      uint32_t count = histogram[low];
      histogram[low] = histogram[high];
      histogram[high] = count;
    }
}

// Everybody gets a number: people their own, scans of nobody known one each.
static sb_status number_people(const sb_scores *e, sb_study *study) {
  const sb_people *now = &e->now;
  int64_t next = 0;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&study->probe_person, study->probes, "persons"));
  for (int64_t g = 0; g < study->gallery; g++)
    if (now->gallery[g] >= next) next = now->gallery[g] + 1;
  for (int64_t p = 0; p < study->probes; p++)
    if (now->probe[p] >= next) next = now->probe[p] + 1;
  if (study->self)
    study->gallery_person = study->probe_person;
  else
    SB_TRY(SB_NEW(&study->gallery_person, study->gallery, "persons"));
  for (int64_t g = 0; g < study->gallery; g++)
    study->gallery_person[g] = now->gallery[g] >= 0 ? now->gallery[g] : next++;
  for (int64_t p = 0; p < study->probes && !study->self; p++) {
    bool same = now->probe[p] < 0 && now->same[p] >= 0;
    study->probe_person[p] = now->probe[p] >= 0 ? now->probe[p]
                             : same             ? study->gallery_person[now->same[p]]
                                                : next++;
  }
  study->people = next;
cleanup:
  return status;
}

static sb_status take_matches(const sb_scores *e, const sb_linked_measure *m, const sb_scale *scale,
                              sb_study *study) {
  sb_status status = SB_NEW(&study->matches.items, m->matches.count, "scores");
  if (status.code != SB_OK) return status;
  study->matches.count = m->matches.count;
  for (int64_t i = 0; i < m->matches.count; i++) {
    sb_listed line = m->matches.items[i];
    line.kind = sb_people_kind(&e->now, line.probe, line.gallery);
    line.score = sb_scale_closeness(scale, line.score);
    study->matches.items[i] = line;
  }
  return status;
}

// The wanted scores, each to its place.
static sb_status take_wanted(const sb_scores *e, const sb_linked_measure *m,
                             const wanted_list *list, const sb_scale *scale, sb_study *study,
                             double *nonmated_max) {
  sb_status status = SB_NEW(&study->mated.items, e->mated_count, "mated scores");
  *nonmated_max = -INFINITY;
  for (int64_t i = 0; i < list->count && status.code == SB_OK; i++) {
    const wanted *w = list->items + i;
    if (w->purpose == MATED)
      study->mated.items[study->mated.count++] = (sb_listed){
          w->pair.probe, w->pair.gallery, 0, sb_scale_closeness(scale, w->score), SB_PAIR_MATED};
    else if (w->purpose == CANDIDATE)
      *nonmated_max = fmax(*nonmated_max, sb_scale_closeness(scale, w->score));
    else if (!move_pair(e, m, w))
      status = histogram_conflict(e, m);
  }
  return status;
}

// What link knew of each probe's closest non-mated scan, where its identities are the ones used.
static sb_status take_best(const sb_linked_measure *m, const sb_scale *scale, sb_study *study,
                           double *nonmated_max) {
  sb_status status = SB_NEW(&study->best_nonmated, study->probes, "scores");
  for (int64_t p = 0; p < study->probes && status.code == SB_OK; p++) {
    study->best_nonmated[p] = sb_scale_closeness(scale, m->best_nonmated[p]);
    if (!isnan(m->best_nonmated[p])) *nonmated_max = fmax(*nonmated_max, study->best_nonmated[p]);
  }
  return status;
}

static sb_status check_counts(const sb_scores *e, const sb_linked_measure *m,
                              const sb_study *study) {
  int64_t counted = 0, sides = sb_study_sides(study);
  for (int64_t i = 0; i < study->probes * study->bins; i++) counted += study->histogram[i];
  bool all_known = !e->now.unknown_left_out;
  if (counted % sides != 0 || (all_known && counted != sides * (study->pairs - e->mated_count)))
    return histogram_conflict(e, m);
  return sb_ok();
}

static sb_status build(sb_scores *e, sb_linked_measure *m, const wanted_list *list, sb_study *study,
                       double *nonmated_max) {
  const sb_measure_info *info = &m->measure->info;
  sb_scale scale = sb_scale_of(info);
  double least = scale.ratio ? SB_RATIO_FIRST : info->range_min;
  double most = scale.ratio ? SB_RATIO_LAST : info->range_max;
  *study = (sb_study){.low = info->higher_is_closer ? least : -most,
                      .high = info->higher_is_closer ? most : -least,
                      .ratio = scale.ratio,
                      .self = e->now.self,
                      .pairs = sb_people_pairs(&e->now),
                      .probes = e->now.probe_count,
                      .gallery = e->now.gallery_count,
                      .bins = m->bins};
  sb_status status = sb_ok();
  SB_TRY(number_people(e, study));
  SB_TRY(take_matches(e, m, &scale, study));
  SB_TRY(take_wanted(e, m, list, &scale, study, nonmated_max));
  if (!e->changed) SB_TRY(take_best(m, &scale, study, nonmated_max));
  if (scale.direction < 0) {
    turn(m->histogram, study->probes, m->bins);
    if (m->within != NULL) turn(m->within, study->probes, m->bins);
  }
  study->histogram = m->histogram;
  m->histogram = NULL;
  SB_TRY(check_counts(e, m, study));
  SB_TRY(sb_study_complete(study));
cleanup:
  if (status.code != SB_OK) sb_study_free(study);
  return status;
}

sb_status sb_scores_study(sb_scores *e, sb_linked_measure *m, sb_study *study,
                          double *nonmated_max) {
  sb_listed_array known = {0};
  wanted_list list = {0};
  double direction = m->measure->info.higher_is_closer ? 1 : -1;
  sb_status status = sb_ok();
  SB_TRY(sort_known(m, &known));
  SB_TRY(want_mated(e, &known, &list));
  if (e->changed) {
    SB_TRY(want_moved(e, &known, &list));
    SB_TRY(want_closest(e, m, direction, &list));
  }
  SB_TRY(compute_missing(e, m, &list));
  SB_TRY(build(e, m, &list, study, nonmated_max));
cleanup:
  free(known.items);
  free(list.items);
  return status;
}

// ---- Who is who ---------------------------------------------------------------------------------

sb_status sb_scores_open(sb_link_folder *folder, const char *identities, sb_tsv *table,
                         const sb_progress *progress, sb_scores *out) {
  sb_identity_mode mode = identities == NULL ? folder->mode : sb_identity_mode_of(identities);
  sb_status status = sb_ok();
  *out = (sb_scores){.folder = folder, .mode = mode};
  out->changed =
      identities != NULL && !(mode == SB_IDENTITIES_NONE && folder->mode == SB_IDENTITIES_NONE);
  SB_TRY(sb_people_create(folder->mode, &folder->scans, &out->before));
  if (out->changed) SB_TRY(sb_identities_assign(mode, identities, &folder->scans, table, progress));
  SB_TRY(sb_people_create(mode, &folder->scans, &out->now));
  for (int64_t i = 0; i < out->now.probe_count; i++)
    out->anyone = out->anyone || out->now.probe[i] >= 0;
  SB_TRY(sb_people_mated(&out->now, &out->mated, &out->mated_count));
cleanup:
  if (status.code != SB_OK) sb_scores_close(out);
  return status;
}

void sb_scores_close(sb_scores *e) {
  sb_people_free(&e->before);
  sb_people_free(&e->now);
  free(e->mated);
  free(e->probe_index);
  free(e->gallery_index);
  sb_store_close(e->probe);
  sb_store_close(e->gallery);
  memset(e, 0, sizeof *e);
}
