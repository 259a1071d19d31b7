// Shares of a run: they cover each pair once, and merged they are what one run writes.
#include "cohort.h"

#include "core/npy.h"
#include "engine/merge.h"
#include "engine/parts.h"
#include "engine/results.h"
#include "engine/run.h"
#include "engine/share.h"
#include "samebrain/link.h"
#include "samebrain/measure.h"

static const char *const MEASURES[] = {"bandpass", "nmi", "mse", "fused"};

static const cohort TIES = {
    .people = 9, .sessions = 2, .seed = 1, .gain = 1, .duplicate_of = 5, .constant = -1};

static void test_shares_cover_each_pair_once(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 2, 7, 100, 1000003};
  static const int64_t counts[] = {1, 2, 3, 8, 120};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
      for (int self = 0; self < 2; self++) {
        const int64_t n = sizes[s], count = counts[c];
        const int64_t all = sb_range_pairs((sb_range){0, n}, n, self);
        int64_t at = 0, pairs = 0;
        for (int64_t i = 0; i < count; i++) {
          const sb_range range = sb_share_range((sb_share){i, count}, n, self);
          const int64_t here = sb_range_pairs(range, n, self);
          assert_int_equal(range.first, at);
          assert_true(range.last >= range.first);
          assert_true(here <= all / count + n); // even, up to one probe's pairs
          at = range.last;
          pairs += here;
        }
        assert_int_equal(at, n);
        assert_int_equal(pairs, all);
      }
  // Parts of a share are that share.
  const sb_share whole = {2, 5};
  const sb_range range = sb_share_range(whole, 1000, true);
  assert_int_equal(sb_share_range(sb_share_of(whole, (sb_share){0, 4}), 1000, true).first,
                   range.first);
  assert_int_equal(sb_share_range(sb_share_of(whole, (sb_share){3, 4}), 1000, true).last,
                   range.last);
}

typedef struct linked {
  char *folder;
  const sb_store *gallery, *probe;
  sb_link_options options;
} linked;

static char *place(const linked *l, const char *name) {
  return sb_path_join(l->folder, name);
}

static void run(const linked *l, const char *name, int shard, int shards, int64_t parts) {
  static const sb_limits limits = {4, 3, 50};
  sb_link_options options = l->options;
  sb_link_summary summary;
  char *out = place(l, name);
  options.shard_index = shard;
  options.shard_count = shards;
  options.parts = parts;
  assert_ok(sb_link_limited(l->gallery, l->probe, &options, shard % 2 ? &limits : NULL, out, NULL,
                            &summary));
  free(out);
}

static sb_status merge_all(const linked *l, int shards, const char *out, sb_link_summary *summary) {
  char *folders[32], *path = place(l, out);
  assert_true(shards <= 32);
  for (int i = 0; i < shards; i++) { // last first
    char *name = sb_format("shard-%d", shards - i);
    folders[i] = place(l, name);
    free(name);
  }
  sb_status status =
      sb_merge((const char *const *)folders, (size_t)shards, path, false, NULL, summary);
  for (int i = 0; i < shards; i++) free(folders[i]);
  free(path);
  return status;
}

static void assert_same_file(const linked *l, const char *one, const char *other,
                             const char *name) {
  char *paths[2] = {place(l, one), place(l, other)}, *data[2];
  size_t bytes[2];
  for (int i = 0; i < 2; i++) {
    char *path = sb_path_join(paths[i], name);
    assert_ok(sb_read_file(path, &data[i], &bytes[i]));
    free(path);
    free(paths[i]);
  }
  if (bytes[0] != bytes[1] || memcmp(data[0], data[1], bytes[0]) != 0)
    fail_msg("%s differs between %s and %s", name, one, other);
  free(data[0]);
  free(data[1]);
}

static void assert_same_results(const linked *l, const char *one, const char *other) {
  static const char *const names[] = {"matches.tsv", "mated.tsv", "probes.tsv", "gallery.tsv"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    assert_same_file(l, one, other, names[i]);
  for (size_t m = 0; m < l->options.measure_count; m++) {
    char *edges = sb_format("nonmated-%s-edges.npy", l->options.measures[m]);
    assert_same_file(l, one, other, edges);
    free(edges);
    // Counts of the pair family come from canonical scores, and must not differ by a single pair.
    if (sb_measure_find(l->options.measures[m])->gemm) continue;
    char *counts = sb_format("nonmated-%s.npy", l->options.measures[m]);
    assert_same_file(l, one, other, counts);
    free(counts);
  }
}

static double count_all(const linked *l, const char *out, const char *measure) {
  char *folder = place(l, out), *name = sb_format("nonmated-%s.npy", measure), *data;
  char *path = sb_path_join(folder, name);
  size_t bytes;
  double sum = 0;
  assert_ok(sb_read_file(path, &data, &bytes));
  for (size_t at = SB_NPY_HEADER; at < bytes; at += sizeof(int64_t)) {
    int64_t count;
    memcpy(&count, data + at, sizeof count);
    sum += (double)count;
  }
  free(data);
  free(path);
  free(name);
  free(folder);
  return sum;
}

// A number that summary.json tells once.
static int64_t told(const linked *l, const char *out, const char *name) {
  char *folder = place(l, out), *path = sb_path_join(folder, "summary.json"), *text;
  char *key = sb_format("\"%s\":", name);
  size_t bytes;
  assert_ok(sb_read_file(path, &text, &bytes));
  const char *at = strstr(text, key);
  assert_non_null(at);
  at += strlen(key);
  assert_null(strstr(at, key));
  const int64_t number = strtoll(at, NULL, 10);
  free(key);
  free(text);
  free(path);
  free(folder);
  return number;
}

static linked set_up(int self, const cohort *c, sb_store **gallery, sb_store **probe) {
  linked l = {.folder = scratch_folder(), .options = sb_link_options_default()};
  *gallery = open_cohort(l.folder, "a", c);
  cohort other = *c;
  other.people = 5;
  other.seed = 2;
  *probe = self ? NULL : open_cohort(l.folder, "b", &other);
  l.gallery = *gallery;
  l.probe = *probe;
  l.options.measures = MEASURES;
  l.options.measure_count = 4;
  l.options.refine = "mae";
  l.options.top = 2;
  l.options.has_threshold = true;
  l.options.threshold = 0.7; // many pairs beyond it by some measures, few by others
  l.options.threads = 2;
  return l;
}

static void tear_down(linked *l, sb_store *gallery, sb_store *probe) {
  sb_store_close(gallery);
  sb_store_close(probe);
  remove_folder(l->folder);
  free(l->folder);
}

static void test_merged_shards_are_one_run(void **state) {
  (void)state;
  static const int counts[] = {1, 5, 30}; // more than there are scans, too
  for (int self = 0; self < 2; self++) {
    sb_store *gallery, *probe;
    linked l = set_up(self, &TIES, &gallery, &probe);
    run(&l, "whole", 0, 0, 1);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      sb_link_summary summary;
      for (int i = 1; i <= counts[c]; i++) {
        char *name = sb_format("shard-%d", i);
        run(&l, name, i, counts[c], i <= 2 ? 3 : 1); // two of them in parts
        free(name);
      }
      assert_ok(merge_all(&l, counts[c], "merged", &summary));
      assert_int_equal(summary.pairs, self ? 18 * 17 / 2 : 10 * 18);
      assert_same_results(&l, "whole", "merged");
      // Whatever the shares were merged from themselves.
      assert_int_equal(told(&l, "merged", "merged_from"), counts[c]);
      for (size_t m = 0; m < 4; m++)
        assert_true(count_all(&l, "whole", MEASURES[m]) == count_all(&l, "merged", MEASURES[m]));
    }
    tear_down(&l, gallery, probe);
  }
}

// Whatever was finished before, and whatever else lies in the folder of parts.
static void test_parts_are_one_run_and_leave_nothing(void **state) {
  (void)state;
  sb_store *gallery, *probe;
  linked l = set_up(1, &TIES, &gallery, &probe);
  run(&l, "whole", 0, 0, 1);
  run(&l, "parts/parts/0002-of-0004", 2, 4, 1); // as a killed run of four parts leaves it
  sb_link_options kept = l.options;
  l.options.top = 1;
  run(&l, "parts/parts/0003-of-0004", 3, 4, 1); // asked for something else
  run(&l, "parts/parts/0001-of-0003", 1, 3, 1);
  l.options = kept;
  run(&l, "parts", 0, 0, 4);
  assert_same_results(&l, "whole", "parts");
  char *out = place(&l, "parts"), *below = sb_path_join(out, "parts");
  assert_false(sb_is_folder(below));
  free(below);
  free(out);
  tear_down(&l, gallery, probe);
}

static void test_the_matrix_is_put_together(void **state) {
  (void)state;
  for (int self = 0; self < 2; self++) {
    sb_store *gallery, *probe;
    linked l = set_up(self, &TIES, &gallery, &probe);
    l.options.matrix = true;
    l.options.measure_count = 2;
    run(&l, "whole", 0, 0, 1);
    run(&l, "merged", 0, 0, 4);
    assert_same_file(&l, "whole", "merged", "scores-nmi.npy");
    char *texts[2];
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
      char *folder = place(&l, i == 0 ? "whole" : "merged");
      char *path = sb_path_join(folder, "scores-bandpass.npy");
      assert_ok(sb_read_file(path, &texts[i], &bytes[i]));
      free(path);
      free(folder);
    }
    assert_int_equal(bytes[0], bytes[1]);
    for (size_t at = SB_NPY_HEADER; at < bytes[0]; at += sizeof(float)) {
      float x, y;
      memcpy(&x, texts[0] + at, sizeof x);
      memcpy(&y, texts[1] + at, sizeof y);
      assert_true(fabsf(x - y) < 3e-4f); // twice the bound of a float32 screen
    }
    free(texts[0]);
    free(texts[1]);
    tear_down(&l, gallery, probe);
  }
}

static void expect_refusal(sb_status status, sb_code code, const char *words) {
  if (status.code != code || strstr(status.message, words) == NULL)
    fail_msg("%d: %s; expected %d: ...%s...", status.code, status.message, code, words);
}

static void test_what_does_not_belong_together_is_refused(void **state) {
  (void)state;
  sb_store *gallery, *probe;
  linked l = set_up(1, &TIES, &gallery, &probe);
  sb_link_summary summary;
  char *path[4];
  static const char *const names[] = {"one", "two", "three", "whole"};
  for (int i = 0; i < 4; i++) path[i] = place(&l, names[i]);
  const char *const *folders = (const char *const *)path;
  char *out = place(&l, "out");
  run(&l, "one", 1, 3, 1);
  run(&l, "two", 2, 3, 1);
  run(&l, "whole", 0, 0, 1);
  expect_refusal(sb_merge(folders, 2, out, false, NULL, &summary), SB_USAGE,
                 "shard 3 of 3 is missing");
  expect_refusal(sb_merge(folders + 3, 1, out, false, NULL, &summary), SB_USAGE,
                 "nothing to merge");
  expect_refusal(sb_merge(folders, 0, out, false, NULL, &summary), SB_USAGE, "nothing to merge");
  expect_refusal(sb_merge(folders, 3, out, false, NULL, &summary), SB_NOT_FOUND, "did not finish");
  run(&l, "three", 2, 3, 1);
  expect_refusal(sb_merge(folders, 3, out, false, NULL, &summary), SB_CONFLICT,
                 "are the same shard, 2 of 3");
  l.options.top = 3;
  run(&l, "three", 3, 3, 1);
  expect_refusal(sb_merge(folders, 3, out, false, NULL, &summary), SB_CONFLICT,
                 "not shards of one run");
  l.options.top = 2;
  run(&l, "three", 3, 4, 1);
  expect_refusal(sb_merge(folders, 3, out, false, NULL, &summary), SB_CONFLICT, "one of 4");
  run(&l, "three", 3, 3, 1);
  expect_refusal(sb_merge(folders, 3, path[1], false, NULL, &summary), SB_USAGE,
                 "is one of the shards");
  // The second third, but as a link in parts may have cut it.
  const sb_share second = {1, 3};
  const sb_range range = sb_share_range(second, 18, true), other = {range.first + 1, range.last};
  assert_ok(sb_link_share(gallery, NULL, &l.options, NULL, second, other, path[1], NULL, &summary));
  expect_refusal(sb_merge(folders, 3, out, false, NULL, &summary), SB_CONFLICT,
                 "two: its probes are not those between");
  run(&l, "two", 2, 3, 1);
  write_text(path[2], "matches.tsv", SB_MATCHES_HEADER "a\tb\tc\td\tbandpass\t1\t0.5\n");
  expect_refusal(sb_merge(folders, 3, out, false, NULL, &summary), SB_FORMAT, "damaged at entry 1");
  char *npy = sb_path_join(path[2], "nonmated-nmi.npy");
  run(&l, "again", 3, 3, 1);
  assert_int_equal(truncate(npy, 200), 0);
  write_text(path[2], "matches.tsv", SB_MATCHES_HEADER);
  expect_refusal(sb_merge(folders, 3, out, false, NULL, &summary), SB_FORMAT, "ends too early");
  free(npy);
  for (int i = 0; i < 4; i++) free(path[i]);
  free(out);
  tear_down(&l, gallery, probe);
}

// By the work there is, but never more than there are blocks of probes in memory.
static void test_parts_by_work_and_memory(void **state) {
  (void)state;
  assert_int_equal(sb_part_count(0, 0, 100), 1);
  assert_int_equal(sb_part_count(9e13, 100000, 4900), 1);
  assert_int_equal(sb_part_count(2.2e15, 100000, 0), 22);
  assert_int_equal(sb_part_count(2.2e15, 100000, 4900), 21);
  assert_int_equal(sb_part_count(2.2e15, 100000, 50000), 2);
  assert_int_equal(sb_part_count(2.2e15, 100000, 118000), 1);
  assert_int_equal(sb_part_count(1e18, 100000, 0), 1000);
  assert_int_equal(sb_part_count(1e18, 127, 0), 1);
}

// Whole blocks each, none without any, and together all of them.
static void test_parts_end_where_blocks_do(void **state) {
  (void)state;
  static const int64_t blocks[] = {1, 3, 7, 40};
  const sb_range all = {11, 11 + 100};
  for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++)
    for (int64_t parts = 1; parts <= (100 + blocks[b] - 1) / blocks[b]; parts++) {
      int64_t at = all.first;
      for (int64_t i = 0; i < parts; i++) {
        const sb_range part = sb_part_range(all, blocks[b], i, parts);
        assert_int_equal(part.first, at);
        assert_true(part.last > part.first);
        assert_true((part.last - all.first) % blocks[b] == 0 || part.last == all.last);
        at = part.last;
      }
      assert_int_equal(at, all.last);
    }
}

// A long link reads no row more often for being done in parts: counted, not planned.
static void test_parts_read_as_often(void **state) {
  (void)state;
  static const char *const measures[] = {"bandpass"};
  static const sb_limits limits = {4, 3, 50}; // 18 scans are 5 blocks of probes, 10 are 3
  for (int self = 0; self < 2; self++) {
    sb_store *gallery, *probe;
    linked l = set_up(self, &TIES, &gallery, &probe);
    const int64_t blocks = self ? 5 : 3;
    int64_t whole = 0;
    l.options.measures = measures;
    l.options.measure_count = 1;
    for (int64_t parts = 1; parts <= blocks + 1; parts++) {
      sb_link_options options = l.options;
      char *name = sb_format("of-%d", (int)parts), *out = place(&l, name);
      options.parts = parts;
      assert_ok(sb_link_limited(gallery, probe, &options, &limits, out, NULL, NULL));
      assert_same_results(&l, "of-1", name);
      const int64_t read = told(&l, name, "rows_read");
      if (parts == 1) whole = read;
      // Block after block with what comes after it: 18 + 14 + 10 + 6 + 2; or each probe, and the gallery
      // for each block.
      assert_int_equal(whole, self ? 50 : 10 + 3 * 18);
      if (parts <= blocks)
        assert_int_equal(read, whole);
      else
        assert_true(read > whole);
      free(out);
      free(name);
    }
    tear_down(&l, gallery, probe);
  }
}

// However far the removing of parts comes, none of them looks finished afterwards.
static void test_a_part_half_removed_is_not_a_finished_one(void **state) {
  (void)state;
  char *below = scratch_folder(), *part = sb_path_join(below, "0001-of-0002");
  char *table = sb_path_join(part, "gallery.tsv"), *summary = sb_path_join(part, "summary.json");
  assert_ok(sb_make_folder(table)); // which cannot be removed as a file
  write_text(part, "summary.json", "{}");
  expect_refusal(sb_results_remove(below), SB_IO, "gallery.tsv: cannot remove");
  assert_false(sb_is_file(summary));
  free(summary);
  free(table);
  free(part);
  remove_folder(below);
  free(below);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shares_cover_each_pair_once),
      cmocka_unit_test(test_merged_shards_are_one_run),
      cmocka_unit_test(test_parts_are_one_run_and_leave_nothing),
      cmocka_unit_test(test_parts_by_work_and_memory),
      cmocka_unit_test(test_parts_end_where_blocks_do),
      cmocka_unit_test(test_parts_read_as_often),
      cmocka_unit_test(test_the_matrix_is_put_together),
      cmocka_unit_test(test_what_does_not_belong_together_is_refused),
      cmocka_unit_test(test_a_part_half_removed_is_not_a_finished_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
