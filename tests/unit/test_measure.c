// Measures against naive references in double precision, written from their definitions.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "measure/measure.h"
#include "measure/vector.h"

// cmocka's own comparison is in single precision.
static void assert_near(double value, double expected, double tolerance) {
  if (!(fabs(value - expected) <= tolerance)) fail_msg("%.12g, not %.12g", value, expected);
}

static double uniform(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 11) * 0x1p-53;
}

// An irregular mask (a tilted ellipsoid with holes) on a small grid, and two rows on it.
typedef struct scene {
  int64_t dims[3], length;
  uint8_t *mask;
  float *a, *b;
} scene;

static scene make_scene(int64_t nx, int64_t ny, int64_t nz, uint64_t seed) {
  scene s = {.dims = {nx, ny, nz}};
  s.mask = calloc((size_t)(nx * ny * nz), 1);
  assert_non_null(s.mask);
  for (int64_t i = 0; i < nx * ny * nz; i++) {
    int64_t at[3] = {i % nx, i / nx % ny, i / nx / ny};
    double x = 2.0 * (double)at[0] / (double)nx - 1, y = 2.0 * (double)at[1] / (double)ny - 1;
    double z = 2.0 * (double)at[2] / (double)nz - 1;
    s.mask[i] = x * x + y * y + z * z + 0.5 * x * y < 0.8 && uniform(&seed) > 0.1;
    s.length += s.mask[i];
  }
  s.a = malloc((size_t)s.length * sizeof *s.a);
  s.b = malloc((size_t)s.length * sizeof *s.b);
  assert_non_null(s.a);
  assert_non_null(s.b);
  for (int64_t i = 0; i < s.length; i++) {
    s.a[i] = (float)(100 + 20 * sin(0.05 * (double)i) + 30 * uniform(&seed));
    s.b[i] = (float)(0.5 * s.a[i] + 40 * uniform(&seed));
  }
  return s;
}

static void free_scene(scene *s) {
  free(s->mask);
  free(s->a);
  free(s->b);
}

static double naive_pearson(int64_t n, const double *a, const double *b) {
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < n; i++) {
    ma += a[i] / (double)n;
    mb += b[i] / (double)n;
  }
  for (int64_t i = 0; i < n; i++) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / sqrt(aa * bb);
}

// The row minus its Gaussian-weighted mean over the mask, each voxel by a sum over all others
// within the cube that the kernel's cut leaves.
static double *naive_band(const scene *s, const float *row, double voxel_mm) {
  double *out = calloc((size_t)s->length, sizeof *out), sigma = 4 / voxel_mm;
  int64_t(*at)[3] = malloc((size_t)s->length * sizeof *at), n = 0, cut = (int64_t)(4 * sigma + 0.5);
  assert_non_null(out);
  assert_non_null(at);
  for (int64_t i = 0; i < s->dims[0] * s->dims[1] * s->dims[2]; i++)
    if (s->mask[i]) {
      at[n][0] = i % s->dims[0];
      at[n][1] = i / s->dims[0] % s->dims[1];
      at[n++][2] = i / s->dims[0] / s->dims[1];
    }
  for (int64_t i = 0; i < n; i++) {
    double sum = 0, weights = 0;
    for (int64_t j = 0; j < n; j++) {
      double squared = 0;
      int64_t farthest = 0;
      for (int axis = 0; axis < 3; axis++) {
        int64_t d = llabs(at[i][axis] - at[j][axis]);
        if (d > farthest) farthest = d;
        squared += (double)(d * d);
      }
      if (farthest > cut) continue;
      double weight = exp(-squared / (2 * sigma * sigma));
      sum += weight * (double)row[j];
      weights += weight;
    }
    out[i] = (double)row[i] - sum / weights;
  }
  free(at);
  return out;
}

static double score(const char *name, const scene *s, double voxel_mm, const float *a,
                    const float *b) {
  double value;
  sb_status status = sb_measure_score(name, s->dims, voxel_mm, s->mask, a, b, s->length, &value);
  if (status.code != SB_OK) fail_msg("%s: %s", name, status.message);
  return value;
}

static void test_pearson_follows_its_formula(void **state) {
  (void)state;
  scene s = make_scene(13, 11, 9, 1);
  double *a = malloc((size_t)s.length * sizeof *a), *b = malloc((size_t)s.length * sizeof *b);
  assert_non_null(a);
  assert_non_null(b);
  for (int64_t i = 0; i < s.length; i++) {
    a[i] = (double)s.a[i];
    b[i] = (double)s.b[i];
  }
  assert_near(score("pearson", &s, 2, s.a, s.b), naive_pearson(s.length, a, b), 1e-7);
  free(a);
  free(b);
  free_scene(&s);
}

static void test_bandpass_follows_its_formula(void **state) {
  (void)state;
  static const double voxel_mm[] = {1, 1.7, 2, 3, 4, 9};
  for (size_t i = 0; i < sizeof voxel_mm / sizeof *voxel_mm; i++) {
    scene s = make_scene(i % 2 ? 19 : 33, 14, 12, i + 7);
    double *a = naive_band(&s, s.a, voxel_mm[i]), *b = naive_band(&s, s.b, voxel_mm[i]);
    assert_near(score("bandpass", &s, voxel_mm[i], s.a, s.b), naive_pearson(s.length, a, b), 2e-6);
    free(a);
    free(b);
    free_scene(&s);
  }
}

static void test_bandpass_embedding_by_element(void **state) {
  (void)state;
  scene s = make_scene(21, 17, 13, 3);
  sb_grid grid = {{21, 17, 13}, 2, s.mask, s.length};
  sb_embedder e;
  assert_int_equal(sb_embedder_open(&sb_measure_bandpass, &grid, &e).code, SB_OK);
  float *vector, *scratch;
  assert_int_equal(SB_NEW(&vector, e.length, "vector").code, SB_OK);
  assert_int_equal(SB_NEW(&scratch, e.scratch, "scratch").code, SB_OK);
  assert_int_equal(sb_embed(&e, s.a, vector, scratch).code, SB_OK);
  double *band = naive_band(&s, s.a, 2), mean = 0, norm = 0;
  for (int64_t i = 0; i < s.length; i++) mean += band[i] / (double)s.length;
  for (int64_t i = 0; i < s.length; i++) norm += (band[i] - mean) * (band[i] - mean);
  for (int64_t i = 0; i < s.length; i++)
    assert_near((double)vector[i], (band[i] - mean) / sqrt(norm), 1e-6);
  // Whatever an earlier row left in the scratch memory changes nothing.
  float *again;
  assert_int_equal(SB_NEW(&again, e.length, "vector").code, SB_OK);
  for (int64_t i = 0; i < e.scratch; i++) scratch[i] = NAN;
  assert_int_equal(sb_embed(&e, s.a, again, scratch).code, SB_OK);
  assert_memory_equal(vector, again, (size_t)e.length * sizeof *vector);
  free(band);
  free(again);
  free(vector);
  free(scratch);
  sb_embedder_close(&e);
  free_scene(&s);
}

static void test_invariances_symmetry_and_range(void **state) {
  (void)state;
  scene s = make_scene(16, 15, 14, 5);
  float *c = malloc((size_t)s.length * sizeof *c);
  assert_non_null(c);
  for (int64_t i = 0; i < s.length; i++) c[i] = 3 * s.a[i] - 50;
  const sb_measure_info *info;
  for (size_t m = 0; (info = sb_measure_at(m)) != NULL; m++) {
    assert_ptr_equal(sb_measure_find(info->name), info);
    assert_true(score(info->name, &s, 2, s.a, s.a) > 1 - 1e-6);
    assert_true(score(info->name, &s, 2, s.a, s.a) <= info->range_max);
    assert_near(score(info->name, &s, 2, s.a, c), 1, 1e-6);
    for (int64_t i = 0; i < s.length; i++) c[i] = -s.a[i];
    assert_near(score(info->name, &s, 2, s.a, c), -1, 1e-6);
    for (int64_t i = 0; i < s.length; i++) c[i] = 3 * s.a[i] - 50;
    double ab = score(info->name, &s, 2, s.a, s.b), ba = score(info->name, &s, 2, s.b, s.a);
    assert_true(ab == ba);
  }
  assert_null(sb_measure_find("no-such-measure"));
  free(c);
  free_scene(&s);
}

static void test_rows_without_content_are_refused(void **state) {
  (void)state;
  scene s = make_scene(12, 12, 12, 9);
  float *bad = malloc((size_t)s.length * sizeof *bad);
  assert_non_null(bad);
  const sb_measure_info *info;
  double value;
  for (size_t m = 0; (info = sb_measure_at(m)) != NULL; m++) {
    for (int kind = 0; kind < 4; kind++) {
      static const float constants[] = {0, 123.456f, -1e-30f};
      for (int64_t i = 0; i < s.length; i++) bad[i] = kind < 3 ? constants[kind] : s.a[i];
      if (kind == 3) bad[s.length / 2] = NAN;
      sb_status status =
          sb_measure_score(info->name, s.dims, 2, s.mask, s.a, bad, s.length, &value);
      assert_int_equal(status.code, SB_CONTENT);
      assert_true(isnan(value));
    }
  }
  assert_int_equal(sb_measure_score("cosmic", s.dims, 2, s.mask, s.a, s.b, s.length, &value).code,
                   SB_NOT_FOUND);
  assert_int_equal(
      sb_measure_score("pearson", s.dims, 2, s.mask, s.a, s.b, s.length - 1, &value).code,
      SB_USAGE);
  free(bad);
  free_scene(&s);
}

// One voxel has no variation; two voxels correlate by 1 or -1; a mask may touch the grid's edge.
static void test_the_smallest_masks(void **state) {
  (void)state;
  const int64_t dims[3] = {2, 2, 1};
  const uint8_t one[4] = {0, 0, 1, 0}, two[4] = {1, 0, 0, 1};
  const float a[2] = {1, 5}, b[2] = {9, 2};
  double value;
  assert_int_equal(sb_measure_score("pearson", dims, 2, one, a, b, 1, &value).code, SB_CONTENT);
  assert_int_equal(sb_measure_score("bandpass", dims, 2, one, a, b, 1, &value).code, SB_CONTENT);
  assert_int_equal(sb_measure_score("pearson", dims, 2, two, a, b, 2, &value).code, SB_OK);
  assert_near(value, -1, 1e-7);
  assert_int_equal(sb_measure_score("bandpass", dims, 2, two, a, b, 2, &value).code, SB_OK);
  assert_near(value, -1, 1e-6);
}

// The sums are defined to the bit: 16 lanes, then a tree.
static void test_sums_have_one_defined_order(void **state) {
  (void)state;
  uint64_t seed = 11;
  float a[1003], b[1003];
  for (int i = 0; i < 1003; i++) {
    a[i] = (float)(uniform(&seed) - 0.5);
    b[i] = (float)exp(20 * uniform(&seed));
  }
  for (int n = 0; n <= 1003; n += 59) {
    double lane[16] = {0}, squares[16] = {0}, sum[16] = {0};
    for (int i = 0; i < n; i++) {
      lane[i % 16] += (double)a[i] * (double)b[i];
      squares[i % 16] += ((double)b[i] - 0.25) * ((double)b[i] - 0.25);
      sum[i % 16] += (double)b[i];
    }
    for (int half = 8; half > 0; half /= 2)
      for (int j = 0; j < half; j++) {
        lane[j] += lane[j + half];
        squares[j] += squares[j + half];
        sum[j] += sum[j + half];
      }
    assert_true(sb_dot(n, a, b) == lane[0]);
    assert_true(sb_sum_squares(n, b, 0.25) == squares[0]);
    assert_true(sb_sum(n, b) == sum[0]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pearson_follows_its_formula),
      cmocka_unit_test(test_bandpass_follows_its_formula),
      cmocka_unit_test(test_bandpass_embedding_by_element),
      cmocka_unit_test(test_invariances_symmetry_and_range),
      cmocka_unit_test(test_rows_without_content_are_refused),
      cmocka_unit_test(test_the_smallest_masks),
      cmocka_unit_test(test_sums_have_one_defined_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
