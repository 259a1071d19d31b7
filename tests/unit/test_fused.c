// Combinations of measures in a run: the weights against a naive computation, and where there are
// too few pairs to find any.
#include "cohort.h"

#include <cjson/cJSON.h>

#include "engine/pairs.h"
#include "engine/rows.h"
#include "engine/run.h"
#include "engine/standardise.h"
#include "samebrain/link.h"
#include "samebrain/measure.h"

static const char *const PARTS[] = {"bandpass", "localz", "gradient"};
static const char *const FUSED[] = {"fused"};
enum { COUNT = 3 };

static const cohort MANY = {
    .people = 16, .sessions = 2, .seed = 3, .gain = 1, .duplicate_of = -1, .constant = -1};

static double score_of(const char *measure, const sb_store *store, int64_t i, int64_t j) {
  static float a[GRID], b[GRID];
  const sb_scan_data one = {a, sb_store_own_mask(store, i)};
  const sb_scan_data other = {b, sb_store_own_mask(store, j)};
  double score;
  sb_store_row_values(store, i, a);
  sb_store_row_values(store, j, b);
  assert_ok(sb_measure_score_scans(measure, sb_store_grid_dims(store), 2, sb_store_mask(store),
                                   sb_store_row_length(store), &one, &other, &score));
  return score;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, int64_t count) {
  qsort(values, (size_t)count, sizeof *values, ascending);
  return values[count / 2];
}

// Location, scale and weight of each part over all pairs of the store's scans.
static void naive_standards(const sb_store *store, sb_standard standards[COUNT]) {
  const int64_t scans = sb_store_count(store), pairs = scans * (scans - 1) / 2;
  double *scores = malloc((size_t)pairs * sizeof *scores), sum = 0;
  assert_non_null(scores);
  for (int p = 0; p < COUNT; p++) {
    int64_t used = 0;
    for (int64_t i = 0; i < scans; i++)
      for (int64_t j = i + 1; j < scans; j++) scores[used++] = score_of(PARTS[p], store, i, j);
    standards[p].location = median(scores, pairs);
    for (int64_t i = 0; i < pairs; i++) scores[i] = fabs(scores[i] - standards[p].location);
    standards[p].scale = 1.4826 * median(scores, pairs);
    sum += 1 / standards[p].scale;
  }
  for (int p = 0; p < COUNT; p++) standards[p].weight = 1 / standards[p].scale / sum;
  free(scores);
}

static void link_fused(const sb_store *gallery, const sb_store *probe, const char *out) {
  sb_link_options options = sb_link_options_default();
  sb_link_summary summary;
  options.measures = FUSED;
  options.measure_count = 1;
  options.threads = 2;
  assert_ok(sb_link_limited(gallery, probe, &options, NULL, out, NULL, &summary));
}

// What summary.json says of a part; NaN for null.
static double told(const char *out, int part, const char *figure) {
  char *text = read_result(out, "summary.json");
  cJSON *root = cJSON_Parse(text);
  cJSON *measure = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "measures"), 0);
  cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItem(measure, "parts"), part);
  assert_string_equal(cJSON_GetObjectItem(item, "name")->valuestring, PARTS[part]);
  cJSON *number = cJSON_GetObjectItem(item, figure);
  double value = cJSON_IsNumber(number) ? number->valuedouble : NAN;
  cJSON_Delete(root);
  free(text);
  return value;
}

static void check_mated(const char *out, const sb_store *store, const double weights[COUNT]) {
  sb_tsv mated = read_table_result(out, "mated.tsv");
  assert_int_equal((int)mated.rows, MANY.people);
  for (int64_t i = 0; i < MANY.people; i++) {
    double expected = 0;
    for (int p = 0; p < COUNT; p++)
      expected += weights[p] * score_of(PARTS[p], store, 2 * i, 2 * i + 1);
    double score = strtod(sb_tsv_cell(&mated, (size_t)i, 5), NULL);
    if (!(fabs(score - expected) < 1e-6)) fail_msg("%.9f, expected %.9f", score, expected);
  }
  sb_tsv_free(&mated);
}

static void test_weights_are_inverse_scales(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  sb_store *store = open_cohort(folder, "a", &MANY);
  sb_standard expected[COUNT];
  double weights[COUNT];
  naive_standards(store, expected);
  link_fused(store, NULL, out);
  for (int p = 0; p < COUNT; p++) {
    assert_true(fabs(told(out, p, "location") - expected[p].location) < 1e-7);
    assert_true(fabs(told(out, p, "scale") - expected[p].scale) < 1e-7);
    assert_true(fabs(told(out, p, "weight") - expected[p].weight) < 1e-5);
    weights[p] = expected[p].weight;
  }
  check_mated(out, store, weights);
  sb_store_close(store);
  remove_folder(folder);
  free(out);
  free(folder);
}

// A pair that evaluate has to compute again weighs its parts as the run did.
static void test_a_pair_on_its_own_with_the_weights_of_a_run(void **state) {
  (void)state;
  char *folder = scratch_folder();
  sb_store *store = open_cohort(folder, "a", &MANY);
  static const double weights[COUNT] = {0.5, 0.2, 0.3};
  const sb_pair pair = {3, 20};
  double score, expected = 0;
  assert_ok(sb_score_pairs(store, store, sb_measure_row_find("fused"), weights, &pair, 1, &score));
  for (int p = 0; p < COUNT; p++) expected += weights[p] * score_of(PARTS[p], store, 3, 20);
  assert_true(fabs(score - expected) < 1e-6);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
}

// More scans than are sampled: which are, depends on names alone.
static void test_the_sample_is_bounded_and_of_both_sides(void **state) {
  (void)state;
  char *folder = scratch_folder();
  cohort c = MANY;
  c.people = 40;
  sb_store *many = open_cohort(folder, "a", &c);
  c.seed = 4;
  sb_store *others = open_cohort(folder, "b", &c);
  const sb_measure *measure = sb_measure_row_find("fused");
  sb_standard self[SB_MOST_PARTS], one[SB_MOST_PARTS], other[SB_MOST_PARTS];
  sb_embedder e;
  assert_ok(sb_run_embedder_open(measure, many, many, &e, self));
  sb_embedder_close(&e);
  assert_ok(sb_run_embedder_open(measure, many, others, &e, one));
  sb_embedder_close(&e);
  assert_ok(sb_run_embedder_open(measure, others, many, &e, other));
  sb_embedder_close(&e);
  for (int p = 0; p < COUNT; p++) {
    assert_true(one[p].scale > 0 && one[p].location == other[p].location);
    assert_true(one[p].scale == other[p].scale && one[p].weight == other[p].weight);
    assert_true(self[p].scale != one[p].scale);
  }
  sb_store_close(many);
  sb_store_close(others);
  remove_folder(folder);
  free(folder);
}

static void test_few_pairs_weigh_the_same(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  cohort c = MANY;
  c.people = 2;
  sb_store *store = open_cohort(folder, "a", &c);
  link_fused(store, NULL, out);
  for (int p = 0; p < COUNT; p++) {
    assert_true(isnan(told(out, p, "scale")) && isnan(told(out, p, "location")));
    assert_true(fabs(told(out, p, "weight") - 1.0 / 3) < 1e-15);
  }
  sb_store_close(store);
  remove_folder(folder);
  free(out);
  free(folder);
}

// Rows that are all the same have scores without any spread.
static void test_scores_without_spread(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  cohort c = MANY;
  c.duplicate_of = 0;
  sb_store *store = open_cohort(folder, "a", &c);
  link_fused(store, NULL, out);
  for (int p = 0; p < COUNT; p++) assert_true(fabs(told(out, p, "weight") - 1.0 / 3) < 1e-15);
  sb_store_close(store);
  remove_folder(folder);
  free(out);
  free(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_weights_are_inverse_scales),
      cmocka_unit_test(test_a_pair_on_its_own_with_the_weights_of_a_run),
      cmocka_unit_test(test_the_sample_is_bounded_and_of_both_sides),
      cmocka_unit_test(test_few_pairs_weigh_the_same),
      cmocka_unit_test(test_scores_without_spread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
