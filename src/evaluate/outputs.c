#include "evaluate/outputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/tsv.h"
#include "evaluate/cost.h"
#include "evaluate/curves.h"
#include "evaluate/strata.h"

void sb_result_free(sb_result *result) {
  sb_study_free(&result->study);
  sb_evaluation_free(&result->figures);
  sb_proposals_free(&result->links);
  free(result->datasets);
  free(result->transfers);
  memset(result, 0, sizeof *result);
}

// ---- Opening ------------------------------------------------------------------------------------

// The columns of strata.tsv: each figure, its interval beside it.
static void put_strata_header(FILE *file) {
  fputs("measure\tcolumn\tof\tstratum\twithin", file);
  for (size_t i = 0; i < sb_stratum_figure_count; i++) {
    const char *name = sb_stratum_figures[i].name;
    fprintf(file, "\t%s", name);
    if (sb_stratum_figures[i].interval != 0) fprintf(file, "\t%s_low\t%s_high", name, name);
  }
  fputs("\n", file);
}

sb_status sb_outputs_open(const char *folder, const sb_evaluate_options *options, sb_outputs *out) {
  *out = (sb_outputs){.measures = cJSON_CreateArray()};
  sb_status status = sb_ok();
  SB_TRY(sb_results_open_finished(folder, &out->results));
  SB_TRY(sb_results_create(&out->results, "links.tsv", &out->links));
  fputs("probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\t"
        "expected\tfalse_link_probability\tverdict\texpected_false\tmargin\n",
        out->links);
  SB_TRY(sb_results_create(&out->results, "thresholds.tsv", &out->thresholds));
  fputs("measure\trule\tfrom\tto\tthreshold\tthreshold_low\tthreshold_high\tmated_pairs\t"
        "fnmr\tfnmr_low\tfnmr_high\tnonmated_pairs\tfmr\tfmr_low\tfmr_high\n",
        out->thresholds);
  if (options->by_count > 0) {
    SB_TRY(sb_results_create(&out->results, "strata.tsv", &out->strata));
    put_strata_header(out->strata);
  }
cleanup:
  if (status.code != SB_OK) sb_outputs_close(out);
  return status;
}

void sb_outputs_close(sb_outputs *outputs) {
  sb_results_close(&outputs->results);
  cJSON_Delete(outputs->measures);
  memset(outputs, 0, sizeof *outputs);
}

// ---- links.tsv ----------------------------------------------------------------------------------

const char *sb_expected_of(const sb_scores *scores, int64_t probe, int64_t gallery) {
  int64_t a = scores->now.probe[probe], b = scores->now.gallery[gallery];
  if (a < 0 || b < 0) return "unknown";
  if (a == b) return "same";
  bool within = sb_people_within(&scores->now, probe, gallery);
  return scores->mode == SB_IDENTITIES_LABELS && !within ? "unknown" : "different";
}

static const char *verdict_of(const sb_scores *scores, const sb_listed *pair) {
  const sb_scans *scans = &scores->folder->scans;
  const char *file = scans->probe[pair->probe].source_sha256;
  if (*file != '\0' && strcmp(file, scans->gallery[pair->gallery].source_sha256) == 0)
    return "duplicate"; // one file under two names
  bool different = strcmp(sb_expected_of(scores, pair->probe, pair->gallery), "different") == 0;
  return different ? "same_person" : "same";
}

static void put_links(FILE *file, const sb_scores *scores, const sb_result *result) {
  const sb_scans *scans = &scores->folder->scans;
  for (int64_t i = 0; i < result->links.count; i++) {
    const sb_proposal *link = result->links.items + i;
    const sb_listed *pair = &link->pair;
    const char *const cells[] = {
        scans->probe[pair->probe].dataset, scans->probe[pair->probe].scan_id,
        scans->gallery[pair->gallery].dataset, scans->gallery[pair->gallery].scan_id,
        result->linked->measure->info.name};
    for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) {
      sb_tsv_put(file, cells[c]);
      fputc('\t', file);
    }
    fprintf(file, "%lld\t%.9f\t%s\t%.3g\t%s\t%.3g\t", (long long)pair->rank,
            sb_scale_score(&result->scale, pair->score),
            sb_expected_of(scores, pair->probe, pair->gallery), -expm1(-link->expected_false),
            verdict_of(scores, pair), link->expected_false);
    sb_put_number(file, link->margin);
    fputc('\n', file);
  }
}

// ---- thresholds.tsv -----------------------------------------------------------------------------

static void put_interval(FILE *file, double low, double high) {
  fputc('\t', file);
  sb_put_number(file, low);
  fputc('\t', file);
  sb_put_number(file, high);
}

static void put_transfers(FILE *file, const sb_result *result) {
  for (int64_t i = 0; i < result->transfer_count; i++) {
    const sb_transfer *t = result->transfers + i;
    const sb_applied *a = &t->applied;
    bool up = result->scale.direction > 0;
    const char *const cells[] = {result->linked->measure->info.name, t->rule, t->from, t->to};
    for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) {
      sb_tsv_put(file, cells[c]);
      fputc('\t', file);
    }
    sb_put_number(file, sb_scale_score(&result->scale, t->threshold));
    put_interval(file, sb_scale_score(&result->scale, up ? t->interval.low : t->interval.high),
                 sb_scale_score(&result->scale, up ? t->interval.high : t->interval.low));
    fprintf(file, "\t%lld\t", (long long)t->mated_pairs);
    sb_put_number(file, a->fnmr);
    put_interval(file, a->fnmr_interval.low, a->fnmr_interval.high);
    fprintf(file, "\t%lld\t", (long long)t->nonmated_pairs);
    sb_put_number(file, a->fmr);
    put_interval(file, a->fmr_interval.low, a->fmr_interval.high);
    fputc('\n', file);
  }
}

// ---- strata.tsv ---------------------------------------------------------------------------------

static void put_stratum(FILE *file, const sb_stratum *stratum) {
  const char *base = (const char *)stratum;
  for (size_t i = 0; i < sb_stratum_figure_count; i++) {
    const sb_figure *f = sb_stratum_figures + i;
    int64_t count = f->is_count ? *(const int64_t *)(const void *)(base + f->value) : 0;
    fputc('\t', file);
    sb_put_number(file, !f->is_count ? *(const double *)(const void *)(base + f->value)
                        : count < 0  ? (double)NAN
                                     : (double)count);
    if (f->interval == 0) continue;
    const sb_interval *ends = (const sb_interval *)(const void *)(base + f->interval);
    put_interval(file, ends->low, ends->high);
  }
}

static void put_strata(FILE *file, const char *measure, const char *column, const char *of,
                       const sb_stratum *strata, int64_t count) {
  for (int64_t s = 0; s < count; s++) {
    const int64_t within = strata[s].within;
    const char *const cells[] = {measure, column, of, strata[s].name,
                                 within < 0 ? "" : strata[within].name};
    for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) {
      if (c > 0) fputc('\t', file);
      sb_tsv_put(file, cells[c]);
    }
    put_stratum(file, strata + s);
    fputc('\n', file);
  }
}

static void put_differentials(FILE *file, const sb_evaluation *e) {
  for (int64_t i = 0; i < e->differential_count; i++) {
    const sb_differential *d = e->differentials + i;
    put_strata(file, e->measure, d->column, "mated_pairs", d->pairs, d->pair_strata);
    put_strata(file, e->measure, d->column, "searches", d->searches, d->search_strata);
  }
}

// ---- evaluation.json ----------------------------------------------------------------------------

static void add_number(cJSON *object, const char *name, double value) {
  if (isfinite(value))
    cJSON_AddNumberToObject(object, name, value);
  else
    cJSON_AddNullToObject(object, name);
}

static cJSON *interval(sb_interval i) {
  if (isnan(i.low) || isnan(i.high)) return cJSON_CreateNull();
  const double ends[2] = {i.low, i.high};
  return cJSON_CreateDoubleArray(ends, 2);
}

// Every figure of a table, with the intervals beside them.
static void add_table(cJSON *object, const void *figures, const sb_figure *table, size_t count) {
  const char *base = figures;
  for (size_t i = 0; i < count; i++) {
    const sb_figure *f = table + i;
    if (f->is_count) {
      int64_t n = *(const int64_t *)(const void *)(base + f->value);
      add_number(object, f->name, n < 0 ? (double)NAN : (double)n);
    } else {
      add_number(object, f->name, *(const double *)(const void *)(base + f->value));
    }
  }
  cJSON *intervals = cJSON_AddObjectToObject(object, "intervals");
  for (size_t i = 0; i < count; i++)
    if (table[i].interval != 0)
      cJSON_AddItemToObject(
          intervals, table[i].name,
          interval(*(const sb_interval *)(const void *)(base + table[i].interval)));
}

// The same of a measure, and why some are missing.
static void add_figures(cJSON *object, const sb_evaluation *e) {
  add_table(object, e, sb_figures, sb_figure_count);
  cJSON *why = cJSON_AddArrayToObject(object, "missing");
  for (size_t i = 0; i < sizeof e->why / sizeof *e->why && e->why[i][0] != '\0'; i++)
    cJSON_AddItemToArray(why, cJSON_CreateString(e->why[i]));
}

static void add_tail(cJSON *object, const sb_result *result) {
  const sb_tail *t = &result->tail;
  if (!t->known) {
    cJSON_AddNullToObject(object, "tail");
    return;
  }
  cJSON *tail = cJSON_AddObjectToObject(object, "tail");
  add_number(tail, "pairs", t->pairs);
  add_number(tail, "location_z", t->location);
  add_number(tail, "scale_z", t->scale);
  add_number(tail, "u", t->u);
  add_number(tail, "v", t->v);
  add_number(tail, "exceedances", t->exceedances);
  add_number(tail, "above_u", t->above_u);
  add_number(tail, "cluster", t->cluster);
  add_number(tail, "xi", t->xi);
  add_number(tail, "sigma", t->sigma);
}

static void add_forecasts(cJSON *object, const sb_result *result) {
  cJSON *forecast = cJSON_AddObjectToObject(object, "forecast");
  add_number(forecast, "valid_to_gallery", result->valid_to);
  cJSON *list = cJSON_AddArrayToObject(forecast, "galleries");
  for (int set = 0; set < result->forecast_count; set++)
    for (int i = 0; i < SB_GALLERIES; i++) {
      const sb_forecast *f = result->forecasts[set].at + i;
      cJSON *line = cJSON_CreateObject();
      cJSON_AddItemToArray(list, line);
      cJSON_AddStringToObject(line, "threshold_rule", result->forecasts[set].rule);
      add_number(line, "threshold",
                 sb_scale_score(&result->scale, result->forecasts[set].threshold));
      add_number(line, "gallery", f->gallery);
      cJSON_AddBoolToObject(line, "valid", f->valid);
      add_number(line, "fpir", f->fpir);
      cJSON_AddItemToObject(line, "fpir_interval",
                            interval((sb_interval){f->fpir_low, f->fpir_high}));
      add_number(line, "fpir_binomial", f->fpir_binomial);
      add_number(line, "rank1", f->rank1);
      cJSON_AddItemToObject(line, "rank1_interval",
                            interval((sb_interval){f->rank1_low, f->rank1_high}));
      add_number(line, "rank1_binomial", f->rank1_binomial);
    }
}

static void add_strata(cJSON *object, const char *name, const sb_stratum *strata, int64_t count) {
  bool *shown = NULL;
  int64_t left_out = 0;
  cJSON *list = cJSON_AddArrayToObject(object, name);
  if (SB_NEW(&shown, count, "strata").code == SB_OK &&
      sb_strata_show(strata, count, shown).code == SB_OK)
    for (int64_t s = 0; s < count; s++) {
      left_out += !shown[s];
      if (!shown[s]) continue;
      cJSON *line = cJSON_CreateObject();
      cJSON_AddItemToArray(list, line);
      cJSON_AddStringToObject(line, "stratum", strata[s].name);
      const int64_t within = strata[s].within;
      cJSON_AddItemToObject(line, "within",
                            within < 0 ? cJSON_CreateNull()
                                       : cJSON_CreateString(strata[within].name));
      add_table(line, strata + s, sb_stratum_figures, sb_stratum_figure_count);
    }
  char more[40];
  snprintf(more, sizeof more, "%s_left_out", name);
  cJSON_AddNumberToObject(object, more, (double)left_out);
  free(shown);
}

cJSON *sb_differentials_json(const sb_evaluation *e) {
  static const char *const kinds[] = {"categories", "numbers", "dates"};
  cJSON *list = cJSON_CreateArray();
  for (int64_t i = 0; i < e->differential_count; i++) {
    const sb_differential *d = e->differentials + i;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(list, object);
    cJSON_AddStringToObject(object, "column", d->column);
    cJSON_AddStringToObject(object, "kind", kinds[d->kind]);
    add_number(object, "spearman", d->spearman);
    cJSON_AddItemToObject(object, "spearman_interval", interval(d->spearman_interval));
    add_number(object, "mated_pairs_without_value", (double)d->pairs_without);
    add_number(object, "searches_without_value", (double)d->searches_without);
    add_strata(object, "mated_pairs", d->pairs, d->pair_strata);
    add_strata(object, "searches", d->searches, d->search_strata);
  }
  return list;
}

static cJSON *measure_object(const sb_result *result) {
  cJSON *object = cJSON_CreateObject();
  cJSON_AddStringToObject(object, "measure", result->figures.measure);
  cJSON_AddBoolToObject(object, "higher_is_closer", result->scale.direction > 0);
  cJSON_AddStringToObject(object, "scale", result->scale.ratio ? "log2" : "score");
  add_figures(object, &result->figures);
  add_number(object, "histogram_bins", (double)result->study.bins);
  add_tail(object, result);
  add_forecasts(object, result);
  cJSON *datasets = cJSON_AddArrayToObject(object, "datasets");
  for (int64_t i = 0; i < result->dataset_count; i++) {
    cJSON *part = cJSON_CreateObject();
    cJSON_AddItemToArray(datasets, part);
    cJSON_AddStringToObject(part, "dataset", result->dataset_names[i]);
    add_figures(part, result->datasets + i);
  }
  cJSON_AddItemToObject(object, "differentials", sb_differentials_json(&result->figures));
  return object;
}

sb_status sb_outputs_add(sb_outputs *outputs, const sb_scores *scores, const sb_result *result) {
  put_links(outputs->links, scores, result);
  put_transfers(outputs->thresholds, result);
  if (outputs->strata != NULL) put_differentials(outputs->strata, &result->figures);
  cJSON_AddItemToArray(outputs->measures, measure_object(result));
  return sb_curves_write(&outputs->results, result);
}

static const char *const MORE_DEFINITIONS[][2] = {
    {"intervals",
     "95 %: percentiles of a subject-level bootstrap (people drawn with replacement, each with all "
     "scans; Efron 1979). Where no error was seen, the exact bound instead: the largest rate at "
     "which that happens with probability 0.05 (Clopper and Pearson 1934), its trials being "
     "people, or sets of people that share nobody, never pairs"},
    {"scale",
     "on what scores are averaged, spread and counted: score, or log2 (of a distance without a "
     "limit, whose bins have equal ratios): then mated_mean and nonmated_mean are geometric means, "
     "and standard deviations, bandwidths and the margins of links.tsv are in doublings"},
    {"missing", "why figures are null, in words"},
    {"tail", "non-mated pairs beyond the closest seen: the z of a score is its Fisher transform, y "
             "its surprise under a normal bulk, u and v the levels of y between which a "
             "generalised Pareto distribution was fitted (xi, sigma: posterior means); cluster is "
             "how much more the exceedances vary than independent ones. See docs/evaluation.md"},
    {"forecast",
     "FPIR at a threshold and rank-1 at larger galleries, by the tail and the probes' effects, and "
     "plain binomial extrapolation of the observed shares beside it, where it is known who is who. "
     "valid: the gallery is at most "
     "valid_to_gallery, up to which such forecasts were checked by hiding"},
    {"datasets", "the same figures of the pairs within each dataset"},
    {"differentials", "by the columns asked for: mated pairs by both their values (categories: the "
                      "same, or which two; "
                      "numbers and dates: their difference, dates in years), searches by their "
                      "probe's; all rates at "
                      "fpir_threshold; of many strata the largest, all are in strata.tsv; "
                      "spearman: rank correlation of "
                      "a mated pair's difference with its score"},
    {"cost", "what linking would take on this machine, from this link's times, for one measure and "
             "rows already prepared"},
};

static void add_definitions(cJSON *root) {
  cJSON *definitions = cJSON_AddObjectToObject(root, "definitions");
  for (size_t i = 0; i < sb_figure_count; i++)
    cJSON_AddStringToObject(definitions, sb_figures[i].name, sb_figures[i].definition);
  for (size_t i = 0; i < sizeof MORE_DEFINITIONS / sizeof *MORE_DEFINITIONS; i++)
    cJSON_AddStringToObject(definitions, MORE_DEFINITIONS[i][0], MORE_DEFINITIONS[i][1]);
  cJSON *strata = cJSON_AddObjectToObject(definitions, "strata");
  for (size_t i = 0; i < sb_stratum_figure_count; i++)
    cJSON_AddStringToObject(strata, sb_stratum_figures[i].name, sb_stratum_figures[i].definition);
}

static void add_cost(cJSON *root, const sb_scores *scores) {
  const sb_linked_times *times = &scores->folder->times;
  sb_cost cost = sb_cost_of_link(scores->folder, (double)sb_people_pairs(&scores->now));
  cJSON *object = cJSON_AddObjectToObject(root, "cost");
  cJSON_AddStringToObject(object, "machine", times->machine);
  add_number(object, "threads", times->threads);
  add_number(object, "seconds_per_scan", cost.scan_s);
  add_number(object, "seconds_per_pair", cost.pair_s);
  add_number(object, "seconds_per_probe", cost.probe_s);
  add_number(object, "memory_bytes", cost.memory_bytes);
  cJSON_AddBoolToObject(object, "measured", cost.measured);
  if (!cost.measured)
    cJSON_AddStringToObject(object, "note",
                            "the link took less than a second, too short to be scaled: link more "
                            "scans for figures to rely on");
  cJSON *list = cJSON_AddArrayToObject(object, "galleries");
  for (int i = 0; i < SB_GALLERIES; i++) {
    cJSON *line = cJSON_CreateObject();
    double n = sb_galleries[i];
    cJSON_AddItemToArray(list, line);
    add_number(line, "gallery", n);
    add_number(line, "row_bytes", n * cost.row_bytes);
    add_number(line, "one_probe_hours", sb_cost_seconds(&cost, n, 1) / 3600);
    add_number(line, "as_many_probes_hours", sb_cost_seconds(&cost, n, n) / 3600);
  }
}

sb_status sb_outputs_finish(sb_outputs *outputs, const sb_scores *scores, const char *identities,
                            const char *assumption, const sb_evaluate_options *options) {
  const sb_link_folder *folder = scores->folder;
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "kind", "samebrain evaluation");
  cJSON_AddStringToObject(root, "version", sb_version());
  cJSON_AddStringToObject(root, "identities",
                          identities != NULL ? identities : sb_identity_mode_name(folder->mode));
  add_number(root, "probes", (double)folder->scans.probe_count);
  add_number(root, "gallery", (double)folder->scans.gallery_count);
  add_number(root, "replicates", options->replicates);
  cJSON_AddBoolToObject(root, "one_to_one", options->one_to_one);
  cJSON *covariates =
      options->covariate_count > 0 ? cJSON_AddArrayToObject(root, "covariates") : NULL;
  for (size_t i = 0; i < options->covariate_count; i++)
    cJSON_AddItemToArray(covariates, cJSON_CreateString(options->covariates[i]));
  cJSON_AddStringToObject(root, "note",
                          "Linkage is not identification: these figures say how well scans of one "
                          "person are told from scans of others, not who the person is.");
  if (assumption != NULL) cJSON_AddStringToObject(root, "assumption", assumption);
  cJSON_AddItemToObject(root, "measures", outputs->measures);
  outputs->measures = NULL;
  add_cost(root, scores);
  add_definitions(root);
  sb_status status = sb_results_publish_added(&outputs->results, "evaluation.json", root,
                                              outputs->strata == NULL ? "strata.tsv" : NULL);
  cJSON_Delete(root);
  return status;
}
