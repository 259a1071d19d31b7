#include "measure/vector.h"

enum { LANES = 16 };

static inline double add_lanes(const double lanes[LANES]) {
  double sum[LANES];
  for (int j = 0; j < LANES; j++) sum[j] = lanes[j];
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++) sum[j] += sum[j + half];
  return sum[0];
}

SB_VECTOR_CLONES double sb_sum(int64_t count, const float *values) {
  double lanes[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += (double)values[i + j];
  for (int j = 0; i < count; i++, j++) lanes[j] += (double)values[i];
  return add_lanes(lanes);
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
  return add_lanes(lanes);
}

SB_VECTOR_CLONES double sb_dot(int64_t count, const float *a, const float *b) {
  double lanes[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += (double)a[i + j] * (double)b[i + j];
  for (int j = 0; i < count; i++, j++) lanes[j] += (double)a[i] * (double)b[i];
  return add_lanes(lanes);
}

SB_VECTOR_CLONES void sb_centre_scale(int64_t count, const float *values, double centre,
                                      double factor, float *out) {
  for (int64_t i = 0; i < count; i++) out[i] = (float)(((double)values[i] - centre) * factor);
}
