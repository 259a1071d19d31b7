// Combinations of measures in a run: how far each part's scores spread, and so what it weighs.
//
// The sample is the same for every way to cut a run in shards or tiles: the pairs between the
// SB_SAMPLED_SCANS scans of each side whose names have the least SHA-256, by their canonical scores.
// Location and scale are the median and 1.4826 times the median distance from it, which the few mated
// pairs in a sample do not move.
#ifndef SB_ENGINE_STANDARDISE_H
#define SB_ENGINE_STANDARDISE_H

#include <stdint.h>

#include "measure/measure.h"
#include "samebrain/store.h"

enum {
  SB_SAMPLED_SCANS = 48,
  SB_FEWEST_PAIRS = 400 // with fewer, all parts weigh the same
};

typedef struct sb_standard {
  double location, scale, weight; // location and scale NaN where there were too few pairs
} sb_standard;

// Opens an embedder for the grid of two stores (which may be one). Of a combination, the parts are
// weighed by the inverse of their scale, and `standards`, SB_MOST_PARTS of them, become what was found.
// Errors: SB_CONTENT (a scan that cannot be embedded: which), SB_NO_MEMORY.
sb_status sb_run_embedder_open(const sb_measure *measure, const sb_store *probe,
                               const sb_store *gallery, sb_embedder *out, sb_standard *standards);

#endif
