// The files of an evaluation: evaluation.json, links.tsv, thresholds.tsv, and the curves.
#ifndef SB_EVALUATE_OUTPUTS_H
#define SB_EVALUATE_OUTPUTS_H

#include <cjson/cJSON.h>

#include "engine/results.h"
#include "evaluate/result.h"
#include "evaluate/scores.h"

typedef struct sb_outputs {
  sb_results results;
  FILE *links, *thresholds, *strata; // strata: where columns were asked for
  cJSON *measures;
} sb_outputs;

// What identities say of a pair: "same", "different", or "unknown". By labels, scans of two datasets
// are unknown: nobody compared the labels.
const char *sb_expected_of(const sb_scores *scores, int64_t probe, int64_t gallery);

sb_status sb_outputs_open(const char *folder, const sb_evaluate_options *options, sb_outputs *out);
// One measure: its lines and curves.
sb_status sb_outputs_add(sb_outputs *outputs, const sb_scores *scores, const sb_result *result);
// Writes evaluation.json and gives all files their names, in place of an earlier evaluation's.
//   identities  as given to evaluate; NULL: as link used them
//   assumption  what the figures rest on and nothing proves; NULL: nothing
sb_status sb_outputs_finish(sb_outputs *outputs, const sb_scores *scores, const char *identities,
                            const char *assumption, const sb_evaluate_options *options);
// What evaluation.json has of a measure's differentials, of many strata those to show.
cJSON *sb_differentials_json(const sb_evaluation *evaluation);
void sb_outputs_close(sb_outputs *outputs); // a zeroed one is fine

#endif
