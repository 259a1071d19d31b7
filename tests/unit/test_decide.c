// Figures against direct computation and closed forms, links with and without mates, forecasts, and
// input that has little to say: on simulated scores.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "evaluate/exact.h"
#include "evaluate/figures.h"
#include "evaluate/forecast.h"
#include "evaluate/kde.h"
#include "evaluate/links.h"
#include "evaluate/normal.h"
#include "simulate.h"

#define assert_ok(expression)                                                                      \
  do {                                                                                             \
    sb_status assert_ok_status = (expression);                                                     \
    if (assert_ok_status.code != SB_OK) fail_msg("%s: %s", #expression, assert_ok_status.message); \
  } while (0)

static void near(double value, double expected, double tolerance, const char *what) {
  if (!(fabs(value - expected) <= tolerance))
    fail_msg("%s: %.12g, not %.12g", what, value, expected);
}

// ---- By hand ------------------------------------------------------------------------------------

// A pool over [0, 1] in ten bins.
static void fill_pool(sb_pool *pool, const double mated[10], const double nonmated[10]) {
  const sb_study shape = {.low = 0, .high = 1, .bins = 10};
  assert_ok(sb_pool_new(&shape, pool));
  memcpy(pool->mated, mated, 10 * sizeof *mated);
  memcpy(pool->nonmated, nonmated, 10 * sizeof *nonmated);
  sb_pool_total(pool);
}

static void test_rates_by_hand(void **state) {
  (void)state;
  sb_pool pool;
  double t;
  //                          0  1  2  3  4  5  6  7  8  9
  fill_pool(&pool, (double[]){0, 0, 0, 0, 1, 1, 0, 2, 0, 1},
            (double[]){0, 4, 6, 5, 3, 1, 1, 0, 0, 0});
  // Of 5 x 20: 4 has 15 below and 3 beside, 5 has 18 and 1, 7 and 9 all 20.
  near(sb_pool_auc(&pool), (15 + 1.5 + 18 + 0.5 + 3 * 20) / 100, 1e-12, "AUC");
  near(sb_pool_auc_error(&pool), (3 + 1) / 200.0, 1e-12, "its error");
  // At 0.4 FMR is 5/20 and FNMR 0; at 0.5 2/20 and 1/5: they meet after 5/7 of the way.
  near(sb_pool_eer(&pool, &t), 1.0 / 7, 1e-12, "EER");
  near(t, 0.4 + 0.1 * 5 / 7, 1e-12, "its threshold");
  near(sb_pool_tar(&pool, 0.1, &t), 4.0 / 5, 1e-12, "TAR at 0.1");
  near(t, 0.5, 1e-12, "its threshold");
  near(sb_pool_tar(&pool, 0.099, &t), 3.0 / 5, 1e-12, "TAR just below");
  near(sb_pool_tar(&pool, 0, &t), 3.0 / 5, 1e-12, "TAR at 0");
  near(t, 0.7, 1e-12, "its threshold");
  sb_pool_free(&pool);

  // Apart: the threshold lies in the middle of the gap.
  fill_pool(&pool, (double[]){0, 0, 0, 0, 0, 0, 0, 2, 0, 1},
            (double[]){0, 4, 6, 5, 0, 0, 0, 0, 0, 0});
  assert_true(sb_pool_auc(&pool) == 1 && sb_pool_eer(&pool, &t) == 0);
  near(t, 0.55, 1e-12, "threshold in the gap");
  sb_pool_free(&pool);
}

static double plain_density(const double weights[10], double bandwidth, double x) {
  double sum = 0, total = 0;
  for (int bin = 0; bin < 10; bin++) {
    double d = (x - 0.1 * bin - 0.05) / bandwidth;
    sum += weights[bin] * exp(-d * d / 2);
    total += weights[bin];
  }
  return sum / total / bandwidth / sqrt(2 * 3.14159265358979323846);
}

static void test_densities(void **state) {
  (void)state;
  const double mated[10] = {0, 0, 0, 0, 1, 1, 0, 2, 0, 1};
  const double nonmated[10] = {0, 4, 6, 5, 3, 1, 1, 0, 0, 0};
  sb_pool pool;
  sb_kde a, b;
  double threshold, bandwidth[2];
  fill_pool(&pool, mated, nonmated);
  assert_ok(sb_kde_open(&pool, pool.mated, 1, &a));
  assert_ok(sb_kde_open(&pool, pool.nonmated, 1, &b));
  for (int i = 0; i < 29; i++) {
    double x = -0.5 + 0.07 * i;
    near(exp(sb_kde_log_density(&a, x)), plain_density(mated, a.bandwidth, x), 1e-9, "density");
    near(exp(sb_kde_log_density(&b, x)), plain_density(nonmated, b.bandwidth, x), 1e-9, "density");
  }
  // Far out only the nearest point counts: no underflow.
  near(sb_kde_log_density(&b, 40) / (-0.5 * pow((40 - 0.65) / b.bandwidth, 2)), 1, 1e-3, "far out");
  assert_ok(sb_kde_threshold(&pool, &threshold, bandwidth));
  near(plain_density(mated, a.bandwidth, threshold),
       plain_density(nonmated, b.bandwidth, threshold), 1e-9, "crossing");
  // 0.9 min(sd, IQR / 1.34) n^(-1/5): quartiles of the non-mated at 0.2167 and 0.4 exactly.
  double sum = 0, squares = 0;
  for (int bin = 0; bin < 10; bin++) sum += nonmated[bin] * (0.1 * bin + 0.05) / 20;
  for (int bin = 0; bin < 10; bin++) squares += nonmated[bin] * pow(0.1 * bin + 0.05 - sum, 2) / 19;
  double iqr = 0.4 - (0.2 + 0.1 / 6);
  near(bandwidth[1], 0.9 * fmin(sqrt(squares), iqr / 1.34) * pow(20, -0.2), 1e-12, "bandwidth");
  sb_kde_close(&a);
  sb_kde_close(&b);
  sb_pool_free(&pool);
}

static void test_bounds_and_normal_tail(void **state) {
  (void)state;
  near(sb_zero_error_bound(3, 0.05), 1 - cbrt(0.05), 1e-12, "three people");
  near(sb_zero_error_bound(28, 0.05), 0.1015, 1e-4, "twenty-eight people");
  near(sb_zero_error_bound(0, 0.05), 1, 0, "nobody");
  near(sb_log_upper(3), log(0.0013498980316301), 1e-9, "three sigma");
  near(sb_log_upper(29.999), sb_log_upper(30.001), 0.07, "where the series begins");
  near(sb_log_upper(40), -804.608442, 1e-5, "forty sigma");
  near(sb_normal_quantile(0.975), 1.959963985, 1e-8, "quantile");
  for (int x = -5; x < 35; x++)
    near(sb_upper_quantile(sb_log_upper(x)), x, 1e-6, "quantile of a tail");
}

// ---- A study ------------------------------------------------------------------------------------

static sb_evaluate_options few_replicates(void) {
  sb_evaluate_options options = sb_evaluate_options_default();
  options.fpir = 0.1;
  options.replicates = 100;
  return options;
}

static const sb_scale SIMILARITY = {.direction = 1}, DISTANCE = {.direction = -1};

static void evaluate(const sb_study *study, const sb_scale *scale,
                     const sb_evaluate_options *options, sb_evaluation *out) {
  double closest = -INFINITY;
  sb_given given;
  for (int64_t p = 0; p < study->probes; p++)
    if (!isnan(study->best_nonmated[p])) closest = fmax(closest, study->best_nonmated[p]);
  assert_ok(sb_figures_of_study(study, "simulated", scale, closest, options, out, &given));
}

static void test_studies(void **state) {
  (void)state;
  for (int self = 0; self < 2; self++) {
    simulation s = sim_default();
    sb_study study;
    sb_evaluation e, other;
    s.people = 120;
    s.mated_people = 80;
    s.self = self == 1;
    assert_ok(sim_study(&s, &study));
    sb_evaluate_options options = few_replicates();
    options.threads = 1;
    evaluate(&study, &SIMILARITY, &options, &e);
    assert_int_equal(e.people, 120);
    assert_int_equal(e.mated_people, 80);
    assert_int_equal(e.mated_pairs, 80);
    assert_int_equal(e.nonmated_pairs, self ? 200 * 199 / 2 - 80 : 80 * 120 - 80);
    near(e.auc, sim_true_auc(&s), 0.06, "AUC");
    near(e.d_prime, 2, 0.4, "d-prime");
    near(e.fpir_gallery, self ? (80 * 2 * 198 + 40 * 199) / 200.0 : 119, 1e-9, "N");
    assert_true(e.auc_interval.low < e.auc && e.auc < e.auc_interval.high);
    assert_true(e.fnir_interval.low <= e.fnir && e.fnir <= e.fnir_interval.high);
    assert_true(e.kde_threshold_interval.low < e.kde_threshold_interval.high);
    assert_true(e.why[0][0] == '\0');

    // FNIR and FPIR by definition; and FPIR at the threshold as tables tell it.
    int64_t found = 0, found_as_told = 0, missed = 0, mated = 0;
    char told[32];
    snprintf(told, sizeof told, "%.9g", e.fpir_threshold);
    for (int64_t p = 0; p < study.probes; p++) {
      found += study.best_nonmated[p] >= e.fpir_threshold;
      char score[32];
      snprintf(score, sizeof score, "%.9g", study.best_nonmated[p]);
      found_as_told += strtod(score, NULL) >= strtod(told, NULL);
      if (isnan(study.mate[p])) continue;
      mated++;
      missed += study.mate[p] < e.fpir_threshold;
    }
    assert_int_equal(found, study.probes / 10);
    assert_int_equal(found_as_told, found);
    near(e.fnir, (double)missed / (double)mated, 1e-12, "FNIR");

    // The same figures for any number of threads; a distance is the similarity turned round.
    options.threads = 3;
    evaluate(&study, &SIMILARITY, &options, &other);
    assert_memory_equal(&e, &other, sizeof e);
    evaluate(&study, &DISTANCE, &options, &other);
    near(other.auc, e.auc, 0, "AUC of a distance");
    near(other.kde_threshold, -e.kde_threshold, 0, "threshold of a distance");
    near(other.kde_threshold_interval.low, -e.kde_threshold_interval.high, 0, "its interval");
    near(other.margin, e.margin, 0, "margin of a distance");
    sb_study_free(&study);
  }
}

// The listed pairs make no difference to a figure of the whole; neither does how many are listed to
// its interval, much.
static void test_lists_of_any_length(void **state) {
  (void)state;
  sb_evaluation e[2];
  for (int i = 0; i < 2; i++) {
    simulation s = sim_default();
    sb_study study;
    s.people = s.mated_people = 60;
    s.self = true;
    s.top = i == 0 ? 1 : 119;
    assert_ok(sim_study(&s, &study));
    sb_evaluate_options options = few_replicates();
    evaluate(&study, &SIMILARITY, &options, e + i);
    sb_study_free(&study);
  }
  near(e[0].auc, e[1].auc, 0, "AUC");
  near(e[0].fnir, e[1].fnir, 0, "FNIR");
  double width = e[1].auc_interval.high - e[1].auc_interval.low;
  near(e[0].auc_interval.low, e[1].auc_interval.low, 0.1 * width, "lower end");
  near(e[0].auc_interval.high, e[1].auc_interval.high, 0.1 * width, "upper end");
}

// ---- Little to say ------------------------------------------------------------------------------

static void test_degenerate_studies(void **state) {
  (void)state;
  const struct {
    const char *what, *says;
    int64_t people, mated;
    double scale; // 0: all scores equal
  } cases[] = {
      {"no mated pair", "nobody is known to have two scans", 30, 0, 0.06},
      {"one person", "all scans are of one person", 1, 1, 0.06},
      {"a few mated", "only 3 people with two scans", 30, 3, 0.06},
      {"all scores equal", "no threshold by densities", 30, 20, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    simulation s = sim_default();
    sb_study study;
    sb_evaluation e;
    sb_tail tail;
    sb_proposals links;
    sb_forecaster forecaster;
    sb_forecast at;
    s.people = cases[i].people;
    s.mated_people = cases[i].mated;
    s.self = true;
    s.scale = cases[i].scale;
    assert_ok(sim_study(&s, &study));
    const sb_evaluate_options options = few_replicates();
    evaluate(&study, &SIMILARITY, &options, &e);
    bool said = false;
    for (int k = 0; k < 6; k++) said = said || strstr(e.why[k], cases[i].says) != NULL;
    if (!said) fail_msg("%s: %s; %s", cases[i].what, e.why[0], e.why[1]);
    assert_ok(sb_tail_of_study(&study, true, &tail));
    assert_ok(sb_links_propose(&study, &tail, 0.01, true, false, &links));
    if (cases[i].scale == 0) {
      assert_int_equal(links.count, 0);
      near(e.auc, 0.5, 0, "AUC of equal scores");
      near(e.eer, 0.5, 1e-12, "EER of equal scores");
      assert_true(isnan(e.d_prime));
    }
    assert_ok(sb_forecast_open(&study, true, 1, &forecaster));
    assert_ok(sb_forecast_at(&forecaster, 1e6, 0.5, &at));
    assert_true(isnan(at.fpir) || (at.fpir_low <= at.fpir_high && at.fpir_high <= 1));
    assert_false(at.valid);
    sb_forecast_close(&forecaster);
    sb_proposals_free(&links);
    sb_study_free(&study);
  }
}

// With every pair right, bounds are of people, not of pairs.
static void test_perfect_separation(void **state) {
  (void)state;
  simulation s = sim_default();
  sb_study study;
  sb_evaluation e;
  s.people = 40;
  s.mated_people = 12;
  s.distance = 14;
  s.self = true;
  assert_ok(sim_study(&s, &study));
  const sb_evaluate_options options = few_replicates();
  evaluate(&study, &SIMILARITY, &options, &e);
  assert_true(e.auc == 1 && e.eer == 0 && e.fnir == 0 && e.rank1 == 1);
  near(e.rank1_interval.low, pow(0.05, 1.0 / 12), 1e-12, "rank-1");
  near(e.fnir_interval.high, 1 - pow(0.05, 1.0 / 12), 1e-12, "FNIR");
  near(e.auc_interval.low, pow(0.05, 1.0 / 12), 1e-12, "AUC");
  near(e.eer_interval.high, 1 - pow(0.025, 1.0 / 12), 1e-12, "EER");
  near(e.kde_fmr_interval.high, 1 - pow(0.05, 1.0 / 20), 1e-12, "FMR");
  sb_study_free(&study);
}

// ---- Links --------------------------------------------------------------------------------------

static void test_links(void **state) {
  (void)state;
  for (int self = 0; self < 2; self++) {
    simulation s = sim_default();
    sb_study study;
    sb_tail with, without;
    sb_proposals links;
    s.people = 40;
    s.mated_people = self ? 10 : 30;
    s.self = self == 1;
    s.distance = 12;
    assert_ok(sim_study(&s, &study));
    assert_ok(sb_tail_of_study(&study, true, &with));
    assert_ok(sb_tail_of_study(&study, false, &without));
    assert_ok(sb_links_propose(&study, &with, 0.01, true, false, &links));
    assert_int_equal(links.count, s.mated_people);
    for (int64_t i = 0; i < links.count; i++) {
      assert_int_equal(links.items[i].pair.kind, SB_PAIR_MATED);
      assert_true(links.items[i].expected_false <= 0.01 && links.items[i].margin > 0);
      assert_true(i == 0 || links.items[i].pair.score <= links.items[i - 1].pair.score);
    }
    // Many mates do not bend the tail much: the threshold is nearly that without them.
    double threshold = links.threshold;
    sb_proposals_free(&links);
    assert_ok(sb_links_propose(&study, &without, 0.01, false, false, &links)); // the control attack
    assert_int_equal(links.count, 0);
    near(threshold, links.threshold, 2 * s.scale, "threshold without mates");
    sb_proposals_free(&links);
    sb_study_free(&study);
  }
}

// The tail, and so the threshold of links, is of the scores: however many of them were listed. Mates fill the lists
// of those who have any, so without them two lines are needed.
static void test_tail_whatever_is_listed(void **state) {
  (void)state;
  static const int64_t tops[] = {40, 10, 2, 1};
  for (int self = 0; self < 2; self++)
    for (int mates = 0; mates < 2; mates++) {
      sb_tail all;
      for (size_t i = 0; i < sizeof tops / sizeof *tops - (mates ? 0 : 1); i++) {
        simulation s = sim_default();
        sb_study study;
        sb_tail tail;
        s.people = 40;
        s.mated_people = self ? 10 : 30;
        s.self = self == 1;
        s.distance = 6;
        s.top = tops[i];
        assert_ok(sim_study(&s, &study));
        assert_ok(sb_tail_of_study(&study, mates == 1, &tail));
        assert_true(tail.known);
        if (i == 0) all = tail;
        for (int tenths = -5; tenths < 10; tenths++)
          near(sb_tail_above(&tail, 0.1 * tenths), sb_tail_above(&all, 0.1 * tenths), 0, "tail");
        sb_study_free(&study);
      }
    }
}

// A hundred thousand scans against as many, each with a mate: more mates than the tail has pairs. They leave it as
// it is without them, and are all beyond chance.
static void test_more_mates_than_the_tail_has_pairs(void **state) {
  (void)state;
  enum { BINS = 200 };
  static const double location = 0.22, scale = 0.05, all = 1e10, mates = 1e5;
  static double counts[BINS];
  static sb_tail tails[2];
  for (int bin = 0; bin < BINS; bin++) {
    const double from = (atanh(fmax(bin / 100.0 - 1, -1 + 1e-12)) - location) / scale;
    const double to = (atanh(fmin((bin + 1) / 100.0 - 1, 1 - 1e-12)) - location) / scale;
    counts[bin] = round(all * (sb_normal_upper(from) - sb_normal_upper(to)));
  }
  const sb_tail_data data = {.low = -1,
                             .high = 1,
                             .fisher = true,
                             .bins = BINS,
                             .counts = counts,
                             .xi_sd = 0.15,
                             .log_sigma_sd = 0.5};
  for (int with = 0; with < 2; with++) {
    if (with) counts[193] += 0.3 * mates;
    if (with) counts[194] += 0.7 * mates;
    assert_true(sb_tail_place(&data, tails + with));
    assert_ok(sb_tail_fit(&data, 1, tails + with));
    assert_true(tails[with].known);
    assert_in_range((int)tails[with].exceedances, 50, 5000);
    near(tails[with].location, location, 0.01, "location");
  }
  assert_int_equal(tails[1].first_bin, tails[0].first_bin);
  near(tails[1].exceedances, tails[0].exceedances, 0, "exceedances");
  for (int tenths = 5; tenths < 9; tenths++)
    near(log10(sb_tail_above(tails + 1, 0.1 * tenths)), log10(sb_tail_above(tails, 0.1 * tenths)),
         0.01, "tail");
  assert_true(all * sb_tail_above(tails + 1, 0.9) < 0.01);
}

// Three scans of one person: all three links, or one where each scan may be in one.
static void test_one_to_one(void **state) {
  (void)state;
  simulation s = sim_default();
  sb_study study;
  sb_tail tail;
  sb_proposals links;
  s.people = 30;
  s.mated_people = 0;
  s.self = true;
  assert_ok(sim_study(&s, &study));
  assert_ok(sb_tail_of_study(&study, true, &tail));
  static const double scores[3] = {0.9, 0.95, 0.92}; // 0-1, 0-2, 1-2
  for (int64_t i = 0; i < 3; i++) {
    int64_t a = i == 2 ? 1 : 0, b = i == 0 ? 1 : 2;
    study.matches.items[2 * i] = (sb_listed){a, b, 1, scores[i], SB_PAIR_MATED};
    study.matches.items[2 * i + 1] = (sb_listed){b, a, 1, scores[i], SB_PAIR_MATED};
  }
  study.matches.count = 6;
  assert_ok(sb_links_propose(&study, &tail, 0.01, true, false, &links));
  assert_int_equal(links.count, 3);
  assert_true(links.items[0].pair.probe == 0 && links.items[0].pair.gallery == 2);
  sb_proposals_free(&links);
  assert_ok(sb_links_propose(&study, &tail, 0.01, true, true, &links));
  assert_int_equal(links.count, 1);
  near(links.items[0].pair.score, 0.95, 0, "the closest");
  sb_proposals_free(&links);
  sb_study_free(&study);
}

// Nobody has a mate: no more cohorts with a proposal than promised.
static void test_cohorts_without_mates(void **state) {
  (void)state;
  enum { COHORTS = 100 };
  int with[2] = {0};
  static const double limits[2] = {0.01, 0.1};
  for (int i = 0; i < COHORTS; i++) {
    simulation s = sim_default();
    sb_study study;
    sb_tail tail;
    s.people = 40;
    s.mated_people = 0;
    s.self = true;
    s.shape = (sim_shape)(i % 3);
    s.effect = i % 2 == 0 ? 0 : 0.15;
    s.seed = 300 + (uint64_t)i;
    assert_ok(sim_study(&s, &study));
    assert_ok(sb_tail_of_study(&study, true, &tail));
    for (int k = 0; k < 2; k++) {
      sb_proposals links;
      assert_ok(sb_links_propose(&study, &tail, limits[k], true, false, &links));
      with[k] += links.count > 0;
      sb_proposals_free(&links);
    }
    sb_study_free(&study);
  }
  // The upper ends of binomial 95 % intervals of 0.01 and 0.1; and the rule does propose at times.
  if (with[0] > 3 || with[1] > 16 || with[1] < 1)
    fail_msg("%d and %d of %d cohorts", with[0], with[1], COHORTS);
}

// The tail of normal scores, far beyond what was seen: on average over a few cohorts.
static void test_tail_of_normal_scores(void **state) {
  (void)state;
  enum { COHORTS = 12, LEAST = 2, MOST = 6 };
  double sum[MOST + 1] = {0};
  for (int i = 0; i < COHORTS; i++) {
    simulation s = sim_default();
    sb_study study;
    sb_tail tail;
    s.people = 200;
    s.mated_people = 0;
    s.self = true;
    s.effect = 0;
    s.scale = 0.01; // so small that the Fisher transform changes nothing
    s.bins = 20000;
    s.seed = 50 + (uint64_t)i;
    assert_ok(sim_study(&s, &study));
    assert_ok(sb_tail_of_study(&study, true, &tail));
    assert_true(tail.known);
    near(tail.location, 0, 3e-4, "location");
    near(tail.scale, 0.01, 4e-4, "scale");
    near(tail.cluster, 1, 0.5, "clusters");
    for (int sigmas = LEAST; sigmas <= MOST; sigmas++)
      sum[sigmas] += log10(sb_tail_above(&tail, 0.01 * sigmas)) / COHORTS;
    sb_study_free(&study);
  }
  // What is not known of the tail makes far probabilities larger, never smaller.
  for (int sigmas = LEAST; sigmas <= MOST; sigmas++) {
    double error = sum[sigmas] - sb_log_upper(sigmas) / log(10);
    if (error < -0.05 - 0.1 * (sigmas - LEAST) || error > 0.05 + 0.3 * (sigmas - LEAST))
      fail_msg("tail at %d sigma: off by %g decades", sigmas, error);
  }
}

// ---- Forecast -----------------------------------------------------------------------------------

// Quarters of 24 pairs that end in gaps between the bins that are used: whatever the counts' last bits, the bulk is the same.
static void test_quarters_that_end_in_gaps(void **state) {
  (void)state;
  enum { BINS = 100 };
  static const int filled[4] = {10, 40, 50, 90};
  sb_tail *tails = calloc(3, sizeof *tails);
  assert_non_null(tails);
  for (int i = 0; i < 3; i++) {
    double counts[BINS] = {0};
    for (int f = 0; f < 4; f++) counts[filled[f]] = 6 * (1 + (f == 0 ? 1e-14 * (i - 1) : 0));
    const sb_tail_data data = {.low = -1, .high = 1, .bins = BINS, .counts = counts};
    assert_true(sb_tail_place(&data, tails + i));
    near(tails[i].scale, tails[0].scale, 1e-9, "scale");
    near(tails[i].location, tails[0].location, 1e-9, "location");
  }
  free(tails);
}

// The effect of one person in a thousand, as drawn from what is known of 500 people's: of a normal
// distribution, a skewed and a heavy-tailed one. Exact quantiles stand for the sample.
static void test_effects(void **state) {
  (void)state;
  enum { PEOPLE = 500, DRAWS = 2000, NODE = 30 }; // node 30: the normal quantile 3
  static const double g[] = {0, 0.3, 0}, h[] = {0, 0, 0.1};
  sb_effects *effects = malloc(sizeof *effects);
  assert_non_null(effects);
  near(sb_effect_node(NODE), 3, 1e-12, "node");
  for (int kind = 0; kind < 3; kind++) {
    double seen[PEOPLE], sum = 0, squares = 0, tail[2] = {0};
    for (int i = 0; i < PEOPLE; i++) {
      double x = sb_normal_quantile((i + 0.5) / PEOPLE);
      seen[i] = (g[kind] > 0 ? expm1(g[kind] * x) / g[kind] : x) * exp(h[kind] * x * x / 2);
      sum += seen[i];
    }
    for (int i = 0; i < PEOPLE; i++) {
      seen[i] -= sum / PEOPLE;
      squares += seen[i] * seen[i];
    }
    double sd = sqrt(squares / PEOPLE), x = 3;
    assert_ok(sb_effects_fit(seen, PEOPLE, PEOPLE, sd, 0, effects));
    for (int i = 0; i < DRAWS; i++) {
      sb_effect_draw d = sb_effects_draw(effects, (i + 0.5) / DRAWS);
      double at = d.place + d.sd * d.shape[NODE];
      tail[0] += at / DRAWS;
      tail[1] += at * at / DRAWS;
    }
    double truth = (g[kind] > 0 ? expm1(g[kind] * x) / g[kind] : x) * exp(h[kind] * x * x / 2);
    double spread = sqrt(tail[1] - tail[0] * tail[0]);
    truth -= sum / PEOPLE;
    near(tail[0], truth, 0.12 * truth, "one in a thousand");
    if (!(spread > 0.02 * truth && spread < 0.2 * truth)) fail_msg("spread %g", spread / truth);
  }
  // Nothing but chance: no effects.
  const double noise[3] = {-0.1, 0, 0.1};
  assert_ok(sb_effects_fit(noise, 3, 3, 0.1, 0.02, effects));
  sb_effect_draw none = sb_effects_draw(effects, 0.3);
  assert_true(effects->sd == 0 && none.sd == 0 && none.place == 0);
  free(effects);
}

static void test_forecast(void **state) {
  (void)state;
  simulation s = sim_default();
  sb_study study;
  sb_forecaster f;
  sb_forecast at, again;
  s.people = s.mated_people = 300;
  s.distance = 4.5;
  s.self = true;
  assert_ok(sim_study(&s, &study));
  assert_ok(sb_forecast_open(&study, true, 1, &f));
  near(f.effects.sd, sqrt(s.effect) * s.scale, 0.1 * s.scale, "effects");
  double t = sim_true_threshold(&s, 5000, 0.05);
  assert_ok(sb_forecast_at(&f, 5000, t, &at));
  assert_true(at.valid && at.fpir_low < 0.05 && 0.05 < at.fpir_high);
  assert_true(at.fpir_high / at.fpir_low < 30);
  assert_true(at.rank1_low <= at.rank1 && at.rank1 <= at.rank1_high);
  near(at.rank1, sim_true_rank1(&s, 5000), 0.04, "rank-1");
  assert_ok(sb_forecast_at(&f, 5000, t, &again));
  assert_true(at.fpir_low == again.fpir_low && at.fpir_high == again.fpir_high &&
              at.rank1_low == again.rank1_low && at.rank1 == again.rank1);
  double before = at.fpir;
  assert_ok(sb_forecast_at(&f, 1e6, t, &at));
  assert_true(at.fpir > before && !at.valid);
  // The interval holds the figure, also where nearly all draws say that nobody is found.
  for (int i = 0; i <= 20; i++) {
    assert_ok(sb_forecast_at(&f, 5000, t + (1 - t) * i / 21, &at));
    assert_true(at.fpir_low <= at.fpir && at.fpir <= at.fpir_high);
    assert_true(at.fpir_binomial >= 0);
  }
  sb_forecast_close(&f);
  // Where nobody is known, no match is known to be a false one.
  assert_ok(sb_forecast_open(&study, false, 1, &f));
  assert_ok(sb_forecast_at(&f, 5000, t, &at));
  assert_true(at.fpir > 0 && isnan(at.fpir_binomial));
  sb_forecast_close(&f);
  sb_study_free(&study);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rates_by_hand),
      cmocka_unit_test(test_densities),
      cmocka_unit_test(test_bounds_and_normal_tail),
      cmocka_unit_test(test_studies),
      cmocka_unit_test(test_lists_of_any_length),
      cmocka_unit_test(test_degenerate_studies),
      cmocka_unit_test(test_perfect_separation),
      cmocka_unit_test(test_links),
      cmocka_unit_test(test_tail_whatever_is_listed),
      cmocka_unit_test(test_more_mates_than_the_tail_has_pairs),
      cmocka_unit_test(test_one_to_one),
      cmocka_unit_test(test_cohorts_without_mates),
      cmocka_unit_test(test_tail_of_normal_scores),
      cmocka_unit_test(test_quarters_that_end_in_gaps),
      cmocka_unit_test(test_effects),
      cmocka_unit_test(test_forecast),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
