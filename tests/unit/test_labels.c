// Label images against scans: real ones and the template's, with fewer and fewer grey levels, and labels
// made of them. Prints how far apart the two are.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/file.h"
#include "prepare/labels.h"
#include "samebrain/prepare.h"
#include "samebrain/store.h"

#define DATA SAMEBRAIN_SOURCE_DIR "/../shared/data/"

static int64_t voxels_of(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

static int ascending(const void *x, const void *y) {
  const float a = *(const float *)x, b = *(const float *)y;
  return (a > b) - (a < b);
}

// What a share of the voxels above 0 do not exceed, by every 7th of them.
typedef struct shares {
  float low, middle, top;
} shares;

static shares shares_of(const sb_volume *v) {
  int64_t n = voxels_of(v), count = 0;
  float *sorted = malloc((size_t)n * sizeof *sorted);
  assert_non_null(sorted);
  for (int64_t i = 0; i < n; i += 7)
    if (v->voxels[i] > 0) sorted[count++] = v->voxels[i];
  qsort(sorted, (size_t)count, sizeof *sorted, ascending);
  const shares s = {sorted[count / 5], sorted[count * 3 / 5], sorted[count * 999 / 1000]};
  free(sorted);
  return s;
}

static sb_volume copy_of(const sb_volume *v) {
  sb_volume copy = *v;
  copy.voxels = malloc((size_t)voxels_of(v) * sizeof *copy.voxels);
  assert_non_null(copy.voxels);
  return copy;
}

// As an 8-bit scan that uses so many of its levels.
static sb_volume with_levels(const sb_volume *v, float top, int levels) {
  sb_volume out = copy_of(v);
  const float most = (float)(levels - 1);
  for (int64_t i = 0; i < voxels_of(v); i++)
    out.voxels[i] = fmaxf(0, fminf(most, roundf(most * v->voxels[i] / top)));
  return out;
}

// Tissues told by their intensities, and with `regions` of 24 voxels, each tissue of a region a label of
// its own.
static sb_volume with_labels(const sb_volume *v, shares s, bool regions) {
  sb_volume out = copy_of(v);
  for (int64_t i = 0; i < voxels_of(v); i++) {
    const float value = v->voxels[i];
    const int64_t x = i % v->dims[0], y = i / v->dims[0] % v->dims[1];
    const int64_t z = i / (v->dims[0] * v->dims[1]);
    const int64_t region = regions ? x / 24 % 8 + 8 * (y / 24 % 4) + 32 * (z / 24 % 2) : 0;
    const int tissue = value <= 0 ? 0 : value < s.low ? 1 : value < s.middle ? 2 : 3;
    out.voxels[i] = tissue == 0 ? 0 : (float)(tissue + 3 * region);
  }
  return out;
}

// The largest share of equal neighbours in scans of so many levels, and the least in label images.
static struct { double most[3], least[2]; } found = {.least = {1, 1}};
static const int LEVELS[3] = {64, 32, 16};

static void try_scan(const char *path) {
  sb_volume scan, made;
  sb_label_figures figures;
  assert_int_equal(sb_volume_load(path, &scan, NULL).code, SB_OK);
  const shares s = shares_of(&scan);
  assert_false(sb_is_label_image(&scan, &figures));
  for (int l = 0; l < 3; l++) {
    made = with_levels(&scan, s.top, LEVELS[l]);
    if (sb_is_label_image(&made, &figures))
      fail_msg("%s with %d levels: %d values, %g equal", path, LEVELS[l], figures.values,
               figures.equal);
    assert_int_equal(sb_refuse_labels(&made).code, SB_OK);
    found.most[l] = fmax(found.most[l], figures.equal);
    sb_volume_free(&made);
  }
  for (int regions = 0; regions < 2; regions++) {
    made = with_labels(&scan, s, regions == 1);
    if (!sb_is_label_image(&made, &figures))
      fail_msg("labels of %s: %d values, %g equal", path, figures.values, figures.equal);
    assert_int_equal(sb_refuse_labels(&made).code, SB_CONTENT);
    found.least[regions] = fmin(found.least[regions], figures.equal);
    sb_volume_free(&made);
  }
  sb_volume_free(&scan);
}

static void test_labels_and_few_levels(void **state) {
  (void)state;
  const char *const folders[] = {DATA "oasis", DATA "ds002748"};
  sb_scan_list list = {0};
  sb_template *t;
  size_t tried = 0;
  const sb_template_options options = sb_template_options_default();
  if (sb_template_load(&options, &t).code == SB_OK) {
    try_scan(sb_template_path(t));
    sb_template_free(t);
    tried++;
  }
  if (sb_is_folder(folders[0]))
    assert_int_equal(sb_scan_list_find(folders, 2, NULL, &list).code, SB_OK);
  for (size_t i = 0; i < list.count; i++) try_scan(list.scans[i].source_path);
  tried += list.count;
  sb_scan_list_free(&list);
  if (tried == 0) {
    printf("skipped: neither a template nor real scans at %s\n", DATA);
    skip();
  }
  printf("%zu images: equal neighbours with 64, 32 and 16 levels: at most %.2f, %.2f, %.2f; of 3 "
         "tissues at least %.2f, of these in regions %.2f\n",
         tried, found.most[0], found.most[1], found.most[2], found.least[0], found.least[1]);
}

// A mask, and a scan whose ends were cut off: only these values are often equal, and there are two.
static void test_masks_and_cut_ends(void **state) {
  (void)state;
  enum { SIDE = 40 };
  static float voxels[SIDE * SIDE * SIDE];
  const sb_volume v = {.voxels = voxels, .dims = {SIDE, SIDE, SIDE}};
  sb_label_figures figures;
  uint32_t noise = 1;
  for (int64_t i = 0; i < voxels_of(&v); i++) {
    const int64_t x = i % SIDE, y = i / SIDE % SIDE, z = i / (SIDE * SIDE);
    voxels[i] = (float)(llabs(2 * x - SIDE) + llabs(2 * y - SIDE) + llabs(2 * z - SIDE) < SIDE);
  }
  assert_true(sb_is_label_image(&v, &figures));
  assert_int_equal(figures.values, 2);
  for (int64_t i = 0; i < voxels_of(&v); i++) {
    noise = noise * 1664525u + 1013904223u;
    if (voxels[i] > 0) voxels[i] = fminf(0.9f, (float)(noise >> 8) * 0x1p-24f);
  }
  assert_false(sb_is_label_image(&v, &figures));
  assert_int_equal(figures.values, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_labels_and_few_levels),
      cmocka_unit_test(test_masks_and_cut_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
