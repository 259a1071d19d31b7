// Sampling along rows and onto grids against the formula in double precision; order statistics
// against a sorted copy.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/geometry.h"
#include "core/select.h"
#include "prepare/sample.h"

enum { NX = 13, NY = 11, NZ = 9, N = NX * NY * NZ };

static uint32_t next(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static void must_be_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s", status.message);
}

// Intensities from -50 to 205.
static sb_volume noise_volume(float voxels[N]) {
  uint32_t state = 7;
  for (int i = 0; i < N; i++) voxels[i] = (float)(next(&state) % 2551) / 10 - 50;
  sb_volume v = {.voxels = voxels, .dims = {NX, NY, NZ}};
  sb_affine_identity(v.affine);
  return v;
}

static double voxel(const sb_volume *v, int64_t x, int64_t y, int64_t z) {
  if (x < 0 || y < 0 || z < 0 || x >= NX || y >= NY || z >= NZ) return 0;
  return (double)v->voxels[x + NX * (y + NY * z)];
}

static double trilinear(const sb_volume *v, const double p[3]) {
  double sum = 0;
  for (int corner = 0; corner < 8; corner++) {
    double weight = 1;
    int64_t at[3];
    for (int i = 0; i < 3; i++) {
      const double low = floor(p[i]), beyond = p[i] - low;
      at[i] = (int64_t)low + (corner >> i & 1);
      weight *= (corner >> i & 1) != 0 ? beyond : 1 - beyond;
    }
    sum += weight * voxel(v, at[0], at[1], at[2]);
  }
  return sum;
}

// A row through the volume, from outside to outside.
static const double START[3] = {-2.7, 1.3, 10.4}, STEP[3] = {0.61, 0.27, -0.43};
enum { COUNT = 37 };

static void rows_are_trilinear(void **state) {
  (void)state;
  static const int64_t origin[3] = {0, 0, 0};
  float voxels[N], row[COUNT];
  const sb_volume v = noise_volume(voxels);
  sb_padded padded;
  must_be_ok(sb_padded_crop(&v, origin, v.dims, &padded));
  sb_sample_row(&padded, START, STEP, COUNT, row);
  for (int i = 0; i < COUNT; i++) {
    const double p[3] = {START[0] + i * STEP[0], START[1] + i * STEP[1], START[2] + i * STEP[2]};
    assert_float_equal((double)row[i], trilinear(&v, p), 1e-3);
  }
  sb_padded_free(&padded);
}

// Packed intensities are off by half a step at most, and what is beyond the range is pulled in; also
// far along rows that are longer than what is sampled at once.
static void packed_rows_are_trilinear(void **state) {
  (void)state;
  enum { LONG = 301 };
  float voxels[N], row[LONG + 1];
  sb_volume v = noise_volume(voxels);
  const float low = -40, high = 180, step = (high - low) / 255;
  sb_packed packed;
  must_be_ok(sb_packed_create(&v, low, high, &packed));
  assert_true(packed.low == low && fabsf(packed.step - step) < 1e-6f);
  for (int i = 0; i < N; i++) voxels[i] = fmaxf(low, fminf(high, voxels[i]));
  double worst = 0;
  for (int slow = 1; slow <= 10;
       slow += 9) { // a row from outside to outside in COUNT, or in ten times that
    const int count = slow == 1 ? COUNT : LONG;
    const double along[3] = {STEP[0] / slow, STEP[1] / slow, STEP[2] / slow};
    row[count] = 1234;
    sb_sample_packed_row(&packed, START, along, count, row);
    assert_true(row[count] == 1234);
    for (int i = 0; i < count; i++) {
      const double p[3] = {START[0] + i * along[0], START[1] + i * along[1],
                           START[2] + i * along[2]};
      worst = fmax(worst, fabs((double)(low + row[i] * step) - trilinear(&v, p)));
    }
  }
  assert_true(worst <= 0.51 * (double)step);
  assert_true(worst > 0.01 * (double)step);
  sb_packed_free(&packed);
}

// Every voxel of a grid that lies askew, and larger than the volume: nothing of it is clipped away.
static void grids_average_their_voxels(void **state) {
  (void)state;
  static const int64_t origin[3] = {0, 0, 0};
  static const double map[16] = {1.9, 0.3,  -0.2, -6,  -0.25, 2.05, 0.1, -5,
                                 0.2, -0.1, 2.1,  -11, 0,     0,    0,   1};
  enum { SIDE = 16, SUB = 2 };
  float voxels[N], values[SIDE * SIDE * SIDE];
  const sb_volume v = noise_volume(voxels);
  sb_volume grid = {.voxels = values, .dims = {SIDE, SIDE, SIDE}};
  sb_padded padded;
  must_be_ok(sb_padded_crop(&v, origin, v.dims, &padded));
  must_be_ok(sb_sample_grid(&padded, map, 8, NULL, &grid));
  sb_padded_free(&padded);

  // Packed with 0 as its 50th step: off by half a step at most, and 0 where the volume is not.
  static float coarse[SIDE * SIDE * SIDE];
  sb_volume again = {.voxels = coarse, .dims = {SIDE, SIDE, SIDE}};
  sb_packed packed;
  must_be_ok(sb_packed_create(&v, -50, 205, &packed));
  must_be_ok(sb_sample_packed_grid(&packed, map, 8, NULL, &again));
  sb_packed_free(&packed);

  int inside = 0;
  for (int i = 0; i < SIDE * SIDE * SIDE; i++) {
    const int at[3] = {i % SIDE, i / SIDE % SIDE, i / (SIDE * SIDE)};
    const double centre[3] = {at[0], at[1], at[2]};
    double sum = 0, chessboard = 0; // all sub-samples; those of packed volumes
    for (int s = 0; s < SUB * SUB * SUB; s++) {
      double p[3];
      for (int k = 0; k < 3; k++) p[k] = centre[k] + ((s >> k & 1) != 0 ? 0.25 : -0.25);
      sb_affine_apply(map, p, p);
      const double value = trilinear(&v, p) / (SUB * SUB * SUB);
      sum += value;
      if (((s & 1) + (s >> 1 & 1) + (s >> 2 & 1)) % 2 == 0) chessboard += 2 * value;
    }
    assert_float_equal((double)values[i], sum, 2e-3);
    assert_float_equal((double)coarse[i], chessboard, 0.51);
    if (chessboard == 0) assert_float_equal((double)coarse[i], 0, 1e-4);
    inside += sum != 0;
  }
  assert_true(inside > 200);
}

static int compare_floats(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static void select_equals_sorting(void **state) {
  (void)state;
  enum { MOST = 300 };
  uint32_t seed = 3;
  for (int round = 0; round < 300; round++) {
    float values[MOST], sorted[MOST], again[MOST];
    const int count = 1 + (int)(next(&seed) % MOST), range = 1 + (int)(next(&seed) % 400);
    for (int i = 0; i < count; i++) // random with ties, rising, falling
      values[i] = round % 3 == 0   ? (float)(next(&seed) % (unsigned)range)
                  : round % 3 == 1 ? (float)i
                                   : (float)-i;
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_floats);
    for (int rank = 0; rank < count; rank += 1 + count / 20) {
      memcpy(again, values, sizeof again);
      assert_true(sb_select(again, count, rank) == sorted[rank]);
    }
  }
}

// Samples of an image see all its columns and rows, whatever its size: 124 x 156 x 128 voxels, 20,000
// of them evenly, were the first column alone.
static void strides_miss_nothing(void **state) {
  (void)state;
  static const int64_t SHAPES[][3] = {{124, 156, 128}, {256, 256, 256}, {160, 160, 125},
                                      {100, 100, 100}, {181, 217, 181}, {8, 8, 8}};
  for (size_t s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++) {
    const int64_t *dims = SHAPES[s], n = dims[0] * dims[1] * dims[2];
    const int64_t stride = sb_even_stride(dims, 20000);
    int64_t seen[2][256] = {0}, count = 0;
    for (int64_t i = 0; i < n; i += stride, count++) {
      seen[0][i % dims[0]]++;
      seen[1][i / dims[0] % dims[1]]++;
    }
    assert_true(count <= 20000 && count > (n < 20000 ? n : 20000) / 2);
    for (int axis = 0; axis < 2; axis++)
      for (int64_t at = 0; at < dims[axis]; at++) {
        assert_true(seen[axis][at] * dims[axis] > count / 2);
        assert_true(seen[axis][at] * dims[axis] < 2 * count);
      }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_trilinear),         cmocka_unit_test(packed_rows_are_trilinear),
      cmocka_unit_test(grids_average_their_voxels), cmocka_unit_test(select_equals_sorting),
      cmocka_unit_test(strides_miss_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
