// Searches: each probe against the whole gallery (ISO/IEC 19795-1; NIST FRTE 1:N). Closed set: at
// which rank is the closest mate (CMC). Open set: with a threshold, how often does a search find
// somebody who is not there (FPIR), how often does it miss the mate who is (FNIR).
#ifndef SB_EVALUATE_SEARCH_H
#define SB_EVALUATE_SEARCH_H

#include "evaluate/study.h"

typedef struct sb_search {
  int64_t probes;      // searches
  int64_t mated;       // of these, with a mate in the gallery
  int64_t with_others; // of these, with anyone else in the gallery
  double *rank;        // per probe, of its closest mate; NaN: none
  // Probes in descending order of their closest non-mated score, those that have one; and in
  // ascending order of their closest mate's.
  int64_t *by_nonmated, *by_mate;
} sb_search;

// The rank comes from the matches; where the mate is not among them, from the histogram, a score in
// the mate's own bin counting by its share.
sb_status sb_search_open(const sb_study *study, sb_search *out);
void sb_search_close(sb_search *search); // a zeroed one is fine

// `weight` is per person (NULL: 1 each), so that a bootstrap replicate is but other weights.
// Share of mated searches whose closest mate's rank is at most `rank`; NaN when there are none.
double sb_search_hits(const sb_study *study, const sb_search *search, const double *weight,
                      double rank);
// The same at the ranks 1 to `ranks`.
void sb_search_hit_rates(const sb_study *study, const sb_search *search, const double *weight,
                         int ranks, double *out);
// The lowest threshold with FPIR at most `fpir`: just above the closest non-mated score of the
// first probe too many. Every probe is searched with its mates taken out of the gallery.
double sb_search_threshold(const sb_study *study, const sb_search *search, const double *weight,
                           double fpir);
// Shares at a threshold: of searches without their mates that return anybody; of mated searches
// whose closest mate is below it. No limit on the rank.
double sb_search_fpir(const sb_study *study, const sb_search *search, const double *weight,
                      double threshold);
double sb_search_fnir(const sb_study *study, const sb_search *search, const double *weight,
                      double threshold);

#endif
