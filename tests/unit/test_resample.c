// Sampling, resampling, block averages and Gaussian smoothing against definitions written out here.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "image/resample.h"
#include "image/smooth.h"

static const float OUTSIDE = -77;

// cmocka's own comparison is in single precision.
static void assert_near(double value, double expected, double tolerance) {
  if (!(fabs(value - expected) <= tolerance)) fail_msg("%.12g, not %.12g", value, expected);
}

static double uniform(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 11) * 0x1p-53;
}

static int64_t count_of(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

static sb_volume make_volume(int64_t nx, int64_t ny, int64_t nz) {
  sb_volume v = {.dims = {nx, ny, nz}};
  sb_affine_identity(v.affine);
  assert_int_equal(SB_NEW_ZERO(&v.voxels, count_of(&v), "a test").code, SB_OK);
  return v;
}

static sb_volume make_noise(int64_t nx, int64_t ny, int64_t nz, uint64_t seed) {
  sb_volume v = make_volume(nx, ny, nz);
  for (int64_t i = 0; i < count_of(&v); i++) v.voxels[i] = (float)(100 * uniform(&seed));
  return v;
}

static double voxel(const sb_volume *v, int64_t i, int64_t j, int64_t k) {
  return (double)v->voxels[i + v->dims[0] * (j + v->dims[1] * k)];
}

// ---- The definitions
// --------------------------------------------------------------------------------

static double hat(double t) {
  return fabs(t) < 1 ? 1 - fabs(t) : 0;
}

static double keys(double t) { // Keys 1981, equation (15)
  t = fabs(t);
  if (t < 1) return 1.5 * t * t * t - 2.5 * t * t + 1;
  return t < 2 ? -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2 : 0;
}

static int64_t clamp(int64_t i, int64_t n) {
  return i < 0 ? 0 : i < n ? i : n - 1;
}

// The sum over all taps that reach (x,y,z), edges repeated; OUTSIDE beyond half a voxel.
static double reference(const sb_volume *v, const double at[3], double (*kernel)(double)) {
  int64_t first[3];
  for (int a = 0; a < 3; a++) {
    if (at[a] < -0.5 || at[a] > (double)v->dims[a] - 0.5) return (double)OUTSIDE;
    first[a] = (int64_t)floor(at[a]) - 2;
  }
  double sum = 0;
  for (int64_t k = first[2]; k < first[2] + 6; k++)
    for (int64_t j = first[1]; j < first[1] + 6; j++)
      for (int64_t i = first[0]; i < first[0] + 6; i++)
        sum += kernel(at[0] - (double)i) * kernel(at[1] - (double)j) * kernel(at[2] - (double)k) *
               voxel(v, clamp(i, v->dims[0]), clamp(j, v->dims[1]), clamp(k, v->dims[2]));
  return sum;
}

// ---- Sampling
// -----------------------------------------------------------------------------------------

static void test_points(void **state) {
  (void)state;
  sb_volume v = make_noise(7, 6, 5, 1);
  uint64_t seed = 2;
  int outside = 0;
  for (int n = 0; n < 20000; n++) {
    double at[3];
    for (int a = 0; a < 3; a++) at[a] = -1 + uniform(&seed) * ((double)v.dims[a] + 1);
    double linear = (double)sb_sample_linear(&v, at[0], at[1], at[2], OUTSIDE);
    double cubic = (double)sb_sample_cubic(&v, at[0], at[1], at[2], OUTSIDE);
    assert_near(linear, reference(&v, at, hat), 1e-4);
    assert_near(cubic, reference(&v, at, keys), 2e-4);
    outside += linear == (double)OUTSIDE;
  }
  assert_true(outside > 2000 && outside < 18000);
  sb_volume_free(&v);
}

static void test_voxel_centres_and_bounds(void **state) {
  (void)state;
  sb_volume v = make_noise(5, 4, 6, 3);
  for (int64_t k = 0; k < 6; k++)
    for (int64_t j = 0; j < 4; j++)
      for (int64_t i = 0; i < 5; i++) {
        double x = (double)i, y = (double)j, z = (double)k;
        assert_true((double)sb_sample_linear(&v, x, y, z, OUTSIDE) == voxel(&v, i, j, k));
        assert_true((double)sb_sample_cubic(&v, x, y, z, OUTSIDE) == voxel(&v, i, j, k));
      }
  assert_true((double)sb_sample_linear(&v, -0.5, 3.5, 5.5, OUTSIDE) == voxel(&v, 0, 3, 5));
  const double beyond[] = {-0.5000001, 5.5000001, -1e300, 1e300, NAN, INFINITY, -INFINITY};
  for (size_t b = 0; b < sizeof beyond / sizeof *beyond; b++)
    for (int axis = 0; axis < 3; axis++) {
      double at[3] = {1, 1, 1};
      at[axis] = beyond[b];
      assert_true(sb_sample_linear(&v, at[0], at[1], at[2], OUTSIDE) == OUTSIDE);
      assert_true(sb_sample_cubic(&v, at[0], at[1], at[2], OUTSIDE) == OUTSIDE);
    }
  sb_volume_free(&v);
}

// Linear interpolation keeps linear functions, cubic convolution quadratic ones (away from edges).
static void test_polynomials(void **state) {
  (void)state;
  sb_volume v = make_volume(9, 9, 9);
  for (int64_t i = 0; i < count_of(&v); i++) {
    double x = (double)(i % 9), y = (double)(i / 9 % 9), z = floor((double)i / 81);
    v.voxels[i] = (float)(x * x - 2 * y * z + 3 * z + y * y);
  }
  uint64_t seed = 4;
  for (int n = 0; n < 500; n++) {
    double x = 1 + 6 * uniform(&seed), y = 1 + 6 * uniform(&seed), z = 1 + 6 * uniform(&seed);
    double exact = x * x - 2 * y * z + 3 * z + y * y;
    assert_near((double)sb_sample_cubic(&v, x, y, z, OUTSIDE), exact, 1e-4);
  }
  sb_volume_free(&v);
}

static void test_one_voxel_thick(void **state) {
  (void)state;
  sb_volume v = make_noise(1, 4, 1, 5);
  assert_near((double)sb_sample_linear(&v, 0.3, 1.5, -0.2, OUTSIDE),
              (voxel(&v, 0, 1, 0) + voxel(&v, 0, 2, 0)) / 2, 1e-5);
  const double at[3] = {0.3, 1.4, -0.2};
  assert_near((double)sb_sample_cubic(&v, at[0], at[1], at[2], OUTSIDE), reference(&v, at, keys),
              1e-4);
  sb_volume_free(&v);
}

// ---- Block averages
// -----------------------------------------------------------------------------------

static void test_shrink(void **state) {
  (void)state;
  const int64_t f[3] = {2, 3, 4};
  sb_volume in = make_noise(7, 9, 10, 9), out;
  const double affine[12] = {1, 0.1, 0, 5, -0.2, 2, 0.3, 6, 0, 0.1, 3, 7};
  memcpy(in.affine, affine, sizeof affine);
  assert_int_equal(sb_volume_shrink(&in, f, &out).code, SB_OK);
  assert_int_equal(out.dims[0], 4);
  assert_int_equal(out.dims[1], 3);
  assert_int_equal(out.dims[2], 3);
  for (int64_t n = 0; n < count_of(&out); n++) {
    int64_t at[3] = {n % 4, n / 4 % 3, n / 12}, voxels = 0;
    double sum = 0;
    for (int64_t k = at[2] * 4; k < at[2] * 4 + 4 && k < 10; k++)
      for (int64_t j = at[1] * 3; j < at[1] * 3 + 3 && j < 9; j++)
        for (int64_t i = at[0] * 2; i < at[0] * 2 + 2 && i < 7; i++, voxels++)
          sum += voxel(&in, i, j, k);
    assert_near((double)out.voxels[n], sum / (double)voxels, 1e-4);
  }
  // The centre of the first block: (0.5, 1, 1.5) in old voxels is (0, 0, 0) in new ones.
  double old_point[3] = {0.5 + 2 * 2, 1 + 3 * 1, 1.5 + 4 * 2}, new_point[3] = {2, 1, 2};
  sb_affine_apply(in.affine, old_point, old_point);
  sb_affine_apply(out.affine, new_point, new_point);
  for (int a = 0; a < 3; a++) assert_near(new_point[a], old_point[a], 1e-12);
  sb_volume_free(&out);

  assert_int_equal(sb_volume_shrink(&in, (int64_t[]){1, 1, 1}, &out).code, SB_OK);
  assert_memory_equal(in.voxels, out.voxels, (size_t)count_of(&in) * sizeof(float));
  assert_memory_equal(in.affine, out.affine, sizeof in.affine);
  sb_volume_free(&out);
  assert_int_equal(sb_volume_shrink(&in, (int64_t[]){50, 50, 50}, &out).code, SB_OK);
  assert_int_equal(count_of(&out), 1);
  sb_volume_free(&out);
  assert_int_equal(sb_volume_shrink(&in, (int64_t[]){1, 0, 1}, &out).code, SB_USAGE);
  assert_null(out.voxels);
  sb_volume_free(&in);
}

// ---- Smoothing
// ----------------------------------------------------------------------------------------

// The weight of a neighbour at distance d, as smooth.h defines it.
static double gauss(int64_t d, double sigma) {
  if (!(sigma > 0)) return d == 0;
  int64_t radius = (int64_t)ceil(3.5 * sigma);
  if (d < -radius || d > radius) return 0;
  double sum = 0;
  for (int64_t i = -radius; i <= radius; i++) sum += exp(-(double)(i * i) / (2 * sigma * sigma));
  return exp(-(double)(d * d) / (2 * sigma * sigma)) / sum;
}

static void check_gaussian(int64_t nx, int64_t ny, int64_t nz, const double sigma[3]) {
  sb_volume in = make_noise(nx, ny, nz, 10), out = make_noise(nx, ny, nz, 10);
  assert_int_equal(sb_volume_gaussian(&out, sigma).code, SB_OK);
  for (int64_t z = 0; z < nz; z += 3)
    for (int64_t y = 0; y < ny; y += 2)
      for (int64_t x = 0; x < nx; x++) {
        double sum = 0;
        for (int64_t k = 0; k < nz; k++)
          for (int64_t j = 0; j < ny; j++)
            for (int64_t i = 0; i < nx; i++)
              sum += gauss(i - x, sigma[0]) * gauss(j - y, sigma[1]) * gauss(k - z, sigma[2]) *
                     voxel(&in, i, j, k);
        assert_near(voxel(&out, x, y, z), sum, 1e-4);
      }
  sb_volume_free(&in);
  sb_volume_free(&out);
}

static void test_gaussian(void **state) {
  (void)state;
  check_gaussian(13, 9, 8, (double[]){1.2, 0.7, 0.9});
  check_gaussian(5, 12, 3, (double[]){4, 0, 1}); // wider than the image; one axis left alone
  check_gaussian(6, 5, 11, (double[]){-1, 1, 0});
  check_gaussian(1, 1, 17, (double[]){2, 2, 2});
  check_gaussian(7, 6, 5, (double[]){0.01, 0.01, 0.01});
}

static void test_gaussian_keeps_what_it_must(void **state) {
  (void)state;
  sb_volume v = make_volume(31, 31, 31);
  v.voxels[15 + 31 * (15 + 31 * 15)] = 1000;
  assert_int_equal(sb_gaussian(v.voxels, v.dims, (double[]){2, 2, 2}).code, SB_OK);
  double sum = 0, spread = 0;
  for (int64_t i = 0; i < count_of(&v); i++) {
    double x = (double)(i % 31) - 15;
    sum += (double)v.voxels[i];
    spread += (double)v.voxels[i] * x * x;
    assert_true(v.voxels[i] == v.voxels[count_of(&v) - 1 - i]); // symmetric, to the bit
  }
  assert_near(sum, 1000, 1e-2);
  assert_near(sqrt(spread / sum), 2, 0.02);
  sb_volume_free(&v);
}

static void test_gaussian_errors(void **state) {
  (void)state;
  sb_volume v = make_noise(4, 4, 4, 11), same = make_noise(4, 4, 4, 11);
  const double bad[] = {NAN, INFINITY, 1e6};
  for (int b = 0; b < 3; b++) {
    assert_int_equal(sb_volume_gaussian(&v, (double[]){1, 1, bad[b]}).code, SB_USAGE);
    assert_memory_equal(v.voxels, same.voxels, 64 * sizeof(float));
  }
  sb_volume_free(&v);
  sb_volume_free(&same);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_points),
      cmocka_unit_test(test_voxel_centres_and_bounds),
      cmocka_unit_test(test_polynomials),
      cmocka_unit_test(test_one_voxel_thick),
      cmocka_unit_test(test_shrink),
      cmocka_unit_test(test_gaussian),
      cmocka_unit_test(test_gaussian_keeps_what_it_must),
      cmocka_unit_test(test_gaussian_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
