// bench_coverage: do the figures of an evaluation keep what their intervals promise? Simulates
// studies whose truth is known and counts. Usage: bench_coverage [intervals|bounds|strata|null|null-two|forecast|rank]
// [STUDIES] [PEOPLE] [SEED] [TRUTH]. Seeds are fixed: the same figures every time.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/simulate.h"
#include "core/random.h"
#include "evaluate/bootstrap.h"
#include "evaluate/differential.h"
#include "evaluate/exact.h"
#include "evaluate/forecast.h"
#include "evaluate/links.h"
#include "evaluate/normal.h"

typedef struct tally {
  int covered, tried;
  double width;
} tally;

static void count(tally *t, double low, double high, double truth) {
  if (isnan(low) || isnan(high)) return;
  t->tried++;
  t->covered += low <= truth && truth <= high;
  t->width += high - low;
}

static void show(const char *name, const tally *t) {
  printf("  %-26s %5.1f %% of %d, mean width %.4f\n", name, 100.0 * t->covered / t->tried, t->tried,
         t->width / t->tried);
}

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_coverage: %s\n", status.message);
  exit(1);
}

static void intervals(int studies, int64_t people, bool self) {
  tally auc = {0}, d_prime = {0}, fnir = {0}, tar = {0};
  simulation s = sim_default();
  s.people = s.mated_people = people;
  s.self = self;
  double others = self ? 2 * (double)people - 2 : (double)people - 1;
  double threshold = sim_true_threshold(&s, others, 0.1);
  printf("95 %% intervals, %d studies of %lld people, %s, d-prime %.1f, effects %.2f:\n", studies,
         (long long)people, self ? "one store" : "two stores", s.distance, s.effect);
  for (int i = 0; i < studies; i++) {
    sb_study study;
    sb_search search;
    sb_values low, high;
    s.seed = 1000 + (uint64_t)i;
    must(sim_study(&s, &study));
    must(sb_search_open(&study, &search));
    const sb_bootstrap b = {
        .study = &study, .search = &search, .fpir = 0.1, .replicates = 500, .seed = s.seed};
    must(sb_values_intervals(&b, &low, &high));
    count(&auc, low.auc, high.auc, sim_true_auc(&s));
    count(&d_prime, low.d_prime, high.d_prime, s.distance);
    if (!self) count(&fnir, low.fnir, high.fnir, sim_true_fnmr(&s, threshold));
    count(&tar, low.tar[1], high.tar[1], 1 - sim_true_fnmr(&s, sb_normal_quantile(0.99) * s.scale));
    sb_search_close(&search);
    sb_study_free(&study);
  }
  show("AUC", &auc);
  show("d-prime", &d_prime);
  if (!self) show("FNIR at FPIR 0.1", &fnir);
  show("TAR at FAR 0.01", &tar);
}

// Errors at a fixed threshold, rare enough to be often unseen: how often is the bound too low?
static void bounds(int studies, int64_t people) {
  static const double rates[] = {0.005, 0.01, 0.015, 0.02, 0.03};
  printf("zero-error bounds by people, %d studies of %lld people:\n", studies, (long long)people);
  for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
    int none = 0, wrong = 0, none_far = 0, wrong_far = 0;
    double above = -sb_normal_quantile(rates[r]);
    for (int i = 0; i < studies; i++) {
      simulation s = sim_default();
      sb_study study;
      s.people = s.mated_people = people;
      s.seed = 5000 + (uint64_t)i;
      must(sim_study(&s, &study));
      int64_t missed = 0, false_pairs = 0;
      for (int64_t k = 0; k < study.mated.count; k++)
        missed += study.mated.items[k].score < s.scale * (s.distance - above);
      // Non-mated pairs so rare that some studies see none.
      double rate = rates[r] / 1000, t = -sb_normal_quantile(rate) * s.scale;
      for (int64_t p = 0; p < study.probes; p++) false_pairs += study.best_nonmated[p] >= t;
      none += missed == 0;
      wrong += missed == 0 && sb_zero_error_bound(people, SB_ALPHA) < rates[r];
      none_far += false_pairs == 0;
      wrong_far += false_pairs == 0 && sb_zero_error_bound(people / 2, SB_ALPHA) < rate;
      sb_study_free(&study);
    }
    printf(
        "  FNMR %.3f: none seen in %d studies, bound below the truth in %.1f %%; FMR %.6f: none in "
        "%d, below in %.1f %%\n",
        rates[r], none, 100.0 * wrong / studies, rates[r] / 1000, none_far,
        100.0 * wrong_far / studies);
  }
}

// Rates of the searches and pairs of one of two scanners, which fall to scans at random.
static void strata(int studies, int64_t people, bool self) {
  enum { OF_ONE = 2 }; // of pairs: all, same, one and one
  tally fnmr = {0}, fnir = {0}, fpir = {0}, fmr = {0};
  char *names[] = {"one", "two"};
  const sb_by by = {.column = "scanner"};
  const sb_scale scale = {.direction = 1};
  simulation s = sim_default();
  s.people = s.mated_people = people;
  s.self = self;
  double threshold = sim_true_threshold(&s, (double)people - 1, 0.1);
  printf("95 %% intervals by strata, %d studies of %lld people, %s, a random half of the scans:\n",
         studies, (long long)people, self ? "one store" : "two stores");
  for (int i = 0; i < studies; i++) {
    sb_study study;
    sb_evaluation e = {0};
    sb_evaluate_options options = sb_evaluate_options_default();
    s.seed = 3000 + (uint64_t)i;
    options.replicates = 500;
    must(sim_study(&s, &study));
    double *value = malloc((size_t)(study.probes + study.gallery) * sizeof *value);
    if (value == NULL) exit(1);
    for (int64_t k = 0; k < study.probes + study.gallery; k++)
      value[k] = (double)(sb_random_bits(s.seed, (uint64_t)k) % 2);
    sb_covariate scanner = {.by = &by,
                            .kind = SB_CATEGORIES,
                            .probe = value,
                            .gallery = value + (self ? 0 : study.probes),
                            .names = names,
                            .categories = 2};
    const sb_covariates covariates = {.items = &scanner, .count = 1};
    must(sb_differentials_of_study(&study, &scale, threshold, &covariates, &options, &e));
    const sb_stratum *pairs = e.differentials->pairs + OF_ONE,
                     *searches = e.differentials->searches + 1;
    const double missed = sim_true_fnmr(&s, threshold);
    count(&fnmr, pairs->fnmr_interval.low, pairs->fnmr_interval.high, missed);
    count(&fmr, searches->fmr_interval.low, searches->fmr_interval.high,
          sb_normal_upper(threshold / s.scale));
    if (!self) { // else each search has two chances of a mate
      count(&fnir, searches->fnir_interval.low, searches->fnir_interval.high, missed);
      count(&fpir, searches->fpir_interval.low, searches->fpir_interval.high, 0.1);
    }
    sb_evaluation_free(&e);
    sb_study_free(&study);
    free(value);
  }
  show("FNMR", &fnmr);
  show("FMR", &fmr);
  if (!self) show("FNIR", &fnir);
  if (!self) show("FPIR", &fpir);
}

static const char *const SHAPES[] = {"normal", "skewed", "heavy-tailed"};

// Cohorts in which nobody has a mate: how many get a proposal? Of two stores everybody is in both, and mates are
// taken out, as for the control attack.
static void null(int studies, int64_t people, bool self) {
  static const double limits[] = {0.01, 0.1, 1};
  printf("%s of %lld people without mates, of %d those with a link proposed:\n",
         self ? "cohorts" : "two stores", (long long)people, studies);
  for (int shape = SIM_NORMAL; shape <= SIM_HEAVY; shape++)
    for (int clustered = 0; clustered < 2; clustered++) {
      int with[3] = {0};
      double links[3] = {0}, xi = 0, sigma = 0;
      for (int i = 0; i < studies; i++) {
        simulation s = sim_default();
        sb_study study;
        sb_tail tail;
        s.people = people;
        s.mated_people = self ? 0 : people;
        s.self = self;
        s.shape = (sim_shape)shape;
        s.effect = clustered ? 0.15 : 0;
        s.seed = 9000 + (uint64_t)i;
        must(sim_study(&s, &study));
        must(sb_tail_of_study(&study, self, &tail));
        xi += tail.xi / studies;
        sigma += tail.sigma / studies;
        for (int k = 0; k < 3; k++) {
          sb_proposals proposals;
          must(sb_links_propose(&study, &tail, limits[k], self, false, &proposals));
          with[k] += proposals.count > 0;
          links[k] += (double)proposals.count;
          sb_proposals_free(&proposals);
        }
        sb_study_free(&study);
      }
      printf("  %-12s %-11s", SHAPES[shape], clustered ? "clustered" : "independent");
      for (int k = 0; k < 3; k++)
        printf("  %g: %d (%.2f links)", limits[k], with[k], links[k] / studies);
      printf("  xi %.2f sigma %.2f\n", xi, sigma);
    }
}

static int descending(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return a > b ? -1 : a < b;
}

// What the forecast must hold for: each a way in which scores may come about.
typedef struct truth {
  const char *name;
  double effect;
  sim_shape shape;
  sim_effects effects;
  double spread;
  int64_t families;
  double likeness;
} truth;

static const truth TRUTHS[] = {
    {"normal", .effect = 0.15},
    {"no effects", .effect = 0},
    {"effects 5 %", .effect = 0.05},
    {"effects 30 %", .effect = 0.3},
    {"skewed", .effect = 0.15, .shape = SIM_SKEWED},
    {"heavy-tailed", .effect = 0.15, .shape = SIM_HEAVY},
    {"skewed effects", .effect = 0.15, .effects = SIM_EFFECTS_SKEWED},
    {"heavy effects", .effect = 0.15, .effects = SIM_EFFECTS_HEAVY},
    {"people's spread", .effect = 0.15, .spread = 0.1},
    {"ten sites", .effect = 0.15, .families = 10, .likeness = 0.5},
    {"500 clans", .effect = 0.15, .families = 500, .likeness = 1},
    {"look-alikes", .effect = 0.15, .families = 5000, .likeness = 3},
};

static simulation simulate(const truth *t, int64_t people, uint64_t seed) {
  simulation s = sim_default();
  s.people = people;
  s.mated_people = 0;
  s.self = true;
  s.effect = t->effect;
  s.shape = t->shape;
  s.effects = t->effects;
  s.spread = t->spread;
  s.families = t->families;
  s.likeness = t->likeness;
  s.seed = seed;
  return s;
}

enum { MOST_STUDIES = 1000 };

// Cohorts of 10^4 people, of whom the forecast sees a few.
static void forecast(int studies, int64_t people, int64_t cohort, uint64_t seed, const char *only) {
  static const double rates[] = {0.1, 0.01};
  double *best = malloc((size_t)cohort * sizeof *best);
  if (best == NULL) exit(1);
  if (studies > MOST_STUDIES) studies = MOST_STUDIES;
  printf("FPIR of cohorts of %lld people forecast from %lld of them, %d repetitions:\n",
         (long long)cohort, (long long)people, studies);
  for (const truth *t = TRUTHS; t < TRUTHS + sizeof TRUTHS / sizeof *TRUTHS; t++) {
    tally hit[2] = {{0}};
    int below[2] = {0};
    double sum[2] = {0}, binomial[2] = {0}, ratios[2][MOST_STUDIES];
    if (only != NULL && strcmp(only, t->name) != 0) continue;
    for (int i = 0; i < studies; i++) {
      simulation s = simulate(t, cohort, seed + (uint64_t)i);
      sb_study study;
      sb_forecaster f;
      must(sim_closest(&s, best));
      qsort(best, (size_t)cohort, sizeof *best, descending);
      s.people = people;
      must(sim_study(&s, &study));
      must(sb_forecast_open(&study, true, 1, &f));
      for (int k = 0; k < 2; k++) {
        sb_forecast at;
        double threshold = best[(int64_t)(rates[k] * (double)cohort) - 1];
        must(sb_forecast_at(&f, (double)cohort - 1, threshold, &at));
        count(&hit[k], at.fpir_low, at.fpir_high, rates[k]);
        below[k] += rates[k] < at.fpir_low;
        sum[k] += at.fpir / studies;
        binomial[k] += at.fpir_binomial / studies;
        ratios[k][i] = at.fpir_high / at.fpir_low;
      }
      sb_forecast_close(&f);
      sb_study_free(&study);
    }
    for (int k = 0; k < 2; k++) {
      qsort(ratios[k], (size_t)studies, sizeof *ratios[k], descending);
      printf("  %-15s FPIR %.2f: within in %d of %d (%d below, %d above), median upper/lower %.1f, "
             "mean forecast %.4f, binomial %.4f\n",
             t->name, rates[k], hit[k].covered, hit[k].tried, below[k],
             hit[k].tried - hit[k].covered - below[k], ratios[k][studies / 2], sum[k], binomial[k]);
    }
    fflush(stdout);
  }
  free(best);
}

// Rank-1 and FPIR among 10^4 others, forecast from studies of two stores in which everybody has a scan
// in each.
static void rank(int studies, int64_t people, uint64_t seed) {
  static const double distances[] = {4, 5, 6}, effects[] = {0.05, 0.15, 0.3};
  const double others = 10000;
  printf("rank-1 among %.0f others forecast from %lld people, %d repetitions:\n", others,
         (long long)people, studies);
  for (int d = 0; d < 3; d++)
    for (int e = 0; e < 3; e++) {
      simulation s = sim_default();
      tally hit = {0}, fpir = {0};
      double sum = 0, ratio = 0;
      s.people = s.mated_people = people;
      s.distance = distances[d];
      s.effect = effects[e];
      double expected = sim_true_rank1(&s, others);
      double threshold = sim_true_threshold(&s, others, 0.01);
      for (int i = 0; i < studies; i++) {
        sb_study study;
        sb_forecaster f;
        sb_forecast at;
        s.seed = seed + (uint64_t)i;
        must(sim_study(&s, &study));
        must(sb_forecast_open(&study, true, 1, &f));
        must(sb_forecast_at(&f, others, threshold, &at));
        count(&hit, at.rank1_low, at.rank1_high, expected);
        count(&fpir, at.fpir_low, at.fpir_high, 0.01);
        ratio += log(at.fpir_high / at.fpir_low) / studies;
        sum += at.rank1 / studies;
        sb_forecast_close(&f);
        sb_study_free(&study);
      }
      printf(
          "  d-prime %.0f, effects %2.0f %%: rank-1 %.3f, mean forecast %.3f, within in %d of %d, "
          "mean width %.3f; FPIR 0.01 within in %d, mean upper/lower %.1f\n",
          s.distance, 100 * s.effect, expected, sum, hit.covered, hit.tried, hit.width / hit.tried,
          fpir.covered, exp(ratio));
      fflush(stdout);
    }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "all";
  int studies = argc > 2 ? atoi(argv[2]) : 0;
  int64_t people = argc > 3 ? atoll(argv[3]) : 0;
  bool all = strcmp(what, "all") == 0;
  if (all || strcmp(what, "intervals") == 0) {
    intervals(studies > 0 ? studies : 1000, people > 0 ? people : 200, false);
    intervals(studies > 0 ? studies : 1000, people > 0 ? people : 200, true);
  }
  if (all || strcmp(what, "bounds") == 0)
    bounds(studies > 0 ? studies : 1000, people > 0 ? people : 200);
  if (all || strcmp(what, "strata") == 0) {
    strata(studies > 0 ? studies : 1000, people > 0 ? people : 200, false);
    strata(studies > 0 ? studies : 1000, people > 0 ? people : 200, true);
  }
  if (all || strcmp(what, "null") == 0)
    null(studies > 0 ? studies : 100, people > 0 ? people : 30, true);
  if (all || strcmp(what, "null-two") == 0)
    null(studies > 0 ? studies : 100, people > 0 ? people : 30, false);
  if (all || strcmp(what, "forecast") == 0)
    forecast(studies > 0 ? studies : 50, people > 0 ? people : 500, 10000,
             argc > 4 ? (uint64_t)atoll(argv[4]) : 220000, argc > 5 ? argv[5] : NULL);
  if (all || strcmp(what, "rank") == 0)
    rank(studies > 0 ? studies : 40, people > 0 ? people : 300, 820000);
  return 0;
}
