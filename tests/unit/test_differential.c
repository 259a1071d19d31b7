// Differential performance: simulated studies against plain counting, and what evaluate writes of them.
#include "cohort.h"

#include <cjson/cJSON.h>

#include "core/order.h"
#include "evaluate/differential.h"
#include "evaluate/exact.h"
#include "evaluate/strata.h"
#include "samebrain/evaluate.h"
#include "samebrain/link.h"
#include "samebrain/report.h"
#include "simulate.h"

static void near(double value, double expected, double tolerance, const char *what) {
  if (isnan(value) && isnan(expected)) return;
  if (!(fabs(value - expected) <= tolerance)) fail_msg("%s: %.9g, not %.9g", what, value, expected);
}

// ---- Simulated studies, counted plainly ---------------------------------------------------------

static const char *const SCANNERS[] = {"Avanto", "Prisma", "Trio"};

// Covariates of a study's scans: one in eight has none.
typedef struct made {
  sb_by by[2];
  sb_covariate items[2]; // a scanner, an age
  sb_covariates all;
} made;

static void make_covariates(const sb_study *study, made *m) {
  uint64_t state = 99;
  m->by[0] = (sb_by){.column = "scanner"};
  m->by[1] = (sb_by){.column = "age", .edges = {2, 5}, .edge_count = 2};
  for (int c = 0; c < 2; c++) {
    sb_covariate *item = m->items + c;
    *item = (sb_covariate){.by = m->by + c,
                           .kind = c == 0 ? SB_CATEGORIES : SB_NUMBERS,
                           .names = (char **)SCANNERS,
                           .categories = 3};
    for (int side = 0; side < (study->self ? 1 : 2); side++) {
      int64_t count = side == 0 ? study->probes : study->gallery;
      double *values = malloc((size_t)count * sizeof *values);
      assert_non_null(values);
      for (int64_t i = 0; i < count; i++) {
        double u = uniform(&state);
        values[i] = uniform(&state) < 0.125 ? (double)NAN
                    : c == 0                ? floor(3 * u)
                                            : floor(60 + 12 * u);
      }
      if (side == 0) item->probe = values;
      if (side == 1 || study->self) item->gallery = values;
    }
  }
  m->all = (sb_covariates){.items = m->items, .count = 2};
}

static void free_covariates(const sb_study *study, made *m) {
  for (int c = 0; c < 2; c++) {
    if (!study->self) free(m->items[c].gallery);
    free(m->items[c].probe);
  }
}

// Whether a mated pair's values are those of a stratum, by its name.
static bool pair_is_in(const char *name, bool categories, double a, double b) {
  if (isnan(a) || isnan(b)) return false;
  double d = fabs(a - b);
  if (strcmp(name, "all") == 0) return true;
  if (!categories)
    return strcmp(name, "below 2") == 0  ? d < 2
           : strcmp(name, "2 to 5") == 0 ? d >= 2 && d < 5
                                         : d >= 5;
  if (strcmp(name, "same") == 0) return a == b;
  if (strcmp(name, "different") == 0) return a != b;
  char words[64];
  if (a == b) return strcmp(name, SCANNERS[(int)a]) == 0;
  snprintf(words, sizeof words, "%s - %s", SCANNERS[(int)fmin(a, b)], SCANNERS[(int)fmax(a, b)]);
  return strcmp(name, words) == 0;
}

// A search's, by the bounds in its name.
static bool search_is_in(const char *name, bool categories, double a) {
  double low = -INFINITY, high = INFINITY;
  if (isnan(a) || strcmp(name, "all") == 0) return !isnan(a);
  if (categories) return strcmp(name, SCANNERS[(int)a]) == 0;
  if (sscanf(name, "below %lf", &high) != 1 && sscanf(name, "%lf to %lf", &low, &high) < 1)
    fail_msg("bin %s", name);
  return a >= low && a < high;
}

typedef struct counted {
  double *scores;
  int64_t count, people;
  bool *seen;
} counted;

static counted start(const sb_study *study) {
  counted c = {.scores = malloc((size_t)(study->probes + study->mated.count) * sizeof(double)),
               .seen = calloc((size_t)study->people, sizeof(bool))};
  assert_true(c.scores != NULL && c.seen != NULL);
  return c;
}

static void take(counted *c, int64_t person, double score) {
  c->scores[c->count++] = score;
  c->people += !c->seen[person];
  c->seen[person] = true;
}

static void end(counted *c) {
  free(c->scores);
  free(c->seen);
}

static double median_of(const counted *c) {
  int64_t n = c->count;
  return n == 0 ? (double)NAN : (c->scores[(n - 1) / 2] + c->scores[n / 2]) / 2;
}

static void sort(counted *c) {
  qsort(c->scores, (size_t)c->count, sizeof *c->scores, sb_order_doubles);
}

// Scores of distances: the lowest closeness is the highest score.
static void check_scores(const counted *c, double direction, double low, double median,
                         double high) {
  near(low, c->count > 0 ? direction * c->scores[0] : (double)NAN, 0, "least alike");
  near(median, direction * median_of(c), 1e-12, "median");
  near(high, c->count > 0 ? direction * c->scores[c->count - 1] : (double)NAN, 0, "most alike");
}

// The exact bound where nothing was seen, an interval around the rate where people are enough.
static void check_interval(double rate, sb_interval i, int64_t people, const char *what) {
  assert_false(i.low < 0 || i.high > 1);
  if (isnan(rate)) {
    assert_true(isnan(i.low) && isnan(i.high));
  } else if (rate <= 0 || rate >= 1) {
    double bound = -expm1(log(0.05) / (double)people);
    near(rate <= 0 ? i.high : 1 - i.low, bound, 1e-12, what);
  } else if (people < SB_LEAST_PEOPLE) {
    assert_true(isnan(i.low) && isnan(i.high));
  } else if (!(i.low <= rate && rate <= i.high && i.low < i.high)) {
    fail_msg("%s: %g not within %g to %g", what, rate, i.low, i.high);
  }
}

static void check_pairs(const sb_study *study, const made *m, int item, double threshold,
                        double direction, const sb_differential *d) {
  const sb_covariate *c = m->items + item;
  int64_t without = 0;
  for (int64_t s = 0; s < d->pair_strata; s++) {
    const sb_stratum *stratum = d->pairs + s;
    counted got = start(study);
    int64_t missed = 0;
    for (int64_t i = 0; i < study->mated.count; i++) {
      const sb_listed *pair = study->mated.items + i;
      double a = c->probe[pair->probe], b = c->gallery[pair->gallery];
      without += s == 0 && (isnan(a) || isnan(b));
      if (!pair_is_in(stratum->name, item == 0, a, b)) continue;
      take(&got, study->probe_person[pair->probe], pair->score);
      missed += pair->score < threshold;
    }
    assert_int_equal(stratum->mated, got.count);
    assert_int_equal(stratum->people, got.people);
    assert_int_equal(stratum->searches, -1);
    sort(&got);
    check_scores(&got, direction, stratum->mated_min, stratum->mated_median, stratum->mated_max);
    near(stratum->fnmr, (double)missed / (double)got.count, 1e-12, stratum->name);
    check_interval(stratum->fnmr, stratum->fnmr_interval, got.people, stratum->name);
    end(&got);
  }
  assert_int_equal(d->pairs_without, without);
}

static void check_searches(const sb_study *study, const made *m, int item, double threshold,
                           double direction, const sb_differential *d) {
  const sb_covariate *c = m->items + item;
  sb_search search;
  sb_trials trials;
  assert_ok(sb_search_open(study, &search));
  assert_ok(sb_count_trials(study, &trials));
  for (int64_t s = 0; s < d->search_strata; s++) {
    const sb_stratum *stratum = d->searches + s;
    counted mates = start(study), others = start(study);
    int64_t missed = 0, first = 0, found = 0, pairs = 0, matches = 0;
    for (int64_t p = 0; p < study->probes; p++) {
      if (!search_is_in(stratum->name, item == 0, c->probe[p])) continue;
      if (!isnan(study->mate[p])) {
        take(&mates, study->probe_person[p], study->mate[p]);
        missed += study->mate[p] < threshold;
        first += search.rank[p] == 1;
      }
      take(&others, study->probe_person[p], study->best_nonmated[p]);
      found += study->best_nonmated[p] >= threshold;
      for (int64_t bin = 0; bin < study->bins; bin++)
        pairs += study->histogram[p * study->bins + bin];
      for (int64_t i = 0; i < study->matches.count; i++) {
        const sb_listed *line = study->matches.items + i;
        matches += line->probe == p && line->kind == SB_PAIR_NONMATED && line->score >= threshold;
      }
    }
    assert_int_equal(stratum->searches, others.count);
    assert_int_equal(stratum->people, others.people);
    assert_int_equal(stratum->mated, mates.count);
    assert_int_equal(stratum->mated_people, mates.people);
    assert_int_equal(stratum->nonmated_pairs, pairs);
    sort(&mates);
    sort(&others);
    check_scores(&mates, direction, stratum->mated_min, stratum->mated_median, stratum->mated_max);
    check_scores(&others, direction, direction * others.scores[0], stratum->nonmated_median,
                 stratum->nonmated_max);
    near(stratum->fnir, (double)missed / (double)mates.count, 1e-12, "FNIR");
    near(stratum->rank1, (double)first / (double)mates.count, 1e-12, "rank-1");
    near(stratum->fpir, (double)found / (double)others.count, 1e-12, "FPIR");
    near(stratum->fmr, (double)matches / (double)pairs, 1e-12, "FMR");
    check_interval(stratum->fnir, stratum->fnir_interval, mates.people, "FNIR");
    check_interval(stratum->rank1, stratum->rank1_interval, mates.people, "rank-1");
    int64_t apart = sb_smaller(others.people, trials.nonmated);
    check_interval(stratum->fpir, stratum->fpir_interval, apart, "FPIR");
    check_interval(stratum->fmr, stratum->fmr_interval, apart, "FMR");
    end(&mates);
    end(&others);
  }
  sb_search_close(&search);
}

// Spearman's correlation by its definition: Pearson's of middle ranks, each counted out.
static double spearman_of(const double *x, const double *y, int64_t n) {
  double sums[5] = {0};
  for (int64_t i = 0; i < n; i++) {
    double rank[2] = {0};
    for (int64_t k = 0; k < n; k++) {
      rank[0] += x[k] < x[i] ? 1 : x[k] == x[i] ? 0.5 : 0;
      rank[1] += y[k] < y[i] ? 1 : y[k] == y[i] ? 0.5 : 0;
    }
    const double terms[5] = {rank[0], rank[1], rank[0] * rank[0], rank[1] * rank[1],
                             rank[0] * rank[1]};
    for (int k = 0; k < 5; k++) sums[k] += terms[k] / (double)n;
  }
  return (sums[4] - sums[0] * sums[1]) /
         sqrt((sums[2] - sums[0] * sums[0]) * (sums[3] - sums[1] * sums[1]));
}

static void check_spearman(const sb_study *study, const made *m, double direction,
                           const sb_differential *d) {
  double *x = malloc((size_t)study->mated.count * sizeof *x);
  double *y = malloc((size_t)study->mated.count * sizeof *y);
  int64_t n = 0;
  assert_non_null(x);
  assert_non_null(y);
  for (int64_t i = 0; i < study->mated.count; i++) {
    const sb_listed *pair = study->mated.items + i;
    x[n] = fabs(m->items[1].probe[pair->probe] - m->items[1].gallery[pair->gallery]);
    y[n] = direction * pair->score;
    n += !isnan(x[n]);
  }
  near(d->spearman, spearman_of(x, y, n), 1e-9, "Spearman");
  assert_true(d->spearman_interval.low < d->spearman && d->spearman < d->spearman_interval.high);
  free(x);
  free(y);
}

// One store and two, similarities and distances; thresholds with errors of both kinds, with none, and one at which
// nearly every search returns somebody.
static void test_against_counting(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    simulation s = sim_default();
    s.people = 60;
    s.mated_people = 45;
    s.self = kind % 2 == 1;
    s.top = 105; // all
    s.seed = 7 + (uint64_t)kind;
    const double direction = kind < 2 ? 1 : -1;
    const sb_scale scale = {.direction = direction};
    sb_study study;
    made m;
    assert_ok(sim_study(&s, &study));
    make_covariates(&study, &m);
    static const double thresholds[] = {0.12, 0.5, 0.05};
    for (size_t t = 0; t < sizeof thresholds / sizeof *thresholds; t++) {
      const double threshold = thresholds[t];
      sb_evaluate_options options = sb_evaluate_options_default();
      sb_evaluation e = {0};
      options.replicates = 200;
      assert_ok(sb_differentials_of_study(&study, &scale, threshold, &m.all, &options, &e));
      assert_int_equal(e.differential_count, 2);
      assert_int_equal(e.differentials[0].pair_strata, 3 + 6);
      assert_int_equal(e.differentials[0].search_strata, 1 + 3);
      assert_int_equal(e.differentials[1].pair_strata, 1 + 3);
      assert_int_equal(e.differentials[1].search_strata, 1 + 4);
      for (int c = 0; c < 2; c++) {
        check_pairs(&study, &m, c, threshold, direction, e.differentials + c);
        check_searches(&study, &m, c, threshold, direction, e.differentials + c);
      }
      assert_true(isnan(e.differentials[0].spearman));
      check_spearman(&study, &m, direction, e.differentials + 1);
      sb_evaluation_free(&e);
    }
    free_covariates(&study, &m);
    sb_study_free(&study);
  }
}

// Short lists: what lies beyond them is counted by histogram, to within a bin; intervals do not depend on
// the number of threads, and without a threshold there are scores alone.
static void test_short_lists(void **state) {
  (void)state;
  simulation s = sim_default();
  s.people = s.mated_people = 60;
  sb_study all, few;
  made m;
  s.top = 100;
  assert_ok(sim_study(&s, &all));
  s.top = 2;
  assert_ok(sim_study(&s, &few));
  make_covariates(&all, &m);
  const sb_scale scale = {.direction = 1};
  sb_evaluate_options options = sb_evaluate_options_default();
  sb_evaluation e[4] = {0};
  options.threads = 1;
  assert_ok(sb_differentials_of_study(&all, &scale, 0.06, &m.all, &options, e));
  assert_ok(sb_differentials_of_study(&few, &scale, 0.06, &m.all, &options, e + 1));
  options.threads = 3;
  assert_ok(sb_differentials_of_study(&all, &scale, 0.06, &m.all, &options, e + 2));
  assert_ok(sb_differentials_of_study(&all, &scale, (double)NAN, &m.all, &options, e + 3));
  for (int64_t i = 0; i < e->differentials->search_strata; i++) {
    const sb_stratum *exact = e[0].differentials->searches + i;
    const sb_stratum *by_bins = e[1].differentials->searches + i;
    near(by_bins->fmr, exact->fmr, 0.02 * exact->fmr, "FMR");
    near(by_bins->fpir, exact->fpir, 0, "FPIR");
    const sb_stratum *again = e[2].differentials->searches + i;
    assert_memory_equal(&exact->fmr_interval, &again->fmr_interval, sizeof again->fmr_interval);
    const sb_stratum *without = e[3].differentials->searches + i;
    assert_true(isnan(without->fmr) && isnan(without->fnir) && isnan(without->fpir));
    near(without->rank1, exact->rank1, 0, "rank-1");
    near(without->mated_median, exact->mated_median, 0, "median");
  }
  for (int i = 0; i < 4; i++) sb_evaluation_free(e + i);
  free_covariates(&all, &m);
  sb_study_free(&all);
  sb_study_free(&few);
}

// Of few people a correlation has no interval.
static void test_few_people(void **state) {
  (void)state;
  simulation s = sim_default();
  s.people = s.mated_people = 9;
  sb_study study;
  made m;
  const sb_scale scale = {.direction = 1};
  sb_evaluate_options options = sb_evaluate_options_default();
  sb_evaluation e = {0};
  assert_ok(sim_study(&s, &study));
  make_covariates(&study, &m);
  assert_ok(sb_differentials_of_study(&study, &scale, 0.06, &m.all, &options, &e));
  const sb_differential *age = e.differentials + 1;
  assert_true(!isnan(age->spearman));
  assert_true(isnan(age->spearman_interval.low) && isnan(age->spearman_interval.high));
  sb_evaluation_free(&e);
  free_covariates(&study, &m);
  sb_study_free(&study);
}

// ---- Strata -------------------------------------------------------------------------------------

static void assert_bins(const double *values, int64_t count, const char *const *names) {
  const sb_by by = {.column = "x"};
  const sb_covariate c = {.by = &by, .kind = SB_NUMBERS};
  sb_sample items[40];
  sb_samples list = {items, count};
  sb_stratum *strata;
  int64_t got = 0;
  assert_ok(sb_stratify(&c, values, NULL, &list, &strata, &got));
  assert_string_equal(strata[0].name, "all");
  for (int64_t s = 1; s < got; s++) {
    assert_non_null(names[s - 1]);
    assert_string_equal(strata[s].name, names[s - 1]);
    int64_t inside = 0;
    for (int64_t i = 0; i < count; i++) inside += items[i].stratum == s;
    assert_true(inside > 0);
  }
  assert_null(names[got - 1]);
  for (int64_t i = 0; i < count; i++) {
    assert_int_equal(items[i].stratum < 0, isnan(values[i]));
    if (i > 0 && !isnan(values[i])) assert_true(items[i].stratum >= items[i - 1].stratum);
  }
  for (int64_t s = 0; s < got; s++) free(strata[s].name);
  free(strata);
}

static void test_bins(void **state) {
  (void)state;
  double ages[40], halves[10] = {0, 0, 0, 0, 0, 0, 0, 0.5, 0.5, 3}, one[3] = {7, 7, (double)NAN};
  for (int i = 0; i < 40; i++) ages[i] = 50.3 + i;
  assert_bins(ages, 40,
              (const char *const[]){"below 60", "60 to 70", "70 to 80", "80 and more", NULL});
  assert_bins(halves, 10, (const char *const[]){"below 0.5", "0.5 and more", NULL});
  assert_bins(one, 3, (const char *const[]){NULL});
  for (int i = 0; i < 40; i++)
    ages[i] = 1104500000 + 10 * i; // told apart by as many digits as that takes
  assert_bins(ages, 40,
              (const char *const[]){"below 1.1045001e+09", "1.1045001e+09 to 1.1045002e+09",
                                    "1.1045002e+09 to 1.1045003e+09", "1.1045003e+09 and more",
                                    NULL});
}

// Of many categories the sums and the largest are shown, in their order.
static void test_many_categories(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  static char names[COUNT][8];
  static char *name_list[COUNT];
  static double a[COUNT], b[COUNT];
  static sb_sample items[COUNT];
  static bool shown[2 * COUNT];
  for (int i = 0; i < COUNT; i++) {
    snprintf(names[i], sizeof names[i], "s%04d", i);
    name_list[i] = names[i];
    a[i] = i < 1000 ? 5 : i; // one with a thousand, the others with one each
    b[i] = i < 2000 ? a[i] : 2500;
  }
  const sb_by by = {.column = "scanner"};
  const sb_covariate c = {
      .by = &by, .kind = SB_CATEGORIES, .names = name_list, .categories = COUNT};
  sb_samples list = {items, COUNT};
  sb_stratum *strata;
  int64_t count = 0, told = 0, large = -1;
  assert_ok(sb_stratify(&c, a, b, &list, &strata, &count));
  assert_int_equal(count, 3 + 1001 + 1 + 999); // 2500 with itself is one value
  for (int64_t s = 0; s < count; s++) strata[s].mated = 0;
  for (int64_t i = 0; i < COUNT; i++)
    for (int64_t s = items[i].stratum; s >= 0; s = strata[s].within) strata[s].mated++;
  assert_int_equal(strata[0].mated, COUNT);
  assert_ok(sb_strata_show(strata, count, shown));
  for (int64_t s = 0; s < count; s++) {
    told += shown[s];
    if (strcmp(strata[s].name, "s0005") == 0) large = s;
  }
  assert_int_equal(told, 3 + SB_STRATA_SHOWN);
  assert_true(large > 0 && shown[large] && shown[0] && shown[1]);
  assert_int_equal(strata[large].mated, 1000);
  for (int64_t s = 0; s < count; s++) free(strata[s].name);
  free(strata);
}

// ---- What evaluate writes -----------------------------------------------------------------------

// That strata.tsv has a line of this beginning, and in it `part`.
static void has_line(const char *out, const char *beginning, const char *part) {
  char *text = read_result(out, "strata.tsv"), *line = strstr(text, beginning);
  assert_non_null(line);
  line[strcspn(line, "\n")] = '\0';
  if (strstr(line, part) == NULL) fail_msg("no %s in %s", part, line);
  free(text);
}

// Two stores, a similarity and a distance; the table, the JSON, and the page, again from the files. An
// evaluation without columns leaves none of it.
static void test_files(void **state) {
  (void)state;
  static const char *const MEASURES[] = {"pearson", "mse"};
  static const char *const TABLE =
      "participant_id\tscanner\tage\n"
      "sub-001\t<b>Trio</b>\t70\nsub-002\tPrisma of the northern "
      "h\xc3\xb6spital\t71\nsub-003\tPrisma\tn/a\n"
      "sub-004\tPrisma\t40\nsub-005\tPrisma\t72\nsub-006\tPrisma\t73\n"
      "sub-007\tPrisma\t40\nsub-008\tPrisma\t41\nsub-099\tPrisma\t44\n";
  const cohort c = {
      .people = 8, .sessions = 2, .seed = 4, .gain = 1, .duplicate_of = -1, .constant = -1};
  const sb_by by[] = {{.column = "scanner"}, {.column = "age"}, {.column = "dataset"}};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  char *table = sb_path_join(folder, "participants.tsv"), *strata = sb_path_join(out, "strata.tsv");
  const char *const tables = table;
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options link = sb_link_options_default();
  sb_evaluate_options options = sb_evaluate_options_default();
  sb_report_options page = sb_report_options_default();
  sb_evaluation results[2];
  heard h = {0};
  const sb_progress progress = {.context = &h, .warn = hear};
  size_t count;
  link.measures = MEASURES;
  link.measure_count = 2;
  assert_ok(sb_link(store, NULL, &link, out, NULL, NULL));
  sb_store_close(store);
  write_text(folder, "participants.tsv", TABLE);
  options.by = by;
  options.by_count = 3;
  options.covariates = &tables;
  options.covariate_count = 1;
  options.progress = &progress;
  assert_ok(sb_evaluate(out, &options, results, 2, &count));
  assert_int_equal(h.count, 2); // somebody who is not here; one without an age
  for (size_t i = 0; i < 2; i++) {
    const sb_evaluation *e = results + i;
    assert_int_equal(e->differential_count, 3);
    const sb_differential *scanner = e->differentials, *age = e->differentials + 1;
    assert_int_equal(scanner->pairs[0].mated, 8);
    near(scanner->pairs[0].mated_min, e->mated_min, 0, "mated_min");
    near(scanner->searches[0].nonmated_max, e->nonmated_max, 1e-12, "nonmated_max");
    near(scanner->searches[0].rank1, e->rank1, 0, "rank-1");
    near(scanner->searches[0].fnir, e->fnir, 0, "FNIR");
    assert_int_equal(scanner->searches[0].nonmated_pairs, 2 * e->nonmated_pairs);
    near(scanner->pairs[0].fnmr_interval.high, 1 - pow(0.05, 1.0 / 8), 1e-12, "bound");
    assert_int_equal(age->pairs_without, 1);
    assert_int_equal(age->searches_without, 2);
    assert_true(isnan(age->spearman)); // everybody's difference is 0
    sb_evaluation_free(results + i);
  }
  // Nobody missed: of one person no more can be said.
  has_line(out, "mse\tscanner\tmated_pairs\t<b>Trio</b>\tsame\t1\t1\t1\t", "\t0\t0\t0.95\t");
  has_line(out, "pearson\tage\tsearches\tall\tn/a\t7\t14\t7\t", "");
  has_line(out, "pearson\tdataset\tmated_pairs\ta\tsame\t8\t8\t8\t", "");
  char *json = read_result(out, "evaluation.json");
  cJSON *root = cJSON_Parse(json);
  const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "measures"), 0);
  assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(first, "differentials")), 3);
  cJSON_Delete(root);
  free(json);
  assert_ok(sb_report_write(out, &page, NULL));
  char *html = read_result(out, "report.html");
  assert_non_null(strstr(html, "<section id=\"strata\">"));
  assert_non_null(strstr(html, "&lt;b&gt;Trio&lt;/b&gt;"));
  assert_null(strstr(html, "<b>Trio"));
  assert_non_null(
      strstr(html, ">Prisma of the northern\xe2\x80\xa6<")); // in a plot; its table has all of it
  assert_non_null(strstr(html, "Prisma of the northern h\xc3\xb6spital<"));
  free(html);

  options.identities = "none";
  h.count = 0;
  assert_ok(sb_evaluate(out, &options, results, 2, &count));
  assert_int_equal(results[0].differential_count, 0);
  assert_int_equal(heard_of(&h, "nobody's identity is known", "--identities"), 1);
  assert_ok(sb_evaluate(out, NULL, results, 2, &count));
  assert_false(sb_is_file(strata));
  assert_ok(sb_report_write(out, &page, NULL));
  html = read_result(out, "report.html");
  assert_null(strstr(html, "\"strata\""));
  free(html);
  options.covariate_count = 0;
  sb_status status = sb_evaluate(out, &options, results, 2, &count);
  assert_int_equal(status.code, SB_USAGE);
  assert_non_null(strstr(status.message, "only \"dataset\" is known"));
  remove_folder(folder);
  free(strata);
  free(table);
  free(out);
  free(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_counting), cmocka_unit_test(test_short_lists),
      cmocka_unit_test(test_few_people),       cmocka_unit_test(test_bins),
      cmocka_unit_test(test_many_categories),  cmocka_unit_test(test_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
