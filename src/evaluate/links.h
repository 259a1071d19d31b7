// Links: which pairs are so close that next to none as close is expected by chance, whoever they
// are. Nothing here looks at identities, but for saying afterwards what they say.
#ifndef SB_EVALUATE_LINKS_H
#define SB_EVALUATE_LINKS_H

#include <stdio.h>

#include "evaluate/study.h"
#include "evaluate/tail.h"

typedef struct sb_proposal {
  sb_listed pair;        // its score is a closeness
  double margin;         // over the closest other scan listed for the probe; NaN: none listed
  double expected_false; // non-mated pairs at least as close, among all compared
} sb_proposal;

typedef struct sb_proposals {
  sb_proposal *items; // closest first
  int64_t count;
  bool cut_short;   // a probe's list ends above the threshold: link listed too few matches
  double threshold; // closeness at which expected_false is what was asked for; NaN: not reached
} sb_proposals;

// Listed pairs with at most `expected_false` non-mated pairs as close expected among all compared.
// A pair that stands under both its scans counts once.
//   with_mated   false: the control attack, all mated pairs taken out
//   one_to_one   the closest pair first, each scan once (each probe and each gallery scan, between
//                two stores): with scores that both sides see alike this is the stable matching
sb_status sb_links_propose(const sb_study *study, const sb_tail *tail, double expected_false,
                           bool with_mated, bool one_to_one, sb_proposals *out);
// Listed pairs at least this close, whatever the tail says of them.
sb_status sb_links_above(const sb_study *study, const sb_tail *tail, double threshold,
                         bool with_mated, sb_proposals *out);
void sb_proposals_free(sb_proposals *proposals); // a zeroed one is fine

#endif
