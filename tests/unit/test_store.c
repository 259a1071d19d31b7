// The store: what is committed is there after any interruption, and what is there is right.
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "append.h"
#include "core/file.h"
#include "core/half.h"
#include "core/memory.h"
#include "core/npy.h"
#include "samebrain/store.h"
#include "scratch.h"
#include "store/shard.h"
#include "store/writer.h"

// ---- A small store ------------------------------------------------------------------------------

enum { NX = 9, NY = 8, NZ = 8, VOXELS = NX * NY * NZ, MASK_BYTES = (VOXELS + 7) / 8 };

static const int64_t DIMS[3] = {NX, NY, NZ};
static const double AFFINE[16] = {2, 0, 0, -4, 0, 2, 0, -3.5, 0, 0, 2, 1, 0, 0, 0, 1};
static uint8_t grid_mask[VOXELS];
static float grid_image[VOXELS];
static int64_t row_length;
static char *scratch;

static sb_store_header header(void) {
  return (sb_store_header){.grid_dims = DIMS,
                           .grid_affine = AFFINE,
                           .resolution_mm = 2,
                           .mask = grid_mask,
                           .image = grid_image,
                           .row_length = row_length,
                           .template_hash = "c01127",
                           .template_path = "/brains/colin27.nii.gz",
                           .parameters = "align=affine12 harmonise=nyul winsor=2.5"};
}

static int make_scratch(void **state) {
  (void)state;
  scratch = scratch_folder();
  if (scratch == NULL) return -1;
  row_length = 0;
  for (int i = 0; i < VOXELS; i++) {
    grid_mask[i] = i % 12 == 5; // short rows: the table is the longest file
    grid_image[i] = (float)(i % 7);
    row_length += grid_mask[i];
  }
  return 0;
}

static int remove_scratch(void **state) {
  (void)state;
  const int result = remove_folder(scratch);
  free(scratch);
  return result;
}

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

static void assert_fails(sb_status status, sb_code code, const char *part) {
  if (status.code != code || strstr(status.message, part) == NULL)
    fail_msg("expected %s with \"%s\", got %s: %s", sb_code_name(code), part,
             sb_code_name(status.code), status.message);
}

static char *in_scratch(const char *name) {
  char *path = sb_path_join(scratch, name);
  assert_non_null(path);
  return path;
}

// Scan number k: its row, its mask, its record. Numbers that are 3 mod 5 are failures.
static bool fails(int k) {
  return k % 5 == 3;
}

static void fill_row(int k, float *row) {
  for (int64_t i = 0; i < row_length; i++) row[i] = (float)(k * 8 + (int)i % 8) * 0.25f - 3;
}

static void fill_mask(int k, uint8_t *mask) {
  for (int i = 0; i < VOXELS; i++) mask[i] = (i * (k + 3)) % 7 < 4;
}

typedef sb_status (*put_scan)(sb_store_writer *writer, sb_scan_record *record, const float *row,
                              const uint8_t *own_mask);

static sb_status put(put_scan how, sb_store_writer *writer, int k, sb_scan_record *out) {
  char id[32], path[64];
  snprintf(id, sizeof id, "sub-%03d_ses-01", k);
  snprintf(path, sizeof path, "/data/my scans/%s_T1w.nii.gz", id);
  sb_scan_record record = {
      .scan = {"böse", id, "sub-x", "", path, ""},
      .status = fails(k) ? SB_ALIGN : SB_OK,
      .reason = fails(k) ? "no plausible alignment\tfound\nhere" : "",
      .template_to_scan = {1, 0.125, 0, -3, 0, 1, 0, 17.5, 0, 0, 1, k, 0, 0, 0, 1},
      .quality = {.template_correlation = 0.875,
                  .mask_overlap = 0.75,
                  .scale = 1.125,
                  .rotation_deg = 4.5,
                  .translation_mm = 12,
                  .noise = NAN,
                  .handedness = -0.25,
                  .fit = 0.625,
                  .lead = 0.125,
                  .stretch = 1.25,
                  .structure = 0.5,
                  .sharpness = 0.875,
                  .off_mm = 1.5,
                  .brain = SB_BRAIN_WAS_EXTRACTED,
                  .extraction_overlap = 0.9,
                  .extraction_edge = NAN,
                  .orientation = SB_FROM_QFORM,
                  .nonfinite_voxels = 7},
      .seconds = 0.25};
  memset(record.source_sha256, 'a' + k % 6, 64);
  float row[VOXELS];
  uint8_t mask[VOXELS];
  fill_row(k, row);
  fill_mask(k, mask);
  sb_status status = how(writer, &record, fails(k) ? NULL : row, mask);
  if (out != NULL) *out = record;
  return status;
}

static sb_status append(sb_store_writer *writer, int k, sb_scan_record *out) {
  return put(append_scan, writer, k, out);
}

static void write_scans(const char *path, int first, int end) {
  sb_store_header h = header();
  sb_store_writer *writer;
  assert_ok(sb_store_writer_open(path, &h, &writer));
  for (int k = first; k < end; k++) assert_ok(append(writer, k, NULL));
  sb_store_writer_close(writer);
}

// The store holds scans 0 to `count` - 1, in order, with their rows and masks, and nothing else.
static void assert_holds(const char *path, int count) {
  sb_store *store;
  assert_ok(sb_store_open(path, &store));
  int64_t rows = 0, failed = 0;
  for (int k = 0; k < count; k++) {
    char id[32];
    snprintf(id, sizeof id, "sub-%03d_ses-01", k);
    if (fails(k)) {
      assert_true(failed < sb_store_failed_count(store));
      assert_string_equal(sb_store_failed(store, failed)->scan.scan_id, id);
      assert_int_equal(sb_store_failed(store, failed++)->status, SB_ALIGN);
      continue;
    }
    assert_true(rows < sb_store_count(store));
    assert_string_equal(sb_store_record(store, rows)->scan.scan_id, id);
    float expected[VOXELS];
    uint8_t mask[VOXELS];
    fill_row(k, expected);
    fill_mask(k, mask);
    for (int64_t i = 0; i < row_length; i++)
      assert_true(sb_half_to_float(sb_store_row(store, rows)[i]) == expected[i]);
    for (int i = 0; i < VOXELS; i++)
      assert_int_equal(sb_store_own_mask(store, rows)[i / 8] >> (7 - i % 8) & 1, mask[i]);
    rows++;
  }
  assert_int_equal(sb_store_count(store), rows);
  assert_int_equal(sb_store_failed_count(store), failed);
  assert_ok(sb_store_verify(store, NULL));
  sb_store_close(store);
}

// Several scans with one commit: nothing before it, everything after it, one bad scan left out.
static void test_several_at_once(void **state) {
  (void)state;
  char *path = in_scratch("several");
  sb_store_header h = header();
  sb_store_writer *writer;
  sb_scan_record record;
  float row[VOXELS];
  assert_ok(sb_store_writer_open(path, &h, &writer));
  assert_ok(sb_store_writer_commit(writer)); // of nothing
  for (int k = 0; k < 4; k++) assert_ok(put(sb_store_writer_add, writer, k, &record));
  assert_int_equal(record.row, -1); // number 3 failed
  assert_holds(path, 0);
  assert_ok(sb_store_writer_commit(writer));
  assert_holds(path, 4);
  assert_ok(put(sb_store_writer_add, writer, 4, &record));
  assert_int_equal(record.row, 3);
  fill_row(5, row);
  row[1] = NAN;
  record.status = SB_OK;
  assert_fails(sb_store_writer_add(writer, &record, row, NULL), SB_USAGE, "not finite");
  assert_ok(append(writer, 5, NULL)); // commits what was added before it
  assert_holds(path, 6);
  assert_ok(put(sb_store_writer_add, writer, 6, NULL));
  sb_store_writer_close(writer); // not committed
  assert_holds(path, 6);
  write_scans(path, 6, 11);
  assert_holds(path, 11);
  free(path);
}

static int64_t size_of(const char *folder, const char *name) {
  char *path = sb_path_join(folder, name);
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  free(path);
  return info.st_size;
}

// ---- What is written ----------------------------------------------------------------------------

static void test_round_trip(void **state) {
  (void)state;
  char *path = in_scratch("deep/er/S");
  write_scans(path, 0, 5);
  assert_holds(path, 5);
  sb_store *store;
  assert_ok(sb_store_open(path, &store));
  assert_string_equal(sb_store_path(store), path);
  assert_int_equal(sb_store_row_length(store), row_length);
  assert_memory_equal(sb_store_grid_dims(store), DIMS, sizeof DIMS);
  assert_memory_equal(sb_store_grid_affine(store), AFFINE, sizeof AFFINE);
  assert_memory_equal(sb_store_mask(store), grid_mask, sizeof grid_mask);
  assert_string_equal(sb_store_template_hash(store), "c01127");
  assert_string_equal(sb_store_template_path(store), "/brains/colin27.nii.gz");
  assert_string_equal(sb_store_parameters(store), header().parameters);
  assert_true(sb_store_resolution_mm(store) == 2);
  assert_int_equal(sb_store_lost_count(store), 0);

  const sb_scan_record *r = sb_store_record(store, 2);
  assert_string_equal(r->scan.dataset, "böse");
  assert_string_equal(r->scan.participant, "sub-x");
  assert_string_equal(r->scan.session, "");
  assert_string_equal(r->scan.source_path, "/data/my scans/sub-002_ses-01_T1w.nii.gz");
  assert_int_equal(strlen(r->source_sha256), 64);
  assert_string_equal(r->reason, "");
  const double matrix[16] = {1, 0.125, 0, -3, 0, 1, 0, 17.5, 0, 0, 1, 2, 0, 0, 0, 1};
  assert_memory_equal(r->template_to_scan, matrix, sizeof matrix);
  const sb_quality *q = &r->quality;
  assert_true(q->template_correlation == 0.875 && q->mask_overlap == 0.75 && q->scale == 1.125 &&
              q->rotation_deg == 4.5 && q->translation_mm == 12 && isnan(q->noise) &&
              q->handedness == -0.25 && q->fit == 0.625 && q->lead == 0.125 && q->stretch == 1.25 &&
              q->structure == 0.5 && q->sharpness == 0.875 && q->off_mm == 1.5 &&
              q->extraction_overlap == 0.9);
  assert_int_equal(q->brain, SB_BRAIN_WAS_EXTRACTED);
  assert_true(isnan(q->extraction_edge));
  assert_int_equal(q->orientation, SB_FROM_QFORM);
  assert_int_equal(q->nonfinite_voxels, 7);
  assert_true(r->seconds == 0.25 && r->scale == 1 && r->offset == 0);

  const sb_scan_record *failure = sb_store_failed(store, 0);
  assert_string_equal(failure->reason, "no plausible alignment found here");
  assert_int_equal(failure->row, -1);
  sb_store_close(store);
  free(path);
}

static void assert_mode(const char *folder, const char *name, mode_t mode) {
  char *path = sb_path_join(folder, name);
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  if ((info.st_mode & 0777) != mode) fail_msg("%s has mode %o", path, info.st_mode & 0777);
  free(path);
}

static void test_files_are_private(void **state) {
  (void)state;
  mode_t before = umask(0);
  char *path = in_scratch("private");
  write_scans(path, 0, 1);
  umask(before);
  assert_mode(scratch, "private", 0700);
  char **names;
  size_t count;
  assert_ok(sb_list_folder(path, &names, &count));
  assert_int_equal(count, 7); // .lock, mask, three of the shard, store.json, template
  for (size_t i = 0; i < count; i++) assert_mode(path, names[i], 0600);
  sb_free_names(names, count);
  free(path);
}

static void test_arrays_are_numpy_files(void **state) {
  (void)state;
  char *path = in_scratch("numpy");
  write_scans(path, 0, 3);
  char *file = sb_path_join(path, "shard-0001.mask.npy"), *data;
  size_t bytes;
  assert_ok(sb_read_file(file, &data, &bytes));
  char shape[64];
  snprintf(shape, sizeof shape, "'|u1', 'fortran_order': False, 'shape': (3, %d)", MASK_BYTES);
  assert_non_null(strstr(data + 10, shape));
  assert_int_equal(bytes, SB_NPY_HEADER + 3 * MASK_BYTES);
  free(data);
  free(file);
  file = sb_path_join(path, "shard-0001.npy");
  assert_ok(sb_read_file(file, &data, &bytes));
  assert_non_null(strstr(data + 10, "'<f2', 'fortran_order': False, 'shape': (3, 48)"));
  assert_int_equal(bytes, SB_NPY_HEADER + 3 * 2 * row_length);
  free(data);
  free(file);
  free(path);
}

static void scaled(sb_store_writer *writer, const char *id, const float *row, double *scale) {
  sb_scan_record record = {.scan = {.dataset = "d", .scan_id = (char *)id}};
  assert_ok(append_scan(writer, &record, row, NULL));
  *scale = record.scale;
}

// Rows of any range come back with float16's precision relative to their spread.
static void test_scaling(void **state) {
  (void)state;
  static const struct {
    const char *id;
    float low, high;
    bool as_is;
  } cases[] = {{"a", -3, 4, true},          {"b", 0, 0, true},      {"c", -1024, 1024, true},
               {"d", 0, 1025, false},       {"e", 0, 40000, false}, {"f", 1e6f, 1.00001e6f, false},
               {"g", -3e38f, 3e38f, false}, {"h", 0, 1e-5f, false}, {"i", -1e-44f, 1e-44f, false},
               {"j", 5000, 5000, false},    {"k", 0.5f, 1, true},   {"l", 0, 0.999f, false}};
  enum { CASES = sizeof cases / sizeof *cases };
  char *path = in_scratch("scaling");
  sb_store_header h = header();
  sb_store_writer *writer;
  assert_ok(sb_store_writer_open(path, &h, &writer));
  float rows[CASES][VOXELS];
  for (int c = 0; c < CASES; c++) {
    double scale;
    for (int64_t i = 0; i < row_length; i++) {
      double part = (double)i / (double)(row_length - 1);
      rows[c][i] = (float)((1 - part) * (double)cases[c].low + part * (double)cases[c].high);
    }
    scaled(writer, cases[c].id, rows[c], &scale);
    int exponent;
    assert_true(frexp(scale, &exponent) == 0.5); // a power of two
    if (cases[c].as_is) assert_true(scale == 1);
  }
  sb_store_writer_close(writer);
  sb_store *store;
  assert_ok(sb_store_open(path, &store));
  for (int c = 0; c < CASES; c++) {
    const sb_scan_record *r = sb_store_record(store, c);
    double spread = fmax(fabs((double)cases[c].low), fabs((double)cases[c].high));
    if (r->offset != 0) spread = (double)cases[c].high - (double)cases[c].low;
    for (int64_t i = 0; i < row_length; i++) {
      double value = (double)sb_half_to_float(sb_store_row(store, c)[i]) * r->scale + r->offset;
      assert_true(fabs(value - (double)rows[c][i]) <= spread / 2048);
    }
  }
  sb_store_close(store);
  free(path);
}

static void test_refuses_callers_mistakes(void **state) {
  (void)state;
  char *path = in_scratch("mistakes");
  sb_store_header h = header();
  sb_store_writer *writer;
  assert_ok(sb_store_writer_open(path, &h, &writer));
  float row[VOXELS] = {0};
  sb_scan_record record = {.scan = {.dataset = "d", .scan_id = "s"}};
  row[5] = NAN;
  assert_fails(append_scan(writer, &record, row, NULL), SB_USAGE, "value 5");
  row[5] = INFINITY;
  assert_fails(append_scan(writer, &record, row, NULL), SB_USAGE, "not finite");
  row[5] = 0;
  assert_fails(append_scan(writer, &record, NULL, NULL), SB_USAGE, "without a row");
  record.status = SB_FORMAT;
  assert_fails(append_scan(writer, &record, row, NULL), SB_USAGE, "with a row");
  record.status = SB_OK;
  record.scan.scan_id = "a\tb";
  assert_fails(append_scan(writer, &record, row, NULL), SB_USAGE, "tab or newline");
  record.scan.scan_id = "";
  assert_fails(append_scan(writer, &record, row, NULL), SB_USAGE, "without dataset");
  for (int k = 0; k < 3; k++) assert_ok(append(writer, k, NULL)); // none of it did harm
  sb_store_writer_close(writer);
  assert_holds(path, 3);
  h.row_length = 3;
  assert_fails(sb_store_writer_open(path, &h, &writer), SB_USAGE, "mask of 48");
  free(path);
}

// ---- Interruptions ------------------------------------------------------------------------------

static const char *const SHARD[3] = {"shard-0001.tsv", "shard-0001.npy", "shard-0001.mask.npy"};
enum { SCANS = 7 };

typedef struct snapshot {
  char *data[3];
  size_t bytes[3];
  int64_t line_end[SCANS + 1]; // [k]: the table's size with k scans
  int64_t rows_before[SCANS + 1];
} snapshot;

static void take_snapshot(const char *path, snapshot *s) {
  memset(s, 0, sizeof *s);
  for (int f = 0; f < 3; f++) {
    char *file = sb_path_join(path, SHARD[f]);
    assert_ok(sb_read_file(file, &s->data[f], &s->bytes[f]));
    free(file);
  }
  int line = 0;
  for (size_t i = 0; i < s->bytes[0]; i++)
    if (s->data[0][i] == '\n') s->line_end[line++] = (int64_t)i + 1;
  assert_int_equal(line, SCANS + 1);
  for (int k = 0; k < SCANS; k++) s->rows_before[k + 1] = s->rows_before[k] + !fails(k);
}

static void put_back(const char *path, const snapshot *s) {
  for (int f = 0; f < 3; f++) {
    char *file = sb_path_join(path, SHARD[f]);
    FILE *out = fopen(file, "wb");
    assert_int_equal(fwrite(s->data[f], 1, s->bytes[f], out), s->bytes[f]);
    assert_int_equal(fclose(out), 0);
    free(file);
  }
}

static void free_snapshot(snapshot *s) {
  for (int f = 0; f < 3; f++) free(s->data[f]);
}

// How many scans are committed when file `f` has only `bytes` bytes.
static int committed(const snapshot *s, int f, int64_t bytes) {
  int64_t row_bytes = f == 1 ? 2 * row_length : MASK_BYTES;
  int count = 0;
  while (count < SCANS) {
    int64_t needed = f == 0         ? s->line_end[count + 1]
                     : fails(count) ? 0
                                    : SB_NPY_HEADER + s->rows_before[count + 1] * row_bytes;
    if (bytes < needed) break;
    count++;
  }
  return count;
}

// Every length that differs in meaning, and those one byte beside them.
static bool interesting(const snapshot *s, int f, int64_t bytes) {
  int64_t row_bytes = f == 1 ? 2 * row_length : MASK_BYTES;
  if (f > 0) {
    int64_t in_row = (bytes - SB_NPY_HEADER) % row_bytes;
    return bytes < 2 || bytes == 64 ||
           (bytes >= SB_NPY_HEADER - 1 && (in_row <= 1 || in_row >= row_bytes - 1));
  }
  for (int k = 0; k <= SCANS; k++)
    if (llabs((long long)(bytes - s->line_end[k])) <= 1) return true;
  return bytes < 2 || bytes % 97 == 0;
}

static void test_truncated_anywhere(void **state) {
  (void)state;
  char *path = in_scratch("cut");
  write_scans(path, 0, SCANS);
  snapshot s;
  take_snapshot(path, &s);
  int cuts = 0;
  for (int f = 0; f < 3; f++) {
    char *file = sb_path_join(path, SHARD[f]);
    for (int64_t bytes = 0; bytes < (int64_t)s.bytes[f]; bytes++) {
      if (!interesting(&s, f, bytes)) continue;
      put_back(path, &s);
      assert_int_equal(truncate(file, bytes), 0);
      int whole = committed(&s, f, bytes);
      sb_store *store;
      assert_ok(sb_store_open(path, &store));
      assert_int_equal(sb_store_count(store), s.rows_before[whole]);
      assert_int_equal(sb_store_lost_count(store),
                       f == 0 ? 0 : s.rows_before[SCANS] - s.rows_before[whole]);
      if (sb_store_lost_count(store) > 0)
        assert_fails(sb_store_verify(store, NULL), SB_FORMAT, "are not in the array files");
      sb_store_close(store);
      write_scans(path, whole, SCANS); // takes the shard again and goes on
      assert_holds(path, SCANS);
      for (int g = 0; g < 3; g++) assert_int_equal(size_of(path, SHARD[g]), s.bytes[g]);
      cuts++;
    }
    free(file);
  }
  assert_true(cuts > 60);
  free_snapshot(&s);
  free(path);
}

static void append_bytes(const char *path, const char *name, const char *data, size_t bytes) {
  char *file = sb_path_join(path, name);
  FILE *out = fopen(file, "ab");
  assert_non_null(out);
  assert_int_equal(fwrite(data, 1, bytes, out), bytes);
  assert_int_equal(fclose(out), 0);
  free(file);
}

// Each state that a kill between two writes of an append leaves behind.
static void test_killed_between_writes(void **state) {
  (void)state;
  char *path = in_scratch("killed");
  write_scans(path, 0, SCANS);
  snapshot s;
  take_snapshot(path, &s);
  char rest[2 * VOXELS];
  memset(rest, 0x7f, sizeof rest); // as float16 this is NaN: it must never be seen
  char long_line[1500];            // longer than the lines that are written in its place
  memset(long_line, 'x', sizeof long_line);
  for (int stage = 0; stage < 4; stage++) {
    put_back(path, &s);
    append_bytes(path, SHARD[1], rest, stage == 0 ? 11 : (size_t)(2 * row_length));
    if (stage >= 1) append_bytes(path, SHARD[2], rest, stage == 1 ? 3 : MASK_BYTES);
    if (stage >= 2) {
      char npy[SB_NPY_HEADER];
      sb_npy array = {"<f2", s.rows_before[SCANS] + 1, row_length};
      sb_npy_format(&array, npy);
      char *file = sb_path_join(path, SHARD[1]);
      FILE *out = fopen(file, "r+b");
      assert_int_equal(fwrite(npy, 1, sizeof npy, out), sizeof npy);
      assert_int_equal(fclose(out), 0);
      free(file);
    }
    if (stage == 3) append_bytes(path, SHARD[0], long_line, sizeof long_line);
    assert_holds(path, SCANS);
    write_scans(path, SCANS, SCANS + 2);
    assert_holds(path, SCANS + 2);
    char *file = sb_path_join(path, SHARD[0]), *table;
    size_t bytes;
    assert_ok(sb_read_file(file, &table, &bytes));
    assert_int_equal(table[bytes - 1], '\n'); // nothing of the interrupted line is left
    free(table);
    free(file);
  }
  free_snapshot(&s);
  free(path);
}

static void test_disk_full(void **state) {
  (void)state;
  char *path = in_scratch("full");
  write_scans(path, 0, 3);
  struct rlimit before, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN); // writing beyond the limit fails with EFBIG
  sb_store_header h = header();
  sb_store_writer *writer;
  assert_ok(sb_store_writer_open(path, &h, &writer));
  small = before;
  small.rlim_cur = (rlim_t)size_of(path, SHARD[0]) + 20; // the table's line gets 20 bytes
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  sb_scan_record record;
  sb_status status = append(writer, 4, &record);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  assert_fails(status, SB_IO, "shard-0001.tsv: cannot write: File too large");
  assert_int_equal(record.row, -1);
  assert_holds(path, 3);
  // The arrays do not claim the row either.
  assert_int_equal(size_of(path, SHARD[1]), SB_NPY_HEADER + 3 * 2 * row_length);
  assert_fails(append(writer, 3, NULL), SB_IO, "earlier write failed");
  sb_store_writer_close(writer);
  write_scans(path, 3, 6);
  assert_holds(path, 6);
  free(path);
}

// ---- Several writers ----------------------------------------------------------------------------

static void test_two_writers(void **state) {
  (void)state;
  char *path = in_scratch("two");
  sb_store_header h = header();
  sb_store_writer *first, *second;
  assert_ok(sb_store_writer_open(path, &h, &first));
  assert_ok(sb_store_writer_open(path, &h, &second));
  for (int k = 0; k < 6; k++) assert_ok(append(k % 2 == 0 ? first : second, k, NULL));
  assert_holds(path, 6); // a reader closing its files drops nobody's lock
  sb_store_writer *third;
  assert_ok(sb_store_writer_open(path, &h, &third));
  assert_ok(append(third, 6, NULL));
  sb_store_writer_close(third);
  sb_store_writer_close(first);
  write_scans(path, 7, 8); // takes shard 1 again
  sb_store_writer_close(second);
  assert_holds(path, 8);
  assert_int_equal(size_of(path, "shard-0003.npy"), SB_NPY_HEADER + 2 * row_length);
  assert_int_equal(size_of(path, "shard-0001.npy"), SB_NPY_HEADER + 4 * 2 * row_length);
  free(path);
}

// A process of its own that runs `work` and exits with 0 when it went well.
static pid_t start(bool (*work)(const char *path, int number), const char *path, int number) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) _exit(work(path, number) ? 0 : 1);
  return child;
}

static bool write_one(const char *path, int number) {
  sb_store_header h = header();
  sb_store_writer *writer;
  if (sb_store_writer_open(path, &h, &writer).code != SB_OK) return false;
  bool fine = append(writer, number, NULL).code == SB_OK;
  sb_store_writer_close(writer);
  return fine;
}

static void test_made_by_many_at_once(void **state) {
  (void)state;
  for (int round = 0; round < 5; round++) {
    char name[16];
    snprintf(name, sizeof name, "many%d", round);
    char *path = in_scratch(name);
    pid_t children[8];
    for (int k = 0; k < 8; k++) children[k] = start(write_one, path, k);
    for (int k = 0; k < 8; k++) {
      int result;
      assert_int_equal(waitpid(children[k], &result, 0), children[k]);
      assert_int_equal(result, 0);
    }
    assert_holds(path, 8);
    free(path);
  }
}

// Even numbers bring one template, odd ones another.
static bool write_as_rival(const char *path, int number) {
  if (number % 2 == 1)
    for (int i = 0; i < VOXELS; i++) grid_image[i] += 5;
  sb_store_header h = header();
  if (number % 2 == 1) h.template_hash = "0ther";
  sb_store_writer *writer;
  sb_status status = sb_store_writer_open(path, &h, &writer);
  if (status.code == SB_CONFLICT) return false;
  return status.code == SB_OK && append(writer, number, NULL).code == SB_OK;
}

// The one that comes first makes the store; nothing of the other's gets into it.
static void test_made_by_rivals(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    char name[16];
    snprintf(name, sizeof name, "rivals%d", round);
    char *path = in_scratch(name);
    pid_t children[6];
    int well[2] = {0, 0};
    for (int k = 0; k < 6; k++) children[k] = start(write_as_rival, path, k);
    for (int k = 0; k < 6; k++) {
      int result;
      assert_int_equal(waitpid(children[k], &result, 0), children[k]);
      well[k % 2] += result == 0;
    }
    assert_int_equal(well[0] + well[1], 3);
    assert_true(well[0] == 3 || well[1] == 3);
    sb_store *store;
    assert_ok(sb_store_open(path, &store));
    assert_string_equal(sb_store_template_hash(store), well[0] == 3 ? "c01127" : "0ther");
    assert_ok(sb_store_verify(store, NULL)); // also that template.nii.gz is the winner's
    sb_store_close(store);
    free(path);
  }
}

static bool write_slowly(const char *path, int count) {
  sb_store_header h = header();
  sb_store_writer *writer;
  if (sb_store_writer_open(path, &h, &writer).code != SB_OK) return false;
  for (int k = 0; k < count; k++)
    if (append(writer, k, NULL).code != SB_OK) return false;
  sb_store_writer_close(writer);
  return true;
}

static void test_reading_while_writing(void **state) {
  (void)state;
  enum { COUNT = 200 };
  char *path = in_scratch("while");
  write_scans(path, 0, 0);
  pid_t child = start(write_slowly, path, COUNT);
  int result = -1, last = 0, snapshots = 0;
  while (waitpid(child, &result, WNOHANG) == 0) {
    sb_store *store;
    assert_ok(sb_store_open(path, &store));
    int seen = (int)(sb_store_count(store) + sb_store_failed_count(store));
    assert_true(seen >= last);
    assert_int_equal(sb_store_lost_count(store), 0);
    assert_ok(sb_store_verify(store, NULL));
    last = seen;
    snapshots++;
    sb_store_close(store);
  }
  assert_int_equal(result, 0);
  assert_true(snapshots > 3);
  assert_holds(path, COUNT);
  free(path);
}

static void test_kill_frees_the_shard(void **state) {
  (void)state;
  char *path = in_scratch("kill");
  for (int round = 0; round < 10; round++) {
    pid_t child = start(write_slowly, path, 100000);
    struct timespec wait = {.tv_nsec = (20 + 7 * round) * 1000000L};
    nanosleep(&wait, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    // The next one takes shard 1: no second one is ever made.
    char *second = sb_path_join(path, "shard-0002.tsv"), *json = sb_path_join(path, "store.json");
    assert_false(sb_is_file(second));
    if (sb_is_file(json)) {
      sb_store *store;
      assert_ok(sb_store_open(path, &store));
      int there = (int)(sb_store_count(store) + sb_store_failed_count(store));
      sb_store_close(store);
      assert_holds(path, there);
      char *command = sb_format("rm -f '%s'/shard-*", path); // the same scans must not come twice
      assert_int_equal(system(command), 0);
      free(command);
    }
    free(json);
    free(second);
  }
  write_scans(path, 0, 3);
  assert_holds(path, 3);
  free(path);
}

// ---- Several lines of one scan ------------------------------------------------------------------

static void append_as(const char *path, sb_store_writer *held, const char *id, sb_code code,
                      const char *reason, float value) {
  sb_store_header h = header();
  sb_store_writer *writer = held;
  if (held == NULL) assert_ok(sb_store_writer_open(path, &h, &writer));
  sb_scan_record record = {
      .scan = {.dataset = "d", .scan_id = (char *)id}, .status = code, .reason = (char *)reason};
  float row[VOXELS];
  for (int i = 0; i < VOXELS; i++) row[i] = value + (float)i;
  assert_ok(append_scan(writer, &record, code == SB_OK ? row : NULL, NULL));
  if (held == NULL) sb_store_writer_close(writer);
}

static void test_superseding(void **state) {
  (void)state;
  char *path = in_scratch("super");
  sb_store_header h = header();
  sb_store_writer *first;
  append_as(path, NULL, "a", SB_ALIGN, "old", 0);
  assert_ok(sb_store_writer_open(path, &h, &first));
  append_as(path, first, "a", SB_FORMAT, "new", 0);
  append_as(path, first, "b", SB_OK, "", 1);
  append_as(path, NULL, "b", SB_IO, "elsewhere", 0); // into shard 2
  append_as(path, NULL, "c", SB_IO, "elsewhere", 0);
  append_as(path, first, "c", SB_OK, "", 2);
  append_as(path, NULL, "d", SB_OK, "", 3);
  append_as(path, first, "d", SB_OK, "", 3); // the same row twice
  sb_store *store;
  assert_ok(sb_store_open(path, &store));
  assert_int_equal(sb_store_count(store), 3);
  assert_string_equal(sb_store_record(store, 0)->scan.scan_id, "b");
  assert_string_equal(sb_store_record(store, 1)->scan.scan_id, "c");
  assert_string_equal(sb_store_record(store, 2)->scan.scan_id, "d");
  assert_int_equal(sb_store_failed_count(store), 1);
  assert_string_equal(sb_store_failed(store, 0)->reason, "new");
  sb_store_close(store);
  append_as(path, NULL, "b", SB_OK, "", 9);
  sb_status status = sb_store_open(path, &store);
  assert_fails(status, SB_CONFLICT, "scan \"b\" has two different rows");
  assert_fails(status, SB_CONFLICT, "shard-0001.tsv");
  assert_fails(status, SB_CONFLICT, "shard-0002.tsv");
  sb_store_writer_close(first);
  free(path);
}

// ---- What does not fit --------------------------------------------------------------------------

static void test_header_mismatch(void **state) {
  (void)state;
  char *path = in_scratch("fits");
  write_scans(path, 0, 1);
  sb_store_writer *writer;
  sb_store_header h = header();
  h.parameters = "align=affine12 harmonise=zscore winsor=2.5";
  sb_status status = sb_store_writer_open(path, &h, &writer);
  assert_fails(status, SB_CONFLICT, "the store has \"harmonise=nyul\"");
  assert_fails(status, SB_CONFLICT, "this run has \"harmonise=zscore\"");
  assert_fails(status, SB_CONFLICT, "another store with -o");
  h.parameters = "align=affine12 harmonise=nyul";
  assert_fails(sb_store_writer_open(path, &h, &writer), SB_CONFLICT, "\"winsor=2.5\"");
  h = header();
  h.template_hash = "0ther";
  h.template_path = "/brains/mni152.nii.gz";
  status = sb_store_writer_open(path, &h, &writer);
  assert_fails(status, SB_CONFLICT, "c01127 (from /brains/colin27.nii.gz)");
  assert_fails(status, SB_CONFLICT, "0ther (from /brains/mni152.nii.gz)");
  h.resolution_mm = 3;
  assert_fails(sb_store_writer_open(path, &h, &writer), SB_CONFLICT, "2 mm, this run has 3 mm");
  h = header();
  h.template_path = "/elsewhere/colin27.nii.gz"; // the same template in another place
  assert_ok(sb_store_writer_open(path, &h, &writer));
  sb_store_writer_close(writer);

  char *other = in_scratch("other");
  h.parameters = "align=rigid6 harmonise=nyul winsor=2.5";
  assert_ok(sb_store_writer_open(other, &h, &writer));
  sb_store_writer_close(writer);
  sb_store *a, *b;
  assert_ok(sb_store_open(path, &a));
  assert_ok(sb_store_open(other, &b));
  assert_ok(sb_store_comparable(a, a));
  assert_fails(sb_store_comparable(a, b), SB_CONFLICT, "align=rigid6");
  sb_store_close(a);
  sb_store_close(b);
  free(other);
  free(path);
}

static void write_text(const char *folder, const char *name, const char *text) {
  char *file = sb_path_join(folder, name);
  assert_ok(sb_write_file(file, text, strlen(text)));
  free(file);
}

static void test_not_a_store(void **state) {
  (void)state;
  sb_store *store;
  sb_store_writer *writer;
  sb_store_header h = header();
  char *path = in_scratch("none");
  assert_fails(sb_store_open(path, &store), SB_NOT_FOUND, "no samebrain store here");
  assert_ok(sb_make_folder(path));
  assert_fails(sb_store_open(path, &store), SB_NOT_FOUND, "no samebrain store here");
  write_text(path, "thesis.txt", "years of work");
  assert_fails(sb_store_writer_open(path, &h, &writer), SB_USAGE, "thesis.txt");
  char **names;
  size_t name_count;
  assert_ok(sb_list_folder(path, &names, &name_count));
  assert_int_equal(name_count, 1); // nothing was left there
  sb_free_names(names, name_count);
  write_text(path, "store.json", "{\"format\": \"samebrain store\", \"version\": 2}");
  assert_fails(sb_store_open(path, &store), SB_FORMAT, "version 2");
  write_text(path, "store.json", "{\"format\": \"samebrain store\", \"version\": 1}");
  assert_fails(sb_store_open(path, &store), SB_FORMAT, "damaged (an entry");
  write_text(path, "store.json", "years of work");
  assert_fails(sb_store_writer_open(path, &h, &writer), SB_FORMAT, "store.json: damaged");
  free(path);
  path = in_scratch("file");
  write_text(scratch, "file", "not a folder");
  assert_fails(sb_store_writer_open(path, &h, &writer), SB_IO, "Not a directory");
  free(path);
}

// A store whose making was interrupted, and an empty folder, are made into stores.
static void test_unfinished_store(void **state) {
  (void)state;
  char *path = in_scratch("unfinished");
  assert_ok(sb_make_folder(path));
  write_scans(path, 0, 2);
  assert_holds(path, 2);
  char *command = sb_format("cd '%s' && rm store.json shard* && echo >mask.nii.gz", path);
  assert_int_equal(system(command), 0);
  write_scans(path, 0, 3);
  assert_holds(path, 3);
  free(command);
  free(path);
}

static void test_whole_grid_as_mask(void **state) {
  (void)state;
  char *path = in_scratch("whole");
  memset(grid_mask, 1, sizeof grid_mask);
  row_length = VOXELS;
  write_scans(path, 0, 2);
  assert_holds(path, 2);
  free(path);
}

// ---- Damage -------------------------------------------------------------------------------------

static void flip(const char *folder, const char *name, long at) {
  char *file = sb_path_join(folder, name);
  FILE *f = fopen(file, "r+b");
  assert_non_null(f);
  assert_int_equal(fseek(f, at, SEEK_SET), 0);
  int byte = fgetc(f);
  assert_int_equal(fseek(f, at, SEEK_SET), 0);
  fputc(byte ^ 0x10, f);
  assert_int_equal(fclose(f), 0);
  free(file);
}

static void count_warning(void *context, const char *text) {
  (void)text;
  ++*(int *)context;
}

static void test_verify_finds_damage(void **state) {
  (void)state;
  char *path = in_scratch("damage");
  write_scans(path, 0, 6);
  int warnings = 0;
  sb_progress progress = {.context = &warnings, .warn = count_warning};
  sb_store *store;
  flip(path, "shard-0001.npy", (long)(SB_NPY_HEADER + 2 * 2 * row_length + 17));
  assert_ok(sb_store_open(path, &store));
  sb_status status = sb_store_verify(store, &progress);
  assert_fails(status, SB_FORMAT, "shard-0001.npy: row 2 is damaged");
  assert_fails(status, SB_FORMAT, "scan \"sub-002_ses-01\"");
  assert_fails(status, SB_FORMAT, "1 damaged");
  assert_int_equal(warnings, 1);
  flip(path, "shard-0001.npy", (long)(SB_NPY_HEADER + 4 * 2 * row_length));
  flip(path, "template.nii.gz", 40);
  status = sb_store_verify(store, &progress);
  assert_fails(status, SB_FORMAT, "3 damaged; the first: ");
  assert_fails(status, SB_FORMAT, "template.nii.gz: changed");
  assert_int_equal(warnings, 4);
  sb_store_close(store);

  flip(path, "shard-0001.npy", 30); // in the header: the type
  assert_fails(sb_store_open(path, &store), SB_FORMAT, "shard-0001.npy");
  flip(path, "shard-0001.npy", 30);
  flip(path, "shard-0001.tsv", 30);
  assert_fails(sb_store_open(path, &store), SB_FORMAT, "shard-0001.tsv: damaged");
  flip(path, "shard-0001.tsv", 30);
  char *file = sb_path_join(path, "shard-0001.tsv"), *text;
  size_t bytes;
  assert_ok(sb_read_file(file, &text, &bytes));
  flip(path, "shard-0001.tsv", (long)(strstr(text, "\tok\t") - text) + 4); // the first row's number
  assert_fails(sb_store_open(path, &store), SB_FORMAT, "line 2 is damaged");
  free(text);
  free(file);
  free(path);
}

// Rows that were lost in one shard and prepared again into another are no longer missed.
static void test_lost_rows_made_again(void **state) {
  (void)state;
  char *path = in_scratch("lost"), *array = in_scratch("lost/shard-0002.npy");
  sb_store_header h = header();
  sb_store_writer *first, *second;
  assert_ok(sb_store_writer_open(path, &h, &first));
  assert_ok(sb_store_writer_open(path, &h, &second));
  for (int k = 0; k < 3; k++) assert_ok(append(second, k, NULL));
  sb_store_writer_close(second);
  assert_int_equal(truncate(array, (off_t)(SB_NPY_HEADER + 2 * row_length)), 0);
  for (int left = 2; left >= 0; left--) {
    sb_store *store;
    assert_ok(sb_store_open(path, &store));
    assert_int_equal(sb_store_count(store), 3 - left);
    assert_int_equal(sb_store_lost_count(store), left);
    sb_status status = sb_store_verify(store, NULL);
    if (left > 0)
      assert_fails(status, SB_FORMAT, "are not in the array files");
    else
      assert_ok(status);
    sb_store_close(store);
    if (left > 0) assert_ok(append(first, left, NULL));
  }
  sb_store_writer_close(first);
  free(path);
  free(array);
}

static void test_table_gone(void **state) {
  (void)state;
  char *path = in_scratch("tableless"), *table = in_scratch("tableless/shard-0001.tsv");
  write_scans(path, 0, 2);
  assert_int_equal(unlink(table), 0);
  sb_store *store;
  int warnings = 0;
  sb_progress progress = {.context = &warnings, .warn = count_warning};
  assert_ok(sb_store_open(path, &store));
  assert_int_equal(sb_store_count(store), 0);
  assert_fails(sb_store_verify(store, &progress), SB_FORMAT, "shard-0001.tsv is gone");
  assert_int_equal(warnings, 2); // rows and masks
  sb_store_close(store);
  free(path);
  free(table);
}

// ---- Size ---------------------------------------------------------------------------------------

// 20,000 scans in two shards, their lines in no order; made without the writer's syncs.
static void test_many_records(void **state) {
  (void)state;
  enum { COUNT = 20000, SHARDS = 2 };
  char *path = in_scratch("size");
  write_scans(path, 0, 0);
  float row[VOXELS] = {0};
  uint16_t half[VOXELS];
  for (int n = 1; n <= SHARDS; n++) {
    sb_shard_files files;
    assert_ok(sb_shard_files_make(path, n, &files));
    FILE *table = fopen(files.table, "wb"), *rows = fopen(files.rows, "wb");
    FILE *masks = fopen(files.masks, "wb");
    assert_true(table != NULL && rows != NULL && masks != NULL);
    char npy[SB_NPY_HEADER];
    sb_npy array = {"<f2", COUNT / SHARDS, row_length};
    sb_npy_format(&array, npy);
    fwrite(npy, 1, sizeof npy, rows);
    array = (sb_npy){"|u1", COUNT / SHARDS, MASK_BYTES};
    sb_npy_format(&array, npy);
    fwrite(npy, 1, sizeof npy, masks);
    sb_shard_put_header(table);
    for (int i = 0; i < COUNT / SHARDS; i++) {
      int k = (i * 7919 + n * (COUNT / SHARDS)) % (COUNT / SHARDS) * SHARDS + n - 1;
      char id[32];
      snprintf(id, sizeof id, "sub-%06d", k);
      sb_scan_record record = {.scan = {"d", id, id, "", "/x.nii.gz", ""}, .row = i, .scale = 1};
      row[0] = (float)(k % 1000);
      sb_half_from_floats((size_t)row_length, row, half);
      sb_shard_put_record(table, &record);
      fwrite(half, 2, (size_t)row_length, rows);
      fwrite(half, 1, MASK_BYTES, masks);
    }
    assert_int_equal(fclose(table) | fclose(rows) | fclose(masks), 0);
    sb_shard_files_free(&files);
  }
  sb_store *store;
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  assert_ok(sb_store_open(path, &store));
  clock_gettime(CLOCK_MONOTONIC, &after);
  print_message("%d records opened in %.3f s\n", COUNT,
                (double)(after.tv_sec - before.tv_sec) +
                    1e-9 * (double)(after.tv_nsec - before.tv_nsec));
  assert_int_equal(sb_store_count(store), COUNT);
  for (int k = 0; k < COUNT; k++) {
    char id[32];
    snprintf(id, sizeof id, "sub-%06d", k);
    assert_string_equal(sb_store_record(store, k)->scan.scan_id, id);
    assert_true(sb_half_to_float(sb_store_row(store, k)[0]) == (float)(k % 1000));
  }
  sb_store_close(store);
  free(path);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_scratch, remove_scratch)
  const struct CMUnitTest tests[] = {
      TEST(test_round_trip),
      TEST(test_several_at_once),
      TEST(test_files_are_private),
      TEST(test_arrays_are_numpy_files),
      TEST(test_scaling),
      TEST(test_refuses_callers_mistakes),
      TEST(test_truncated_anywhere),
      TEST(test_killed_between_writes),
      TEST(test_disk_full),
      TEST(test_two_writers),
      TEST(test_made_by_many_at_once),
      TEST(test_made_by_rivals),
      TEST(test_reading_while_writing),
      TEST(test_kill_frees_the_shard),
      TEST(test_superseding),
      TEST(test_header_mismatch),
      TEST(test_not_a_store),
      TEST(test_unfinished_store),
      TEST(test_whole_grid_as_mask),
      TEST(test_verify_finds_damage),
      TEST(test_lost_rows_made_again),
      TEST(test_table_gone),
      TEST(test_many_records),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
