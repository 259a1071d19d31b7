#include "engine/int8.h"

#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/memory.h"
#include "core/random.h"

// Elements in work at once, as vectors that the compiler cuts to the processor's size.
enum { WIDE = 16, LANES = 2 * WIDE };
typedef float wide __attribute__((vector_size(WIDE * sizeof(float))));
typedef int32_t wide_bits __attribute__((vector_size(WIDE * sizeof(int32_t))));
typedef int8_t wide_bytes __attribute__((vector_size(WIDE)));

// ---- Random numbers -----------------------------------------------------------------------------

// Odd multiples of 2^-17, and so never a whole half: what has no fraction stays.
sb_status sb_dither_reserve(sb_dither *dither, int64_t k) {
  enum { BITS = 16, AT_ONCE = 64 / BITS };
  const uint64_t key = sb_random_key(0, 0x64697468); // of nothing else
  if (dither->count >= k) return sb_ok();
  sb_dither_free(dither);
  const sb_status status = SB_NEW(&dither->values, k, "random numbers");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < k; i++) {
    const uint64_t bits =
        sb_random_bits(key, (uint64_t)(i / AT_ONCE)) >> (i % AT_ONCE * BITS) & 0xffff;
    dither->values[i] = ((float)bits + 0.5f) * 0x1p-16f - 0.5f;
  }
  dither->count = k;
  return status;
}

void sb_dither_free(sb_dither *dither) {
  free(dither->values);
  *dither = (sb_dither){0};
}

// ---- Rounding -----------------------------------------------------------------------------------

__attribute__((always_inline)) static inline void load(const float *from, wide *to) {
  memcpy(to, from, sizeof *to);
}

// Adding 1.5 2^23 leaves no bits behind the point, and the number's own in the lowest ones.
__attribute__((always_inline)) static inline void round_wide(const float *from, const float *dither,
                                                             float inverse, int8_t *out) {
  wide x, random;
  load(from, &x);
  load(dither, &random);
  const wide whole = (wide){0} + 0x1.8p23f, level = x * inverse + random + whole;
  const wide_bits number = (wide_bits)level - (wide_bits)whole;
  const wide_bytes bytes = __builtin_convertvector(number, wide_bytes);
  memcpy(out, &bytes, sizeof bytes);
}

SB_CLONES static void round_all(int64_t count, const float *restrict x,
                                const float *restrict dither, float inverse, int8_t *restrict out) {
  float rest[LANES] = {0}, random[LANES] = {0};
  int8_t numbers[LANES];
  int64_t at = 0;
  for (; at + LANES <= count; at += LANES) {
    round_wide(x + at, dither + at, inverse, out + at);
    round_wide(x + at + WIDE, dither + at + WIDE, inverse, out + at + WIDE);
  }
  memcpy(rest, x + at, (size_t)(count - at) * sizeof *rest);
  memcpy(random, dither + at, (size_t)(count - at) * sizeof *random);
  round_wide(rest, random, inverse, numbers);
  round_wide(rest + WIDE, random + WIDE, inverse, numbers + WIDE);
  memcpy(out + at, numbers, (size_t)(count - at));
}

// Lanes' largest magnitudes, and the sums of their squares.
typedef struct overview {
  wide_bits most; // as bits, of which those of a larger magnitude are larger
  wide squares;
} overview;

__attribute__((always_inline)) static inline void look_wide(const float *from, overview *o) {
  wide x;
  load(from, &x);
  const wide_bits size = (wide_bits)x & INT32_MAX, larger = size > o->most;
  o->most = (size & larger) | (o->most & ~larger);
  o->squares += x * x;
}

// The largest magnitude of a chunk; `squares`: of its norm. What will be wanted next is asked for from memory
// meanwhile.
SB_CLONES static float examine(int64_t count, const float *restrict x, const float *ahead,
                               double *squares) {
  overview one = {{0}, {0}}, other = one;
  float rest[LANES] = {0}, largest = 0;
  int64_t at = 0;
  for (; at + LANES <= count; at += LANES) {
    __builtin_prefetch(ahead + at);
    __builtin_prefetch(ahead + at + WIDE);
    look_wide(x + at, &one);
    look_wide(x + at + WIDE, &other);
  }
  memcpy(rest, x + at, (size_t)(count - at) * sizeof *rest);
  look_wide(rest, &one);
  look_wide(rest + WIDE, &other);
  const wide mosts[2] = {(wide)one.most, (wide)other.most};
  *squares = 0;
  for (int i = 0; i < WIDE; i++) {
    *squares += (double)one.squares[i] + (double)other.squares[i];
    for (int m = 0; m < 2; m++)
      if (mosts[m][i] > largest) largest = mosts[m][i];
  }
  return largest;
}

// Squares summed in float32, up to 1,025 in a lane, are within a factor of 1 + 2^-13 of what they are.
void sb_int8_round_chunk(int64_t count, const float *chunk, const float *dither, const float *ahead,
                         int8_t *out, float *scale, sb_int8_sums *sums) {
  double squares;
  *scale = sb_int8_scale(examine(count, chunk, ahead, &squares));
  round_all(count, chunk, dither, *scale > 0 ? 1 / *scale : 0, out);
  sb_int8_add(sums, *scale, squares, count);
}
