// Made-up rows: spread as promised, the same on any number of threads, one store after another.
#include "cohort.h"

#include "engine/rows.h"
#include "samebrain/measure.h"
#include "samebrain/synth.h"

static sb_synth_rows_options options(int64_t people, int sessions) {
  sb_synth_rows_options o = sb_synth_rows_options_default();
  o.people = people;
  o.sessions = sessions;
  o.threads = 2;
  return o;
}

static sb_store *make(const char *folder, const char *name, const sb_synth_rows_options *o) {
  char *path = sb_path_join(folder, name);
  sb_store *store;
  assert_ok(sb_synth_rows(path, o, NULL));
  assert_ok(sb_store_open(path, &store));
  free(path);
  return store;
}

typedef struct spread {
  double mean, sd, mated_least;
} spread;

static spread spread_of(const char *measure, const sb_store *store, int sessions) {
  const int64_t scans = sb_store_count(store), length = sb_store_row_length(store);
  float *rows = malloc((size_t)(scans * length) * sizeof *rows);
  double sum = 0, squares = 0, count = 0, least = INFINITY;
  assert_non_null(rows);
  for (int64_t i = 0; i < scans; i++) sb_store_row_values(store, i, rows + i * length);
  for (int64_t i = 0; i < scans; i++)
    for (int64_t j = i + 1; j < scans; j++) {
      double score;
      assert_ok(sb_measure_score(measure, sb_store_grid_dims(store), 2, sb_store_mask(store),
                                 rows + i * length, rows + j * length, length, &score));
      if (i / sessions == j / sessions) {
        least = fmin(least, score);
        continue;
      }
      sum += score;
      squares += score * score;
      count++;
    }
  free(rows);
  return (spread){sum / count, sqrt(squares / count - sum / count * (sum / count)), least};
}

static void expect(spread found, double mean, double sd) {
  if (fabs(found.mean - mean) > 0.03 || fabs(found.sd - sd) > 0.025 || found.mated_least < 0.85)
    fail_msg("%.3f +- %.3f, mated from %.3f on; expected %.3f +- %.3f", found.mean, found.sd,
             found.mated_least, mean, sd);
}

static void test_rows_are_spread_as_promised(void **state) {
  (void)state;
  char *folder = scratch_folder();
  const sb_synth_rows_options o = options(12, 2);
  sb_store *store = make(folder, "a", &o);
  assert_int_equal(sb_store_count(store), 24);
  assert_in_range(sb_store_row_length(store), 215000, 219000);
  expect(spread_of("pearson", store, 2), 0.55, 0.07);
  expect(spread_of("bandpass", store, 2), 0.22, 0.05);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
}

static void test_white_rows_have_nothing_in_common(void **state) {
  (void)state;
  char *folder = scratch_folder();
  sb_synth_rows_options o = options(4, 2);
  o.white = true;
  sb_store *store = make(folder, "a", &o);
  spread found = spread_of("pearson", store, 2);
  assert_true(fabs(found.mean) < 0.01 && found.sd < 0.005 && found.mated_least > 0.85);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
}

// Two stores of one session each hold what one store of two does, whatever the threads.
static void test_rows_depend_on_person_and_session_alone(void **state) {
  (void)state;
  char *folder = scratch_folder();
  sb_synth_rows_options o = options(5, 2);
  o.voxel_mm = 8;
  sb_store *both = make(folder, "both", &o);
  o.sessions = 1;
  o.threads = 1;
  sb_store *first = make(folder, "first", &o);
  o.first_session = 1;
  o.threads = 3;
  sb_store *second = make(folder, "second", &o);
  for (int64_t i = 0; i < 10; i++) {
    const sb_scan_record *one = sb_store_record(both, i);
    const sb_scan_record *other = sb_store_record(i % 2 ? second : first, i / 2);
    assert_string_equal(one->scan.scan_id, other->scan.scan_id);
    assert_string_equal(one->source_sha256, other->source_sha256);
    assert_int_equal(one->row_checksum, other->row_checksum);
  }
  sb_store_close(both);
  sb_store_close(first);
  sb_store_close(second);
  remove_folder(folder);
  free(folder);
}

static void test_options_out_of_range(void **state) {
  (void)state;
  char *folder = scratch_folder();
  sb_synth_rows_options o = options(0, 1);
  assert_int_equal(sb_synth_rows(folder, &o, NULL).code, SB_USAGE);
  o = options(1, 100);
  assert_int_equal(sb_synth_rows(folder, &o, NULL).code, SB_USAGE);
  o = options(1, 1);
  o.voxel_mm = 0.1;
  assert_int_equal(sb_synth_rows(folder, &o, NULL).code, SB_USAGE);
  remove_folder(folder);
  free(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows_are_spread_as_promised),
      cmocka_unit_test(test_white_rows_have_nothing_in_common),
      cmocka_unit_test(test_rows_depend_on_person_and_session_alone),
      cmocka_unit_test(test_options_out_of_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
