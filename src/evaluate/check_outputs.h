// The files of a check: check.tsv, groups.tsv, check.json.
#ifndef SB_EVALUATE_CHECK_OUTPUTS_H
#define SB_EVALUATE_CHECK_OUTPUTS_H

#include "evaluate/likeness.h"
#include "evaluate/verdict.h"

typedef struct sb_checked {
  const sb_store *store;
  const sb_check_options *options;
  const sb_likeness *as_is, *mirrored; // mirrored NULL: not looked for
  sb_cases cases;
  int64_t *group, *original; // per scan
} sb_checked;

sb_status sb_check_write(const sb_checked *checked, const char *out,
                         const sb_check_summary *summary);

#endif
