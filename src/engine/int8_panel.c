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

// Quads at once, in work as one vector of the processor (or several).
enum { SOME = SB_QUADS_AT_ONCE };
typedef uint32_t quads_of_one __attribute__((vector_size(SOME * sizeof(uint32_t))));

// Of two lines: the first's elements j with j & N (as the name says) change places with the second's without.
__attribute__((always_inline)) static inline void exchange_8(quads_of_one *one,
                                                             quads_of_one *other) {
  const quads_of_one before = *one;
  *one = __builtin_shufflevector(before, *other, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22,
                                 23);
  *other = __builtin_shufflevector(before, *other, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28,
                                   29, 30, 31);
}

__attribute__((always_inline)) static inline void exchange_4(quads_of_one *one,
                                                             quads_of_one *other) {
  const quads_of_one before = *one;
  *one = __builtin_shufflevector(before, *other, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25,
                                 26, 27);
  *other = __builtin_shufflevector(before, *other, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28,
                                   29, 30, 31);
}

__attribute__((always_inline)) static inline void exchange_2(quads_of_one *one,
                                                             quads_of_one *other) {
  const quads_of_one before = *one;
  *one = __builtin_shufflevector(before, *other, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13,
                                 28, 29);
  *other = __builtin_shufflevector(before, *other, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14,
                                   15, 30, 31);
}

__attribute__((always_inline)) static inline void exchange_1(quads_of_one *one,
                                                             quads_of_one *other) {
  const quads_of_one before = *one;
  *one = __builtin_shufflevector(before, *other, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28,
                                 14, 30);
  *other = __builtin_shufflevector(before, *other, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13,
                                   29, 15, 31);
}

// lines[i][j] <-> lines[j][i]: the square's off-diagonal quarters change places, then those of each
// quarter, and so on.
__attribute__((always_inline)) static inline void transpose(quads_of_one lines[SOME]) {
  for (int i = 0; i < SOME; i++)
    if (!(i & 8)) exchange_8(lines + i, lines + i + 8);
  for (int i = 0; i < SOME; i++)
    if (!(i & 4)) exchange_4(lines + i, lines + i + 4);
  for (int i = 0; i < SOME; i++)
    if (!(i & 2)) exchange_2(lines + i, lines + i + 2);
  for (int i = 0; i < SOME; i++)
    if (!(i & 1)) exchange_1(lines + i, lines + i + 1);
}

// Quads of `vectors` vectors from rows to a panel of `width`, SOME of SOME vectors at a time; what a panel
// has more is zero. Each quad's bytes are changed by `change`.
__attribute__((always_inline)) static inline void pack(int64_t vectors, int64_t width,
                                                       int64_t quads, const int8_t *numbers,
                                                       int64_t stride, uint32_t change,
                                                       void *panel) {
  for (int64_t first = 0; first < width; first += SOME)
    for (int64_t at = 0; at < quads; at += SOME) {
      const int64_t some = width - first < SOME ? width - first : SOME;
      quads_of_one lines[SOME];
      for (int64_t v = 0; v < SOME; v++)
        if (v < some && first + v < vectors)
          memcpy(lines + v, numbers + (first + v) * stride + at * SB_QUAD, sizeof *lines);
        else
          lines[v] = (quads_of_one){0};
      transpose(lines);
      for (int64_t q = 0; q < SOME; q++) {
        const quads_of_one line = lines[q] ^ change;
        memcpy((char *)panel + ((at + q) * width + first) * SB_QUAD, &line, (size_t)some * SB_QUAD);
      }
    }
}

SB_CLONES void sb_pack_left(int64_t vectors, int64_t quads, const int8_t *numbers, int64_t stride,
                            int8_t *panel, int32_t *offsets) {
  pack(vectors, ROWS, quads, numbers, stride, 0, panel);
  for (int64_t v = 0; v < ROWS; v++) {
    int32_t sum = 0;
    for (int64_t i = 0; v < vectors && i < quads * SB_QUAD; i++) sum += numbers[v * stride + i];
    offsets[v] = OFFSET * sum;
  }
}

SB_CLONES void sb_pack_right(int64_t vectors, int64_t quads, const int8_t *numbers, int64_t stride,
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
      const int8_t *a = left + i * SB_QUAD;
      for (int j = 0; j < COLUMNS; j++) {
        const uint8_t *b = right + j * SB_QUAD;
        products[i * COLUMNS + j] += a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
      }
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
              const float *next, int32_t *products) {
  const int64_t step = next != NULL ? SB_QUAD : 0;
  if (next == NULL) next = (const float *)(const void *)left; // near anyway
  FOR_ROWS(START)
  for (int64_t q = 0; q < quads; q++, left += ROWS * SB_QUAD, right += COLUMNS * SB_QUAD) {
    __builtin_prefetch(next + q * step);
    const __m512i first = _mm512_load_si512(right);
    const __m512i second = _mm512_load_si512(right + COLUMNS / 2 * SB_QUAD);
    __builtin_prefetch(left + quads * ROWS * SB_QUAD); // the next panel, most likely
    FOR_ROWS(ADD_QUAD)
  }
  FOR_ROWS(STORE)
}
#else
static void multiply_fast(int64_t quads, const int8_t *left, const int32_t *offsets,
                          const uint8_t *right, const float *next, int32_t *products) {
  (void)next;
  multiply_plainly(quads, left, offsets, right, products);
}
#endif

void sb_multiply_panels(int64_t quads, bool fast, const int8_t *left, const int32_t *offsets,
                        const uint8_t *right, const float *next, int32_t *products) {
  if (fast)
    multiply_fast(quads, left, offsets, right, next, products);
  else
    multiply_plainly(quads, left, offsets, right, products);
}
