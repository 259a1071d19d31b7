// From what link wrote, and from who is who, the study of each measure.
//
// Where the identities are those that link used, everything is in the folder. With others, scores
// that link listed are used again, and the rest are computed canonically from the stores:
//   - mated pairs that are in neither table;
//   - pairs that change sides: they are taken out of the histograms of non-mated scores, or put in;
//   - for a probe all of whose listed scans are no longer non-mated, the others, unless what was
//     listed proves that they cannot hold the largest non-mated score.
#ifndef SB_EVALUATE_SCORES_H
#define SB_EVALUATE_SCORES_H

#include "evaluate/folder.h"
#include "evaluate/study.h"
#include "samebrain/store.h"

typedef struct sb_scores {
  const sb_link_folder *folder;
  sb_identity_mode mode; // of the identities to evaluate with
  sb_people before, now; // by link's identities, and by those to evaluate with
  bool changed;          // other identities are given
  bool anyone;           // some probe's person is known
  sb_pair *mated;        // now, every one
  int64_t mated_count;
  sb_store *probe, *gallery;            // opened when needed
  int64_t *probe_index, *gallery_index; // a scan's number in its store
} sb_scores;

// `table` holds the texts of an identities table, and outlives `out`. Errors: those of
// sb_identities_assign.
sb_status sb_scores_open(sb_link_folder *folder, const char *identities, sb_tsv *table,
                         const sb_progress *progress, sb_scores *out);
void sb_scores_close(sb_scores *scores); // a zeroed one is fine

// The study takes the measure's histogram over; `m->within` is brought up to date in place.
//   nonmated_max  closeness of the closest non-mated pair; -INFINITY: there is none
// Errors: SB_FORMAT (damaged), SB_CONFLICT (a store has changed), SB_NOT_FOUND, SB_USAGE (so
// different identities that linking again is cheaper), SB_IO.
sb_status sb_scores_study(sb_scores *scores, sb_linked_measure *m, sb_study *study,
                          double *nonmated_max);

#endif
