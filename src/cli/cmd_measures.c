// samebrain measures: the table of similarity measures.
#include <stdio.h>

#include "cli/cli.h"

static int run(const sb_arguments *arguments) {
  (void)arguments;
  const sb_measure_info *measure;
  for (size_t i = 0; (measure = sb_measure_at(i)) != NULL; i++)
    printf("%-10s %s\n%-10s range %g to %g, %s; unchanged by %s\n%-10s %s\n", measure->name,
           measure->title, "", measure->range_min, measure->range_max,
           measure->higher_is_closer ? "higher is closer" : "lower is closer",
           measure->invariant_to, "", measure->source);
  return SB_EXIT_OK;
}

static const sb_option OPTIONS[] = {{0}};

const sb_command sb_cmd_measures = {
    .name = "measures",
    .usage = "",
    .summary = "list the similarity measures",
    .details = "Each measure with its range, direction, what leaves it unchanged, and its source.",
    .example = "samebrain measures",
    .options = OPTIONS,
    .run = run,
};
