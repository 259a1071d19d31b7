// samebrain evaluate: how well scores tell people apart.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/memory.h"
#include "evaluate/outputs.h"
#include "evaluate/strata.h"
#include "report/text.h"

enum { MOST_MEASURES = 64, MOST_COLUMNS = 16 };

// A count, or what stands for an unknown one.
static const char *count_or(const char *unknown, int64_t value, char text[32]) {
  if (value < 0)
    snprintf(text, 32, "%s", unknown);
  else
    snprintf(text, 32, "%" PRId64, value);
  return text;
}

// A figure, or "n/a" where there is none.
static const char *figure(double value, int decimals, char text[32]) {
  if (isnan(value))
    snprintf(text, 32, "n/a");
  else
    snprintf(text, 32, "%.*f", decimals, value);
  return text;
}

// A share between 0 and 1.
static const char *share(double value, char text[SB_TEXT]) {
  return isnan(value) ? "n/a" : sb_text_share(value, text);
}

static void print_table(const sb_evaluation *results, size_t count) {
  char text[6][32], rank1[SB_TEXT];
  printf("%-10s %11s %15s %7s %9s %13s %7s %6s\n", "measure", "mated pairs", "non-mated pairs",
         "rank-1", "mated min", "non-mated max", "margin", "d'");
  for (size_t i = 0; i < count; i++) {
    const sb_evaluation *e = results + i;
    printf("%-10s %11s %15s %7s %9s %13s %7s %6s\n", e->measure,
           count_or("n/a", e->mated_pairs, text[0]), count_or("n/a", e->nonmated_pairs, text[5]),
           share(e->rank1, rank1), figure(e->mated_min, 4, text[1]),
           figure(e->nonmated_max, 4, text[2]), figure(e->margin, 4, text[3]),
           figure(e->d_prime, 2, text[4]));
  }
}

static void print_people(const sb_evaluation *e) {
  printf("\nBy %s, %" PRId64 " of the %" PRId64 " scans that have a mate have one as their closest "
         "scan; ",
         e->measure, e->rank1_probes, e->mated_probes);
  if (isnan(e->margin))
    puts("there is no non-mated pair to compare with.");
  else if (e->margin > 0)
    puts("every mated pair is closer than every non-mated pair.");
  else
    puts("no single threshold separates all mated from all non-mated pairs.");
  if (isnan(e->auc_interval.low)) return;
  char text[4][SB_TEXT];
  printf("With 95 %% confidence over people: AUC %s to %s, rank-1 %s to %s.\n",
         share(e->auc_interval.low, text[0]), share(e->auc_interval.high, text[1]),
         share(e->rank1_interval.low, text[2]), share(e->rank1_interval.high, text[3]));
}

static void print_links(const sb_evaluation *e) {
  if (isnan(e->link_threshold)) return; // why is said already
  printf("Without looking at identities, %" PRId64 " %s proposed by %s at %g false ones expected",
         e->links, e->links == 1 ? "link is" : "links are", e->measure, e->expected_false);
  printf(" (score %.4f)", e->link_threshold);
  if (e->control_links >= 0) printf("; with all known mates taken out, %" PRId64, e->control_links);
  puts(".");
}

static void print_sentences(const sb_evaluation *e) {
  if (e->mated_pairs > 0)
    print_people(e);
  else
    putchar('\n');
  for (size_t i = 0; i < sizeof e->why / sizeof *e->why && e->why[i][0] != '\0'; i++)
    printf("By %s: %s.\n", e->measure, e->why[i]);
  print_links(e);
}

// ---- By columns ---------------------------------------------------------------------------------

// "0.0210 (0.0050 to 0.0400)"; without an interval there are too few people for one.
static const char *rate_text(double rate, sb_interval i, char text[64]) {
  char shares[3][SB_TEXT];
  if (isnan(rate) || isnan(i.low))
    snprintf(text, 64, "%s%s", share(rate, shares[0]), isnan(rate) ? "" : " (few people)");
  else
    snprintf(text, 64, "%s (%s to %s)", share(rate, shares[0]), share(i.low, shares[1]),
             share(i.high, shares[2]));
  return text;
}

static int depth_of(const sb_stratum *strata, int64_t s) {
  int depth = 0;
  while ((s = strata[s].within) >= 0) depth++;
  return depth;
}

static void print_pair_stratum(const sb_stratum *s) {
  char text[3][32], rate[64];
  printf(" %8" PRId64 " %8" PRId64 " %9s %9s %9s  %s\n", s->mated, s->people,
         figure(s->mated_min, 4, text[0]), figure(s->mated_median, 4, text[1]),
         figure(s->mated_max, 4, text[2]), rate_text(s->fnmr, s->fnmr_interval, rate));
}

static void print_search_stratum(const sb_stratum *s) {
  char rate[3][64];
  printf(" %8" PRId64 " %8" PRId64 "  %-25s  %-25s  %s\n", s->searches, s->people,
         rate_text(s->fnir, s->fnir_interval, rate[0]),
         rate_text(s->fpir, s->fpir_interval, rate[1]),
         rate_text(s->fmr, s->fmr_interval, rate[2]));
}

// A header, and a line for each stratum to show.
static sb_status print_strata(const char *of, const char *header, const sb_stratum *strata,
                              int64_t count, void (*print)(const sb_stratum *)) {
  bool *shown = NULL;
  int64_t left_out = 0;
  size_t width = sb_cli_width(of);
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&shown, count, "strata"));
  SB_TRY(sb_strata_show(strata, count, shown));
  for (int64_t s = 0; s < count; s++) {
    size_t wide = 2 * (size_t)depth_of(strata, s) + sb_cli_width(strata[s].name);
    if (shown[s] && wide > width) width = wide;
  }
  putchar('\n');
  sb_cli_pad(of, width);
  puts(header);
  for (int64_t s = 0; s < count; s++) {
    left_out += !shown[s];
    if (!shown[s]) continue;
    const int indent = 2 * depth_of(strata, s);
    printf("%*s", indent, "");
    sb_cli_pad(strata[s].name, width - (size_t)indent);
    print(strata + s);
  }
  if (left_out > 0) printf("and %" PRId64 " more in strata.tsv\n", left_out);
cleanup:
  free(shown);
  return status;
}

static sb_status print_differential(const sb_differential *d) {
  char *of = sb_format(d->kind == SB_CATEGORIES ? "pairs by %s"
                       : d->kind == SB_DATES    ? "pairs by years between %s"
                                                : "pairs by difference of %s",
                       d->column);
  char *by = sb_format("searches by %s", d->column);
  sb_status status = sb_error(SB_NO_MEMORY, "out of memory");
  if (of == NULL || by == NULL) goto cleanup;
  SB_TRY(print_strata(of, "    mated   people     least    median      most  FNMR (95 %)", d->pairs,
                      d->pair_strata, print_pair_stratum));
  if (!isnan(d->spearman))
    printf("Spearman's correlation of difference and score: %.3f", d->spearman);
  if (!isnan(d->spearman_interval.low))
    printf(" (%.3f to %.3f)", d->spearman_interval.low, d->spearman_interval.high);
  if (!isnan(d->spearman)) putchar('\n');
  SB_TRY(print_strata(by,
                      " searches   people  FNIR (95 %)                FPIR (95 %)                "
                      "FMR (95 %)",
                      d->searches, d->search_strata, print_search_stratum));
cleanup:
  free(of);
  free(by);
  return status;
}

static sb_status print_differentials(const sb_evaluation *e, bool more) {
  char text[32];
  sb_status status = sb_ok();
  if (e->differential_count > 0)
    printf("\nBy columns, %s, all rates at its score %s (fpir %g)%s:\n", e->measure,
           figure(e->fpir_threshold, 4, text), e->fpir,
           more ? "; strata.tsv has all measures" : "");
  for (int64_t i = 0; i < e->differential_count && status.code == SB_OK; i++)
    status = print_differential(e->differentials + i);
  return status;
}

// "age:1,2,5,scanner,site:each": parts between commas, of which numbers go on with a column's edges.
static bool take_columns(const sb_arguments *a, char **parts, size_t count, sb_by *by,
                         size_t *used) {
  for (size_t i = 0; i < count; i++) {
    sb_by *last = *used > 0 ? by + *used - 1 : NULL;
    char *colon = strrchr(parts[i], ':'), *end;
    double edge = strtod(parts[i], &end);
    bool goes_on = last != NULL && last->edge_count > 0 && *end == '\0';
    if (goes_on ? last->edge_count == SB_MOST_EDGES : *used == MOST_COLUMNS) {
      sb_cli_usage(a->command, "--by: at most %d columns, each with at most %d edges", MOST_COLUMNS,
                   SB_MOST_EDGES);
      return false;
    }
    if (goes_on) {
      last->edges[last->edge_count++] = edge;
      continue;
    }
    sb_by *next = by + (*used)++;
    *next = (sb_by){.column = parts[i]};
    if (colon == NULL) continue;
    edge = strtod(colon + 1, &end);
    next->categories = strcmp(colon + 1, "each") == 0;
    if (end != colon + 1 && *end == '\0') next->edges[next->edge_count++] = edge;
    if (next->categories || next->edge_count > 0) *colon = '\0';
  }
  return true;
}

// ---- All ----------------------------------------------------------------------------------------

static void print_value(const char *name, double value) {
  if (isfinite(value))
    printf(", \"%s\": %.9g", name, value);
  else
    printf(", \"%s\": null", name);
}

static void print_json(const sb_evaluation *results, size_t count) {
  fputs("[", stdout);
  for (size_t i = 0; i < count; i++) {
    const sb_evaluation *e = results + i;
    char text[32];
    const struct {
      const char *name;
      int64_t value;
    } counts[] = {{"mated_pairs", e->mated_pairs},
                  {"nonmated_pairs", e->nonmated_pairs},
                  {"mated_probes", e->mated_probes},
                  {"rank1_probes", e->rank1_probes},
                  {"links", e->links},
                  {"control_links", e->control_links},
                  {"alike_pairs", e->alike_pairs}};
    printf("%s{\"measure\": \"%s\"", i == 0 ? "" : ", ", e->measure);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
      printf(", \"%s\": %s", counts[c].name, count_or("null", counts[c].value, text));
    const struct {
      const char *name;
      double value;
    } values[] = {{"rank1", e->rank1},
                  {"mated_min", e->mated_min},
                  {"nonmated_max", e->nonmated_max},
                  {"margin", e->margin},
                  {"mated_mean", e->mated_mean},
                  {"mated_sd", e->mated_sd},
                  {"nonmated_mean", e->nonmated_mean},
                  {"nonmated_sd", e->nonmated_sd},
                  {"d_prime", e->d_prime},
                  {"auc", e->auc},
                  {"auc_low", e->auc_interval.low},
                  {"auc_high", e->auc_interval.high},
                  {"eer", e->eer},
                  {"kde_threshold", e->kde_threshold},
                  {"fpir", e->fpir},
                  {"fpir_gallery", e->fpir_gallery},
                  {"fnir", e->fnir},
                  {"fnir_low", e->fnir_interval.low},
                  {"fnir_high", e->fnir_interval.high},
                  {"link_threshold", e->link_threshold}};
    for (size_t f = 0; f < sizeof values / sizeof *values; f++)
      print_value(values[f].name, values[f].value);
    cJSON *differentials = sb_differentials_json(e);
    char *strata = cJSON_PrintUnformatted(differentials);
    printf(", \"differentials\": %s", strata == NULL ? "null" : strata);
    cJSON_free(strata);
    cJSON_Delete(differentials);
    fputs("}", stdout);
  }
  fputs("]\n", stdout);
}

static sb_status print(const sb_arguments *a, const sb_evaluation *results, size_t count) {
  if (a->json) {
    print_json(results, count);
    return sb_ok();
  }
  if (a->quiet) return sb_ok();
  print_table(results, count);
  for (size_t i = 0; i < count; i++) print_sentences(results + i);
  return print_differentials(results, count > 1);
}

static int evaluate(const sb_arguments *a, const sb_evaluate_options *options) {
  sb_evaluation results[MOST_MEASURES];
  size_t count = 0;
  sb_hold hold;
  sb_status status = sb_cli_hold_results(a->positional[0], &hold);
  if (status.code == SB_OK)
    status = sb_evaluate(a->positional[0], options, results, MOST_MEASURES, &count);
  if (status.code != SB_OK) count = 0; // there may be more than there is room for
  if (status.code == SB_OK) status = sb_cli_write_report(a, a->positional[0]);
  sb_hold_release(&hold);
  if (status.code == SB_OK) status = print(a, results, count);
  for (size_t i = 0; i < count; i++) sb_evaluation_free(results + i);
  return status.code == SB_OK ? SB_EXIT_OK : sb_report(status);
}

static int run(const sb_arguments *a) {
  const sb_progress progress = sb_cli_progress(a->quiet);
  sb_evaluate_options options = sb_evaluate_options_default();
  sb_by by[MOST_COLUMNS];
  const char **covariates = calloc(a->option_count + 1, sizeof *covariates);
  char **parts = NULL;
  size_t part_count = 0;
  if (covariates == NULL) return sb_report(sb_error(SB_NO_MEMORY, "out of memory"));
  options.identities = sb_arg_text(a, "--identities", NULL);
  options.covariates = covariates;
  options.covariate_count = sb_arg_texts(a, "--covariates", covariates);
  options.one_to_one = sb_arg_flag(a, "--one-to-one");
  options.progress = &progress;
  options.by = by;
  int code = SB_EXIT_USAGE;
  if (sb_arg_double(a, "--fpir", &options.fpir) &&
      sb_arg_double(a, "--expected-false", &options.expected_false) &&
      sb_arg_threads(a, &options.threads) && sb_arg_list(a, "--by", &parts, &part_count) &&
      take_columns(a, parts, part_count, by, &options.by_count))
    code = evaluate(a, &options);
  sb_free_names(parts, part_count);
  free((void *)covariates);
  return code;
}

static const sb_option OPTIONS[] = {
    {"--identities", "TSV", "who is who: dataset, scan_id, person; \"none\" (as link used them)"},
    {"--fpir", "RATE", "false positive identification rate at which FNIR is told (0.001)"},
    {"--expected-false", "N", "false links to expect among all that are proposed (0.01)"},
    {"--by", "COLUMN,...",
     "columns to tell performance apart by: age, age:1,2,5 (edges of a pair's difference), "
     "site:each (numbers are names)"},
    {"--covariates", "TSV|BIDS",
     "what has them: a table, by scan_id or participant_id (session_id), or a BIDS folder; several "
     "times"},
    {"--one-to-one", NULL, "propose each scan in one link at most, the closest pair first"},
    {"--threads", "N", "processors to use; changes no figure (all)"},
    {SB_NO_IMAGES},
    {0},
};

const sb_command sb_cmd_evaluate = {
    .name = "evaluate",
    .usage = "OUT",
    .summary = "how well the scores of a link tell people apart",
    .details =
        "Reads what link wrote into the folder OUT. Where it is known who is who, says how "
        "well mated pairs (two scans of one person) are told from non-mated pairs, with "
        "intervals over people. Without looking at identities, proposes the links that "
        "chance does not explain. Writes evaluation.json there, with every figure and its "
        "definition, links.tsv, thresholds.tsv, the curves as tables, and report.html, a page "
        "with all of it. With --by it tells, in strata.tsv too, how scores, misses and false "
        "matches depend on what tables or BIDS folders know of the scans: age, dates, scanner, "
        "site, ...",
    .example =
        "samebrain evaluate links\n  "
        "samebrain evaluate links --by age:1,2,5,scanner --covariates sessions.tsv\n  "
        "samebrain evaluate links --by MagneticFieldStrength,age --covariates path/to/bids\n  "
        "samebrain evaluate risk --identities truth.tsv --fpir 0.01",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
