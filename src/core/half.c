#include "core/half.h"

#include <string.h>

// The C library knows at no cost what processor and system can do; not every compiler's
// __builtin_cpu_supports knows "f16c", and asking the processor itself takes microseconds.
#if defined(__x86_64__) && __has_include(<sys/platform/x86.h>)
#include <immintrin.h>
#include <sys/platform/x86.h>
#endif

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

uint16_t sb_half_from_float(float value) {
  uint32_t bits = bits_of(value);
  uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) // NaN, made quiet, its high payload kept
    return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) // rounds beyond the largest finite value
    return (uint16_t)(sign | 0x7c00u);
  if (magnitude < 0x38800000u) { // subnormal half: let float addition do the rounding
    float shifted = float_of(magnitude) + 0.5f;
    return (uint16_t)(sign | (bits_of(shifted) - bits_of(0.5f)));
  }
  uint32_t odd = (magnitude >> 13) & 1u;
  magnitude += 0xfffu + odd;
  return (uint16_t)(sign | ((magnitude - 0x38000000u) >> 13));
}

float sb_half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
  uint32_t exponent = (half >> 10) & 0x1fu;
  uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1fu) // infinity, NaN (made quiet, as the hardware does)
    return float_of(sign | 0x7f800000u | (mantissa << 13) | (mantissa != 0 ? 0x400000u : 0));
  if (exponent == 0) {
    float magnitude = (float)mantissa * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return float_of(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

static void from_floats_portable(size_t count, const float *in, uint16_t *out) {
  for (size_t i = 0; i < count; i++) out[i] = sb_half_from_float(in[i]);
}

static void to_floats_portable(size_t count, const uint16_t *in, float *out) {
  for (size_t i = 0; i < count; i++) out[i] = sb_half_to_float(in[i]);
}

#if defined(CPU_FEATURE_ACTIVE) // by the processor and by the system, which saves its registers
__attribute__((target("avx,f16c"))) static void from_floats_f16c(size_t count, const float *in,
                                                                 uint16_t *out) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)(void *)(out + i), half);
  }
  from_floats_portable(count - i, in + i, out + i);
}

__attribute__((target("avx,f16c"))) static void to_floats_f16c(size_t count, const uint16_t *in,
                                                               float *out) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)(in + i));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
  }
  to_floats_portable(count - i, in + i, out + i);
}
#endif

void sb_half_from_floats(size_t count, const float *in, uint16_t *out) {
#if defined(CPU_FEATURE_ACTIVE)
  if (CPU_FEATURE_ACTIVE(F16C)) {
    from_floats_f16c(count, in, out);
    return;
  }
#endif
  from_floats_portable(count, in, out);
}

void sb_half_to_floats(size_t count, const uint16_t *in, float *out) {
#if defined(CPU_FEATURE_ACTIVE)
  if (CPU_FEATURE_ACTIVE(F16C)) {
    to_floats_f16c(count, in, out);
    return;
  }
#endif
  to_floats_portable(count, in, out);
}
