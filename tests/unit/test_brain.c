// Finding the brain: whatever the background and the scale of the values are, the row is the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "registration_cases.h"
#include "samebrain/measure.h"

typedef struct fixture {
  sb_template *t;
  sb_preparer *preparer;
  sb_volume scan;
  sb_prepared plain;
  double mean, deviation; // of the brain
} fixture;

static void must(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s", status.message);
}

static int64_t voxels_of(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

// The template's own image, moved: no scan is needed.
static int setup(void **state) {
  static fixture f;
  sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  *state = &f;
  sb_status status = sb_template_load(&options, &f.t);
  if (status.code == SB_NOT_FOUND) return 0; // each test skips
  sb_volume brain;
  double a[16], sum = 0, squares = 0, count = 0;
  const double centre[3] = {0, -20, 10};
  uint64_t seed = 5;
  random_affine(&seed, centre, a);
  if (status.code != SB_OK || sb_preparer_create(f.t, &prepare, &f.preparer).code != SB_OK ||
      sb_volume_load(sb_template_path(f.t), &brain, NULL).code != SB_OK ||
      moved_scan(&brain, a, &f.scan).code != SB_OK ||
      sb_prepare_volume(f.preparer, &f.scan, &f.plain).code != SB_OK)
    return -1;
  sb_volume_free(&brain);
  for (int64_t i = 0; i < voxels_of(&f.scan); i++) {
    double v = (double)f.scan.voxels[i];
    if (v <= 0) continue;
    sum += v;
    squares += v * v;
    count++;
  }
  f.mean = sum / count;
  f.deviation = sqrt(squares / count - f.mean * f.mean);
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  sb_prepared_free(&f->plain);
  sb_volume_free(&f->scan);
  sb_preparer_free(f->preparer);
  sb_template_free(f->t);
  return 0;
}

// The scan with its brain's values times `scale` plus `offset`, rounded if asked, on `background`.
static sb_volume altered(const fixture *f, double scale, double offset, bool rounded,
                         double background) {
  sb_volume v = f->scan;
  must(SB_NEW(&v.voxels, voxels_of(&v), "altered scan"));
  for (int64_t i = 0; i < voxels_of(&v); i++) {
    double value = (double)f->scan.voxels[i] * scale + offset;
    if (rounded) value = rint(value);
    v.voxels[i] = (float)(f->scan.voxels[i] > 0 ? value : background);
  }
  return v;
}

static double likeness(const fixture *f, const float *row) {
  double score;
  must(sb_measure_score("bandpass", sb_template_grid_dims(f->t), 2, sb_template_mask(f->t),
                        f->plain.row, row, sb_template_row_length(f->t), &score));
  return score;
}

static void values_and_backgrounds(void **state) {
  fixture *f = *state;
  if (f->t == NULL) skip();
  const double m = f->mean, s = f->deviation;
  const struct {
    const char *name;
    double scale, offset;
    bool rounded;
    double background;
  } cases[] = {
      {"background -1000", 1, 0, false, -1000},
      {"background 7", 1, 20, false, 7},
      {"z-scored, background 0", 1 / s, -m / s, false, 0},
      {"centred integers", 1, -m, true, 0},
      {"few values far above the background", 20 / m, 20, true, -1000},
      {"large offset", 1, 1e5, false, 0},
      {"background as bright as the brain", 1, 0, false, m},
      {"background brighter than the brain", 1, 0, false, 3 * m},
      {"values to 2e6", 2e6 / (4 * m), 0, false, 0},
      {"values to 1", 1 / (4 * m), 0, false, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sb_volume v =
        altered(f, cases[i].scale, cases[i].offset, cases[i].rounded, cases[i].background);
    sb_prepared prepared;
    sb_status status = sb_prepare_volume(f->preparer, &v, &prepared);
    if (status.code != SB_OK) fail_msg("%s: %s", cases[i].name, status.message);
    double score = likeness(f, prepared.row);
    if (score < 0.85) fail_msg("%s: bandpass %.3f to the plain scan", cases[i].name, score);
    sb_prepared_free(&prepared);
    sb_volume_free(&v);
  }
}

// A bit left apart from the brain is dropped; a second brain is not chosen between.
static void other_bodies(void **state) {
  fixture *f = *state;
  if (f->t == NULL) skip();
  const int64_t *d = f->scan.dims;
  for (int second = 0; second < 2; second++) {
    sb_volume v = f->scan;
    sb_prepared prepared;
    v.dims[0] = 2 * d[0];
    must(SB_NEW_ZERO(&v.voxels, voxels_of(&v), "two bodies"));
    for (int64_t row = 0; row < d[1] * d[2]; row++) {
      float *to = v.voxels + row * v.dims[0];
      memcpy(to, f->scan.voxels + row * d[0], (size_t)d[0] * sizeof *to);
      if (second != 0)
        memcpy(to + d[0], to, (size_t)d[0] * sizeof *to);
      else if (row / d[1] < d[2] / 3)
        for (int64_t x = d[0] + 10; x < d[0] + 20; x++) to[x] = (float)f->mean;
    }
    sb_status status = sb_prepare_volume(f->preparer, &v, &prepared);
    if (second != 0) {
      assert_int_equal(status.code, SB_CONTENT);
    } else {
      must(status);
      assert_true(likeness(f, prepared.row) > 0.99);
      sb_prepared_free(&prepared);
    }
    sb_volume_free(&v);
  }
}

// What loading a file sees to, a program may have left undone.
static void volumes_of_no_file(void **state) {
  fixture *f = *state;
  if (f->t == NULL) skip();
  enum { EMPTY, NO_VOXELS, SINGULAR, NOWHERE, NOT_A_NUMBER, CASES };
  static const char *const SAID[] = {"is empty", "is empty", "singular", "not finite",
                                     "not finite"};
  for (int c = 0; c < CASES; c++) {
    sb_volume v = f->scan;
    sb_prepared prepared;
    float *value = f->scan.voxels + voxels_of(&v) / 2, kept = *value;
    memset(&prepared, 0x5a, sizeof prepared);
    if (c == EMPTY) memset(&v, 0, sizeof v);
    if (c == NO_VOXELS) v.dims[1] = 0;
    if (c == SINGULAR) memset(v.affine, 0, 3 * sizeof *v.affine);
    if (c == NOWHERE) v.affine[3] = (double)NAN;
    if (c == NOT_A_NUMBER) *value = NAN;
    const sb_status alone = sb_prepare_volume(f->preparer, &v, &prepared);
    assert_null(prepared.row);
    const sb_status masked = sb_prepare_masked(f->preparer, &v, &f->scan, &prepared);
    *value = kept;
    if (alone.code != SB_USAGE || masked.code != SB_USAGE || strstr(alone.message, SAID[c]) == NULL)
      fail_msg("case %d: %s; with a mask: %s", c, alone.message, masked.message);
    sb_prepared_free(&prepared);
  }
}

// What a person is told of a scan that was taken: figures of a good one, each moved past its bound.
static void doubts(void **state) {
  (void)state;
  static const sb_quality GOOD = {.structure = 0.7, .sharpness = 1, .extraction_edge = 0.2};
  char text[400] = "untouched";
  sb_quality q = GOOD;
  assert_false(sb_quality_doubt(&q, text, sizeof text));
  q.structure = 0.95;
  assert_true(sb_quality_doubt(&q, text, sizeof text));
  assert_non_null(strstr(text, "it is the template"));
  q = GOOD;
  q.sharpness = 0.8;
  assert_true(sb_quality_doubt(&q, text, sizeof text));
  assert_non_null(strstr(text, "blurred (sharpness 0.80)"));
  q = GOOD;
  q.extraction_edge = 0.4;
  assert_false(sb_quality_doubt(&q, text, sizeof text)); // nothing was cut out of it
  q.brain = SB_BRAIN_WAS_EXTRACTED;
  assert_true(sb_quality_doubt(&q, text, sizeof text));
  assert_non_null(strstr(text, "40 % of what is around the cut"));
  char few[8];
  assert_true(sb_quality_doubt(&q, few, sizeof few));
  assert_int_equal(strlen(few), sizeof few - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_and_backgrounds),
      cmocka_unit_test(other_bodies),
      cmocka_unit_test(volumes_of_no_file),
      cmocka_unit_test(doubts),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
