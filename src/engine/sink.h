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

typedef struct sb_sink {
  const sb_people *people;
  const sb_measure *measure;
  int64_t bins;
  double direction;                           // 1: closeness is the score; -1: minus the score
  sb_screen matches, nonmated;                // what the two kinds of shortlists keep
  sb_shortlist *match_lists, *nonmated_lists; // per probe
  int64_t list_bytes;                         // taken by all lists
  uint32_t *histogram;                        // probes x bins
  uint32_t *within; // the same of pairs of one dataset; NULL where there is but one dataset
  double *bounds;   // per probe: how far a screen can be from the canonical score
  int matrix;       // file descriptor of an .npy of probes x gallery floats; -1: none
} sb_sink;

typedef struct sb_sink_options {
  int64_t top;
  bool has_threshold;
  double threshold; // a score
  int matrix;
} sb_sink_options;

sb_status sb_sink_open(const sb_people *people, const sb_measure *measure, const sb_plan *plan,
                       const sb_sink_options *options, sb_sink *out);
void sb_sink_close(sb_sink *sink); // a zeroed one is fine

// The scores of one probe with `count` gallery scans from `first` on. Different probes may be given
// by different threads at once. False when the lists' memory is used up.
bool sb_sink_take(sb_sink *sink, int64_t probe, int64_t first, int64_t count,
                  const sb_screened *scores);
// The same scores as floats into the matrix; `line` has room for `count` floats.
sb_status sb_sink_write(const sb_sink *sink, int64_t probe, int64_t first, int64_t count,
                        const sb_screened *scores, float *line);
// When all scores are in: leaves in the lists what the canonical scores must decide.
void sb_sink_finish(sb_sink *sink, int threads);
// A bound on |screen - canonical| over all pairs.
double sb_sink_bound(const sb_sink *sink);

#endif
