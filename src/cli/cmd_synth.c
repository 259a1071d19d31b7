// samebrain synth: a synthetic cohort as a BIDS folder.
#include <cjson/cJSON.h>
#include <stdio.h>

#include "cli/cli.h"

static int print_summary(const sb_arguments *a, const char *folder, const sb_synth_options *o) {
  if (!a->json) {
    if (!a->quiet)
      printf("%s: %d people, %d scans; the truth is in identities.tsv\n", folder, o->subjects,
             o->subjects * o->sessions);
    return SB_EXIT_OK;
  }
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "folder", folder);
  cJSON_AddNumberToObject(json, "people", o->subjects);
  cJSON_AddNumberToObject(json, "scans", (double)o->subjects * o->sessions);
  char *text = cJSON_Print(json);
  cJSON_Delete(json);
  if (text == NULL) return sb_report(sb_error(SB_NO_MEMORY, "out of memory"));
  puts(text);
  cJSON_free(text);
  return SB_EXIT_OK;
}

static int run(const sb_arguments *a) {
  sb_synth_options options = sb_synth_options_default();
  int64_t subjects = options.subjects, sessions = options.sessions, seed = (int64_t)options.seed;
  if (!sb_arg_int(a, "--subjects", 1, 9999, &subjects) ||
      !sb_arg_int(a, "--sessions", 1, 99, &sessions) ||
      !sb_arg_int(a, "--seed", 0, INT64_MAX, &seed) ||
      !sb_arg_double(a, "--voxel-mm", &options.voxel_mm) || !sb_arg_threads(a, &options.threads))
    return SB_EXIT_USAGE;
  options.subjects = (int)subjects;
  options.sessions = (int)sessions;
  options.seed = (uint64_t)seed;
  options.split = sb_arg_flag(a, "--split");
  options.base = sb_arg_text(a, "--base", NULL);
  const char *folder = sb_arg_text(a, "-o", NULL);
  if (folder == NULL)
    return sb_cli_usage(a->command, "-o DIR is needed: the folder to write the cohort to");
  sb_progress progress = sb_cli_progress(a->quiet);
  sb_status status = sb_synth(folder, &options, &progress);
  sb_cli_progress_end();
  if (status.code != SB_OK) return sb_report(status);
  return print_summary(a, folder, &options);
}

static const sb_option OPTIONS[] = {
    {"-o", "DIR", "a new or empty folder for the cohort"},
    {"--subjects", "N", "how many people (12)"},
    {"--sessions", "N", "how many scans of each (2)"},
    {"--split", NULL, "two databases, DIR/A and DIR/B, with other ids for the same people"},
    {"--seed", "N", "another seed, other people (1)"},
    {"--base", "FILE|procedural", "the stripped brain to deform (the default template)"},
    {"--voxel-mm", "MM", "one voxel size for all (each scan its own, 0.9 to 1.3)"},
    {"--threads", "N", "threads; 0: all processors (0)"},
    {0},
};

const sb_command sb_cmd_synth = {
    .name = "synth",
    .usage = "-o DIR [--subjects N] [--sessions N] [--split] [--seed N]",
    .summary = "write a synthetic cohort as a BIDS folder",
    .details =
        "Makes people by deforming one brain and scans of them in different poses, contrasts and\n"
        "resolutions, with bias fields and noise. identities.tsv holds the truth. The same "
        "options\n"
        "give the same cohort on any number of threads. Scores on such people say that the "
        "program\n"
        "works, not how well real people can be told apart.",
    .example = "samebrain synth -o cohort --subjects 12 --sessions 2",
    .options = OPTIONS,
    .run = run,
};
