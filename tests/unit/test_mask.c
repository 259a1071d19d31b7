// Components, holes, dilation, growing and shrinking of masks, against the plainest way to compute them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "prepare/mask.h"

enum { NX = 9, NY = 8, NZ = 7, N = NX * NY * NZ };
static const int64_t DIMS[3] = {NX, NY, NZ};

static uint32_t next(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static void random_mask(uint32_t *state, unsigned percent, uint8_t mask[N]) {
  for (int i = 0; i < N; i++) mask[i] = next(state) % 100 < percent;
}

static void must_be_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s", status.message);
}

static int at(int x, int y, int z) {
  return x + NX * (y + NY * z);
}

// Labels by repeated sweeps: each voxel takes the smallest label around it until nothing changes.
static void label(const uint8_t mask[N], uint8_t value, int labels[N]) {
  for (int i = 0; i < N; i++) labels[i] = mask[i] == value ? i : -1;
  for (int changed = 1; changed != 0;) {
    changed = 0;
    for (int z = 0; z < NZ; z++)
      for (int y = 0; y < NY; y++)
        for (int x = 0; x < NX; x++) {
          int i = at(x, y, z);
          const int around[6] = {x > 0 ? i - 1 : i,       x + 1 < NX ? i + 1 : i,
                                 y > 0 ? i - NX : i,      y + 1 < NY ? i + NX : i,
                                 z > 0 ? i - NX * NY : i, z + 1 < NZ ? i + NX * NY : i};
          for (int k = 0; k < 6 && labels[i] >= 0; k++)
            if (labels[around[k]] >= 0 && labels[around[k]] < labels[i]) {
              labels[i] = labels[around[k]];
              changed = 1;
            }
        }
  }
}

static void largest_component(void **state) {
  (void)state;
  uint32_t seed = 1;
  for (int round = 0; round < 50; round++) {
    uint8_t mask[N], kept[N];
    int labels[N], sizes[N] = {0}, best = -1;
    int64_t count, runner_up;
    random_mask(&seed, 25, mask);
    memcpy(kept, mask, sizeof mask);
    must_be_ok(sb_mask_keep_largest(DIMS, kept, &count, &runner_up));
    label(mask, 1, labels);
    for (int i = 0; i < N; i++)
      if (labels[i] >= 0) sizes[labels[i]]++;
    for (int i = 0; i < N; i++)
      if (best < 0 || sizes[i] > sizes[best]) best = i;
    int second = 0;
    for (int i = 0; i < N; i++)
      if (i != best && sizes[i] > second) second = sizes[i];
    assert_int_equal(count, sizes[best]);
    assert_int_equal(runner_up, second);
    for (int i = 0; i < N; i++) assert_int_equal(kept[i], labels[i] == best);
  }
  uint8_t empty[N] = {0};
  int64_t count = 5, runner_up = 5;
  must_be_ok(sb_mask_keep_largest(DIMS, empty, &count, &runner_up));
  assert_int_equal(count, 0);
  assert_int_equal(runner_up, 0);
}

static void holes(void **state) {
  (void)state;
  uint32_t seed = 2;
  for (int round = 0; round < 50; round++) {
    uint8_t mask[N], filled[N];
    int labels[N], outside[N] = {0};
    random_mask(&seed, 60, mask);
    for (int i = 0; i < N && round % 2 != 0; i++) // every other mask has empty slices around it
      if (i % NX < 2 || i / NX % NY < 1 || i / (NX * NY) >= NZ - 2) mask[i] = 0;
    memcpy(filled, mask, sizeof mask);
    must_be_ok(sb_mask_fill_holes(DIMS, filled));
    label(mask, 0, labels);
    for (int z = 0; z < NZ; z++)
      for (int y = 0; y < NY; y++)
        for (int x = 0; x < NX; x++) {
          int edge = x == 0 || y == 0 || z == 0 || x == NX - 1 || y == NY - 1 || z == NZ - 1;
          if (edge && labels[at(x, y, z)] >= 0) outside[labels[at(x, y, z)]] = 1;
        }
    for (int i = 0; i < N; i++)
      assert_int_equal(filled[i], !(labels[i] >= 0 && outside[labels[i]] != 0));
  }
}

// Also where rows take more than one word.
static void what_touches_seeds(void **state) {
  (void)state;
  uint32_t seed = 5;
  for (int round = 0; round < 50; round++) {
    uint8_t mask[N], seeds[N], kept[N];
    int labels[N], wanted[N] = {0};
    random_mask(&seed, 40, mask);
    random_mask(&seed, 2, seeds);
    memcpy(kept, mask, sizeof mask);
    must_be_ok(sb_mask_keep_touching(DIMS, kept, seeds));
    label(mask, 1, labels);
    for (int i = 0; i < N; i++)
      if (labels[i] >= 0 && seeds[i] != 0) wanted[labels[i]] = 1;
    for (int i = 0; i < N; i++) assert_int_equal(kept[i], labels[i] >= 0 && wanted[labels[i]] != 0);
  }
  // A path that winds through a plane of 130 x 9 voxels: all of it, from either end; cut, only half.
  enum { WIDE = 130, ROWS = 9 };
  static const int64_t dims[3] = {WIDE, ROWS, 1};
  for (int cut = 0; cut < 2; cut++) {
    uint8_t path[WIDE * ROWS] = {0}, start[WIDE * ROWS] = {0};
    int length = 0, reached = 0;
    for (int y = 0; y < ROWS; y++)
      for (int x = 0; x < WIDE; x++)
        path[x + WIDE * y] = y % 2 == 0 || x == (y % 4 == 1 ? WIDE - 1 : 0);
    if (cut != 0) path[64 + WIDE * 4] = 0;
    for (int i = 0; i < WIDE * ROWS; i++) length += path[i];
    start[WIDE * ROWS - 1] = start[WIDE * (ROWS - 1)] = 1;
    must_be_ok(sb_mask_keep_touching(dims, path, start));
    for (int i = 0; i < WIDE * ROWS; i++) reached += path[i];
    assert_int_equal(reached, cut == 0 ? length : 2 * (WIDE + 1) + 65);
  }
}

static void bounds(void **state) {
  (void)state;
  uint32_t seed = 9;
  uint8_t mask[N] = {0};
  int64_t first[3], end[3];
  assert_false(sb_mask_bounds(DIMS, mask, first, end));
  for (int i = 0; i < 3; i++) assert_true(first[i] == 0 && end[i] == 0);
  for (int round = 0; round < 200; round++) {
    int64_t low[3] = {NX, NY, NZ}, high[3] = {0};
    random_mask(&seed, 1, mask);
    mask[next(&seed) % N] = 1;
    for (int i = 0; i < N; i++) {
      const int64_t here[3] = {i % NX, i / NX % NY, i / (NX * NY)};
      for (int k = 0; k < 3 && mask[i] != 0; k++) {
        low[k] = here[k] < low[k] ? here[k] : low[k];
        high[k] = here[k] >= high[k] ? here[k] + 1 : high[k];
      }
    }
    assert_true(sb_mask_bounds(DIMS, mask, first, end));
    assert_memory_equal(first, low, sizeof low);
    assert_memory_equal(end, high, sizeof high);
  }
}

static void dilation(void **state) {
  (void)state;
  uint32_t seed = 3;
  uint8_t mask[N], grown[N];
  random_mask(&seed, 5, mask);
  memcpy(grown, mask, sizeof mask);
  must_be_ok(sb_mask_dilate(DIMS, grown));
  for (int z = 0; z < NZ; z++)
    for (int y = 0; y < NY; y++)
      for (int x = 0; x < NX; x++) {
        int near = 0;
        for (int k = -1; k <= 1; k++)
          for (int j = -1; j <= 1; j++)
            for (int i = -1; i <= 1; i++)
              if (x + i >= 0 && x + i < NX && y + j >= 0 && y + j < NY && z + k >= 0 && z + k < NZ)
                near |= mask[at(x + i, y + j, z + k)];
        assert_int_equal(grown[at(x, y, z)], near);
      }
}

// ---- Growing: rows of one word, of several, and ending at a word's end ---------------------------

enum { MOST_ROW = 131, GROW_Y = 6, GROW_Z = 5, GROW_MOST = MOST_ROW * GROW_Y * GROW_Z };

// Whether a voxel or one of its neighbours (the 26, or the 6) has this value. Beyond the grid none has.
static uint8_t any_around(int nx, const uint8_t *mask, int x, int y, int z, int cube,
                          uint8_t value) {
  for (int dz = -1; dz <= 1; dz++)
    for (int dy = -1; dy <= 1; dy++)
      for (int dx = -1; dx <= 1; dx++) {
        if (cube == 0 && dx * dx + dy * dy + dz * dz > 1) continue;
        if (x + dx < 0 || x + dx >= nx || y + dy < 0 || y + dy >= GROW_Y || z + dz < 0 ||
            z + dz >= GROW_Z)
          continue;
        if (mask[x + dx + nx * (y + dy + GROW_Y * (z + dz))] == value) return 1;
      }
  return 0;
}

// Grows the voxels of this value, step by step.
static void grow_plainly(int nx, uint8_t *mask, const uint8_t *within, int steps, uint8_t value) {
  static uint8_t before[GROW_MOST];
  for (int step = 0; step < steps; step++) {
    memcpy(before, mask, (size_t)nx * GROW_Y * GROW_Z);
    for (int z = 0; z < GROW_Z; z++)
      for (int y = 0; y < GROW_Y; y++)
        for (int x = 0; x < nx; x++) {
          const int i = x + nx * (y + GROW_Y * z);
          if (any_around(nx, before, x, y, z, step % 2, value) != 0) mask[i] = value;
          if (within != NULL && within[i] == 0) mask[i] = 0;
        }
  }
}

static void growing_and_shrinking(void **state) {
  (void)state;
  static const int rows[] = {1, 7, 63, 64, 65, 128, MOST_ROW};
  static uint8_t mask[GROW_MOST], within[GROW_MOST], found[GROW_MOST], expected[GROW_MOST];
  uint32_t seed = 3;
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
    for (int steps = 0; steps <= 4; steps++) {
      const int nx = rows[r], n = nx * GROW_Y * GROW_Z;
      const int64_t dims[3] = {nx, GROW_Y, GROW_Z};
      for (int i = 0; i < n; i++) {
        mask[i] = next(&seed) % 100 < 2;
        within[i] = next(&seed) % 100 < 70;
      }
      memcpy(found, mask, (size_t)n);
      memcpy(expected, mask, (size_t)n);
      must_be_ok(sb_mask_grow(dims, found, steps));
      grow_plainly(nx, expected, NULL, steps, 1);
      assert_memory_equal(found, expected, (size_t)n);

      memcpy(found, mask, (size_t)n);
      memcpy(expected, mask, (size_t)n);
      must_be_ok(sb_mask_grow_within(dims, found, within, steps));
      grow_plainly(nx, expected, within, steps, 1);
      assert_memory_equal(found, expected, (size_t)n);

      for (int i = 0; i < n; i++) found[i] = expected[i] = mask[i] == 0;
      must_be_ok(sb_mask_shrink(dims, found, steps));
      grow_plainly(nx, expected, NULL, steps, 0);
      assert_memory_equal(found, expected, (size_t)n);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(largest_component),  cmocka_unit_test(holes),
      cmocka_unit_test(what_touches_seeds), cmocka_unit_test(bounds),
      cmocka_unit_test(dilation),           cmocka_unit_test(growing_and_shrinking),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
