#include "evaluate/differential.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/order.h"
#include "core/utf8.h"
#include "evaluate/spearman.h"
#include "evaluate/strata.h"

typedef struct work {
  const sb_study *study;
  const sb_scale *scale;
  double threshold;
  const sb_evaluate_options *options;
  sb_search search;
  int64_t disjoint; // non-mated pairs that share nobody
} work;

static const double NONE = (double)NAN;

// ---- Counts and scores --------------------------------------------------------------------------

static int by_person(const void *left, const void *right) {
  const sb_sample *a = left, *b = right;
  return (a->person > b->person) - (a->person < b->person);
}

static int by_score(const void *left, const void *right) {
  const sb_sample *a = left, *b = right;
  return (a->score > b->score) - (a->score < b->score);
}

// Where an order statistic of a stratum's scores goes, or a count.
#define AT(type, stratum, offset) (*(type *)(void *)((char *)(stratum) + (offset)))

// Samples and people of each stratum.
static sb_status count_people(sb_samples *list, sb_stratum *strata, int64_t count, size_t number,
                              size_t people) {
  int64_t *last = NULL;
  sb_status status = SB_NEW(&last, count, "strata");
  if (status.code != SB_OK) return status;
  if (list->count > 1) qsort(list->items, (size_t)list->count, sizeof *list->items, by_person);
  for (int64_t s = 0; s < count; s++) {
    last[s] = -1;
    AT(int64_t, strata + s, number) = AT(int64_t, strata + s, people) = 0;
  }
  for (int64_t i = 0; i < list->count; i++)
    for (int64_t s = list->items[i].stratum; s >= 0; s = strata[s].within) {
      AT(int64_t, strata + s, number)++;
      AT(int64_t, strata + s, people) += last[s] != list->items[i].person;
      last[s] = list->items[i].person;
    }
  free(last);
  return status;
}

// Where the least, the middle and the most alike score of a stratum's samples go, and how many they are.
typedef struct score_places {
  size_t number, low, median, high; // `low` 0: not told
} score_places;

static const score_places MATED_SCORES = {
    offsetof(sb_stratum, mated), offsetof(sb_stratum, mated_min),
    offsetof(sb_stratum, mated_median), offsetof(sb_stratum, mated_max)};
static const score_places NONMATED_SCORES = {offsetof(sb_stratum, searches), 0,
                                             offsetof(sb_stratum, nonmated_median),
                                             offsetof(sb_stratum, nonmated_max)};

// Sorts the samples.
static sb_status tell_scores(const work *w, sb_samples *list, sb_stratum *strata, int64_t count,
                             const score_places *to) {
  int64_t *seen = NULL;
  sb_status status = SB_NEW_ZERO(&seen, count, "strata");
  if (status.code != SB_OK) return status;
  if (list->count > 1) qsort(list->items, (size_t)list->count, sizeof *list->items, by_score);
  for (int64_t i = 0; i < list->count; i++)
    for (int64_t s = list->items[i].stratum; s >= 0; s = strata[s].within) {
      double score = sb_scale_score(w->scale, list->items[i].score);
      int64_t at = seen[s]++, n = AT(int64_t, strata + s, to->number);
      if (at == 0 && to->low != 0) AT(double, strata + s, to->low) = score;
      if (at == (n - 1) / 2) AT(double, strata + s, to->median) = score;
      if (at == n / 2)
        AT(double, strata + s, to->median) = (AT(double, strata + s, to->median) + score) / 2;
      if (at == n - 1) AT(double, strata + s, to->high) = score;
    }
  free(seen);
  return status;
}

// ---- Rates --------------------------------------------------------------------------------------

typedef struct rates {
  const sb_samples *list;
  const sb_stratum *strata;
  int64_t count;
  const int64_t *wanted; // strata whose rates are wanted
  int64_t wanted_count;
  // A false match weighs the product of its two people's numbers; else, (1 + a)(1 + b), 1 + a + b.
  bool pairs;
} rates;

// Errors over trials, each weighing as often as its people were drawn (NULL: once). `scratch`: two per
// stratum.
static void compute_rates(const void *context, const double *weight, double *scratch,
                          double *values) {
  const rates *r = context;
  double *errors = scratch, *trials = scratch + r->count;
  memset(scratch, 0, (size_t)r->count * 2 * sizeof *scratch);
  for (int64_t i = 0; i < r->list->count; i++) {
    const sb_sample *one = r->list->items + i;
    if (one->stratum < 0) continue;
    double times = weight == NULL ? 1 : weight[one->person];
    if (weight != NULL && one->other >= 0)
      times = r->pairs ? times * weight[one->other] : times + weight[one->other] - 1;
    errors[one->stratum] += times * one->errors;
    trials[one->stratum] += times * one->trials;
  }
  for (int64_t s = r->count - 1; s > 0; s--) {
    errors[r->strata[s].within] += errors[s];
    trials[r->strata[s].within] += trials[s];
  }
  for (int64_t k = 0; k < r->wanted_count; k++) {
    int64_t s = r->wanted[k];
    // What weighs to first order may come out below nothing, or above all.
    values[k] = trials[s] > 0 ? fmin(fmax(errors[s], 0), trials[s]) / trials[s] : NONE;
  }
}

// One rate of every stratum, with its interval; resampling tells it where there are enough people.
typedef struct rate_place {
  size_t value, interval, people;
  bool hits;     // told as its complement
  bool disjoint; // its trials are pairs of people, which must share nobody
  bool pairs;    // counted in pairs, far more than people
} rate_place;

// The draws of all intervals; none where people are too few to be drawn from.
static sb_redraw redraw_of(const work *w, bool enough) {
  return (sb_redraw){.people = w->study->people,
                     .replicates = enough ? w->options->replicates : 0,
                     .seed = 1,
                     .threads = w->options->threads};
}

static sb_status tell_rates(const work *w, sb_samples *list, sb_stratum *strata, int64_t count,
                            const rate_place *to) {
  int64_t *wanted = NULL, *all = NULL, enough = 0;
  double *scratch = NULL, *value = NULL;
  sb_interval *ends = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&all, count, "strata"));
  SB_TRY(SB_NEW(&wanted, count, "strata"));
  SB_TRY(SB_NEW(&scratch, 2 * count, "strata"));
  SB_TRY(SB_NEW(&value, count, "strata"));
  SB_TRY(SB_NEW(&ends, count, "strata"));
  for (int64_t s = 0; s < count; s++) {
    all[s] = s;
    if (AT(int64_t, strata + s, to->people) >= SB_LEAST_PEOPLE) wanted[enough++] = s;
  }
  rates r = {list, strata, count, all, count, to->pairs};
  compute_rates(&r, NULL, scratch, value);
  r.wanted = wanted;
  r.wanted_count = enough;
  sb_redraw redraw = redraw_of(w, true);
  redraw.figure = compute_rates;
  redraw.context = &r;
  redraw.width = enough;
  redraw.scratch = 2 * count;
  SB_TRY(sb_redraw_intervals(&redraw, ends));
  for (int64_t s = 0, k = 0; s < count; s++) {
    bool drawn = k < enough && wanted[k] == s;
    int64_t trials = AT(int64_t, strata + s, to->people);
    if (to->disjoint) trials = sb_smaller(trials, w->disjoint);
    sb_interval i = sb_interval_of_errors(value[s], drawn ? ends[k].low : NONE,
                                          drawn ? ends[k].high : NONE, trials, !to->pairs);
    AT(double, strata + s, to->value) = to->hits ? 1 - value[s] : value[s];
    AT(sb_interval, strata + s, to->interval) = to->hits ? (sb_interval){1 - i.high, 1 - i.low} : i;
    k += drawn;
  }
cleanup:
  free(all);
  free(wanted);
  free(scratch);
  free(value);
  free(ends);
  return status;
}

#define PLACE(figure, whose, ...)                                                                  \
  {                                                                                                \
    .value = offsetof(sb_stratum, figure), .interval = offsetof(sb_stratum, figure##_interval),    \
    .people = offsetof(sb_stratum, whose), __VA_ARGS__                                             \
  }
static const rate_place FNMR = PLACE(fnmr, people, .hits = false);
static const rate_place RANK1 = PLACE(rank1, mated_people, .hits = true);
static const rate_place FNIR = PLACE(fnir, mated_people, .hits = false);
static const rate_place FPIR = PLACE(fpir, people, .disjoint = true);
static const rate_place FMR = PLACE(fmr, people, .disjoint = true, .pairs = true);

// ---- One covariate ------------------------------------------------------------------------------

static int64_t count_without(const sb_samples *list) {
  int64_t without = 0;
  for (int64_t i = 0; i < list->count; i++) without += list->items[i].stratum < 0;
  return without;
}

static sb_status tell_spearman(const work *w, const double *a, const double *b,
                               sb_differential *out) {
  const sb_listed_array *pairs = &w->study->mated;
  sb_measured *known = NULL;
  int64_t count = 0;
  sb_status status = SB_NEW(&known, pairs->count, "ranks");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < pairs->count; i++)
    if (!isnan(a[i]) && !isnan(b[i]))
      known[count++] = (sb_measured){.x = sb_difference(a[i], b[i]),
                                     .y = sb_scale_score(w->scale, pairs->items[i].score),
                                     .person = w->study->probe_person[pairs->items[i].probe]};
  const sb_redraw redraw = redraw_of(w, out->pairs[0].people >= SB_LEAST_PEOPLE);
  status = sb_spearman(known, count, &redraw, &out->spearman, &out->spearman_interval);
  free(known);
  return status;
}

static sb_status tell_pairs(const work *w, const sb_covariate *c, sb_differential *out) {
  const sb_listed_array *pairs = &w->study->mated;
  double *a = NULL, *b = NULL;
  sb_samples list = {.count = pairs->count};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&list.items, pairs->count, "strata"));
  SB_TRY(SB_NEW(&a, pairs->count, "strata"));
  SB_TRY(SB_NEW(&b, pairs->count, "strata"));
  for (int64_t i = 0; i < pairs->count; i++) {
    const sb_listed *pair = pairs->items + i;
    a[i] = c->probe[pair->probe];
    b[i] = c->gallery[pair->gallery];
    list.items[i] = (sb_sample){.person = w->study->probe_person[pair->probe],
                                .other = -1,
                                .score = pair->score,
                                .errors = pair->score < w->threshold,
                                .trials = 1};
  }
  SB_TRY(sb_stratify(c, a, b, &list, &out->pairs, &out->pair_strata));
  out->pairs_without = count_without(&list);
  SB_TRY(count_people(&list, out->pairs, out->pair_strata, offsetof(sb_stratum, mated),
                      offsetof(sb_stratum, people)));
  for (int64_t s = 0; s < out->pair_strata; s++) out->pairs[s].mated_people = out->pairs[s].people;
  SB_TRY(tell_scores(w, &list, out->pairs, out->pair_strata, &MATED_SCORES));
  if (!isnan(w->threshold)) SB_TRY(tell_rates(w, &list, out->pairs, out->pair_strata, &FNMR));
  if (c->kind != SB_CATEGORIES) SB_TRY(tell_spearman(w, a, b, out));
cleanup:
  free(list.items);
  free(a);
  free(b);
  return status;
}

// The searches that have a mate to find: closest mates, rank-1, FNIR.
static sb_status tell_mated_searches(const work *w, const int64_t *stratum, sb_samples *list,
                                     sb_differential *out) {
  const sb_study *study = w->study;
  sb_status status = sb_ok();
  for (int pass = 0; pass < 2; pass++) { // FNIR, then rank-1
    list->count = 0;
    for (int64_t p = 0; p < study->probes; p++)
      if (!isnan(study->mate[p]))
        list->items[list->count++] =
            (sb_sample){.person = study->probe_person[p],
                        .other = -1,
                        .stratum = stratum[p],
                        .score = study->mate[p],
                        .errors = pass == 0 ? study->mate[p] < w->threshold : w->search.rank[p] > 1,
                        .trials = 1};
    if (pass == 0) {
      SB_TRY(count_people(list, out->searches, out->search_strata, offsetof(sb_stratum, mated),
                          offsetof(sb_stratum, mated_people)));
      SB_TRY(tell_scores(w, list, out->searches, out->search_strata, &MATED_SCORES));
    }
    if (pass == 1 || !isnan(w->threshold))
      SB_TRY(tell_rates(w, list, out->searches, out->search_strata, pass == 0 ? &FNIR : &RANK1));
  }
cleanup:
  return status;
}

// Per probe the person of its closest false match that is listed; -1: none.
typedef struct closest {
  const sb_study *study;
  int64_t *person;
} closest;

static void take_closest(void *context, int64_t probe, int64_t gallery, double pairs) {
  const closest *c = context;
  (void)pairs;
  if (c->person[probe] < 0 && gallery >= 0) c->person[probe] = c->study->gallery_person[gallery];
}

// The same with the mates taken out: who is found nevertheless, FPIR. What a search finds varies with whom
// it finds too: gallery people whom many resemble.
static sb_status tell_false_searches(const work *w, const int64_t *stratum, sb_samples *list,
                                     sb_differential *out) {
  const sb_study *study = w->study;
  closest found = {.study = study};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&found.person, study->probes, "strata"));
  for (int64_t p = 0; p < study->probes; p++) found.person[p] = -1;
  sb_study_false_matches(study, w->threshold, take_closest, &found);
  list->count = 0;
  for (int64_t p = 0; p < study->probes; p++)
    if (!isnan(study->best_nonmated[p]))
      list->items[list->count++] =
          (sb_sample){.person = study->probe_person[p],
                      .other = -1,
                      .stratum = stratum[p],
                      .score = study->best_nonmated[p],
                      .errors = study->best_nonmated[p] >= w->threshold && found.person[p] < 0,
                      .trials = 1};
  out->searches_without = count_without(list);
  SB_TRY(count_people(list, out->searches, out->search_strata, offsetof(sb_stratum, searches),
                      offsetof(sb_stratum, people)));
  SB_TRY(tell_scores(w, list, out->searches, out->search_strata, &NONMATED_SCORES));
  for (int64_t p = 0; p < study->probes; p++)
    if (study->best_nonmated[p] >= w->threshold && found.person[p] >= 0)
      list->items[list->count++] = (sb_sample){.person = study->probe_person[p],
                                               .other = found.person[p],
                                               .stratum = stratum[p],
                                               .errors = 1};
  if (!isnan(w->threshold)) SB_TRY(tell_rates(w, list, out->searches, out->search_strata, &FPIR));
cleanup:
  free(found.person);
  return status;
}

typedef struct false_matches {
  const work *w;
  const int64_t *stratum;
  sb_samples *list;
} false_matches;

static void take_false_match(void *context, int64_t probe, int64_t gallery, double pairs) {
  const false_matches *f = context;
  const sb_study *study = f->w->study;
  if (pairs > 0)
    f->list->items[f->list->count++] =
        (sb_sample){.person = study->probe_person[probe],
                    .other = gallery < 0 ? -1 : study->gallery_person[gallery],
                    .stratum = f->stratum[probe],
                    .errors = pairs};
}

// The pairs that these searches compared, FMR.
static sb_status tell_nonmated_pairs(const work *w, const int64_t *stratum, sb_samples *list,
                                     sb_differential *out) {
  const sb_study *study = w->study;
  const false_matches f = {w, stratum, list};
  list->count = 0;
  for (int64_t s = 0; s < out->search_strata; s++) out->searches[s].nonmated_pairs = 0;
  for (int64_t p = 0; p < study->probes; p++) {
    int64_t pairs = 0;
    for (int64_t bin = 0; bin < study->bins; bin++)
      pairs += study->histogram[p * study->bins + bin];
    for (int64_t s = stratum[p]; s >= 0; s = out->searches[s].within)
      out->searches[s].nonmated_pairs += pairs;
    list->items[list->count++] = (sb_sample){.person = study->probe_person[p],
                                             .other = -1,
                                             .stratum = stratum[p],
                                             .trials = (double)pairs};
  }
  if (isnan(w->threshold)) return sb_ok();
  sb_study_false_matches(study, w->threshold, take_false_match, (void *)&f);
  return tell_rates(w, list, out->searches, out->search_strata, &FMR);
}

static sb_status tell_searches(const work *w, const sb_covariate *c, sb_differential *out) {
  const sb_study *study = w->study;
  int64_t *stratum = NULL;
  sb_samples list = {.count = study->probes};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&stratum, study->probes, "strata"));
  SB_TRY(SB_NEW_ZERO(&list.items, 2 * study->probes + study->matches.count, "strata"));
  SB_TRY(sb_stratify(c, c->probe, NULL, &list, &out->searches, &out->search_strata));
  for (int64_t p = 0; p < study->probes; p++) stratum[p] = list.items[p].stratum;
  SB_TRY(tell_mated_searches(w, stratum, &list, out));
  SB_TRY(tell_false_searches(w, stratum, &list, out));
  SB_TRY(tell_nonmated_pairs(w, stratum, &list, out));
cleanup:
  free(stratum);
  free(list.items);
  return status;
}

// ---- All ----------------------------------------------------------------------------------------

static void free_strata(sb_stratum *strata, int64_t count) {
  for (int64_t s = 0; s < count; s++) free(strata[s].name);
  free(strata);
}

void sb_evaluation_free(sb_evaluation *evaluation) {
  if (evaluation == NULL) return;
  for (int64_t i = 0; i < evaluation->differential_count; i++) {
    sb_differential *d = evaluation->differentials + i;
    free(d->column);
    free_strata(d->pairs, d->pair_strata);
    free_strata(d->searches, d->search_strata);
  }
  free(evaluation->differentials);
  evaluation->differentials = NULL;
  evaluation->differential_count = 0;
}

sb_status sb_differentials_of_study(const sb_study *study, const sb_scale *scale, double threshold,
                                    const sb_covariates *covariates,
                                    const sb_evaluate_options *options, sb_evaluation *out) {
  work w = {.study = study, .scale = scale, .threshold = threshold, .options = options};
  sb_trials trials;
  sb_status status = sb_ok();
  if (covariates->count == 0) return status;
  SB_TRY(SB_NEW_ZERO(&out->differentials, covariates->count, "strata"));
  SB_TRY(sb_count_trials(study, &trials));
  w.disjoint = trials.nonmated;
  SB_TRY(sb_search_open(study, &w.search));
  for (size_t i = 0; i < covariates->count; i++) {
    const sb_covariate *c = covariates->items + i;
    sb_differential *d = out->differentials + out->differential_count++;
    *d = (sb_differential){.column = sb_utf8_visible(c->by->column),
                           .kind = c->kind,
                           .spearman = NONE,
                           .spearman_interval = {NONE, NONE}};
    if (d->column == NULL) status = sb_error(SB_NO_MEMORY, "out of memory for strata");
    SB_TRY(status);
    SB_TRY(tell_pairs(&w, c, d));
    SB_TRY(tell_searches(&w, c, d));
  }
cleanup:
  sb_search_close(&w.search);
  return status;
}
