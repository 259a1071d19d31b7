// Evaluations against a direct computation from the dense matrix, with the identities that link
// used and with others; and damaged result folders.
#include "cohort.h"

#include <cjson/cJSON.h>

#include "samebrain/evaluate.h"
#include "samebrain/link.h"

static const cohort PLAIN = {
    .people = 8, .sessions = 2, .seed = 4, .gain = 1, .duplicate_of = -1, .constant = -1};
static const char *const BOTH[] = {"pearson", "bandpass"};

static sb_link_options both_measures(void) {
  sb_link_options options = sb_link_options_default();
  options.measures = BOTH;
  options.measure_count = 2;
  options.threads = 2;
  options.matrix = true;
  return options;
}

// What is to be found in `out`, from scores-MEASURE.npy and a person for each scan (-1: unknown,
// left out), by definition; in closenesses, for a distance without a limit minus its binary logarithm.
static sb_evaluation direct(const char *out, const char *measure, bool logarithm, int64_t probes,
                            int64_t gallery, bool self, const int *probe_person,
                            const int *gallery_person) {
  char *name = sb_format("scores-%s.npy", measure), *path = sb_path_join(out, name), *file;
  size_t bytes;
  assert_ok(sb_read_file(path, &file, &bytes));
  assert_int_equal(bytes, 128 + probes * gallery * 4);
  const float *scores = (const float *)(const void *)(file + 128);
  sb_evaluation e = {.mated_min = INFINITY, .nonmated_max = -INFINITY};
  double sum[2] = {0}, squares[2] = {0};
  int64_t count[2] = {0};
  for (int pass = 0; pass < 2; pass++)
    for (int64_t p = 0; p < probes; p++) {
      bool mate = false, best_is_mate = false;
      double best = -INFINITY;
      for (int64_t g = 0; g < gallery; g++) {
        if (self && g == p) continue;
        double score = (double)scores[p * gallery + g];
        if (logarithm) score = -log2(score);
        bool known = probe_person[p] >= 0 && gallery_person[g] >= 0;
        bool mated = known && probe_person[p] == gallery_person[g];
        mate = mate || mated;
        if (score > best) {
          best = score;
          best_is_mate = mated;
        }
        if (!known || (self && g < p)) continue;
        if (pass == 0) {
          sum[mated] += score;
          count[mated]++;
          if (mated) e.mated_min = fmin(e.mated_min, score);
          if (!mated) e.nonmated_max = fmax(e.nonmated_max, score);
        } else {
          double d = score - sum[mated] / (double)count[mated];
          squares[mated] += d * d;
        }
      }
      e.mated_probes += pass == 0 && mate;
      e.rank1_probes += pass == 0 && mate && best_is_mate;
    }
  e.mated_pairs = count[1];
  e.nonmated_pairs = count[0];
  e.mated_mean = sum[1] / (double)count[1];
  e.nonmated_mean = sum[0] / (double)count[0];
  e.mated_sd = sqrt(squares[1] / (double)(count[1] - 1));
  e.nonmated_sd = sqrt(squares[0] / (double)(count[0] - 1));
  free(name);
  free(path);
  free(file);
  return e;
}

static void near(double value, double expected, double tolerance, const char *what) {
  if (!(fabs(value - expected) <= tolerance)) fail_msg("%s: %.9g, not %.9g", what, value, expected);
}

static void check(const char *out, const char *identities, int64_t probes, int64_t gallery,
                  bool self, const int *probe_person, const int *gallery_person) {
  sb_evaluation results[4];
  size_t count;
  sb_evaluate_options options = sb_evaluate_options_default();
  options.identities = identities;
  options.replicates = 12;
  assert_ok(sb_evaluate(out, &options, results, 4, &count));
  assert_int_equal(count, 2);
  for (size_t m = 0; m < 2; m++) {
    sb_evaluation e =
        direct(out, BOTH[m], false, probes, gallery, self, probe_person, gallery_person);
    const sb_evaluation *r = results + m;
    assert_string_equal(r->measure, BOTH[m]);
    assert_int_equal(r->mated_pairs, e.mated_pairs);
    assert_int_equal(r->nonmated_pairs, e.nonmated_pairs);
    assert_int_equal(r->mated_probes, e.mated_probes);
    assert_int_equal(r->rank1_probes, e.rank1_probes);
    near(r->rank1, (double)e.rank1_probes / (double)e.mated_probes, 1e-12, "rank1");
    near(r->mated_min, e.mated_min, 1e-5, "mated_min");
    near(r->nonmated_max, e.nonmated_max, 1e-5, "nonmated_max");
    near(r->margin, e.mated_min - e.nonmated_max, 2e-5, "margin");
    near(r->mated_mean, e.mated_mean, 1e-5, "mated_mean");
    near(r->mated_sd, e.mated_sd, 1e-5, "mated_sd");
    near(r->nonmated_mean, e.nonmated_mean, 5e-4, "nonmated_mean"); // half a bin
    near(r->nonmated_sd, e.nonmated_sd, 5e-4, "nonmated_sd");
    double pooled = sqrt((e.mated_sd * e.mated_sd + e.nonmated_sd * e.nonmated_sd) / 2);
    near(r->d_prime, fabs(e.mated_mean - e.nonmated_mean) / pooled, 0.03 * r->d_prime, "d_prime");
  }
  char *json = read_result(out, "evaluation.json");
  assert_non_null(strstr(json, "\"d_prime\""));
  assert_non_null(strstr(json, "\"definitions\""));
  free(json);
}

typedef struct folders {
  char *top, *out, *table;
} folders;

static folders make_folders(void) {
  folders f = {.top = scratch_folder()};
  f.out = sb_path_join(f.top, "out");
  f.table = sb_path_join(f.top, "who.tsv");
  return f;
}

static void remove_folders(folders *f) {
  remove_folder(f->top);
  free(f->top);
  free(f->out);
  free(f->table);
}

// A table that gives scan i of dataset `a` (two sessions each) the person[i].
static void write_table(const folders *f, const char *dataset, const int *person, int scans,
                        bool start) {
  char *old = start ? sb_strdup("dataset\tscan_id\tperson\n") : read_result(f->top, "who.tsv");
  for (int i = 0; i < scans; i++) {
    char *grown = person[i] < 0 ? sb_strdup(old)
                                : sb_format("%s%s\tsub-%03d_ses-%d\tp%d\n", old, dataset, i / 2 + 1,
                                            i % 2 + 1, person[i]);
    free(old);
    old = grown;
  }
  write_text(f->top, "who.tsv", old);
  free(old);
}

static const int LABELS[16] = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7};
static const int OTHERS[16] = {0, 0, 0, 1, 2, 2, 3, 9, 4, 4, -1, 5, 6, 6, 7, -1};

static void test_with_the_identities_of_the_link(void **state) {
  (void)state;
  folders f = make_folders();
  sb_store *store = open_cohort(f.top, "a", &PLAIN), *probe;
  cohort c = PLAIN;
  c.people = 5;
  probe = open_cohort(f.top, "b", &c);
  sb_link_options options = both_measures();
  assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
  check(f.out, NULL, 16, 16, true, LABELS, LABELS);

  // The same people under other names: by labels two stores share nobody, by table they do.
  write_table(&f, "a", LABELS, 16, true);
  write_table(&f, "b", LABELS, 10, false);
  options.identities = f.table;
  assert_ok(sb_link(store, probe, &options, f.out, NULL, NULL));
  check(f.out, NULL, 10, 16, false, LABELS, LABELS);
  write_table(&f, "a", OTHERS, 16, true);
  assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
  check(f.out, NULL, 16, 16, true, OTHERS, OTHERS);
  sb_store_close(store);
  sb_store_close(probe);
  remove_folders(&f);
}

// Linked with one set of identities, evaluated with another, for lists so short that scores must be
// computed again and so long that all are there.
static void test_with_other_identities(void **state) {
  (void)state;
  static const int64_t tops[] = {1, 3, 100};
  folders f = make_folders();
  sb_store *store = open_cohort(f.top, "a", &PLAIN), *probe;
  cohort c = PLAIN;
  c.people = 5;
  probe = open_cohort(f.top, "b", &c);
  for (size_t i = 0; i < 3; i++)
    for (int mode = 0; mode < 3; mode++) {
      sb_link_options options = both_measures();
      options.top = tops[i];
      write_table(&f, "a", LABELS, 16, true);
      options.identities = mode == 0 ? "none" : mode == 1 ? NULL : f.table;
      assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
      check(f.out, f.table, 16, 16, true, LABELS, LABELS);
      write_table(&f, "a", OTHERS, 16, true);
      check(f.out, f.table, 16, 16, true, OTHERS, OTHERS);

      write_table(&f, "b", LABELS, 10, false);
      assert_ok(sb_link(store, probe, &options, f.out, NULL, NULL));
      check(f.out, f.table, 10, 16, false, LABELS, OTHERS);
      write_table(&f, "a", LABELS, 16, true);
      write_table(&f, "b", OTHERS, 10, false);
      check(f.out, f.table, 10, 16, false, OTHERS, LABELS);
    }
  sb_store_close(store);
  sb_store_close(probe);
  remove_folders(&f);
}

// Namesakes in two stores that are different files are pairs like any others here, too.
static void test_with_namesakes(void **state) {
  (void)state;
  folders f = make_folders();
  cohort c = PLAIN;
  c.people = 5;
  c.files = 1;
  char *path = sb_path_join(f.top, "b");
  sb_store *store = open_cohort(f.top, "a", &PLAIN), *probe;
  write_cohort(path, "a", &c);
  assert_ok(sb_store_open(path, &probe));
  sb_link_options options = both_measures();
  options.top = 1;
  assert_ok(sb_link(store, probe, &options, f.out, NULL, NULL));
  check(f.out, NULL, 10, 16, false, LABELS, LABELS);
  write_table(&f, "a", OTHERS, 16, true);
  check(f.out, f.table, 10, 16, false, OTHERS, OTHERS);

  // A store with other files under the same names is not what was linked.
  sb_store_close(probe);
  remove_folder(path);
  c.files = 2;
  write_cohort(path, "a", &c);
  sb_evaluation results[2];
  size_t count;
  sb_evaluate_options with_table = sb_evaluate_options_default();
  with_table.identities = f.table;
  sb_status status = sb_evaluate(f.out, &with_table, results, 2, &count);
  assert_int_equal(status.code, SB_CONFLICT);
  assert_non_null(strstr(status.message, "from another file now"));
  sb_store_close(store);
  remove_folders(&f);
  free(path);
}

static void test_stores_that_moved(void **state) {
  (void)state;
  folders f = make_folders();
  sb_store *store = open_cohort(f.top, "a", &PLAIN);
  sb_link_options options = both_measures();
  options.top = 1;
  options.identities = "none";
  assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
  sb_store_close(store);
  char *from = sb_path_join(f.top, "a"), *to = sb_path_join(f.top, "elsewhere");
  assert_int_equal(rename(from, to), 0);
  write_table(&f, "a", LABELS, 16, true);
  sb_evaluation results[2];
  size_t count;
  sb_evaluate_options with_table = sb_evaluate_options_default();
  with_table.identities = f.table;
  sb_status status = sb_evaluate(f.out, &with_table, results, 2, &count);
  assert_int_equal(status.code, SB_NOT_FOUND);
  assert_non_null(strstr(status.message, "put the store back"));
  cohort c = PLAIN;
  c.people = 2;
  sb_store_close(open_cohort(f.top, "a", &c)); // another store of that name, without some scans
  status = sb_evaluate(f.out, &with_table, results, 2, &count);
  assert_int_equal(status.code, SB_CONFLICT);
  assert_non_null(strstr(status.message, "has no scan sub-003_ses-1"));
  free(from);
  free(to);
  remove_folders(&f);
}

// Figures of distances without a limit, whatever the unit of the intensities.
static void test_distances_without_a_limit(void **state) {
  (void)state;
  static const char *const DISTANCES[] = {"mse", "mae"};
  folders f = make_folders();
  sb_evaluation results[2], first[2];
  size_t count;
  sb_link_options options = both_measures();
  options.measures = DISTANCES;
  sb_evaluate_options few = sb_evaluate_options_default();
  few.replicates = 40;
  for (int large = 0; large < 2; large++) {
    cohort c = PLAIN;
    c.gain = large ? 3000 : 1;
    sb_store *store = open_cohort(f.top, large ? "large" : "small", &c);
    assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
    assert_ok(sb_evaluate(f.out, &few, results, 2, &count));
    assert_int_equal(count, 2);
    for (size_t m = 0; m < 2; m++) {
      const sb_evaluation *r = results + m;
      sb_evaluation e = direct(f.out, DISTANCES[m], true, 16, 16, true, LABELS, LABELS);
      assert_int_equal(r->mated_pairs, 8);
      assert_int_equal(r->rank1_probes, 16);
      near(log2(r->mated_min), -e.mated_min, 1e-4, "mated_min");
      near(log2(r->nonmated_max), -e.nonmated_max, 1e-4, "nonmated_max");
      near(r->margin, r->nonmated_max - r->mated_min, 0, "margin");
      near(log2(r->mated_mean), -e.mated_mean, 1e-4, "mated_mean");
      near(log2(r->nonmated_mean), -e.nonmated_mean, 0.02, "nonmated_mean"); // half a bin
      double pooled = sqrt((e.mated_sd * e.mated_sd + e.nonmated_sd * e.nonmated_sd) / 2);
      near(r->d_prime, fabs(e.mated_mean - e.nonmated_mean) / pooled, 0.05 * r->d_prime, "d_prime");
      assert_true(r->margin > 0 && r->auc == 1 && r->eer == 0);
      assert_true(r->mated_min < r->kde_threshold && r->kde_threshold < r->nonmated_max);
      if (large) {
        near(r->d_prime, first[m].d_prime, 0.03 * r->d_prime, "d_prime in another unit");
        double unit = log2(3000) * (m == 0 ? 2 : 1);
        near(log2(r->kde_threshold), log2(first[m].kde_threshold) + unit, 0.1, "threshold");
        assert_int_equal(r->links, first[m].links);
      }
      first[m] = *r;
    }
    sb_store_close(store);
  }
  char *thresholds = read_result(f.out, "thresholds.tsv"), *roc = read_result(f.out, "roc-mse.tsv");
  assert_non_null(strstr(thresholds, "mae\tkde_crossing\tall\tall\t"));
  assert_null(strstr(thresholds, "\t-")); // a distance is not below 0
  assert_null(strstr(roc, "\n-"));
  free(thresholds);
  free(roc);
  remove_folders(&f);
}

// Scans that are the same file but for their name have no distance at all: the end of the scale.
static void test_no_distance(void **state) {
  (void)state;
  static const char *const MSE[] = {"mse"};
  folders f = make_folders();
  cohort c = PLAIN;
  c.duplicate_of = 0;
  sb_store *store = open_cohort(f.top, "a", &c);
  sb_link_options options = both_measures();
  options.measures = MSE;
  options.measure_count = 1;
  sb_evaluation result;
  size_t count;
  assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
  assert_ok(sb_evaluate(f.out, NULL, &result, 1, &count));
  near(result.auc, 0.5, 1e-12, "AUC");
  assert_true(isnan(result.d_prime) && isnan(result.kde_threshold));
  assert_true(result.mated_mean < 2e-6);
  assert_int_equal(result.links, 0);
  sb_store_close(store);
  remove_folders(&f);
}

static void assert_begins(const char *out, const char *name, const char *beginning) {
  char *text = read_result(out, name);
  if (strncmp(text, beginning, strlen(beginning)) != 0) fail_msg("%s: %.80s", name, text);
  free(text);
}

static void test_cases_with_little_to_say(void **state) {
  (void)state;
  folders f = make_folders();
  cohort c = PLAIN;
  c.sessions = 1;
  sb_store *store = open_cohort(f.top, "a", &c);
  sb_link_options options = both_measures();
  sb_evaluation results[2];
  size_t count;
  assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
  assert_ok(sb_evaluate(f.out, NULL, results, 2, &count)); // nobody has two scans
  assert_int_equal(results[0].mated_pairs, 0);
  assert_int_equal(results[0].nonmated_pairs, 28);
  assert_begins(f.out, "density-pearson.tsv", "score\tmated_density\tnonmated_density\n");
  assert_true(isnan(results[0].rank1) && isnan(results[0].mated_min) && isnan(results[0].d_prime));
  assert_true(results[0].nonmated_max < 1);
  assert_int_equal(sb_evaluate(f.out, NULL, results, 1, &count).code, SB_USAGE);

  options.identities = "none";
  assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
  assert_ok(sb_evaluate(f.out, NULL, results, 2, &count)); // nobody is known: links alone
  assert_non_null(strstr(results[0].why[0], "nobody's identity is known"));
  assert_int_equal(results[0].nonmated_pairs, -1);
  assert_int_equal(results[0].false_links, -1);
  assert_true(isnan(results[0].nonmated_mean) && isnan(results[0].auc));
  assert_int_equal(results[0].links, 0);
  assert_int_equal(results[0].control_links, -1);
  assert_begins(f.out, "density-pearson.tsv", "score\tdensity\n"); // of all pairs
  sb_store_close(store);
  remove_folders(&f);
}

enum { SCANS_EACH = 8 };

// As close as one person's scans are: 0.9 and a little more, with noise of 0.3.
static void make_close(int scan, int64_t length, float *row) {
  uint64_t pattern = 3000 + (uint64_t)(scan / SCANS_EACH), noise = 200000 + (uint64_t)scan;
  for (int64_t i = 0; i < length; i++) row[i] = (float)(uniform(&pattern) + 0.3 * uniform(&noise));
}

// Many scans of few people, unlabelled: chance seems to reach as far as mates. Each of their pairs is proposed, or
// counted and told of.
static void test_pairs_that_look_alike(void **state) {
  (void)state;
  folders f = make_folders();
  sb_link_options options = both_measures();
  sb_evaluation results[2];
  size_t count;
  options.identities = "none";
  options.top = SCANS_EACH;
  for (int people = 2; people <= 12; people += 5) {
    cohort c = PLAIN;
    c.people = people;
    c.sessions = SCANS_EACH;
    c.change = make_close;
    char name[20];
    snprintf(name, sizeof name, "of-%d", people);
    sb_store *store = open_cohort(f.top, name, &c);
    char *out = sb_path_join(f.top, people == 2 ? "out-2" : people == 7 ? "out-7" : "out-12");
    assert_ok(sb_link(store, NULL, &options, out, NULL, NULL));
    assert_ok(sb_evaluate(out, NULL, results, 2, &count));
    const sb_evaluation *bandpass = results + (strcmp(results[0].measure, "bandpass") != 0);
    const sb_evaluation *other = results + (bandpass == results);
    const int64_t alike = bandpass->alike_pairs;
    assert_int_equal(bandpass->links + alike, people * SCANS_EACH * (SCANS_EACH - 1) / 2);
    assert_true(people > 2 || alike > 0);
    bool told = false;
    for (size_t i = 0; i < sizeof bandpass->why / sizeof *bandpass->why; i++)
      told |= strstr(bandpass->why[i], "as alike as two scans of one person usually are") != NULL;
    assert_true(told == (alike > 0));
    assert_int_equal(other->alike_pairs, -1);
    free(out);
    sb_store_close(store);
  }
  remove_folders(&f);
}

// Two stores that share nobody by label: the figures rest on an assumption, and it is told.
static void test_labels_across_stores(void **state) {
  (void)state;
  folders f = make_folders();
  cohort c = PLAIN;
  c.people = 5;
  sb_store *store = open_cohort(f.top, "a", &PLAIN), *probe = open_cohort(f.top, "b", &c);
  sb_link_options options = both_measures();
  heard h = {0};
  const sb_progress progress = {.context = &h, .warn = hear};
  sb_evaluate_options listening = sb_evaluate_options_default();
  listening.progress = &progress;
  sb_evaluation results[2];
  size_t count;
  assert_ok(sb_link(store, probe, &options, f.out, NULL, NULL));
  assert_ok(sb_evaluate(f.out, &listening, results, 2, &count));
  assert_int_equal(results[0].mated_pairs, 0);
  assert_int_equal(results[0].nonmated_pairs, 160);
  assert_int_equal(h.count, 1);
  assert_int_equal(heard_of(&h, "no person is known to be in both stores", "--identities"), 1);
  char *json = read_result(f.out, "evaluation.json");
  assert_non_null(strstr(json, "\"assumption\""));
  assert_non_null(strstr(json, "assume that different labels are different people"));
  free(json);

  // With the same scans in both stores, people are known to be: nothing is said.
  cohort one = PLAIN;
  one.sessions = 1;
  sb_store *gallery = open_cohort(f.top, "c", &one);
  h.count = 0;
  assert_ok(sb_link(gallery, gallery, &options, f.out, NULL, NULL));
  assert_ok(sb_evaluate(f.out, &listening, results, 2, &count));
  assert_int_equal(results[0].mated_pairs, 0);
  assert_int_equal(h.count, 0);
  sb_store_close(gallery);
  assert_ok(sb_link(store, probe, &options, f.out, NULL, NULL));

  // A table knows. Lines of it that name nobody here are told.
  h.count = 0;
  write_table(&f, "a", LABELS, 16, true);
  write_table(&f, "b", LABELS, 12, false);
  listening.identities = f.table;
  assert_ok(sb_evaluate(f.out, &listening, results, 2, &count));
  assert_int_equal(results[0].mated_pairs, 20);
  assert_int_equal(h.count, 1);
  assert_int_equal(heard_of(&h, "2 of its 28 lines", "the first sub-006_ses-1 of dataset b"), 1);
  json = read_result(f.out, "evaluation.json");
  assert_null(strstr(json, "\"assumption\""));
  free(json);
  sb_store_close(store);
  sb_store_close(probe);
  remove_folders(&f);
}

// The line of a table with these cells in its first columns; fails when there is none.
static size_t find_line(const sb_tsv *table, const char *const *cells, size_t count) {
  for (size_t row = 0; row < table->rows; row++) {
    bool all = true;
    for (size_t c = 0; c < count; c++)
      all = all && strcmp(sb_tsv_cell(table, row, c), cells[c]) == 0;
    if (all) return row;
  }
  fail_msg("no line %s %s %s", cells[0], cells[1], cells[2]);
  return 0;
}

static double cell_of(const sb_tsv *table, size_t row, const char *column) {
  long at = sb_tsv_column(table, column);
  assert_true(at >= 0);
  const char *cell = sb_tsv_cell(table, row, (size_t)at);
  return strcmp(cell, "n/a") == 0 ? (double)NAN : atof(cell);
}

// In evaluation.json, links are among all scans; of one dataset's there is nothing to tell.
static void no_links_within(const char *out) {
  static const char *const names[] = {"links", "false_links", "control_links", "link_threshold",
                                      "expected_false"};
  char *json = read_result(out, "evaluation.json");
  cJSON *root = cJSON_Parse(json);
  const cJSON *figures = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "measures"), 0);
  const cJSON *within = cJSON_GetArrayItem(cJSON_GetObjectItem(figures, "datasets"), 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    assert_true(cJSON_IsNumber(cJSON_GetObjectItem(figures, names[i])));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(within, names[i])));
  }
  cJSON_Delete(root);
  free(json);
}

// And where nobody is known, no count of people or of wrong links.
static void no_counts(const char *out) {
  static const char *const names[] = {"people", "nonmated_pairs", "false_links", "control_links"};
  char *json = read_result(out, "evaluation.json");
  cJSON *root = cJSON_Parse(json);
  const cJSON *figures = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "measures"), 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(figures, names[i])));
  cJSON_Delete(root);
  free(json);
}

// Links are those of one person, whether or not anybody says so; thresholds go between datasets.
static void test_links_and_datasets(void **state) {
  (void)state;
  folders f = make_folders();
  cohort c = PLAIN;
  c.people = 12;
  char *both = sb_path_join(f.top, "both");
  write_cohort(both, "a", &c);
  c.seed = 9;
  c.people = 11;
  write_cohort(both, "b", &c);
  sb_store *store;
  assert_ok(sb_store_open(both, &store));
  sb_link_options options = both_measures();
  sb_evaluate_options with = sb_evaluate_options_default();
  sb_evaluation results[2], unlabelled[2];
  size_t count;
  with.replicates = 50;
  assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
  assert_ok(sb_evaluate(f.out, &with, results, 2, &count));
  assert_int_equal(results[0].links, 23);
  assert_int_equal(results[0].false_links, 0);
  assert_int_equal(results[0].control_links, 0);
  no_links_within(f.out);
  sb_tsv links = read_table_result(f.out, "links.tsv");
  assert_int_equal(links.rows, 46); // of both measures
  for (size_t row = 0; row < links.rows; row++) {
    assert_string_equal(sb_tsv_cell(&links, row, 7), "same");
    assert_string_equal(sb_tsv_cell(&links, row, 9), "same");
    assert_true(cell_of(&links, row, "expected_false") <= 0.01);
    assert_true(cell_of(&links, row, "margin") > 0);
    double p = cell_of(&links, row, "false_link_probability");
    near(p, -expm1(-cell_of(&links, row, "expected_false")), 0.01 * p, "probability");
  }
  sb_tsv thresholds = read_table_result(f.out, "thresholds.tsv");
  static const char *const wanted[][4] = {{"pearson", "kde_crossing", "all", "all"},
                                          {"bandpass", "kde_crossing", "a", "a"},
                                          {"bandpass", "kde_crossing", "a", "b"},
                                          {"bandpass", "kde_crossing", "b", "a"},
                                          {"bandpass", "expected_false", "all", "all"}};
  for (size_t i = 0; i < 5; i++) {
    size_t row = find_line(&thresholds, wanted[i], 4);
    near(cell_of(&thresholds, row, "fnmr"), 0, 0, "FNMR");
    near(cell_of(&thresholds, row, "fmr"), 0, 0, "FMR");
    int64_t people = strcmp(wanted[i][3], "all") == 0 ? 23
                     : strcmp(wanted[i][3], "a") == 0 ? 12
                                                      : 11;
    near(cell_of(&thresholds, row, "fnmr_high"), 1 - pow(0.05, 1.0 / (double)people), 1e-8,
         "bound");
    near(cell_of(&thresholds, row, "mated_pairs"), (double)people, 0, "mated pairs");
    near(cell_of(&thresholds, row, "nonmated_pairs"), (double)(people * (2 * people - 1) - people),
         0, "non-mated pairs");
  }

  // The same links without labels, and by identities given afterwards.
  with.identities = "none";
  assert_ok(sb_evaluate(f.out, &with, unlabelled, 2, &count));
  assert_int_equal(unlabelled[0].links, 23);
  assert_int_equal(unlabelled[0].control_links, -1);
  no_counts(f.out);
  near(unlabelled[0].link_threshold, results[0].link_threshold, 1e-12, "threshold");
  sb_tsv again = read_table_result(f.out, "links.tsv");
  assert_string_equal(sb_tsv_cell(&again, 0, 7), "unknown");

  // Labels that are wrong: links between people said to be different are told.
  with.identities = f.table;
  int wrong[24];
  for (int i = 0; i < 24; i++) wrong[i] = i;
  write_table(&f, "a", wrong, 24, true);
  assert_ok(sb_evaluate(f.out, &with, results, 2, &count));
  assert_int_equal(results[0].false_links, 12);
  bool said = false; // that the other dataset's scans are in no pair
  for (size_t i = 0; i < 6; i++)
    said = said || strstr(results[0].why[i], "identities name 24 of 46 scans") != NULL;
  assert_true(said);
  assert_int_equal(results[0].mated_pairs, 0);
  sb_tsv_free(&links);
  sb_tsv_free(&thresholds);
  sb_tsv_free(&again);
  sb_store_close(store);
  free(both);
  remove_folders(&f);
}

// Cuts `file` in the middle, or removes it, or puts `text` there.
static void damage(const char *out, const char *file, const char *text) {
  char *path = sb_path_join(out, file);
  assert_int_equal(unlink(path), 0);
  if (text != NULL) write_text(out, file, text);
  free(path);
}

static void test_damaged_folders(void **state) {
  (void)state;
  static const struct {
    const char *file, *text; // NULL: removed
    sb_code code;
    const char *says;
  } cases[] = {
      {"summary.json", NULL, SB_NOT_FOUND, "no summary.json"},
      {"summary.json", "{\"kind\": \"sam", SB_FORMAT, "summary.json"},
      {"summary.json", "{\"kind\": \"samebrain link\"}", SB_FORMAT, "identities"},
      {"probes.tsv", NULL, SB_NOT_FOUND, "probes.tsv"},
      {"probes.tsv", "dataset\tscan_id\n", SB_FORMAT, "participant"},
      {"probes.tsv",
       "dataset\tscan_id\tparticipant\tsession\tperson\tsource_sha256\na\tx\ty\tz\tw\tv\n",
       SB_FORMAT, "gallery.tsv"},
      {"matches.tsv", "", SB_FORMAT, "matches.tsv"},
      {"matches.tsv",
       "probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\n"
       "a\tsub-001_ses-1\ta\tsub-999_ses-1\tpearson\t1\t0.5\n",
       SB_FORMAT, "entry 1 does not fit"},
      {"matches.tsv",
       "probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\n"
       "a\tsub-001_ses-1\ta\tsub-002_ses-1\tpearson\t2\t0.5\n",
       SB_FORMAT, "ranks are not complete"},
      {"matches.tsv",
       "probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\n"
       "a\tsub-001_ses-1\ta\tsub-002_ses-1\tpearson\t1\thigh\n",
       SB_FORMAT, "entry 1 does not fit"},
      {"matches.tsv",
       "probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\n"
       "a\tsub-001_ses-1\ta\tsub-002_ses-1\tpearson\t1\tnan\n",
       SB_FORMAT, "entry 1 does not fit"},
      {"mated.tsv", NULL, SB_NOT_FOUND, "mated.tsv"},
      {"nonmated-bandpass.npy", NULL, SB_NOT_FOUND, "nonmated-bandpass.npy"},
      {"nonmated-bandpass.npy", "not an array", SB_FORMAT, "nonmated-bandpass.npy"},
  };
  folders f = make_folders();
  sb_store *store = open_cohort(f.top, "a", &PLAIN);
  sb_link_options options = both_measures();
  sb_evaluation results[2];
  size_t count;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
    damage(f.out, cases[i].file, cases[i].text);
    sb_status status = sb_evaluate(f.out, NULL, results, 2, &count);
    if (status.code != cases[i].code || strstr(status.message, cases[i].says) == NULL)
      fail_msg("case %zu: %d: %s", i, (int)status.code, status.message);
  }
  // A histogram of the right shape with a pair too many.
  assert_ok(sb_link(store, NULL, &options, f.out, NULL, NULL));
  char *path = sb_path_join(f.out, "nonmated-pearson.npy");
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  fseek(file, 128, SEEK_SET);
  const int64_t two = 2;
  fwrite(&two, sizeof two, 1, file);
  fclose(file);
  sb_status status = sb_evaluate(f.out, NULL, results, 2, &count);
  assert_int_equal(status.code, SB_FORMAT);
  assert_non_null(strstr(status.message, "does not count the pairs"));
  assert_int_equal(truncate(path, 4000), 0);
  status = sb_evaluate(f.out, NULL, results, 2, &count);
  assert_non_null(strstr(status.message, "ends too early"));
  free(path);
  sb_store_close(store);
  remove_folders(&f);
}

// The bands around CMC and ROC are the intervals that the figures have, at the same ranks and rates.
static void test_bands(void **state) {
  (void)state;
  static const struct {
    const char *table;
    double at;
    const char *figure;
  } same[] = {{"cmc-pearson.tsv", 1, "rank1"},
              {"cmc-pearson.tsv", 5, "rank5"},
              {"cmc-pearson.tsv", 10, "rank10"},
              {"tar-pearson.tsv", 0.1, "tar_at_far_0.1"},
              {"tar-pearson.tsv", 0.01, "tar_at_far_0.01"}};
  const cohort c = {
      .people = 14, .sessions = 2, .seed = 4, .gain = 0.12, .duplicate_of = -1, .constant = -1};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  sb_store *store = open_cohort(folder, "store", &c);
  const sb_link_options options = both_measures();
  const sb_evaluate_options how = sb_evaluate_options_default();
  sb_link_summary summary;
  sb_evaluation results[2];
  size_t count;
  assert_ok(sb_link(store, NULL, &options, out, NULL, &summary));
  assert_ok(sb_evaluate(out, &how, results, 2, &count));
  char *json = read_result(out, "evaluation.json");
  cJSON *root = cJSON_Parse(json);
  const cJSON *figures = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "measures"), 0);
  const cJSON *intervals = cJSON_GetObjectItem(figures, "intervals");
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    sb_tsv table = read_table_result(out, same[i].table);
    size_t row = 0;
    while (row < table.rows &&
           fabs(strtod(sb_tsv_cell(&table, row, 0), NULL) - same[i].at) > 1e-9 * same[i].at)
      row++;
    assert_true(row < table.rows);
    near(strtod(sb_tsv_cell(&table, row, 1), NULL),
         cJSON_GetObjectItem(figures, same[i].figure)->valuedouble, 1e-8, same[i].figure);
    const cJSON *ends = cJSON_GetObjectItem(intervals, same[i].figure);
    for (int end = 0; end < 2; end++)
      near(strtod(sb_tsv_cell(&table, row, 2 + (size_t)end), NULL),
           cJSON_GetArrayItem(ends, end)->valuedouble, 1e-8, same[i].figure);
    sb_tsv_free(&table);
  }
  cJSON_Delete(root);
  free(json);
  sb_store_close(store);
  remove_folder(folder);
  free(out);
  free(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bands),
      cmocka_unit_test(test_with_the_identities_of_the_link),
      cmocka_unit_test(test_with_other_identities),
      cmocka_unit_test(test_with_namesakes),
      cmocka_unit_test(test_stores_that_moved),
      cmocka_unit_test(test_distances_without_a_limit),
      cmocka_unit_test(test_no_distance),
      cmocka_unit_test(test_cases_with_little_to_say),
      cmocka_unit_test(test_pairs_that_look_alike),
      cmocka_unit_test(test_labels_across_stores),
      cmocka_unit_test(test_links_and_datasets),
      cmocka_unit_test(test_damaged_folders),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
