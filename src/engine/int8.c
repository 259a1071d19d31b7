#include "engine/int8.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/clones.h"

// Elements in work at once, as vectors that the compiler cuts to the processor's size. Element i of a
// piece is in lane i % LANES.
enum { PIECE = 1024, WIDE = 16, LANES = 2 * WIDE, MOST_PIECES = SB_INT8_MOST_CHUNK / PIECE };
typedef float wide __attribute__((vector_size(WIDE * sizeof(float))));
typedef int32_t wide_bits __attribute__((vector_size(WIDE * sizeof(int32_t))));
typedef int8_t wide_bytes __attribute__((vector_size(WIDE)));

static const float LEVELS = SB_INT8_LEVELS;

static inline void load(const float *from, wide *to) {
  memcpy(to, from, sizeof *to);
}

static inline void take_where(wide_bits which, const wide *from, wide *to) {
  *to = (wide)((which & (wide_bits)*from) | (~which & (wide_bits)*to));
}

// Sum of both vectors' elements, always in the same order.
static inline float add_up(const wide *one, const wide *other) {
  wide sum = *one + *other;
  for (int width = WIDE / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) sum[i] += sum[i + width];
  return sum[0];
}

// Sums of what rounding loses (sb_int8_sums).
typedef struct wide_sums {
  wide squares, along, common;
} wide_sums;

// Rounds to multiples of `scale` and adds to the sums. Adding 1.5 2^23 leaves no bits behind the point, and the
// number's own in the lowest byte. `cut`: there may be numbers beyond the range.
__attribute__((always_inline)) static inline void round_wide(const float *from, const float *common,
                                                             float scale, float inverse, bool cut,
                                                             int8_t *out, wide_sums *sums) {
  const float no_fraction = 0x1.8p23f;
  const wide most = (wide){0} + LEVELS, least = -most;
  wide x, u, level;
  load(from, &x);
  load(common, &u);
  level = x * inverse;
  if (cut) {
    take_where(level > most, &most, &level);
    take_where(level < least, &least, &level);
  }
  level += no_fraction;
  const wide_bits number = (wide_bits)level - (wide_bits)((wide){0} + no_fraction);
  const wide_bytes bytes = __builtin_convertvector(number, wide_bytes);
  const wide rest = x - (level - no_fraction) * scale;
  sums->squares += rest * rest;
  sums->along += rest * u;
  sums->common += x * u;
  memcpy(out, &bytes, sizeof bytes);
}

// Elements whose float32 sums are kept together: of so many they err little enough (sb_int8_lost).
enum { SPAN = 4096 };

// Rounds up to SPAN elements.
__attribute__((always_inline)) static inline void
round_all(int64_t count, const float *restrict x, const float *restrict common, float scale,
          bool cut, int8_t *restrict out, sb_int8_sums *restrict sums) {
  wide_sums one = {{0}, {0}, {0}}, two = one;
  float rest[LANES] = {0}, along[LANES] = {0};
  int8_t numbers[LANES];
  const float inverse = scale > 0 ? 1 / scale : 0;
  int64_t at = 0;
  for (; at + LANES <= count; at += LANES) {
    round_wide(x + at, common + at, scale, inverse, cut, out + at, &one);
    round_wide(x + at + WIDE, common + at + WIDE, scale, inverse, cut, out + at + WIDE, &two);
  }
  memcpy(rest, x + at, (size_t)(count - at) * sizeof *rest);
  memcpy(along, common + at, (size_t)(count - at) * sizeof *along);
  round_wide(rest, along, scale, inverse, cut, numbers, &one);
  round_wide(rest + WIDE, along + WIDE, scale, inverse, cut, numbers + WIDE, &two);
  memcpy(out + at, numbers, (size_t)(count - at));
  sums->squares += (double)add_up(&one.squares, &two.squares);
  sums->along += (double)add_up(&one.along, &two.along);
  sums->common += (double)add_up(&one.common, &two.common);
}

SB_CLONES static void round_piece(int64_t count, const float *x, const float *common, float scale,
                                  int8_t *out, sb_int8_sums *sums) {
  round_all(count, x, common, scale, false, out, sums);
}

SB_CLONES static void cut_piece(int64_t count, const float *x, const float *common, float scale,
                                int8_t *out, sb_int8_sums *sums) {
  round_all(count, x, common, scale, true, out, sums);
}

static inline void examine_wide(const float *from, wide *sizes, wide *squares) {
  wide x;
  load(from, &x);
  x = (wide)((wide_bits)x & INT32_MAX); // the magnitude
  take_where(x > *sizes, &x, sizes);
  *squares += x * x;
}

// The largest magnitude in each lane of a piece, and of all; returns the sum of the piece's squares. `ahead`
// is what will be wanted next: it is asked for from memory meanwhile.
SB_CLONES static float examine_piece(int64_t count, const float *restrict x, const float *ahead,
                                     float *restrict sizes, float *restrict largest) {
  wide most[2] = {{0}, {0}}, squares[2] = {{0}, {0}};
  float rest[LANES] = {0};
  int64_t at = 0;
  for (; at + LANES <= count; at += LANES) {
    __builtin_prefetch(ahead + at);
    __builtin_prefetch(ahead + at + WIDE);
    examine_wide(x + at, most, squares);
    examine_wide(x + at + WIDE, most + 1, squares + 1);
  }
  memcpy(rest, x + at, (size_t)(count - at) * sizeof *rest);
  examine_wide(rest, most, squares);
  examine_wide(rest + WIDE, most + 1, squares + 1);
  memcpy(sizes, most, sizeof most);
  take_where(most[1] > most[0], most + 1, most);
  for (int width = WIDE / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++)
      most[0][i] = most[0][i + width] > most[0][i] ? most[0][i + width] : most[0][i];
  *largest = most[0][0];
  return add_up(squares, squares + 1);
}

// What is to be known of a chunk.
typedef struct overview {
  float rms, most;                  // most: largest magnitude
  float sizes[MOST_PIECES * LANES]; // largest magnitude of each lane of each piece
} overview;

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static void examine(int64_t count, const float *x, const float *ahead, overview *o) {
  double squares = 0;
  o->most = 0;
  for (int64_t at = 0; at < count; at += PIECE) {
    float *sizes = o->sizes + at / PIECE * LANES, largest;
    squares +=
        (double)examine_piece(smaller(PIECE, count - at), x + at, ahead + at, sizes, &largest);
    if (largest > o->most) o->most = largest;
  }
  o->rms = (float)sqrt(squares / (double)count);
}

// Magnitudes beyond `limit`, as many as fit into a PIECE; returns how many there are.
static int64_t find_tail(int64_t count, const float *x, const overview *o, float limit,
                         float *tail) {
  int64_t found = 0;
  for (int64_t at = 0; at < count; at += PIECE)
    for (int64_t lane = 0; lane < LANES; lane++) {
      if (o->sizes[at / PIECE * LANES + lane] <= limit) continue;
      for (int64_t i = at + lane; i < smaller(at + PIECE, count); i += LANES) {
        const float size = fabsf(x[i]);
        if (size <= limit) continue;
        if (found < PIECE) tail[found] = size;
        found++;
      }
    }
  return found;
}

// What rounding with this range loses: of each element a twelfth of a squared step on average, and of
// the tail what is beyond the range.
static double expected_loss(int64_t count, int64_t tails, const float *tail, double range) {
  double lost = (double)count * (range / (double)LEVELS) * (range / (double)LEVELS) / 12;
  for (int64_t i = 0; i < tails; i++) {
    const double beyond = (double)tail[i] - range;
    if (beyond > 0) lost += beyond * beyond;
  }
  return lost;
}

// The scale that promises to lose least: nothing cut off, or what is beyond some multiple of the root
// mean square.
static float choose_scale(int64_t count, const float *x, const float *ahead, bool *cut) {
  static const float multiples[] = {4, 4.5f, 5, 5.5f, 6, 7, 8};
  static const float nothing = 1e-15f; // far less than what rounds off of a vector of norm 1
  overview o;
  float tail[PIECE];
  *cut = false;
  examine(count, x, ahead, &o);
  if (!(o.most > nothing)) return 0;
  if (o.most <= multiples[0] * o.rms) return o.most / LEVELS;
  const int64_t tails = find_tail(count, x, &o, multiples[0] * o.rms, tail);
  float best = o.most;
  double least = expected_loss(count, 0, tail, (double)o.most);
  for (size_t m = 0; m < sizeof multiples / sizeof *multiples && tails <= PIECE; m++) {
    const float range = multiples[m] * o.rms;
    if (range >= o.most || !(range > nothing)) continue;
    const double lost = expected_loss(count, tails, tail, (double)range);
    if (lost >= least) continue;
    least = lost;
    best = range;
  }
  *cut = best < o.most;
  return best / LEVELS;
}

void sb_int8_round_chunk(int64_t count, const float *chunk, const float *common, const float *ahead,
                         int8_t *out, float *scale, sb_int8_sums *sums) {
  static const float nothing[SPAN];
  bool cut;
  *scale = choose_scale(count, chunk, ahead, &cut);
  for (int64_t at = 0, some; at < count; at += some) {
    const float *along = common != NULL ? common + at : nothing;
    some = smaller(SPAN, count - at);
    if (cut)
      cut_piece(some, chunk + at, along, *scale, out + at, sums);
    else
      round_piece(some, chunk + at, along, *scale, out + at, sums);
  }
}

// Sums are float32 over SPAN elements (up to 129 additions in a lane, five over the lanes) and float64 over these. Each
// float32 sum of squares is within a factor of 1 + 2^-16, and each rest off by at most 2^-23 |x|: the norm is
// within 1 + 2^-17 and 2^-22 of what is lost. What is too small for float32 squares to count is far below that.
// Sums with the direction u err by at most 2^-16 of the product of both norms, that of the rests by 2^-22 more for
// the rests' own errors. |u| is at least 1 - 2^-20: parts along it are up to 1 / |u| times a sum. A vector's norm
// is at most 1 + 2^-23.
sb_lost sb_int8_lost(const sb_int8_sums *sums) {
  const double norm = sqrt(sums->squares) * (1 + 0x1p-17) + 0x1p-22;
  const double common = fmax(0, fabs(sums->common) - 0x1p-16);
  return (sb_lost){.norm = norm,
                   .along = (fabs(sums->along) + 0x1p-16 * norm + 0x1p-22) * (1 + 0x1p-19),
                   .beside = sqrt(fmax(0, 1 + 0x1p-21 - common * common))};
}

sb_lost sb_int8_round(int64_t k, int64_t chunk, const float *vector, int8_t *out, float *scales) {
  sb_int8_sums sums = {0};
  for (int64_t at = 0; at < k; at += chunk)
    sb_int8_round_chunk(smaller(chunk, k - at), vector + at, NULL, vector + at + chunk, out + at,
                        scales++, &sums);
  return sb_int8_lost(&sums);
}
