// evaluate: what scores are worth. Where identities are known, how well people are told apart;
// always, which pairs are so close that chance does not explain them, what a larger gallery would
// bring, and what such a search costs.
#ifndef SAMEBRAIN_EVALUATE_H
#define SAMEBRAIN_EVALUATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samebrain/status.h"

// The ends of a 95 % interval over people; NaN where none can be given.
typedef struct sb_interval {
  double low, high;
} sb_interval;

enum { SB_EVALUATION_FARS = 4 }; // 0.1, 0.01, 0.001, 0.0001

enum { SB_MOST_EDGES = 15 };

// A column of covariates to tell performance apart by. Edges are between bins of a mated pair's
// difference, rising, above 0, of dates in years.
typedef struct sb_by {
  const char *column;
  double edges[SB_MOST_EDGES];
  int edge_count;  // 0: by quartiles
  bool categories; // its numbers are names: each value by itself
} sb_by;

typedef enum sb_covariate_kind { SB_CATEGORIES, SB_NUMBERS, SB_DATES } sb_covariate_kind;

// A part of the mated pairs, or of the searches (a search: one probe against the gallery). A figure that
// needs what is not there, or that is of the other kind, is NaN, such a count -1.
typedef struct sb_stratum {
  char *name;     // UTF-8: "all", a value, two values ("Avanto - Trio"), a bin ("1 to 2")
  int64_t within; // the place of the stratum that it is a part of; -1: of none
  int64_t people; // whose mated pairs or searches they are
  int64_t mated, mated_people; // mated pairs, or searches with a mate in the gallery
  // The least alike, middle and most alike score of these pairs, or of these searches' closest mates.
  double mated_min, mated_median, mated_max;
  double fnmr;                      // of mated pairs; all rates here are at fpir_threshold
  int64_t searches, nonmated_pairs; // that have anyone else to find; compared by them
  double rank1, fnir, fpir, fmr;
  double nonmated_median, nonmated_max; // of the searches' closest non-mated scores
  sb_interval fnmr_interval, rank1_interval, fnir_interval, fpir_interval, fmr_interval;
} sb_stratum;

// How performance depends on one column: false negative and false positive differentials (ISO/IEC
// 19795-10).
typedef struct sb_differential {
  char *column;
  sb_covariate_kind kind;
  int64_t pairs_without, searches_without; // a value: in no stratum
  sb_stratum *pairs, *searches;            // the first of each is "all", the whole before its parts
  int64_t pair_strata, search_strata;
  double spearman; // of a mated pair's difference with its score; not of categories
  sb_interval spearman_interval;
} sb_differential;

// The figures of one measure. "Mated": two scans of one person; "non-mated": of two people. A figure
// that needs what is not there is NaN, a count that does is -1. docs/evaluation.md defines each.
typedef struct sb_evaluation {
  char measure[32];
  int64_t mated_pairs, nonmated_pairs;
  int64_t people, mated_people;
  int64_t mated_probes; // probes with at least one mate in the gallery
  int64_t rank1_probes; // of these, the ones whose closest gallery scan is a mate
  double rank1;         // rank1_probes / mated_probes
  double rank5, rank10;
  double mated_min;    // the least alike mated pair (for a distance: the largest score)
  double nonmated_max; // the most alike non-mated pair (for a distance: the smallest score)
  double margin;       // mated_min - nonmated_max, sign turned for a distance
  double mated_mean, mated_sd, nonmated_mean, nonmated_sd;
  double d_prime; // |mean difference| over the root of the mean variance
  double auc, auc_error, eer, eer_threshold;
  double tar[SB_EVALUATION_FARS], tar_threshold[SB_EVALUATION_FARS]; // true accept rates
  double kde_threshold; // where the densities of mated and non-mated scores cross
  double kde_mated_bandwidth, kde_nonmated_bandwidth;
  double kde_fnmr, kde_fmr; // false (non-)match rates at that threshold
  double fpir;              // asked for
  double fpir_gallery;      // gallery scans that a search compares with, its mates taken out
  double fpir_threshold, fnir;
  sb_interval rank1_interval, rank5_interval, rank10_interval, d_prime_interval, auc_interval,
      eer_interval, tar_interval[SB_EVALUATION_FARS], kde_threshold_interval, kde_fnmr_interval,
      kde_fmr_interval, fpir_threshold_interval, fnir_interval;
  // Without looking at identities.
  double expected_false; // asked for
  double link_threshold; // score at which that many non-mated pairs are expected; NaN: unknown
  int64_t links;         // proposed
  int64_t false_links;   // of these, known to be of two people
  int64_t control_links; // proposed with the mated pairs taken out
  int64_t alike_pairs;   // below link_threshold, and yet as alike as one person's scans usually are
  char why[6][200];      // why figures are missing, in words; "": no more
  sb_differential *differentials; // one for each column asked for; NULL where nobody is known
  int64_t differential_count;
} sb_evaluation;

typedef struct sb_evaluate_options {
  const char *identities; // as link's: a TSV (dataset, scan_id, person), "none"; NULL: as link did
  double fpir;            // false positive identification rate at which FNIR is told
  double expected_false;  // false links to expect among all that are proposed
  bool one_to_one;        // each scan in one link at most
  int replicates;         // of the bootstrap; 0: no intervals
  int threads;            // 0: all processors; changes no figure
  const sb_by *by;        // columns to tell performance apart by
  size_t by_count;
  // Tables (TSV) and BIDS folders that have them; none: "dataset" alone is known.
  const char *const *covariates;
  size_t covariate_count;
  const sb_progress *progress; // warned of assumptions made
} sb_evaluate_options;

// fpir 0.001, expected_false 0.01, 1,000 replicates.
SB_API sb_evaluate_options sb_evaluate_options_default(void);

// Frees an evaluation's differentials; needed where options had `by`. A zeroed one is fine.
SB_API void sb_evaluation_free(sb_evaluation *evaluation);

// Reads what sb_link wrote into `out`, computes the figures of every measure there and writes
// beside it evaluation.json (every figure with its interval and definition), links.tsv,
// thresholds.tsv and curves as tables. `results` has room for `capacity` measures; `count` gets
// their number, also where there is too little room. With other identities than link used, scores
// that it did not list are computed from the stores, which must still be where they were. By
// labels, scans of two datasets count as scans of two people; where two stores were linked that
// share nobody by label, a warning and evaluation.json say that this is assumed. With `by` it
// writes strata.tsv too. The lines of a table of `covariates` name scans by scan_id, or by participant_id
// (with session_id), each with dataset or without. Of a BIDS folder participants.tsv, sessions.tsv, scans.tsv
// and the T1w images' JSON sidecars are read, the nearest to a scan before the others; where it is one of the
// link's datasets it tells of that one's scans alone. A column of numbers or dates is told apart by a
// pair's difference, any other, and numbers of at most four values, by value; "n/a" and "" are
// missing, and warned of.
// Errors: SB_NOT_FOUND, SB_FORMAT (not a link's output, damaged, or identities or covariates that do
// not fit), SB_CONFLICT (a store has changed), SB_USAGE (an option; too little capacity; identities so
// different that linking again is cheaper), SB_IO. After an error `results` holds nothing to free.
SB_API sb_status sb_evaluate(const char *out, const sb_evaluate_options *options,
                             sb_evaluation *results, size_t capacity, size_t *count);

#endif
