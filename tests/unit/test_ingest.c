// Ingest: which scans of a list are prepared, in which order they are committed, and what becomes
// of those that fail. On a small synthetic cohort with a template of its own, at 4 mm.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/half.h"
#include "core/memory.h"
#include "samebrain/samebrain.h"
#include "scratch.h"

enum { PEOPLE = 4 };

// Made once: the cohort, its template and a preparer. Each test has stores of its own.
static char *scratch;
static sb_template *brain;
static sb_preparer *preparer;
static sb_scan_list cohort;

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

static char *in_scratch(const char *name) {
  char *path = sb_path_join(scratch, name);
  assert_non_null(path);
  return path;
}

static int make_cohort(void **state) {
  (void)state;
  scratch = scratch_folder();
  if (scratch == NULL) return -1;
  sb_synth_options synth = sb_synth_options_default();
  synth.subjects = PEOPLE;
  synth.sessions = 1;
  synth.base = "procedural";
  synth.voxel_mm = 2;
  char *folder = in_scratch("cohort"), *image = in_scratch("cohort/template_T1w.nii.gz");
  assert_ok(sb_synth(folder, &synth, NULL));
  sb_template_options options = {.image_path = image, .resolution_mm = 4};
  assert_ok(sb_template_load(&options, &brain));
  sb_prepare_options prepare = sb_prepare_options_default();
  assert_ok(sb_preparer_create(brain, &prepare, &preparer));
  assert_ok(sb_scan_list_find((const char *const *)&folder, 1, NULL, &cohort));
  assert_int_equal(cohort.count, PEOPLE);
  free(folder);
  free(image);
  return 0;
}

static int remove_cohort(void **state) {
  (void)state;
  sb_scan_list_free(&cohort);
  sb_preparer_free(preparer);
  sb_template_free(brain);
  const int result = remove_folder(scratch);
  free(scratch);
  return result;
}

static void count_warning(void *context, const char *text) {
  (void)text;
  ++*(int *)context;
}

// Ingests and checks the summary and how many failures were told.
static void ingest(const char *store, const sb_scan_list *list, const sb_ingest_options *options,
                   int prepared, int skipped, int failed) {
  sb_ingest_summary summary;
  int warnings = 0;
  sb_progress progress = {.context = &warnings, .warn = count_warning};
  assert_ok(sb_ingest(store, brain, preparer, list, options, &progress, &summary));
  assert_int_equal(summary.prepared, prepared);
  assert_int_equal(summary.skipped, skipped);
  assert_int_equal(summary.failed, failed);
  assert_int_equal(summary.scans, prepared + skipped + failed);
  assert_int_equal(warnings, failed);
}

static char *contents(const char *folder, const char *name, size_t *bytes) {
  char *path = sb_path_join(folder, name), *data;
  assert_ok(sb_read_file(path, &data, bytes));
  free(path);
  return data;
}

static int64_t count_lines(const char *folder, const char *name) {
  size_t bytes;
  char *data = contents(folder, name, &bytes);
  int64_t lines = 0;
  for (size_t i = 0; i < bytes; i++) lines += data[i] == '\n';
  free(data);
  return lines;
}

static void test_same_bytes_for_any_threads(void **state) {
  (void)state;
  char *one = in_scratch("one"), *three = in_scratch("three");
  sb_ingest_options options = sb_ingest_options_default();
  options.threads = 1;
  ingest(one, &cohort, &options, PEOPLE, 0, 0);
  options.threads = 3;
  ingest(three, &cohort, &options, PEOPLE, 0, 0);
  static const char *const names[] = {"shard-0001.npy", "shard-0001.mask.npy"};
  for (size_t i = 0; i < 2; i++) {
    size_t a_bytes, b_bytes;
    char *a = contents(one, names[i], &a_bytes), *b = contents(three, names[i], &b_bytes);
    assert_int_equal(a_bytes, b_bytes);
    assert_memory_equal(a, b, a_bytes);
    free(a);
    free(b);
  }
  sb_store *store;
  assert_ok(sb_store_open(three, &store));
  assert_int_equal(sb_store_count(store), PEOPLE);
  for (int64_t i = 0; i < PEOPLE; i++) { // the list's order is that of the rows
    assert_string_equal(sb_store_record(store, i)->scan.scan_id, cohort.scans[i].scan_id);
    assert_string_equal(sb_store_record(store, i)->scan.participant, cohort.scans[i].participant);
    assert_int_equal(sb_store_record(store, i)->row, i);
    assert_int_equal(strlen(sb_store_record(store, i)->source_sha256), 64);
  }
  assert_ok(sb_store_verify(store, NULL));
  sb_store_close(store);
  ingest(three, &cohort, NULL, 0, PEOPLE, 0);
  free(one);
  free(three);
}

static void test_shares_add_up(void **state) {
  (void)state;
  char *path = in_scratch("shares");
  sb_ingest_options options = sb_ingest_options_default();
  options.shard_count = 3;
  options.shard_index = 3;
  ingest(path, &cohort, &options, PEOPLE / 3, 0, 0);
  options.shard_index = 1;
  ingest(path, &cohort, &options, (PEOPLE + 2) / 3, 0, 0);
  ingest(path, &cohort, NULL, 1, PEOPLE - 1, 0);
  options.shard_index = 4;
  sb_status status = sb_ingest(path, brain, preparer, &cohort, &options, NULL, NULL);
  assert_int_equal(status.code, SB_USAGE);
  free(path);
}

// A scan of its own folder that can be spoilt and mended.
static void copy_file(const char *from, const char *to) {
  char *data;
  size_t bytes;
  assert_ok(sb_read_file(from, &data, &bytes));
  assert_ok(sb_write_file(to, data, bytes));
  free(data);
}

static void test_failures(void **state) {
  (void)state;
  char *path = in_scratch("failing"), *folder = in_scratch("mixed");
  char *bad_gz = in_scratch("mixed/b.nii.gz"), *first = in_scratch("mixed/a.nii.gz");
  char *last = in_scratch("mixed/c.nii.gz");
  assert_ok(sb_make_folder(folder));
  copy_file(cohort.scans[0].source_path, first);
  copy_file(cohort.scans[1].source_path, last);
  assert_ok(sb_write_file(bad_gz, "hello", 5));
  sb_scan_list list;
  assert_ok(sb_scan_list_find((const char *const *)&folder, 1, NULL, &list));
  assert_int_equal(list.count, 3);
  ingest(path, &list, NULL, 2, 0, 1);
  assert_int_equal(count_lines(path, "shard-0001.tsv"), 4);
  ingest(path, &list, NULL, 0, 2, 1); // tried again; the same failure is not written again
  assert_int_equal(count_lines(path, "shard-0001.tsv"), 4);
  sb_store *store;
  assert_ok(sb_store_open(path, &store));
  assert_int_equal(sb_store_failed_count(store), 1);
  assert_int_equal(sb_store_failed(store, 0)->status, SB_FORMAT);
  assert_non_null(strstr(sb_store_failed(store, 0)->reason, "b.nii.gz"));
  sb_store_close(store);
  assert_int_equal(unlink(bad_gz), 0);
  ingest(path, &list, NULL, 0, 2, 1); // another failure: it is gone
  assert_int_equal(count_lines(path, "shard-0001.tsv"), 5);
  copy_file(cohort.scans[2].source_path, bad_gz);
  ingest(path, &list, NULL, 1, 2, 0);
  assert_ok(sb_store_open(path, &store));
  assert_int_equal(sb_store_count(store), 3);
  assert_int_equal(sb_store_failed_count(store), 0);
  sb_store_close(store);
  sb_scan_list_free(&list);
  free(path);
  free(folder);
  free(bad_gz);
  free(first);
  free(last);
}

// Another file under the name of a scan that has a row is told; the same file elsewhere is not.
static void test_one_name_for_two_files(void **state) {
  (void)state;
  char *path = in_scratch("named"), *a = in_scratch("siteA/data"), *b = in_scratch("siteB/data");
  char *a_one = sb_path_join(a, "one.nii.gz"), *b_one = sb_path_join(b, "one.nii.gz");
  char *b_two = sb_path_join(b, "two.nii.gz"), *real = realpath(scratch, NULL);
  assert_ok(sb_make_folder(a));
  assert_ok(sb_make_folder(b));
  copy_file(cohort.scans[0].source_path, a_one);
  copy_file(cohort.scans[1].source_path, b_one);
  copy_file(cohort.scans[2].source_path, b_two);
  sb_scan_list from_a, from_b;
  assert_ok(sb_scan_list_find((const char *const *)&a, 1, NULL, &from_a));
  assert_ok(sb_scan_list_find((const char *const *)&b, 1, NULL, &from_b));
  ingest(path, &from_a, NULL, 1, 0, 0);
  ingest(path, &from_b, NULL, 1, 0, 1);
  ingest(path, &from_b, NULL, 0, 1, 1);
  sb_store *store;
  assert_ok(sb_store_open(path, &store));
  assert_int_equal(sb_store_count(store), 2);
  assert_int_equal(sb_store_failed_count(store), 0);
  char *expected = sb_path_join(real, "siteA/data/one.nii.gz");
  assert_string_equal(sb_store_record(store, 0)->scan.source_path, expected);
  sb_store_close(store);
  assert_int_equal(count_lines(path, "shard-0001.tsv"), 3);
  copy_file(a_one, b_one); // the same content under another path
  ingest(path, &from_b, NULL, 0, 2, 0);
  sb_scan_list_free(&from_a);
  sb_scan_list_free(&from_b);
  char *const paths[] = {path, a, b, a_one, b_one, b_two, real, expected};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) free(paths[i]);
}

// A file replaced, or a scan given other labels, after it was prepared: told, not passed over.
static void test_changed_since(void **state) {
  (void)state;
  char *path = in_scratch("since"), *folder = in_scratch("changing");
  char *one = sb_path_join(folder, "sub-1_T1w.nii.gz"),
       *two = sb_path_join(folder, "sub-2_T1w.nii.gz");
  sb_scan_list list;
  assert_ok(sb_make_folder(folder));
  copy_file(cohort.scans[0].source_path, one);
  copy_file(cohort.scans[1].source_path, two);
  assert_ok(sb_scan_list_find((const char *const *)&folder, 1, NULL, &list));
  ingest(path, &list, NULL, 2, 0, 0);
  ingest(path, &list, NULL, 0, 2, 0);
  copy_file(cohort.scans[1].source_path, two); // written again, with the same content
  ingest(path, &list, NULL, 0, 2, 0);
  copy_file(cohort.scans[2].source_path, two);
  ingest(path, &list, NULL, 0, 1, 1);
  free(list.scans[0].participant);
  list.scans[0].participant = sb_strdup(""); // unknown now: no other label
  ingest(path, &list, NULL, 0, 1, 1);
  free(list.scans[0].participant);
  list.scans[0].participant = sb_strdup("sub-9");
  ingest(path, &list, NULL, 0, 0, 2);
  assert_int_equal(count_lines(path, "shard-0001.tsv"), 3); // rows stay as they were
  sb_scan_list_free(&list);
  char *const paths[] = {path, folder, one, two};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) free(paths[i]);
}

static void test_saved_images(void **state) {
  (void)state;
  char *path = in_scratch("imaged"), *images = in_scratch("images/deep");
  sb_ingest_options options = sb_ingest_options_default();
  options.save_images_dir = images;
  ingest(path, &cohort, &options, PEOPLE, 0, 0);
  const sb_scan *scan = &cohort.scans[1];
  char *file = sb_format("%s/%s/%s/anat/%s_space-template_desc-prepared_T1w.nii.gz", images,
                         scan->participant, scan->session, scan->scan_id);
  sb_volume volume;
  assert_ok(sb_volume_load(file, &volume, NULL));
  assert_memory_equal(volume.dims, sb_template_grid_dims(brain), sizeof volume.dims);
  sb_store *store;
  assert_ok(sb_store_open(path, &store));
  const int64_t *index = sb_template_row_index(brain);
  for (int64_t i = 0; i < sb_store_row_length(store); i++)
    assert_int_equal(sb_half_from_float(volume.voxels[index[i]]), sb_store_row(store, 1)[i]);
  sb_store_close(store);
  sb_volume_free(&volume);
  free(file);
  free(path);
  free(images);
}

// A mask that covers the brain changes nothing; one on another grid is refused by name.
static void test_masks_of_scans(void **state) {
  (void)state;
  char *path = in_scratch("masked"), *plain = in_scratch("plain"),
       *mask = in_scratch("mask.nii.gz");
  sb_volume volume;
  assert_ok(sb_volume_load(cohort.scans[0].source_path, &volume, NULL));
  int64_t voxels = volume.dims[0] * volume.dims[1] * volume.dims[2];
  for (int64_t i = 0; i < voxels; i++) volume.voxels[i] = volume.voxels[i] != 0;
  assert_ok(sb_volume_save(&volume, mask));
  sb_scan scans[2] = {cohort.scans[0], cohort.scans[1]};
  scans[0].mask_path = mask;
  sb_scan_list list = {.scans = scans, .count = 1};
  ingest(path, &list, NULL, 1, 0, 0);
  sb_scan_list bare = {.scans = cohort.scans, .count = 1};
  ingest(plain, &bare, NULL, 1, 0, 0);
  sb_store *a, *b;
  assert_ok(sb_store_open(path, &a));
  assert_ok(sb_store_open(plain, &b));
  assert_int_equal(sb_store_record(a, 0)->row_checksum, sb_store_record(b, 0)->row_checksum);
  sb_store_close(a);
  sb_store_close(b);
  volume.affine[3] += 5;
  assert_ok(sb_volume_save(&volume, mask));
  scans[1].mask_path = mask;
  list.count = 2;
  ingest(path, &list, NULL, 0, 1, 1);
  assert_ok(sb_store_open(path, &a));
  assert_int_equal(sb_store_failed(a, 0)->status, SB_CONFLICT);
  assert_non_null(strstr(sb_store_failed(a, 0)->reason, "another grid"));
  sb_store_close(a);
  sb_volume_free(&volume);
  free(path);
  free(plain);
  free(mask);
}

// An image of side x side x side voxels, all of them a hole in the file.
static void write_hollow(const char *path, int16_t side) {
  sb_volume small = {.dims = {8, 8, 8}, .affine = {[0] = 1, [5] = 1, [10] = 1, [15] = 1}};
  char *data;
  size_t bytes;
  assert_ok(SB_NEW_ZERO(&small.voxels, 512, "image"));
  assert_ok(sb_volume_save(&small, path));
  sb_volume_free(&small);
  assert_ok(sb_read_file(path, &data, &bytes));
  for (int i = 1; i <= 3; i++) memcpy(data + 40 + 2 * i, &side, sizeof side);
  assert_ok(sb_write_file(path, data, bytes));
  assert_int_equal(truncate(path, 352 + 4 * (off_t)side * side * side), 0);
  free(data);
}

// Memory for one scan at a time changes nothing; a scan that needs more than all of it is named and
// the others go on; less than the template takes is an error of the run.
static void test_memory(void **state) {
  (void)state;
  char *plain = in_scratch("unbounded"), *tight = in_scratch("tight"),
       *none = in_scratch("no-store");
  char *large = in_scratch("large.nii");
  int64_t one;
  assert_ok(sb_prepare_memory(preparer, cohort.scans[0].source_path, &one));
  sb_volume volume;
  assert_ok(sb_volume_load(cohort.scans[0].source_path, &volume, NULL));
  assert_true(one > 2 * 4 * volume.dims[0] * volume.dims[1] * volume.dims[2]);
  sb_volume_free(&volume);
  ingest(plain, &cohort, NULL, PEOPLE, 0, 0);
  sb_ingest_options options = sb_ingest_options_default();
  options.threads = 3;
  options.memory_bytes = sb_resident_bytes() + one + one / 2;
  sb_scan scans[3] = {cohort.scans[0], cohort.scans[1], cohort.scans[2]};
  scans[1].source_path = large;
  write_hollow(large, 250);
  const sb_scan_list list = {.scans = scans, .count = 3};
  ingest(tight, &list, &options, 2, 0, 1);
  sb_store *store;
  assert_ok(sb_store_open(tight, &store));
  assert_int_equal(sb_store_failed(store, 0)->status, SB_NO_MEMORY);
  assert_non_null(strstr(sb_store_failed(store, 0)->reason, "large.nii: preparing an image"));
  assert_non_null(strstr(sb_store_failed(store, 0)->reason, "--memory "));
  sb_store_close(store);
  ingest(tight, &cohort, &options, PEOPLE - 2, 2, 0); // the missing one is at its right path now
  sb_store *a, *b;
  assert_ok(sb_store_open(plain, &a));
  assert_ok(sb_store_open(tight, &b));
  for (int64_t i = 0; i < PEOPLE; i++)
    assert_int_equal(sb_store_record(a, i)->row_checksum, sb_store_record(b, i)->row_checksum);
  sb_store_close(a);
  sb_store_close(b);
  options.memory_bytes = 1 << 20;
  assert_int_equal(sb_ingest(none, brain, preparer, &cohort, &options, NULL, NULL).code,
                   SB_NO_MEMORY);
  assert_false(sb_is_folder(none));
  free(plain);
  free(tight);
  free(none);
  free(large);
}

static void test_full_disk_stops_cleanly(void **state) {
  (void)state;
  char *path = in_scratch("full");
  sb_scan_list first = {.scans = cohort.scans, .count = 1};
  ingest(path, &first, NULL, 1, 0, 0);
  struct rlimit before, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN); // writing beyond the limit fails with EFBIG
  small = before;
  small.rlim_cur = (rlim_t)(128 + 2 * sb_template_row_length(brain) + 1000);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  sb_ingest_summary summary;
  sb_ingest_options options = sb_ingest_options_default();
  options.threads = 3;
  sb_status status = sb_ingest(path, brain, preparer, &cohort, &options, NULL, &summary);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  assert_int_equal(status.code, SB_IO);
  assert_non_null(strstr(status.message, "shard-0001.npy: cannot write: File too large"));
  assert_int_equal(summary.prepared, 0);
  assert_int_equal(summary.skipped, 1);
  ingest(path, &cohort, NULL, PEOPLE - 1, 1, 0);
  free(path);
}

static void test_other_parameters_are_refused(void **state) {
  (void)state;
  char *path = in_scratch("other");
  sb_scan_list first = {.scans = cohort.scans, .count = 1};
  ingest(path, &first, NULL, 1, 0, 0);
  sb_prepare_options prepare = sb_prepare_options_default();
  prepare.harmonise = SB_HARMONISE_ZSCORE;
  sb_preparer *other;
  assert_ok(sb_preparer_create(brain, &prepare, &other));
  sb_status status = sb_ingest(path, brain, other, &first, NULL, NULL, NULL);
  assert_int_equal(status.code, SB_CONFLICT);
  assert_non_null(strstr(status.message, "harmonise=zscore"));
  sb_preparer_free(other);
  free(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bytes_for_any_threads),
      cmocka_unit_test(test_shares_add_up),
      cmocka_unit_test(test_failures),
      cmocka_unit_test(test_one_name_for_two_files),
      cmocka_unit_test(test_changed_since),
      cmocka_unit_test(test_saved_images),
      cmocka_unit_test(test_masks_of_scans),
      cmocka_unit_test(test_memory),
      cmocka_unit_test(test_full_disk_stops_cleanly),
      cmocka_unit_test(test_other_parameters_are_refused),
  };
  return cmocka_run_group_tests(tests, make_cohort, remove_cohort);
}
