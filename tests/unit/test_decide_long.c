// Do the intervals keep what they promise? A part of bench_coverage, with limits that chance passes
// once in thousands of runs; its seeds are fixed.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "evaluate/bootstrap.h"
#include "evaluate/forecast.h"
#include "evaluate/links.h"
#include "evaluate/tail.h"
#include "simulate.h"

#define assert_ok(expression)                                                                      \
  do {                                                                                             \
    sb_status assert_ok_status = (expression);                                                     \
    if (assert_ok_status.code != SB_OK) fail_msg("%s: %s", #expression, assert_ok_status.message); \
  } while (0)

static void covers(const char *what, int covered, int tried, double least, double most) {
  double share = (double)covered / tried;
  if (share < least || share > most) fail_msg("%s: %d of %d", what, covered, tried);
}

static void test_intervals(void **state) {
  (void)state;
  enum { STUDIES = 150 };
  for (int self = 0; self < 2; self++) {
    int auc = 0, d_prime = 0, fnir = 0;
    simulation s = sim_default();
    s.self = self == 1;
    double threshold = sim_true_threshold(&s, self ? 398 : 199, 0.1);
    for (int i = 0; i < STUDIES; i++) {
      sb_study study;
      sb_search search;
      sb_values low, high;
      s.seed = 70000 + (uint64_t)i;
      assert_ok(sim_study(&s, &study));
      assert_ok(sb_search_open(&study, &search));
      const sb_bootstrap b = {
          .study = &study, .search = &search, .fpir = 0.1, .replicates = 300, .seed = s.seed};
      assert_ok(sb_values_intervals(&b, &low, &high));
      auc += low.auc <= sim_true_auc(&s) && sim_true_auc(&s) <= high.auc;
      d_prime += low.d_prime <= s.distance && s.distance <= high.d_prime;
      double truth = sim_true_fnmr(&s, threshold);
      fnir += low.fnir <= truth && truth <= high.fnir;
      sb_search_close(&search);
      sb_study_free(&study);
    }
    covers("AUC", auc, STUDIES, 0.88, 1);
    covers("d-prime", d_prime, STUDIES, 0.88, 1);
    if (!self) covers("FNIR at FPIR 0.1", fnir, STUDIES, 0.86, 1);
  }
}

static int descending(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return a > b ? -1 : a < b;
}

// 10,000 people, of whom the forecast sees 500: how often its interval holds what all show, and its
// median upper over lower end.
static int forecast_hidden_people(simulation s, int cohorts, double *median_ratio) {
  enum { PEOPLE = 10000, MOST = 50 };
  double *best = malloc(PEOPLE * sizeof *best), ratios[MOST];
  int covered = 0;
  assert_non_null(best);
  s.mated_people = 0;
  s.self = true;
  for (int i = 0; i < cohorts; i++) {
    sb_study study;
    sb_forecaster f;
    sb_forecast at;
    s.people = PEOPLE;
    s.seed = 40000 + (uint64_t)i;
    assert_ok(sim_closest(&s, best));
    qsort(best, PEOPLE, sizeof *best, descending);
    s.people = 500;
    assert_ok(sim_study(&s, &study));
    assert_ok(sb_forecast_open(&study, true, 1, &f));
    assert_ok(sb_forecast_at(&f, PEOPLE - 1, best[PEOPLE / 100 - 1], &at));
    assert_true(at.valid);
    covered += at.fpir_low <= 0.01 && 0.01 <= at.fpir_high;
    ratios[i] = at.fpir_high / at.fpir_low;
    sb_forecast_close(&f);
    sb_study_free(&study);
  }
  free(best);
  qsort(ratios, (size_t)cohorts, sizeof *ratios, descending);
  *median_ratio = ratios[cohorts / 2];
  return covered;
}

static void test_forecast_of_hidden_people(void **state) {
  (void)state;
  enum { NORMAL = 30, OTHERS = 12 };
  double ratio;
  simulation normal = sim_default();
  covers("normal", forecast_hidden_people(normal, NORMAL, &ratio), NORMAL, 0.83, 1);
  if (!(ratio <= 9)) fail_msg("median ratio %g", ratio);
  simulation others[] = {normal, normal, normal, normal};
  others[0].effect = 0;
  others[1].effect = 0.3;
  others[2].shape = SIM_SKEWED;
  others[3].spread = 0.1;
  for (int i = 0; i < 4; i++)
    covers("another truth", forecast_hidden_people(others[i], OTHERS, &ratio), OTHERS, 0.74, 1);
}

static void test_larger_cohorts_without_mates(void **state) {
  (void)state;
  enum { COHORTS = 100 };
  int with = 0, with_ten = 0;
  for (int i = 0; i < COHORTS; i++) {
    simulation s = sim_default();
    sb_study study;
    sb_tail tail;
    sb_proposals links;
    s.people = 300;
    s.mated_people = 0;
    s.self = true;
    s.shape = (sim_shape)(i % 3);
    s.effect = i % 2 == 0 ? 0 : 0.15;
    s.seed = 60000 + (uint64_t)i;
    assert_ok(sim_study(&s, &study));
    assert_ok(sb_tail_of_study(&study, true, &tail));
    assert_ok(sb_links_propose(&study, &tail, 0.01, true, false, &links));
    with += links.count > 0;
    sb_proposals_free(&links);
    assert_ok(sb_links_propose(&study, &tail, 0.1, true, false, &links));
    with_ten += links.count > 0;
    sb_proposals_free(&links);
    sb_study_free(&study);
  }
  // The upper ends of the binomial 95 % intervals of 0.01 and 0.1.
  if (with > 3 || with_ten > 16) fail_msg("%d and %d of %d cohorts", with, with_ten, COHORTS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_intervals),
      cmocka_unit_test(test_forecast_of_hidden_people),
      cmocka_unit_test(test_larger_cohorts_without_mates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
