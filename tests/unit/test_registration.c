// How near the alignment comes to known transforms: the template itself moved and spoiled, real
// scans moved, and one scan in every storage order.
#include <unistd.h>

#include "core/file.h"

#include "colin.h"
#include "registration_cases.h"
#include "scratch.h"

#define DATA SAMEBRAIN_SOURCE_DIR "/../shared/data/"

// What came of several cases. They run in parallel, and cmocka may only be called from one thread: a
// failure is kept for check_errors.
typedef struct errors {
  double sum_mm, worst_mm;
  int count;
  sb_status failure;
} errors;

// Moves an image by a random transform, prepares it, and compares the map found with the known one.
//   at_rest  the map of the image as it is; NULL for the template itself, which is also spoiled with a
//            bias field of 25 % and noise
static void one_case(const fixture *f, const sb_volume *image, const double *at_rest,
                     const double centre[3], uint64_t seed, errors *e) {
  double a[16], expected[16];
  sb_volume moved;
  sb_prepared prepared = {0};
  random_affine(&seed, centre, a);
  sb_status status = moved_scan(image, a, &moved);
  if (status.code == SB_OK) {
    if (at_rest == NULL) spoil(&seed, 0.25, 0.04, &moved);
    status = sb_prepare_volume(f->preparer, &moved, &prepared);
  }
  memcpy(expected, a, sizeof a);
  if (at_rest != NULL) sb_affine_multiply(a, at_rest, expected);
  double mean_mm = compare_maps(f->t, expected, prepared.template_to_scan).mean_mm;
#pragma omp critical
  {
    e->sum_mm += mean_mm;
    e->worst_mm = fmax(e->worst_mm, mean_mm);
    e->count++;
    if (status.code != SB_OK) e->failure = status;
  }
  sb_prepared_free(&prepared);
  sb_volume_free(&moved);
}

static void check_errors(const char *what, const errors *e, double most_mean_mm) {
  must(e->failure);
  printf("%s: mean error %.3f mm, worst %.3f mm, %d cases\n", what, e->sum_mm / e->count,
         e->worst_mm, e->count);
  assert_true(e->sum_mm / e->count <= most_mean_mm);
  assert_true(e->worst_mm <= 0.5);
}

// Colin27 moved by 20 known transforms, with a bias field of 25 % and noise.
static void template_moved(void **state) {
  fixture *f = *state;
  NEED_TEMPLATE(f);
  sb_volume brain;
  must(sb_volume_load(sb_template_path(f->t), &brain, NULL));
  const double centre[3] = {0, -20, 10};
  errors e = {0};
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < 20; i++) one_case(f, &brain, NULL, centre, 2000 + (uint64_t)i, &e);
  check_errors("template moved", &e, 0.2);
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
  NEED_TEMPLATE(f);
  errors e = {0};
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
    double centre[3] = {0, -20, 10};
    sb_affine_apply(at_rest.template_to_scan, centre, centre);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < 10; i++)
      one_case(f, &scan, at_rest.template_to_scan, centre, (uint64_t)(6000 + i) + 100 * s, &e);
    sb_prepared_free(&at_rest);
    sb_volume_free(&scan);
  }
  check_errors("real scans moved", &e, 0.3);
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
  NEED_TEMPLATE(f);
  const char *path = DATA "ds002748/sub-03/ses-01/anat/sub-03_ses-01_T1w.nii.gz";
  if (!sb_is_file(path)) path = sb_template_path(f->t);
  char *folder = scratch_folder();
  assert_non_null(folder);
  char *file = sb_path_join(folder, "scan.nii");
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
  assert_int_equal(remove_folder(folder), 0);
  free(folder);
  free(file);
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
