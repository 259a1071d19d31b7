// What is known of one measure's scores, in memory: the input of everything that is computed here.
// Scores are closenesses throughout (scale.h): the score, or minus the score of a distance. So a
// link's folder and a simulation look the same.
#ifndef SB_EVALUATE_STUDY_H
#define SB_EVALUATE_STUDY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/people.h"
#include "samebrain/status.h"

// A pair whose score is known by itself.
typedef struct sb_listed {
  int64_t probe, gallery;
  int64_t rank; // among the probe's matches, from 1; 0 in a list of mated pairs
  double score;
  sb_pair_kind kind;
} sb_listed;

typedef struct sb_listed_array {
  sb_listed *items;
  int64_t count;
} sb_listed_array;

// Owns its arrays.
typedef struct sb_study {
  double low, high; // the range of closenesses
  bool ratio;       // they are logarithms of a distance without a limit
  bool self;        // probes and gallery are the same scans, in the same order
  int64_t pairs;    // compared, each once, of whatever kind
  int64_t probes, gallery;
  int64_t people; // distinct ones; a scan of nobody known is a person of its own
  int64_t *probe_person, *gallery_person; // 0..people-1
  int64_t bins;
  uint32_t *histogram;     // probes x bins over [low, high]: each probe's non-mated pairs
  double *best_nonmated;   // per probe; NaN: none
  double *mate;            // per probe, its closest mate; NaN: none
  sb_listed_array matches; // by probe, then rank: each probe's closest, complete down to the last
  sb_listed_array mated;   // every mated pair, once
} sb_study;

void sb_study_free(sb_study *study); // a zeroed one is fine

// Fills `mate`, and `best_nonmated` where it is NULL: the closest non-mated pair listed, or else
// the centre of the highest bin that is not empty.
sb_status sb_study_complete(sb_study *study);

// How many people have a mated pair.
sb_status sb_study_mated_people(const sb_study *study, int64_t *people);

// Non-mated pairs at or above a closeness, each once: exact for probes whose list of matches reaches
// down to it, from the histogram for the others, linear within its bin.
double sb_study_nonmated_above(const sb_study *study, double closeness);

// The same pairs under each of their probes (in a self-comparison a pair is under both its scans): one
// by one where the list reaches down, else a probe's number of them with gallery -1.
typedef void (*sb_false_match)(void *context, int64_t probe, int64_t gallery, double pairs);
void sb_study_false_matches(const sb_study *study, double closeness, sb_false_match take,
                            void *context);

// The part of a study in which probe and gallery scan are both of one dataset.
//   probe_dataset, gallery_dataset   a number per scan
//   within                           as `histogram`, of pairs of one dataset alone
// Its people are numbered anew.
sb_status sb_study_within(const sb_study *study, const int64_t *probe_dataset,
                          const int64_t *gallery_dataset, const uint32_t *within, int64_t dataset,
                          sb_study *out);

// Two studies of different people as one: what leave-one-dataset-out trains on. Only mated scores
// and histograms are joined (no matches). Their bins and range must agree.
sb_status sb_study_join(const sb_study *a, const sb_study *b, sb_study *out);

static inline double sb_study_width(const sb_study *s) {
  return (s->high - s->low) / (double)s->bins;
}
static inline double sb_study_edge(const sb_study *s, int64_t bin) {
  return s->low + sb_study_width(s) * (double)bin;
}
// Equal widths, what lies outside in the end bins.
static inline int64_t sb_study_bin(const sb_study *s, double closeness) {
  double at = (closeness - s->low) / (s->high - s->low) * (double)s->bins;
  return at >= (double)s->bins ? s->bins - 1 : at > 0 ? (int64_t)at : 0;
}
// Times that a pair is counted in the histograms.
static inline int64_t sb_study_sides(const sb_study *s) {
  return s->self ? 2 : 1;
}

#endif
