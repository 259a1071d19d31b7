// Differential performance: how scores, misses and false matches depend on what else is known of the
// scans (false negative and false positive differentials, ISO/IEC 19795-10).
#ifndef SB_EVALUATE_DIFFERENTIAL_H
#define SB_EVALUATE_DIFFERENTIAL_H

#include "evaluate/covariates.h"
#include "evaluate/figures.h"

// One differential for each of the covariates.
//   threshold  a closeness; NaN: no rates at one
//   out        gets them; sb_evaluation_free them, also after an error
sb_status sb_differentials_of_study(const sb_study *study, const sb_scale *scale, double threshold,
                                    const sb_covariates *covariates,
                                    const sb_evaluate_options *options, sb_evaluation *out);

#endif
