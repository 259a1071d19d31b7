// Rigid alignment (6 degrees of freedom): rotation and shift as they are, the brain at its own size.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "registration_cases.h"

static void must(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

// A brain of four fifths the template's size, turned: its map is the turn, not the size.
static void smaller_brain(void **state) {
  (void)state;
  const sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  sb_template *t;
  sb_status status = sb_template_load(&options, &t);
  if (status.code == SB_NOT_FOUND) skip();
  must(status);
  prepare.dof = 6;
  sb_preparer *preparer;
  sb_volume image, scan;
  uint64_t seed = 11;
  must(sb_preparer_create(t, &prepare, &preparer));
  must(sb_volume_load(sb_template_path(t), &image, NULL));
  for (int i = 0; i < 3; i++) {
    const double angle = (8 + 12 * i) * 0.017453292519943295, size = 0.8;
    double turn[16], small[16];
    sb_affine_identity(turn);
    turn[0] = turn[5] = cos(angle);
    turn[1] = -sin(angle);
    turn[4] = sin(angle);
    sb_affine_identity(small);
    for (int k = 0; k < 3; k++) small[5 * k] = size;
    sb_affine_multiply(turn, small, small);
    small[3] = 15;
    must(moved_scan(&image, small, &scan));
    spoil(&seed, 0.2, 0.03, &scan);
    sb_prepared out;
    must(sb_prepare_volume(preparer, &scan, &out));
    double worst = 0;
    for (int r = 0; r < 3; r++)
      for (int c = 0; c < 3; c++)
        worst = fmax(worst, fabs(out.template_to_scan[4 * r + c] - turn[4 * r + c]));
    printf("%2.0f degrees: off by %.4f, overlap with the template %.2f\n", 8.0 + 12 * i, worst,
           out.quality.mask_overlap);
    assert_true(worst < 0.005);
    assert_true(fabs(out.quality.scale - 1) < 1e-9 && fabs(out.quality.stretch - 1) < 1e-6);
    assert_true(out.quality.mask_overlap < 0.75); // four fifths cubed are half
    assert_true(out.quality.structure > 0.25);
    sb_prepared_free(&out);
    sb_volume_free(&scan);
  }
  sb_volume_free(&image);
  sb_preparer_free(preparer);
  sb_template_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(smaller_brain)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
