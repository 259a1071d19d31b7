// The files of a check: check.tsv, groups.tsv, check.json.
#ifndef SB_EVALUATE_CHECK_OUTPUTS_H
#define SB_EVALUATE_CHECK_OUTPUTS_H

#include "evaluate/scores.h"
#include "evaluate/tail.h"
#include "evaluate/verdict.h"

typedef struct sb_checked {
  const sb_store *store;
  const sb_check_options *options;
  const sb_scores *scores;
  const sb_measure *measure;
  double direction;    // 1, or -1 for a distance
  const sb_tail *tail; // of scores of two people
  double pairs;        // compared
  sb_cases cases;
  int64_t *group, *original; // per scan
} sb_checked;

sb_status sb_check_write(const sb_checked *checked, const char *out,
                         const sb_check_summary *summary);

#endif
