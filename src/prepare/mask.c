// Binary masks on a grid: components and holes, by flood fill with an explicit stack.
#include "prepare/mask.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

// A copy of the mask with a border of one voxel, so that a fill needs no coordinates.
typedef struct flood {
  int64_t dims[3], voxels; // border included
  uint8_t *mask;
  int64_t *stack; // room for every voxel
} flood;

static sb_status flood_start(const int64_t dims[3], const uint8_t *mask, uint8_t border, flood *f) {
  for (int i = 0; i < 3; i++) f->dims[i] = dims[i] + 2;
  f->voxels = f->dims[0] * f->dims[1] * f->dims[2];
  f->mask = NULL;
  f->stack = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&f->mask, f->voxels, "mask"));
  SB_TRY(SB_NEW(&f->stack, f->voxels, "mask"));
  memset(f->mask, border, (size_t)f->voxels);
  for (int64_t row = 0; row < dims[1] * dims[2]; row++) {
    uint8_t *to = f->mask + 1 + f->dims[0] * (row % dims[1] + 1 + f->dims[1] * (row / dims[1] + 1));
    for (int64_t x = 0; x < dims[0]; x++) to[x] = mask[row * dims[0] + x] != 0;
  }
cleanup:
  return status;
}

// Writes back which voxels have (`wanted` true) or have not one value.
static void flood_end(const int64_t dims[3], flood *f, uint8_t value, bool wanted, uint8_t *mask) {
  for (int64_t row = 0; f->mask != NULL && row < dims[1] * dims[2]; row++) {
    const uint8_t *from =
        f->mask + 1 + f->dims[0] * (row % dims[1] + 1 + f->dims[1] * (row / dims[1] + 1));
    for (int64_t x = 0; x < dims[0]; x++) mask[row * dims[0] + x] = (from[x] == value) == wanted;
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
  flood f;
  int64_t best_seed = -1;
  *count = *next = 0;
  sb_status status = flood_start(dims, mask, OFF, &f);
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
  flood_end(dims, &f, BEST, true, mask);
  return status;
}

sb_status sb_mask_fill_holes(const int64_t dims[3], uint8_t *mask) {
  enum { OFF, ON, OUTSIDE, WALL };
  flood f;
  sb_status status = flood_start(dims, mask, WALL, &f);
  // Everything off that touches the wall is outside, and what touches that.
  for (int64_t i = 0; status.code == SB_OK && i < f.voxels; i++) {
    if (f.mask[i] != OFF) continue;
    int64_t x = i % f.dims[0], y = i / f.dims[0] % f.dims[1], z = i / (f.dims[0] * f.dims[1]);
    bool edge = x == 1 || y == 1 || z == 1 || x == f.dims[0] - 2 || y == f.dims[1] - 2 ||
                z == f.dims[2] - 2;
    if (edge) fill(&f, i, OFF, OUTSIDE);
  }
  flood_end(dims, &f, OUTSIDE, false, mask);
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
