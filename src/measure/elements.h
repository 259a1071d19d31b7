// The arithmetic of single elements and single scores, in functions that a C and a CUDA compiler
// take alike, so that a measure cannot mean two things.
#ifndef SB_MEASURE_ELEMENTS_H
#define SB_MEASURE_ELEMENTS_H

#include <math.h>

#ifdef __CUDACC__
#define SB_HD __host__ __device__
#else
#define SB_HD
#endif

SB_HD static inline double sb_clamp(double value, double least, double most) {
  return value > most ? most : value < least ? least : value;
}

// ---- Scores from dot products -------------------------------------------------------------------

// What the distances need to know of a scan: row = vector * scale.
enum { SB_TERM_SCALE, SB_TERM_SQUARES, SB_TERM_MIN, SB_TERM_MAX, SB_TERM_VOXELS };

// Sum of the squared differences of two rows, from the dot product of their vectors.
SB_HD static inline double sb_squares_from_dot(double dot, const double *a, const double *b) {
  double product = a[SB_TERM_SCALE] * b[SB_TERM_SCALE] * dot;
  double squares = a[SB_TERM_SQUARES] + b[SB_TERM_SQUARES] - 2 * product;
  return squares > 0 ? squares : 0;
}
SB_HD static inline double sb_mse_of(double squares, const double *a) {
  return squares / a[SB_TERM_VOXELS];
}
// Over the root of the mean of both rows' mean squares.
SB_HD static inline double sb_nrmse_of(double squares, const double *a, const double *b) {
  double score = sqrt(2 * squares / (a[SB_TERM_SQUARES] + b[SB_TERM_SQUARES]));
  return score < 2 ? score : 2;
}
// In dB, of the range that both rows together span; beyond `most` it counts as that.
SB_HD static inline double sb_psnr_of(double squares, double most, const double *a,
                                      const double *b) {
  double high = a[SB_TERM_MAX] > b[SB_TERM_MAX] ? a[SB_TERM_MAX] : b[SB_TERM_MAX];
  double low = a[SB_TERM_MIN] < b[SB_TERM_MIN] ? a[SB_TERM_MIN] : b[SB_TERM_MIN];
  double peak = high - low, mean = squares / a[SB_TERM_VOXELS];
  return mean > 0 ? sb_clamp(10 * log10(peak * peak / mean), 0, most) : most;
}

// Of two sets, as vectors of 0 and 1 over a scale: twice what they share over what they have.
enum { SB_TERM_SET_SCALE, SB_TERM_SET_SIZE };
SB_HD static inline double sb_dice_from_dot(double dot, const double *a, const double *b) {
  double shared = a[SB_TERM_SET_SCALE] * b[SB_TERM_SET_SCALE] * dot;
  return sb_clamp(2 * shared / (a[SB_TERM_SET_SIZE] + b[SB_TERM_SET_SIZE]), 0, 1);
}

// ---- Local structure ----------------------------------------------------------------------------

// What two windows are compared by.
typedef struct sb_windows {
  float mean_a, mean_b, variance_a, variance_b, covariance;
} sb_windows;

// Luminance times contrast-and-structure (Wang 2004, eq. 13). A factor whose denominator does not
// exceed `dark` or `flat` counts as 1: two windows with nothing in them are alike.
SB_HD static inline float sb_structural_similarity(sb_windows w, float c1, float c2, float dark,
                                                   float flat) {
  float light = w.mean_a * w.mean_a + w.mean_b * w.mean_b + c1;
  float contrast = w.variance_a + w.variance_b + c2;
  float first = light > dark ? (2 * w.mean_a * w.mean_b + c1) / light : 1;
  float second = contrast > flat ? (2 * w.covariance + c2) / contrast : 1;
  return first * second;
}

// Squared correlation in a window, from the covariance and one over each standard deviation, which
// is 0 in a flat window: two flat ones are alike, one alone is not like any other.
SB_HD static inline float sb_squared_correlation(float covariance, float inverse_a,
                                                 float inverse_b) {
  float r = covariance * (inverse_a * inverse_b), squared = r * r;
  if (inverse_a == 0 && inverse_b == 0) return 1;
  return squared < 1 ? squared : 1;
}

#endif
