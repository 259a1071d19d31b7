// A cohort whose labels and scans are tampered with, as they go wrong in real cohorts, and whether
// check finds that and nothing else.
#ifndef SB_TESTS_TAMPERING_H
#define SB_TESTS_TAMPERING_H

#include <stdint.h>

#include "samebrain/samebrain.h"

typedef struct tampering {
  const sb_template *brain;
  const sb_preparer *preparer;
  const sb_scan_list *scans; // at least three people with two scans each, and one more person
  const char *folder;        // for stores and derived images; emptied after each trial
} tampering;

// Untampered, check must raise nothing. Fails the cmocka test that calls it otherwise.
void check_untampered(const tampering *t);

// Which scans are tampered with follows from `seed`: two people exchange a session; a session is
// moved to another person; one scan is copied under a new id, one in another storage order and
// datatype, one with left and right exchanged, one at other voxels, one with another contrast and 2 % noise. Then, of the
// cohort as it was, a session is mirrored under its own label, and one scan is copied mirrored.
void check_tampered(const tampering *t, uint64_t seed);

// Two people exchange a session, one of which is mirrored too, and a session of somebody else is.
void check_mirrored_swap(const tampering *t, uint64_t seed);

#endif
