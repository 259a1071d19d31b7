// The arrays that a link writes: histograms of the non-mated scores, and all scores.
#ifndef SB_ENGINE_LINK_ARRAYS_H
#define SB_ENGINE_LINK_ARRAYS_H

#include "engine/results.h"
#include "engine/run.h"
#include "engine/sink.h"

// What the sink has counted, and the bins' edges.
sb_status sb_link_write_histograms(sb_results *results, const sb_run *run, const sb_sink *sink);

// A file of the matrix's full size, to be filled tile by tile. Its descriptor stays valid until
// publishing.
sb_status sb_link_open_matrix(sb_results *results, const sb_run *run, const char *measure,
                              int *descriptor);

#endif
