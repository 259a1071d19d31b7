// samebrain report: the page of what link, evaluate and check left in a folder.
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "core/file.h"

static int64_t bytes_of(const char *path) {
  struct stat about;
  return path != NULL && stat(path, &about) == 0 ? (int64_t)about.st_size : 0;
}

static int run(const sb_arguments *a) {
  const char *out = a->positional[0];
  sb_hold hold;
  sb_status status = sb_cli_hold_results(out, &hold);
  if (status.code == SB_OK) status = sb_cli_write_report(a, out);
  sb_hold_release(&hold);
  if (status.code != SB_OK) return sb_report(status);
  char *path = sb_path_join(out, "report.html");
  if (a->json)
    printf("{\"bytes\": %lld}\n", (long long)bytes_of(path));
  else if (!a->quiet)
    printf("%s, %.1f MB\n", path, (double)bytes_of(path) / 1e6);
  free(path);
  return SB_EXIT_OK;
}

static const sb_option OPTIONS[] = {
    {SB_NO_IMAGES},
    {0},
};

const sb_command sb_cmd_report = {
    .name = "report",
    .usage = "OUT",
    .summary = "write the page of results, report.html, again",
    .details =
        "Writes OUT/report.html from what link, evaluate and check left in the folder OUT: one "
        "file that loads nothing from anywhere. link, evaluate and check write it at their end; "
        "this "
        "does so again, e.g. without pictures. Pictures come from the stores that were linked, "
        "as long as they are where they were.",
    .example = "samebrain report links\n  samebrain report links --no-images",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
