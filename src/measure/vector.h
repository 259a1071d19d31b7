// Arithmetic over long float arrays whose result depends on the values alone: sums run in 16
// interleaved float64 lanes that are added in one fixed tree, so every processor, vector width and
// number of threads gives the same bits.
#ifndef SB_MEASURE_VECTOR_H
#define SB_MEASURE_VECTOR_H

#include <stdint.h>

// One source, compiled for several instruction sets, the best one chosen when the program starts.
// Safe here because nothing is contracted or reassociated: the clones differ in speed alone.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SB_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SB_VECTOR_CLONES
#endif

double sb_sum(int64_t count, const float *values);
// Sum of (values - centre)^2.
double sb_sum_squares(int64_t count, const float *values, double centre);
// The canonical dot product: what every reported score is made of. Products of two floats are exact
// in float64, so only the additions round: the error is at most count * 2^-53 times the sum of
// |a_i b_i|.
double sb_dot(int64_t count, const float *a, const float *b);
// The same in parts, of two vectors with one other: the lanes are zero before the first, and every part but
// the last has a multiple of SB_DOT_LANES elements. a[1] NULL: of one vector. `ahead` are the vectors that
// come next, fetched from memory meanwhile: hints, any addresses will do.
enum { SB_DOT_LANES = 16 };
void sb_dot_part(int64_t count, const float *const a[2], const float *b,
                 const float *const ahead[3], double *const lanes[2]);
double sb_dot_total(const double lanes[SB_DOT_LANES]);
// out = (values - centre) * factor in float64, rounded once to float; out may be values.
void sb_centre_scale(int64_t count, const float *values, double centre, double factor, float *out);

// Sums over (scale_a a - scale_b b), squared or as magnitudes.
double sb_sum_squared_differences(int64_t count, const float *a, double scale_a, const float *b,
                                  double scale_b);
double sb_sum_absolute_differences(int64_t count, const float *a, const float *b);
// Smallest and largest of values without NaN.
void sb_extremes(int64_t count, const float *values, float *min, float *max);

#endif
