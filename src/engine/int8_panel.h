// Products of rounded vectors: int8 numbers packed into panels, and the product of a left and a right
// panel over one chunk. A left panel holds SB_PANEL_ROWS vectors, a right one SB_PANEL_COLUMNS; in both,
// four elements (a quad) of each of its vectors stand side by side, then the next four, so that the
// processor's products of four with four (VNNI) read straight through. Numbers on the right are stored
// with 128 added, as VNNI wants one side unsigned; what that adds to a product, 128 times the sum of the
// left vector's numbers, is taken off again.
#ifndef SB_ENGINE_INT8_PANEL_H
#define SB_ENGINE_INT8_PANEL_H

#include <stdbool.h>
#include <stdint.h>

enum { SB_PANEL_ROWS = 12, SB_PANEL_COLUMNS = 32, SB_QUAD = 4, SB_QUADS_AT_ONCE = 16 };

// Quads that a chunk of `count` elements is filled up to, with zeros: a multiple of SB_QUADS_AT_ONCE.
static inline int64_t sb_quads(int64_t count) {
  const int64_t unit = SB_QUAD * SB_QUADS_AT_ONCE;
  return (count + unit - 1) / unit * SB_QUADS_AT_ONCE;
}

// Whether this processor has such products (and ONEDNN_MAX_CPU_ISA, which rules oneDNN too, does not
// forbid them). Without, the same numbers come out more slowly.
bool sb_int8_is_fast(void);

// Packs one chunk of `vectors` rounded vectors (at most SB_PANEL_ROWS or SB_PANEL_COLUMNS; what a panel
// has more is zero), `stride` bytes apart and filled up to `quads` (sb_quads).
// sb_pack_left also gives the sum of each vector's numbers times 128, SB_PANEL_ROWS of them.
void sb_pack_left(int64_t vectors, int64_t quads, const int8_t *numbers, int64_t stride,
                  int8_t *panel, int32_t *offsets);
void sb_pack_right(int64_t vectors, int64_t quads, const int8_t *numbers, int64_t stride,
                   uint8_t *panel);

// products[i * SB_PANEL_COLUMNS + j] = dot product of left vector i and right vector j, exact for chunks of
// up to SB_INT8_MOST_CHUNK elements. Panels and products are aligned to 64 bytes. Meanwhile the caches are asked
// for what is to come, as many floats as the vectors have elements, from `next` on; NULL: nothing.
void sb_multiply_panels(int64_t quads, bool fast, const int8_t *left, const int32_t *offsets,
                        const uint8_t *right, const float *next, int32_t *products);

#endif
