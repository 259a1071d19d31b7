// NIfTI's datatypes (see datatype.h): one decoder a scalar type, made by one macro.
#include "image/datatype.h"

#include <stddef.h>
#include <string.h>

#include <nifti2_io.h>

#include "core/clones.h"

#define SWAP_8(x) (x)
#define SWAP_16(x) __builtin_bswap16(x)
#define SWAP_32(x) __builtin_bswap32(x)
#define SWAP_64(x) __builtin_bswap64(x)

#define DECODER(name, type, bits)                                                                  \
  static inline type load_##name(const unsigned char *raw, bool swapped) {                         \
    uint##bits##_t word;                                                                           \
    type value;                                                                                    \
    memcpy(&word, raw, sizeof word);                                                               \
    if (swapped) word = SWAP_##bits(word);                                                         \
    memcpy(&value, &word, sizeof value);                                                           \
    return value;                                                                                  \
  }                                                                                                \
  SB_CLONES static void decode_##name(const unsigned char *raw, int64_t n,                         \
                                      const sb_encoding *encoding, float *out) {                   \
    const bool swapped = encoding->swapped;                                                        \
    const double slope = encoding->slope, inter = encoding->inter;                                 \
    const int64_t bytes = (int64_t)sizeof(type);                                                   \
    if (slope == 1 && inter == 0)                                                                  \
      for (int64_t i = 0; i < n; i++) out[i] = (float)load_##name(raw + bytes * i, swapped);       \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++)                                                              \
        out[i] = (float)((double)load_##name(raw + bytes * i, swapped) * slope + inter);           \
  }

DECODER(uint8, uint8_t, 8)
DECODER(int8, int8_t, 8)
DECODER(uint16, uint16_t, 16)
DECODER(int16, int16_t, 16)
DECODER(uint32, uint32_t, 32)
DECODER(int32, int32_t, 32)
DECODER(uint64, uint64_t, 64)
DECODER(int64, int64_t, 64)
DECODER(float32, float, 32)
DECODER(float64, double, 64)

// float128 has no decoder: files hold IEEE quadruple or x86 extended numbers under the same code,
// and nothing in them tells which.
static const sb_datatype table[] = {
    {NIFTI_TYPE_UINT8, true, "uint8", 1, decode_uint8},
    {NIFTI_TYPE_INT8, true, "int8", 1, decode_int8},
    {NIFTI_TYPE_UINT16, true, "uint16", 2, decode_uint16},
    {NIFTI_TYPE_INT16, true, "int16", 2, decode_int16},
    {NIFTI_TYPE_UINT32, true, "uint32", 4, decode_uint32},
    {NIFTI_TYPE_INT32, true, "int32", 4, decode_int32},
    {NIFTI_TYPE_UINT64, true, "uint64", 8, decode_uint64},
    {NIFTI_TYPE_INT64, true, "int64", 8, decode_int64},
    {NIFTI_TYPE_FLOAT32, false, "float32", 4, decode_float32},
    {NIFTI_TYPE_FLOAT64, false, "float64", 8, decode_float64},
    {NIFTI_TYPE_FLOAT128, false, "float128", 16, NULL},
    {NIFTI_TYPE_RGB24, false, "RGB", 3, NULL},
    {NIFTI_TYPE_RGBA32, false, "RGBA", 4, NULL},
    {NIFTI_TYPE_COMPLEX64, false, "complex64", 8, NULL},
    {NIFTI_TYPE_COMPLEX128, false, "complex128", 16, NULL},
    {NIFTI_TYPE_COMPLEX256, false, "complex256", 32, NULL},
};

const sb_datatype *sb_datatype_find(int code) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (table[i].code == code) return &table[i];
  return NULL;
}
