// What the measures share that follow from the sum of squared differences of two rows. The vector
// is the row over a power of two, so that its norm is at most 1 and its elements stay exact; the
// terms are those of SB_TERM_SCALE and on (elements.h). A screen takes the sum from norms and dot
// product, which cancel where rows are nearly equal; the canonical sum is one over differences.
#ifndef SB_MEASURE_DISTANCE_H
#define SB_MEASURE_DISTANCE_H

#include "measure/elements.h"
#include "measure/measure.h"

sb_status sb_distance_embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                            float *vector, double *terms, float *scratch);
double sb_distance_squares(const sb_grid *grid, sb_embedding a, sb_embedding b);

#endif
