// Synthetic cohorts: deformations that do not fold, the same files for any number of threads, and
// headers, ids and values that are what the contract says.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/geometry.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/random.h"
#include "core/tsv.h"
#include "image/resample.h"
#include "samebrain/synth.h"
#include "scratch.h"
#include "synth/base.h"
#include "synth/person.h"
#include "synth/session.h"

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

static sb_base base; // the procedural brain, made once

static int make_base(void **state) {
  (void)state;
  return sb_base_procedural(&base).code != SB_OK;
}

static int free_base(void **state) {
  (void)state;
  sb_base_free(&base);
  return 0;
}

static int make_scratch(void **state) {
  *state = scratch_folder();
  return *state == NULL;
}

static int remove_scratch(void **state) {
  const int result = remove_folder(*state);
  free(*state);
  return result;
}

static float inside_at(const double mm[3]) {
  double voxel[3];
  sb_affine_apply(base.to_voxel, mm, voxel);
  return sb_sample_linear(&base.inside, voxel[0], voxel[1], voxel[2], 0);
}

// ---- Random fields ------------------------------------------------------------------------------

// Zero mean, the deviation asked for, and the correlation of noise under a Gaussian of that sigma:
// exp(-d^2 / 4 sigma^2) at distance d.
static void field_statistics(void **state) {
  (void)state;
  const sb_lattice lattice = {{150, 140, 130}, {-5, 3, 9}, 1.5};
  int64_t nodes = sb_lattice_nodes(&lattice);
  float *values = calloc((size_t)(2 * nodes), sizeof *values);
  assert_non_null(values);
  assert_ok(sb_field_add(&lattice, 6, 2.5, 42, 2, 1, values));
  double sum = 0, squares = 0, products = 0, pairs = 0;
  const int64_t lag = 6; // 9 mm
  for (int64_t i = 0; i < nodes; i++) {
    double value = (double)values[2 * i + 1];
    assert_true(values[2 * i] == 0); // the other channel is left alone
    sum += value;
    squares += value * value;
    if (i % lattice.dims[0] + lag < lattice.dims[0]) {
      products += value * (double)values[2 * (i + lag) + 1];
      pairs++;
    }
  }
  double variance = squares / (double)nodes;
  assert_true(fabs(sum / (double)nodes) < 0.25);
  assert_true(fabs(sqrt(variance) - 2.5) < 0.15);
  assert_true(fabs(products / pairs / variance - exp(-81.0 / (4 * 36))) < 0.05);
  free(values);
}

static void field_sampling(void **state) {
  (void)state;
  const sb_lattice lattice = {{3, 4, 5}, {10, 20, 30}, 2};
  float values[2 * 60], got[2];
  for (int i = 0; i < 60; i++) { // a linear function is met exactly
    int value = i % 3 + 10 * (i / 3 % 4) + 100 * (i / 12);
    values[2 * i] = (float)value;
    values[2 * i + 1] = -1;
  }
  sb_field_sample(&lattice, 2, values, (const double[3]){11, 23, 33.5}, got);
  assert_true(fabs((double)got[0] - (0.5 + 15 + 175)) < 1e-4);
  assert_true(fabs((double)got[1] + 1) < 1e-6);
  sb_field_sample(&lattice, 2, values, (const double[3]){-1e9, 1e9, 1e9}, got); // the edge's value
  assert_true(fabs((double)got[0] - 430) < 1e-4);
}

// ---- People and sessions ------------------------------------------------------------------------

// Smallest determinant of the deformation's derivative, and its mean displacement, in the brain.
static void measure_deformation(const sb_person *person, double *least, double *mean_mm) {
  const int64_t *n = person->lattice.dims;
  const int64_t stride[3] = {SB_PERSON_CHANNELS, SB_PERSON_CHANNELS * n[0],
                             SB_PERSON_CHANNELS * n[0] * n[1]};
  double sum = 0, count = 0;
  *least = INFINITY;
  for (int64_t k = 0; k + 1 < n[2]; k++)
    for (int64_t j = 0; j + 1 < n[1]; j++)
      for (int64_t i = 0; i + 1 < n[0]; i++) {
        const float *d = person->field + i * stride[0] + j * stride[1] + k * stride[2];
        double jacobian[16];
        sb_affine_identity(jacobian);
        for (int row = 0; row < 3; row++)
          for (int column = 0; column < 3; column++)
            jacobian[4 * row + column] +=
                (double)(d[stride[column] + row] - d[row]) / person->lattice.step_mm;
        *least = fmin(*least, sb_affine_determinant(jacobian));
        sum += sqrt((double)(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]));
        count++;
      }
  *mean_mm = sum / count;
}

static void people_do_not_fold(void **state) {
  (void)state;
  for (uint64_t i = 0; i < 6; i++) {
    sb_person person;
    double least, mean_mm;
    assert_ok(sb_person_create(&base, sb_random_key(99, i), &person));
    measure_deformation(&person, &least, &mean_mm);
    if (!(least > 0.1)) fail_msg("person %d: smallest Jacobian %g", (int)i, least);
    if (!(mean_mm > 2 && mean_mm < 9))
      fail_msg("person %d: mean displacement %g mm", (int)i, mean_mm);
    double size = sb_affine_determinant(person.to_base);
    assert_true(size > pow(0.92, 3) && size < pow(1.08, 3));
    sb_person_free(&person);
  }
}

static double correlation(const float *a, const float *b, const uint8_t *mask, int64_t count) {
  double n = 0, sa = 0, sb = 0, aa = 0, bb = 0, ab = 0;
  for (int64_t i = 0; i < count; i++) {
    if (mask[i] == 0) continue;
    double x = (double)a[i], y = (double)b[i];
    n++, sa += x, sb += y, aa += x * x, bb += y * y, ab += x * y;
  }
  return (n * ab - sa * sb) / sqrt((n * aa - sa * sa) * (n * bb - sb * sb));
}

enum { GRID = 48 };

// The extent of what is not 0, along the scanner's axes, and its volume.
static void brain_box(const sb_volume *v, double size_mm[3], double *volume_ml) {
  int64_t low[3] = {INT64_MAX, INT64_MAX, INT64_MAX}, high[3] = {-1, -1, -1}, count = 0;
  for (int64_t k = 0, at = 0; k < v->dims[2]; k++)
    for (int64_t j = 0; j < v->dims[1]; j++)
      for (int64_t i = 0; i < v->dims[0]; i++, at++) {
        const int64_t index[3] = {i, j, k};
        if (v->voxels[at] == 0) continue;
        count++;
        for (int a = 0; a < 3; a++) {
          if (index[a] < low[a]) low[a] = index[a];
          if (index[a] > high[a]) high[a] = index[a];
        }
      }
  *volume_ml = (double)count * fabs(sb_affine_determinant(v->affine)) / 1000;
  for (int a = 0; a < 3; a++) {
    // No brain is cut: its box stays off the grid's edge.
    assert_true(low[a] > 0 && high[a] < v->dims[a] - 1);
    for (int axis = 0; axis < 3; axis++)
      if (v->affine[4 * axis + a] != 0)
        size_mm[axis] = (double)(high[a] - low[a]) * fabs(v->affine[4 * axis + a]);
  }
}

static void sessions_are_plausible(void **state) {
  (void)state;
  int orientations = 0;
  double first_ml = 0;
  sb_person person;
  assert_ok(sb_person_create(&base, 5, &person));
  for (uint64_t s = 0; s < 6; s++) {
    sb_volume scan;
    double size_mm[3], volume_ml, voxel_mm[3];
    assert_ok(sb_session_render(&base, &person, sb_random_key(5, s), s < 2 ? 0 : 2, &scan));
    brain_box(&scan, size_mm, &volume_ml);
    for (int a = 0; a < 3; a++) {
      assert_true(size_mm[a] > 95 && size_mm[a] < 230);
      voxel_mm[a] = fabs(scan.affine[a]) + fabs(scan.affine[4 + a]) + fabs(scan.affine[8 + a]);
      assert_true(s < 2 ? voxel_mm[a] >= 0.9 && voxel_mm[a] <= 1.3 : voxel_mm[a] == 2);
    }
    if (s == 0) first_ml = volume_ml;
    assert_true(fabs(volume_ml / first_ml - 1) < 0.12); // strippings differ, brains do not
    orientations += scan.affine[0] != voxel_mm[0];
    int64_t count = scan.dims[0] * scan.dims[1] * scan.dims[2];
    float largest = 0;
    for (int64_t i = 0; i < count; i++) {
      assert_true(scan.voxels[i] >= 0 && scan.voxels[i] == floorf(scan.voxels[i]));
      largest = fmaxf(largest, scan.voxels[i]);
    }
    assert_true(largest > 200 && largest <= 32767);
    sb_volume_free(&scan);
  }
  assert_true(orientations > 0);
  sb_person_free(&person);
}

// Seen in the base's space, where the deformations are small, people are alike and yet differ.
static void people_differ(void **state) {
  (void)state;
  enum { COUNT = GRID * GRID * GRID, HALF = GRID / 2 };
  float *seen[2] = {malloc(COUNT * sizeof(float)), malloc(COUNT * sizeof(float))};
  uint8_t *mask = malloc(COUNT);
  assert_non_null(seen[0]);
  assert_non_null(seen[1]);
  assert_non_null(mask);
  for (int who = 0; who < 2; who++) {
    sb_person person;
    assert_ok(sb_person_create(&base, sb_random_key(3, (uint64_t)who), &person));
    for (int i = 0; i < COUNT; i++) {
      const int index[3] = {i % GRID, i / GRID % GRID, i / GRID / GRID};
      double at[3];
      for (int a = 0; a < 3; a++) at[a] = base.centre_mm[a] + 3.0 * (index[a] - HALF);
      float own[SB_PERSON_CHANNELS];
      double moved[3], voxel[3];
      sb_field_sample(&person.lattice, SB_PERSON_CHANNELS, person.field, at, own);
      for (int a = 0; a < 3; a++) moved[a] = at[a] + (double)own[a];
      sb_affine_apply(base.to_voxel, moved, voxel);
      mask[i] = inside_at(at) > 0.9f;
      seen[who][i] = own[3] * sb_sample_cubic(&base.image, voxel[0], voxel[1], voxel[2], 0);
    }
    sb_person_free(&person);
  }
  double alike = correlation(seen[0], seen[1], mask, COUNT);
  if (!(alike > 0.15 && alike < 0.8)) fail_msg("two people correlate by %g", alike);
  free(seen[0]);
  free(seen[1]);
  free(mask);
}

// ---- Cohorts ------------------------------------------------------------------------------------

static void hash_tree(const char *folder, sb_sha256 *hash, int *files) {
  char **names;
  size_t count;
  assert_ok(sb_list_folder(folder, &names, &count));
  for (size_t i = 0; i < count; i++) {
    char *path = sb_path_join(folder, names[i]);
    sb_sha256_add(hash, names[i], strlen(names[i]));
    if (sb_is_folder(path)) {
      hash_tree(path, hash, files);
    } else {
      char hex[SB_SHA256_HEX];
      assert_ok(sb_sha256_file(path, hex));
      sb_sha256_add(hash, hex, sizeof hex);
      ++*files;
    }
    free(path);
  }
  sb_free_names(names, count);
}

static int make_cohort(const char *scratch, const char *name, const sb_synth_options *options,
                       char hex[SB_SHA256_HEX]) {
  char *parent = sb_path_join(scratch, name), *folder = sb_path_join(parent, "cohort");
  int files = 0;
  sb_sha256 hash;
  assert_ok(sb_synth(folder, options, NULL));
  sb_sha256_start(&hash);
  hash_tree(folder, &hash, &files);
  sb_sha256_end(&hash, hex);
  free(folder);
  free(parent);
  return files;
}

static void cohorts_repeat(void **state) {
  char one[SB_SHA256_HEX], two[SB_SHA256_HEX], other[SB_SHA256_HEX];
  sb_synth_options options = sb_synth_options_default();
  options.subjects = 3;
  options.base = "procedural";
  options.voxel_mm = 4;
  options.threads = 1;
  assert_int_equal(make_cohort(*state, "one", &options, one), 3 * 2 + 5);
  options.threads = 3;
  make_cohort(*state, "two", &options, two);
  assert_string_equal(one, two);
  options.seed = 2;
  make_cohort(*state, "other", &options, other);
  assert_string_not_equal(one, other);
}

// Two databases: each scan of identities.tsv exists and loads as what it was written as, each
// person is in both under ids that differ.
static void two_databases(void **state) {
  sb_synth_options options = sb_synth_options_default();
  options.subjects = 4;
  options.sessions = 3;
  options.split = true;
  options.base = "procedural";
  options.voxel_mm = 4;
  char *folder = sb_path_join(*state, "both"), *path = sb_path_join(folder, "identities.tsv");
  assert_ok(sb_synth(folder, &options, NULL));
  sb_tsv table;
  assert_ok(sb_tsv_read(path, &table));
  assert_int_equal(table.rows, 12);
  int in_a[5] = {0}, in_b[5] = {0};
  for (size_t row = 0; row < table.rows; row++) {
    const char *dataset = sb_tsv_cell(&table, row, 0), *scan = sb_tsv_cell(&table, row, 1);
    int person = atoi(sb_tsv_cell(&table, row, 2) + strlen("person-"));
    assert_in_range(person, 1, 4);
    assert_int_equal(scan[4], dataset[0]); // sub-A0001, sub-B0001
    (dataset[0] == 'A' ? in_a : in_b)[person]++;
    char *file =
        sb_format("%s/%s/%.9s/%.6s/anat/%s_T1w.nii.gz", folder, dataset, scan, scan + 10, scan);
    sb_volume volume;
    sb_volume_info info;
    assert_ok(sb_volume_load(file, &volume, &info));
    assert_string_equal(info.datatype, "int16");
    assert_int_equal(info.orientation, SB_FROM_SFORM);
    assert_true(fabs(info.voxel_size_mm[0] - 4) < 1e-5);
    sb_volume_free(&volume);
    free(file);
  }
  for (int person = 1; person <= 4; person++) {
    assert_int_equal(in_a[person], 1);
    assert_int_equal(in_b[person], 2);
  }
  sb_tsv_free(&table);
  free(path);
  free(folder);
}

static void refusals(void **state) {
  sb_synth_options options = sb_synth_options_default();
  options.base = "procedural";
  char *file = sb_path_join(*state, "file");
  assert_ok(sb_write_file(file, "x", 1));
  sb_status status = sb_synth(*state, &options, NULL);
  assert_int_equal(status.code, SB_USAGE);
  assert_non_null(strstr(status.message, "not empty"));
  assert_int_equal(sb_synth(file, &options, NULL).code, SB_IO);
  char *fresh = sb_path_join(*state, "fresh");
  options.base = "no-such-file.nii.gz";
  assert_int_equal(sb_synth(fresh, &options, NULL).code, SB_NOT_FOUND);
  options.subjects = 0;
  assert_int_equal(sb_synth(fresh, &options, NULL).code, SB_USAGE);
  options.subjects = 2;
  options.sessions = 1;
  options.split = true;
  assert_int_equal(sb_synth(fresh, &options, NULL).code, SB_USAGE);
  free(fresh);
  free(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(field_statistics),
      cmocka_unit_test(field_sampling),
      cmocka_unit_test(people_do_not_fold),
      cmocka_unit_test(people_differ),
      cmocka_unit_test(sessions_are_plausible),
      cmocka_unit_test_setup_teardown(cohorts_repeat, make_scratch, remove_scratch),
      cmocka_unit_test_setup_teardown(two_databases, make_scratch, remove_scratch),
      cmocka_unit_test_setup_teardown(refusals, make_scratch, remove_scratch),
  };
  return cmocka_run_group_tests(tests, make_base, free_base);
}
