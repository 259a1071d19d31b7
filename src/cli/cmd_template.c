// samebrain template: an average brain of a cohort, to prepare with.
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "core/memory.h"

static void print_summary(const sb_arguments *a, const char *folder, int64_t used, size_t scans) {
  if (a->json) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "folder", folder);
    cJSON_AddNumberToObject(root, "scans", (double)scans);
    cJSON_AddNumberToObject(root, "used", (double)used);
    char *text = cJSON_Print(root);
    if (text != NULL) puts(text);
    cJSON_free(text);
    cJSON_Delete(root);
  } else if (!a->quiet) {
    printf("averaged %" PRId64 " of %zu scans into %s/template.nii.gz; prepare with it by "
           "--template %s/template.nii.gz\n",
           used, scans, folder, folder);
  }
}

static int run(const sb_arguments *a) {
  const char *folder = sb_arg_text(a, "-o", NULL);
  sb_template_build_options options = sb_template_build_options_default();
  int64_t rounds = options.rounds, used = 0;
  if (!sb_arg_int(a, "--rounds", 1, 100, &rounds) || !sb_arg_threads(a, &options.threads))
    return SB_EXIT_USAGE;
  if (folder == NULL || folder[0] == '\0')
    return sb_report(sb_error(SB_USAGE, "-o DIR is missing: the folder that the template goes to"));
  options.rounds = (int)rounds;
  sb_input_options input = {0};
  sb_scan_list list = {0};
  sb_progress progress = sb_cli_progress(a->quiet);
  const char **paths = NULL;
  sb_status status;
  SB_TRY(sb_scan_list_find(a->positional, a->positional_count, &input, &list));
  sb_cli_tell_list(&list, a->quiet);
  SB_TRY(SB_NEW(&paths, list.count, "paths"));
  for (size_t i = 0; i < list.count; i++) paths[i] = list.scans[i].source_path;
  SB_TRY(sb_template_build(paths, list.count, &options, &progress, folder, &used));
  sb_cli_progress_end();
  print_summary(a, folder, used, list.count);
cleanup:;
  int code = sb_report(status);
  if (code == SB_EXIT_OK && (used < (int64_t)list.count || list.left_out_count > 0))
    code = SB_EXIT_SCANS_FAILED;
  free((void *)paths);
  sb_scan_list_free(&list);
  return code;
}

static const sb_option OPTIONS[] = {
    {"-o", "DIR", "the folder that gets template.nii.gz"},
    {"--rounds", "N", "how often to align and average (4)"},
    {"--threads", "N", "threads (all processors)"},
    {0},
};

const sb_command sb_cmd_template = {
    .name = "template",
    .usage = "INPUT... -o DIR [options]",
    .summary = "average a cohort into a template to prepare with",
    .details =
        "INPUT is as for prepare; scans must be skull-stripped. The first scan sets the axes, the\n"
        "cohort's mean sets size and shape. Stores made with different templates cannot be\n"
        "compared: make one template and use it for all.",
    .example = "samebrain template bids/ -o cohort-template",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .run = run,
};
