// The curves of an evaluation as tables: roc- (with DET axes), cmc-, search-, density- and
// forecast-MEASURE.tsv.
#ifndef SB_EVALUATE_CURVES_H
#define SB_EVALUATE_CURVES_H

#include "engine/results.h"
#include "evaluate/result.h"

// Adds them to the results, for one measure.
sb_status sb_curves_write(sb_results *results, const sb_result *result);

// A number as a table has it: "n/a" for none.
void sb_put_number(FILE *file, double value);

#endif
