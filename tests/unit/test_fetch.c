// Rows on their way through the system's cache: fetched, embedded, forgotten, and the same whatever happens to it.
#include "cohort.h"

#include <time.h>

#include "engine/rows.h"
#include "samebrain/synth.h"

enum { PEOPLE = 60 };

typedef struct fixture {
  char *folder;
  sb_store *store;
  sb_embedder embedder;
  float *expected; // the embeddings, of rows that are there
} fixture;

static sb_rows all_of(const fixture *f) {
  return (sb_rows){f->store, NULL, 0, PEOPLE};
}

static void embed(const fixture *f, bool forgets, const int64_t *index, int64_t first,
                  int64_t count, float *out) {
  sb_reader reader;
  assert_ok(sb_reader_open(&f->embedder, 2, &reader));
  reader.forgets = forgets;
  assert_ok(sb_reader_embed(&reader, f->store, index, first, count, out));
  sb_reader_close(&reader);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  sb_synth_rows_options o = sb_synth_rows_options_default();
  f->folder = scratch_folder();
  char *path = sb_path_join(f->folder, "store");
  o.people = PEOPLE;
  o.voxel_mm = 5;
  assert_ok(sb_synth_rows(path, &o, NULL));
  assert_ok(sb_store_open(path, &f->store));
  const sb_grid grid = sb_store_grid(f->store);
  const sb_measure *measure;
  assert_ok(sb_measure_need("pearson", &measure));
  assert_ok(sb_embedder_open(measure, &grid, &f->embedder));
  assert_ok(SB_NEW(&f->expected, PEOPLE * f->embedder.size, "embeddings"));
  embed(f, false, NULL, 0, PEOPLE, f->expected);
  free(path);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  sb_embedder_close(&f->embedder);
  sb_store_close(f->store);
  remove_folder(f->folder);
  free(f->folder);
  free(f->expected);
  free(f);
  return 0;
}

// Lets the system forget all rows; skips the test where it does not, as on a disk in memory.
static void forget_all(const fixture *f) {
  const sb_rows rows = all_of(f);
  sb_rows_forget(f->store, 0, PEOPLE);
  if (sb_rows_held(&rows) > 0) {
    print_message("the system does not let go of these files\n");
    skip();
  }
}

static void expect_embeddings(const fixture *f, bool forgets, const int64_t *index, int64_t first,
                              int64_t count) {
  const int64_t size = f->embedder.size;
  float *found;
  assert_ok(SB_NEW(&found, count * size, "embeddings"));
  embed(f, forgets, index, first, count, found);
  for (int64_t i = 0; i < count; i++)
    assert_memory_equal(found + i * size,
                        f->expected + (index != NULL ? index[i] : first + i) * size,
                        (size_t)f->embedder.length * sizeof *found);
  free(found);
}

static void test_rows_come_in_the_background(void **state) {
  const fixture *f = *state;
  const sb_rows rows = all_of(f), part = {f->store, NULL, 0, 10}, rest = {f->store, NULL, 10, 10};
  const struct timespec moment = {0, 10000000};
  sb_fetch fetch;
  forget_all(f);
  sb_fetch_open(&fetch);
  sb_fetch_begin(&fetch, &rows, 1 << 30);
  assert_true(sb_fetch_has(&fetch, &rows) && sb_fetch_has(&fetch, &part));
  assert_false(sb_fetch_has(&fetch, &rest));
  for (int wait = 0; wait < 6000 && sb_rows_held(&rows) < 1; wait++) nanosleep(&moment, NULL);
  assert_true(sb_rows_held(&rows) == 1);
  sb_fetch_begin(&fetch, &rows, 1 << 30); // nothing is left to do
  assert_false(sb_fetch_has(&fetch, &rows));
  sb_fetch_close(&fetch);
}

// A thread that waits for rows to be taken ends when it is told to, and goes on with other rows.
static void test_fetching_ends_at_any_time(void **state) {
  const fixture *f = *state;
  const sb_rows rows = all_of(f), part = {f->store, NULL, 30, 20};
  sb_fetch fetch;
  forget_all(f);
  sb_fetch_open(&fetch);
  for (int i = 0; i < 50; i++) {
    sb_rows_forget(f->store, 0, PEOPLE);              // all but what the thread may be at
    sb_fetch_begin(&fetch, i % 2 ? &part : &rows, 1); // a row or two
    sb_fetch_take(&fetch, i);
    if (i % 3 == 0) sb_fetch_end(&fetch);
  }
  sb_fetch_close(&fetch);
}

static void test_embeddings_are_the_same_cold_warm_and_forgotten(void **state) {
  const fixture *f = *state;
  const sb_rows rows = all_of(f);
  const int64_t index[] = {41, 3, 59, 0, 7};
  expect_embeddings(f, false, NULL, 0, PEOPLE);
  forget_all(f);
  expect_embeddings(f, false, index, 0, 5);
  forget_all(f);
  expect_embeddings(f, false, NULL, 5, 50);
  assert_true(sb_rows_held(&rows) > 0.5);
  expect_embeddings(f, true, NULL, 0, PEOPLE);
  assert_true(sb_rows_held(&rows) == 0);
}

// Files that are gone under the same name: their rows are mapped, and cannot be fetched.
static void test_files_without_a_name(void **state) {
  const fixture *f = *state;
  const char *path = sb_store_row_place(f->store, 0).path;
  forget_all(f);
  assert_int_equal(unlink(path), 0);
  expect_embeddings(f, true, NULL, 0, PEOPLE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_rows_come_in_the_background, setup, teardown),
      cmocka_unit_test_setup_teardown(test_fetching_ends_at_any_time, setup, teardown),
      cmocka_unit_test_setup_teardown(test_embeddings_are_the_same_cold_warm_and_forgotten, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_files_without_a_name, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
