// samebrain evaluate: how well scores tell people apart.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cli/cli.h"

enum { MOST_MEASURES = 64 };

// A figure, or "n/a" where there is none.
static const char *figure(double value, int decimals, char text[32]) {
  if (isnan(value))
    snprintf(text, 32, "n/a");
  else
    snprintf(text, 32, "%.*f", decimals, value);
  return text;
}

static void print_table(const sb_evaluation *results, size_t count) {
  char text[5][32];
  printf("%-10s %11s %15s %7s %9s %13s %7s %6s\n", "measure", "mated pairs", "non-mated pairs",
         "rank-1", "mated min", "non-mated max", "margin", "d'");
  for (size_t i = 0; i < count; i++) {
    const sb_evaluation *e = results + i;
    printf("%-10s %11" PRId64 " %15" PRId64 " %7s %9s %13s %7s %6s\n", e->measure, e->mated_pairs,
           e->nonmated_pairs, figure(e->rank1, 4, text[0]), figure(e->mated_min, 4, text[1]),
           figure(e->nonmated_max, 4, text[2]), figure(e->margin, 4, text[3]),
           figure(e->d_prime, 2, text[4]));
  }
}

static void print_sentence(const sb_evaluation *e) {
  if (e->mated_pairs == 0) {
    puts("\nNobody is known to have two scans here, so nothing can be said of mated pairs.");
    return;
  }
  printf("\nBy %s, %" PRId64 " of the %" PRId64 " scans that have a mate have one as their closest "
         "scan; ",
         e->measure, e->rank1_probes, e->mated_probes);
  if (isnan(e->margin))
    puts("there is no non-mated pair to compare with.");
  else if (e->margin > 0)
    puts("every mated pair is closer than every non-mated pair.");
  else
    puts("no single threshold separates all mated from all non-mated pairs.");
}

static void print_json(const sb_evaluation *results, size_t count) {
  static const char *const names[] = {"rank1",         "mated_min",   "nonmated_max",
                                      "margin",        "mated_mean",  "mated_sd",
                                      "nonmated_mean", "nonmated_sd", "d_prime"};
  fputs("[", stdout);
  for (size_t i = 0; i < count; i++) {
    const sb_evaluation *e = results + i;
    const double values[] = {e->rank1,         e->mated_min,   e->nonmated_max,
                             e->margin,        e->mated_mean,  e->mated_sd,
                             e->nonmated_mean, e->nonmated_sd, e->d_prime};
    printf("%s{\"measure\": \"%s\", \"mated_pairs\": %" PRId64 ", \"nonmated_pairs\": %" PRId64
           ", \"mated_probes\": %" PRId64 ", \"rank1_probes\": %" PRId64,
           i == 0 ? "" : ", ", e->measure, e->mated_pairs, e->nonmated_pairs, e->mated_probes,
           e->rank1_probes);
    for (size_t f = 0; f < sizeof names / sizeof *names; f++)
      if (isnan(values[f]))
        printf(", \"%s\": null", names[f]);
      else
        printf(", \"%s\": %.9g", names[f], values[f]);
    fputs("}", stdout);
  }
  fputs("]\n", stdout);
}

static int run(const sb_arguments *a) {
  sb_evaluation results[MOST_MEASURES];
  size_t count = 0;
  const sb_progress progress = sb_cli_progress(a->quiet);
  const sb_evaluate_options options = {.identities = sb_arg_text(a, "--identities", NULL),
                                       .progress = &progress};
  sb_status status = sb_evaluate(a->positional[0], &options, results, MOST_MEASURES, &count);
  if (status.code != SB_OK) return sb_report(status);
  if (a->json) {
    print_json(results, count);
  } else if (!a->quiet) {
    print_table(results, count);
    for (size_t i = 0; i < count; i++) print_sentence(results + i);
  }
  return SB_EXIT_OK;
}

static const sb_option OPTIONS[] = {
    {"--identities", "TSV", "who is who: dataset, scan_id, person (as link used them)"},
    {0},
};

const sb_command sb_cmd_evaluate = {
    .name = "evaluate",
    .usage = "OUT",
    .summary = "how well the scores of a link tell people apart",
    .details = "Reads what link wrote into the folder OUT and, where it is known who is who, says "
               "how well mated pairs (two scans of one person) are told from non-mated pairs. "
               "Writes evaluation.json there, with every figure and its definition.",
    .example = "samebrain evaluate links\n  "
               "samebrain evaluate risk --identities truth.tsv",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
