// The arithmetic of single elements and single scores, in functions that a C and a CUDA compiler
// take alike, so that a measure cannot mean two things.
#ifndef SB_MEASURE_ELEMENTS_H
#define SB_MEASURE_ELEMENTS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define SB_HD __host__ __device__
#else
#define SB_HD
#endif

SB_HD static inline double sb_clamp(double value, double least, double most) {
  return value > most ? most : value < least ? least : value;
}

// ---- Embedding ----------------------------------------------------------------------------------

// A row's value, from what float16 holds.
SB_HD static inline float sb_row_value(float half, double scale, double offset) {
  return scale == 1 && offset == 0 ? half : (float)((double)half * scale + offset);
}

// A value without the mean of the window around it: the window's sum, times one over its weights.
SB_HD static inline float sb_without_smooth(float value, float sum, float inverse) {
  return value - sum * inverse;
}

// Long sums run in so many lanes, element i in lane i % SB_DOT_LANES, which are added in a fixed tree.
enum { SB_DOT_LANES = 16 };
SB_HD static inline double sb_add_lanes(const double *lanes) {
  double sum[SB_DOT_LANES];
  for (int j = 0; j < SB_DOT_LANES; j++) sum[j] = lanes[j];
  for (int half = SB_DOT_LANES / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++) sum[j] += sum[j + half];
  return sum[0];
}

// Whether what is left of values around their mean, of this norm, is more than the rounding of what they
// were computed from, whose root mean square is `rms`.
SB_HD static inline bool sb_varies(double norm, double rms, int64_t count) {
  return norm > 1e-6 * rms * sqrt((double)count);
}

SB_HD static inline float sb_centre_and_scale(float value, double centre, double factor) {
  return (float)(((double)value - centre) * factor);
}

// ---- Scores from dot products -------------------------------------------------------------------

// What the distances need to know of a scan: row = vector * scale.
enum {
  SB_TERM_SCALE,
  SB_TERM_SQUARES,
  SB_TERM_MIN,
  SB_TERM_MAX,
  SB_TERM_VOXELS,
  SB_DISTANCE_TERMS
};

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

// Concordance, which wants to know more.
enum { SB_TERM_ROW_MEAN = SB_DISTANCE_TERMS, SB_TERM_VARIANCE, SB_CCC_TERMS };
SB_HD static inline double sb_ccc_of(double squares, const double *a, const double *b) {
  const double apart = a[SB_TERM_ROW_MEAN] - b[SB_TERM_ROW_MEAN];
  const double spread = a[SB_TERM_VARIANCE] + b[SB_TERM_VARIANCE] + apart * apart;
  return sb_clamp(1 - sb_mse_of(squares, a) / spread, -1, 1);
}

// Of two sets, as vectors of 0 and 1 over a scale: twice what they share over what they have.
enum { SB_TERM_SET_SCALE, SB_TERM_SET_SIZE };
SB_HD static inline double sb_dice_from_dot(double dot, const double *a, const double *b) {
  double shared = a[SB_TERM_SET_SCALE] * b[SB_TERM_SET_SCALE] * dot;
  return sb_clamp(2 * shared / (a[SB_TERM_SET_SIZE] + b[SB_TERM_SET_SIZE]), 0, 1);
}

// An epilogue (measure.h) in plain data. Those that take a logarithm have none: a device's may differ from
// the host's in the last bit, and a score at the edge of a bin then be counted in another one.
typedef enum sb_from_dot {
  SB_FROM_DOT_NONE,
  SB_FROM_DOT_CORRELATION,
  SB_FROM_DOT_NRMSE,
  SB_FROM_DOT_CCC,
  SB_FROM_DOT_DICE
} sb_from_dot;
SB_HD static inline double sb_score_from_dot(sb_from_dot kind, double dot, const double *a,
                                             const double *b) {
  if (kind == SB_FROM_DOT_NRMSE) return sb_nrmse_of(sb_squares_from_dot(dot, a, b), a, b);
  if (kind == SB_FROM_DOT_CCC) return sb_ccc_of(sb_squares_from_dot(dot, a, b), a, b);
  if (kind == SB_FROM_DOT_DICE) return sb_dice_from_dot(dot, a, b);
  return sb_clamp(dot, -1, 1);
}

// ---- Joint histograms ---------------------------------------------------------------------------

enum { SB_LEVELS = 64, SB_JOINT_BINS = SB_LEVELS * SB_LEVELS };

SB_HD static inline double sb_n_log_n(uint32_t n) {
  return n > 1 ? (double)n * log((double)n) : 0;
}

// H = log N - sum n log n / N; never below 0 by rounding.
SB_HD static inline double sb_entropy_of(double sum, double voxels) {
  double h = log(voxels) - sum / voxels;
  return h > 0 ? h : 0;
}

// In nats.
typedef struct sb_entropies {
  double a, b, joint;
} sb_entropies;
SB_HD static inline double sb_mi_of(sb_entropies h) {
  return sb_clamp(h.a + h.b - h.joint, 0, 6 * M_LN2);
}
SB_HD static inline double sb_nmi_of(sb_entropies h) {
  return h.joint > 0 ? sb_clamp((h.a + h.b) / h.joint, 1, 2) : 2;
}

// Of the voxels in one level of a scan: how many, and the sums of the other scan's levels there.
typedef struct sb_level_sums {
  uint64_t count, sum, squares;
} sb_level_sums;

// Adds `count` voxels of the other scan's `level`.
SB_HD static inline void sb_level_add(sb_level_sums *sums, uint32_t count, int level) {
  const uint64_t here = count, at = (uint64_t)level;
  sums->count += here;
  sums->sum += here * at;
  sums->squares += here * at * at;
}

// The share of the other scan's variance that the levels explain: 1 minus what is left within them,
// over the whole. Level by level, then sb_ratio_of. A scan of one level has nothing to tell.
typedef struct sb_ratio {
  double within, sum, squares; // sums: of integers below 2^53, exact
} sb_ratio;
SB_HD static inline void sb_ratio_add(sb_ratio *ratio, const sb_level_sums *level) {
  const double sum = (double)level->sum, squares = (double)level->squares;
  if (level->count == 0) return;
  ratio->within += squares - sum * sum / (double)level->count;
  ratio->sum += sum;
  ratio->squares += squares;
}
SB_HD static inline double sb_ratio_of(const sb_ratio *ratio, double voxels) {
  double whole = ratio->squares - ratio->sum * ratio->sum / voxels;
  return whole > 0 ? sb_clamp(1 - ratio->within / whole, 0, 1) : 0;
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

// Of the range that two scans and the background's 0 span.
typedef struct sb_structure_constants {
  double k1, k2;     // the constants of the two factors are their squares, times the range's
  double dark, flat; // of the squared range: squared means, and variances, that do not exceed them
                     // are taken for nothing
} sb_structure_constants;
enum { SB_TERM_MEAN, SB_TERM_LEAST, SB_TERM_MOST, SB_STRUCTURE_TERMS };

// What all voxels of a pair share: both scans' means, and the constants in their units.
typedef struct sb_structure_pair {
  float m, n, c1, c2, dark, flat;
} sb_structure_pair;
SB_HD static inline sb_structure_pair sb_structure_pair_of(const sb_structure_constants *k,
                                                           const double *a, const double *b) {
  double most = a[SB_TERM_MOST] > b[SB_TERM_MOST] ? a[SB_TERM_MOST] : b[SB_TERM_MOST];
  double least = a[SB_TERM_LEAST] < b[SB_TERM_LEAST] ? a[SB_TERM_LEAST] : b[SB_TERM_LEAST];
  double range = most - least;
  sb_structure_pair out;
  out.m = (float)a[SB_TERM_MEAN];
  out.n = (float)b[SB_TERM_MEAN];
  out.c1 = (float)(k->k1 * k->k1 * range * range);
  out.c2 = (float)(k->k2 * k->k2 * range * range);
  out.dark = (float)(k->dark * range * range);
  out.flat = (float)(k->flat * range * range);
  return out;
}

// A voxel's window: the sum of the products of deviations, the weights' inverse sum and share in the
// mask, and both scans' mean deviation and variance there (see structure.c).
SB_HD static inline float sb_window_covariance(float sum, float weight, float share, float mean_a,
                                               float mean_b, float m, float n) {
  float outside = 1 - share, edge = m * mean_b + n * mean_a + m * n * share;
  return sum * weight - mean_a * mean_b + outside * edge;
}
SB_HD static inline float sb_window_similarity(float sum, float weight, float share, float mean_a,
                                               float mean_b, float variance_a, float variance_b,
                                               sb_structure_pair p) {
  sb_windows w;
  w.mean_a = mean_a + p.m * share;
  w.mean_b = mean_b + p.n * share;
  w.variance_a = variance_a;
  w.variance_b = variance_b;
  w.covariance = sb_window_covariance(sum, weight, share, mean_a, mean_b, p.m, p.n);
  return sb_structural_similarity(w, p.c1, p.c2, p.dark, p.flat);
}

// Squared correlation in a window, from the covariance and one over each standard deviation, which
// is 0 in a flat window: two flat ones are alike, one alone is not like any other.
SB_HD static inline float sb_squared_correlation(float covariance, float inverse_a,
                                                 float inverse_b) {
  float r = covariance * (inverse_a * inverse_b), squared = r * r;
  if (inverse_a == 0 && inverse_b == 0) return 1;
  return squared < 1 ? squared : 1;
}
SB_HD static inline float sb_window_correlation(float sum, float inverse, float mean_a,
                                                float mean_b, float inverse_a, float inverse_b) {
  return sb_squared_correlation(sum * inverse - mean_a * mean_b, inverse_a, inverse_b);
}

// ---- Phases -------------------------------------------------------------------------------------

enum { SB_MOST_SHIFT = 6, SB_SHIFTS = 2 * SB_MOST_SHIFT + 1 }; // along an axis

// a times the conjugate of b.
SB_HD static inline float sb_phase_re(float a_re, float a_im, float b_re, float b_im) {
  return a_re * b_re + a_im * b_im;
}
SB_HD static inline float sb_phase_im(float a_re, float a_im, float b_re, float b_im) {
  return a_im * b_re - a_re * b_im;
}
// Whether both scans have the frequency of this product.
SB_HD static inline int sb_phase_there(float re, float im) {
  return re * re + im * im > 0.5f;
}
// A number turned by a phase.
SB_HD static inline float sb_turned_re(float re, float im, float turn_re, float turn_im) {
  return re * turn_re - im * turn_im;
}
SB_HD static inline float sb_turned_im(float re, float im, float turn_re, float turn_im) {
  return re * turn_im + im * turn_re;
}

// The real part of a line's sum over frequencies -band..band, of which 0..band are given, each turned
// by its phase.
SB_HD static inline double sb_line_sum(int band, const float *re, const float *im,
                                       const float *turn_re, const float *turn_im) {
  double sum = 0;
  for (int i = band; i > 0; i--)
    sum += 2 * ((double)re[i] * (double)turn_re[i] - (double)im[i] * (double)turn_im[i]);
  return sum + (double)re[0];
}

// What a parabola through the best of three equidistant values and its neighbours adds to it.
SB_HD static inline double sb_parabola_gain(double before, double best, double after) {
  double curvature = 2 * best - before - after, slope = after - before;
  return curvature > 0 ? slope * slope / (8 * curvature) : 0;
}

// The highest of the SB_SHIFTS^3 values of a correlation, x fastest, and between them that of a
// parabola along each axis.
SB_HD static inline double sb_peak_of(const double *value) {
  int best = 0, step = 1;
  for (int i = 1; i < SB_SHIFTS * SB_SHIFTS * SB_SHIFTS; i++)
    if (value[i] > value[best]) best = i;
  double gain = 0;
  for (int axis = 0; axis < 3; axis++, step *= SB_SHIFTS) {
    const int at = best / step % SB_SHIFTS;
    if (at == 0 || at == SB_SHIFTS - 1) continue;
    gain += sb_parabola_gain(value[best - step], value[best], value[best + step]);
  }
  return value[best] + gain;
}

#endif
