#include "engine/int8.h"

#include <math.h>
#include <stddef.h>

#include "measure/vector.h"

enum {
  LANES = 16,
  SKIPPED = 8 // scales are tried on every 8th line of a chunk
};

// Sum of squares of what rounding to multiples of `scale`, `levels` of them either way, loses; on
// every `step`-th 16 elements.
SB_VECTOR_CLONES static float try_scale(int64_t count, const float *x, int64_t step, float scale,
                                        float levels) {
  float lanes[LANES] = {0}, inverse = 1 / scale, sum = 0;
  for (int64_t i = 0; i + LANES <= count; i += step * LANES)
    for (int j = 0; j < LANES; j++) {
      float level = x[i + j] * inverse;
      level = level > levels ? levels : level < -levels ? -levels : level;
      const float rest = x[i + j] - rintf(level) * scale;
      lanes[j] += rest * rest;
    }
  for (int j = 0; j < LANES; j++) sum += lanes[j];
  return sum;
}

// Rounds all elements; returns what try_scale does with all of them.
SB_VECTOR_CLONES static float round_all(int64_t count, const float *x, float scale, float levels,
                                        int8_t *out) {
  float lanes[LANES] = {0}, inverse = scale > 0 ? 1 / scale : 0, sum = 0;
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) {
      float level = x[i + j] * inverse;
      level = rintf(level > levels ? levels : level < -levels ? -levels : level);
      const float rest = x[i + j] - level * scale;
      lanes[j] += rest * rest;
      out[i + j] = (int8_t)(int)level;
    }
  for (int j = 0; i < count; i++, j++) {
    float level = x[i] * inverse;
    level = rintf(level > levels ? levels : level < -levels ? -levels : level);
    const float rest = x[i] - level * scale;
    lanes[j] += rest * rest;
    out[i] = (int8_t)(int)level;
  }
  for (int j = 0; j < LANES; j++) sum += lanes[j];
  return sum;
}

// Root mean square and largest magnitude.
SB_VECTOR_CLONES static void examine(int64_t count, const float *x, float *rms, float *most) {
  float squares[LANES] = {0}, sizes[LANES] = {0}, sum = 0, size = 0;
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int j = 0; j < LANES; j++) {
      const float magnitude = fabsf(x[i + j]);
      squares[j] += magnitude * magnitude;
      sizes[j] = sizes[j] > magnitude ? sizes[j] : magnitude;
    }
  for (int j = 0; i < count; i++, j++) {
    const float magnitude = fabsf(x[i]);
    squares[j] += magnitude * magnitude;
    sizes[j] = sizes[j] > magnitude ? sizes[j] : magnitude;
  }
  for (int j = 0; j < LANES; j++) {
    sum += squares[j];
    size = size > sizes[j] ? size : sizes[j];
  }
  *rms = sqrtf(sum / (float)count);
  *most = size;
}

// The scale at which a sample of the chunk loses least: nothing cut off, or what is beyond some
// multiple of the root mean square.
static float choose_scale(int64_t count, const float *x, float rms, float most, float levels) {
  static const float multiples[] = {3.25f, 3.75f, 4.25f, 4.75f, 5.5f, 6.5f, 8};
  static const float nothing = 1e-15f; // less than a norm's own rounding, in vectors of norm 1
  float best = most / levels, least;
  if (!(most > nothing)) return 0;
  if (most <= multiples[0] * rms) return best;
  least = try_scale(count, x, SKIPPED, best, levels);
  for (size_t m = 0; m < sizeof multiples / sizeof *multiples; m++) {
    const float scale = multiples[m] * rms / levels;
    if (scale * levels >= most) break;
    const float lost = try_scale(count, x, SKIPPED, scale, levels);
    if (lost >= least) continue;
    least = lost;
    best = scale;
  }
  return best;
}

// One chunk; returns the sum of squares of what is lost.
static float round_chunk(int64_t count, const float *x, float levels, int8_t *out, float *scale) {
  float rms, most;
  examine(count, x, &rms, &most);
  *scale = choose_scale(count, x, rms, most, levels);
  const float lost = round_all(count, x, *scale, levels, out), whole = most / levels;
  // A giant that the sample missed: nothing is cut off then. Rounding loses at most half a step.
  if (*scale == whole || lost <= (float)count * 0.25f * whole * whole) return lost;
  *scale = whole;
  return round_all(count, x, whole, levels, out);
}

double sb_int8_round(int64_t k, int64_t chunk, int levels, const float *vector, int8_t *out,
                     float *scales) {
  double squares = 0;
  for (int64_t at = 0; at < k; at += chunk) {
    const int64_t count = k - at < chunk ? k - at : chunk;
    squares += (double)round_chunk(count, vector + at, (float)levels, out + at, scales++);
  }
  // Each float sum is of at most 2^17 / 16 squares a lane, each square of a rest that is off by at
  // most 2^-23 |x|: the norm is within a factor of 1 + 2^-11 and 2^-22 of what is lost. What is too
  // small for float squares to count is far below that.
  return sqrt(squares) * (1 + 0x1p-11) + 0x1p-22;
}
