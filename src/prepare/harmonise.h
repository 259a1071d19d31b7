// Intensities on one scale: a scan's row matched to the template's.
#ifndef SB_PREPARE_HARMONISE_H
#define SB_PREPARE_HARMONISE_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/prepare.h"

enum { SB_LANDMARKS = 11 }; // percentiles 1, 10, 20, ..., 90, 99

// The template's landmarks on the standard scale: mean 0 and standard deviation 1 in the mask.
typedef struct sb_standard_scale {
  double landmarks[SB_LANDMARKS];
  double mean, deviation; // of the template's intensities
} sb_standard_scale;

sb_status sb_standard_scale_create(const sb_template *t, sb_standard_scale *out);

// Maps a row's intensities in place.
//   nyul    piecewise linear between the row's own percentiles and the template's, the end pieces
//           going on beyond (Nyul, Udupa and Zhang, IEEE TMI 19:143, 2000)
//   zscore  mean 0, standard deviation 1
//   rank    the normal quantile of the rank among the brain's voxels (r - 1/2) / n, ties at the middle
//           of their ranks: van der Waerden's scores (Proc. KNAW A 55:453, 1952)
//   none    as they are
// Statistics come from the voxels where `brain` is not 0; all voxels are mapped, then pulled in to
// +-winsor_sigma (0: not; for `none` never).
// Errors: SB_CONTENT when the brain's intensities do not vary; SB_NO_MEMORY.
sb_status sb_harmonise_row(sb_harmonise method, double winsor_sigma, const sb_standard_scale *scale,
                           int64_t length, const uint8_t *brain, float *row);

#endif
