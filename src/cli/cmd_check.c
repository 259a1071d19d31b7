// samebrain check: duplicates, one person under two ids, and mislabelled scans in one cohort.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/tsv.h"

enum { SHOWN = 30 };

static const char *scans_of(int64_t count) {
  return count == 1 ? "scan" : "scans";
}

static void print_counts(const sb_check_summary *s) {
  printf("%" PRId64 " %s under %" PRId64 " label%s, of %" PRId64 " %s by their images\n", s->scans,
         scans_of(s->scans), s->labels, s->labels == 1 ? "" : "s", s->people,
         s->people == 1 ? "person" : "people");
  printf("pairs: ");
  for (int v = 0; v < SB_VERDICT_COUNT; v++)
    printf("%s%" PRId64 " %s", v == 0 ? "" : ", ", s->pairs[v], sb_verdict_name((sb_verdict)v));
  printf("\n");
}

// The pairs that a person must look at, as check.tsv has them.
static sb_status print_pairs(const char *out) {
  static const char *const names[] = {"dataset_a", "id_a",  "dataset_b", "id_b",
                                      "verdict",   "score", "reason"};
  size_t column[7], shown = 0, wanted = 0;
  const char *cell[7];
  sb_tsv table = {0};
  char *path = sb_path_join(out, "check.tsv");
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_tsv_read(path, &table));
  for (int i = 0; i < 7; i++) SB_TRY(sb_tsv_need(&table, path, names[i], column + i));
  for (size_t row = 0; row < table.rows; row++) {
    for (int i = 0; i < 7; i++) cell[i] = sb_tsv_cell(&table, row, column[i]);
    if (strcmp(cell[4], sb_verdict_name(SB_VERDICT_SAME)) == 0 || wanted++ >= SHOWN) continue;
    printf("\n%s: %s/%s and %s/%s, %.4f\n  %s\n", cell[4], cell[0], cell[1], cell[2], cell[3],
           strtod(cell[5], NULL), cell[6]);
    shown++;
  }
  if (wanted > shown) printf("\n... and %zu more in check.tsv\n", wanted - shown);
cleanup:
  sb_tsv_free(&table);
  free(path);
  return status;
}

static sb_status print_text(const char *out, const sb_check_summary *s) {
  print_counts(s);
  sb_status status = print_pairs(out);
  if (status.code != SB_OK) return status;
  if (*s->note != '\0') printf("\nNote: %s.\n", s->note);
  if (s->not_compared > 0)
    printf("\nNote: of %" PRId64
           " pair%s the files are not what and where they were when they were "
           "prepared; copies among these are told by their rows alone.\n",
           s->not_compared, s->not_compared == 1 ? "" : "s");
  printf("\n%s All pairs: %s/check.tsv\n",
         s->found > 0 ? "Images cannot say which label is right: look before you change one."
         : s->pairs[SB_VERDICT_UNSURE] > 0 ? "Nothing found for certain."
                                           : "Nothing found.",
         out);
  return status;
}

static void print_threshold(const char *name, double value) {
  if (isnan(value))
    printf(", \"%s\": null", name);
  else
    printf(", \"%s\": %.9g", name, value);
}

static void print_json(const sb_check_summary *s) {
  printf("{\"scans\": %" PRId64 ", \"labels\": %" PRId64 ", \"people\": %" PRId64
         ", \"found\": %" PRId64 ", \"pairs\": {",
         s->scans, s->labels, s->people, s->found);
  for (int v = 0; v < SB_VERDICT_COUNT; v++)
    printf("%s\"%s\": %" PRId64, v == 0 ? "" : ", ", sb_verdict_name((sb_verdict)v), s->pairs[v]);
  printf("}");
  print_threshold("threshold", s->threshold);
  print_threshold("mirrored_threshold", s->mirrored_threshold);
  printf(", \"not_compared\": %" PRId64 ", \"note\": \"%s\"}\n", s->not_compared, s->note);
}

static bool read_options(const sb_arguments *a, sb_check_options *options) {
  static const char *const backends[] = {"auto", "cpu", "cuda", NULL};
  int backend = 0;
  if (!sb_arg_measure(a, "-m", &options->measure) ||
      !sb_arg_double(a, "--threshold", &options->threshold) ||
      !sb_arg_double(a, "--expected-false", &options->expected_false) ||
      !sb_arg_bytes(a, "--memory", &options->memory_bytes) ||
      !sb_arg_choice(a, "--backend", backends, &backend) || !sb_arg_threads(a, &options->threads))
    return false;
  options->has_threshold = sb_arg_flag(a, "--threshold");
  options->identities = sb_arg_text(a, "--identities", NULL);
  options->mirrored = !sb_arg_flag(a, "--no-mirrored");
  options->backend = backends[backend];
  options->keep = !sb_arg_flag(a, "--overwrite");
  if (sb_arg_text(a, "-o", NULL) != NULL) return true;
  sb_cli_usage(a->command, "-o OUT is missing: the folder for the results");
  return false;
}

static int run(const sb_arguments *a) {
  sb_check_options options = sb_check_options_default();
  sb_check_summary summary;
  sb_store *store = NULL;
  sb_cli_holds holds = {0};
  const sb_progress progress = sb_cli_progress(a->quiet);
  if (!read_options(a, &options)) return SB_EXIT_USAGE;
  const char *out = sb_arg_text(a, "-o", NULL);
  sb_status status = sb_ok();
  SB_TRY(sb_store_open(a->positional[0], &store));
  SB_TRY(sb_cli_hold_for_link(out, options.mirrored, &holds));
  SB_TRY(sb_check(store, &options, out, &progress, &summary));
  sb_cli_progress_end();
  SB_TRY(sb_cli_write_report(a, out));
  if (a->json)
    print_json(&summary);
  else if (!a->quiet)
    SB_TRY(print_text(out, &summary));
cleanup:
  sb_cli_release(&holds);
  sb_store_close(store);
  if (status.code != SB_OK) return sb_report(status);
  return summary.found > 0 ? SB_EXIT_FOUND : SB_EXIT_OK;
}

static const sb_option OPTIONS[] = {
    {"-o", "OUT", "folder for the results (required)"},
    {"-m", "MEASURE", "similarity measure; see samebrain measures (bandpass)"},
    {"--identities", "TSV", "who is who: dataset, scan_id, person; \"none\" (labels in the store)"},
    {"--expected-false", "N", "pairs to be found by chance among all (0.01)"},
    {"--threshold", "S", "find pairs by this score instead, and believe it"},
    {"--no-mirrored", NULL, "do not look for scans whose left and right are exchanged"},
    {"--backend", "NAME", "auto, cpu or cuda (auto)"},
    {"--memory", "SIZE", "memory to use, such as 512M or 4G (4G or a quarter of the machine's)"},
    {"--threads", "N", "processors to use; changes no result (all)"},
    {SB_OVERWRITE},
    {SB_NO_IMAGES},
    {0},
};

const sb_command sb_cmd_check = {
    .name = "check",
    .usage = "STORE -o OUT [options]",
    .summary = "duplicates and mislabelled scans in one cohort",
    .details =
        "Compares a store with itself and with its labels. Each pair that is expected or found to\n"
        "be of one person gets a verdict: same; duplicate (one image twice, also re-encoded, "
        "turned\n"
        "or renamed); same_person (one person under two ids); suspected_swap (scans that bear\n"
        "another person's label, and whose they probably are); mirrored (one person, but one of\n"
        "the scans has left and right exchanged); different; unsure. Writes check.tsv\n"
        "with a reason for each, groups.tsv with the people found, what link writes, and\n"
        "report.html, a page to look at. Exit code 6 when something is found, 0 when not.",
    .example = "samebrain check my.store -o checked",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
