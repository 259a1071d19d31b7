// The int8 screen: rounding and its bound, products that cannot overflow, and links of rows made to
// mislead a screen, whose files must be those of float32.
#include "cohort.h"

#include "engine/backend.h"
#include "engine/int8_panel.h"
#include "engine/run.h"
#include "engine/screen.h"
#include "measure/vector.h"
#include "rounded.h"

// ---- Vectors ------------------------------------------------------------------------------------

enum { HARD = 12 };

// Unit vectors that are hard to round: all alike, one giant among dwarfs, giants that are rare, tails
// of all weights, one sign, signs that change, pieces of zeros, next to nothing but one element.
static void fill_hard(int which, int64_t k, float *row) {
  uint64_t seed = (uint64_t)which * 977 + 5;
  double norm = 0;
  for (int64_t i = 0; i < k; i++) {
    const double value = uniform(&seed) - 0.5;
    double x = value;
    if (which == 1) x = 1;
    if (which == 2) x = i == k / 2 ? 1000 : 1e-3 * value;
    if (which == 3) x = i % 5003 == 77 ? 50 * value : value;
    if (which == 4) x = exp(40 * value);
    if (which == 5) x = i % 64 == 0 ? 1 : 1e-4;
    if (which == 6) x = 1e-25 * value + (i == k - 1);
    if (which == 7) x = i % 2 ? -1 : 1;
    if (which == 8) x = i < k / 2 ? 0 : value;
    if (which == 9) x = value * value * value;
    if (which == 10) x = value > 0.49;
    if (which == 11) x = 1e-20 * (i % 3 == 0) + (i == 0);
    row[i] = (float)x;
    norm += (double)row[i] * (double)row[i];
  }
  if (norm == 0) row[0] = 1;
  for (int64_t i = 0; i < k && norm > 0; i++) row[i] = (float)((double)row[i] / sqrt(norm));
}

// The numbers that elements are rounded by are spread evenly, are no one's neighbours' and stay what they are
// when more are asked for.
static void test_random_numbers_are_even(void **state) {
  (void)state;
  enum { K = 100000, FEW = 1000, BINS = 20 };
  sb_dither few = {0}, all = {0};
  int counts[BINS][BINS] = {{0}}; // of neighbours
  assert_int_equal(sb_dither_reserve(&few, FEW).code, SB_OK);
  assert_int_equal(sb_dither_reserve(&all, K).code, SB_OK);
  assert_memory_equal(few.values, all.values, FEW * sizeof *few.values);
  assert_int_equal(sb_dither_reserve(&few, K).code, SB_OK);
  assert_memory_equal(few.values, all.values, K * sizeof *few.values);
  for (int i = 0; i < K; i++) assert_true(fabsf(all.values[i]) < 0.5f);
  for (int i = 0; i + 1 < K; i++)
    counts[(int)((all.values[i] + 0.5f) * BINS)][(int)((all.values[i + 1] + 0.5f) * BINS)]++;
  for (int i = 0; i < BINS * BINS; i++)
    assert_in_range(counts[i / BINS][i % BINS], 170, 330); // 250
  sb_dither_free(&few);
  sb_dither_free(&all);
}

static sb_dither some_dither(int64_t k) {
  sb_dither dither = {0};
  assert_int_equal(sb_dither_reserve(&dither, k).code, SB_OK);
  return dither;
}

// Elements become one of the two multiples beside them, and what is to be known of a vector is told truly and
// closely.
static void test_rounding_tells_what_it_loses(void **state) {
  (void)state;
  static const int64_t lengths[] = {1, 15, 1000, 1025, 40003}, chunks[] = {64, 1000, 16384};
  sb_dither dither = some_dither(40003);
  for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++)
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++)
      for (int which = 0; which < HARD; which++) {
        const int64_t k = lengths[n], chunk = chunks[c];
        float *row = malloc((size_t)k * sizeof *row), scales[700];
        int8_t *numbers = malloc((size_t)k);
        assert_non_null(row);
        assert_non_null(numbers);
        fill_hard(which, k, row);
        const sb_lost told = round_to_int8(k, chunk, row, &dither, numbers, scales);
        double steps = 0, sizes = 0, spreads = 0;
        for (int64_t at = 0; at < k; at += chunk) {
          const double step = (double)scales[at / chunk];
          double squares = 0;
          for (int64_t i = at; i < k && i < at + chunk; i++) {
            const double level = step > 0 ? (double)row[i] / step : 0;
            assert_true(fabs((double)numbers[i] - level) < 1 + 0x1p-15);
            assert_in_range(numbers[i] + 127, 0, 254);
            squares += (double)row[i] * (double)row[i];
            spreads += step * step;
          }
          steps += step * step * step * step;
          sizes += squares * squares;
        }
        const double step = sqrt(sqrt(steps)), spread = sqrt(spreads);
        const double size = sqrt(sqrt(sizes)) + step * sqrt((double)chunk) / 2;
        assert_true(told.step >= step && told.step <= step * 1.001);
        assert_true(told.size >= size && told.size <= size * 1.001);
        assert_true(told.spread >= spread && told.spread <= spread * 1.001);
        free(row);
        free(numbers);
      }
  sb_dither_free(&dither);
}

static double rounded_dot(int64_t k, int64_t chunk, const int8_t *a, const float *a_scales,
                          const int8_t *b, const float *b_scales) {
  double sum = 0;
  for (int64_t i = 0; i < k; i++)
    sum += (double)a[i] * (double)a_scales[i / chunk] * (double)b[i] * (double)b_scales[i / chunk];
  return sum;
}

// Products of rounded vectors, each also with itself, are as close as told, whatever the random numbers; and the
// bound is no wider than it must be by much.
static void test_products_are_within_their_bound(void **state) {
  (void)state;
  enum { CHUNK = 4096, CHUNKS = 5, MOST = CHUNK * (CHUNKS - 1) + 7, DRAWS = 40 };
  static const int64_t lengths[] = {3, 100, 5000, MOST};
  uint64_t seed = 4;
  double worst = 0;
  static float rows[HARD][MOST], scales[HARD][CHUNKS];
  static int8_t numbers[HARD][MOST];
  sb_dither dither = some_dither(MOST);
  assert_true(2 * SB_LOST_ODDS * SB_LOST_ODDS >= 129 * log(2));
  for (size_t n = 0; n < DRAWS * sizeof lengths / sizeof *lengths; n++) {
    const int64_t k = lengths[n / DRAWS];
    sb_lost lost[HARD];
    for (int64_t i = 0; i < k && n % DRAWS > 0; i++) // the first time those of the program
      dither.values[i] = ((float)(int)(uniform(&seed) * 65536) + 0.5f) * 0x1p-16f - 0.5f;
    for (int i = 0; i < HARD; i++) {
      fill_hard(i, k, rows[i]);
      lost[i] = round_to_int8(k, CHUNK, rows[i], &dither, numbers[i], scales[i]);
    }
    for (int i = 0; i < HARD; i++)
      for (int j = 0; j <= i; j++) {
        double exact = 0;
        for (int64_t v = 0; v < k; v++) exact += (double)rows[i][v] * (double)rows[j][v];
        const double dot = rounded_dot(k, CHUNK, numbers[i], scales[i], numbers[j], scales[j]);
        const double off = fabs(dot - exact) / sb_pair_error(0, lost + i, lost + j);
        assert_true(off <= 1);
        worst = fmax(worst, off);
      }
  }
  assert_true(worst > 0.3);
  sb_dither_free(&dither);
}

// Of elements far below a step, which rounding to the nearest would lose altogether, sums stay; and the bound on
// vectors as brains have them is far below what nearest rounding could promise (0.018).
static void test_rounding_loses_nothing_on_average(void **state) {
  (void)state;
  enum { K = 229376, CHUNK = 4096, CHUNKS = K / CHUNK };
  static float small[K], even[K], normal[K], scales[3][CHUNKS];
  static int8_t numbers[3][K];
  sb_dither dither = some_dither(K);
  uint64_t seed = 9;
  double exact = 0, norm = 0, normals = 0;
  for (int i = 0; i < K; i++) {
    double sum = -6;
    for (int j = 0; j < 12; j++) sum += uniform(&seed);
    normal[i] = (float)sum;
    normals += sum * sum;
    small[i] = i % CHUNK == 11 ? 1 : 0.3f / 126;
    norm += (double)small[i] * (double)small[i];
    even[i] = (float)(1 / sqrt(K));
  }
  for (int i = 0; i < K; i++) {
    small[i] = (float)((double)small[i] / sqrt(norm));
    normal[i] = (float)((double)normal[i] / sqrt(normals));
    exact += (double)small[i] * (double)even[i];
  }
  const sb_lost a = round_to_int8(K, CHUNK, small, &dither, numbers[0], scales[0]);
  const sb_lost b = round_to_int8(K, CHUNK, even, &dither, numbers[1], scales[1]);
  const sb_lost c = round_to_int8(K, CHUNK, normal, &dither, numbers[2], scales[2]);
  const double dot = rounded_dot(K, CHUNK, numbers[0], scales[0], numbers[1], scales[1]);
  assert_true(fabs(dot - exact) <= sb_pair_error(0, &a, &b));
  assert_true(fabs(dot - exact) < 0.002);
  assert_true(exact > 0.1); // of which less than 0.02 is the giants'
  assert_true(sb_pair_error(0, &c, &c) < 0.0015);
  sb_dither_free(&dither);
}

// ---- Panels -------------------------------------------------------------------------------------

// Panels of any filling, with numbers of all sizes and the largest of all signs, with and without VNNI.
static void test_products_of_panels_are_exact(void **state) {
  (void)state;
  enum { MOST = 640 };
  static int8_t left[SB_PANEL_ROWS][MOST], right[SB_PANEL_COLUMNS][MOST];
  _Alignas(64) static int8_t left_panel[SB_PANEL_ROWS * MOST];
  _Alignas(64) static uint8_t right_panel[SB_PANEL_COLUMNS * MOST];
  _Alignas(64) int32_t products[SB_PANEL_ROWS * SB_PANEL_COLUMNS];
  int32_t offsets[SB_PANEL_ROWS];
  uint64_t seed = 12;
  for (int trial = 0; trial < 40; trial++) {
    const int64_t quads = sb_quads(1 + (int64_t)(uniform(&seed) * (MOST - 1)));
    const int64_t rows = trial % SB_PANEL_ROWS + 1, columns = (trial * 7) % SB_PANEL_COLUMNS + 1;
    for (int64_t i = 0; i < MOST; i++) {
      for (int v = 0; v < SB_PANEL_ROWS; v++)
        left[v][i] = (int8_t)(trial < 4 ? (v % 2 ? 127 : -127) : (int)(uniform(&seed) * 255) - 127);
      for (int v = 0; v < SB_PANEL_COLUMNS; v++)
        right[v][i] =
            (int8_t)(trial < 4 ? (v % 3 ? 127 : -127) : (int)(uniform(&seed) * 255) - 127);
    }
    sb_pack_left(rows, quads, left[0], MOST, left_panel, offsets);
    sb_pack_right(columns, quads, right[0], MOST, right_panel);
    for (int fast = 0; fast <= sb_int8_is_fast(); fast++) {
      sb_multiply_panels(quads, fast, left_panel, offsets, right_panel, NULL, products);
      for (int64_t i = 0; i < SB_PANEL_ROWS; i++)
        for (int64_t j = 0; j < SB_PANEL_COLUMNS; j++) {
          int32_t sum = 0;
          for (int64_t x = 0; i < rows && j < columns && x < quads * SB_QUAD; x++)
            sum += (int32_t)left[i][x] * right[j][x];
          assert_int_equal(products[i * SB_PANEL_COLUMNS + j], sum);
        }
    }
  }
}

// ---- Products -----------------------------------------------------------------------------------

static void multiply(const float *rows, int64_t count, int64_t k, int threads, int64_t chunk,
                     double *dots, double *errors) {
  const sb_backend *backend = &sb_backend_cpu_int8;
  const sb_backend_options options = {.threads = threads, .k_chunk = chunk, .precision = SB_INT8};
  void *context;
  assert_ok(backend->open(&options, &context));
  assert_ok(backend->put(context, SB_SLOT_PROBES, rows, count, k, k));
  assert_ok(backend->put(context, SB_SLOT_GALLERY, rows, count, k, k));
  // In two parts, of which the first comes from the probes' own slot.
  const sb_part all = {SB_SLOT_PROBES, 0, count};
  const int64_t half = count / 2;
  assert_ok(backend->gemm_nt(context, all, (sb_part){SB_SLOT_PROBES, 0, half}, dots, count));
  assert_ok(backend->gemm_nt(context, all, (sb_part){SB_SLOT_GALLERY, half, count - half},
                             dots + half, count));
  const sb_lost *lost = backend->lost(context, SB_SLOT_PROBES);
  const double base = sb_dot_error(backend->gemm_error(context, k), k);
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j < count; j++)
      errors[i * count + j] = sb_pair_error(base, lost + i, lost + j);
  backend->close(context);
}

// Any part of a slot by any part of another, or of its own, is that part of the whole product, and nothing beside it
// is written.
static void test_parts_are_of_the_whole(void **state) {
  (void)state;
  enum { COUNT = 70, K = 300 };
  static float rows[COUNT * K];
  static double whole[COUNT * COUNT], part[COUNT * COUNT];
  const sb_backend *backend = &sb_backend_cpu_int8;
  const sb_backend_options options = {.threads = 2, .k_chunk = 128, .precision = SB_INT8};
  uint64_t seed = 3;
  void *context;
  for (int i = 0; i < COUNT; i++) fill_hard(i % HARD, K, rows + i * K);
  assert_ok(backend->open(&options, &context));
  assert_ok(backend->put(context, SB_SLOT_PROBES, rows, COUNT, K, K));
  assert_ok(backend->put(context, SB_SLOT_GALLERY, rows, COUNT, K, K));
  assert_ok(backend->gemm_nt(context, (sb_part){SB_SLOT_PROBES, 0, COUNT},
                             (sb_part){SB_SLOT_GALLERY, 0, COUNT}, whole, COUNT));
  for (int trial = 0; trial < 300; trial++) {
    const bool own = trial % 2 == 0;
    const int a = (int)(uniform(&seed) * COUNT), b = (int)(uniform(&seed) * COUNT);
    const int rows_of_a = 1 + (int)(uniform(&seed) * (COUNT - a));
    const int rows_of_b = 1 + (int)(uniform(&seed) * (COUNT - b));
    memset(part, -1, sizeof part); // no number
    assert_ok(backend->gemm_nt(context, (sb_part){SB_SLOT_PROBES, a, rows_of_a},
                               (sb_part){own ? SB_SLOT_PROBES : SB_SLOT_GALLERY, b, rows_of_b},
                               part, COUNT));
    for (int i = 0; i < COUNT; i++)
      for (int j = 0; j < COUNT; j++) {
        const double value = part[i * COUNT + j];
        if (i >= rows_of_a || j >= rows_of_b)
          assert_true(isnan(value));
        else if (!own || a + i <= b + j) // of its own slot pairs once
          assert_true(value == whole[(a + i) * COUNT + b + j]);
      }
  }
  backend->close(context);
}

static void check_products(int64_t k, int64_t chunk) {
  float *rows = malloc((size_t)(HARD * k) * sizeof *rows);
  double dots[2][HARD * HARD] = {{0}}, errors[HARD * HARD], worst = 0;
  assert_non_null(rows);
  for (int i = 0; i < HARD; i++) fill_hard(i, k, rows + i * k);
  for (int threads = 1; threads <= 2; threads++)
    multiply(rows, HARD, k, threads, chunk, dots[threads - 1], errors);
  assert_memory_equal(dots[0], dots[1], sizeof *dots);
  for (int64_t i = 0; i < HARD; i++)
    for (int64_t j = 0; j < HARD; j++) {
      if (j < HARD / 2 && i > j) continue; // probes with themselves: below the diagonal
      const double off = fabs(dots[0][i * HARD + j] - sb_dot(k, rows + i * k, rows + j * k));
      assert_true(off <= errors[i * HARD + j]);
      worst = fmax(worst, off / errors[i * HARD + j]);
    }
  assert_true(worst > 0.01); // or the bound says nothing
  free(rows);
}

// Vectors as long as 1 mm rows, whole chunks of the largest numbers: sums reach 2^31 but not beyond.
static void test_products_stay_within_the_bound(void **state) {
  (void)state;
  check_products(30011, 64);
  check_products(30011, 1000);
  check_products(30011, 0);
  check_products(1900003, 0);
  check_products(65600, 1000000);
  check_products(1900003, 1000000); // cut down to what cannot overflow
}

// ---- Links --------------------------------------------------------------------------------------

// Rows to mislead a screen: copies, copies but for one voxel, scaled copies, outliers, rows that are
// constant but for one voxel, rows of two values.
static void mislead(int scan, int64_t length, float *row) {
  static float first[GRID];
  uint64_t seed = (uint64_t)scan;
  if (scan == 0) memcpy(first, row, sizeof first);
  const int how = scan % 8;
  if (how >= 1 && how <= 3) memcpy(row, first, (size_t)length * sizeof *row);
  if (how == 2) row[scan] *= 1.01f;
  if (how == 3)
    for (int64_t i = 0; i < length; i++) row[i] = 3 * row[i] + 2;
  if (how == 4) row[scan % length] = 60000;
  if (how == 5)
    for (int64_t i = 0; i < length; i++) row[i] = i == scan ? 2.0f : 1.0f;
  if (how == 6)
    for (int64_t i = 0; i < length; i++) row[i] = uniform(&seed) < 0.5 ? -1 : 1;
}

static const char *const FILES[] = {"matches.tsv", "mated.tsv", "probes.tsv"};

// The score of the given line of matches.tsv.
static double score_at(const char *matches, int line) {
  for (; line > 0; line--) matches = strchr(matches, '\n') + 1;
  const char *end = strchr(matches, '\n');
  while (end[-1] != '\t') end--;
  return strtod(end, NULL);
}

static void check_links(const sb_store *store, bool self, sb_link_options options,
                        const char *out) {
  static const sb_limits limits[] = {{0, 0, 0}, {3, 5, 100}, {7, 2, 33}, {1, 40, 16}};
  char *expected[3];
  options.precision = "fp32";
  options.threads = 1;
  assert_ok(sb_link(store, self ? NULL : store, &options, out, NULL, NULL));
  for (int f = 0; f < 3; f++) expected[f] = read_result(out, FILES[f]);
  for (int trial = 0; trial < 8; trial++) {
    options.precision = trial == 7 ? "auto" : "int8";
    options.threads = trial % 2 + 1;
    assert_ok(
        sb_link_limited(store, self ? NULL : store, &options, limits + trial / 2, out, NULL, NULL));
    for (int f = 0; f < 3; f++) {
      char *found = read_result(out, FILES[f]);
      assert_string_equal(found, expected[f]);
      free(found);
    }
  }
  for (int f = 0; f < 3; f++) free(expected[f]);
}

static void test_misleading_rows_are_linked_as_in_float32(void **state) {
  (void)state;
  static const char *const measures[] = {"pearson", "bandpass", "mse", "spearman", "dice", "psnr"};
  const cohort c = {.people = 16,
                    .sessions = 2,
                    .seed = 4,
                    .gain = 1,
                    .duplicate_of = -1,
                    .constant = -1,
                    .change = mislead};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out");
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options options = sb_link_options_default();
  options.measures = measures;
  options.measure_count = sizeof measures / sizeof *measures;
  for (int self = 0; self < 2; self++) {
    for (options.top = 1; options.top <= 64; options.top *= 4)
      check_links(store, self, options, out);
    options.top = 2;
    // A threshold that some pair's score is on, and ones next to it.
    options.measure_count = 1;
    options.precision = "fp32";
    assert_ok(sb_link(store, self ? NULL : store, &options, out, NULL, NULL));
    char *matches = read_result(out, "matches.tsv");
    options.has_threshold = true;
    for (int line = 3; line < 60; line += 14) {
      options.threshold = score_at(matches, line) + (line % 3 - 1) * 1e-9;
      check_links(store, self, options, out);
    }
    free(matches);
    options.has_threshold = false;
    options.measure_count = sizeof measures / sizeof *measures;
  }
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

// Histograms and matrix of an int8 screen are the same bytes for any tiles and threads.
static void test_int8_histograms_do_not_depend_on_tiles(void **state) {
  (void)state;
  static const sb_limits limits[] = {{0, 0, 0}, {3, 5, 0}, {7, 2, 0}, {1, 40, 0}};
  static const char *const arrays[] = {"nonmated-bandpass.npy", "scores-bandpass.npy"};
  const cohort c = {
      .people = 9, .sessions = 2, .seed = 1, .gain = 1, .duplicate_of = -1, .constant = -1};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out"), *expected[2] = {0};
  size_t sizes[2] = {0};
  sb_store *store = open_cohort(folder, "a", &c);
  sb_link_options options = sb_link_options_default();
  options.precision = "int8";
  options.matrix = true;
  for (int trial = 0; trial < 8; trial++) {
    options.threads = trial % 2 + 1;
    assert_ok(sb_link_limited(store, NULL, &options, limits + trial / 2, out, NULL, NULL));
    for (int a = 0; a < 2; a++) {
      char *path = sb_path_join(out, arrays[a]), *found;
      size_t bytes;
      assert_ok(sb_read_file(path, &found, &bytes));
      free(path);
      if (expected[a] == NULL) {
        expected[a] = found;
        sizes[a] = bytes;
        continue;
      }
      assert_int_equal(bytes, sizes[a]);
      assert_memory_equal(found, expected[a], bytes);
      free(found);
    }
  }
  for (int a = 0; a < 2; a++) free(expected[a]);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_numbers_are_even),
      cmocka_unit_test(test_rounding_tells_what_it_loses),
      cmocka_unit_test(test_products_are_within_their_bound),
      cmocka_unit_test(test_rounding_loses_nothing_on_average),
      cmocka_unit_test(test_products_of_panels_are_exact),
      cmocka_unit_test(test_parts_are_of_the_whole),
      cmocka_unit_test(test_products_stay_within_the_bound),
      cmocka_unit_test(test_misleading_rows_are_linked_as_in_float32),
      cmocka_unit_test(test_int8_histograms_do_not_depend_on_tiles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
