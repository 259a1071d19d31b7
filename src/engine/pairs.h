// Canonical scores of a few chosen pairs, without a screen.
#ifndef SB_ENGINE_PAIRS_H
#define SB_ENGINE_PAIRS_H

#include <stdint.h>

#include "engine/people.h"
#include "measure/measure.h"
#include "samebrain/store.h"

// scores[i] of pairs[i], whose numbers are those of the two stores (which may be one).
//   weights   of a combination's parts; NULL: all weigh the same
// Errors: SB_CONTENT (a scan that cannot be embedded: which), SB_NO_MEMORY.
sb_status sb_score_pairs(const sb_store *probe, const sb_store *gallery, const sb_measure *measure,
                         const double *weights, const sb_pair *pairs, int64_t count,
                         double *scores);

#endif
