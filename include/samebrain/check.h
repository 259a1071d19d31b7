// check: what is wrong with a cohort's labels. Duplicates, one person under two ids, and mislabelled
// scans, from the scans' likeness.
#ifndef SAMEBRAIN_CHECK_H
#define SAMEBRAIN_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/store.h"

// Of a pair that is expected (by labels) or found (by likeness) to be of one person. docs/checking.md
// has the rule of each.
typedef enum sb_verdict {
  SB_VERDICT_SAME,           // one person, and nothing to do about it
  SB_VERDICT_DIFFERENT,      // two people under one label, unless a poor image is to blame
  SB_VERDICT_DUPLICATE,      // one image
  SB_VERDICT_SAME_PERSON,    // one person under two labels
  SB_VERDICT_SUSPECTED_SWAP, // scans that bear another person's label
  SB_VERDICT_MIRRORED,       // one person, but one of the scans has left and right exchanged
  SB_VERDICT_UNSURE,
  SB_VERDICT_COUNT
} sb_verdict;

// "same", "different", "duplicate", "same_person", "suspected_swap", "mirrored", "unsure"; "unknown" for
// any other value. Static storage.
SB_API const char *sb_verdict_name(sb_verdict verdict);

typedef struct sb_check_options {
  const char *measure;   // NULL: bandpass
  bool has_threshold;    // pairs at least as close as `threshold` are of one person, all others not
  double threshold;      // in the measure's own direction
  double expected_false; // else: false pairs to expect among all that are found
  const char *identities; // NULL: labels in the store; a TSV (dataset, scan_id, person); "none"
  bool mirrored;          // look for mirrored scans too, by a second link
  const char *backend;    // "auto", "cpu" or "cuda"
  int64_t memory_bytes;   // 0: the smaller of 4 GiB and a quarter of RAM
  int threads;            // 0: all processors; changes no result
  bool keep;              // as in sb_link_options
} sb_check_options;

// expected_false 0.01, mirrored, backend "auto".
SB_API sb_check_options sb_check_options_default(void);

typedef struct sb_check_summary {
  int64_t scans;
  int64_t labels; // distinct ones; a scan without one is not counted
  int64_t people; // found: groups of scans that are alike, a scan like nobody else's being one too
  int64_t pairs[SB_VERDICT_COUNT];
  int64_t found;    // pairs that call for action: all but same and unsure
  double threshold; // score from which pairs are found to be of one person; NaN: none could be set
  double
      mirrored_threshold; // the same of a scan and another's mirror image; NaN also: not looked for
  int64_t
      not_compared; // pairs whose files are gone or have changed, so that their noise is not known
  char note[400];   // what limits the result, in words; "": nothing
} sb_check_summary;

// Compares a store with itself, writes what sb_link does into `out` (of mirror images into its folder
// `mirrored`), and beside it check.tsv (every
// pair that is expected or found to be of one person, with its verdict and reason), groups.tsv (the
// people found: which scans are whose) and check.json (parameters and counts). Scans' files are read
// again, where they still are, to tell duplicates from rescans. Errors: those of sb_link;
// SB_UNSUPPORTED (a distance without an upper limit); SB_USAGE (options).
SB_API sb_status sb_check(const sb_store *store, const sb_check_options *options, const char *out,
                          const sb_progress *progress, sb_check_summary *summary);

#endif
