// Templates: loading, refusals, and the average brain made from a cohort.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/lock.h"
#include "registration_cases.h"
#include "samebrain/store.h"
#include "scratch.h"

enum { COPIES = 4 };

static void must(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s", status.message);
}

static char *folder;

static int setup(void **state) {
  (void)state;
  folder = scratch_folder();
  return folder == NULL ? -1 : 0;
}

static int teardown(void **state) {
  (void)state;
  const int result = remove_folder(folder);
  free(folder);
  return result;
}

static sb_template *default_template(void) {
  sb_template *t = NULL;
  sb_status status = sb_template_load(NULL, &t);
  if (status.code == SB_NOT_FOUND) skip();
  must(status);
  return t;
}

static void rows_follow_the_mask(void **state) {
  (void)state;
  sb_template *t = default_template();
  const int64_t *dims = sb_template_grid_dims(t), *index = sb_template_row_index(t);
  int64_t next = 0;
  for (int64_t i = 0; i < dims[0] * dims[1] * dims[2]; i++)
    if (sb_template_mask(t)[i] != 0) assert_int_equal(index[next++], i);
  assert_int_equal(next, sb_template_row_length(t));
  assert_true(next > 150000 && next < 300000);
  // Where the mask is, the image is a brain; far away from it, nothing.
  const float *image = sb_template_image(t);
  int64_t bright = 0;
  for (int64_t i = 0; i < next; i++) bright += image[index[i]] > 0;
  assert_true((double)bright > 0.99 * (double)next);
  assert_true(image[0] == 0 && image[dims[0] * dims[1] * dims[2] - 1] == 0);
  sb_template_free(t);
}

static void refusals(void **state) {
  (void)state;
  sb_template_options options = sb_template_options_default();
  sb_template *t = NULL;
  options.resolution_mm = 2.5;
  assert_int_equal(sb_template_load(&options, &t).code, SB_USAGE);
  options.resolution_mm = 2;
  options.image_path = "/nowhere/at/all.nii.gz";
  assert_int_equal(sb_template_load(&options, &t).code, SB_NOT_FOUND);
  assert_null(t);
  // Nothing to free.
  sb_template_free(NULL);
  sb_preparer_free(NULL);
  sb_prepared_free(NULL);
  sb_volume_free(NULL);
  sb_scan_list_free(NULL);
}

// One image of the template's size for each kind of mistake; free its voxels.
enum { ONES, EMPTY, SPECK, CORNER, OTHER_GRID, NONFINITE, PROBABILITY, MASKS };

static sb_volume make_mask(int kind, const sb_volume *image) {
  const int64_t n = image->dims[0] * image->dims[1] * image->dims[2];
  sb_volume mask = *image;
  must(SB_NEW_ZERO(&mask.voxels, n, "mask"));
  for (int64_t i = 0; i < n; i++) {
    const int64_t x = i % image->dims[0], y = i / image->dims[0] % image->dims[1],
                  z = i / (image->dims[0] * image->dims[1]);
    const bool brain = image->voxels[i] > 0;
    switch (kind) {
    case ONES: // but for one voxel: an image that does not vary is refused anyway
      mask.voxels[i] = i > 0;
      break;
    case SPECK:
      mask.voxels[i] = x > 80 && x < 100 && y > 80 && y < 100 && z > 80 && z < 100;
      break;
    case CORNER: // 343 cm3 without any brain
      mask.voxels[i] = x < 20 || z < 15;
      break;
    case NONFINITE:
      mask.voxels[i] = brain ? 1 : NAN;
      break;
    case PROBABILITY:
      mask.voxels[i] = brain ? 0.9f : 0.1f;
      break;
    default:
      mask.voxels[i] = brain;
    }
  }
  if (kind == EMPTY) memset(mask.voxels, 0, (size_t)n * sizeof *mask.voxels);
  if (kind == OTHER_GRID) mask.affine[3] += 1;
  return mask;
}

static void masks(void **state) {
  (void)state;
  static const struct {
    sb_code code;
    const char *says;
  } expected[MASKS] = {
      [ONES] = {SB_CONTENT, "100 % of the image is brain"},
      [EMPTY] = {SB_CONTENT, "every voxel is zero"},
      [SPECK] = {SB_CONTENT, "7 cm3 are brain"},
      [CORNER] = {SB_CONTENT, "% of this mask"},
      [OTHER_GRID] = {SB_CONFLICT, "not on the grid of the template"},
      [NONFINITE] = {SB_CONTENT, "the same value"}, // NaN is nothing: it does not tell in from out
      [PROBABILITY] = {SB_OK, ""},
  };
  sb_template *plain = default_template();
  sb_template_options options = sb_template_options_default();
  sb_volume image;
  char path[96];
  snprintf(path, sizeof path, "%s/mask.nii.gz", folder);
  options.mask_path = path;
  must(sb_volume_load(sb_template_path(plain), &image, NULL));
  for (int kind = 0; kind < MASKS; kind++) {
    sb_volume mask = make_mask(kind, &image);
    sb_template *t = NULL;
    must(sb_volume_save(&mask, path));
    sb_volume_free(&mask);
    sb_status status = sb_template_load(&options, &t);
    printf("%s\n", status.message);
    assert_int_equal(status.code, expected[kind].code);
    assert_non_null(strstr(status.message, expected[kind].says));
    if (status.code == SB_OK) // the same brain, so the same template
      assert_string_equal(sb_template_hash(t), sb_template_hash(plain));
    else
      assert_null(t);
    sb_template_free(t);
  }
  sb_volume_free(&image);
  sb_template_free(plain);
}

// Not the image alone, but also its mask and the grid tell one template from another.
static void hashes(void **state) {
  (void)state;
  sb_template *plain = default_template(), *other;
  sb_template_options options = sb_template_options_default();
  sb_volume image;
  char path[96];
  options.resolution_mm = 3;
  must(sb_template_load(&options, &other));
  assert_string_not_equal(sb_template_hash(plain), sb_template_hash(other));
  sb_template_free(other);
  must(sb_volume_load(sb_template_path(plain), &image, NULL));
  sb_volume mask = make_mask(MASKS, &image);
  for (int64_t i = 0; i < mask.dims[0] * mask.dims[1] * 40; i++) mask.voxels[i] = 0;
  snprintf(path, sizeof path, "%s/mask.nii.gz", folder);
  must(sb_volume_save(&mask, path));
  options = sb_template_options_default();
  options.mask_path = path;
  must(sb_template_load(&options, &other));
  assert_string_not_equal(sb_template_hash(plain), sb_template_hash(other));
  assert_true(sb_template_row_length(other) < sb_template_row_length(plain));
  sb_template_free(other);
  sb_template_free(plain);
  sb_volume_free(&mask);
  sb_volume_free(&image);
}

// A whole head needs a mask.
static void whole_head(void **state) {
  (void)state;
  sb_template *plain = default_template(), *t = NULL;
  sb_template_options options = sb_template_options_default();
  char *home = sb_path_folder(sb_template_path(plain)), *head = sb_path_join(home, "ch2.nii.gz");
  if (sb_is_file(head)) {
    options.image_path = head;
    sb_status status = sb_template_load(&options, &t);
    printf("%s\n", status.message);
    assert_int_equal(status.code, SB_CONTENT);
    options.mask_path = sb_template_path(plain); // the brain itself will do as a mask
    must(sb_template_load(&options, &t));
    assert_int_equal(sb_template_row_length(t), sb_template_row_length(plain));
    sb_template_free(t);
  }
  free(head);
  free(home);
  sb_template_free(plain);
}

// The mean volume of what is above zero, cm3.
static double brain_cm3(const sb_volume *v) {
  int64_t count = 0;
  for (int64_t i = 0; i < v->dims[0] * v->dims[1] * v->dims[2]; i++) count += v->voxels[i] > 0;
  return (double)count * fabs(sb_affine_determinant(v->affine)) / 1000;
}

// Fails where there is a template before its last scan is averaged: a run killed then would leave it.
static void none_yet(void *path, const char *what, long long done, long long total) {
  (void)what;
  assert_true(done <= total);
  assert_int_not_equal(access(path, F_OK), 0);
}

// Moved and stretched copies of one brain average to that brain, at the copies' mean size.
static void average_of_copies(void **state) {
  (void)state;
  sb_template *t = default_template();
  sb_volume brain;
  char files[COPIES][128], folders[2][128], images[2][300];
  const char *paths[COPIES];
  const double centre[3] = {0, -20, 10};
  double cm3 = 0;
  must(sb_volume_load(sb_template_path(t), &brain, NULL));
  for (int i = 0; i < COPIES; i++) {
    uint64_t seed = 40 + (uint64_t)i;
    double a[16];
    sb_volume moved;
    random_affine(&seed, centre, a);
    must(moved_scan(&brain, a, &moved));
    snprintf(files[i], sizeof files[i], "%s/copy%d.nii", folder, i);
    paths[i] = files[i];
    must(sb_volume_save(&moved, files[i]));
    cm3 += brain_cm3(&moved) / COPIES;
    sb_volume_free(&moved);
  }
  for (int threads = 1; threads <= 2; threads++) {
    sb_template_build_options options = sb_template_build_options_default();
    int64_t used;
    options.rounds = 2;
    options.threads = threads;
    snprintf(folders[threads - 1], sizeof folders[0], "%s/t%d", folder, threads);
    snprintf(images[threads - 1], sizeof images[0], "%s/template.nii.gz", folders[threads - 1]);
    const sb_progress progress = {.context = images[threads - 1], .advance = none_yet};
    must(sb_template_build(paths, COPIES, &options, &progress, folders[threads - 1], &used));
    assert_int_equal(used, COPIES);
    assert_int_equal(
        sb_template_build(paths, COPIES, &options, NULL, folders[threads - 1], &used).code,
        SB_USAGE); // one is there already
  }
  char *bytes[2];
  size_t sizes[2];
  for (int i = 0; i < 2; i++) must(sb_read_file(images[i], &bytes[i], &sizes[i]));
  assert_int_equal(sizes[0], sizes[1]);
  assert_memory_equal(bytes[0], bytes[1], sizes[0]);
  for (int i = 0; i < 2; i++) free(bytes[i]);

  sb_volume average;
  sb_preparer *preparer;
  sb_prepared prepared;
  must(sb_volume_load(images[0], &average, NULL));
  must(sb_preparer_create(t, NULL, &preparer));
  must(sb_prepare_volume(preparer, &average, &prepared));
  printf("average of copies: %.0f cm3 (copies: %.0f), correlation with the original %.3f\n",
         brain_cm3(&average), cm3, prepared.quality.template_correlation);
  assert_true(fabs(brain_cm3(&average) / cm3 - 1) < 0.03);
  assert_true(prepared.quality.template_correlation > 0.97);
  assert_true(prepared.quality.mask_overlap > 0.95);
  sb_prepared_free(&prepared);
  sb_preparer_free(preparer);
  sb_volume_free(&average);
  sb_volume_free(&brain);
  sb_template_free(t);
}

// A folder that another run is at work in, or has a template, is refused and left as it is.
static void a_folder_for_one_run(void **state) {
  (void)state;
  static const char *const paths[] = {"nowhere.nii"};
  char own[128], unfinished[192], done[192];
  int64_t used;
  sb_hold hold;
  snprintf(own, sizeof own, "%s/held", folder);
  snprintf(unfinished, sizeof unfinished, "%s/unfinished.nii.gz", own);
  snprintf(done, sizeof done, "%s/template.nii.gz", own);
  must(sb_hold_take(own, &hold));
  must(sb_write_file(unfinished, "x", 1));
  assert_int_equal(sb_template_build(paths, 1, NULL, NULL, own, &used).code, SB_BUSY);
  assert_int_equal(access(unfinished, F_OK), 0);
  sb_hold_release(&hold);
  must(sb_write_file(done, "x", 1));
  assert_int_equal(sb_template_build(paths, 1, NULL, NULL, own, &used).code, SB_USAGE);
  assert_int_equal(access(unfinished, F_OK), 0);
  // What a killed run left goes with the next one.
  remove(done);
  assert_int_equal(sb_template_build(paths, 1, NULL, NULL, own, &used).code, SB_NOT_FOUND);
  assert_int_not_equal(access(unfinished, F_OK), 0);
  must(sb_hold_take(own, &hold));
  sb_hold_release(&hold);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_follow_the_mask),
      cmocka_unit_test(refusals),
      cmocka_unit_test(masks),
      cmocka_unit_test(hashes),
      cmocka_unit_test(whole_head),
      cmocka_unit_test(average_of_copies),
      cmocka_unit_test(a_folder_for_one_run),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
