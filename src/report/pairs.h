// Pairs of scans as tables list them: proposed links, closest scans, findings of check.
#ifndef SB_REPORT_PAIRS_H
#define SB_REPORT_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tsv.h"
#include "samebrain/status.h"

typedef struct sb_pair {
  const char *dataset[2], *id[2]; // borrowed from the table; the first is the probe's
  const char *expected, *verdict, *reason, *observed; // "" where the table has none
  double score, margin, false_probability;            // NaN where there is none
  int measure;                                        // its number in summary.json; -1: not told
  int card; // its place in the gallery of pictures; 0: none
} sb_pair;

typedef struct sb_pairs {
  sb_pair *items;
  int64_t count;
  sb_tsv table; // holds the strings
} sb_pairs;

void sb_pairs_free(sb_pairs *pairs);

// How pairs are told apart and ordered.
typedef struct sb_pair_measures {
  const char *names[64];
  double direction[64]; // 1: higher is closer, -1: lower is
  int count;
} sb_pair_measures;

// links.tsv as it stands. Errors: SB_FORMAT (a column is missing), those of sb_tsv_read.
sb_status sb_pairs_of_links(const char *path, const sb_pair_measures *measures, sb_pairs *out);
// Of matches.tsv each probe's closest scan, by each measure; where a store is compared with itself
// (`self`), a pair that is closest both ways once.
sb_status sb_pairs_of_matches(const char *path, const sb_pair_measures *measures, bool self,
                              sb_pairs *out);
// The closest pair of the measure in matches.tsv that is not among `links`, if there is one.
sb_status sb_pairs_closest_other(const char *path, const sb_pair_measures *measures, int measure,
                                 const sb_pairs *links, sb_pairs *out);
// check.tsv as it stands.
sb_status sb_pairs_of_check(const char *path, sb_pairs *out);

// How many probes have a pair of the measure. Errors: SB_NO_MEMORY.
sb_status sb_pairs_count_probes(const sb_pairs *pairs, int measure, int64_t *count);

// Whether a line of check.tsv calls for action: every verdict but "same", which needs none, and "unsure".
bool sb_is_finding(const sb_pair *pair);

#endif
