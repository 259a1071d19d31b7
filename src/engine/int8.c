#include "engine/int8.h"

#include <math.h>
#include <stddef.h>

#include "core/clones.h"

enum { PIECE = 1024, COLUMNS = 64 }; // elements in work at once

// Sum of PIECE numbers, always in the same order; they are used up.
static inline float add_up(float *values) {
  for (int width = PIECE / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) values[i] += values[i + width];
  return values[0];
}

// Rounds up to PIECE elements to multiples of `scale`, `levels` of them either way; returns the sum of
// squares of what is lost.
SB_CLONES static float round_piece(int64_t count, const float *restrict x, float scale,
                                   float levels, int8_t *restrict out) {
  float lost[PIECE];
  const float inverse = scale > 0 ? 1 / scale : 0;
  for (int64_t i = 0; i < count; i++) {
    float level = x[i] * inverse;
    level = level > levels ? levels : level;
    level = rintf(level < -levels ? -levels : level);
    const float rest = x[i] - level * scale;
    lost[i] = rest * rest;
    out[i] = (int8_t)(int)level;
  }
  for (int64_t i = count; i < PIECE; i++) lost[i] = 0;
  return add_up(lost);
}

static double round_all(int64_t count, const float *x, float scale, float levels, int8_t *out) {
  double lost = 0;
  for (int64_t at = 0; at < count; at += PIECE)
    lost += (double)round_piece(count - at < PIECE ? count - at : PIECE, x + at, scale, levels,
                                out + at);
  return lost;
}

// The largest magnitude in each of COLUMNS columns of a piece (element i is in column i % COLUMNS) and
// the sum of the piece's squares.
SB_CLONES static void examine_piece(int64_t count, const float *restrict x, float *restrict columns,
                                    float *squares) {
  float sizes[PIECE], products[PIECE];
  for (int64_t i = 0; i < count; i++) {
    sizes[i] = fabsf(x[i]);
    products[i] = x[i] * x[i];
  }
  for (int64_t i = count; i < PIECE; i++) sizes[i] = products[i] = 0;
  for (int width = PIECE / 2; width >= COLUMNS; width /= 2)
    for (int i = 0; i < width; i++)
      sizes[i] = sizes[i] > sizes[i + width] ? sizes[i] : sizes[i + width];
  for (int i = 0; i < COLUMNS; i++) columns[i] = sizes[i];
  *squares = add_up(products);
}

// Root mean square and largest magnitude.
static void examine(int64_t count, const float *x, float *rms, float *most) {
  float columns[COLUMNS], squares;
  double sum = 0;
  *most = 0;
  for (int64_t at = 0; at < count; at += PIECE) {
    examine_piece(count - at < PIECE ? count - at : PIECE, x + at, columns, &squares);
    sum += (double)squares;
    for (int i = 0; i < COLUMNS; i++) *most = columns[i] > *most ? columns[i] : *most;
  }
  *rms = (float)sqrt(sum / (double)count);
}

// Magnitudes beyond `limit`, as many as fit into a PIECE; returns how many there are.
static int64_t find_tail(int64_t count, const float *x, float limit, float *tail) {
  float columns[COLUMNS], squares;
  int64_t found = 0;
  for (int64_t at = 0; at < count; at += PIECE) {
    const int64_t length = count - at < PIECE ? count - at : PIECE;
    examine_piece(length, x + at, columns, &squares);
    for (int column = 0; column < COLUMNS; column++) {
      if (columns[column] <= limit) continue;
      for (int64_t i = column; i < length; i += COLUMNS) {
        const float size = fabsf(x[at + i]);
        if (size <= limit) continue;
        if (found < PIECE) tail[found] = size;
        found++;
      }
    }
  }
  return found;
}

// What rounding with this range loses: of each element a twelfth of a squared step on average, and of
// the tail what is beyond the range.
static double expected_loss(int64_t count, int64_t tails, const float *tail, double range,
                            double levels) {
  double lost = (double)count * (range / levels) * (range / levels) / 12;
  for (int64_t i = 0; i < tails; i++) {
    const double beyond = (double)tail[i] - range;
    if (beyond > 0) lost += beyond * beyond;
  }
  return lost;
}

// The scale that promises to lose least: nothing cut off, or what is beyond some multiple of the root
// mean square.
static float choose_scale(int64_t count, const float *x, float levels) {
  static const float multiples[] = {4, 4.5f, 5, 5.5f, 6, 7, 8};
  static const float nothing = 1e-15f; // far less than what rounds off of a vector of norm 1
  float tail[PIECE], rms, most;
  examine(count, x, &rms, &most);
  if (!(most > nothing)) return 0;
  if (most <= multiples[0] * rms) return most / levels;
  const int64_t tails = find_tail(count, x, multiples[0] * rms, tail);
  float best = most;
  double least = expected_loss(count, 0, tail, (double)most, (double)levels);
  for (size_t m = 0; m < sizeof multiples / sizeof *multiples && tails <= PIECE; m++) {
    const float range = multiples[m] * rms;
    if (range >= most || !(range > nothing)) continue;
    const double lost = expected_loss(count, tails, tail, (double)range, (double)levels);
    if (lost >= least) continue;
    least = lost;
    best = range;
  }
  return best / levels;
}

double sb_int8_round(int64_t k, int64_t chunk, int levels, const float *vector, int8_t *out,
                     float *scales) {
  double squares = 0;
  for (int64_t at = 0; at < k; at += chunk) {
    const int64_t count = k - at < chunk ? k - at : chunk;
    *scales = choose_scale(count, vector + at, (float)levels);
    squares += round_all(count, vector + at, *scales++, (float)levels, out + at);
  }
  // Each float32 sum of squares is within a factor of 1 + 2^-18 (a tree of ten additions), and each rest
  // off by at most 2^-23 |x|: the norm is within 1 + 2^-18 and 2^-22 of what is lost. What is too small
  // for float32 squares to count is far below that.
  return sqrt(squares) * (1 + 0x1p-18) + 0x1p-22;
}
