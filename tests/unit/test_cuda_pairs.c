// The pair family on the CUDA backend against the canonical scores. By default on the emulated device,
// with small tiles and the threads of a block in several orders, or as `test_cuda_pairs wide` with a
// GPU's tiles; as `test_cuda_pairs gpu` on a real one, skipped where there is none.
#include "cuda_device.h"

#include "engine/run.h"
#include "measure/measure.h"

// Every measure that a device scores pair by pair: those of the table that have a form.
enum { MOST_MEASURES = 64 };
static const char *with_form[MOST_MEASURES];
static int with_form_count;

static void find_forms(void) {
  const sb_measure *measure;
  for (size_t i = 0; (measure = sb_measure_row(i)) != NULL; i++)
    if (measure->form != NULL && with_form_count < MOST_MEASURES)
      with_form[with_form_count++] = measure->info.name;
}

// ---- Scenes -------------------------------------------------------------------------------------

typedef struct shape {
  int64_t dims[3];
  double voxel_mm, fill; // share of the grid that the mask has, about
} shape;

// A row, odd sizes, a slab of holes, a whole box, a fine grid, the largest radius, more than a
// GPU's tile and chunk.
static const shape SHAPES[] = {{{3, 1, 1}, 2, 1},       {{1, 1, 40}, 2, 1},  {{11, 10, 9}, 2, 0.6},
                               {{37, 13, 3}, 3, 0.3},   {{16, 16, 4}, 2, 1}, {{19, 18, 17}, 1, 0.5},
                               {{19, 14, 8}, 0.6, 0.9}, {{33, 18, 15}, 2, 1}};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof *SHAPES };

// What rows are like: smooth with noise, small integers, shifted copies of the first, nearly constant.
typedef enum content { WAVES, INTEGERS, SHIFTED, SPARSE, CONTENTS } content;

typedef struct scene {
  sb_grid grid;
  uint8_t *mask;
  sb_embedder embedder;
  float *embeddings, *scratch;
} scene;

static double value_of(content kind, int scan, const int64_t at[3], uint64_t *seed) {
  const double x = (double)at[0] + (kind == SHIFTED ? scan % 4 : 0), y = (double)at[1],
               z = (double)at[2] - (kind == SHIFTED ? scan / 4 : 0);
  const double noise = uniform(seed);
  switch (kind) {
  case WAVES:
    return 100 + 20 * sin(0.7 * x + scan) + 15 * cos(0.5 * y + 0.3 * z * scan) + 10 * noise;
  case INTEGERS:
    return (double)((int)(noise * 9) - 4);
  case SHIFTED:
    return sin(0.9 * x) + cos(1.1 * y - 0.4 * z) + 0.2 * noise;
  default:
    return noise < 0.05 ? -3 - scan : noise > 0.97 ? 1e-3 * x : 7;
  }
}

static void *take(int64_t count, size_t size) {
  void *memory = calloc((size_t)count, size);
  assert_non_null(memory);
  return memory;
}

static void make_mask(scene *s, const shape *of) {
  const int64_t voxels = of->dims[0] * of->dims[1] * of->dims[2];
  uint64_t seed = 3;
  s->mask = take(voxels, 1);
  s->grid = (sb_grid){.voxel_mm = of->voxel_mm, .mask = s->mask};
  memcpy(s->grid.dims, of->dims, sizeof of->dims);
  for (int64_t i = 0; i < voxels; i++) {
    s->mask[i] = uniform(&seed) < of->fill;
    s->grid.row_length += s->mask[i];
  }
}

static void embed_scans(scene *s, content kind, int64_t scans) {
  const int64_t voxels = s->grid.dims[0] * s->grid.dims[1] * s->grid.dims[2];
  float *row = take(s->grid.row_length, sizeof *row);
  uint8_t *own = take(voxels / 8 + 1, 1); // a scan's own mask, as packed bits
  memset(own, 0x6d, (size_t)(voxels / 8));
  for (int scan = 0; scan < scans; scan++) {
    uint64_t seed = (uint64_t)scan + 17;
    int64_t used = 0, at[3];
    for (at[2] = 0; at[2] < s->grid.dims[2]; at[2]++)
      for (at[1] = 0; at[1] < s->grid.dims[1]; at[1]++)
        for (at[0] = 0; at[0] < s->grid.dims[0]; at[0]++)
          if (s->mask[at[0] + s->grid.dims[0] * (at[1] + s->grid.dims[1] * at[2])])
            row[used++] = (float)value_of(kind, scan, at, &seed);
    row[0] = row[1] + 1; // variation in the smallest, too
    const sb_scan_data data = {.row = row, .own_mask = own};
    assert_ok(sb_embed(&s->embedder, &data, s->embeddings + scan * s->embedder.size, s->scratch));
  }
  free(row);
  free(own);
}

static scene make_scene(const shape *of, const char *measure, content kind, int64_t scans) {
  scene s = {0};
  make_mask(&s, of);
  assert_ok(sb_embedder_open(sb_measure_row_find(measure), &s.grid, &s.embedder));
  s.embeddings = aligned_alloc(64, (size_t)(scans * s.embedder.size) * sizeof *s.embeddings);
  s.scratch = aligned_alloc(64, (size_t)(sb_round_up(s.embedder.scratch) + 16) * sizeof *s.scratch);
  assert_true(s.embeddings != NULL && s.scratch != NULL);
  embed_scans(&s, kind, scans);
  return s;
}

static void free_scene(scene *s) {
  sb_embedder_close(&s->embedder);
  free(s->mask);
  free(s->embeddings);
  free(s->scratch);
}

// ---- Scores -------------------------------------------------------------------------------------

static double canonical(const scene *s, int64_t a, int64_t b) {
  return sb_embedded_score(&s->embedder, s->embeddings + a * s->embedder.size,
                           s->embeddings + b * s->embedder.size, s->scratch);
}

// Scores of m scans from the second on with n from the third on, in two parts; nothing beside the result
// is touched. Products of scans are cut into tiles of several.
enum { FIRST_A = 1, FIRST_B = 2, MOST_M = 66, MOST_N = 69, LINE = MOST_N + 2 };
static void score_on_device(const scene *s, const sb_backend *backend, void *context, int64_t m,
                            int64_t n, double *c) {
  const sb_form *form = &s->embedder.form;
  assert_true(backend->pair_supports(form));
  assert_ok(backend->pair_begin(context, form));
  assert_ok(backend->pair_put(context, SB_SLOT_PROBES, s->embeddings, FIRST_A + m));
  assert_ok(backend->pair_put(context, SB_SLOT_GALLERY, s->embeddings, FIRST_B + n));
  for (int i = 0; i < MOST_M * LINE; i++) c[i] = NAN;
  for (int part = 0; part < 2; part++) {
    const int64_t first = part == 0 ? 0 : 2, count = part == 0 ? 2 : n - 2;
    assert_ok(backend->pair_tile(context, (sb_part){SB_SLOT_PROBES, FIRST_A, m},
                                 (sb_part){SB_SLOT_GALLERY, FIRST_B + first, count}, c + first,
                                 LINE));
  }
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = n; j < LINE; j++) assert_true(isnan(c[i * LINE + j]));
}

// Differences of small scenes: enough pairs for several tiles.
static bool many(const char *measure, const shape *of) {
  return strcmp(measure, "mae") == 0 && of->dims[0] < 16;
}

static void test_scores_stay_within_their_error(void **state) {
  (void)state;
  const sb_backend *backend;
  void *context = open_cuda(SB_FP16, 0, &backend);
  assert_true(with_form_count >= 8);
  for (int trial = 0; trial < SHAPE_COUNT * with_form_count * CONTENTS; trial++) {
    const char *measure = with_form[trial % with_form_count];
    const shape *of = &SHAPES[trial / with_form_count / CONTENTS];
    const content kind = (content)(trial / with_form_count % CONTENTS);
    if (of == &SHAPES[SHAPE_COUNT - 1] && kind != WAVES) continue; // a large one
    const int64_t m = many(measure, of) ? MOST_M : 2, n = many(measure, of) ? MOST_N : 5;
    scene s = make_scene(of, measure, kind, FIRST_B + n);
    const sb_score_error error = backend->pair_error(&s.embedder.form);
    double c[MOST_M * LINE];
    score_on_device(&s, backend, context, m, n, c);
    assert_true(error.absolute < 1e-6 && error.relative < 2e-5);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        const double value = c[i * LINE + j], expected = canonical(&s, FIRST_A + i, FIRST_B + j);
        if (!(fabs(value - expected) <= error.absolute + error.relative * fabs(value)))
          fail_msg("%s, %lld voxels, content %d, pair %lld %lld: %.15g, not %.15g", measure,
                   (long long)s.grid.row_length, (int)kind, (long long)i, (long long)j, value,
                   expected);
      }
    free_scene(&s);
  }
  backend->close(context);
}

// Where nothing is rounded, or all of it as on the host: differences of small integers over a power of
// two, sums over levels, phases.
static void test_exact_scores_are_equal(void **state) {
  (void)state;
  static const struct {
    const char *measure;
    shape of;
    content kind;
  } cases[] = {{"mae", {{16, 16, 4}, 2, 1}, INTEGERS}, {"mae", {{1, 1, 64}, 2, 1}, INTEGERS},
               {"cr", {{11, 10, 9}, 2, 0.6}, WAVES},   {"cr", {{19, 18, 17}, 1, 0.5}, SPARSE},
               {"poc", {{11, 10, 9}, 2, 0.6}, WAVES},  {"poc", {{37, 13, 3}, 3, 0.3}, SHIFTED}};
  const sb_backend *backend;
  void *context = open_cuda(SB_FP16, 0, &backend);
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    const int64_t m = 3, n = 7;
    scene s = make_scene(&cases[k].of, cases[k].measure, cases[k].kind, FIRST_B + n);
    double c[MOST_M * LINE];
    score_on_device(&s, backend, context, m, n, c);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++)
        assert_true(c[i * LINE + j] == canonical(&s, FIRST_A + i, FIRST_B + j));
    free_scene(&s);
  }
  backend->close(context);
}

// What has no form, or none with a kernel, is left to the host.
static void test_what_is_supported(void **state) {
  (void)state;
  static const shape coarse = {{11, 10, 9}, 2, 0.6}, fine = {{11, 10, 9}, 0.5, 0.6};
  const sb_backend *backend;
  assert_ok(sb_backend_find("cuda", &backend));
  const sb_measure *measure;
  for (size_t i = 0; (measure = sb_measure_row(i)) != NULL; i++) {
    scene s = make_scene(&coarse, measure->info.name, WAVES, 1);
    assert_int_equal(backend->pair_supports(&s.embedder.form), measure->form != NULL);
    free_scene(&s);
  }
  scene s = make_scene(&fine, "lncc", WAVES, 1); // in cubes of 17
  assert_false(backend->pair_supports(&s.embedder.form));
  free_scene(&s);
}

// ---- Whole links --------------------------------------------------------------------------------

static const char *const FILES[] = {"matches.tsv", "mated.tsv", "probes.tsv"};

static void read_files(const char *out, char *text[3]) {
  for (int i = 0; i < 3; i++) text[i] = read_result(out, FILES[i]);
}

static void expect_files(const char *out, char *const expected[3]) {
  char *found[3];
  read_files(out, found);
  for (int i = 0; i < 3; i++) {
    assert_string_equal(found[i], expected[i]);
    free(found[i]);
  }
}

// The files that the CPU reports, whatever the tiles; after a measure of the GEMM family and before one.
static void test_links_report_the_same_files(void **state) {
  (void)state;
  static const sb_limits limits[] = {{0, 0, 0}, {2, 3, 64}, {5, 2, 100}};
  const cohort c = {
      .people = 5, .sessions = 2, .seed = 1, .gain = 1, .duplicate_of = 7, .constant = -1};
  const cohort d = {
      .people = 4, .sessions = 1, .seed = 1, .gain = 2, .duplicate_of = -1, .constant = -1};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out"), *expected[3];
  sb_store *store = open_cohort(folder, "a", &c), *other = open_cohort(folder, "b", &d);
  const char *measures[MOST_MEASURES + 2] = {"bandpass"};
  for (int i = 0; i < with_form_count; i++) measures[i + 1] = with_form[i];
  measures[with_form_count + 1] = "pearson";
  sb_link_options options = sb_link_options_default();
  options.top = 2;
  options.threads = 1;
  options.measures = measures;
  options.measure_count = (size_t)with_form_count + 2;
  for (int self = 0; self < 2; self++) {
    options.backend = "cpu";
    assert_ok(sb_link(store, self ? NULL : other, &options, out, NULL, NULL));
    read_files(out, expected);
    options.backend = "cuda";
    for (size_t trial = 0; trial < sizeof limits / sizeof *limits; trial++) {
      assert_ok(
          sb_link_limited(store, self ? NULL : other, &options, &limits[trial], out, NULL, NULL));
      expect_files(out, expected);
    }
    for (int i = 0; i < 3; i++) free(expected[i]);
  }
  sb_store_close(store);
  sb_store_close(other);
  remove_folder(folder);
  free(folder);
  free(out);
}

// ---- Failures, on the emulated device alone -----------------------------------------------------

typedef struct trial {
  sb_store *store;
  sb_link_options options;
  char *out, *expected[3];
} trial;

// By name the run ends, saying why, and leaves nothing; with "auto" the CPU goes on, says so, and the
// files are the same. Returns whether the device failed.
static bool link_twice(trial *t, sb_code code, const char *words) {
  static const sb_limits limits = {.probe_tile = 3, .gallery_tile = 3};
  heard h = {0};
  const sb_progress progress = {.context = &h, .warn = hear};
  setenv("SAMEBRAIN_EMULATED_RECOUNT", "1", 1); // from the module's opening on
  t->options.backend = "cuda";
  sb_status status = sb_link_limited(t->store, NULL, &t->options, &limits, t->out, NULL, NULL);
  if (status.code != SB_OK) {
    char *left = sb_path_join(t->out, "summary.json");
    assert_int_equal(status.code, code);
    assert_non_null(strstr(status.message, words));
    assert_false(sb_is_file(left));
    free(left);
  }
  setenv("SAMEBRAIN_EMULATED_RECOUNT", "1", 1);
  t->options.backend = "auto";
  assert_ok(sb_link_limited(t->store, NULL, &t->options, &limits, t->out, &progress, NULL));
  expect_files(t->out, t->expected);
  assert_int_equal(heard_of(&h, words, "going on with the CPU"), status.code != SB_OK ? 1 : 0);
  remove_folder(t->out);
  return status.code != SB_OK;
}

static void test_a_failing_device(void **state) {
  (void)state;
  if (real_device) skip();
  const cohort c = {
      .people = 3, .sessions = 2, .seed = 3, .gain = 1, .duplicate_of = -1, .constant = -1};
  char *folder = scratch_folder();
  trial t = {.store = open_cohort(folder, "a", &c),
             .options = sb_link_options_default(),
             .out = sb_path_join(folder, "out")};
  t.options.threads = 1;
  t.options.measure_count = 1;
  static const char *const forms[] = {"mae", "nmi", "lncc", "poc"};
  for (size_t m = 0; m < sizeof forms / sizeof *forms; m++) {
    t.options.measures = &forms[m];
    t.options.backend = "cpu";
    assert_ok(sb_link(t.store, NULL, &t.options, t.out, NULL, NULL));
    read_files(t.out, t.expected);
    remove_folder(t.out);
    int failed = 0;
    for (int at = 1; failed == at - 1; at++) { // the n-th copy or launch
      char *when = sb_format("%d", at);
      setenv("SAMEBRAIN_EMULATED_FAIL_AT", when, 1);
      failed += link_twice(&t, SB_BACKEND, "the GPU failed");
      unsetenv("SAMEBRAIN_EMULATED_FAIL_AT");
      free(when);
    }
    assert_true(failed >= 8);
    // Memory: enough to open, not enough for anything else; then for a little more.
    for (long long more = 64; more < 1 << 18; more *= 8) {
      char *bytes = sb_format("%lld", (32LL << 20) + more);
      setenv("SAMEBRAIN_EMULATED_MEMORY", bytes, 1);
      const bool refused = link_twice(&t, SB_NO_MEMORY, "the GPU has no room");
      if (more == 64) assert_true(refused);
      unsetenv("SAMEBRAIN_EMULATED_MEMORY");
      free(bytes);
    }
    for (int i = 0; i < 3; i++) free(t.expected[i]);
  }
  sb_store_close(t.store);
  remove_folder(folder);
  free(folder);
  free(t.out);
}

// Tiles are planned from what is free on the device: nothing is asked for that it has no room for.
static void test_tiles_fit_the_device(void **state) {
  (void)state;
  if (real_device) skip();
  static const char *const forms[] = {"mae", "nmi",
                                      "lncc"};   // poc's kernels leave more than these rows have
  static const long long rooms[] = {30, 14, 10}; // embeddings, on a device with 18 scans to compare
  const cohort c = {
      .people = 9, .sessions = 2, .seed = 4, .gain = 1, .duplicate_of = -1, .constant = -1};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out"), *expected[3];
  sb_store *store = open_cohort(folder, "a", &c);
  const sb_grid grid = sb_store_grid(store);
  sb_link_options options = sb_link_options_default();
  options.threads = 1;
  options.measure_count = 1;
  for (size_t at = 0; at < 3 * sizeof forms / sizeof *forms; at++) {
    sb_embedder e;
    options.measures = &forms[at / 3];
    assert_ok(sb_embedder_open(sb_measure_row_find(forms[at / 3]), &grid, &e));
    options.backend = "cpu";
    assert_ok(sb_link(store, NULL, &options, out, NULL, NULL));
    read_files(out, expected);
    char *bytes = sb_format("%lld", (32LL << 20) + rooms[at % 3] * 4 * (long long)e.form.size);
    setenv("SAMEBRAIN_EMULATED_MEMORY", bytes, 1);
    options.backend = "cuda";
    const long long refused = emulated("sb_emulated_refused", 0);
    assert_ok(sb_link(store, NULL, &options, out, NULL, NULL));
    assert_int_equal(emulated("sb_emulated_refused", 0), refused);
    unsetenv("SAMEBRAIN_EMULATED_MEMORY");
    expect_files(out, expected);
    for (int i = 0; i < 3; i++) free(expected[i]);
    free(bytes);
    sb_embedder_close(&e);
  }
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

int main(int argc, char **argv) {
  const int skipped = choose_device(argc, argv);
  if (skipped != 0) return skipped;
  find_forms();
  const struct CMUnitTest kernels[] = {
      cmocka_unit_test(test_scores_stay_within_their_error),
      cmocka_unit_test(test_exact_scores_are_equal),
      cmocka_unit_test(test_what_is_supported),
  };
  const struct CMUnitTest links[] = {
      cmocka_unit_test(test_links_report_the_same_files),
      cmocka_unit_test(test_a_failing_device),
      cmocka_unit_test(test_tiles_fit_the_device),
  };
  int failed = 0;
  for (int i = 0; choose_order(i); i++) failed += cmocka_run_group_tests(kernels, NULL, NULL);
  return wide ? failed : failed + cmocka_run_group_tests(links, NULL, NULL);
}
