// Every row of the table of measures: against its reference (references.c), and for what holds for all.
// A measure without a reference fails here.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "engine/screen.h"
#include "measure/measure.h"
#include "measure/vector.h"
#include "references.h"

#define assert_ok(expression)                                                                      \
  do {                                                                                             \
    sb_status assert_ok_status = (expression);                                                     \
    if (assert_ok_status.code != SB_OK) fail_msg("%s: %s", #expression, assert_ok_status.message); \
  } while (0)

// cmocka's own comparison is in single precision.
static void assert_near(const char *what, double value, double expected, double tolerance) {
  if (!(fabs(value - expected) <= tolerance))
    fail_msg("%s: %.12g, not %.12g", what, value, expected);
}

static double uniform(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 11) * 0x1p-53;
}

// ---- Scenes -------------------------------------------------------------------------------------

static void *zeroed(int64_t count, size_t size) {
  void *out = calloc((size_t)count, size);
  assert_non_null(out);
  return out;
}

typedef enum content { SMOOTH, SIGNED, INTEGERS, NOISE, CONTENTS, IN_A_BOX } content;

static void fill_rows(scene *s, content kind, uint64_t *seed) {
  for (int64_t i = 0; i < s->length; i++) {
    const int64_t *at = s->at[i];
    double wave = sin(0.7 * (double)at[0]) + cos(0.5 * (double)at[1] + 0.3 * (double)at[2]);
    s->a[i] = (float)(100 + 20 * wave + 5 * uniform(seed));
    s->b[i] = (float)(0.5 * (double)s->a[i] + 40 + 10 * uniform(seed));
    if (kind == SIGNED) {
      s->a[i] = (float)(wave + 0.5 * uniform(seed) - 0.25);
      s->b[i] = (float)(-0.3 * wave + uniform(seed) - 0.5);
    }
    if (kind == INTEGERS) {
      s->a[i] = (float)((int)(uniform(seed) * 9) - 4);
      s->b[i] = uniform(seed) < 0.5 ? s->a[i] : (float)((int)(uniform(seed) * 9) - 4);
    }
    if (kind == NOISE) {
      s->a[i] = (float)uniform(seed);
      s->b[i] = (float)uniform(seed);
    }
  }
}

// An irregular mask: a tilted ellipsoid with holes. IN_A_BOX: the whole grid.
static scene make_scene(int64_t nx, int64_t ny, int64_t nz, double voxel_mm, content kind,
                        uint64_t seed) {
  const int64_t voxels = nx * ny * nz;
  scene s = {.dims = {nx, ny, nz}, .voxel_mm = voxel_mm, .mask = zeroed(voxels, 1)};
  s.at = zeroed(voxels, sizeof *s.at);
  s.own_a = zeroed(voxels / 8 + 1, 1);
  s.own_b = zeroed(voxels / 8 + 1, 1);
  for (int64_t i = 0; i < voxels; i++) {
    const int64_t at[3] = {i % nx, i / nx % ny, i / nx / ny};
    double x = 2.0 * (double)at[0] / (double)nx - 1, y = 2.0 * (double)at[1] / (double)ny - 1;
    double z = 2.0 * (double)at[2] / (double)nz - 1, r = x * x + y * y + z * z + 0.5 * x * y;
    s.mask[i] = kind == IN_A_BOX || (r < 0.8 && uniform(&seed) > 0.1);
    if (s.mask[i]) memcpy(s.at[s.length++], at, sizeof at);
    const int bit = 0x80 >> i % 8;
    if (r < 0.7) s.own_a[i / 8] = (uint8_t)(s.own_a[i / 8] | bit);
    if (r < 0.6 + 0.3 * uniform(&seed)) s.own_b[i / 8] = (uint8_t)(s.own_b[i / 8] | bit);
  }
  s.a = zeroed(s.length, sizeof *s.a);
  s.b = zeroed(s.length, sizeof *s.b);
  fill_rows(&s, kind, &seed);
  return s;
}

static void free_scene(scene *s) {
  free(s->mask);
  free(s->at);
  free(s->a);
  free(s->b);
  free(s->own_a);
  free(s->own_b);
}

static sb_status try_score(const char *name, const scene *s, const float *a, const uint8_t *own_a,
                           const float *b, const uint8_t *own_b, double *value) {
  const sb_scan_data one = {a, own_a}, other = {b, own_b};
  return sb_measure_score_scans(name, s->dims, s->voxel_mm, s->mask, s->length, &one, &other,
                                value);
}

static double score(const char *name, const scene *s) {
  double value;
  sb_status status = try_score(name, s, s->a, s->own_a, s->b, s->own_b, &value);
  if (status.code != SB_OK) fail_msg("%s: %s", name, status.message);
  return value;
}

static const reference *need_reference(const char *name) {
  const reference *r = find_reference(name);
  if (r == NULL) fail_msg("measure %s has no reference in references.c", name);
  return r;
}

// ---- Against the references ---------------------------------------------------------------------

static void compare_all(const scene *s, content kind) {
  const sb_measure_info *info;
  for (size_t m = 0; (info = sb_measure_at(m)) != NULL; m++) {
    const reference *r = need_reference(info->name);
    double value = score(info->name, s), expected = r->score(s);
    double tolerance = r->tolerance * fmax(1, fabs(expected));
    if (kind == INTEGERS && r->exact_on_integers) tolerance = 0;
    assert_near(info->name, value, expected, tolerance);
    assert_true(value >= info->range_min && value <= info->range_max);
  }
}

static void test_every_measure_follows_its_reference(void **state) {
  (void)state;
  static const struct {
    int64_t dims[3];
    double voxel_mm;
  } grids[] = {{{13, 11, 9}, 2}, {{19, 8, 10}, 1.7}, {{9, 9, 9}, 4}, {{17, 15, 5}, 1}};
  uint64_t seed = 1;
  for (size_t g = 0; g < sizeof grids / sizeof *grids; g++)
    for (content kind = 0; kind < CONTENTS; kind++) {
      const int64_t *d = grids[g].dims;
      scene s = make_scene(d[0], d[1], d[2], grids[g].voxel_mm, kind, seed++);
      compare_all(&s, kind);
      free_scene(&s);
    }
}

static void test_bandpass_at_every_kernel_width(void **state) {
  (void)state;
  static const double voxel_mm[] = {1, 1.7, 2, 3, 4, 9};
  for (size_t i = 0; i < sizeof voxel_mm / sizeof *voxel_mm; i++) {
    scene s = make_scene(i % 2 ? 19 : 33, 14, 12, voxel_mm[i], SMOOTH, i + 7);
    const reference *r = need_reference("bandpass");
    assert_near("bandpass", score("bandpass", &s), r->score(&s), r->tolerance);
    free_scene(&s);
  }
}

// A shift by whole voxels, and by less, costs poc little and the others much.
static void test_poc_forgives_a_shift(void **state) {
  (void)state;
  scene s = make_scene(24, 24, 24, 2, IN_A_BOX, 3);
  uint64_t seed = 4;
  double wave[40][4];
  for (int w = 0; w < 40; w++)
    for (int k = 0; k < 4; k++) wave[w][k] = 3.2 * (uniform(&seed) - 0.5);
  for (int step = 0; step <= 4; step++) {
    for (int64_t i = 0; i < s.length; i++) {
      double x = (double)s.at[i][0] - 12, y = (double)s.at[i][1] - 12, z = (double)s.at[i][2] - 12;
      double a = 0, b = 0, shifted = x + 0.5 * step;
      for (int w = 0; w < 40; w++) {
        a += cos(wave[w][0] * x + wave[w][1] * y + wave[w][2] * z + 20 * wave[w][3]);
        b += cos(wave[w][0] * shifted + wave[w][1] * y + wave[w][2] * z + 20 * wave[w][3]);
      }
      double inside = exp(-(x * x + y * y + z * z) / 32);
      double moved = exp(-(shifted * shifted + y * y + z * z) / 32);
      s.a[i] = (float)(a * inside);
      s.b[i] = (float)(b * moved);
    }
    double poc = score("poc", &s), pearson = score("pearson", &s);
    if (!(poc > 0.9)) fail_msg("poc %g, pearson %g at step %d", poc, pearson, step);
    if (step == 4) assert_true(pearson < 0.3);
  }
  free_scene(&s);
}

// ---- What holds for all -------------------------------------------------------------------------

// The same scene with its rows times `scale` plus `offset`.
static double changed_score(const char *name, const scene *s, double scale_a, double offset_a,
                            double scale_b, double offset_b) {
  scene changed = *s;
  changed.a = zeroed(s->length, sizeof(float));
  changed.b = zeroed(s->length, sizeof(float));
  for (int64_t i = 0; i < s->length; i++) {
    changed.a[i] = (float)(scale_a * (double)s->a[i] + offset_a);
    changed.b[i] = (float)(scale_b * (double)s->b[i] + offset_b);
  }
  double value = score(name, &changed);
  free(changed.a);
  free(changed.b);
  return value;
}

static void test_invariances(void **state) {
  (void)state;
  // Powers of two and integers keep the rows' bits, so that levels and ranks stay what they are.
  scene s = make_scene(12, 11, 10, 2, INTEGERS, 5);
  const sb_measure_info *info;
  for (size_t m = 0; (info = sb_measure_at(m)) != NULL; m++) {
    const reference *r = need_reference(info->name);
    double plain = score(info->name, &s), tolerance = 2e-6 * fmax(1, fabs(plain));
    struct {
      bool holds;
      double value;
    } changes[] = {{r->any_scale, changed_score(info->name, &s, 4, 0, 1, 0)},
                   {r->any_offset, changed_score(info->name, &s, 1, 0, 1, 16)},
                   {r->common_scale, changed_score(info->name, &s, 8, 0, 8, 0)},
                   {r->common_offset, changed_score(info->name, &s, 1, 32, 1, 32)}};
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
      if (changes[c].holds)
        assert_near(info->name, changes[c].value, plain, tolerance);
      else if (fabs(changes[c].value - plain) <= tolerance)
        fail_msg("%s: does not change by change %zu, though nothing says so", info->name, c);
    }
  }
  free_scene(&s);
}

// Both orders give the same bits; nothing is closer to a row than itself; the ends of the range.
static void test_symmetry_identity_and_range(void **state) {
  (void)state;
  for (content kind = 0; kind < CONTENTS; kind++) {
    scene s = make_scene(12, 13, 10, 2, kind, 40 + (uint64_t)kind);
    const sb_measure_info *info;
    for (size_t m = 0; (info = sb_measure_at(m)) != NULL; m++) {
      double ab = score(info->name, &s), ba, aa;
      assert_ok(try_score(info->name, &s, s.b, s.own_b, s.a, s.own_a, &ba));
      assert_ok(try_score(info->name, &s, s.a, s.own_a, s.a, s.own_a, &aa));
      if (!(ab == ba)) fail_msg("%s: %.17g one way, %.17g the other", info->name, ab, ba);
      double direction = info->higher_is_closer ? 1 : -1;
      assert_true(direction * aa > direction * ab);
      double best = info->higher_is_closer ? info->range_max : info->range_min;
      if (strcmp(info->name, "mi") != 0) assert_near(info->name, aa, best, 1e-6);
      assert_true(aa >= info->range_min && aa <= info->range_max);
    }
    free_scene(&s);
  }
}

// What earlier calls left in the scratch memory changes nothing; vectors of the GEMM family are as
// short as the bounds on its errors need them.
static void test_embeddings(void **state) {
  (void)state;
  scene s = make_scene(14, 12, 13, 2, SMOOTH, 8);
  const sb_grid grid = {{14, 12, 13}, 2, s.mask, s.length};
  const sb_measure *measure;
  for (size_t m = 0; (measure = sb_measure_row(m)) != NULL; m++) {
    sb_embedder e;
    float *one, *other, *scratch;
    const sb_scan_data scan = {s.a, s.own_a};
    double scores[2];
    assert_ok(sb_embedder_open(measure, &grid, &e));
    assert_true(measure->term_count <= SB_MOST_TERMS);
    assert_true(measure->info.gemm == (measure->epilogue != NULL));
    assert_true(measure->info.gemm || measure->score != NULL);
    assert_ok(SB_NEW_ZERO(&one, e.size, "embedding"));
    assert_ok(SB_NEW_ZERO(&other, e.size, "embedding"));
    assert_ok(SB_NEW(&scratch, e.scratch, "scratch"));
    for (int round = 0; round < 2; round++) {
      memset(scratch, round == 0 ? 0 : 0xff, (size_t)e.scratch * sizeof *scratch); // NaN
      assert_ok(sb_embed(&e, &scan, round == 0 ? one : other, scratch));
      memset(scratch, round == 0 ? 0 : 0xff, (size_t)e.scratch * sizeof *scratch);
      scores[round] = sb_embedded_score(&e, one, one, scratch);
    }
    assert_memory_equal(one, other, (size_t)e.size * sizeof *one);
    assert_true(scores[0] == scores[1]);
    if (measure->info.gemm) assert_true(sqrt(sb_dot(e.length, one, one)) <= 1 + 0x1p-23);
    free(one);
    free(other);
    free(scratch);
    sb_embedder_close(&e);
  }
  free_scene(&s);
}

// Pairs scored together get the same bits as one by one, whatever they share.
static void test_pairs_scored_at_once(void **state) {
  (void)state;
  enum { SCANS = 5, PAIRS = 11 };
  static const int first[PAIRS] = {0, 1, 2, 3, 0, 2, 2, 4, 1, 3, 4};
  static const int second[PAIRS] = {4, 4, 4, 3, 3, 2, 2, 2, 1, 0, 0};
  for (int64_t length = 4090; length <= 4113; length += 23) {
    const sb_measure *measure = sb_measure_row_find("pearson");
    const sb_embedder e = {.measure = measure, .length = length, .size = sb_round_up(length)};
    float *embeddings;
    uint64_t seed = 3;
    sb_scored_pair pairs[PAIRS];
    assert_ok(SB_NEW(&embeddings, SCANS * e.size, "embeddings"));
    for (int64_t i = 0; i < SCANS * e.size; i++) embeddings[i] = (float)(uniform(&seed) - 0.4) / 64;
    for (int i = 0; i < PAIRS; i++) {
      pairs[i].a = embeddings + first[i] * e.size;
      pairs[i].b = embeddings + second[i] * e.size;
    }
    for (int count = 1; count <= PAIRS; count++) {
      for (int way = 0; way < 4; way++) {
        sb_embedded_scores(&e, pairs, count, way % 2 == 0, NULL);
        for (int i = 0; i < PAIRS; i++) {
          const float *a = pairs[i].a;
          if (i < count) assert_true(pairs[i].score == sb_embedded_score(&e, a, pairs[i].b, NULL));
          if (way % 2 == 0) continue;
          pairs[i].a = pairs[i].b; // what was shared is on the other side then
          pairs[i].b = a;
        }
      }
    }
    free(embeddings);
  }
}

// ---- The screen's contract ----------------------------------------------------------------------

// Whatever a dot product within its error is, the interval made of it holds the canonical score;
// also where rows are nearly or fully equal, or of very different size.
static void check_screens(const sb_measure *measure, const scene *s, uint64_t *seed) {
  const sb_grid grid = {{s->dims[0], s->dims[1], s->dims[2]}, s->voxel_mm, s->mask, s->length};
  sb_embedder e;
  float *a, *b, *scratch;
  const sb_scan_data one = {s->a, s->own_a}, other = {s->b, s->own_b};
  assert_ok(sb_embedder_open(measure, &grid, &e));
  assert_ok(SB_NEW(&a, e.size, "embedding"));
  assert_ok(SB_NEW(&b, e.size, "embedding"));
  assert_ok(SB_NEW(&scratch, e.scratch, "scratch"));
  assert_ok(sb_embed(&e, &one, a, scratch));
  assert_ok(sb_embed(&e, &other, b, scratch));
  const double *terms_a = sb_embedding_at(&e, a).terms, *terms_b = sb_embedding_at(&e, b).terms;
  double canonical = sb_embedded_score(&e, a, b, scratch), dot = sb_dot(e.length, a, b);
  static const double backend[] = {0, 1e-7, 1e-4, 0.02};
  for (size_t i = 0; i < 4; i++)
    for (int trial = 0; trial < 9; trial++) {
      double error = sb_dot_error(backend[i], e.length);
      double off = trial == 0   ? backend[i]
                   : trial == 1 ? -backend[i]
                                : backend[i] * (2 * uniform(seed) - 1);
      sb_screened in = sb_screen_interval(measure, dot + off, error, e.length, terms_a, terms_b);
      if (!(in.low <= canonical && canonical <= in.high))
        fail_msg("%s: %.17g is not within %.17g and %.17g (error %g)", measure->info.name,
                 canonical, in.low, in.high, error);
      assert_true(in.low <= in.score && in.score <= in.high);
    }
  // Monotone over every dot product there can be.
  double before = measure->epilogue(-1.01, terms_a, terms_b);
  int rises = 0, falls = 0;
  for (int i = -100; i <= 101; i++) {
    double value = measure->epilogue(0.01 * i, terms_a, terms_b);
    rises += value > before;
    falls += value < before;
    before = value;
  }
  assert_true((rises > 0) != (falls > 0));
  free(a);
  free(b);
  free(scratch);
  sb_embedder_close(&e);
}

static void test_screens_hold_the_canonical_score(void **state) {
  (void)state;
  uint64_t seed = 99;
  for (int closeness = 0; closeness < 5; closeness++) {
    scene s = make_scene(15, 14, 12, 2, SMOOTH, 60 + (uint64_t)closeness);
    for (int64_t i = 0; i < s.length; i++) {
      if (closeness == 1) s.b[i] = s.a[i];
      if (closeness == 2) s.b[i] = s.a[i] * (i % 50 == 0 ? 1.001f : 1);
      if (closeness == 3) s.b[i] = i == 7 ? s.a[i] * (1 + 0x1p-11f) : s.a[i];
      if (closeness == 4) s.b[i] = 1e5f * s.a[i] + 3;
    }
    const sb_measure *measure;
    for (size_t m = 0; (measure = sb_measure_row(m)) != NULL; m++)
      if (measure->info.gemm) check_screens(measure, &s, &seed);
    free_scene(&s);
  }
}

// ---- What is refused ----------------------------------------------------------------------------

static bool ignores_intensities(const char *name) {
  return strcmp(name, "outline") == 0;
}

static void test_rows_without_content_are_refused(void **state) {
  (void)state;
  scene s = make_scene(12, 12, 12, 2, SMOOTH, 9);
  float *bad = zeroed(s.length, sizeof *bad);
  const sb_measure_info *info;
  double value;
  for (size_t m = 0; (info = sb_measure_at(m)) != NULL; m++) {
    assert_ptr_equal(sb_measure_find(info->name), info);
    for (int kind = 0; kind < 5 && !ignores_intensities(info->name); kind++) {
      static const float constants[] = {0, 123.456f, -1e-30f};
      for (int64_t i = 0; i < s.length; i++) bad[i] = kind < 3 ? constants[kind] : s.a[i];
      if (kind >= 3) bad[s.length / 2] = kind == 3 ? NAN : INFINITY;
      sb_status status = try_score(info->name, &s, s.a, s.own_a, bad, s.own_a, &value);
      if (status.code != SB_CONTENT) fail_msg("%s takes bad row %d", info->name, kind);
      assert_true(isnan(value));
    }
  }
  memset(s.own_b, 0, 12 * 12 * 12 / 8);
  assert_int_equal(try_score("outline", &s, s.a, s.own_a, s.b, s.own_b, &value).code, SB_CONTENT);
  assert_int_equal(try_score("outline", &s, s.a, s.own_a, s.b, NULL, &value).code, SB_CONTENT);
  assert_null(sb_measure_find("no-such-measure"));
  assert_int_equal(sb_measure_score("cosmic", s.dims, 2, s.mask, s.a, s.b, s.length, &value).code,
                   SB_NOT_FOUND);
  const int64_t wrong[3][3] = {{0, 3, 3}, {-3, -3, 3}, {INT64_C(1) << 40, INT64_C(1) << 40, 4}};
  for (int i = 0; i < 3; i++)
    assert_int_equal(
        sb_measure_score("pearson", wrong[i], 2, s.mask, s.a, s.b, s.length, &value).code,
        SB_USAGE);
  assert_int_equal(
      sb_measure_score("pearson", s.dims, 2, s.mask, s.a, s.b, s.length - 1, &value).code,
      SB_USAGE);
  free(bad);
  free_scene(&s);
}

// One voxel has no variation; two voxels correlate by 1 or -1; a mask may touch the grid's edge.
static void test_the_smallest_masks(void **state) {
  (void)state;
  const int64_t dims[3] = {2, 2, 1};
  const uint8_t one[4] = {0, 0, 1, 0}, two[4] = {1, 0, 0, 1}, own = 0xf0;
  const float a[2] = {1, 5}, b[2] = {9, 2};
  const sb_scan_data first = {a, &own}, second = {b, &own};
  const sb_measure_info *info;
  double value;
  for (size_t m = 0; (info = sb_measure_at(m)) != NULL; m++) {
    sb_status status = sb_measure_score_scans(info->name, dims, 2, one, 1, &first, &second, &value);
    assert_int_equal(status.code, ignores_intensities(info->name) ? SB_OK : SB_CONTENT);
    // Two voxels that do not touch have no gradient, and too little extent for a wave.
    status = sb_measure_score_scans(info->name, dims, 2, two, 2, &first, &second, &value);
    if (status.code == SB_CONTENT &&
        (strcmp(info->name, "gradient") == 0 || strcmp(info->name, "fused") == 0 ||
         strcmp(info->name, "poc") == 0))
      continue;
    assert_ok(status);
    assert_true(value >= info->range_min && value <= info->range_max);
  }
  static const char *const correlations[] = {"pearson", "spearman", "bandpass", "localz"};
  for (size_t i = 0; i < 4; i++) {
    assert_ok(sb_measure_score(correlations[i], dims, 2, two, a, b, 2, &value));
    assert_near(correlations[i], value, -1, 1e-6);
  }
  assert_ok(sb_measure_score("mse", dims, 2, two, a, b, 2, &value));
  assert_true(value == (64 + 9) / 2.0);
}

// ---- Details ------------------------------------------------------------------------------------

static void test_bandpass_embedding_by_element(void **state) {
  (void)state;
  scene s = make_scene(21, 17, 13, 2, SMOOTH, 3);
  // A row and a delta beside it: how much of a voxel's value its neighbours' means take.
  const sb_grid grid = {{21, 17, 13}, 2, s.mask, s.length};
  sb_embedder e;
  float *vector, *scratch;
  const sb_scan_data scan = {.row = s.b};
  memset(s.b, 0, (size_t)s.length * sizeof *s.b);
  s.b[s.length / 2] = 1;
  assert_ok(sb_embedder_open(sb_measure_row_find("bandpass"), &grid, &e));
  assert_ok(SB_NEW(&vector, e.size, "vector"));
  assert_ok(SB_NEW(&scratch, e.scratch, "scratch"));
  assert_ok(sb_embed(&e, &scan, vector, scratch));
  double *expected = zeroed(s.length, sizeof *expected), mean = 0, norm = 0;
  for (int64_t i = 0; i < s.length; i++) {
    double weights = 0, here = 0;
    for (int64_t j = 0; j < s.length; j++) {
      double squared = 0, farthest = 0;
      for (int axis = 0; axis < 3; axis++) {
        double d = (double)(s.at[i][axis] - s.at[j][axis]);
        squared += d * d;
        farthest = fmax(farthest, fabs(d));
      }
      double weight = farthest <= 8 ? exp(-squared / 8) : 0;
      weights += weight;
      if (j == s.length / 2) here = weight;
    }
    expected[i] = (i == s.length / 2) - here / weights;
    mean += expected[i] / (double)s.length;
  }
  for (int64_t i = 0; i < s.length; i++) norm += (expected[i] - mean) * (expected[i] - mean);
  for (int64_t i = 0; i < s.length; i++)
    assert_near("bandpass", (double)vector[i], (expected[i] - mean) / sqrt(norm), 1e-6);
  free(expected);
  free(vector);
  free(scratch);
  sb_embedder_close(&e);
  free_scene(&s);
}

// The sums are defined to the bit: 16 lanes, then a tree.
static void test_sums_have_one_defined_order(void **state) {
  (void)state;
  uint64_t seed = 11;
  float a[1003], b[1003];
  for (int i = 0; i < 1003; i++) {
    a[i] = (float)(uniform(&seed) - 0.5);
    b[i] = (float)exp(20 * uniform(&seed));
  }
  for (int n = 0; n <= 1003; n += 59) {
    double lane[16] = {0}, squares[16] = {0}, sum[16] = {0};
    for (int i = 0; i < n; i++) {
      lane[i % 16] += (double)a[i] * (double)b[i];
      squares[i % 16] += ((double)b[i] - 0.25) * ((double)b[i] - 0.25);
      sum[i % 16] += (double)b[i];
    }
    for (int half = 8; half > 0; half /= 2)
      for (int j = 0; j < half; j++) {
        lane[j] += lane[j + half];
        squares[j] += squares[j + half];
        sum[j] += sum[j + half];
      }
    assert_true(sb_dot(n, a, b) == lane[0]);
    assert_true(sb_sum_squares(n, b, 0.25) == squares[0]);
    assert_true(sb_sum(n, b) == sum[0]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_measure_follows_its_reference),
      cmocka_unit_test(test_bandpass_at_every_kernel_width),
      cmocka_unit_test(test_poc_forgives_a_shift),
      cmocka_unit_test(test_invariances),
      cmocka_unit_test(test_symmetry_identity_and_range),
      cmocka_unit_test(test_embeddings),
      cmocka_unit_test(test_pairs_scored_at_once),
      cmocka_unit_test(test_screens_hold_the_canonical_score),
      cmocka_unit_test(test_rows_without_content_are_refused),
      cmocka_unit_test(test_the_smallest_masks),
      cmocka_unit_test(test_bandpass_embedding_by_element),
      cmocka_unit_test(test_sums_have_one_defined_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
