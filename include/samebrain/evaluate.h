// evaluate: how well the scores of a link tell people apart, where identities are known.
#ifndef SAMEBRAIN_EVALUATE_H
#define SAMEBRAIN_EVALUATE_H

#include <stddef.h>
#include <stdint.h>

#include "samebrain/status.h"

// The figures of one measure. "Mated": two scans of one person; "non-mated": of two people.
typedef struct sb_evaluation {
  char measure[32];
  int64_t mated_pairs, nonmated_pairs;
  int64_t mated_probes; // probes with at least one mate in the gallery
  int64_t rank1_probes; // of these, the ones whose closest gallery scan is a mate
  double rank1;         // rank1_probes / mated_probes; NaN when there is none
  double mated_min;     // the least alike mated pair (for a distance: the largest score)
  double nonmated_max;  // the most alike non-mated pair (for a distance: the smallest score)
  double margin;        // mated_min - nonmated_max, sign turned for a distance
  double mated_mean, mated_sd, nonmated_mean, nonmated_sd;
  double d_prime; // |mean difference| over the root of the mean variance
} sb_evaluation;

typedef struct sb_evaluate_options {
  const char *identities;      // path of a TSV (dataset, scan_id, person); NULL: as link used them
  const sb_progress *progress; // warned of assumptions made; may be NULL
} sb_evaluate_options;

// Reads what sb_link wrote into `out`, computes the figures of every measure there and writes
// evaluation.json beside it, with each figure's definition. A figure that needs what is not there
// (mated pairs, for one) is NaN. `results` has room for `capacity` measures; `count` gets their
// number. With other identities than link used, scores that it did not list are computed from the
// stores, which must still be where they were. By labels, scans of two datasets count as scans of
// two people; where two stores were linked that share nobody by label, a warning and
// evaluation.json say that this is assumed. Errors: SB_NOT_FOUND, SB_FORMAT (not a link's output,
// damaged, or identities that do not fit), SB_CONTENT (no identities known, so nothing to
// evaluate), SB_CONFLICT (a store has changed), SB_USAGE (too little capacity; identities so
// different that linking again is cheaper), SB_IO.
SB_API sb_status sb_evaluate(const char *out, const sb_evaluate_options *options,
                             sb_evaluation *results, size_t capacity, size_t *count);

#endif
