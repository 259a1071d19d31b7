// The engine: the GEMM and its bound, shortlists, plans, and whole links against a naive reference.
#include "cohort.h"

#include <cjson/cJSON.h>

#include "core/npy.h"
#include "engine/backend.h"
#include "engine/plan.h"
#include "engine/rows.h"
#include "engine/run.h"
#include "engine/screen.h"
#include "measure/vector.h"
#include "samebrain/evaluate.h"
#include "samebrain/link.h"
#include "samebrain/measure.h"

// ---- GEMM ---------------------------------------------------------------------------------------

static void run_gemm(int64_t chunk, int threads, int64_t m, int64_t n, int64_t k, const float *a,
                     int64_t lda, const float *b, int64_t ldb, double *c, int64_t ldc,
                     double *bound) {
  void *context;
  const sb_backend_options options = {.threads = threads, .k_chunk = chunk};
  assert_ok(sb_backend_cpu.open(&options, &context));
  assert_ok(sb_backend_cpu.put(context, SB_SLOT_PROBES, a, m, k, lda));
  assert_ok(sb_backend_cpu.put(context, SB_SLOT_GALLERY, b, n, k, ldb));
  assert_ok(sb_backend_cpu.gemm_nt(context, (sb_part){SB_SLOT_PROBES, 0, m},
                                   (sb_part){SB_SLOT_GALLERY, 0, n}, c, ldc));
  if (bound != NULL) *bound = sb_backend_cpu.gemm_error(context, k);
  sb_backend_cpu.close(context);
}

// Sums of small integers are exact in any order: every chunk and shape gives the same bits.
static void test_gemm_is_exact_on_small_integers(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {
      {1, 1, 1}, {1, 5, 300}, {7, 1, 64}, {13, 17, 129}, {33, 8, 1000}};
  static const int64_t chunks[] = {0, 1, 7, 64, 128, 5000};
  uint64_t seed = 1;
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    int64_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2], lda = k + 3, ldb = k + 1;
    float *a = calloc((size_t)(m * lda), sizeof *a), *b = calloc((size_t)(n * ldb), sizeof *b);
    double *c = malloc((size_t)(m * (n + 2)) * sizeof *c);
    assert_true(a != NULL && b != NULL && c != NULL);
    for (int64_t i = 0; i < m * lda; i++) a[i] = (float)((int)(uniform(&seed) * 9) - 4);
    for (int64_t i = 0; i < n * ldb; i++) b[i] = (float)((int)(uniform(&seed) * 9) - 4);
    for (size_t chunk = 0; chunk < sizeof chunks / sizeof *chunks; chunk++) {
      for (int64_t i = 0; i < m * (n + 2); i++) c[i] = NAN;
      run_gemm(chunks[chunk], 2, m, n, k, a, lda, b, ldb, c, n + 2, NULL);
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n + 2; j++) {
          int64_t sum = 0;
          if (j >= n) {
            assert_true(isnan(c[i * (n + 2) + j])); // nothing beside the result is touched
            continue;
          }
          for (int64_t l = 0; l < k; l++) sum += (int64_t)a[i * lda + l] * (int64_t)b[j * ldb + l];
          assert_true(c[i * (n + 2) + j] == (double)sum);
        }
    }
    free(a);
    free(b);
    free(c);
  }
}

enum { ROWS = 8 };

// Rows that make float32 sums err: all of one sign, one giant among dwarfs, cancelling pairs,
// noise.
static void fill_hard_rows(int64_t k, float *rows) {
  uint64_t seed = 5;
  for (int64_t r = 0; r < ROWS; r++) {
    float *row = rows + r * k;
    double norm = 0;
    for (int64_t i = 0; i < k; i++) {
      double value = uniform(&seed) - 0.5;
      if (r == 1) value = 1 + 1e-3 * value;
      if (r == 2) value = i == 0 ? 1000 : 1e-3 * value;
      if (r == 3) value = (i % 2 ? -1 : 1) * (1 + 1e-6 * value);
      if (r == 4) value = exp(40 * value);
      if (r == 5) value = i % 64 == 0 ? 1 : 1e-4;
      if (r == 6) value = 1e-25 * value + (i == k - 1);
      row[i] = (float)value;
      norm += (double)row[i] * (double)row[i];
    }
    for (int64_t i = 0; i < k; i++) row[i] = (float)((double)row[i] / sqrt(norm));
  }
}

static void test_gemm_stays_within_its_bound(void **state) {
  (void)state;
  static const int64_t chunks[] = {64, 1000, 2048, 8192, 100000};
  const int64_t k = 30011;
  float *rows = malloc((size_t)(ROWS * k) * sizeof *rows);
  assert_non_null(rows);
  fill_hard_rows(k, rows);
  for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
    double c[ROWS * ROWS], bound, worst = 0;
    run_gemm(chunks[i], 2, ROWS, ROWS, k, rows, k, rows, k, c, ROWS, &bound);
    for (int64_t a = 0; a < ROWS; a++)
      for (int64_t b = 0; b < ROWS; b++) {
        double error = fabs(c[a * ROWS + b] - sb_dot(k, rows + a * k, rows + b * k));
        if (error > worst) worst = error;
      }
    assert_true(worst <= bound);
    assert_true(worst > 0); // or the rows were not hard
    double expected = (double)(chunks[i] < k ? chunks[i] : k) * 0x1p-24;
    assert_true(bound >= expected && bound < 1.1 * expected + 1e-6);
  }
  free(rows);
}

// ---- Shortlists ---------------------------------------------------------------------------------

static int descending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x > y ? -1 : x < y;
}

// Screens that err by up to a bound, each pair by another one: the list must hold the canonical best, ties included, and
// all beyond the threshold, in whatever order they come, and stay small.
static void test_shortlists_keep_what_matters(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  static double canonical[COUNT], sorted[COUNT];
  uint64_t seed = 3;
  for (int trial = 0; trial < 60; trial++) {
    int64_t used = 0, wanted = trial % 3 == 0 ? 1 : trial;
    double bound = trial % 2 ? 1e-3 : 0.05, threshold = trial % 4 == 3 ? 0.9 : INFINITY;
    sb_screen screen = {wanted, threshold, &used, INT64_MAX};
    sb_shortlist list;
    sb_shortlist_start(&list);
    for (int i = 0; i < COUNT; i++) {
      double value = uniform(&seed);
      canonical[i] = trial % 5 == 0 ? floor(value * 50) / 50 : value; // many exact ties
      if (trial % 7 == 1) canonical[i] = (double)i / COUNT;           // ever better
      sorted[i] = canonical[i];
      double width = bound * uniform(&seed), at = canonical[i] + width * (2 * uniform(&seed) - 1);
      const sb_candidate item = {at - width, at + width, i};
      assert_true(sb_shortlist_add(&screen, &list, item));
    }
    sb_shortlist_prune(&screen, &list);
    qsort(sorted, COUNT, sizeof *sorted, descending);
    double least = sorted[wanted - 1 > 0 ? wanted - 1 : 0];
    static bool listed[COUNT];
    memset(listed, 0, sizeof listed);
    for (int64_t i = 0; i < list.count; i++) listed[list.items[i].gallery] = true;
    int64_t possible = 0;
    for (int i = 0; i < COUNT; i++) {
      if (canonical[i] >= least || canonical[i] >= threshold) assert_true(listed[i]);
      possible += canonical[i] >= least - 4 * bound || canonical[i] >= threshold - 2 * bound;
    }
    assert_true(list.count <= possible);
    sb_shortlist_free(&list);
  }
}

static void test_shortlists_stop_at_their_limit(void **state) {
  (void)state;
  int64_t used = 0;
  sb_screen screen = {1, -INFINITY, &used, 100 * SB_CANDIDATE_BYTES};
  sb_shortlist list;
  sb_shortlist_start(&list);
  bool room = true;
  int64_t added = 0;
  for (; added < 1000 && room; added++)
    room = sb_shortlist_add(&screen, &list, (sb_candidate){0.499, 0.501, added});
  assert_false(room);
  assert_true(added > 30 && added <= 101);
  sb_shortlist_free(&list);
}

// ---- Plans --------------------------------------------------------------------------------------

static void test_plans_stay_within_memory(void **state) {
  (void)state;
  static uint8_t mask[GRID];
  int64_t length;
  grid_mask(mask, &length);
  const sb_backend_options options = {.threads = 2};
  void *context;
  assert_ok(sb_backend_cpu.open(&options, &context));
  int made = 0;
  for (int64_t row = 200; row <= 1800000; row *= 30) // up to 1 mm rows
    for (int64_t memory = (int64_t)64 << 20; memory <= (int64_t)64 << 30; memory *= 8)
      for (int64_t probes = 1; probes <= 1000000; probes *= 10)
        for (int self = 0; self < 2; self++) {
          sb_embedder embedder = {.measure = sb_measure_row_find("pearson"),
                                  .grid = {{NX, NY, NZ}, 2, mask, row},
                                  .length = row,
                                  .size = sb_round_up(row),
                                  .scratch = 3 * row};
          int64_t gallery = self ? probes : 5000;
          sb_plan plan;
          sb_status status = sb_plan_make(probes, gallery, self, (sb_range){0, probes}, 10, 2,
                                          memory, &embedder, &sb_backend_cpu, context, NULL, &plan);
          if (status.code == SB_NO_MEMORY) continue;
          assert_ok(status);
          made++;
          assert_true(sb_plan_total_bytes(&plan) <= memory);
          assert_in_range(plan.probe_tile, 1, probes);
          assert_in_range(plan.gallery_tile, 1, gallery);
          int64_t vectors = plan.probe_tile + (sb_plan_streams(&plan) ? plan.gallery_tile : 0);
          assert_true(plan.tile_bytes >=
                      vectors * row * 4 + plan.probe_tile * plan.gallery_tile * 12);
          // Nothing is left lying: half of what is free goes to tiles, or all probes are in one.
          if (plan.probe_tile < probes) assert_true(sb_plan_total_bytes(&plan) > memory * 4 / 5);
        }
  assert_true(made > 50);
  sb_embedder embedder = {.measure = sb_measure_row_find("pearson"),
                          .grid = {{NX, NY, NZ}, 2, mask, 1000000},
                          .length = 1000000,
                          .size = 1000000};
  sb_plan plan;
  sb_status status = sb_plan_make(10, 10, true, (sb_range){0, 10}, 10, 2, 1 << 20, &embedder,
                                  &sb_backend_cpu, context, NULL, &plan);
  assert_int_equal(status.code, SB_NO_MEMORY);
  assert_non_null(strstr(status.message, "needs at least"));
  sb_backend_cpu.close(context);
}

// ---- Links against a naive reference ------------------------------------------------------------

typedef struct scored {
  int64_t gallery;
  double score, closeness;
} scored;

static int by_closeness(const void *left, const void *right) {
  const scored *a = left, *b = right;
  if (a->closeness != b->closeness) return a->closeness > b->closeness ? -1 : 1;
  return a->gallery < b->gallery ? -1 : 1;
}

static float *rows_of(const sb_store *store) {
  int64_t length = sb_store_row_length(store);
  float *rows = malloc((size_t)(sb_store_count(store) * length) * sizeof *rows);
  assert_non_null(rows);
  for (int64_t i = 0; i < sb_store_count(store); i++)
    sb_store_row_values(store, i, rows + i * length);
  return rows;
}

// A pair on its own.
static double score_of(const char *measure, const sb_store *probe, int64_t p,
                       const sb_store *gallery, int64_t g, const float *a, const float *b) {
  const int64_t length = sb_store_row_length(gallery);
  const sb_scan_data one = {a + p * length, sb_store_own_mask(probe, p)};
  const sb_scan_data other = {b + g * length, sb_store_own_mask(gallery, g)};
  double score;
  assert_ok(sb_measure_score_scans(measure, sb_store_grid_dims(gallery), 2, sb_store_mask(gallery),
                                   length, &one, &other, &score));
  return score;
}

static double direction_of(const char *measure) {
  return sb_measure_find(measure)->higher_is_closer ? 1 : -1;
}

// matches.tsv as it must be, by comparing every pair on its own. Not inlined: gcc 12 then takes what
// open_memstream gives for the variable that points to it.
static __attribute__((noinline)) char *naive_matches(const sb_store *probe, const sb_store *gallery,
                                                     const char *const *measures,
                                                     size_t measure_count, int64_t top,
                                                     double threshold) {
  char *text = NULL;
  size_t bytes;
  FILE *file = open_memstream(&text, &bytes);
  int64_t count = sb_store_count(gallery);
  float *a = rows_of(probe), *b = rows_of(gallery);
  scored *list = malloc((size_t)count * sizeof *list);
  assert_non_null(list);
  fputs("probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\n", file);
  for (size_t m = 0; m < measure_count; m++)
    for (int64_t p = 0; p < sb_store_count(probe); p++) {
      const sb_scan_record *one = sb_store_record(probe, p), *other;
      const sb_scan *ps = &one->scan;
      int64_t used = 0;
      for (int64_t g = 0; g < count; g++) {
        other = sb_store_record(gallery, g);
        if (strcmp(ps->dataset, other->scan.dataset) == 0 &&
            strcmp(ps->scan_id, other->scan.scan_id) == 0 &&
            strcmp(one->source_sha256, other->source_sha256) == 0)
          continue;
        double score = score_of(measures[m], probe, p, gallery, g, a, b);
        list[used++] = (scored){g, score, direction_of(measures[m]) * score};
      }
      qsort(list, (size_t)used, sizeof *list, by_closeness);
      double limit = isfinite(threshold) ? direction_of(measures[m]) * threshold : INFINITY;
      for (int64_t i = 0; i < used && (i < top || list[i].closeness >= limit); i++) {
        const sb_scan *gs = &sb_store_record(gallery, list[i].gallery)->scan;
        fprintf(file, "%s\t%s\t%s\t%s\t%s\t%lld\t%.9f\n", ps->dataset, ps->scan_id, gs->dataset,
                gs->scan_id, measures[m], (long long)i + 1, list[i].score);
      }
    }
  fclose(file);
  free(list);
  free(a);
  free(b);
  return text;
}

static const char *const BOTH[] = {"pearson", "bandpass"};

static sb_link_options both_measures(void) {
  sb_link_options options = sb_link_options_default();
  options.measures = BOTH;
  options.measure_count = 2;
  options.threads = 2;
  return options;
}

static char *link_and_read(const char *folder, const sb_store *gallery, const sb_store *probe,
                           const sb_link_options *options, const sb_limits *limits,
                           const char *name) {
  char *out = sb_path_join(folder, "out");
  sb_link_summary summary;
  assert_ok(sb_link_limited(gallery, probe, options, limits, out, NULL, &summary));
  assert_int_equal(summary.gallery, sb_store_count(gallery));
  char *text = read_result(out, name);
  free(out);
  return text;
}

static const cohort PLAIN = {
    .people = 9, .sessions = 2, .seed = 1, .gain = 1, .duplicate_of = -1, .constant = -1};

static void check_measures(const cohort *c, const char *const *measures, size_t count, int64_t top,
                           double threshold, const sb_limits *limits) {
  char *folder = scratch_folder();
  sb_store *store = open_cohort(folder, "a", c);
  sb_link_options options = both_measures();
  options.measures = measures;
  options.measure_count = count;
  options.top = top;
  options.has_threshold = isfinite(threshold);
  options.threshold = threshold;
  char *expected = naive_matches(store, store, measures, count, top, threshold);
  char *self = link_and_read(folder, store, NULL, &options, limits, "matches.tsv");
  char *pair = link_and_read(folder, store, store, &options, limits, "matches.tsv");
  assert_string_equal(self, expected);
  assert_string_equal(pair, expected);
  free(expected);
  free(self);
  free(pair);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
}

static void check_against_naive(const cohort *c, int64_t top, double threshold) {
  check_measures(c, BOTH, 2, top, threshold, NULL);
}

// The names of all measures; returns how many.
static size_t all_measures(const char *names[40]) {
  size_t count = 0;
  const sb_measure_info *info;
  while ((info = sb_measure_at(count)) != NULL) names[count++] = info->name;
  assert_true(count < 40);
  return count;
}

// Every row of the table, with tiles that cut everything, rows that tie, and large ones.
static void test_every_measure_is_linked_as_its_pairs_score(void **state) {
  (void)state;
  static const sb_limits limits[] = {{4, 3, 50}, {1, 1, 7}};
  const char *names[40];
  size_t count = all_measures(names);
  cohort c = PLAIN;
  c.people = 5;
  check_measures(&c, names, count, 2, INFINITY, NULL);
  check_measures(&c, names, count, 1, 0.6, limits);
  c.duplicate_of = 3;
  check_measures(&c, names, count, 3, INFINITY, limits + 1);
  c.duplicate_of = -1;
  c.gain = 5000;
  c.offset = 70000;
  check_measures(&c, names, count, 3, INFINITY, limits);
}

static void test_matches_are_those_of_the_naive_way(void **state) {
  (void)state;
  check_against_naive(&PLAIN, 3, INFINITY);
  check_against_naive(&PLAIN, 1, 0.1);
}

static void test_top_beyond_the_gallery_and_threshold_below_all(void **state) {
  (void)state;
  check_against_naive(&PLAIN, 1000, INFINITY);
  check_against_naive(&PLAIN, 1, -2);
}

static void test_duplicates_and_ties_come_in_order_of_names(void **state) {
  (void)state;
  cohort c = PLAIN;
  c.duplicate_of = 5; // 12 of 18 rows are the same
  check_against_naive(&c, 4, INFINITY);
  check_against_naive(&c, 2, 0.999999);
}

static void test_scaled_rows_are_scaled_back(void **state) {
  (void)state;
  cohort c = PLAIN;
  c.gain = 5000;
  c.offset = 70000; // does not fit float16 as it is
  check_against_naive(&c, 3, INFINITY);
}

static void test_a_single_scan_and_a_pair(void **state) {
  (void)state;
  cohort c = PLAIN;
  c.people = 1;
  check_against_naive(&c, 3, INFINITY);
  c.sessions = 1;
  check_against_naive(&c, 3, INFINITY);
}

// The same bytes for any tiles, chunk, threads and memory.
static void test_reported_files_do_not_depend_on_how(void **state) {
  (void)state;
  static const sb_limits limits[] = {{1, 1, 1},  {2, 3, 7},   {5, 2, 64},  {7, 18, 100},
                                     {18, 5, 0}, {100, 4, 1}, {17, 100, 0}};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  cohort c = PLAIN;
  c.duplicate_of = 13;
  sb_store *gallery = open_cohort(folder, "a", &c), *probe;
  c.seed = 1;
  c.people = 6;
  probe = open_cohort(folder, "b", &c);
  for (int self = 0; self < 2; self++) {
    sb_link_options options = both_measures();
    const char *names[40];
    options.measure_count = all_measures(names);
    options.measures = names;
    options.top = 2;
    options.has_threshold = true;
    options.threshold = 0.2;
    options.threads = 1;
    const sb_store *p = self ? NULL : probe;
    char *matches = link_and_read(folder, gallery, p, &options, NULL, "matches.tsv");
    char *mated = read_result(out, "mated.tsv"), *probes = read_result(out, "probes.tsv");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
      options.threads = (int)(i % 3) + 1;
      options.memory_bytes = i % 2 ? (int64_t)40 << 20 : 0;
      options.precision = i < 4 ? "int8" : "fp32";
      options.matrix = i % 2;
      char *again = link_and_read(folder, gallery, p, &options, limits + i, "matches.tsv");
      assert_string_equal(again, matches);
      free(again);
      again = read_result(out, "mated.tsv");
      assert_string_equal(again, mated);
      free(again);
      again = read_result(out, "probes.tsv");
      assert_string_equal(again, probes);
      free(again);
    }
    free(matches);
    free(mated);
    free(probes);
  }
  sb_store_close(gallery);
  sb_store_close(probe);
  remove_folder(folder);
  free(folder);
  free(out);
}

// ---- Arrays -------------------------------------------------------------------------------------

// An array file's elements; free() *file.
static const void *read_array(const char *folder, const char *name, const char *type, int64_t rows,
                              int64_t columns, char **file) {
  char *path = sb_path_join(folder, name);
  size_t bytes;
  sb_npy array;
  int64_t offset;
  assert_ok(sb_read_file(path, file, &bytes));
  assert_ok(sb_npy_parse(path, *file, bytes, &array, &offset));
  assert_string_equal(array.type, type);
  assert_int_equal(array.rows, rows);
  assert_int_equal(array.columns, columns);
  assert_int_equal((int64_t)bytes - offset,
                   rows * (columns == 0 ? 1 : columns) * sb_npy_item_bytes(&array));
  free(path);
  return *file + offset;
}

static double screen_bound(const char *out, const char *measure) {
  char *text = read_result(out, "summary.json");
  cJSON *root = cJSON_Parse(text), *item;
  double bound = NAN;
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(root, "measures")) {
    if (strcmp(cJSON_GetObjectItem(item, "name")->valuestring, measure) == 0)
      bound = cJSON_GetObjectItem(item, "screen_bound")->valuedouble;
  }
  cJSON_Delete(root);
  free(text);
  return bound;
}

// The matrix is the canonical score within the bound, the histogram is the matrix without mates.
static void check_arrays(const char *out, const sb_store *probe, const sb_store *gallery, bool self,
                         const char *measure) {
  int64_t P = sb_store_count(probe), G = sb_store_count(gallery), B = sb_histogram_bins(P);
  const sb_measure_info *info = sb_measure_find(measure);
  const double bound = screen_bound(out, measure);
  char *names[3], *files[3];
  names[0] = sb_format("scores-%s.npy", measure);
  names[1] = sb_format("nonmated-%s.npy", measure);
  names[2] = sb_format("nonmated-%s-edges.npy", measure);
  const float *matrix = read_array(out, names[0], "<f4", P, G, files);
  const int64_t *histogram = read_array(out, names[1], "<i8", P, B, files + 1);
  const double *edges = read_array(out, names[2], "<f8", B + 1, 0, files + 2);
  assert_true(edges[0] == info->range_min);
  if (isfinite(info->range_max)) assert_true(edges[B] == info->range_max);
  float *a = rows_of(probe), *b = rows_of(gallery);
  int64_t *expected = malloc((size_t)B * sizeof *expected);
  assert_non_null(expected);
  for (int64_t p = 0; p < P; p++) {
    const sb_scan *ps = &sb_store_record(probe, p)->scan;
    memset(expected, 0, (size_t)B * sizeof *expected);
    for (int64_t g = 0; g < G; g++) {
      const sb_scan *gs = &sb_store_record(gallery, g)->scan;
      double score = score_of(measure, probe, p, gallery, g, a, b);
      double got = (double)matrix[p * G + g];
      // The bound is over the pairs compared: not a scan with itself.
      if (p != g || !self) assert_true(fabs(got - score) <= bound + 1e-7 * fabs(score));
      if (self) assert_true(matrix[p * G + g] == matrix[g * G + p]);
      bool mate =
          strcmp(ps->dataset, gs->dataset) == 0 && strcmp(ps->participant, gs->participant) == 0;
      if (mate) continue;
      int64_t bin = 0;
      while (bin < B - 1 && edges[bin + 1] <= got) bin++;
      expected[bin]++;
    }
    // The matrix is rounded to float: allow a score on an edge to be in the neighbouring bin.
    int64_t difference = 0, total = 0;
    for (int64_t bin = 0; bin < B; bin++) {
      difference += llabs(expected[bin] - histogram[p * B + bin]);
      total += expected[bin] - histogram[p * B + bin];
    }
    assert_int_equal(total, 0);
    assert_true(difference <= 2);
  }
  free(expected);
  free(a);
  free(b);
  for (int i = 0; i < 3; i++) {
    free(names[i]);
    free(files[i]);
  }
}

static void test_matrix_and_histogram(void **state) {
  (void)state;
  static const sb_limits limits[] = {{0, 0, 0}, {4, 3, 50}, {1, 1, 0}};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  cohort c = PLAIN;
  c.people = 6;
  sb_store *gallery = open_cohort(folder, "a", &c), *probe;
  c.people = 5;
  c.seed = 2;
  probe = open_cohort(folder, "b", &c);
  sb_link_options options = both_measures();
  options.matrix = true;
  const char *names[40];
  options.measures = names;
  options.measure_count = all_measures(names);
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    for (int self = 0; self < 2; self++) {
      const sb_store *p = self ? gallery : probe;
      assert_ok(sb_link_limited(gallery, self ? NULL : p, &options, limits + i, out, NULL, NULL));
      for (size_t m = 0; m < options.measure_count; m++)
        check_arrays(out, p, gallery, self, names[m]);
    }
  sb_store_close(gallery);
  sb_store_close(probe);
  remove_folder(folder);
  free(folder);
  free(out);
}

// ---- Refining -----------------------------------------------------------------------------------

// Of all lines of a table of matches, those whose pair stands in another, with ranks anew.
static char *lines_listed(const char *all, const char *listed) {
  char *text = calloc(1, strlen(all) + 1), last[200] = "";
  assert_non_null(text);
  long long rank = 0;
  for (const char *line = strchr(all, '\n') + 1, *end; *line != '\0'; line = end + 1) {
    end = strchr(line, '\n');
    char probe_set[40], probe[40], gallery_set[40], scan[40], measure[20], score[40], pair[200];
    assert_int_equal(sscanf(line, "%39s %39s %39s %39s %19s %*s %39s", probe_set, probe,
                            gallery_set, scan, measure, score),
                     6);
    snprintf(pair, sizeof pair, "%s\t%s\t%s\t%s\t", probe_set, probe, gallery_set, scan);
    if (strstr(listed, pair) == NULL) continue;
    rank = strcmp(last, probe) == 0 ? rank + 1 : 1;
    snprintf(last, sizeof last, "%s", probe);
    sprintf(text + strlen(text), "%s%s\t%lld\t%s\n", pair, measure, rank, score);
  }
  return text;
}

// The last lines of matches.tsv: what the other measures list for each probe, ranked by the refining
// one, each scan once.
static void test_refinement_ranks_what_the_others_list(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  sb_store *store = open_cohort(folder, "a", &PLAIN);
  const char *const refining[] = {"nmi", "mae"};
  for (int r = 0; r < 2; r++) {
    sb_link_options options = both_measures();
    options.top = 3;
    options.refine = refining[r];
    char *plain = naive_matches(store, store, BOTH, 2, 3, INFINITY);
    char *all = naive_matches(store, store, refining + r, 1, 1000, INFINITY);
    char *got = link_and_read(folder, store, NULL, &options, NULL, "matches.tsv");
    assert_int_equal(strncmp(got, plain, strlen(plain)), 0);
    char *expected = lines_listed(all, plain);
    assert_string_equal(got + strlen(plain), expected);
    char *summary = read_result(out, "summary.json");
    assert_non_null(strstr(summary, "\"refine\""));
    free(summary);
    free(expected);
    free(plain);
    free(all);
    free(got);
    sb_evaluation figures[2]; // evaluate passes these lines over
    size_t count;
    assert_ok(sb_evaluate(out, NULL, figures, 2, &count));
    assert_int_equal(count, 2);
  }
  sb_link_options options = both_measures();
  options.refine = "pearson";
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, NULL).code, SB_USAGE);
  options.refine = "divination";
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, NULL).code, SB_NOT_FOUND);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

// ---- Identities ---------------------------------------------------------------------------------

static int64_t histogram_total(const char *out, int64_t probes, int64_t only_probe) {
  char *file;
  int64_t bins = sb_histogram_bins(probes), total = 0;
  const int64_t *histogram = read_array(out, "nonmated-pearson.npy", "<i8", probes, bins, &file);
  for (int64_t i = 0; i < probes * bins; i++)
    if (only_probe < 0 || i / bins == only_probe) total += histogram[i];
  free(file);
  return total;
}

static size_t rows_in(const char *out, const char *name) {
  sb_tsv table = read_table_result(out, name);
  size_t rows = table.rows;
  sb_tsv_free(&table);
  return rows;
}

static void test_identities(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  char *table = sb_path_join(folder, "who.tsv");
  cohort c = PLAIN;
  c.people = 3; // 6 scans: 15 pairs, 3 of them mated
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options options = both_measures();
  sb_link_summary summary;

  assert_ok(sb_link(store, NULL, NULL, out, NULL, NULL)); // one measure by default
  assert_int_equal(rows_in(out, "mated.tsv"), 3);

  assert_ok(sb_link(store, NULL, &options, out, NULL, &summary));
  assert_int_equal(summary.pairs, 15);
  assert_int_equal(summary.mated, 3);
  assert_int_equal(rows_in(out, "mated.tsv"), 6);
  assert_int_equal(histogram_total(out, 6, -1), 24);

  options.identities = "none";
  assert_ok(sb_link(store, NULL, &options, out, NULL, &summary));
  assert_int_equal(summary.mated, 0);
  assert_int_equal(rows_in(out, "mated.tsv"), 0);
  assert_int_equal(histogram_total(out, 6, -1), 30);

  // Three scans of one person across participants; one of another; two that nobody knows. Lines
  // for scans that are not there are only warned of.
  options.identities = table;
  write_text(folder, "who.tsv",
             "dataset\tscan_id\tperson\na\tsub-001_ses-1\tx\na\tsub-001_ses-2\tx\n"
             "a\tsub-002_ses-1\tx\na\tsub-003_ses-1\ty\nb\tsub-001_ses-1\tz\n"
             "a\tsub-003_ses-2\tn/a\nb\tsub-002_ses-1\tz\n");
  heard h = {0};
  const sb_progress progress = {.context = &h, .warn = hear};
  assert_ok(sb_link(store, NULL, &options, out, &progress, &summary));
  assert_int_equal(h.count, 1);
  assert_int_equal(heard_of(&h, "2 of its 7 lines name no scan that is compared",
                            "the first sub-001_ses-1 of dataset b"),
                   1);
  assert_int_equal(summary.mated, 3);
  assert_int_equal(rows_in(out, "mated.tsv"), 6);
  assert_int_equal(histogram_total(out, 6, -1), 6); // y with each x, seen from both sides
  assert_int_equal(histogram_total(out, 6, 3), 0);  // sub-002_ses-2 is unknown
  sb_tsv probes = read_table_result(out, "probes.tsv");
  long person = sb_tsv_column(&probes, "person"),
       best = sb_tsv_column(&probes, "best_nonmated_bandpass");
  assert_string_equal(sb_tsv_cell(&probes, 2, (size_t)person), "x");
  assert_string_equal(sb_tsv_cell(&probes, 3, (size_t)person), "n/a");
  assert_string_equal(sb_tsv_cell(&probes, 3, (size_t)best), "n/a");
  assert_true(strcmp(sb_tsv_cell(&probes, 4, (size_t)best), "n/a") != 0);
  sb_tsv_free(&probes);

  write_text(folder, "who.tsv",
             "dataset\tscan_id\tperson\na\tsub-001_ses-1\tx\na\tsub-001_ses-1\ty\n");
  sb_status status = sb_link(store, NULL, &options, out, NULL, &summary);
  assert_int_equal(status.code, SB_FORMAT);
  assert_non_null(strstr(status.message, "two persons for scan sub-001_ses-1"));
  write_text(folder, "who.tsv", "dataset\tscan_id\tperson\nzzz\tsub-001_ses-1\tx\n");
  status = sb_link(store, NULL, &options, out, NULL, &summary);
  assert_int_equal(status.code, SB_FORMAT);
  assert_non_null(strstr(status.message, "none of its 1 lines"));
  write_text(folder, "who.tsv", "dataset\tscan\tperson\na\tsub-001_ses-1\tx\n");
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, &summary).code, SB_FORMAT);
  assert_int_equal(rows_in(out, "mated.tsv"), 6); // the last good results are still there

  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
  free(table);
}

// The same scan in probe and gallery is not matched with itself, whatever its label.
static void test_a_scan_is_never_its_own_match(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  sb_store *store = open_cohort(folder, "a", &PLAIN);
  sb_link_options options = both_measures();
  options.top = 100;
  assert_ok(sb_link(store, store, &options, out, NULL, NULL));
  sb_tsv matches = read_table_result(out, "matches.tsv");
  assert_int_equal(matches.rows, 2 * 18 * 17);
  for (size_t i = 0; i < matches.rows; i++)
    assert_string_not_equal(sb_tsv_cell(&matches, i, 1), sb_tsv_cell(&matches, i, 3));
  sb_tsv_free(&matches);
  assert_int_equal(rows_in(out, "mated.tsv"), 2 * 18); // each side's view of the nine pairs
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

// Writes a cohort into a store of another name than the dataset's.
static sb_store *open_named(const char *folder, const char *name, const char *dataset,
                            const cohort *c, const char *more, const cohort *d) {
  char *path = sb_path_join(folder, name);
  sb_store *store;
  write_cohort(path, dataset, c);
  if (more != NULL) write_cohort(path, more, d);
  assert_ok(sb_store_open(path, &store));
  free(path);
  return store;
}

// Two stores with scans of the same names: the same file is one scan, other files are compared.
static void test_namesakes_in_two_stores(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  cohort few = PLAIN, others = PLAIN;
  few.people = 4;
  others.people = 3;
  others.files = 1; // the rows are those of the gallery's namesakes: true mates
  sb_store *gallery = open_named(folder, "a", "data", &PLAIN, "more", &PLAIN);
  sb_store *probe = open_named(folder, "b", "data", &few, "more", &others);
  sb_link_options options = both_measures();
  options.top = 3;
  sb_link_summary summary;
  heard h = {0};
  const sb_progress progress = {.context = &h, .warn = hear};
  assert_ok(sb_link(gallery, probe, &options, out, &progress, &summary));
  assert_int_equal(summary.pairs, (8 + 6) * 36 - 8);
  assert_int_equal(summary.mated, 8 * 1 + 6 * 2); // with the other session; with both
  char *expected = naive_matches(probe, gallery, BOTH, 2, 3, INFINITY);
  char *matches = read_result(out, "matches.tsv");
  assert_string_equal(matches, expected);
  assert_non_null(strstr(matches, "more\tsub-001_ses-1\tmore\tsub-001_ses-1\tbandpass\t2\t1.0000"));
  assert_null(strstr(matches, "data\tsub-001_ses-1\tdata\tsub-001_ses-1"));
  assert_int_equal(h.count, 2);
  assert_int_equal(
      heard_of(&h, "different files (6 of them, the first is sub-001_ses-1", "of dataset \"more\""),
      1);
  assert_int_equal(heard_of(&h, "both stores have a dataset \"more\":", "--identities"), 1);

  // With nobody's labels in use there is no word of datasets; the same store twice: not a word.
  h.count = 0;
  options.identities = "none";
  assert_ok(sb_link(gallery, probe, &options, out, &progress, &summary));
  assert_int_equal(h.count, 1);
  options.identities = NULL;
  assert_ok(sb_link(gallery, gallery, &options, out, &progress, &summary));
  assert_ok(sb_link(gallery, NULL, &options, out, &progress, &summary));
  assert_int_equal(h.count, 1);
  free(expected);
  free(matches);
  sb_store_close(gallery);
  sb_store_close(probe);
  remove_folder(folder);
  free(folder);
  free(out);
}

static void test_lost_rows_are_told(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  sb_store *whole = open_cohort(folder, "a", &PLAIN), *cut = open_cohort(folder, "b", &PLAIN);
  char *rows = sb_path_join(folder, "b/shard-0001.npy");
  int64_t row_bytes = 2 * sb_store_row_length(cut);
  sb_store_close(cut);
  assert_int_equal(truncate(rows, SB_NPY_HEADER + 15 * row_bytes), 0);
  char *path = sb_path_join(folder, "b");
  assert_ok(sb_store_open(path, &cut));
  assert_int_equal(sb_store_count(cut), 15);
  const sb_store *stores[3][2] = {{cut, NULL}, {whole, cut}, {cut, whole}};
  sb_link_options options = both_measures();
  for (int i = 0; i < 3; i++) {
    heard h = {0};
    const sb_progress progress = {.context = &h, .warn = hear};
    assert_ok(sb_link(stores[i][0], stores[i][1], &options, out, &progress, NULL));
    assert_int_equal(h.count, 1);
    assert_int_equal(heard_of(&h, path, "not compared (3 of them"), 1);
    assert_int_equal(heard_of(&h, "prepare the same scans again", ""), 1);
  }
  sb_store_close(whole);
  sb_store_close(cut);
  remove_folder(folder);
  free(path);
  free(rows);
  free(folder);
  free(out);
}

// ---- Folders and errors -------------------------------------------------------------------------

static void test_the_result_folder(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  sb_store *store = open_cohort(folder, "a", &PLAIN);
  sb_link_options options = both_measures();
  options.matrix = true;
  assert_ok(sb_link(store, NULL, &options, out, NULL, NULL));
  write_text(out, "evaluation.json", "{}");
  write_text(out, "matches.tsv.4242.part", "left by a killed run");

  // A second run replaces all of the first, also what it does not write itself.
  options.matrix = false;
  options.measure_count = 1;
  assert_ok(sb_link(store, NULL, &options, out, NULL, NULL));
  char **names;
  size_t count;
  assert_ok(sb_list_folder(out, &names, &count));
  static const char *const expected[] = {
      "gallery.tsv",          "matches.tsv", "mated.tsv",   "nonmated-pearson-edges.npy",
      "nonmated-pearson.npy", "probes.tsv",  "summary.json"};
  assert_int_equal(count, sizeof expected / sizeof *expected);
  for (size_t i = 0; i < count; i++) assert_string_equal(names[i], expected[i]);
  sb_free_names(names, count);

  write_text(out, "thesis.txt", "precious");
  sb_status status = sb_link(store, NULL, &options, out, NULL, NULL);
  assert_int_equal(status.code, SB_USAGE);
  assert_non_null(strstr(status.message, "thesis.txt"));
  char *kept = read_result(out, "thesis.txt");
  assert_string_equal(kept, "precious");
  free(kept);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

static void test_requests_that_cannot_be_met(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  cohort c = PLAIN;
  c.constant = 6;
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options options = both_measures();
  sb_status status = sb_link(store, NULL, &options, out, NULL, NULL);
  assert_int_equal(status.code, SB_CONTENT);
  assert_non_null(strstr(status.message, "sub-004_ses-1"));
  assert_non_null(strstr(status.message, "without variation"));
  char **names;
  size_t count;
  assert_ok(sb_list_folder(out, &names, &count));
  assert_int_equal(count, 0); // nothing half-written is left
  sb_free_names(names, count);

  options.backend = "cuda";
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, NULL).code, SB_BACKEND);
  options.backend = "abacus";
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, NULL).code, SB_USAGE);
  options = both_measures();
  static const char *const unknown[] = {"pearson", "telepathy"}, *const twice[] = {"pearson",
                                                                                   "pearson"};
  options.measures = unknown;
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, NULL).code, SB_NOT_FOUND);
  options.measures = twice;
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, NULL).code, SB_USAGE);
  options = both_measures();
  options.top = 0;
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, NULL).code, SB_USAGE);
  options = both_measures();
  options.memory_bytes = 1000;
  assert_int_equal(sb_link(store, NULL, &options, out, NULL, NULL).code, SB_NO_MEMORY);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gemm_is_exact_on_small_integers),
      cmocka_unit_test(test_gemm_stays_within_its_bound),
      cmocka_unit_test(test_shortlists_keep_what_matters),
      cmocka_unit_test(test_shortlists_stop_at_their_limit),
      cmocka_unit_test(test_plans_stay_within_memory),
      cmocka_unit_test(test_every_measure_is_linked_as_its_pairs_score),
      cmocka_unit_test(test_matches_are_those_of_the_naive_way),
      cmocka_unit_test(test_top_beyond_the_gallery_and_threshold_below_all),
      cmocka_unit_test(test_duplicates_and_ties_come_in_order_of_names),
      cmocka_unit_test(test_scaled_rows_are_scaled_back),
      cmocka_unit_test(test_a_single_scan_and_a_pair),
      cmocka_unit_test(test_reported_files_do_not_depend_on_how),
      cmocka_unit_test(test_matrix_and_histogram),
      cmocka_unit_test(test_refinement_ranks_what_the_others_list),
      cmocka_unit_test(test_identities),
      cmocka_unit_test(test_a_scan_is_never_its_own_match),
      cmocka_unit_test(test_namesakes_in_two_stores),
      cmocka_unit_test(test_lost_rows_are_told),
      cmocka_unit_test(test_the_result_folder),
      cmocka_unit_test(test_requests_that_cannot_be_met),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
