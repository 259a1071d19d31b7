// Binary masks on a grid: components and holes, by flood fill with an explicit stack.
#include "prepare/mask.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

typedef struct flood {
  const int64_t *dims;
  uint8_t *mask;
  int64_t *stack; // room for every voxel
} flood;

// Turns the 6-connected region of value `from` around `seed` into `to`; returns its size.
static int64_t fill(const flood *f, int64_t seed, uint8_t from, uint8_t to) {
  const int64_t nx = f->dims[0], ny = f->dims[1], nz = f->dims[2], plane = nx * ny;
  int64_t top = 0, size = 0;
  f->mask[seed] = to;
  f->stack[top++] = seed;
  while (top > 0) {
    int64_t at = f->stack[--top];
    size++;
    int64_t x = at % nx, y = at / nx % ny, z = at / plane;
    const int64_t next[6] = {x > 0 ? at - 1 : -1,     x + 1 < nx ? at + 1 : -1,
                             y > 0 ? at - nx : -1,    y + 1 < ny ? at + nx : -1,
                             z > 0 ? at - plane : -1, z + 1 < nz ? at + plane : -1};
    for (int i = 0; i < 6; i++)
      if (next[i] >= 0 && f->mask[next[i]] == from) {
        f->mask[next[i]] = to;
        f->stack[top++] = next[i];
      }
  }
  return size;
}

sb_status sb_mask_keep_largest(const int64_t dims[3], uint8_t *mask, int64_t *count) {
  enum { OFF, CANDIDATE, SEEN, BEST };
  const int64_t n = dims[0] * dims[1] * dims[2];
  flood f = {dims, mask, NULL};
  *count = 0;
  sb_status status = SB_NEW(&f.stack, n, "mask components");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < n; i++) mask[i] = mask[i] != 0 ? CANDIDATE : OFF;
  int64_t best_seed = -1;
  for (int64_t i = 0; i < n; i++) {
    if (mask[i] != CANDIDATE) continue;
    int64_t size = fill(&f, i, CANDIDATE, SEEN);
    if (size > *count) {
      *count = size;
      best_seed = i;
    }
  }
  if (best_seed >= 0) fill(&f, best_seed, SEEN, BEST);
  for (int64_t i = 0; i < n; i++) mask[i] = mask[i] == BEST;
  free(f.stack);
  return status;
}

sb_status sb_mask_fill_holes(const int64_t dims[3], uint8_t *mask) {
  enum { OFF, ON, OUTSIDE };
  const int64_t nx = dims[0], ny = dims[1], nz = dims[2], n = nx * ny * nz;
  flood f = {dims, mask, NULL};
  sb_status status = SB_NEW(&f.stack, n, "mask holes");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < n; i++) mask[i] = mask[i] != 0 ? ON : OFF;
  for (int64_t z = 0; z < nz; z++)
    for (int64_t y = 0; y < ny; y++) {
      bool inner = z > 0 && z + 1 < nz && y > 0 && y + 1 < ny;
      for (int64_t x = 0; x < nx; x += inner && nx > 1 ? nx - 1 : 1) {
        int64_t at = x + nx * (y + ny * z);
        if (mask[at] == OFF) fill(&f, at, OFF, OUTSIDE);
      }
    }
  for (int64_t i = 0; i < n; i++) mask[i] = mask[i] != OUTSIDE;
  free(f.stack);
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
