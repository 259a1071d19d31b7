// Scans that were aligned to the template elsewhere: taken where they lie, on any grid, with the row
// that alignment would give; refused when they are not where they are said to be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "registration_cases.h"
#include "scratch.h"

static char *folder;
static sb_template *brain;          // NULL: no template here
static sb_preparer *native, *given; // given: for scans in the template's space
static sb_volume spoilt;            // the template's brain with a bias field and noise

static void must(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

static int setup(void **state) {
  (void)state;
  folder = scratch_folder();
  if (folder == NULL) return -1;
  sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  uint64_t seed = 5;
  sb_status status = sb_template_load(&options, &brain);
  if (status.code == SB_NOT_FOUND) return 0;
  must(status);
  must(sb_preparer_create(brain, &prepare, &native));
  prepare.space = SB_SPACE_TEMPLATE;
  must(sb_preparer_create(brain, &prepare, &given));
  must(sb_volume_load(sb_template_path(brain), &spoilt, NULL));
  spoil(&seed, 0.25, 0.04, &spoilt);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  sb_volume_free(&spoilt);
  sb_preparer_free(native);
  sb_preparer_free(given);
  sb_template_free(brain);
  const int result = remove_folder(folder);
  free(folder);
  return result;
}

static double correlation(const float *x, const float *y, int64_t n) {
  double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, count = (double)n;
  for (int64_t i = 0; i < n; i++) {
    const double a = (double)x[i], b = (double)y[i];
    sx += a;
    sy += b;
    sxx += a * a;
    syy += b * b;
    sxy += a * b;
  }
  return (sxy - sx * sy / count) / sqrt((sxx - sx * sx / count) * (syy - sy * sy / count));
}

// A grid as another program writes it: `first` is the position of voxel (0,0,0); a negative step
// along x is LAS storage. `blocks`: voxels are the mean of so many along each axis.
typedef struct grid {
  const char *name;
  int64_t dims[3], blocks;
  double step[3], first[3];
} grid;

static const grid GRIDS[] = {
    {"FSL 1 mm, LAS", {182, 218, 182}, 1, {-1, 1, 1}, {90, -126, -72}},
    {"FSL 2 mm, LAS", {91, 109, 91}, 2, {-2, 2, 2}, {90, -126, -72}},
    {"2009c 1 mm, RAS", {193, 229, 193}, 1, {1, 1, 1}, {-96, -132, -78}},
    {"1.5 mm, cut close", {113, 137, 113}, 2, {1.5, 1.5, 1.5}, {-84, -120, -72}},
};

// `in`, at rest, on another grid; free the volume.
static sb_volume on_grid(const sb_volume *in, const grid *g) {
  const int64_t factors[3] = {g->blocks, g->blocks, g->blocks};
  sb_volume fine = {0}, out;
  double to_voxels[16];
  sb_affine_identity(fine.affine);
  for (int i = 0; i < 3; i++) { // block centres lie where the grid's voxels do
    const double part = g->step[i] / (double)g->blocks;
    fine.dims[i] = g->dims[i] * g->blocks;
    fine.affine[5 * i] = part;
    fine.affine[4 * i + 3] = g->first[i] - 0.5 * (double)(g->blocks - 1) * part;
  }
  must(SB_NEW(&fine.voxels, fine.dims[0] * fine.dims[1] * fine.dims[2], "image"));
  assert_true(sb_affine_invert(in->affine, to_voxels));
  sb_affine_multiply(to_voxels, fine.affine, to_voxels);
  resample(in, to_voxels, sb_sample_linear, &fine);
  must(sb_volume_shrink(&fine, factors, &out));
  sb_volume_free(&fine);
  return out;
}

static sb_prepared prepared(const sb_preparer *preparer, const sb_volume *scan) {
  char path[96];
  sb_prepared out;
  snprintf(path, sizeof path, "%s/scan.nii", folder);
  must(sb_volume_save(scan, path));
  must(sb_prepare_file(preparer, path, &out));
  return out;
}

static void any_grid(void **state) {
  (void)state;
  if (brain == NULL) skip();
  for (size_t i = 0; i < sizeof GRIDS / sizeof *GRIDS; i++) {
    sb_volume scan = on_grid(&spoilt, &GRIDS[i]);
    sb_prepared here = prepared(given, &scan), aligned = prepared(native, &scan);
    const double r = correlation(aligned.row, here.row, sb_template_row_length(brain));
    printf("%-24s r %.4f, off by %.2f mm, fit %.3f\n", GRIDS[i].name, r, here.quality.off_mm,
           here.quality.fit);
    assert_true(r > 0.99);
    assert_true(here.quality.off_mm < 0.5);
    assert_true(here.quality.starts == 0 && isnan(here.quality.lead));
    assert_true(here.quality.scale == 1 && here.quality.translation_mm == 0);
    assert_true(isnan(aligned.quality.off_mm));
    sb_prepared_free(&aligned);
    sb_prepared_free(&here);
    sb_volume_free(&scan);
  }
}

// A move and what is to become of it.
typedef struct move {
  const char *name;
  double shift_mm[3], degrees,
      scale;     // turned about x, scaled, shifted, all about the brain's middle
  double off_mm; // what is to be found; above 8: to be refused
} move;

static const move MOVES[] = {
    {"at rest", {0}, 0, 1, 0},          {"3 mm to the right", {3, 0, 0}, 0, 1, 3},
    {"3 % larger", {0}, 0, 1.03, 2.1},  {"nods by 4 degrees", {0}, 4, 1, 4},
    {"12 mm up", {0, 0, 12}, 0, 1, 12}, {"10 mm to the left, 5 back", {-10, -5, 0}, 0, 1, 11},
    {"15 % larger", {0}, 0, 1.15, 9.0}, {"nods by 20 degrees", {0}, 20, 1, 20},
};

static void where_it_lies(void **state) {
  (void)state;
  if (brain == NULL) skip();
  for (size_t i = 0; i < sizeof MOVES / sizeof *MOVES; i++) {
    const move *m = &MOVES[i];
    const double middle[3] = {0, -20, 8}, angle = m->degrees * 0.017453292519943295;
    double a[16], turned[3];
    sb_volume scan;
    sb_prepared out;
    sb_affine_identity(a);
    a[0] = m->scale;
    a[5] = a[10] = m->scale * cos(angle);
    a[6] = -m->scale * sin(angle);
    a[9] = m->scale * sin(angle);
    sb_affine_apply(a, middle, turned);
    for (int k = 0; k < 3; k++) a[4 * k + 3] = middle[k] - turned[k] + m->shift_mm[k];
    must(moved_scan(&spoilt, a, &scan));
    sb_status status = sb_prepare_volume(given, &scan, &out);
    sb_volume_free(&scan);
    if (m->off_mm > 8) {
      printf("%-26s %s\n", m->name, status.message);
      assert_int_equal(status.code, SB_ALIGN);
      assert_non_null(strstr(status.message, "would move it by"));
      assert_null(out.row);
      continue;
    }
    must(status);
    printf("%-26s off by %.2f mm\n", m->name, out.quality.off_mm);
    assert_true(fabs(out.quality.off_mm - m->off_mm) < 1);
    sb_prepared_free(&out);
  }
}

// An outline that fits is not enough. False when the kind cannot be made here.
static bool make_other(int kind, sb_volume *out) {
  uint64_t seed = 9;
  const int64_t n = spoilt.dims[0] * spoilt.dims[1] * spoilt.dims[2];
  if (kind == 0) { // noise in the template's outline
    *out = (sb_volume){0};
    memcpy(out->dims, sb_template_grid_dims(brain), sizeof out->dims);
    memcpy(out->affine, sb_template_grid_affine(brain), sizeof out->affine);
    const int64_t voxels = out->dims[0] * out->dims[1] * out->dims[2];
    must(SB_NEW(&out->voxels, voxels, "image"));
    for (int64_t i = 0; i < voxels; i++)
      out->voxels[i] = sb_template_mask(brain)[i] != 0 ? (float)uniform(&seed, 20, 200) : 0;
    return true;
  }
  if (kind == 1) { // back to front and upside down
    *out = spoilt;
    must(SB_NEW(&out->voxels, n, "image"));
    for (int64_t i = 0; i < n; i++) out->voxels[i] = spoilt.voxels[n - 1 - i];
    return true;
  }
  char *home = sb_path_folder(sb_template_path(brain));
  char *head = sb_path_join(home, "ch2.nii.gz"); // the template's own head, exactly in place
  const bool there = access(head, R_OK) == 0;
  if (there) must(sb_volume_load(head, out, NULL));
  free(home);
  free(head);
  return there;
}

static void what_is_no_brain_there(void **state) {
  (void)state;
  static const char *const names[] = {"noise", "turned around", "a whole head"};
  if (brain == NULL) skip();
  for (int kind = 0; kind < 3; kind++) {
    sb_volume scan;
    sb_prepared out;
    if (!make_other(kind, &scan)) continue;
    sb_status status = sb_prepare_volume(given, &scan, &out);
    printf("%-14s %s: %s\n", names[kind], sb_code_name(status.code), status.message);
    assert_true(status.code == SB_ALIGN || status.code == SB_UNSUPPORTED);
    assert_null(out.row);
    sb_volume_free(&scan);
  }
}

// A real scan, put where alignment says, gives the row that alignment gives.
static void real_scans(void **state) {
  (void)state;
  static const char *const scans[] = {
      "oasis/sub-OAS10101/ses-01/anat/sub-OAS10101_ses-01_T1w.nii.gz",
      "oasis/sub-OAS10236/ses-01/anat/sub-OAS10236_ses-01_T1w.nii.gz",
      "ds002748/sub-04/ses-01/anat/sub-04_ses-01_T1w.nii.gz",
  };
  if (brain == NULL) skip();
  for (size_t i = 0; i < sizeof scans / sizeof *scans; i++) {
    char path[512];
    sb_volume scan, moved;
    sb_prepared aligned;
    double to_template[16];
    snprintf(path, sizeof path, "%s/../shared/data/%s", SAMEBRAIN_SOURCE_DIR, scans[i]);
    if (access(path, R_OK) != 0) {
      printf("no real scans in ../shared/data\n");
      skip();
    }
    must(sb_volume_load(path, &scan, NULL));
    must(sb_prepare_volume(native, &scan, &aligned));
    assert_true(sb_affine_invert(aligned.template_to_scan, to_template));
    must(moved_scan(&scan, to_template, &moved));
    sb_prepared here;
    must(sb_prepare_volume(given, &moved, &here));
    const double r = correlation(aligned.row, here.row, sb_template_row_length(brain));
    printf("%s: r %.4f, off by %.2f mm\n", scans[i], r, here.quality.off_mm);
    assert_true(r > 0.99);
    assert_true(here.quality.off_mm < 1);
    sb_prepared_free(&aligned);
    sb_prepared_free(&here);
    sb_volume_free(&scan);
    sb_volume_free(&moved);
  }
}

// The line of parameters tells the two apart: an affine of another tool or a warp is another row.
static void rows_are_kept_apart(void **state) {
  (void)state;
  if (brain == NULL) skip();
  assert_non_null(strstr(sb_preparer_parameters(given), " align=given "));
  assert_null(strstr(sb_preparer_parameters(given), "dof="));
  assert_null(strstr(sb_preparer_parameters(native), "align=given"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_grid),
      cmocka_unit_test(where_it_lies),
      cmocka_unit_test(what_is_no_brain_there),
      cmocka_unit_test(real_scans),
      cmocka_unit_test(rows_are_kept_apart),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
