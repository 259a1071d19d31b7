// Rounding of floats to the precisions of a GPU's matrix units, to nearest and ties to even, in
// integer arithmetic: the same bits on the host, on the device and under emulation. The numbers
// rounded here are finite and at most 2^15 in size.
#ifndef SB_KERNELS_ROUNDING_H
#define SB_KERNELS_ROUNDING_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define SB_HD __host__ __device__
#else
#define SB_HD
#endif

static inline SB_HD uint32_t sb_bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline SB_HD float sb_float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The upper bits of a float without its `dropped` lowest, rounded; still in their place.
static inline SB_HD uint32_t sb_round_bits(uint32_t bits, int dropped) {
  const uint32_t odd = bits >> dropped & 1, half = (1u << (dropped - 1)) - 1;
  return (bits + half + odd) >> dropped << dropped;
}

static inline SB_HD float sb_to_tf32(float value) {
  return sb_float_of(sb_round_bits(sb_bits_of(value), 13));
}

static inline SB_HD uint16_t sb_to_bf16(float value) {
  return (uint16_t)(sb_round_bits(sb_bits_of(value), 16) >> 16);
}

// What float16 holds, as src/core/half.h has it.
static inline SB_HD float sb_from_fp16(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31,
                 digits = half & 1023;
  if (exponent == 31)
    return sb_float_of(sign | 0x7f800000 | digits << 13 | (digits != 0 ? 0x400000u : 0u));
  if (exponent > 0) return sb_float_of(sign | (exponent + 112) << 23 | digits << 13);
  const float size = (float)digits * 0x1p-24f;
  return sb_float_of(sign | sb_bits_of(size));
}

static inline SB_HD uint16_t sb_to_fp16(float value) {
  const uint32_t bits = sb_bits_of(value), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size < 0x38800000) { // below 2^-14: steps of 2^-24, which adding 0.5 makes a float's own
    const float shifted = sb_float_of(size) + 0.5f;
    return (uint16_t)(sign | (sb_bits_of(shifted) - 0x3f000000));
  }
  return (uint16_t)(sign | ((sb_round_bits(size, 13) - 0x38000000) >> 13));
}

// A value over its chunk's scale, rounded by its random number, as src/engine/int8.c does: adding 1.5 2^23 leaves no
// bits behind the point, and the number's own in the lowest ones.
static inline SB_HD int8_t sb_to_int8(float value, float inverse, float dither) {
  const float whole = 0x1.8p23f, level = value * inverse + dither + whole;
  return (int8_t)(int32_t)(sb_bits_of(level) - sb_bits_of(whole));
}

#endif
