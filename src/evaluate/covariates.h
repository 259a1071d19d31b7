// What else is known of scans: columns (age, date, scanner, ...), read for the scans of a link.
#ifndef SB_EVALUATE_COVARIATES_H
#define SB_EVALUATE_COVARIATES_H

#include "engine/people.h"
#include "samebrain/evaluate.h"

typedef struct sb_covariate {
  const sb_by *by;
  sb_covariate_kind kind;
  // Per scan: its number, its date (days since 1970 / 365.25 + 1970, as years), or its category's
  // number; NaN: unknown. One array where the scans are.
  double *probe, *gallery;
  char **names; // of categories, in the order of their numbers
  int64_t categories;
} sb_covariate;

typedef struct sb_covariates {
  sb_covariate *items;
  size_t count;
} sb_covariates;

// Reads what `options` asks for. A column is of numbers, or of dates, where all its values are; numbers of
// at most SB_MOST_BINS values are categories unless their edges are given. Warned of: lines that name no
// scan, scans without a value, values that keep a column from being one of numbers.
// Errors: SB_USAGE (edges of categories, bad ones; a column twice), SB_FORMAT (no value at all), those of
// sb_known_read.
enum { SB_MOST_BINS = 4 };
sb_status sb_covariates_read(const sb_evaluate_options *options, const sb_scans *scans,
                             sb_covariates *out);
void sb_covariates_free(sb_covariates *covariates); // a zeroed one is fine

#endif
