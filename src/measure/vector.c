#include "measure/vector.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "measure/elements.h"

enum { LANES = SB_DOT_LANES };

SB_VECTOR_CLONES double sb_sum(int64_t count, const float *values) {
  double lanes[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += (double)values[i + j];
  for (int j = 0; i < count; i++, j++) lanes[j] += (double)values[i];
  return sb_add_lanes(lanes);
}

SB_VECTOR_CLONES double sb_sum_squares(int64_t count, const float *values, double centre) {
  double lanes[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) {
      double d = (double)values[i + j] - centre;
      lanes[j] += d * d;
    }
  for (int j = 0; i < count; i++, j++) {
    double d = (double)values[i] - centre;
    lanes[j] += d * d;
  }
  return sb_add_lanes(lanes);
}

double sb_dot_total(const double lanes[SB_DOT_LANES]) {
  return sb_add_lanes(lanes);
}

SB_VECTOR_CLONES static void dot_plainly(int64_t count, const float *a, const float *b,
                                         double total[LANES]) {
  double lanes[LANES];
  for (int j = 0; j < LANES; j++) lanes[j] = total[j];
  for (int64_t i = 0; i < count; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += (double)a[i + j] * (double)b[i + j];
  for (int j = 0; j < LANES; j++) total[j] = lanes[j];
}

#if defined(__x86_64__) && defined(__GNUC__)
// The same additions in registers of eight: left to itself the compiler takes more than twice the time, for it
// turns eight floats into doubles by way of halves. A product of two floats is exact in float64, so
// that a fused addition rounds no otherwise than one after it.
#define WIDE __attribute__((target("avx512f")))

WIDE static inline __m512d eight(const float *values) {
  return _mm512_cvtps_pd(_mm256_loadu_ps(values));
}

WIDE static void dot_one_wide(int64_t count, const float *a, const float *b,
                              const float *const ahead[3], double lanes[LANES]) {
  __m512d low = _mm512_loadu_pd(lanes), high = _mm512_loadu_pd(lanes + 8);
  for (int64_t i = 0; i < count; i += LANES) {
    for (int v = 0; v < 3; v++) __builtin_prefetch(ahead[v] + i);
    low = _mm512_fmadd_pd(eight(a + i), eight(b + i), low);
    high = _mm512_fmadd_pd(eight(a + i + 8), eight(b + i + 8), high);
  }
  _mm512_storeu_pd(lanes, low);
  _mm512_storeu_pd(lanes + 8, high);
}

WIDE static void dot_two_wide(int64_t count, const float *const a[2], const float *b,
                              const float *const ahead[3], double *const lanes[2]) {
  const float *first = a[0], *second = a[1];
  __m512d low = _mm512_loadu_pd(lanes[0]), high = _mm512_loadu_pd(lanes[0] + 8);
  __m512d low_2 = _mm512_loadu_pd(lanes[1]), high_2 = _mm512_loadu_pd(lanes[1] + 8);
  for (int64_t i = 0; i < count; i += LANES) {
    for (int v = 0; v < 3; v++) __builtin_prefetch(ahead[v] + i);
    const __m512d b_low = eight(b + i), b_high = eight(b + i + 8);
    low = _mm512_fmadd_pd(eight(first + i), b_low, low);
    high = _mm512_fmadd_pd(eight(first + i + 8), b_high, high);
    low_2 = _mm512_fmadd_pd(eight(second + i), b_low, low_2);
    high_2 = _mm512_fmadd_pd(eight(second + i + 8), b_high, high_2);
  }
  _mm512_storeu_pd(lanes[0], low);
  _mm512_storeu_pd(lanes[0] + 8, high);
  _mm512_storeu_pd(lanes[1], low_2);
  _mm512_storeu_pd(lanes[1] + 8, high_2);
}

// False where the processor has none.
static bool dot_wide(int64_t count, const float *const a[2], const float *b,
                     const float *const ahead[3], double *const lanes[2]) {
  if (!__builtin_cpu_supports("avx512f")) return false;
  if (a[1] != NULL)
    dot_two_wide(count, a, b, ahead, lanes);
  else
    dot_one_wide(count, a[0], b, ahead, lanes[0]);
  return true;
}
#else
static bool dot_wide(int64_t count, const float *const a[2], const float *b,
                     const float *const ahead[3], double *const lanes[2]) {
  (void)count, (void)a, (void)b, (void)ahead, (void)lanes;
  return false;
}
#endif

void sb_dot_part(int64_t count, const float *const a[2], const float *b,
                 const float *const ahead[3], double *const lanes[2]) {
  const int64_t whole = count / LANES * LANES;
  const bool done = dot_wide(whole, a, b, ahead, lanes);
  for (int v = 0; v < 2 && a[v] != NULL; v++) {
    if (!done) dot_plainly(whole, a[v], b, lanes[v]);
    for (int64_t i = whole; i < count; i++) lanes[v][i - whole] += (double)a[v][i] * (double)b[i];
  }
}

double sb_dot(int64_t count, const float *a, const float *b) {
  enum { AHEAD = 2048 };
  double lanes[SB_DOT_LANES] = {0};
  sb_dot_part(count, (const float *const[2]){a}, b,
              (const float *const[3]){a + AHEAD, a + AHEAD, b + AHEAD}, (double *const[2]){lanes});
  return sb_add_lanes(lanes);
}

SB_VECTOR_CLONES double sb_sum_squared_differences(int64_t count, const float *a, double scale_a,
                                                   const float *b, double scale_b) {
  double lanes[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) {
      double d = scale_a * (double)a[i + j] - scale_b * (double)b[i + j];
      lanes[j] += d * d;
    }
  for (int j = 0; i < count; i++, j++) {
    double d = scale_a * (double)a[i] - scale_b * (double)b[i];
    lanes[j] += d * d;
  }
  return sb_add_lanes(lanes);
}

SB_VECTOR_CLONES double sb_sum_absolute_differences(int64_t count, const float *a, const float *b) {
  double lanes[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += fabs((double)a[i + j] - (double)b[i + j]);
  for (int j = 0; i < count; i++, j++) lanes[j] += fabs((double)a[i] - (double)b[i]);
  return sb_add_lanes(lanes);
}

SB_VECTOR_CLONES void sb_extremes(int64_t count, const float *values, float *min, float *max) {
  float least[LANES], most[LANES];
  for (int j = 0; j < LANES; j++) least[j] = most[j] = values[0];
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) {
      least[j] = values[i + j] < least[j] ? values[i + j] : least[j];
      most[j] = values[i + j] > most[j] ? values[i + j] : most[j];
    }
  for (; i < count; i++) {
    least[0] = values[i] < least[0] ? values[i] : least[0];
    most[0] = values[i] > most[0] ? values[i] : most[0];
  }
  *min = least[0];
  *max = most[0];
  for (int j = 1; j < LANES; j++) {
    *min = least[j] < *min ? least[j] : *min;
    *max = most[j] > *max ? most[j] : *max;
  }
}

SB_VECTOR_CLONES void sb_centre_scale(int64_t count, const float *values, double centre,
                                      double factor, float *out) {
  for (int64_t i = 0; i < count; i++) out[i] = sb_centre_and_scale(values[i], centre, factor);
}
