#include "cli/cli.h"

static int run(const sb_arguments *arguments) {
  (void)arguments;
  return SB_EXIT_USAGE;
}

static const sb_option options[] = {{0}};
const sb_command sb_cmd_link = {.name = "link", .usage = "", .summary = "", .details = "", .example = "", .options = options, .run = run};
