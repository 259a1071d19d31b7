// Binary masks on a grid: components and holes, by flood fill with an explicit stack; growing and
// shrinking, row by row.
#include "prepare/mask.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

// A part of a grid: its first voxel and how many there are.
typedef struct box {
  int64_t first[3], dims[3];
} box;

static box whole(const int64_t dims[3]) {
  return (box){.dims = {dims[0], dims[1], dims[2]}};
}

// A copy of the mask in a box with a border of one voxel, so that a fill needs no coordinates.
typedef struct flood {
  int64_t dims[3], voxels; // border included
  uint8_t *mask;
  int64_t *stack; // room for every voxel
} flood;

// Row `row` of a box in the mask that it is part of, and in the flood.
static int64_t row_in_mask(const int64_t dims[3], const box *b, int64_t row) {
  return b->first[0] +
         dims[0] * (b->first[1] + row % b->dims[1] + dims[1] * (b->first[2] + row / b->dims[1]));
}

static int64_t row_in_flood(const flood *f, const box *b, int64_t row) {
  return 1 + f->dims[0] * (row % b->dims[1] + 1 + f->dims[1] * (row / b->dims[1] + 1));
}

static sb_status flood_start(const int64_t dims[3], const box *b, const uint8_t *mask,
                             uint8_t border, flood *f) {
  for (int i = 0; i < 3; i++) f->dims[i] = b->dims[i] + 2;
  f->voxels = f->dims[0] * f->dims[1] * f->dims[2];
  f->mask = NULL;
  f->stack = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&f->mask, f->voxels, "mask"));
  SB_TRY(SB_NEW(&f->stack, f->voxels, "mask"));
  memset(f->mask, border, (size_t)f->voxels);
  for (int64_t row = 0; row < b->dims[1] * b->dims[2]; row++) {
    const uint8_t *from = mask + row_in_mask(dims, b, row);
    uint8_t *to = f->mask + row_in_flood(f, b, row);
    for (int64_t x = 0; x < b->dims[0]; x++) to[x] = from[x] != 0;
  }
cleanup:
  return status;
}

// Writes back which voxels have (`wanted` true) or have not one value.
static void flood_end(const int64_t dims[3], const box *b, flood *f, uint8_t value, bool wanted,
                      uint8_t *mask) {
  for (int64_t row = 0; f->mask != NULL && row < b->dims[1] * b->dims[2]; row++) {
    const uint8_t *from = f->mask + row_in_flood(f, b, row);
    uint8_t *to = mask + row_in_mask(dims, b, row);
    for (int64_t x = 0; x < b->dims[0]; x++) to[x] = (from[x] == value) == wanted;
  }
  free(f->mask);
  free(f->stack);
}

// Turns the 6-connected region of value `from` around `seed` into `to`; returns its size.
static int64_t fill(const flood *f, int64_t seed, uint8_t from, uint8_t to) {
  const int64_t plane = f->dims[0] * f->dims[1];
  const int64_t steps[6] = {-1, 1, -f->dims[0], f->dims[0], -plane, plane};
  int64_t top = 0, size = 0;
  f->mask[seed] = to;
  f->stack[top++] = seed;
  while (top > 0) {
    int64_t at = f->stack[--top];
    size++;
    for (int i = 0; i < 6; i++)
      if (f->mask[at + steps[i]] == from) {
        f->mask[at + steps[i]] = to;
        f->stack[top++] = at + steps[i];
      }
  }
  return size;
}

sb_status sb_mask_keep_largest(const int64_t dims[3], uint8_t *mask, int64_t *count,
                               int64_t *next) {
  enum { OFF, CANDIDATE, SEEN, BEST };
  const box all = whole(dims);
  flood f;
  int64_t best_seed = -1;
  *count = *next = 0;
  sb_status status = flood_start(dims, &all, mask, OFF, &f);
  for (int64_t i = 0; status.code == SB_OK && i < f.voxels; i++) {
    if (f.mask[i] != CANDIDATE) continue;
    int64_t size = fill(&f, i, CANDIDATE, SEEN);
    if (size > *count) {
      *next = *count;
      *count = size;
      best_seed = i;
    } else if (size > *next) {
      *next = size;
    }
  }
  if (best_seed >= 0) fill(&f, best_seed, SEEN, BEST);
  flood_end(dims, &all, &f, BEST, true, mask);
  return status;
}

bool sb_mask_bounds(const int64_t dims[3], const uint8_t *mask, int64_t first[3], int64_t end[3]) {
  for (int i = 0; i < 3; i++) {
    first[i] = dims[i];
    end[i] = 0;
  }
  for (int64_t row = 0; row < dims[1] * dims[2]; row++) {
    const uint8_t *values = mask + dims[0] * row;
    int64_t from = 0, to = dims[0];
    while (from < to && values[from] == 0) from++;
    if (from == to) continue;
    while (values[to - 1] == 0) to--;
    const int64_t low[3] = {from, row % dims[1], row / dims[1]},
                  high[3] = {to, low[1] + 1, low[2] + 1};
    for (int i = 0; i < 3; i++) {
      if (low[i] < first[i]) first[i] = low[i];
      if (high[i] > end[i]) end[i] = high[i];
    }
  }
  if (end[0] > 0) return true;
  memset(first, 0, 3 * sizeof *first);
  return false;
}

sb_status sb_mask_fill_holes(const int64_t dims[3], uint8_t *mask) {
  enum { OFF, ON, OUTSIDE, WALL };
  box b; // beyond it there are no holes
  int64_t end[3];
  flood f;
  if (!sb_mask_bounds(dims, mask, b.first, end)) return sb_ok();
  for (int i = 0; i < 3; i++) b.dims[i] = end[i] - b.first[i];
  sb_status status = flood_start(dims, &b, mask, WALL, &f);
  // Everything off that touches the wall is outside, and what touches that.
  for (int64_t i = 0; status.code == SB_OK && i < f.voxels; i++) {
    if (f.mask[i] != OFF) continue;
    int64_t x = i % f.dims[0], y = i / f.dims[0] % f.dims[1], z = i / (f.dims[0] * f.dims[1]);
    bool edge = x == 1 || y == 1 || z == 1 || x == f.dims[0] - 2 || y == f.dims[1] - 2 ||
                z == f.dims[2] - 2;
    if (edge) fill(&f, i, OFF, OUTSIDE);
  }
  flood_end(dims, &b, &f, OUTSIDE, false, mask);
  return status;
}

sb_status sb_mask_dilate(const int64_t dims[3], uint8_t *mask) {
  const int64_t n = dims[0] * dims[1] * dims[2], steps[3] = {1, dims[0], dims[0] * dims[1]};
  uint8_t *before = NULL;
  sb_status status = SB_NEW(&before, n, "mask dilation");
  if (status.code != SB_OK) return status;
  for (int axis = 0; axis < 3; axis++) { // a cube is a line along each axis in turn
    memcpy(before, mask, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
      int64_t at = i / steps[axis] % dims[axis];
      if (before[i] == 0) continue;
      if (at > 0) mask[i - steps[axis]] = 1;
      if (at + 1 < dims[axis]) mask[i + steps[axis]] = 1;
    }
  }
  free(before);
  return status;
}

// ---- Growing and shrinking ----------------------------------------------------------------------

// A mask as bits, each row starting a new word: all of it stays in the processor's cache.
typedef struct bits {
  int64_t nx, ny, nz, words; // words a row
  uint64_t last;             // which bits of a row's last word there are
} bits;

static bits bits_of(const int64_t dims[3]) {
  bits b = {dims[0], dims[1], dims[2], (dims[0] + 63) / 64, ~(uint64_t)0};
  if (dims[0] % 64 != 0) b.last = ((uint64_t)1 << (dims[0] % 64)) - 1;
  return b;
}

// Eight bytes of 0 or 1 as eight bits, the first byte lowest. The product puts byte i's bit at 56 + i.
static uint64_t pack_eight(const uint8_t *bytes) {
  uint64_t sum = 0;
  for (int i = 0; i < 8; i++) sum |= (uint64_t)bytes[i] << (8 * i);
  return (sum * 0x0102040810204080u) >> 56;
}

static void pack(const bits *b, const uint8_t *mask, uint64_t flip, uint64_t *out) {
  for (int64_t row = 0; row < b->ny * b->nz; row++)
    for (int64_t w = 0; w < b->words; w++) {
      const uint8_t *bytes = mask + b->nx * row + 64 * w;
      const int64_t left = b->nx - 64 * w, count = left < 64 ? left : 64;
      uint64_t word = 0;
      int64_t i = 0;
      for (; i + 8 <= count; i += 8) word |= pack_eight(bytes + i) << i;
      for (; i < count; i++) word |= (uint64_t)bytes[i] << i;
      out[b->words * row + w] = (word ^ flip) & (w + 1 == b->words ? b->last : ~(uint64_t)0);
    }
}

static void unpack(const bits *b, const uint64_t *in, uint64_t flip, uint8_t *mask) {
  for (int64_t row = 0; row < b->ny * b->nz; row++)
    for (int64_t w = 0; w < b->words; w++) {
      uint8_t *bytes = mask + b->nx * row + 64 * w;
      const int64_t left = b->nx - 64 * w, count = left < 64 ? left : 64;
      const uint64_t word = in[b->words * row + w] ^ flip;
      for (int64_t i = 0; i < count; i++) bytes[i] = (uint8_t)(word >> i & 1);
    }
}

// One step of a row to its neighbours along x; `row` may be `out`.
static void grow_along(const bits *b, const uint64_t *row, uint64_t *out) {
  uint64_t before = 0;
  for (int64_t w = 0; w < b->words; w++) {
    const uint64_t now = row[w], after = w + 1 < b->words ? row[w + 1] : 0;
    out[w] |= now | now << 1 | now >> 1 | before >> 63 | after << 63;
    before = now;
  }
  out[b->words - 1] &= b->last;
}

// One step to the 26 neighbours (`cube`) or the 6. `sum` is a row of scratch.
static void grow_once(const bits *b, const uint64_t *in, bool cube, uint64_t *sum, uint64_t *out) {
  for (int64_t z = 0; z < b->nz; z++)
    for (int64_t y = 0; y < b->ny; y++) {
      uint64_t *to = out + b->words * (y + b->ny * z);
      memset(sum, 0, (size_t)b->words * sizeof *sum);
      for (int64_t dz = -1; dz <= 1; dz++)
        for (int64_t dy = -1; dy <= 1; dy++) {
          if (!cube && dy * dz != 0) continue;
          if (z + dz < 0 || z + dz >= b->nz || y + dy < 0 || y + dy >= b->ny) continue;
          const uint64_t *row = in + b->words * (y + dy + b->ny * (z + dz));
          for (int64_t w = 0; w < b->words; w++) sum[w] |= row[w];
        }
      memcpy(to, sum, (size_t)b->words * sizeof *to);
      grow_along(b, cube ? sum : in + b->words * (y + b->ny * z), to);
    }
}

// Grows the 1s, or if `flip` is all ones the 0s.
static sb_status grow(const int64_t dims[3], uint8_t *mask, const uint8_t *within, int steps,
                      uint64_t flip) {
  const bits b = bits_of(dims);
  const int64_t n = b.words * b.ny * b.nz;
  uint64_t *now = NULL, *next = NULL, *allowed = NULL, *sum = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&now, n, "mask"));
  SB_TRY(SB_NEW(&next, n, "mask"));
  SB_TRY(SB_NEW(&sum, b.words, "mask"));
  pack(&b, mask, flip, now);
  if (within != NULL) {
    SB_TRY(SB_NEW(&allowed, n, "mask"));
    pack(&b, within, 0, allowed);
  }
  for (int i = 0; i < steps; i++) {
    uint64_t *swap = now;
    grow_once(&b, now, i % 2 == 1, sum, next);
    for (int64_t w = 0; allowed != NULL && w < n; w++) next[w] &= allowed[w];
    now = next;
    next = swap;
  }
  unpack(&b, now, flip, mask);
cleanup:
  free(now);
  free(next);
  free(allowed);
  free(sum);
  return status;
}

sb_status sb_mask_grow(const int64_t dims[3], uint8_t *mask, int steps) {
  return grow(dims, mask, NULL, steps, 0);
}

sb_status sb_mask_grow_within(const int64_t dims[3], uint8_t *mask, const uint8_t *within,
                              int steps) {
  return grow(dims, mask, within, steps, 0);
}

sb_status sb_mask_shrink(const int64_t dims[3], uint8_t *mask, int steps) {
  return grow(dims, mask, NULL, steps, ~(uint64_t)0);
}
