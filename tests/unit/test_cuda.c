// The CUDA backend against what it must compute. By default on the emulated device, with the threads
// of a block in several orders; as `test_cuda gpu` on a real one, skipped where there is none.
#include "cuda_device.h"

#include "core/half.h"
#include "engine/run.h"
#include "engine/screen.h"
#include "measure/vector.h"
#include "rounded.h"
#include "rounding.h"

enum { PRECISIONS = SB_BF16 + 1 }; // that a GPU rounds to, element by element

// ---- Rounding -----------------------------------------------------------------------------------

// Of every float between 2^-26 and 2^15, some thousand an octave.
static void test_rounding_is_to_nearest(void **state) {
  (void)state;
  for (uint32_t bits = 0x32800000; bits < 0x47000000; bits += 8191) {
    const float value = sb_float_of(bits), size = fabsf(value);
    for (int sign = 0; sign < 2; sign++) {
      const float x = sign ? -value : value;
      assert_int_equal(sb_to_fp16(x), sb_half_from_float(x));
      assert_true(fabsf(sb_to_tf32(x) - x) <= size * 0x1p-11f);
      assert_int_equal(sb_bits_of(sb_to_tf32(x)) & 0x1fff, 0);
      const float bf16 = sb_float_of((uint32_t)sb_to_bf16(x) << 16);
      assert_true(fabsf(bf16 - x) <= size * 0x1p-8f);
    }
  }
  for (uint32_t half = 0; half < 0x10000; half++)
    assert_int_equal(sb_bits_of(sb_from_fp16((uint16_t)half)),
                     sb_bits_of(sb_half_to_float((uint16_t)half)));
  assert_int_equal(sb_to_fp16(0), 0);
  assert_true(sb_to_bf16(1.00390625f) == 0x3f80); // halfway between two: to the even one
  assert_true(sb_to_bf16(1.01171875f) == 0x3f82);
}

// ---- Products -----------------------------------------------------------------------------------

static void fill_integers(int64_t count, uint64_t *seed, float *out) {
  for (int64_t i = 0; i < count; i++) out[i] = (float)((int)(uniform(seed) * 9) - 4);
}

// Sums of small integers are exact in every precision: all shapes and chunks give the same bits,
// and nothing beside the result is touched.
static void test_small_integers_are_exact(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {
      {1, 1, 1}, {1, 5, 300}, {7, 1, 64}, {13, 17, 129}, {33, 8, 1000}};
  static const int64_t chunks[] = {0, 16, 50, 128};
  uint64_t seed = 1;
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    const int64_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2], lda = k + 3, ldb = k + 1;
    float *a = malloc((size_t)(m * lda) * sizeof *a), *b = malloc((size_t)(n * ldb) * sizeof *b);
    double *c = malloc((size_t)(m * (n + 2)) * sizeof *c);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    fill_integers(m * lda, &seed, a);
    fill_integers(n * ldb, &seed, b);
    for (int trial = 0; trial < PRECISIONS * 4; trial++) {
      const sb_backend *backend;
      void *context = open_cuda((sb_precision)(trial / 4), chunks[trial % 4], &backend);
      for (int64_t i = 0; i < m * (n + 2); i++) c[i] = NAN;
      assert_ok(backend->put(context, SB_SLOT_PROBES, a, m, k, lda));
      assert_ok(backend->put(context, SB_SLOT_GALLERY, b, n, k, ldb));
      // In two parts, so that parts of blocks are tried too.
      const int64_t half = n / 2;
      const sb_part probes = {SB_SLOT_PROBES, 0, m};
      if (half > 0)
        assert_ok(backend->gemm_nt(context, probes, (sb_part){SB_SLOT_GALLERY, 0, half}, c, n + 2));
      assert_ok(backend->gemm_nt(context, probes, (sb_part){SB_SLOT_GALLERY, half, n - half},
                                 c + half, n + 2));
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n + 2; j++) {
          int64_t sum = 0;
          if (j >= n) {
            assert_true(isnan(c[i * (n + 2) + j]));
            continue;
          }
          for (int64_t l = 0; l < k; l++) sum += (int64_t)a[i * lda + l] * (int64_t)b[j * ldb + l];
          assert_true(c[i * (n + 2) + j] == (double)sum);
        }
      backend->close(context);
    }
    free(a);
    free(b);
    free(c);
  }
}

enum { ROWS = 6 };

// Unit vectors that are hard on low precisions: all of one sign, one giant among dwarfs, cancelling
// pairs, elements below fp16's smallest, noise.
static void fill_hard_rows(int64_t k, float *rows) {
  uint64_t seed = 5;
  for (int64_t r = 0; r < ROWS; r++) {
    float *row = rows + r * k;
    double norm = 0;
    for (int64_t i = 0; i < k; i++) {
      double value = uniform(&seed) - 0.5;
      if (r == 1) value = 1 + 0.1 * value;
      if (r == 2) value = i == 0 ? 1000 : 1e-3 * value;
      if (r == 3) value = (i % 2 ? -1 : 1) * (1 + 1e-2 * value);
      if (r == 4) value = i % 64 == 0 ? 1 : 1e-6 * value;
      row[i] = (float)value;
      norm += (double)row[i] * (double)row[i];
    }
    for (int64_t i = 0; i < k; i++) row[i] = (float)((double)row[i] / sqrt(norm));
  }
}

static void test_errors_stay_within_the_bound(void **state) {
  (void)state;
  const int64_t k = 30011;
  float *rows = malloc((size_t)(ROWS * k) * sizeof *rows);
  assert_non_null(rows);
  fill_hard_rows(k, rows);
  for (int trial = 0; trial < PRECISIONS * 2; trial++) {
    const sb_precision precision = (sb_precision)(trial / 2);
    const sb_backend *backend;
    void *context = open_cuda(precision, trial % 2 ? 1000 : 0, &backend);
    double c[ROWS * ROWS], worst = 0;
    assert_ok(backend->put(context, SB_SLOT_PROBES, rows, ROWS, k, k));
    assert_ok(backend->gemm_nt(context, (sb_part){SB_SLOT_PROBES, 0, ROWS},
                               (sb_part){SB_SLOT_PROBES, 0, ROWS}, c, ROWS));
    for (int64_t a = 0; a < ROWS; a++)
      for (int64_t b = 0; b < ROWS; b++)
        worst = fmax(worst, fabs(c[a * ROWS + b] - sb_dot(k, rows + a * k, rows + b * k)));
    const double bound = backend->gemm_error(context, k), unit = sb_precision_unit(precision);
    assert_true(worst <= bound);
    assert_true(worst > 0); // or the rows were not hard
    assert_true(bound >= 2 * unit && bound < 2.1 * unit + 8300 * 0x1p-22);
    backend->close(context);
  }
  free(rows);
}

// What int8 must come to: the host's numbers, multiplied exactly, times the scales chunk by chunk.
static double int8_product(int64_t k, int64_t chunk, const int8_t *a, const float *a_scales,
                           const int8_t *b, const float *b_scales) {
  double sum = 0;
  for (int64_t q = 0; q * chunk < k; q++) {
    int64_t product = 0;
    for (int64_t i = q * chunk; i < k && i < (q + 1) * chunk; i++) product += (int64_t)a[i] * b[i];
    sum += (double)a_scales[q] * (double)b_scales[q] * (double)product;
  }
  return sum;
}

static void expect_lost(const sb_lost *found, const sb_lost *expected) {
  assert_true(found->step == expected->step && found->spread == expected->spread);
  assert_true(fabs(found->size - expected->size) <= 0x1p-12 * expected->size);
}

// int8 products are the same to the bit, wherever in a block the vectors are, and within the bound of
// each pair.
static void test_int8(void **state) {
  (void)state;
  enum { K = 30011, CHUNK = 976, CHUNKS = (K + CHUNK - 1) / CHUNK }; // 31 equal chunks
  float *rows = malloc(sizeof(float) * ROWS * K), scales[ROWS][CHUNKS];
  int8_t *numbers = malloc((size_t)ROWS * K);
  double c[ROWS * ROWS], worst = 0;
  sb_lost lost[ROWS];
  sb_dither dither = {0};
  const sb_backend *backend;
  assert_true(rows != NULL && numbers != NULL);
  assert_ok(sb_dither_reserve(&dither, K));
  fill_hard_rows(K, rows);
  for (int64_t r = 0; r < ROWS; r++)
    lost[r] = round_to_int8(K, CHUNK, rows + r * K, &dither, numbers + r * K, scales[r]);
  void *context = open_cuda(SB_INT8, CHUNK, &backend);
  const double error = sb_dot_error(backend->gemm_error(context, K), K);
  for (int64_t first = 0; first < ROWS; first++) {
    const sb_part all = {SB_SLOT_PROBES, 0, ROWS}, some = {SB_SLOT_GALLERY, first, ROWS - first};
    assert_ok(backend->put(context, SB_SLOT_PROBES, rows, ROWS, K, K));
    assert_ok(backend->put(context, SB_SLOT_GALLERY, rows, ROWS, K, K));
    assert_ok(backend->gemm_nt(context, all, some, c, ROWS));
    for (int64_t a = 0; a < ROWS; a++)
      for (int64_t b = first; b < ROWS; b++) {
        const double found = c[a * ROWS + b - first];
        assert_true(found ==
                    int8_product(K, CHUNK, numbers + a * K, scales[a], numbers + b * K, scales[b]));
        const double off = fabs(found - sb_dot(K, rows + a * K, rows + b * K));
        const double bound = sb_pair_error(error, lost + a, lost + b);
        assert_true(off <= bound);
        worst = fmax(worst, off / bound);
      }
  }
  assert_true(worst > 0.01);
  for (int64_t r = 0; r < ROWS; r++)
    for (int slot = 0; slot < SB_SLOTS; slot++) // squares are summed in another order
      expect_lost(backend->lost(context, (sb_slot)slot) + r, lost + r);
  backend->close(context);
  sb_dither_free(&dither);
  free(rows);
  free(numbers);
}

// ---- Embedding ----------------------------------------------------------------------------------

// The vectors in a slot, element by element: products with unit vectors are exact in fp32.
static void read_vectors(const sb_backend *backend, void *context, int64_t count, int64_t k,
                         double *out) {
  float *units = calloc((size_t)(k * k), sizeof *units);
  assert_non_null(units);
  for (int64_t i = 0; i < k; i++) units[i * k + i] = 1;
  assert_ok(backend->put(context, SB_SLOT_GALLERY, units, k, k, k));
  assert_ok(backend->gemm_nt(context, (sb_part){SB_SLOT_PROBES, 0, count},
                             (sb_part){SB_SLOT_GALLERY, 0, k}, out, k));
  free(units);
}

// Rows embedded on the device become the same numbers, and lose the same, as the host's vectors.
static void expect_the_same_int8(const sb_embedder *e, const sb_stored_row *rows, int64_t count,
                                 const float *vectors) {
  const sb_backend *backend;
  void *context = open_cuda(SB_INT8, 100, &backend);
  double *products[2];
  bool well;
  assert_ok(backend->embed_begin(context, &e->recipe));
  assert_ok(backend->put(context, SB_SLOT_PROBES, vectors, count, e->length, e->size));
  for (int embedded = 0; embedded < 2; embedded++) {
    products[embedded] = malloc((size_t)(count * count) * sizeof *products[embedded]);
    assert_non_null(products[embedded]);
    assert_ok(embedded
                  ? backend->put_rows(context, SB_SLOT_GALLERY, rows, count, &well)
                  : backend->put(context, SB_SLOT_GALLERY, vectors, count, e->length, e->size));
    assert_ok(backend->gemm_nt(context, (sb_part){SB_SLOT_PROBES, 0, count},
                               (sb_part){SB_SLOT_GALLERY, 0, count}, products[embedded], count));
    assert_memory_equal(backend->lost(context, SB_SLOT_GALLERY),
                        backend->lost(context, SB_SLOT_PROBES), (size_t)count * sizeof(sb_lost));
  }
  assert_memory_equal(products[0], products[1], (size_t)(count * count) * sizeof *products[0]);
  free(products[0]);
  free(products[1]);
  backend->close(context);
}

// Rows embedded on the device are the host's vectors to the bit.
static void expect_the_hosts_vectors(const sb_store *store, const sb_measure *measure) {
  const sb_grid grid = sb_store_grid(store);
  const int64_t count = sb_store_count(store);
  const sb_backend *backend;
  void *context = open_cuda(SB_FP32, 0, &backend);
  sb_embedder e;
  sb_reader reader;
  assert_ok(sb_embedder_open(measure, &grid, &e));
  assert_ok(sb_reader_open(&e, 1, &reader));
  float *expected = aligned_alloc(64, (size_t)(count * e.size) * sizeof *expected);
  double *found = malloc((size_t)(count * e.length) * sizeof *found);
  sb_stored_row *rows = malloc((size_t)count * sizeof *rows);
  assert_non_null(expected);
  assert_non_null(found);
  assert_non_null(rows);
  assert_ok(sb_reader_embed(&reader, store, NULL, 0, count, expected));
  for (int64_t i = 0; i < count; i++) rows[i] = sb_store_stored_row(store, i);
  assert_true(backend->embed_supports(&e.recipe));
  assert_ok(backend->embed_begin(context, &e.recipe));
  bool well = false;
  assert_ok(backend->put_rows(context, SB_SLOT_PROBES, rows, count, &well));
  assert_true(well);
  read_vectors(backend, context, count, e.length, found);
  for (int64_t i = 0; i < count; i++)
    for (int64_t v = 0; v < e.length; v++)
      assert_true(found[i * e.length + v] == (double)expected[i * e.size + v]);
  expect_the_same_int8(&e, rows, count, expected);
  free(expected);
  free(found);
  free(rows);
  sb_reader_close(&reader);
  sb_embedder_close(&e);
  backend->close(context);
}

static void test_rows_are_embedded_as_on_the_host(void **state) {
  (void)state;
  // The second cohort's values are beyond float16: rows with a scale and an offset.
  const cohort cohorts[] = {
      {.people = 5, .sessions = 2, .seed = 1, .gain = 1, .duplicate_of = -1, .constant = -1},
      {.people = 3,
       .sessions = 1,
       .seed = 2,
       .gain = 1e6,
       .offset = 4e5,
       .duplicate_of = -1,
       .constant = -1}};
  char *folder = scratch_folder();
  for (size_t i = 0; i < 2; i++) {
    sb_store *store = open_cohort(folder, i == 0 ? "a" : "b", &cohorts[i]);
    assert_true((sb_store_stored_row(store, 0).scale != 1) == (i == 1));
    const sb_measure *measure;
    for (size_t m = 0; (measure = sb_measure_row(m)) != NULL; m++)
      if (measure->recipe != NULL) expect_the_hosts_vectors(store, measure);
    sb_store_close(store);
  }
  remove_folder(folder);
  free(folder);
}

// Whether the device finds that all rows of a store can be embedded.
static bool all_well(const sb_store *store) {
  const int64_t count = sb_store_count(store);
  const sb_recipe recipe = {.kind = SB_RECIPE_STANDARDISE, .voxels = sb_store_row_length(store)};
  const sb_backend *backend;
  void *context = open_cuda(SB_FP16, 0, &backend);
  sb_stored_row *rows = malloc((size_t)count * sizeof *rows);
  assert_non_null(rows);
  for (int64_t i = 0; i < count; i++) rows[i] = sb_store_stored_row(store, i);
  bool well = false, some_well = false;
  assert_ok(backend->embed_begin(context, &recipe));
  assert_ok(backend->put_rows(context, SB_SLOT_PROBES, rows, count, &well));
  assert_ok(backend->put_rows(context, SB_SLOT_PROBES, rows, 4, &some_well));
  assert_true(some_well);
  free(rows);
  backend->close(context);
  return well;
}

// A row without variation, here the fifth, is refused in the CPU's words.
static void test_a_row_that_cannot_be_embedded(void **state) {
  (void)state;
  const cohort c = {
      .people = 3, .sessions = 2, .seed = 1, .gain = 1, .duplicate_of = -1, .constant = 4};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options options = sb_link_options_default();
  sb_link_summary summary;
  options.threads = 1;
  options.backend = "cpu";
  const sb_status expected = sb_link(store, NULL, &options, out, NULL, &summary);
  options.backend = "cuda";
  const sb_status found = sb_link(store, NULL, &options, out, NULL, &summary);
  assert_false(all_well(store));
  assert_int_equal(found.code, SB_CONTENT);
  assert_string_equal(found.message, expected.message);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

// ---- Whole links --------------------------------------------------------------------------------

static const char *const FILES[] = {"matches.tsv", "mated.tsv", "probes.tsv"};

static void read_files(const char *out, char *text[3]) {
  for (int i = 0; i < 3; i++) text[i] = read_result(out, FILES[i]);
}

// The files that the CPU reports, whatever the precision, the tiles and the device's memory.
static void test_links_report_the_same_files(void **state) {
  (void)state;
  static const sb_limits limits[] = {{0, 0, 0}, {2, 3, 64}, {5, 2, 100}, {100, 4, 33}};
  const cohort c = {
      .people = 9, .sessions = 2, .seed = 1, .gain = 1, .duplicate_of = 13, .constant = -1};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out"), *expected[3], *found[3];
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options options = sb_link_options_default();
  options.top = 2;
  options.threads = 1;
  sb_link_summary summary;
  for (int self = 0; self < 2; self++) {
    options.backend = "cpu";
    options.precision = "fp32";
    assert_ok(sb_link(store, self ? NULL : store, &options, out, NULL, &summary));
    read_files(out, expected);
    options.backend = "cuda";
    for (int trial = 0; trial < SB_PRECISIONS * 4; trial++) {
      options.precision = sb_precision_name((sb_precision)(trial / 4));
      assert_ok(sb_link_limited(store, self ? NULL : store, &options, &limits[trial % 4], out, NULL,
                                &summary));
      read_files(out, found);
      for (int i = 0; i < 3; i++) {
        assert_string_equal(found[i], expected[i]);
        free(found[i]);
      }
    }
    for (int i = 0; i < 3; i++) free(expected[i]);
  }
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

// ---- Failures, on the emulated device alone -----------------------------------------------------

static void expect_refusal(const char *setting, const char *value, sb_precision precision,
                           sb_code code, const char *words) {
  const sb_backend_options options = {.threads = 1, .precision = precision};
  const sb_backend *backend;
  void *context = NULL;
  setenv(setting, value, 1);
  assert_ok(sb_backend_find("cuda", &backend));
  sb_status status = backend->open(&options, &context);
  unsetenv(setting);
  assert_int_equal(status.code, code);
  assert_non_null(strstr(status.message, words));
  assert_null(context);
}

static void test_what_cannot_be_used_says_why(void **state) {
  (void)state;
  if (real_device) skip();
  expect_refusal("SAMEBRAIN_EMULATED_DEVICES", "-1", SB_FP16, SB_BACKEND, "no NVIDIA driver");
  expect_refusal("SAMEBRAIN_EMULATED_DEVICES", "0", SB_FP16, SB_BACKEND, "finds no device");
  expect_refusal("SAMEBRAIN_EMULATED_CAPABILITY", "61", SB_FP16, SB_BACKEND, "7.5 is needed");
  expect_refusal("SAMEBRAIN_EMULATED_CAPABILITY", "75", SB_BF16, SB_USAGE, "has no bf16");
  expect_refusal("SAMEBRAIN_EMULATED_MEMORY", "1000", SB_FP16, SB_NO_MEMORY, "--memory");
  const char *module = getenv("SAMEBRAIN_CUDA_MODULE");
  const sb_backend *backend;
  char *kept = sb_strdup(module);
  setenv("SAMEBRAIN_CUDA_MODULE", "/nonexistent/module.so", 1);
  assert_int_equal(sb_backend_find("cuda", &backend).code, SB_BACKEND);
  setenv("SAMEBRAIN_CUDA_MODULE", kept, 1);
  free(kept);
}

static void test_processes_of_one_machine_share_its_devices(void **state) {
  (void)state;
  static const char *const cases[][3] = {{"SLURM_LOCALID", "2", "GPU 3 of 4"},
                                         {"SLURM_LOCALID", "5", "GPU 2 of 4"},
                                         {"OMPI_COMM_WORLD_LOCAL_RANK", "3", "GPU 4 of 4"},
                                         {"MPI_LOCALRANKID", "1", "GPU 2 of 4"}};
  if (real_device) skip();
  setenv("SAMEBRAIN_EMULATED_DEVICES", "4", 1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const sb_backend *backend;
    setenv(cases[i][0], cases[i][1], 1);
    void *context = open_cuda(SB_FP16, 0, &backend);
    assert_non_null(strstr(backend->describe(context), cases[i][2]));
    backend->close(context);
    unsetenv(cases[i][0]);
  }
  unsetenv("SAMEBRAIN_EMULATED_DEVICES");
}

// A device that fails at any moment: by name the run ends and leaves nothing; with "auto" the CPU
// goes on, says so, in summary.json, too, and the files are the same.
static void test_a_failing_device(void **state) {
  (void)state;
  if (real_device) skip();
  const cohort c = {
      .people = 4, .sessions = 2, .seed = 3, .gain = 1, .duplicate_of = -1, .constant = -1};
  const sb_limits limits = {.probe_tile = 3, .gallery_tile = 3};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out"), *expected[3], *found[3];
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options options = sb_link_options_default();
  sb_link_summary summary;
  options.backend = "cpu";
  options.threads = 1;
  assert_ok(sb_link(store, NULL, &options, out, NULL, &summary));
  read_files(out, expected);
  int failed = 0;
  for (int at = 1; at < 200 && failed == at - 1; at++) {
    char *when = sb_format("%d", at), *other = sb_path_join(folder, "other");
    // The emulation counts from the module's opening on.
    setenv("SAMEBRAIN_EMULATED_FAIL_AT", when, 1);
    setenv("SAMEBRAIN_EMULATED_RECOUNT", "1", 1);
    options.backend = "cuda";
    sb_status status = sb_link_limited(store, NULL, &options, &limits, other, NULL, &summary);
    if (status.code != SB_OK) {
      failed++;
      assert_int_equal(status.code, SB_BACKEND);
      assert_non_null(strstr(status.message, "the GPU failed"));
      char *left = sb_path_join(other, "summary.json");
      assert_false(sb_is_file(left));
      free(left);
    }
    setenv("SAMEBRAIN_EMULATED_RECOUNT", "1", 1);
    heard h = {0};
    const sb_progress progress = {.context = &h, .warn = hear};
    options.backend = "auto";
    assert_ok(sb_link_limited(store, NULL, &options, &limits, other, &progress, &summary));
    char *told = read_result(other, "summary.json");
    assert_non_null(strstr(told, status.code != SB_OK ? "\"precision\":\t\"fp32\""
                                                      : "\"precision\":\t\"fp16\""));
    free(told);
    read_files(other, found);
    for (int i = 0; i < 3; i++) {
      assert_string_equal(found[i], expected[i]);
      free(found[i]);
    }
    assert_int_equal(heard_of(&h, "the GPU failed", "going on with the CPU"),
                     status.code != SB_OK ? 1 : 0);
    unsetenv("SAMEBRAIN_EMULATED_FAIL_AT");
    remove_folder(other);
    free(when);
    free(other);
  }
  assert_true(failed > 10);
  for (int i = 0; i < 3; i++) free(expected[i]);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

// A device without room: where one allocation fails, or all from a size on, halves of the tiles do; the
// files are the same. Only what is there from the start cannot be halved.
static void test_a_full_device(void **state) {
  (void)state;
  if (real_device) skip();
  static const char *const precisions[] = {"fp16", "int8"};
  static const char *const measures[] = {"pearson", "mae"};
  static const char *const sizes[] = {"1", "40000", "20000", "12000"};
  const cohort c = {
      .people = 8, .sessions = 2, .seed = 3, .gain = 1, .duplicate_of = -1, .constant = -1};
  const sb_limits limits[] = {{.probe_tile = 7, .gallery_tile = 5}, {.probe_tile = 16}};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out"), *expected[3], *found[3];
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options options = sb_link_options_default();
  sb_link_summary summary;
  int refused = 0;
  options.threads = 1;
  options.top = 2;
  options.measures = measures;
  options.measure_count = 2;
  options.backend = "cpu";
  assert_ok(sb_link(store, NULL, &options, out, NULL, &summary));
  read_files(out, expected);
  options.backend = "cuda";
  for (int trial = 0; trial < 3 * (30 + 3); trial++) {
    const int at = trial % 33 < 30 ? trial % 33 + 1 : 2,
              size = trial % 33 < 30 ? 0 : trial % 33 - 29;
    char *when = sb_format("%d", at);
    setenv("SAMEBRAIN_EMULATED_RECOUNT", "1", 1);
    setenv("SAMEBRAIN_EMULATED_NO_ROOM_AT", when, 1);
    setenv("SAMEBRAIN_EMULATED_NO_ROOM_OF", sizes[size], 1);
    setenv("SAMEBRAIN_EMULATED_NO_ROOM_FOR", size == 0 ? "1" : "1000000", 1);
    options.precision = precisions[trial / 66];
    options.matrix = trial / 33 == 1; // the host selects then
    const sb_status status =
        sb_link_limited(store, NULL, &options, &limits[trial / 33 % 2], out, NULL, &summary);
    if (status.code == SB_OK) {
      read_files(out, found);
      for (int i = 0; i < 3; i++) {
        assert_string_equal(found[i], expected[i]);
        free(found[i]);
      }
    } else {
      assert_int_equal(status.code, SB_NO_MEMORY);
      assert_non_null(strstr(status.message, "workspace"));
      refused++;
    }
    free(when);
  }
  assert_int_equal(refused, 3); // the workspace, each time
  unsetenv("SAMEBRAIN_EMULATED_NO_ROOM_AT");
  unsetenv("SAMEBRAIN_EMULATED_NO_ROOM_OF");
  unsetenv("SAMEBRAIN_EMULATED_NO_ROOM_FOR");
  for (int i = 0; i < 3; i++) free(expected[i]);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

// Tiles are planned from what is free on the device.
static void test_tiles_fit_the_device(void **state) {
  (void)state;
  if (real_device) skip();
  const sb_backend *backend;
  setenv("SAMEBRAIN_EMULATED_MEMORY", "200000000", 1);
  void *context = open_cuda(SB_FP16, 0, &backend);
  // Three quarters of what the workspace leaves, at 100,000 elements, in 13 chunks, of 2 bytes.
  const int64_t most = backend->most_vectors(context, 100000, 0);
  assert_true(most > 600 && most <= (200000000 - (32 << 20)) * 3 / 4 / 200000);
  backend->close(context);
  unsetenv("SAMEBRAIN_EMULATED_MEMORY");
}

int main(int argc, char **argv) {
  const int skipped = choose_device(argc, argv);
  if (skipped != 0) return skipped;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rounding_is_to_nearest),
      cmocka_unit_test(test_small_integers_are_exact),
      cmocka_unit_test(test_errors_stay_within_the_bound),
      cmocka_unit_test(test_int8),
      cmocka_unit_test(test_rows_are_embedded_as_on_the_host),
      cmocka_unit_test(test_a_row_that_cannot_be_embedded),
      cmocka_unit_test(test_links_report_the_same_files),
  };
  const struct CMUnitTest failures[] = {
      cmocka_unit_test(test_what_cannot_be_used_says_why),
      cmocka_unit_test(test_processes_of_one_machine_share_its_devices),
      cmocka_unit_test(test_a_failing_device),
      cmocka_unit_test(test_a_full_device),
      cmocka_unit_test(test_tiles_fit_the_device),
  };
  int failed = 0;
  for (int i = 0; choose_order(i); i++) {
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    if (i == 1) failed += cmocka_run_group_tests(failures, NULL, NULL);
  }
  return failed;
}
