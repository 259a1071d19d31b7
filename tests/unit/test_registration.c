// How near the alignment comes to known transforms: the template itself moved and spoiled, real
// scans moved, and one scan in every storage order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"

#include "registration_cases.h"

#define DATA SAMEBRAIN_SOURCE_DIR "/../shared/data/"

static void must(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s", status.message);
}

typedef struct fixture {
  sb_template *t;
  sb_preparer *preparer;
} fixture;

static int setup(void **state) {
  static fixture f;
  sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  *state = &f;
  sb_status status = sb_template_load(&options, &f.t);
  if (status.code == SB_NOT_FOUND) { // no Colin27 here: each test skips
    printf("no template: %s\n", status.message);
    return 0;
  }
  return status.code == SB_OK && sb_preparer_create(f.t, &prepare, &f.preparer).code == SB_OK ? 0
                                                                                              : -1;
}

static int teardown(void **state) {
  fixture *f = *state;
  sb_preparer_free(f->preparer);
  sb_template_free(f->t);
  return 0;
}

// Colin27 moved by 20 known transforms, with a bias field of 25 % and noise.
static void template_moved(void **state) {
  fixture *f = *state;
  if (f->t == NULL) skip();
  sb_volume brain;
  must(sb_volume_load(sb_template_path(f->t), &brain, NULL));
  const double centre[3] = {0, -20, 10};
  uint64_t seed = 20;
  double sum = 0, worst = 0;
  for (int i = 0; i < 20; i++) {
    double a[16];
    sb_volume moved;
    sb_prepared prepared;
    random_affine(&seed, centre, a);
    must(moved_scan(&brain, a, &moved));
    spoil(&seed, 0.25, 0.04, &moved);
    must(sb_prepare_volume(f->preparer, &moved, &prepared));
    registration_error error = compare_maps(f->t, a, prepared.template_to_scan);
    sum += error.mean_mm;
    worst = fmax(worst, error.mean_mm);
    sb_prepared_free(&prepared);
    sb_volume_free(&moved);
  }
  printf("template moved: mean error %.3f mm, worst %.3f mm\n", sum / 20, worst);
  assert_true(sum / 20 <= 0.2);
  assert_true(worst <= 0.5);
  sb_volume_free(&brain);
}

// Six real scans T, ten transforms A each: align(A T) against A after align(T).
static void real_scans_moved(void **state) {
  static const char *const scans[] = {
      "oasis/sub-OAS10040/ses-01/anat/sub-OAS10040_ses-01_T1w.nii.gz",
      "oasis/sub-OAS10101/ses-01/anat/sub-OAS10101_ses-01_T1w.nii.gz",
      "oasis/sub-OAS10220/ses-01/anat/sub-OAS10220_ses-01_T1w.nii.gz",
      "ds002748/sub-01/ses-01/anat/sub-01_ses-01_T1w.nii.gz",
      "ds002748/sub-06/ses-01/anat/sub-06_ses-01_T1w.nii.gz",
      "ds002748/sub-10/ses-01/anat/sub-10_ses-01_T1w.nii.gz",
  };
  fixture *f = *state;
  if (f->t == NULL) skip();
  uint64_t seed = 60;
  double sum = 0, worst = 0;
  int count = 0;
  for (size_t s = 0; s < sizeof scans / sizeof *scans; s++) {
    char path[1024];
    sb_volume scan;
    sb_prepared at_rest;
    snprintf(path, sizeof path, "%s%s", DATA, scans[s]);
    sb_status status = sb_volume_load(path, &scan, NULL);
    if (status.code == SB_NOT_FOUND) {
      printf("skipped: no real scans at %s\n", DATA);
      skip();
    }
    must(status);
    must(sb_prepare_volume(f->preparer, &scan, &at_rest));
    for (int i = 0; i < 10; i++) {
      double a[16], expected[16], centre[3] = {0, -20, 10};
      sb_volume moved;
      sb_prepared prepared;
      sb_affine_apply(at_rest.template_to_scan, centre, centre);
      random_affine(&seed, centre, a);
      must(moved_scan(&scan, a, &moved));
      must(sb_prepare_volume(f->preparer, &moved, &prepared));
      sb_affine_multiply(a, at_rest.template_to_scan, expected);
      registration_error error = compare_maps(f->t, expected, prepared.template_to_scan);
      sum += error.mean_mm;
      worst = fmax(worst, error.mean_mm);
      count++;
      sb_prepared_free(&prepared);
      sb_volume_free(&moved);
    }
    sb_prepared_free(&at_rest);
    sb_volume_free(&scan);
  }
  printf("real scans moved: mean error %.3f mm, worst %.3f mm, %d cases\n", sum / count, worst,
         count);
  assert_true(sum / count <= 0.3);
  assert_true(worst <= 0.5);
}

// The volume stored in another order: axis i of the new grid runs along axis order[i] of the old
// one, backwards where bit i of `flips` is set. The affine says so.
static void reordered(const sb_volume *in, const int order[3], int flips, sb_volume *out) {
  double to_old[16] = {0};
  to_old[15] = 1;
  for (int i = 0; i < 3; i++) {
    bool back = (flips >> i & 1) != 0;
    out->dims[i] = in->dims[order[i]];
    to_old[4 * order[i] + i] = back ? -1 : 1;
    to_old[4 * order[i] + 3] = back ? (double)(out->dims[i] - 1) : 0;
  }
  sb_affine_multiply(in->affine, to_old, out->affine);
  must(SB_NEW(&out->voxels, out->dims[0] * out->dims[1] * out->dims[2], "reordered scan"));
  float *to = out->voxels;
  for (int64_t z = 0; z < out->dims[2]; z++)
    for (int64_t y = 0; y < out->dims[1]; y++)
      for (int64_t x = 0; x < out->dims[0]; x++) {
        double p[3] = {(double)x, (double)y, (double)z};
        sb_affine_apply(to_old, p, p);
        *to++ =
            in->voxels[llround(p[0]) + in->dims[0] * (llround(p[1]) + in->dims[1] * llround(p[2]))];
      }
}

static double correlation(int64_t n, const float *a, const float *b) {
  double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0, count = (double)n;
  for (int64_t i = 0; i < n; i++) {
    double x = (double)a[i], y = (double)b[i];
    sa += x;
    sb += y;
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  return (ab - sa * sb / count) / sqrt((aa - sa * sa / count) * (bb - sb * sb / count));
}

// One scan in all 48 axis orders and flips, the header telling the truth, gives the same row.
static void storage_orders(void **state) {
  static const int orders[6][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1},
                                   {0, 2, 1}, {2, 1, 0}, {1, 0, 2}};
  fixture *f = *state;
  if (f->t == NULL) skip();
  const char *path = DATA "ds002748/sub-03/ses-01/anat/sub-03_ses-01_T1w.nii.gz";
  if (!sb_is_file(path)) path = sb_template_path(f->t);
  char folder[] = "/tmp/samebrain-orders-XXXXXX", file[64];
  assert_non_null(mkdtemp(folder));
  snprintf(file, sizeof file, "%s/scan.nii", folder);
  sb_volume scan;
  sb_prepared first;
  must(sb_volume_load(path, &scan, NULL));
  must(sb_prepare_volume(f->preparer, &scan, &first));
  double least = 1;
  for (int which = 0; which < 48; which++) {
    sb_volume stored;
    sb_prepared prepared;
    reordered(&scan, orders[which / 8], which % 8, &stored);
    must(sb_volume_save(&stored, file));
    must(sb_prepare_file(f->preparer, file, &prepared));
    least = fmin(least, correlation(sb_template_row_length(f->t), first.row, prepared.row));
    sb_prepared_free(&prepared);
    sb_volume_free(&stored);
  }
  printf("48 storage orders: least correlation of rows %.9f\n", least);
  assert_true(least > 0.9999);
  unlink(file);
  rmdir(folder);
  sb_prepared_free(&first);
  sb_volume_free(&scan);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(template_moved),
      cmocka_unit_test(storage_orders),
      cmocka_unit_test(real_scans_moved),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
