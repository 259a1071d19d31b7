// Selection on the CUDA backend against what the host would select. By default on the emulated device,
// with small tiles, or as `test_cuda_select wide` with a GPU's; as `test_cuda_select gpu` on a real one.
#include "cuda_device.h"

#include <cjson/cJSON.h>

#include "engine/histogram.h"
#include "engine/people.h"
#include "engine/run.h"
#include "engine/screen.h"

// ---- The seam -----------------------------------------------------------------------------------

enum { K = 40, MOST_SCANS = 70, MOST_LINES = 2 * MOST_SCANS, BINS = 50, LEAST_BINS = 16 };

// Made-up vectors and people; of a self-comparison both sides are the probes'.
typedef struct scene {
  const sb_measure *measure;
  int64_t probes, gallery;
  bool self;
  float vectors[SB_SLOTS][MOST_SCANS * K];
  double terms[SB_SLOTS][MOST_SCANS * SB_MOST_TERMS];
  int64_t person[SB_SLOTS][MOST_SCANS], dataset[SB_SLOTS][MOST_SCANS], same[MOST_SCANS];
  sb_selection selection;
} scene;

static sb_people people_of(scene *s) {
  const int gallery = s->self ? SB_SLOT_PROBES : SB_SLOT_GALLERY;
  return (sb_people){.probe = s->person[SB_SLOT_PROBES],
                     .gallery = s->person[gallery],
                     .same = s->same,
                     .probe_dataset = s->dataset[SB_SLOT_PROBES],
                     .gallery_dataset = s->dataset[gallery],
                     .datasets = 2,
                     .probe_count = s->probes,
                     .gallery_count = s->gallery,
                     .self = s->self,
                     .unknown_left_out = s->selection.unknown_left_out};
}

// Terms that suit the measure: of rows whose vector is half as long as they are, or of sets.
static void fill_terms(const scene *s, const float *vector, double *terms) {
  double squares = 0, sum = 0;
  for (int i = 0; i < K; i++) squares += 4 * (double)vector[i] * (double)vector[i], sum += 1;
  for (int t = 0; t < s->measure->term_count; t++) terms[t] = 1;
  if (s->measure->from_dot == SB_FROM_DOT_NRMSE || s->measure->from_dot == SB_FROM_DOT_CCC) {
    terms[SB_TERM_SCALE] = 2;
    terms[SB_TERM_SQUARES] = squares;
  } else if (s->measure->from_dot == SB_FROM_DOT_DICE) {
    terms[SB_TERM_SET_SCALE] = sqrt(squares) + 1;
    terms[SB_TERM_SET_SIZE] = squares + 1;
  }
}

// Vectors of few values, so that many scores tie, every fifth of a side the same; some people are unknown.
static void fill_scene(scene *s, uint64_t seed, bool unknown_left_out) {
  for (int slot = 0; slot < SB_SLOTS; slot++)
    for (int64_t i = 0; i < MOST_SCANS; i++) {
      float *vector = s->vectors[slot] + i * K;
      uint64_t own = i % 5 == 4 ? 99 : seed * 1000 + (uint64_t)(slot * MOST_SCANS + i);
      double norm = 0;
      for (int v = 0; v < K; v++) {
        vector[v] = (float)((int)(uniform(&own) * 5) - 1);
        norm += (double)vector[v] * (double)vector[v];
      }
      for (int v = 0; v < K; v++) vector[v] = (float)((double)vector[v] / sqrt(norm + 1));
      fill_terms(s, vector, s->terms[slot] + i * s->measure->term_count);
      s->person[slot][i] = i % 7 == 6 ? -1 : i / 3;
      s->dataset[slot][i] = i < 20 ? 0 : 1;
      s->same[i] = s->self ? i : i % 4 == 1 && i < s->gallery ? i : -1;
    }
  const sb_people people = people_of(s);
  s->selection = (sb_selection){.from_dot = s->measure->from_dot,
                                .range_min = s->measure->info.range_min,
                                .range_max = s->measure->info.range_max,
                                .higher_is_closer = s->measure->info.higher_is_closer,
                                .length = K,
                                .terms = s->measure->term_count,
                                .probes = s->probes,
                                .gallery = s->gallery,
                                .self = s->self,
                                .unknown_left_out = unknown_left_out,
                                .probe_person = people.probe,
                                .gallery_person = people.gallery,
                                .probe_dataset = people.probe_dataset,
                                .gallery_dataset = people.gallery_dataset,
                                .same = s->same,
                                .bins = BINS,
                                .within = true,
                                .wanted = {1, 1},
                                .threshold = {INFINITY, INFINITY}};
}

// What the host knows of a tile: its products, and of each line each pair's interval.
typedef struct known {
  sb_extent extent;
  double dots[MOST_SCANS * MOST_SCANS], error;
  const sb_lost *lost[2]; // of its probes and gallery scans; NULL: nothing
  double cutoffs[MOST_LINES * SB_LIST_KINDS];
  sb_candidate of[MOST_SCANS]; // of one line
  bool taken[MOST_SCANS][SB_LIST_KINDS], found[MOST_SCANS];
  uint32_t histogram[MOST_SCANS * BINS], within[MOST_SCANS * BINS];
  double most_error;
} known;

static const double *terms_of(const scene *s, bool row, int64_t scan) {
  const int slot = row || s->self ? SB_SLOT_PROBES : SB_SLOT_GALLERY;
  return s->terms[slot] + scan * s->measure->term_count;
}

static sb_screened score_of(const scene *s, const known *k, int64_t line, int64_t x) {
  const sb_span l = sb_extent_line(&k->extent, line);
  const bool row = line < k->extent.probes;
  const int64_t probe = row ? l.probe : l.first + x, scan = row ? l.first + x : l.probe;
  double error = k->error;
  if (k->lost[0] != NULL) {
    const sb_lost *a = k->lost[0] + (probe - k->extent.probe),
                  *b = k->lost[1] + (scan - k->extent.gallery);
    error = sb_pair_error(k->error, row ? a : b, row ? b : a);
  }
  return sb_screen_interval(s->measure, k->dots[l.at + x * l.step], error, K,
                            terms_of(s, row, l.probe), terms_of(s, !row, l.first + x));
}

// The lists of some lines hold already as many as they want, as close as one of the tile's pairs can be.
static void set_cutoffs(const scene *s, known *k) {
  for (int64_t line = 1; line < sb_extent_lines(&k->extent); line += 3) {
    if (sb_extent_line(&k->extent, line).count <= 0) continue;
    const sb_screened score = score_of(s, k, line, 0);
    k->cutoffs[line * SB_LIST_KINDS] =
        sb_candidate_of(&score, s->measure->info.higher_is_closer, 0).high;
  }
}

// The pairs of a line, as the host judges them; counted, too.
static void judge(scene *s, known *k, int64_t line) {
  const sb_people people = people_of(s);
  const sb_span l = sb_extent_line(&k->extent, line);
  for (int64_t x = 0; x < l.count; x++) {
    const int64_t scan = l.first + x;
    const sb_screened score = score_of(s, k, line, x);
    k->found[x] = false;
    k->of[x] = sb_candidate_of(&score, s->measure->info.higher_is_closer, scan);
    k->taken[x][SB_LIST_MATCHES] = scan != s->same[l.probe];
    k->taken[x][SB_LIST_NONMATED] =
        k->taken[x][SB_LIST_MATCHES] && sb_people_kind(&people, l.probe, scan) == SB_PAIR_NONMATED;
    if (!k->taken[x][SB_LIST_MATCHES]) continue;
    k->most_error = fmax(k->most_error, sb_screened_error(&score));
    if (!k->taken[x][SB_LIST_NONMATED]) continue;
    const int64_t bin = l.probe * BINS + sb_histogram_bin(&s->measure->info, BINS, score.score);
    k->histogram[bin]++;
    k->within[bin] += sb_people_within(&people, l.probe, scan);
  }
}

// The k-th best low end of what a list takes of a line; -INFINITY where there are fewer.
static double kth_low(const known *k, int64_t count, int kind, int64_t wanted) {
  sb_candidate items[MOST_SCANS];
  int64_t used = 0;
  for (int64_t x = 0; x < count; x++)
    if (k->taken[x][kind]) items[used++] = k->of[x];
  return used < wanted ? -INFINITY : sb_kth_low(items, used, wanted);
}

// Whether a list could want the pair, if what is `slack` less close than the k-th low end still could.
static bool could_matter(const scene *s, const known *k, int64_t line, int64_t count, int64_t x,
                         double slack) {
  bool matters = false;
  for (int kind = 0; kind < SB_LIST_KINDS; kind++) {
    const double low = kth_low(k, count, kind, s->selection.wanted[kind]), high = k->of[x].high;
    matters = matters || (k->taken[x][kind] && high >= k->cutoffs[line * SB_LIST_KINDS + kind] &&
                          (high >= low - slack || high >= s->selection.threshold[kind]));
  }
  return matters;
}

static int compare_selected(const void *left, const void *right) {
  const sb_selected *a = left, *b = right;
  if (a->line != b->line) return a->line < b->line ? -1 : 1;
  return a->x < b->x ? -1 : a->x > b->x;
}

// Holds a tile's candidates to what the host knows: each once, with its interval to the bit, none missing
// that could matter, none that could not even if its bin reached further down.
static void expect_candidates(scene *s, known *k, sb_selected *items, int64_t count) {
  const double slack =
      (s->measure->info.range_max - s->measure->info.range_min) / LEAST_BINS * 1.001;
  int64_t at = 0;
  qsort(items, (size_t)count, sizeof *items, compare_selected);
  for (int64_t line = 0; line < sb_extent_lines(&k->extent); line++) {
    const sb_span l = sb_extent_line(&k->extent, line);
    judge(s, k, line);
    for (; at < count && items[at].line == line; at++) {
      const int64_t x = items[at].x;
      assert_in_range(x, 0, l.count - 1);
      assert_false(k->found[x]);
      assert_true(items[at].low == k->of[x].low && items[at].high == k->of[x].high);
      assert_true(could_matter(s, k, line, l.count, x, slack));
      k->found[x] = true;
    }
    for (int64_t x = 0; x < l.count; x++)
      if (could_matter(s, k, line, l.count, x, 0)) assert_true(k->found[x]);
  }
  assert_int_equal(at, count);
}

// Selects one tile, of parts of the probes' and of the gallery's block. Returns in how many parts its
// candidates came.
static int select_tile(const sb_backend *backend, void *context, scene *s, known *k, sb_part a,
                       sb_part b) {
  sb_selected all[2 * MOST_SCANS * MOST_SCANS];
  int64_t used = 0, count;
  int parts = 0;
  const sb_selected *items;
  k->extent = (sb_extent){a.first, a.count, b.first, b.count, s->self};
  k->error = sb_dot_error(backend->gemm_error(context, K), K);
  assert_ok(backend->gemm_nt(context, a, b, k->dots, b.count));
  const sb_lost *lost_a = backend->lost(context, a.slot), *lost_b = backend->lost(context, b.slot);
  const bool told = lost_a != NULL && lost_b != NULL;
  k->lost[0] = told ? lost_a + a.first : NULL;
  k->lost[1] = told ? lost_b + b.first : NULL;
  set_cutoffs(s, k);
  const sb_selection_tile tile = {k->extent, k->error, k->cutoffs, terms_of(s, true, a.first),
                                  terms_of(s, false, b.first)};
  assert_ok(backend->select_start(context, a, b, &tile));
  for (bool more = true; more; parts++) {
    assert_ok(backend->select_take(context, &items, &count, &more));
    assert_true(used + count <= (int64_t)(sizeof all / sizeof *all));
    memcpy(all + used, items, (size_t)count * sizeof *items);
    used += count;
  }
  expect_candidates(s, k, all, used);
  return parts;
}

typedef struct wish {
  int64_t top;
  double threshold, cutoff; // as shares of the closeness's range
} wish;

// All tiles of a scene; of a self-comparison a block with itself, and with what comes after it.
static void select_scene(scene *s, const wish *w, sb_precision precision, int64_t tile, int *whole,
                         int *cut) {
  const sb_backend *backend;
  static known k;
  void *context = open_cuda(precision, 16, &backend);
  const bool rises = s->measure->info.higher_is_closer;
  const double range = s->measure->info.range_max - s->measure->info.range_min;
  const double least = rises ? s->measure->info.range_min : -s->measure->info.range_max;
  const int side = s->self ? SB_SLOT_PROBES : SB_SLOT_GALLERY;
  memset(&k, 0, sizeof k);
  s->selection.wanted[SB_LIST_MATCHES] = w->top;
  s->selection.threshold[SB_LIST_MATCHES] = least + w->threshold * range;
  for (int i = 0; i < MOST_LINES * SB_LIST_KINDS; i++)
    k.cutoffs[i] = i % 3 == 0 ? -INFINITY : least + w->cutoff * range;
  assert_ok(backend->select_begin(context, &s->selection));
  assert_ok(backend->put(context, SB_SLOT_PROBES, s->vectors[SB_SLOT_PROBES], s->probes, K, K));
  assert_ok(backend->put(context, SB_SLOT_GALLERY, s->vectors[side], s->gallery, K, K));
  for (int64_t probe = 0; probe < s->probes; probe += tile)
    for (int64_t gallery = s->self ? probe : 0; gallery < s->gallery; gallery += tile) {
      const int64_t m = s->probes - probe < tile ? s->probes - probe : tile;
      const int64_t n = s->gallery - gallery < tile ? s->gallery - gallery : tile;
      const bool itself = s->self && probe == gallery;
      const int parts =
          select_tile(backend, context, s, &k, (sb_part){SB_SLOT_PROBES, probe, m},
                      (sb_part){itself ? SB_SLOT_PROBES : SB_SLOT_GALLERY, gallery, n});
      ++*(parts == 1 ? whole : cut);
    }
  static uint32_t histogram[MOST_SCANS * BINS], within[MOST_SCANS * BINS];
  double most_error = 0;
  for (int i = 0; i < MOST_SCANS * BINS; i++) histogram[i] = 7; // counts are added
  memset(within, 0, sizeof within);
  assert_ok(backend->select_end(context, histogram, within, &most_error));
  for (int64_t i = 0; i < s->probes * BINS; i++) {
    assert_int_equal(histogram[i], k.histogram[i] + 7);
    assert_int_equal(within[i], k.within[i]);
  }
  assert_true(most_error == k.most_error);
  backend->close(context);
}

static void test_what_could_matter_is_selected(void **state) {
  (void)state;
  static const char *const measures[] = {"pearson", "nrmse", "dice", "ccc"};
  static const wish wishes[] = {{1, 2, -1}, {3, 2, 0.4}, {10, 0.7, -1}, {1000, 2, 0.5}, {2, 0, -1}};
  static scene s;
  int whole = 0, cut = 0;
  for (size_t m = 0; m < sizeof measures / sizeof *measures; m++)
    for (size_t w = 0; w < sizeof wishes / sizeof *wishes; w++)
      for (int self = 0; self < 2; self++) {
        s = (scene){.measure = sb_measure_row_find(measures[m]), .probes = 37, .self = self};
        s.gallery = self ? s.probes : MOST_SCANS;
        fill_scene(&s, m * 10 + w, w % 2);
        for (int int8 = 0; int8 < 2; int8++)
          select_scene(&s, &wishes[w], int8 ? SB_INT8 : SB_FP32, w % 2 ? 11 : MOST_SCANS, &whole,
                       &cut);
      }
  assert_true(whole > 0 && cut > 0); // tiles with room for all candidates, and without
}

// What devices make of a dot product is the host's epilogue, of every measure that names it.
static void test_epilogues_are_the_hosts(void **state) {
  (void)state;
  const sb_measure *measure;
  uint64_t seed = 3;
  int named = 0;
  for (size_t i = 0; (measure = sb_measure_row(i)) != NULL; i++) {
    if (measure->from_dot == SB_FROM_DOT_NONE) continue;
    named++;
    for (int trial = 0; trial < 1000; trial++) {
      double terms[2][SB_MOST_TERMS], dot = 2.2 * uniform(&seed) - 1.1;
      for (int t = 0; t < 2 * SB_MOST_TERMS; t++) terms[t % 2][t / 2] = 0.01 + uniform(&seed);
      assert_true(sb_score_from_dot(measure->from_dot, dot, terms[0], terms[1]) ==
                  measure->epilogue(dot, terms[0], terms[1]));
    }
  }
  assert_true(named >= 10);
}

// ---- Overlap ------------------------------------------------------------------------------------

// While a tile is on its way the next gallery scans are sent: neither the host nor the copies wait for it,
// and its own scans stay as they are.
static void test_the_next_scans_travel_meanwhile(void **state) {
  (void)state;
  if (real_device) skip();
  enum { COMPUTING = 0 };
  static scene s, next;
  static known k;
  const char *streams = getenv("SAMEBRAIN_EMULATED_STREAMS");
  char *kept = sb_strdup(streams);
  setenv("SAMEBRAIN_EMULATED_STREAMS", "late", 1);
  const sb_backend *backend;
  void *context = open_cuda(SB_FP16, 16, &backend);
  s = (scene){.measure = sb_measure_row_find("pearson"), .probes = 30, .gallery = 30};
  next = s;
  fill_scene(&s, 1, false);
  fill_scene(&next, 2, false);
  for (int i = 0; i < MOST_LINES * SB_LIST_KINDS; i++) k.cutoffs[i] = -INFINITY;
  const sb_part a = {SB_SLOT_PROBES, 0, s.probes}, b = {SB_SLOT_GALLERY, 0, s.gallery};
  const sb_selected *items;
  int64_t count;
  assert_ok(backend->select_begin(context, &s.selection));
  assert_ok(backend->put(context, SB_SLOT_PROBES, s.vectors[SB_SLOT_PROBES], s.probes, K, K));
  assert_ok(backend->put(context, SB_SLOT_GALLERY, s.vectors[SB_SLOT_GALLERY], s.gallery, K, K));
  k.extent = (sb_extent){0, s.probes, 0, s.gallery, false};
  k.error = sb_dot_error(backend->gemm_error(context, K), K);
  assert_ok(backend->gemm_nt(context, a, b, k.dots, s.gallery));
  const sb_selection_tile tile = {k.extent, k.error, k.cutoffs, NULL, NULL};
  for (int round = 0; round < 3; round++) {
    scene *now = round % 2 ? &next : &s, *then = round % 2 ? &s : &next;
    assert_ok(backend->select_start(context, a, b, &tile));
    const long long before = emulated("sb_emulated_ran", COMPUTING);
    for (int again = 0; again < 3; again++) // so that what they travel in is used again
      assert_ok(
          backend->put(context, SB_SLOT_GALLERY, then->vectors[SB_SLOT_GALLERY], s.gallery, K, K));
    assert_int_equal(emulated("sb_emulated_ran", COMPUTING), before);
    for (bool more = true; more;) {
      assert_ok(backend->select_take(context, &items, &count, &more));
      for (int64_t i = 0; i < count; i++) { // the products of these scans, and of no others
        double dot = 0;
        for (int v = 0; v < K; v++)
          dot += (double)now->vectors[SB_SLOT_GALLERY][items[i].x * K + v] *
                 (double)s.vectors[SB_SLOT_PROBES][items[i].line * K + v];
        assert_true(items[i].low <= dot && dot <= items[i].high);
      }
    }
    assert_true(emulated("sb_emulated_ran", COMPUTING) > before);
  }
  backend->close(context);
  setenv("SAMEBRAIN_EMULATED_STREAMS", kept, 1);
  free(kept);
}

// ---- Whole links --------------------------------------------------------------------------------

enum { FILES = 5 };

// What a link tells: tables, counts and the screen's bound.
typedef struct told {
  char *bytes[FILES];
  size_t size[FILES];
  double bound;
} told;

static void read_told(const char *out, const char *measure, told *t) {
  char *counts = sb_format("nonmated-%s.npy", measure), *text = read_result(out, "summary.json");
  char *within = sb_format("nonmated-%s-within.npy", measure);
  const char *const names[FILES] = {"matches.tsv", "mated.tsv", "probes.tsv", counts, within};
  for (int i = 0; i < FILES; i++) {
    char *path = sb_path_join(out, names[i]);
    assert_ok(sb_read_file(path, &t->bytes[i], &t->size[i]));
    free(path);
  }
  cJSON *root = cJSON_Parse(text);
  t->bound = cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(root, "measures"), 0),
                                 "screen_bound")
                 ->valuedouble;
  cJSON_Delete(root);
  free(text);
  free(counts);
  free(within);
}

static void expect_the_same(told *found, const told *expected) {
  for (int i = 0; i < FILES; i++) {
    assert_int_equal(found->size[i], expected->size[i]);
    assert_memory_equal(found->bytes[i], expected->bytes[i], found->size[i]);
    free(found->bytes[i]);
  }
  assert_true(found->bound == expected->bound);
}

// With the whole matrix wanted, the host selects; without it the device does: tables, counts and bounds
// are the same, whatever the tiles.
static void test_links_tell_the_same(void **state) {
  (void)state;
  static const char *const measures[] = {"pearson", "bandpass", "nrmse", "dice", "mse", "ccc"};
  static const sb_limits limits[] = {{0, 0, 0}, {2, 3, 64}, {7, 16, 100}};
  cohort c = {.people = 9, .sessions = 2, .seed = 1, .gain = 1, .duplicate_of = 13, .constant = -1};
  char *folder = scratch_folder(), *out = sb_path_join(folder, "out"), *path;
  write_cohort(path = sb_path_join(folder, "a"), "one", &c);
  c.seed = 2;
  c.people = 5;
  write_cohort(path, "two", &c);
  sb_store *store;
  assert_ok(sb_store_open(path, &store));
  free(path);
  sb_link_summary summary;
  for (int trial = 0; trial < 2 * 6; trial++) {
    static const char *const precisions[] = {"fp16", "int8", "fp32"};
    const int self = trial % 2, m = trial / 2, strict = (self + m) % 2;
    sb_link_options options = sb_link_options_default();
    told expected, found;
    options.top = strict ? 1 : 4;
    options.has_threshold = strict;
    options.threshold = m == 4 ? 0.05 : m == 2 ? 0.3 : 0.6;
    options.threads = 2;
    options.backend = "cuda";
    options.precision = precisions[trial % 3];
    options.measures = measures + m;
    options.measure_count = 1;
    for (int l = 0; l < 3; l++) {
      options.matrix = true;
      assert_ok(
          sb_link_limited(store, self ? NULL : store, &options, &limits[l], out, NULL, &summary));
      read_told(out, measures[m], &expected);
      options.matrix = false;
      assert_ok(
          sb_link_limited(store, self ? NULL : store, &options, &limits[l], out, NULL, &summary));
      read_told(out, measures[m], &found);
      expect_the_same(&found, &expected);
      for (int i = 0; i < FILES; i++) free(expected.bytes[i]);
    }
  }
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(out);
}

int main(int argc, char **argv) {
  const int skipped = choose_device(argc, argv);
  if (skipped != 0) return skipped;
  const struct CMUnitTest kernels[] = {
      cmocka_unit_test(test_epilogues_are_the_hosts),
      cmocka_unit_test(test_what_could_matter_is_selected),
      cmocka_unit_test(test_the_next_scans_travel_meanwhile),
  };
  const struct CMUnitTest links[] = {cmocka_unit_test(test_links_tell_the_same)};
  int failed = 0;
  for (int i = 0; choose_order(i); i++) {
    failed += cmocka_run_group_tests(kernels, NULL, NULL);
    if (!wide) failed += cmocka_run_group_tests(links, NULL, NULL);
  }
  return failed;
}
