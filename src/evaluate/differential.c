#include "evaluate/differential.h"

#include <math.h>
#include <stdlib.h>

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

// What the samples of a stratum show.
typedef struct figures {
  int64_t samples, people;
  int64_t person, seen;       // while they are counted: the last one's; how many were seen
  double least, median, most; // alike: scores
  double rate;                // errors over trials
  sb_interval interval;
} figures;

// Samples, their strata, and what these show.
typedef struct telling {
  const work *w;
  sb_samples list;
  sb_stratum *strata;
  int64_t count;
  figures *figures; // per stratum
  // Of searches, per probe: the smallest stratum it is in, and the person of its closest false match that is
  // listed, or -1.
  int64_t *stratum, *found;
} telling;

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

// How many samples each stratum has, of how many people, and their scores. Sorts the samples.
static void tell_samples(const telling *t) {
  const sb_sample *items = t->list.items;
  for (int64_t s = 0; s < t->count; s++)
    t->figures[s] = (figures){.person = -1, .least = NONE, .median = NONE, .most = NONE};
  if (t->list.count > 1) qsort(t->list.items, (size_t)t->list.count, sizeof *items, by_person);
  for (int64_t i = 0; i < t->list.count; i++)
    for (int64_t s = items[i].stratum; s >= 0; s = t->strata[s].within) {
      figures *f = t->figures + s;
      f->samples++;
      f->people += f->person != items[i].person;
      f->person = items[i].person;
    }
  if (t->list.count > 1) qsort(t->list.items, (size_t)t->list.count, sizeof *items, by_score);
  for (int64_t i = 0; i < t->list.count; i++)
    for (int64_t s = items[i].stratum; s >= 0; s = t->strata[s].within) {
      figures *f = t->figures + s;
      const double score = sb_scale_score(t->w->scale, items[i].score);
      const int64_t at = f->seen++;
      if (at == 0) f->least = score;
      if (at == (f->samples - 1) / 2) f->median = score;
      if (at == f->samples / 2) f->median = (f->median + score) / 2;
      f->most = score;
    }
}

// ---- Rates --------------------------------------------------------------------------------------

// What counts as an error: a mate that is missed, a search that finds somebody else, a pair of two people.
typedef enum error_kind { MISSES, FALSE_HITS, FALSE_MATCHES } error_kind;

typedef struct rates {
  const telling *t;
  error_kind kind;
} rates;

// Each stratum's errors and trials, each weighing as often as its people were drawn (NULL: once). A false
// match weighs the product of its two people's numbers, (1 + a)(1 + b), a false hit 1 + a + b.
static void sum_errors(const rates *r, const double *weight, double *errors, double *trials) {
  const telling *t = r->t;
  for (int64_t s = 0; s < t->count; s++) errors[s] = trials[s] = 0;
  for (int64_t i = 0; i < t->list.count; i++) {
    const sb_sample *one = t->list.items + i;
    if (one->stratum < 0) continue;
    double times = weight == NULL ? 1 : weight[one->person];
    if (weight != NULL && one->other >= 0)
      times =
          r->kind == FALSE_MATCHES ? times * weight[one->other] : times + weight[one->other] - 1;
    errors[one->stratum] += times * one->errors;
    trials[one->stratum] += times * one->trials;
  }
  for (int64_t s = t->count - 1; s > 0; s--) {
    errors[t->strata[s].within] += errors[s];
    trials[t->strata[s].within] += trials[s];
  }
}

// What weighs to first order may come out below nothing, or above all.
static double rate_of(double errors, double trials) {
  return trials > 0 ? fmin(fmax(errors, 0), trials) / trials : NONE;
}

// Resampling tells an interval where there are enough people: of those that tell_samples counted last.
static bool is_drawn(const figures *f) {
  return f->people >= SB_LEAST_PEOPLE;
}

static void draw_rates(const void *context, const double *weight, double *scratch, double *values) {
  const rates *r = context;
  double *errors = scratch, *trials = scratch + r->t->count;
  sum_errors(r, weight, errors, trials);
  for (int64_t s = 0, k = 0; s < r->t->count; s++)
    if (is_drawn(r->t->figures + s)) values[k++] = rate_of(errors[s], trials[s]);
}

// The draws of all intervals; none where people are too few to be drawn from.
static sb_redraw redraw_of(const work *w, bool enough) {
  return (sb_redraw){.people = w->study->people,
                     .replicates = enough ? w->options->replicates : 0,
                     .seed = 1,
                     .threads = w->options->threads};
}

// The rate of every stratum, with its interval.
static sb_status tell_rates(const telling *t, error_kind kind) {
  const rates r = {t, kind};
  sb_redraw redraw = redraw_of(t->w, true);
  double *scratch = NULL;
  sb_interval *ends = NULL;
  sb_status status = sb_ok();
  redraw.figure = draw_rates;
  redraw.context = &r;
  redraw.scratch = 2 * t->count;
  SB_TRY(SB_NEW(&scratch, redraw.scratch, "strata"));
  SB_TRY(SB_NEW(&ends, t->count, "strata"));
  for (int64_t s = 0; s < t->count; s++) redraw.width += is_drawn(t->figures + s);
  SB_TRY(sb_redraw_intervals(&redraw, ends));
  sum_errors(&r, NULL, scratch, scratch + t->count);
  for (int64_t s = 0, k = 0; s < t->count; s++) {
    figures *f = t->figures + s;
    const sb_interval drawn = is_drawn(f) ? ends[k++] : (sb_interval){NONE, NONE};
    // Trials of two people must share nobody.
    const int64_t trials = kind == MISSES ? f->people : sb_smaller(f->people, t->w->disjoint);
    f->rate = rate_of(scratch[s], scratch[t->count + s]);
    f->interval =
        sb_interval_of_errors(f->rate, drawn.low, drawn.high, trials, kind != FALSE_MATCHES);
  }
cleanup:
  free(scratch);
  free(ends);
  return status;
}

// ---- One covariate ------------------------------------------------------------------------------

static void take_mated(const telling *t) {
  for (int64_t s = 0; s < t->count; s++) {
    const figures *f = t->figures + s;
    t->strata[s].mated = f->samples;
    t->strata[s].mated_people = f->people;
    t->strata[s].mated_min = f->least;
    t->strata[s].mated_median = f->median;
    t->strata[s].mated_max = f->most;
  }
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
  telling t = {.w = w, .list.count = pairs->count};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&t.list.items, pairs->count, "strata"));
  SB_TRY(SB_NEW(&a, pairs->count, "strata"));
  SB_TRY(SB_NEW(&b, pairs->count, "strata"));
  for (int64_t i = 0; i < pairs->count; i++) {
    const sb_listed *pair = pairs->items + i;
    a[i] = c->probe[pair->probe];
    b[i] = c->gallery[pair->gallery];
    t.list.items[i] = (sb_sample){.person = w->study->probe_person[pair->probe],
                                  .other = -1,
                                  .score = pair->score,
                                  .errors = pair->score < w->threshold,
                                  .trials = 1};
  }
  SB_TRY(sb_stratify(c, a, b, &t.list, &out->pairs, &out->pair_strata));
  t.strata = out->pairs;
  t.count = out->pair_strata;
  SB_TRY(SB_NEW(&t.figures, t.count, "strata"));
  tell_samples(&t);
  take_mated(&t);
  out->pairs_without = t.list.count - t.figures[0].samples;
  for (int64_t s = 0; s < t.count; s++) t.strata[s].people = t.figures[s].people;
  if (!isnan(w->threshold)) {
    SB_TRY(tell_rates(&t, MISSES));
    for (int64_t s = 0; s < t.count; s++) {
      t.strata[s].fnmr = t.figures[s].rate;
      t.strata[s].fnmr_interval = t.figures[s].interval;
    }
  }
  if (c->kind != SB_CATEGORIES) SB_TRY(tell_spearman(w, a, b, out));
cleanup:
  free(t.list.items);
  free(t.figures);
  free(a);
  free(b);
  return status;
}

// The searches that have a mate to find: closest mates, rank-1, FNIR.
static sb_status tell_mated_searches(telling *t) {
  const work *w = t->w;
  const sb_study *study = w->study;
  sb_status status = sb_ok();
  t->list.count = 0;
  for (int64_t p = 0; p < study->probes; p++)
    if (!isnan(study->mate[p]))
      t->list.items[t->list.count++] = (sb_sample){.person = study->probe_person[p],
                                                   .other = -1,
                                                   .stratum = t->stratum[p],
                                                   .score = study->mate[p],
                                                   .errors = w->search.rank[p] > 1,
                                                   .trials = 1};
  tell_samples(t);
  take_mated(t);
  SB_TRY(tell_rates(t, MISSES));
  for (int64_t s = 0; s < t->count; s++) {
    const sb_interval missed = t->figures[s].interval;
    t->strata[s].rank1 = 1 - t->figures[s].rate;
    t->strata[s].rank1_interval = (sb_interval){1 - missed.high, 1 - missed.low};
  }
  if (isnan(w->threshold)) goto cleanup;
  for (int64_t i = 0; i < t->list.count; i++)
    t->list.items[i].errors = t->list.items[i].score < w->threshold;
  SB_TRY(tell_rates(t, MISSES));
  for (int64_t s = 0; s < t->count; s++) {
    t->strata[s].fnir = t->figures[s].rate;
    t->strata[s].fnir_interval = t->figures[s].interval;
  }
cleanup:
  return status;
}

static void take_closest(void *context, int64_t probe, int64_t gallery, double pairs) {
  const telling *t = context;
  (void)pairs;
  if (t->found[probe] < 0 && gallery >= 0) t->found[probe] = t->w->study->gallery_person[gallery];
}

// The same with the mates taken out: who is found nevertheless, FPIR. What a search finds varies with whom
// it finds too: gallery people whom many resemble.
static sb_status tell_false_searches(telling *t, sb_differential *out) {
  const work *w = t->w;
  const sb_study *study = w->study;
  sb_samples *list = &t->list;
  sb_status status = sb_ok();
  for (int64_t p = 0; p < study->probes; p++) t->found[p] = -1;
  sb_study_false_matches(study, w->threshold, take_closest, t);
  list->count = 0;
  for (int64_t p = 0; p < study->probes; p++)
    if (!isnan(study->best_nonmated[p]))
      list->items[list->count++] =
          (sb_sample){.person = study->probe_person[p],
                      .other = -1,
                      .stratum = t->stratum[p],
                      .score = study->best_nonmated[p],
                      .errors = study->best_nonmated[p] >= w->threshold && t->found[p] < 0,
                      .trials = 1};
  tell_samples(t);
  out->searches_without = list->count - t->figures[0].samples;
  for (int64_t s = 0; s < t->count; s++) {
    t->strata[s].searches = t->figures[s].samples;
    t->strata[s].people = t->figures[s].people;
    t->strata[s].nonmated_median = t->figures[s].median;
    t->strata[s].nonmated_max = t->figures[s].most;
  }
  if (isnan(w->threshold)) goto cleanup;
  for (int64_t p = 0; p < study->probes; p++)
    if (study->best_nonmated[p] >= w->threshold && t->found[p] >= 0)
      list->items[list->count++] = (sb_sample){.person = study->probe_person[p],
                                               .other = t->found[p],
                                               .stratum = t->stratum[p],
                                               .errors = 1};
  SB_TRY(tell_rates(t, FALSE_HITS));
  for (int64_t s = 0; s < t->count; s++) {
    t->strata[s].fpir = t->figures[s].rate;
    t->strata[s].fpir_interval = t->figures[s].interval;
  }
cleanup:
  return status;
}

static void take_false_match(void *context, int64_t probe, int64_t gallery, double pairs) {
  telling *t = context;
  const sb_study *study = t->w->study;
  if (pairs > 0)
    t->list.items[t->list.count++] =
        (sb_sample){.person = study->probe_person[probe],
                    .other = gallery < 0 ? -1 : study->gallery_person[gallery],
                    .stratum = t->stratum[probe],
                    .errors = pairs};
}

// The pairs that these searches compared, FMR. To be called after tell_false_searches: of its people.
static sb_status tell_nonmated_pairs(telling *t) {
  const sb_study *study = t->w->study;
  t->list.count = 0;
  for (int64_t s = 0; s < t->count; s++) t->strata[s].nonmated_pairs = 0;
  for (int64_t p = 0; p < study->probes; p++) {
    int64_t pairs = 0;
    for (int64_t bin = 0; bin < study->bins; bin++)
      pairs += study->histogram[p * study->bins + bin];
    for (int64_t s = t->stratum[p]; s >= 0; s = t->strata[s].within)
      t->strata[s].nonmated_pairs += pairs;
    t->list.items[t->list.count++] = (sb_sample){.person = study->probe_person[p],
                                                 .other = -1,
                                                 .stratum = t->stratum[p],
                                                 .trials = (double)pairs};
  }
  if (isnan(t->w->threshold)) return sb_ok();
  sb_study_false_matches(study, t->w->threshold, take_false_match, t);
  sb_status status = tell_rates(t, FALSE_MATCHES);
  for (int64_t s = 0; s < t->count && status.code == SB_OK; s++) {
    t->strata[s].fmr = t->figures[s].rate;
    t->strata[s].fmr_interval = t->figures[s].interval;
  }
  return status;
}

static sb_status tell_searches(const work *w, const sb_covariate *c, sb_differential *out) {
  const sb_study *study = w->study;
  telling t = {.w = w, .list.count = study->probes};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&t.stratum, study->probes, "strata"));
  SB_TRY(SB_NEW(&t.found, study->probes, "strata"));
  SB_TRY(SB_NEW_ZERO(&t.list.items, 2 * study->probes + study->matches.count, "strata"));
  SB_TRY(sb_stratify(c, c->probe, NULL, &t.list, &out->searches, &out->search_strata));
  for (int64_t p = 0; p < study->probes; p++) t.stratum[p] = t.list.items[p].stratum;
  t.strata = out->searches;
  t.count = out->search_strata;
  SB_TRY(SB_NEW(&t.figures, t.count, "strata"));
  SB_TRY(tell_mated_searches(&t));
  SB_TRY(tell_false_searches(&t, out));
  SB_TRY(tell_nonmated_pairs(&t));
cleanup:
  free(t.stratum);
  free(t.found);
  free(t.list.items);
  free(t.figures);
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
