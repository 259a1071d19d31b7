// A store against itself, and from which score on two of its scans are found to be of one person.
#ifndef SB_EVALUATE_LIKENESS_H
#define SB_EVALUATE_LIKENESS_H

#include "evaluate/links.h"
#include "evaluate/scores.h"
#include "measure/measure.h"
#include "samebrain/check.h"

typedef struct sb_likeness {
  const sb_measure *measure;
  bool likely_known; // what scores suggest by themselves is known of this measure
  double direction;  // 1, or -1 for a distance
  sb_link_folder folder;
  sb_tsv table;
  sb_scores scores;
  sb_study study;
  sb_tail tail; // of scores of two people
  sb_proposals found;
  bool rely;        // on the images, against the labels
  bool given;       // the threshold, by options
  double threshold; // closeness from which pairs are found to be of one person
  double listed;    // and from which they are in `found`
} sb_likeness;

// Links the store to itself, into `out`, and reads what came of it.
//   as_is  NULL: the scans as they are. Else the probes as their mirror images, and what is known of the scans
//          as they are: of two people, scans that lie alike share more than a scan and a mirror image do, so that
//          their tail holds whichever scans are mirrored. Other measures than bandpass, of which less
//          is known, have a tail of their own.
// Errors: those of sb_check.
sb_status sb_likeness_open(const sb_store *store, const sb_check_options *options,
                           const sb_likeness *as_is, const char *out, const sb_progress *progress,
                           sb_likeness *l);
void sb_likeness_close(sb_likeness *l); // a zeroed one is fine

// Whether half of what should be pairs of two people are as close as one person's: then labels are
// missing, or the scans are blurred.
bool sb_likeness_is_bulk_alike(const sb_likeness *l);

#endif
