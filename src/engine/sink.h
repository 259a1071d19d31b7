// What becomes of a tile of scores: per probe a histogram of its non-mated scores, the candidates
// for its matches and for its closest non-mated scan, and on request a line of the dense matrix.
#ifndef SB_ENGINE_SINK_H
#define SB_ENGINE_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/histogram.h"
#include "engine/people.h"
#include "engine/plan.h"
#include "engine/screen.h"
#include "measure/measure.h"

// For the pairs of one scan: how close one must be to matter to each list, and how many that could are
// without a canonical score.
typedef struct sb_cutoffs {
  double least[SB_LIST_KINDS];
  int64_t open;
} sb_cutoffs;

// Pairs whose canonical scores are wanted however far they are, sorted as sb_people_mated has them, and
// these as far as they are known: else NaN.
typedef struct sb_mated {
  const sb_pair *pairs;
  double *scores;
  int64_t count;
} sb_mated;

typedef struct sb_sink {
  const sb_people *people;
  const sb_measure *measure;
  int64_t bins;
  double direction;                   // 1: closeness is the score; -1: minus the score
  sb_screen screens[SB_LIST_KINDS];   // what the shortlists keep
  sb_shortlist *lists[SB_LIST_KINDS]; // per probe
  int64_t list_bytes;                 // taken by all lists
  uint32_t *histogram;                // probes x bins
  uint32_t *within; // the same of pairs of one dataset; NULL where there is but one dataset
  double *bounds;   // per probe: how far a screen can be from the canonical score
  int matrix;       // file descriptor of an .npy of probes x gallery floats; -1: none
  sb_mated mated;
} sb_sink;

typedef struct sb_sink_options {
  int64_t top;
  bool has_threshold;
  double threshold; // a score
  int matrix;
  sb_mated mated; // borrowed
} sb_sink_options;

sb_status sb_sink_open(const sb_people *people, const sb_measure *measure, const sb_plan *plan,
                       const sb_sink_options *options, sb_sink *out);
void sb_sink_close(sb_sink *sink); // a zeroed one is fine
void sb_sink_empty(sb_sink *sink); // of all scores, but for a matrix's

// Different probes may be given by different threads at once.
// The scores of one probe with `count` gallery scans from `first` on, into the histograms.
void sb_sink_count(sb_sink *sink, int64_t probe, int64_t first, int64_t count,
                   const sb_screened *scores);
// A candidate into the lists that take it. False when their memory is used up.
bool sb_sink_add(sb_sink *sink, int64_t probe, sb_candidate item);
sb_status sb_sink_full(const sb_sink *sink); // says so
// The same scores as floats into the matrix; `line` has room for `count` floats.
sb_status sb_sink_write(const sb_sink *sink, int64_t probe, int64_t first, int64_t count,
                        const sb_screened *scores, float *line);
// Whether a list of that kind takes the pair at all.
static inline bool sb_sink_lists(const sb_sink *sink, sb_list_kind kind, int64_t probe,
                                 int64_t gallery) {
  if (gallery == sink->people->same[probe]) return false;
  return kind == SB_LIST_MATCHES ||
         sb_people_kind(sink->people, probe, gallery) == SB_PAIR_NONMATED;
}
// A score as a closeness.
static inline sb_candidate sb_sink_candidate(const sb_sink *sink, const sb_screened *score,
                                             int64_t gallery) {
  return sb_candidate_of(score, sink->measure->info.higher_is_closer, gallery);
}

// Leaves in a probe's lists what can still matter.
void sb_sink_prune(sb_sink *sink, int64_t probe);
// The same for all, when all scores are in.
void sb_sink_finish(sb_sink *sink, int threads);
// A bound on |screen - canonical| over all pairs.
double sb_sink_bound(const sb_sink *sink);

#endif
