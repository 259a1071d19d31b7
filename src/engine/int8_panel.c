#include "engine/int8_panel.h"

#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "core/clones.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_VNNI 1
#else
#define HAVE_VNNI 0
#endif

enum { ROWS = SB_PANEL_ROWS, COLUMNS = SB_PANEL_COLUMNS, OFFSET = 128 };

bool sb_int8_is_fast(void) {
  const int allowed = (int)dnnl_get_effective_cpu_isa(), vnni = dnnl_cpu_isa_avx512_core_vnni;
  return HAVE_VNNI && (allowed & vnni) == vnni;
}

// ---- Packing ------------------------------------------------------------------------------------

// Quads of `width` vectors from rows to panel, some at a time, so that what is read and written stays
// near. Each quad's bytes are changed by `change`.
static inline void pack(int64_t vectors, int64_t width, int64_t quads, const int8_t *numbers,
                        int64_t stride, uint32_t change, void *panel) {
  enum { AT_ONCE = 16 };
  uint32_t *out = panel;
  for (int64_t at = 0; at < quads; at += AT_ONCE) {
    const int64_t count = quads - at < AT_ONCE ? quads - at : AT_ONCE;
    for (int64_t v = 0; v < width; v++) {
      uint32_t quad[AT_ONCE] = {0};
      if (v < vectors)
        memcpy(quad, numbers + v * stride + at * SB_QUAD, (size_t)count * sizeof *quad);
      for (int64_t q = 0; q < count; q++) out[(at + q) * width + v] = quad[q] ^ change;
    }
  }
}

void sb_pack_left(int64_t vectors, int64_t quads, const int8_t *numbers, int64_t stride,
                  int8_t *panel, int32_t *offsets) {
  pack(vectors, ROWS, quads, numbers, stride, 0, panel);
  for (int64_t v = 0; v < ROWS; v++) {
    int32_t sum = 0;
    for (int64_t i = 0; v < vectors && i < quads * SB_QUAD; i++) sum += numbers[v * stride + i];
    offsets[v] = OFFSET * sum;
  }
}

void sb_pack_right(int64_t vectors, int64_t quads, const int8_t *numbers, int64_t stride,
                   uint8_t *panel) {
  pack(vectors, COLUMNS, quads, numbers, stride, 0x80808080, panel);
}

// ---- Products -----------------------------------------------------------------------------------

SB_CLONES static void multiply_plainly(int64_t quads, const int8_t *left, const int32_t *offsets,
                                       const uint8_t *right, int32_t *products) {
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) products[i * COLUMNS + j] = -offsets[i];
  for (int64_t q = 0; q < quads; q++, left += ROWS * SB_QUAD, right += COLUMNS * SB_QUAD)
    for (int i = 0; i < ROWS; i++) {
      const int32_t a = left[i * 4], b = left[i * 4 + 1], c = left[i * 4 + 2], d = left[i * 4 + 3];
      for (int j = 0; j < COLUMNS; j++)
        products[i * COLUMNS + j] +=
            a * right[j * 4] + b * right[j * 4 + 1] + c * right[j * 4 + 2] + d * right[j * 4 + 3];
    }
}

#if HAVE_VNNI
// Each row's products are in two registers, `one` and `two`: written out, for the compiler keeps an array
// of them in memory.
#define FOR_ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define START(i) __m512i one##i = _mm512_set1_epi32(-offsets[i]), two##i = one##i;
#define ADD_QUAD(i)                                                                                \
  {                                                                                                \
    int32_t quad;                                                                                  \
    memcpy(&quad, left + (i)*SB_QUAD, sizeof quad);                                                \
    const __m512i numbers = _mm512_set1_epi32(quad);                                               \
    one##i = _mm512_dpbusd_epi32(one##i, first, numbers);                                          \
    two##i = _mm512_dpbusd_epi32(two##i, second, numbers);                                         \
  }
#define STORE(i)                                                                                   \
  _mm512_store_si512(products + (i)*COLUMNS, one##i);                                              \
  _mm512_store_si512(products + (i)*COLUMNS + COLUMNS / 2, two##i);

__attribute__((target("avx512f,avx512vnni"))) static void
multiply_fast(int64_t quads, const int8_t *left, const int32_t *offsets, const uint8_t *right,
              int32_t *products) {
  FOR_ROWS(START)
  for (int64_t q = 0; q < quads; q++, left += ROWS * SB_QUAD, right += COLUMNS * SB_QUAD) {
    const __m512i first = _mm512_load_si512(right);
    const __m512i second = _mm512_load_si512(right + COLUMNS / 2 * SB_QUAD);
    FOR_ROWS(ADD_QUAD)
  }
  FOR_ROWS(STORE)
}
#else
static void multiply_fast(int64_t quads, const int8_t *left, const int32_t *offsets,
                          const uint8_t *right, int32_t *products) {
  multiply_plainly(quads, left, offsets, right, products);
}
#endif

void sb_multiply_panels(int64_t quads, bool fast, const int8_t *left, const int32_t *offsets,
                        const uint8_t *right, int32_t *products) {
  if (fast)
    multiply_fast(quads, left, offsets, right, products);
  else
    multiply_plainly(quads, left, offsets, right, products);
}
