// samebrain evaluate: how well scores tell people apart.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cli/cli.h"

enum { MOST_MEASURES = 64 };

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

static void print_table(const sb_evaluation *results, size_t count) {
  char text[7][32];
  printf("%-10s %11s %15s %7s %9s %13s %7s %6s\n", "measure", "mated pairs", "non-mated pairs",
         "rank-1", "mated min", "non-mated max", "margin", "d'");
  for (size_t i = 0; i < count; i++) {
    const sb_evaluation *e = results + i;
    printf("%-10s %11s %15s %7s %9s %13s %7s %6s\n", e->measure,
           count_or("n/a", e->mated_pairs, text[5]), count_or("n/a", e->nonmated_pairs, text[6]),
           figure(e->rank1, 4, text[0]), figure(e->mated_min, 4, text[1]),
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
  printf("With 95 %% confidence over people: AUC %.4f to %.4f, rank-1 %.4f to %.4f.\n",
         e->auc_interval.low, e->auc_interval.high, e->rank1_interval.low, e->rank1_interval.high);
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
    fputs("}", stdout);
  }
  fputs("]\n", stdout);
}

static int run(const sb_arguments *a) {
  sb_evaluation results[MOST_MEASURES];
  size_t count = 0;
  const sb_progress progress = sb_cli_progress(a->quiet);
  sb_evaluate_options options = sb_evaluate_options_default();
  options.identities = sb_arg_text(a, "--identities", NULL);
  options.one_to_one = sb_arg_flag(a, "--one-to-one");
  options.progress = &progress;
  if (!sb_arg_double(a, "--fpir", &options.fpir) ||
      !sb_arg_double(a, "--expected-false", &options.expected_false) ||
      !sb_arg_threads(a, &options.threads))
    return SB_EXIT_USAGE;
  sb_hold hold;
  sb_status status = sb_cli_hold_results(a->positional[0], &hold);
  if (status.code == SB_OK)
    status = sb_evaluate(a->positional[0], &options, results, MOST_MEASURES, &count);
  if (status.code == SB_OK) status = sb_cli_write_report(a, a->positional[0]);
  sb_hold_release(&hold);
  if (status.code != SB_OK) return sb_report(status);
  if (a->json) {
    print_json(results, count);
  } else if (!a->quiet) {
    print_table(results, count);
    for (size_t i = 0; i < count; i++) print_sentences(results + i);
  }
  return SB_EXIT_OK;
}

static const sb_option OPTIONS[] = {
    {"--identities", "TSV", "who is who: dataset, scan_id, person; \"none\" (as link used them)"},
    {"--fpir", "RATE", "false positive identification rate at which FNIR is told (0.001)"},
    {"--expected-false", "N", "false links to expect among all that are proposed (0.01)"},
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
        "with all of it.",
    .example = "samebrain evaluate links\n  "
               "samebrain evaluate risk --identities truth.tsv --fpir 0.01",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
