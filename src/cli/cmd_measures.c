// samebrain measures: the table of similarity measures.
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>

#include "cli/cli.h"

static const char *family_of(const sb_measure_info *measure) {
  return measure->gemm ? "matrix product" : "pair by pair";
}

static int print_json(void) {
  cJSON *root = cJSON_CreateArray();
  const sb_measure_info *measure;
  for (size_t i = 0; (measure = sb_measure_at(i)) != NULL; i++) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "name", measure->name);
    cJSON_AddStringToObject(item, "title", measure->title);
    cJSON_AddNumberToObject(item, "range_min", measure->range_min);
    if (isfinite(measure->range_max))
      cJSON_AddNumberToObject(item, "range_max", measure->range_max);
    else
      cJSON_AddNullToObject(item, "range_max");
    cJSON_AddBoolToObject(item, "higher_is_closer", measure->higher_is_closer);
    cJSON_AddStringToObject(item, "invariant_to", measure->invariant_to);
    cJSON_AddStringToObject(item, "family", family_of(measure));
    cJSON_AddStringToObject(item, "cost", measure->cost);
    cJSON_AddStringToObject(item, "source", measure->source);
    cJSON_AddItemToArray(root, item);
  }
  char *text = cJSON_Print(root);
  if (text != NULL) puts(text);
  cJSON_free(text);
  cJSON_Delete(root);
  return SB_EXIT_OK;
}

static int run(const sb_arguments *arguments) {
  if (arguments->json) return print_json();
  const sb_measure_info *measure;
  for (size_t i = 0; (measure = sb_measure_at(i)) != NULL; i++)
    printf("%-10s %s\n%-10s range %g to %g, %s; unchanged by %s\n%-10s %s: %s a pair\n%-10s %s\n",
           measure->name, measure->title, "", measure->range_min, measure->range_max,
           measure->higher_is_closer ? "higher is closer" : "lower is closer",
           measure->invariant_to, "", family_of(measure), measure->cost, "", measure->source);
  return SB_EXIT_OK;
}

static const sb_option OPTIONS[] = {{0}};

const sb_command sb_cmd_measures = {
    .name = "measures",
    .usage = "",
    .summary = "list the similarity measures",
    .details =
        "Each measure with its range, direction, what leaves it unchanged, how all pairs are\n"
        "computed, at what cost (V: voxels of a row), and its source.",
    .example = "samebrain measures",
    .options = OPTIONS,
    .run = run,
};
