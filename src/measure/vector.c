#include "measure/vector.h"

#include <math.h>

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

double sb_dot(int64_t count, const float *a, const float *b) {
  double lanes[SB_DOT_LANES] = {0};
  sb_dot_part(count, a, b, lanes);
  return sb_dot_total(lanes);
}

double sb_dot_total(const double lanes[SB_DOT_LANES]) {
  return sb_add_lanes(lanes);
}

SB_VECTOR_CLONES void sb_dot_part(int64_t count, const float *a, const float *b,
                                  double total[SB_DOT_LANES]) {
  double lanes[LANES];
  int64_t i = 0;
  for (int j = 0; j < LANES; j++) lanes[j] = total[j];
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += (double)a[i + j] * (double)b[i + j];
  for (int j = 0; i < count; i++, j++) lanes[j] += (double)a[i] * (double)b[i];
  for (int j = 0; j < LANES; j++) total[j] = lanes[j];
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
