// sb_evaluate: measure by measure, from the scores to every figure, link and forecast.
#include "samebrain/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/warn.h"
#include "evaluate/differential.h"
#include "evaluate/outputs.h"
#include "measure/likely.h"

// Thresholds go from every dataset to every other; beyond this many datasets, only between each and
// all others together.
enum { MOST_DATASETS = 8 };

sb_evaluate_options sb_evaluate_options_default(void) {
  return (sb_evaluate_options){.fpir = 0.001, .expected_false = 0.01, .replicates = 1000};
}

typedef struct evaluator {
  const sb_evaluate_options *options;
  sb_link_folder *folder;
  sb_scores *scores;
  const char **dataset_names; // by number
  const sb_covariates *covariates;
} evaluator;

static sb_status check_options(const sb_evaluate_options *options) {
  if (!(options->fpir >= 0 && options->fpir < 1))
    return sb_error(SB_USAGE, "a false positive identification rate is between 0 and 1 (fpir %g)",
                    options->fpir);
  if (!(options->expected_false > 0 && isfinite(options->expected_false)))
    return sb_error(SB_USAGE, "the number of false links to expect must be above 0 (%g)",
                    options->expected_false);
  if (options->replicates < 0 || options->replicates > 100000)
    return sb_error(SB_USAGE, "between 0 and 100,000 replicates can be drawn");
  return sb_ok();
}

static sb_status name_datasets(evaluator *e) {
  const sb_people *now = &e->scores->now;
  const sb_scans *scans = &e->folder->scans;
  sb_status status = SB_NEW(&e->dataset_names, now->datasets, "datasets");
  if (status.code != SB_OK) return status;
  for (int64_t p = 0; p < scans->probe_count; p++)
    e->dataset_names[now->probe_dataset[p]] = scans->probe[p].dataset;
  for (int64_t g = 0; g < scans->gallery_count; g++)
    e->dataset_names[now->gallery_dataset[g]] = scans->gallery[g].dataset;
  return status;
}

// ---- Thresholds and where they go ---------------------------------------------------------------

static sb_status add_transfer(sb_result *result, const char *rule, const char *from, const char *to,
                              double threshold, sb_interval interval) {
  if (isnan(threshold)) return sb_ok();
  int64_t count = result->transfer_count;
  sb_transfer *grown = realloc(result->transfers, (size_t)(count + 1) * sizeof *grown);
  if (grown == NULL) return sb_error(SB_NO_MEMORY, "out of memory for thresholds");
  result->transfers = grown;
  grown[count] =
      (sb_transfer){.rule = rule, .to = to, .threshold = threshold, .interval = interval};
  snprintf(grown[count].from, sizeof grown[count].from, "%s", from);
  result->transfer_count++;
  return sb_ok();
}

// Applies the lines from `first` on to the study that they all go to.
static sb_status apply_transfers(const evaluator *e, const sb_study *study, int64_t first,
                                 sb_result *result) {
  int64_t count = result->transfer_count - first;
  double *thresholds = NULL;
  sb_applied *applied = NULL;
  sb_pool pool = {0};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&thresholds, count, "thresholds"));
  SB_TRY(SB_NEW(&applied, count, "thresholds"));
  SB_TRY(sb_pool_of_study(study, &pool));
  for (int64_t i = 0; i < count; i++) thresholds[i] = result->transfers[first + i].threshold;
  SB_TRY(sb_figures_apply(study, thresholds, (int)count, e->options, applied));
  for (int64_t i = 0; i < count; i++) {
    sb_transfer *t = result->transfers + first + i;
    t->applied = applied[i];
    t->mated_pairs = study->mated.count;
    t->nonmated_pairs = (int64_t)llround(pool.nonmated_weight);
  }
cleanup:
  free(thresholds);
  free(applied);
  sb_pool_free(&pool);
  return status;
}

static const char *const FAR_RULES[SB_FARS] = {"far_0.1", "far_0.01", "far_0.001", "far_0.0001"};

static sb_status add_given(sb_result *result, const sb_given *g, const char *from, const char *to) {
  sb_status status = add_transfer(result, "kde_crossing", from, to, g->value.kde_threshold,
                                  (sb_interval){g->low.kde_threshold, g->high.kde_threshold});
  for (int i = 0; i < SB_FARS && status.code == SB_OK; i++)
    status = add_transfer(result, FAR_RULES[i], from, to, g->value.tar_threshold[i],
                          (sb_interval){g->low.tar_threshold[i], g->high.tar_threshold[i]});
  return status;
}

static sb_status thresholds_of_all(const evaluator *e, const sb_given *g, sb_result *result) {
  const sb_interval none = {(double)NAN, (double)NAN};
  int64_t first = result->transfer_count;
  sb_status status = sb_ok();
  SB_TRY(add_given(result, g, "all", "all"));
  SB_TRY(add_transfer(result, "eer", "all", "all", g->value.eer_threshold,
                      (sb_interval){g->low.eer_threshold, g->high.eer_threshold}));
  SB_TRY(add_transfer(result, "fpir", "all", "all", g->value.fpir_threshold,
                      (sb_interval){g->low.fpir_threshold, g->high.fpir_threshold}));
  SB_TRY(add_transfer(result, "expected_false", "all", "all",
                      sb_scale_closeness(&result->scale, result->figures.link_threshold), none));
  SB_TRY(apply_transfers(e, &result->study, first, result));
cleanup:
  return status;
}

// All parts but one as a study; zeroed when they are none.
static sb_status join_others(const sb_study *parts, int64_t count, int64_t left_out,
                             sb_study *out) {
  sb_study joined = {0};
  sb_status status = sb_ok();
  memset(out, 0, sizeof *out);
  for (int64_t i = 0; i < count; i++) {
    if (i == left_out || parts[i].probes == 0 || parts[i].gallery == 0) continue;
    const sb_study empty = {.low = parts[i].low,
                            .high = parts[i].high,
                            .ratio = parts[i].ratio,
                            .self = parts[i].self,
                            .bins = parts[i].bins};
    status = sb_study_join(out->bins > 0 ? out : &empty, parts + i, &joined);
    sb_study_free(out);
    if (status.code != SB_OK) return status;
    *out = joined;
  }
  return status;
}

// To one dataset: its own thresholds, those of every other, and those of all others together.
static sb_status thresholds_to(const evaluator *e, const sb_study *parts, const sb_given *gives,
                               int64_t count, int64_t to, sb_result *result) {
  const char *name = e->dataset_names[to];
  int64_t first = result->transfer_count;
  char from[160];
  sb_study others = {0};
  sb_status status = sb_ok();
  for (int64_t i = 0; i < count; i++)
    if (i == to || count <= MOST_DATASETS)
      SB_TRY(add_given(result, gives + i, e->dataset_names[i], name));
  if (count > 2) { // leave one dataset out
    sb_given g;
    SB_TRY(join_others(parts, count, to, &others));
    SB_TRY(sb_figures_given(&others, e->options, &g));
    snprintf(from, sizeof from, "all but %s", name);
    SB_TRY(add_given(result, &g, from, name));
  }
  if (result->transfer_count > first) SB_TRY(apply_transfers(e, parts + to, first, result));
cleanup:
  sb_study_free(&others);
  return status;
}

static double closest_nonmated(const sb_study *study) {
  double closest = -INFINITY;
  for (int64_t p = 0; p < study->probes; p++)
    if (!isnan(study->best_nonmated[p])) closest = fmax(closest, study->best_nonmated[p]);
  return closest;
}

// Links are proposed among all scans, not within a dataset.
static void no_links(sb_evaluation *figures) {
  figures->expected_false = figures->link_threshold = (double)NAN;
  figures->links = figures->false_links = figures->control_links = figures->alike_pairs = -1;
}

// Figures within each dataset, and what thresholds do that come from another.
static sb_status evaluate_datasets(const evaluator *e, sb_result *result) {
  const sb_people *now = &e->scores->now;
  const uint32_t *within = result->linked->within;
  int64_t count = now->datasets;
  if (within == NULL || count < 2) return sb_ok();
  sb_study *parts = NULL;
  sb_given *gives = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(&parts, count, "datasets"));
  SB_TRY(SB_NEW_ZERO(&gives, count, "datasets"));
  SB_TRY(SB_NEW_ZERO(&result->datasets, count, "datasets"));
  result->dataset_names = e->dataset_names;
  for (int64_t d = 0; d < count; d++) {
    SB_TRY(sb_study_within(&result->study, now->probe_dataset, now->gallery_dataset, within, d,
                           parts + d));
    SB_TRY(sb_figures_of_study(parts + d, result->linked->measure->info.name, &result->scale,
                               closest_nonmated(parts + d), e->options, result->datasets + d,
                               gives + d));
    no_links(result->datasets + d);
  }
  result->dataset_count = count;
  for (int64_t d = 0; d < count; d++) SB_TRY(thresholds_to(e, parts, gives, count, d, result));
cleanup:
  for (int64_t d = 0; parts != NULL && d < count; d++) sb_study_free(parts + d);
  free(parts);
  free(gives);
  return status;
}

// ---- Links --------------------------------------------------------------------------------------

static sb_status control_attack(const evaluator *e, const sb_result *result, int64_t *links) {
  sb_tail *tail = NULL;
  sb_proposals proposals = {0};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&tail, 1, "tail"));
  SB_TRY(sb_tail_of_study(&result->study, false, tail));
  SB_TRY(sb_links_propose(&result->study, tail, e->options->expected_false, false,
                          e->options->one_to_one, &proposals));
  *links = proposals.count;
cleanup:
  sb_proposals_free(&proposals);
  free(tail);
  return status;
}

static double pairs_above(const sb_study *study, double closeness) {
  double above = sb_study_nonmated_above(study, closeness);
  for (int64_t i = 0; i < study->mated.count; i++)
    above += study->mated.items[i].score >= closeness;
  return above;
}

// Where many scans are of few people, or blurred, scores of two people seem to reach as high as one person's.
static int64_t count_alike(const sb_result *result) {
  const double threshold = result->links.threshold;
  if (strcmp(result->linked->measure->info.name, SB_LIKELY_MEASURE) != 0) return -1;
  const double proposed = isnan(threshold) ? 0 : pairs_above(&result->study, threshold);
  return llround(fmax(0, pairs_above(&result->study, SB_LIKELY_SAME) - proposed));
}

static sb_status propose_links(const evaluator *e, sb_result *result) {
  sb_evaluation *figures = &result->figures;
  sb_status status = sb_ok();
  SB_TRY(sb_tail_of_study(&result->study, true, &result->tail));
  SB_TRY(sb_links_propose(&result->study, &result->tail, e->options->expected_false, true,
                          e->options->one_to_one, &result->links));
  figures->expected_false = e->options->expected_false;
  figures->link_threshold = sb_scale_score(&result->scale, result->links.threshold);
  figures->links = result->links.count;
  figures->alike_pairs = count_alike(result);
  figures->false_links = 0;
  for (int64_t i = 0; i < result->links.count; i++) {
    const sb_listed *pair = &result->links.items[i].pair;
    figures->false_links +=
        strcmp(sb_expected_of(e->scores, pair->probe, pair->gallery), "different") == 0;
  }
  if (result->anyone)
    SB_TRY(control_attack(e, result, &figures->control_links));
  else
    figures->false_links = figures->control_links = -1;
cleanup:
  return status;
}

// ---- Forecast -----------------------------------------------------------------------------------

static sb_status forecast(sb_result *result) {
  const struct {
    const char *rule;
    double threshold; // a score
  } sets[SB_FORECAST_SETS] = {{"kde_crossing", result->figures.kde_threshold},
                              {"fpir", result->figures.fpir_threshold},
                              {"expected_false", result->figures.link_threshold}};
  sb_forecaster forecaster = {0};
  sb_status status = sb_ok();
  SB_TRY(sb_forecast_open(&result->study, result->anyone, 1, &forecaster));
  result->valid_to = forecaster.valid_to;
  for (int i = 0; i < SB_FORECAST_SETS; i++) {
    if (isnan(sets[i].threshold)) continue;
    sb_forecast_set *set = result->forecasts + result->forecast_count++;
    set->rule = sets[i].rule;
    set->threshold = sb_scale_closeness(&result->scale, sets[i].threshold);
    for (int k = 0; k < SB_GALLERIES; k++)
      SB_TRY(sb_forecast_at(&forecaster, sb_galleries[k], set->threshold, set->at + k));
  }
cleanup:
  sb_forecast_close(&forecaster);
  return status;
}

// ---- One measure --------------------------------------------------------------------------------

// Where nobody is known, all figures but those of links are missing.
static void say_nobody(const sb_result *result, sb_evaluation *out) {
  char *base = (char *)out;
  for (size_t i = 0; i < sb_figure_count; i++) {
    const sb_figure *f = sb_figures + i;
    if (f->is_count)
      *(int64_t *)(void *)(base + f->value) = -1;
    else
      *(double *)(void *)(base + f->value) = (double)NAN;
    if (f->interval != 0)
      *(sb_interval *)(void *)(base + f->interval) = (sb_interval){(double)NAN, (double)NAN};
  }
  memset(out->why, 0, sizeof out->why);
  snprintf(out->measure, sizeof out->measure, "%s", result->linked->measure->info.name);
  snprintf(out->why[0], sizeof out->why[0],
           "nobody's identity is known, so nothing is said of mated and non-mated pairs; a table "
           "with the columns dataset, scan_id, person tells who is who (--identities)");
}

// The first of the reasons that is not given yet; their number: all are.
static size_t next_why(const sb_evaluation *out) {
  size_t i = 0;
  while (i < sizeof out->why / sizeof *out->why && out->why[i][0] != '\0') i++;
  return i;
}

// Scans that an identities table does not name are in no pair, and so in no link either.
static void say_left_out(const sb_people *now, sb_evaluation *out) {
  const size_t i = next_why(out);
  int64_t named = 0, scans = now->probe_count + (now->self ? 0 : now->gallery_count);
  if (!now->unknown_left_out || i == sizeof out->why / sizeof *out->why) return;
  for (int64_t k = 0; k < now->probe_count; k++) named += now->probe[k] >= 0;
  for (int64_t k = 0; k < now->gallery_count && !now->self; k++) named += now->gallery[k] >= 0;
  if (named < scans)
    snprintf(out->why[i], sizeof out->why[i],
             "identities name %" PRId64 " of %" PRId64 " scans; pairs with the others are left out "
             "of all figures and of the links (--identities none proposes links among all scans)",
             named, scans);
}

// Why no link could be proposed, whatever its score; or not all.
static void say_of_links(const sb_result *result, double expected_false, sb_evaluation *out) {
  const size_t i = next_why(out);
  if (i == sizeof out->why / sizeof *out->why) return;
  if (!result->tail.known)
    snprintf(out->why[i], sizeof out->why[i],
             "no links are proposed: fewer than %d pairs, or scores so alike that chance cannot be "
             "told from a mate",
             SB_LEAST_PAIRS);
  else if (isnan(result->links.threshold))
    snprintf(out->why[i], sizeof out->why[i],
             "no links are proposed: among so few pairs chance cannot be told from a mate at %g "
             "false links expected, however close",
             expected_false);
  else if (result->links.cut_short)
    snprintf(out->why[i], sizeof out->why[i],
             "links may be missing: some scans have more such matches than link listed; link again "
             "with a larger --top");
}

static void say_of_alike(sb_evaluation *out) {
  const size_t i = next_why(out);
  if (out->alike_pairs <= 0 || i == sizeof out->why / sizeof *out->why) return;
  snprintf(out->why[i], sizeof out->why[i],
           "%" PRId64
           " %s as alike as two scans of one person usually are (%.2f) and not proposed%s; "
           "matches.tsv has the closest",
           out->alike_pairs, out->alike_pairs == 1 ? "pair is" : "pairs are", SB_LIKELY_SAME,
           isnan(out->link_threshold) ? "" : ", as chance seems to reach as far");
}

static sb_status evaluate_measure(const evaluator *e, sb_linked_measure *m, sb_result *result) {
  double nonmated_max = -INFINITY;
  sb_status status = sb_ok();
  result->linked = m;
  result->scale = sb_scale_of(&m->measure->info);
  result->anyone = e->scores->anyone;
  SB_TRY(sb_scores_study(e->scores, m, &result->study, &nonmated_max));
  if (result->anyone)
    SB_TRY(sb_figures_of_study(&result->study, m->measure->info.name, &result->scale, nonmated_max,
                               e->options, &result->figures, &result->given));
  else
    say_nobody(result, &result->figures);
  SB_TRY(propose_links(e, result));
  say_left_out(&e->scores->now, &result->figures);
  say_of_links(result, e->options->expected_false, &result->figures);
  say_of_alike(&result->figures);
  if (result->anyone) {
    SB_TRY(thresholds_of_all(e, &result->given, result));
    SB_TRY(evaluate_datasets(e, result));
    SB_TRY(sb_differentials_of_study(&result->study, &result->scale,
                                     result->given.value.fpir_threshold, e->covariates, e->options,
                                     &result->figures));
  }
  SB_TRY(forecast(result));
cleanup:
  return status;
}

// ---- The whole ----------------------------------------------------------------------------------

// That nobody is in both stores, by labels, and nothing says so.
static bool is_assumed(const sb_scores *scores) {
  bool assumed =
      scores->mode == SB_IDENTITIES_LABELS && !scores->now.self && scores->mated_count == 0;
  for (int64_t i = 0; i < scores->now.probe_count; i++)
    assumed = assumed && scores->now.same[i] < 0;
  return assumed && scores->anyone;
}

static sb_status evaluate_all(const evaluator *e, sb_outputs *outputs, sb_evaluation *results) {
  sb_status status = sb_ok();
  for (size_t i = 0; i < e->folder->measure_count && status.code == SB_OK; i++) {
    sb_result *result = NULL;
    status = SB_NEW_ZERO(&result, 1, "results");
    if (status.code == SB_OK) status = evaluate_measure(e, e->folder->measures + i, result);
    if (status.code == SB_OK) status = sb_outputs_add(outputs, e->scores, result);
    if (status.code == SB_OK) {
      results[i] = result->figures;
      result->figures.differentials = NULL; // theirs now
      result->figures.differential_count = 0;
    }
    if (result != NULL) sb_result_free(result);
    free(result);
  }
  return status;
}

sb_status sb_evaluate(const char *out, const sb_evaluate_options *options, sb_evaluation *results,
                      size_t capacity, size_t *count) {
  static const char *const assumption =
      "no person is known to be in both stores; the non-mated figures assume that different labels "
      "are different people";
  const sb_evaluate_options defaults = sb_evaluate_options_default();
  if (options == NULL) options = &defaults;
  sb_link_folder folder = {0};
  sb_tsv table = {0};
  sb_scores scores = {0};
  sb_outputs outputs = {0};
  sb_covariates covariates = {0};
  evaluator e = {
      .options = options, .folder = &folder, .scores = &scores, .covariates = &covariates};
  sb_status status = sb_ok();
  *count = 0;
  for (size_t i = 0; i < capacity; i++) {
    results[i].differentials = NULL;
    results[i].differential_count = 0;
  }
  SB_TRY(check_options(options));
  SB_TRY(sb_link_folder_open(out, &folder));
  if (folder.measure_count > capacity) {
    *count = folder.measure_count;
    status = sb_error(SB_USAGE, "%s: has %zu measures and room was given for %zu", out,
                      folder.measure_count, capacity);
    goto cleanup;
  }
  SB_TRY(sb_scores_open(&folder, options->identities, &table, options->progress, &scores));
  SB_TRY(name_datasets(&e));
  SB_TRY(sb_covariates_read(options, &folder.scans, &covariates));
  SB_TRY(sb_outputs_open(out, options, &outputs));
  SB_TRY(evaluate_all(&e, &outputs, results));
  bool assumed = is_assumed(&scores);
  SB_TRY(sb_outputs_finish(&outputs, &scores, options->identities, assumed ? assumption : NULL,
                           options));
  if (assumed)
    sb_warn(options->progress, "%s: %s; tell who is who (--identities)", out, assumption);
  if (options->by_count > 0 && !scores.anyone)
    sb_warn(options->progress,
            "%s: nobody's identity is known, so nothing is told by covariates; tell who is who "
            "(--identities)",
            out);
  *count = folder.measure_count;
cleanup:
  for (size_t i = 0; i < capacity && status.code != SB_OK; i++) sb_evaluation_free(results + i);
  sb_outputs_close(&outputs);
  sb_covariates_free(&covariates);
  sb_scores_close(&scores);
  free(e.dataset_names);
  sb_tsv_free(&table);
  sb_link_folder_close(&folder);
  return status;
}
