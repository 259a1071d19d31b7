// Which images have one noise: voxel by voxel, and sampled anew at other voxels.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../bench/alterations.h"
#include "core/geometry.h"
#include "core/random.h"
#include "evaluate/noise.h"
#include "evaluate/resampled.h"
#include "image/smooth.h"

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}
enum { SIDE = 40, VOXELS = SIDE * SIDE * SIDE };

// A ball with some shape in it, and noise of its own.
static void make_scan(uint64_t noise_key, float noise, sb_volume *v) {
  *v = (sb_volume){.dims = {SIDE, SIDE, SIDE}};
  sb_affine_identity(v->affine);
  for (int a = 0; a < 3; a++) v->affine[4 * a + 3] = -0.5 * SIDE;
  assert_ok(SB_NEW(&v->voxels, VOXELS, "image"));
  for (int64_t i = 0; i < VOXELS; i++) {
    const int64_t row = i / SIDE, slice = row / SIDE;
    double x = (double)(i % SIDE) / SIDE, y = (double)(row % SIDE) / SIDE, z = (double)slice / SIDE;
    float pair[2];
    sb_random_normals(noise_key, (uint64_t)i, pair);
    v->voxels[i] = (float)(3 + x + sin(5 * y) + cos(4 * z + x)) + noise * pair[0];
  }
}

// Of the brain all is looked at. `b_to_template`: as alignment finds it, a being the template.
static double agreement(const sb_volume *a, const sb_volume *b, const double b_to_template[16],
                        bool resampled) {
  static uint8_t brain[VOXELS];
  const sb_grid grid = {
      .dims = {SIDE, SIDE, SIDE}, .voxel_mm = 1, .mask = brain, .row_length = VOXELS};
  const sb_common_brain common = {&grid, a->affine, brain};
  sb_placed placed[2] = {{.volume = a}, {.volume = b}};
  double correlation;
  memset(brain, 1, sizeof brain);
  sb_affine_identity(placed[0].template_to_scan);
  assert_true(sb_affine_invert(b_to_template, placed[1].template_to_scan));
  assert_ok(resampled ? sb_resampled_agreement(&placed[0], &placed[1], &common, &correlation)
                      : sb_noise_agreement(&placed[0], &placed[1], &common, 1, &correlation));
  return correlation;
}

static void test_noise(void **state) {
  (void)state;
  static const int axis[3] = {2, 0, 1};
  static const bool flip[3] = {false, true, true};
  double still[16], shifted[16], turned_by[16], wider[16];
  sb_volume scan, rescan, turned, changed;
  make_scan(1, 0.1f, &scan);
  make_scan(2, 0.1f, &rescan);
  sb_affine_identity(still);
  assert_true(agreement(&scan, &scan, still, false) > 0.999999);
  assert_true(fabs(agreement(&scan, &rescan, still, false)) < 0.2);
  // Alignment that is off by most of a voxel does no harm.
  memcpy(shifted, still, sizeof still);
  shifted[3] = 0.8;
  shifted[11] = -0.7;
  assert_true(agreement(&scan, &scan, shifted, false) > 0.999999);
  // Stored otherwise, and the header tells; or the header lies, and alignment found it out.
  assert_ok(turned_volume(&scan, axis, flip, &turned));
  assert_true(agreement(&scan, &turned, still, false) > 0.999999);
  double header[16], back[16];
  memcpy(header, turned.affine, sizeof header);
  sb_affine_identity(turned.affine);
  assert_true(sb_affine_invert(turned.affine, back));
  sb_affine_multiply(header, back, turned_by);
  assert_true(agreement(&scan, &turned, turned_by, false) > 0.999999);
  // Another contrast, and noise of its own on top.
  assert_ok(copy_volume(&scan, &changed));
  for (int64_t i = 0; i < VOXELS; i++)
    changed.voxels[i] = powf(changed.voxels[i], 0.8f) + 0.1f * (rescan.voxels[i] - scan.voxels[i]);
  double agrees = agreement(&scan, &changed, still, false);
  assert_true(agrees > 0.8 && agrees < 0.999);
  // Voxels of another size cannot be compared.
  memcpy(wider, still, sizeof still);
  wider[0] = 1.2;
  assert_true(isnan(agreement(&scan, &scan, wider, false)));
  // Nor can large ones, even with themselves.
  scan.affine[0] = 2;
  assert_true(isnan(agreement(&scan, &scan, still, false)));
  sb_volume_free(&scan);
  sb_volume_free(&rescan);
  sb_volume_free(&turned);
  sb_volume_free(&changed);
}

static void test_resampled(void **state) {
  (void)state;
  double still[16], off[16];
  sb_volume scan, rescan, copy;
  make_scan(1, 0.1f, &scan);
  make_scan(2, 0.1f, &rescan);
  sb_affine_identity(still);
  // An alignment that errs as the project's does: by some tenths of a voxel, and a degree.
  memcpy(off, still, sizeof off);
  off[1] = 0.02;
  off[4] = -0.02;
  off[3] = 0.3;
  off[7] = -0.2;
  for (int kind = 0; kind < 6; kind++) {
    static const double mm[] = {1, 0.8, 1.2, 1, 1.4, 1}, degrees[] = {6, 0, 4, 20, 3, 0};
    assert_ok(copy_volume(&scan, &copy));
    assert_ok(alter_voxels(mm[kind], degrees[kind], kind == 3, (uint64_t)kind, &copy));
    assert_true(agreement(&scan, &copy, off, true) > 0.93);
    assert_true(agreement(&copy, &scan, off, true) > 0.93); // whichever is the copy
    sb_volume_free(&copy);
    assert_ok(copy_volume(&rescan, &copy));
    assert_ok(alter_voxels(mm[kind], degrees[kind], kind == 3, (uint64_t)kind, &copy));
    assert_true(fabs(agreement(&scan, &copy, off, true)) < 0.6);
    sb_volume_free(&copy);
  }
  // What has no noise left tells nothing.
  const double sigma[3] = {1.2, 1.2, 1.2};
  assert_ok(sb_gaussian(scan.voxels, scan.dims, sigma));
  assert_ok(sb_gaussian(rescan.voxels, rescan.dims, sigma));
  assert_true(isnan(agreement(&scan, &rescan, still, true)));
  assert_true(isnan(agreement(&scan, &scan, still, true)));
  scan.affine[0] = 2; // nor do large voxels
  assert_true(isnan(agreement(&scan, &scan, still, true)));
  sb_volume_free(&scan);
  sb_volume_free(&rescan);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_noise),
      cmocka_unit_test(test_resampled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
