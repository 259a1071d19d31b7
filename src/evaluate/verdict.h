// What a cohort's labels and the likeness of its scans say together: a verdict for each pair.
#ifndef SB_EVALUATE_VERDICT_H
#define SB_EVALUATE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/check.h"

// What labels say of a pair.
typedef enum sb_expected {
  SB_EXPECTED_UNKNOWN,
  SB_EXPECTED_SAME,
  SB_EXPECTED_DIFFERENT
} sb_expected;

// What the images say: alike as scans of one person are, as those of two, or neither.
typedef enum sb_observed {
  SB_OBSERVED_SAME,
  SB_OBSERVED_DIFFERENT,
  SB_OBSERVED_UNSURE
} sb_observed;

// Why a verdict is what it is.
typedef enum sb_why {
  SB_WHY_AGREED,     // labels and images say the same
  SB_WHY_MIRRORED,   // the same, once one of the scans is mirrored
  SB_WHY_THROUGH,    // not alike themselves, but both alike to other scans of the person
  SB_WHY_FOLLOWS,    // one of them is a duplicate, and its original is alike to the other
  SB_WHY_COPY,       // one image
  SB_WHY_TWO_PEOPLE, // under one label
  SB_WHY_MISPLACED,  // one person under two labels, of which one holds a second person
  SB_WHY_TWO_LABELS, // one person under two labels
  SB_WHY_DOUBTFUL,   // two people under one label, or an image of poor quality
  SB_WHY_BETWEEN,    // less alike than usual for one person, more than for two
  SB_WHY_FEW         // images and labels disagree, but the store is too small to rely on images
} sb_why;

// How two images were compared beyond their likeness.
typedef enum sb_compared {
  SB_COMPARED_NOT,
  SB_COMPARED_FILES,     // one SHA-256
  SB_COMPARED_NOISE,     // voxel by voxel
  SB_COMPARED_RESAMPLED, // one at the other's voxels
  SB_COMPARED_ROWS       // the files are gone, or their voxels too large
} sb_compared;

typedef struct sb_case {
  int64_t a, b; // scans, a < b
  double score; // a closeness
  sb_expected expected;
  sb_observed observed;
  sb_compared compared;
  double agreement; // correlation of noise or rows; NaN: none
  bool gone;        // a file is not there, or not the one that was prepared
  bool copy;        // the same image
  bool mirrored;    // alike only when one of them is mirrored: one has left and right exchanged
  double mirrored_score; // closeness of the one and the other's mirror image; NaN: not known
  int exchanged;         // of a mirrored case which has them, 0: a, 1: b; -1: not known
  int64_t alike;  // of that: how many other scans lie as the other does; 0: told by the headers
  bool by_mirror; // only the mirror image made it a case
  bool doubtful;  // one of the scans is of poor quality
  sb_verdict verdict;
  sb_why why;
  // Of SB_WHY_TWO_PEOPLE: the case that shows whose a and b probably are; -1: none.
  int64_t owner[2];
} sb_case;

// Of a mirrored case with one of its scans mirrored.
static inline double sb_case_closeness(const sb_case *c) {
  return c->mirrored ? c->mirrored_score : c->score;
}

typedef struct sb_cases {
  sb_case *items;
  int64_t count;
} sb_cases;

// Fills verdict, why and owner of every case.
//   label     per scan, 0 to scans - 1; -1: none
//   rely      whether the images are believed against the labels
//   group     out, per scan: whose scans are one person's, numbered from 0 in the scans' order
//   original  out, per scan: the scan of which it is a duplicate, itself where it is none
// A label holds two people where a pair of its scans is observed to be different. A pair across
// labels is then taken for mislabelled, not for one person under two ids, if
//   - the label that holds two people has at least as many scans of somebody else, and
//   - the other label holds two people too, of whom both labels have scans (they were exchanged); or
//     there is no such label, so that the scan was moved.
// Where labels say nothing of the pair (two datasets), the rest of that label must have no other label
// too.
sb_status sb_judge(const int64_t *label, int64_t scans, bool rely, sb_cases *cases, int64_t *group,
                   int64_t *original);

#endif
