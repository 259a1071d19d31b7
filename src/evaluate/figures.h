// The arithmetic of an evaluation, and evaluation.json.
#ifndef SB_EVALUATE_FIGURES_H
#define SB_EVALUATE_FIGURES_H

#include <stdint.h>

#include "evaluate/folder.h"
#include "samebrain/evaluate.h"

// mated_pairs, mated_min, mated_mean, mated_sd; NaN where there are too few.
void sb_figures_of_mated(const sb_measure_info *info, const double *scores, int64_t count,
                         sb_evaluation *out);
// nonmated_pairs, nonmated_mean, nonmated_sd, each score taken as its bin's centre. Every pair is
// counted `sides` times in the histogram. Returns the sum of its counts.
int64_t sb_figures_of_histogram(const sb_measure_info *info, const int64_t *histogram, int64_t bins,
                                int64_t sides, sb_evaluation *out);
// rank1, margin, d_prime.
void sb_figures_of_both(const sb_measure_info *info, sb_evaluation *out);

// Writes evaluation.json into the folder `out`.
//   assumption  what the figures rest on and nothing proves; NULL: nothing
sb_status sb_write_evaluation(const char *out, const char *identities, const char *assumption,
                              const sb_link_folder *folder, const sb_evaluation *results);

#endif
