// sb_check on made-up rows whose files are not there: what is listed, by which identities, and that the
// results are the same bytes for any number of threads.
#include "cohort.h"

#include "samebrain/check.h"

static const char *cell_of(const sb_tsv *table, size_t row, const char *name) {
  long column = sb_tsv_column(table, name);
  assert_true(column >= 0);
  return sb_tsv_cell(table, row, (size_t)column);
}

static sb_check_summary check(const sb_store *store, const sb_check_options *options,
                              const char *folder, const char *name) {
  char *out = sb_path_join(folder, name);
  sb_check_summary summary;
  assert_ok(sb_check(store, options, out, NULL, &summary));
  free(out);
  return summary;
}

// More sessions than link lists for each scan: all pairs are found nevertheless.
static void test_many_sessions(void **state) {
  (void)state;
  enum { PEOPLE = 4, SESSIONS = 14, OF_EACH = SESSIONS * (SESSIONS - 1) / 2 };
  const cohort c = {.people = PEOPLE,
                    .sessions = SESSIONS,
                    .seed = 3,
                    .gain = 1,
                    .duplicate_of = -1,
                    .constant = -1};
  char *folder = scratch_folder();
  sb_store *store = open_cohort(folder, "many", &c);
  sb_check_options options = sb_check_options_default();
  sb_check_summary s = check(store, &options, folder, "labels");
  assert_int_equal(s.pairs[SB_VERDICT_SAME], PEOPLE * OF_EACH);
  assert_int_equal(s.found + s.pairs[SB_VERDICT_UNSURE], 0);
  assert_int_equal(s.people, PEOPLE);
  assert_int_equal(s.labels, PEOPLE);
  options.identities = "none";
  options.has_threshold = true;
  options.threshold = 0.5;
  s = check(store, &options, folder, "none");
  assert_int_equal(s.pairs[SB_VERDICT_SAME_PERSON], PEOPLE * OF_EACH);
  assert_int_equal(s.found, PEOPLE * OF_EACH);
  assert_int_equal(s.labels, 0);
  assert_int_equal(s.not_compared, PEOPLE * OF_EACH);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
}

enum { SESSIONS_EACH = 12 };

// As close as one person's scans are: 0.9 and a little more, with noise of 0.3.
static void make_close(int scan, int64_t length, float *row) {
  uint64_t pattern = 3000 + (uint64_t)(scan / SESSIONS_EACH), noise = 200000 + (uint64_t)scan;
  for (int64_t i = 0; i < length; i++) row[i] = (float)(uniform(&pattern) + 0.3 * uniform(&noise));
}

// Many scans of few people without labels: so many close pairs that chance seems to reach as far. None is passed
// over for that.
static void test_no_labels(void **state) {
  (void)state;
  char *folder = scratch_folder();
  sb_check_options options = sb_check_options_default();
  options.identities = "none";
  for (int people = 2; people <= 6; people++) {
    const int of_each = SESSIONS_EACH * (SESSIONS_EACH - 1) / 2;
    const cohort c = {.people = people,
                      .sessions = SESSIONS_EACH,
                      .seed = 3,
                      .gain = 1,
                      .duplicate_of = -1,
                      .constant = -1,
                      .change = make_close};
    char name[20];
    snprintf(name, sizeof name, "of-%d", people);
    sb_store *store = open_cohort(folder, name, &c);
    snprintf(name, sizeof name, "out-%d", people);
    const sb_check_summary s = check(store, &options, folder, name);
    assert_int_equal(s.pairs[SB_VERDICT_SAME_PERSON] + s.pairs[SB_VERDICT_UNSURE],
                     people * of_each);
    sb_store_close(store);
  }
  remove_folder(folder);
  free(folder);
}

// By a table: the first two scans change places with others.
static void test_table(void **state) {
  (void)state;
  const cohort c = {
      .people = 10, .sessions = 2, .seed = 5, .gain = 1, .duplicate_of = -1, .constant = -1};
  char *folder = scratch_folder(), *path = sb_path_join(folder, "people.tsv");
  sb_store *store = open_cohort(folder, "some", &c);
  write_text(folder, "people.tsv",
             "dataset\tscan_id\tperson\n"
             "some\tsub-001_ses-1\tx\nsome\tsub-001_ses-2\ty\n"
             "some\tsub-002_ses-1\ty\nsome\tsub-002_ses-2\tx\n"
             "some\tsub-003_ses-1\tz\nsome\tsub-004_ses-1\tz\n");
  sb_check_options options = sb_check_options_default();
  options.identities = path;
  options.has_threshold = true;
  options.threshold = 0.5;
  sb_check_summary s = check(store, &options, folder, "out");
  assert_int_equal(s.pairs[SB_VERDICT_SUSPECTED_SWAP], 4);
  assert_int_equal(s.pairs[SB_VERDICT_DIFFERENT], 1);   // z, since these scans have no sharpness
  assert_int_equal(s.pairs[SB_VERDICT_SAME_PERSON], 8); // those of whom the table says nothing
  assert_int_equal(s.labels, 3);
  assert_int_equal(s.people, 10);
  char *text = read_result(folder, "out/check.tsv");
  assert_non_null(strstr(text, "sub-001_ses-2 is probably of x"));
  assert_non_null(strstr(text, "under the label z; but of sub-003_ses-1: it is blurred"));
  free(text);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
  free(path);
}

// Every scan after the seventh has its row: without files, rows that are equal tell.
static void test_equal_rows(void **state) {
  (void)state;
  const cohort c = {
      .people = 10, .sessions = 1, .seed = 7, .gain = 1, .duplicate_of = 7, .constant = -1};
  char *folder = scratch_folder();
  sb_store *store = open_cohort(folder, "equal", &c);
  sb_check_summary s = check(store, NULL, folder, "out");
  assert_int_equal(s.pairs[SB_VERDICT_DUPLICATE], 3);
  assert_int_equal(s.found, 3);
  assert_int_equal(s.people, 8);
  sb_tsv groups = read_table_result(folder, "out/groups.tsv");
  assert_int_equal(groups.rows, 10);
  assert_string_equal(cell_of(&groups, 9, "duplicate_of"), "sub-008_ses-1");
  assert_string_equal(cell_of(&groups, 9, "scans"), "3");
  assert_string_equal(cell_of(&groups, 9, "labels"), "3");
  assert_string_equal(cell_of(&groups, 0, "duplicate_of"), "n/a");
  sb_tsv_free(&groups);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
}

static void test_same_bytes(void **state) {
  (void)state;
  static const char *const files[] = {"check.tsv", "groups.tsv", "check.json"};
  const cohort c = {
      .people = 8, .sessions = 3, .seed = 9, .gain = 1, .duplicate_of = 20, .constant = -1};
  char *folder = scratch_folder();
  sb_store *store = open_cohort(folder, "cohort", &c);
  sb_check_options options = sb_check_options_default();
  options.threads = 1;
  check(store, &options, folder, "one");
  options.threads = 3;
  check(store, &options, folder, "three");
  options.memory_bytes = 1 << 26;
  check(store, &options, folder, "three"); // again, into the same folder
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char *one = sb_format("one/%s", files[i]), *three = sb_format("three/%s", files[i]);
    char *a = read_result(folder, one), *b = read_result(folder, three);
    assert_string_equal(a, b);
    free(one);
    free(three);
    free(a);
    free(b);
  }
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_many_sessions), cmocka_unit_test(test_no_labels),
      cmocka_unit_test(test_table),         cmocka_unit_test(test_equal_rows),
      cmocka_unit_test(test_same_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
