// The helpers everything stands on: half floats, .npy, tables, files, affines, hashes, statuses.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/geometry.h"
#include "core/half.h"
#include "core/hash.h"
#include "core/lock.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/threads.h"
#include "core/tsv.h"
#include "scratch.h"

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

// A failure of this kind whose message holds `words`.
static void assert_fails(sb_status status, sb_code code, const char *words) {
  assert_string_equal(sb_code_name(status.code), sb_code_name(code));
  if (strstr(status.message, words) == NULL) fail_msg("\"%s\" lacks \"%s\"", status.message, words);
}

// A scratch folder, removed at the end of each test that takes it as its state.
static int make_scratch(void **state) {
  *state = scratch_folder();
  return *state == NULL;
}

static int remove_scratch(void **state) {
  const int result = remove_folder(*state);
  free(*state);
  return result;
}

// ---- Half floats --------------------------------------------------------------------------------

static double half_by_definition(uint16_t h) {
  int exponent = h >> 10 & 31, mantissa = h & 1023;
  double sign = (h & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  return exponent == 0 ? sign * ldexp(mantissa, -24) : sign * ldexp(1024 + mantissa, exponent - 25);
}

static void half_all_values(void **state) {
  (void)state;
  for (uint32_t h = 0; h < 65536; h++) {
    double expected = half_by_definition((uint16_t)h);
    float value = sb_half_to_float((uint16_t)h);
    if (isnan(expected)) {
      assert_true(isnan(value));
      assert_true(isnan(sb_half_to_float(sb_half_from_float(value))));
      continue;
    }
    assert_true((double)value == expected);
    assert_int_equal(signbit(value) != 0, h >> 15); // tells -0 from 0
    assert_int_equal(sb_half_from_float(value), h);
  }
}

// Between each two neighbours: the middle goes to the even one, anything else to the nearer.
static void half_rounding(void **state) {
  (void)state;
  for (uint16_t h = 0; h < 0x7c00; h++) {
    uint16_t next = (uint16_t)(h + 1);
    double high =
        next == 0x7c00 ? 65536 : half_by_definition(next); // infinity starts half-way there
    float middle = (float)((half_by_definition(h) + high) / 2);
    assert_int_equal(sb_half_from_float(middle), (h & 1) == 0 ? h : next);
    assert_int_equal(sb_half_from_float(-middle), 0x8000 | ((h & 1) == 0 ? h : next));
    assert_int_equal(sb_half_from_float(nextafterf(middle, 0)), h);
    assert_int_equal(sb_half_from_float(nextafterf(middle, INFINITY)), next);
  }
  assert_int_equal(sb_half_from_float(1e30f), 0x7c00);
  assert_int_equal(sb_half_from_float(-INFINITY), 0xfc00);
  assert_int_equal(sb_half_from_float(1e-30f), 0);
}

// The vector code must give the scalar code's bits, also in the tail and on unaligned memory.
static void half_arrays(void **state) {
  (void)state;
  enum { COUNT = 65536 + 5 };
  uint16_t *halves = malloc((COUNT + 1) * sizeof *halves), *back = malloc(COUNT * sizeof *back);
  float *floats = malloc((COUNT + 1) * sizeof *floats);
  assert_true(halves != NULL && floats != NULL && back != NULL);
  for (uint32_t i = 0; i < COUNT; i++) halves[1 + i] = (uint16_t)i;
  sb_half_to_floats(COUNT, halves + 1, floats + 1);
  for (uint32_t i = 0; i < COUNT; i++) {
    float expected = sb_half_to_float((uint16_t)i);
    assert_memory_equal(&floats[1 + i], &expected, sizeof expected);
  }
  uint64_t random = 7;
  for (uint32_t i = 0; i < COUNT; i++) { // any bits: subnormals, NaN, everything
    random = random * 6364136223846793005u + 1442695040888963407u;
    uint32_t bits = (uint32_t)(random >> 32);
    if (i % 2 == 0) bits = (bits & 0x8fffffffu) | 0x30000000u; // half of them near the half range
    memcpy(&floats[1 + i], &bits, sizeof bits);
  }
  sb_half_from_floats(COUNT, floats + 1, back);
  for (uint32_t i = 0; i < COUNT; i++) assert_int_equal(back[i], sb_half_from_float(floats[1 + i]));
  free(halves);
  free(floats);
  free(back);
}

// ---- .npy ---------------------------------------------------------------------------------------

static void npy_round_trip(void **state) {
  (void)state;
  const sb_npy arrays[] = {{"<f2", 3, 228483},
                           {"<f4", 0, 5},
                           {"<f8", 7, 0},
                           {"<i8", INT64_C(5000000000), 12},
                           {"|u1", 1, 1}};
  const int64_t bytes[] = {2, 4, 8, 8, 1};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
    char header[SB_NPY_HEADER];
    sb_npy got;
    int64_t offset;
    sb_npy_format(&arrays[i], header);
    assert_int_equal(header[SB_NPY_HEADER - 1], '\n');
    assert_ok(sb_npy_parse("x.npy", header, sizeof header, &got, &offset));
    assert_string_equal(got.type, arrays[i].type);
    assert_int_equal(got.rows, arrays[i].rows);
    assert_int_equal(got.columns, arrays[i].columns);
    assert_int_equal(offset, SB_NPY_HEADER);
    assert_int_equal(sb_npy_item_bytes(&got), bytes[i]);
  }
}

static sb_status parse_dictionary(const char *dictionary, sb_npy *out) {
  char file[600] = "\x93NUMPY\x01";
  size_t length = strlen(dictionary);
  file[8] = (char)(length & 255);
  file[9] = (char)(length >> 8);
  memcpy(file + 10, dictionary, length + 1);
  int64_t offset;
  return sb_npy_parse("x.npy", file, 10 + length, out, &offset);
}

static void npy_headers_of_others(void **state) {
  (void)state;
  sb_npy got;
  assert_ok(parse_dictionary("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n", &got));
  assert_int_equal(got.rows, 4);
  assert_int_equal(got.columns, 0);
  assert_ok(parse_dictionary("{'shape': (2, 3), 'fortran_order': False, 'descr': '<i8'}\n", &got));
  assert_int_equal(got.columns, 3);
  assert_fails(
      parse_dictionary("{'descr': '<f4', 'fortran_order': True, 'shape': (4, 2), }\n", &got),
      SB_FORMAT, "not used here");
  assert_fails(
      parse_dictionary("{'descr': '>f4', 'fortran_order': False, 'shape': (4, 2), }\n", &got),
      SB_FORMAT, "not used here");
  assert_fails(
      parse_dictionary("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2, 3), }\n", &got),
      SB_FORMAT, "one or two dimensions");
  assert_fails(
      parse_dictionary("{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 2), }\n", &got),
      SB_FORMAT, "one or two dimensions");
  int64_t offset;
  assert_fails(sb_npy_parse("x.npy", "no array", 8, &got, &offset), SB_FORMAT,
               "x.npy: not a NumPy");
  assert_fails(sb_npy_parse("x.npy", "\x93NUMPY\x01\x00\x76\x00{'descr", 17, &got, &offset),
               SB_FORMAT, "damaged");
}

static void check_shape(const char *shape, const char *problem) {
  char text[200];
  sb_npy got;
  snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n", shape);
  sb_status status = parse_dictionary(text, &got);
  if (status.code != SB_FORMAT || strstr(status.message, problem) == NULL)
    fail_msg("shape %s: %s: %s", shape, sb_code_name(status.code), status.message);
}

static void npy_refused_shapes(void **state) {
  (void)state;
  static const char *const shapes[] = {"()",
                                       "(4)",
                                       "(,)",
                                       "(3, 0)",
                                       "(0, 0)",
                                       "(4, 2, 3)",
                                       "(-4, 2)",
                                       "(4, -2)",
                                       "(+4,)",
                                       "(4 2)",
                                       "(4, 2,)",
                                       "(4L,)",
                                       "(4.0, 2)",
                                       "(x,)",
                                       "4",
                                       "(4, , 2)",
                                       "(0x4,)",
                                       "(9223372036854775807,)",
                                       "(99999999999999999999,)",
                                       "(4294967296, 4294967296)"};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    check_shape(shapes[i], "one or two dimensions");
  check_shape("(4, 2", "damaged");
  check_shape("", "damaged");
}

// Nothing but the three keys, each once, with whole values.
static void npy_refused_dictionaries(void **state) {
  (void)state;
  static const char *const damaged[] = {
      "{'descr': '<f4', 'shape': (4, 2), }\n",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'shape': (5,)}\n",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'more': 1}\n",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4,)\n",
      "{'descr': '<f4', 'fortran_order': False 'shape': (4,)}\n",
      "{'descr': '<f4, 'fortran_order': False, 'shape': (4,)}\n",
      "{'descr' '<f4', 'fortran_order': False, 'shape': (4,)}\n",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4,)} more\n",
      "'descr': '<f4', 'fortran_order': False, 'shape': (4,)}\n",
      "{",
      "",
  };
  static const char *const unused[] = {
      "{'descr': '<f4x', 'fortran_order': False, 'shape': (4,)}\n",
      "{'descr': '<f16', 'fortran_order': False, 'shape': (4,)}\n",
      "{'descr': <f4, 'fortran_order': False, 'shape': (4,)}\n",
      "{'descr': '|f4', 'fortran_order': False, 'shape': (4,)}\n",
      "{'descr': '<f4', 'fortran_order': Falsehood, 'shape': (4,)}\n",
      "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (4,)}\n",
  };
  sb_npy got;
  for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
    assert_fails(parse_dictionary(damaged[i], &got), SB_FORMAT, "damaged");
  for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
    if (parse_dictionary(unused[i], &got).code != SB_FORMAT) fail_msg("taken: %s", unused[i]);
}

// ---- Tables -------------------------------------------------------------------------------------

static void tsv_reading(void **state) {
  (void)state;
  sb_tsv table;
  size_t column;
  assert_ok(sb_tsv_parse(
      "t", sb_strdup("\xef\xbb\xbfname\tage\r\nsub-1\t\r\n\n\nsub-2\tn/a\nsub-3\t7"), &table));
  assert_int_equal(table.columns, 2);
  assert_int_equal(table.rows, 3);
  assert_int_equal(sb_tsv_column(&table, "name"), 0);
  assert_int_equal(sb_tsv_column(&table, "sex"), -1);
  assert_ok(sb_tsv_need(&table, "t", "age", &column));
  assert_string_equal(sb_tsv_cell(&table, 0, column), "");
  assert_string_equal(sb_tsv_text(sb_tsv_cell(&table, 1, column)), "");
  assert_string_equal(sb_tsv_cell(&table, 2, column), "7");
  assert_fails(sb_tsv_need(&table, "t", "sex", &column), SB_FORMAT,
               "\"sex\" (tab-separated; it has: name, age)");
  sb_tsv_free(&table);
  sb_tsv_free(&table); // twice is fine
}

static void tsv_refusals(void **state) {
  sb_tsv table;
  assert_fails(sb_tsv_parse("t", sb_strdup("a\tb\n\n1\t2\n1\t2\t3\n"), &table), SB_FORMAT,
               "line 4 has 3 cells where the header has 2");
  assert_null(table.text);
  assert_fails(sb_tsv_parse("t", sb_strdup("\n\n"), &table), SB_FORMAT, "empty table");
  char *path = sb_path_join(*state, "t.tsv");
  assert_fails(sb_tsv_read(path, &table), SB_NOT_FOUND, "t.tsv: cannot open");
  assert_ok(sb_write_file(path, "a\tb\n1\0002\t3\n", 11));
  assert_fails(sb_tsv_read(path, &table), SB_FORMAT, "NUL");
  free(path);
}

static void tsv_writing(void **state) {
  (void)state;
  char *text = NULL;
  size_t bytes = 0;
  FILE *file = open_memstream(&text, &bytes);
  assert_non_null(file);
  sb_tsv_put(file, "a\tb\nc\rd");
  sb_tsv_put(file, "");
  fclose(file);
  assert_string_equal(text, "a b c dn/a");
  free(text);
}

// ---- Files --------------------------------------------------------------------------------------

static void check_path(char *got, const char *expected) {
  assert_string_equal(got, expected);
  free(got);
}

static void paths(void **state) {
  (void)state;
  check_path(sb_path_join("a", "b"), "a/b");
  check_path(sb_path_join("a/", "b"), "a/b");
  check_path(sb_path_base("/a/b/"), "b");
  check_path(sb_path_base("b"), "b");
  check_path(sb_path_base("/"), "");
  check_path(sb_path_folder("a/b"), "a");
  check_path(sb_path_folder("b"), ".");
  check_path(sb_path_folder("/b"), "/");
  assert_true(sb_ends_with("x.nii.gz", ".gz"));
  assert_false(sb_ends_with("gz", ".gz"));
}

static void folders(void **state) {
  char *deep = sb_path_join(*state, "one/two"), *file = sb_path_join(*state, "file");
  char *below = sb_path_join(file, "x"), **names;
  size_t count;
  struct stat info;
  assert_ok(sb_make_folder(deep));
  assert_ok(sb_make_folder(deep));
  assert_int_equal(stat(deep, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0700);
  assert_ok(sb_write_file(file, "text", 4));
  assert_fails(sb_make_folder(below), SB_IO, "file");
  assert_fails(sb_make_folder(""), SB_USAGE, "empty");
  assert_fails(sb_write_file(below, "text", 4), SB_IO, "cannot write");
  assert_ok(sb_list_folder(*state, &names, &count));
  assert_int_equal(count, 2);
  assert_string_equal(names[0], "file");
  assert_string_equal(names[1], "one");
  sb_free_names(names, count);
  assert_fails(sb_list_folder(below, &names, &count), SB_IO, "cannot open the folder");
  free(deep);
  free(file);
  free(below);
}

static void new_files(void **state) {
  char *path = sb_path_join(*state, "f"), *data, **names;
  size_t bytes, count;
  struct stat info;
  sb_new_file file;
  assert_ok(sb_write_file(path, "old", 3));
  assert_ok(sb_file_create(path, &file));
  fputs("new", file.file);
  assert_ok(sb_read_file(path, &data, &bytes)); // not there before the commit
  assert_string_equal(data, "old");
  free(data);
  sb_file_abandon(&file);
  sb_file_abandon(&file); // twice is fine
  assert_ok(sb_list_folder(*state, &names, &count));
  assert_int_equal(count, 1);
  sb_free_names(names, count);
  assert_ok(sb_file_create(path, &file));
  fputs("new text", file.file);
  assert_ok(sb_file_complete(&file));
  assert_fails(sb_file_complete(&file), SB_USAGE, "no file is open");
  assert_ok(sb_read_file(path, &data, &bytes)); // nor once it is complete
  assert_string_equal(data, "old");
  free(data);
  assert_ok(sb_file_commit(&file));
  assert_fails(sb_file_commit(&file), SB_USAGE, "no file is open");
  assert_ok(sb_read_file(path, &data, &bytes));
  assert_int_equal(bytes, 8);
  assert_string_equal(data, "new text");
  free(data);
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0600);
  assert_fails(sb_read_file(*state, &data, &bytes), SB_IO, "cannot read");
  assert_null(data);
  free(path);
}

// A file larger than the reader's first buffer, and its hash.
static void large_file_and_hash(void **state) {
  enum { BYTES = 300000 };
  char *path = sb_path_join(*state, "large"), *text = malloc(BYTES), *data;
  char of_file[SB_SHA256_HEX], of_text[SB_SHA256_HEX];
  size_t bytes;
  sb_sha256 hash;
  assert_non_null(text);
  for (int i = 0; i < BYTES; i++) text[i] = (char)(i * 31 + i / 251);
  assert_ok(sb_write_file(path, text, BYTES));
  assert_ok(sb_read_file(path, &data, &bytes));
  assert_int_equal(bytes, BYTES);
  assert_memory_equal(data, text, BYTES);
  sb_sha256_start(&hash);
  sb_sha256_add(&hash, text, BYTES);
  sb_sha256_end(&hash, of_text);
  assert_ok(sb_sha256_file(path, of_file));
  assert_string_equal(of_file, of_text);
  free(data);
  free(text);
  free(path);
}

static void known_hashes(void **state) {
  (void)state;
  char hex[SB_SHA256_HEX];
  sb_sha256 hash;
  sb_sha256_start(&hash);
  sb_sha256_add(&hash, "abc", 3);
  sb_sha256_end(&hash, hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_int_equal(sb_crc32("123456789", 9), 0xcbf43926u);
}

// ---- Affines ------------------------------------------------------------------------------------

static void affines(void **state) {
  (void)state;
  double a[16] = {2, 0.1, -0.3, 10, 0.2, -1.5, 0.4, -20, 0, 0.3, 0.9, 5, 0, 0, 0, 1};
  double inverse[16], product[16], there[3], back[3];
  const double point[3] = {3, -4, 5};
  assert_true(sb_affine_invert(a, inverse));
  sb_affine_multiply(a, inverse, product);
  for (int i = 0; i < 16; i++) assert_true(fabs(product[i] - (i % 5 == 0)) < 1e-14);
  sb_affine_apply(a, point, there);
  assert_true(fabs(there[0] - (6 - 0.4 - 1.5 + 10)) < 1e-14);
  sb_affine_apply(inverse, there, back);
  for (int i = 0; i < 3; i++) assert_true(fabs(back[i] - point[i]) < 1e-13);
  assert_true(fabs(sb_affine_determinant(a) * sb_affine_determinant(inverse) - 1) < 1e-14);

  double copy[16]; // results may overwrite their inputs
  memcpy(copy, a, sizeof a);
  sb_affine_multiply(copy, inverse, copy);
  assert_memory_equal(copy, product, sizeof product);
  memcpy(copy, a, sizeof a);
  assert_true(sb_affine_invert(copy, copy));
  assert_memory_equal(copy, inverse, sizeof inverse);

  double singular[16] = {1, 2, 3, 0, 2, 4, 6, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  assert_false(sb_affine_invert(singular, inverse));
  singular[0] = NAN;
  assert_false(sb_affine_invert(singular, inverse));
}

// ---- Statuses, memory ---------------------------------------------------------------------------

static void statuses(void **state) {
  (void)state;
  const char *const names[] = {"ok",      "usage", "no_memory", "io",   "format",    "unsupported",
                               "content", "align", "conflict",  "busy", "not_found", "backend"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    assert_string_equal(sb_code_name((sb_code)i), names[i]);
  assert_string_equal(sb_code_name((sb_code)12), "unknown");
  assert_string_equal(sb_code_name((sb_code)-1), "unknown");
  assert_string_equal(sb_ok().message, "");
  assert_true(strspn(sb_version(), "0123456789.") == strlen(sb_version()));
}

// What does not fit loses its middle, and no character of UTF-8 is torn.
static void long_messages(void **state) {
  (void)state;
  enum { ROOM = sizeof(sb_status){0}.message - 1 };
  char words[3001];
  memset(words, 'x', 3000);
  words[ROOM] = '\0';
  assert_string_equal(sb_error(SB_IO, "%s", words).message, words);
  words[ROOM] = 'x';
  words[3000] = '\0';
  sb_status status = sb_error(SB_IO, "file %s is empty", words);
  assert_int_equal(strlen(status.message), ROOM);
  assert_memory_equal(status.message, "file xxx", 8);
  assert_non_null(strstr(status.message, "x ... x"));
  assert_true(sb_ends_with(status.message, "xxx is empty"));

  for (int shift = 0; shift < 3; shift++) {
    char text[3001] = {0};
    memset(text, 'x', (size_t)shift);
    for (int i = shift; i < 3000 - (3000 - shift) % 3; i++)
      text[i] = "\xe2\x82\xac"[(i - shift) % 3]; // U+20AC
    status = sb_error(SB_IO, "%s", text);
    for (const char *at = status.message + shift; *at != '\0';) {
      size_t bytes = strncmp(at, " ... ", 5) == 0 ? 5 : 3;
      if (bytes == 3) assert_memory_equal(at, "\xe2\x82\xac", 3);
      at += bytes;
    }
  }
}

// ---- Holding a folder ---------------------------------------------------------------------------

static void holds(void **state) {
  char *folder = sb_path_join(*state, "a/out"), *file = sb_path_join(folder, SB_HOLD_FILE);
  char *other = sb_path_join(folder, "other");
  sb_hold first, second = {0};
  sb_hold_release(&second);
  assert_ok(sb_hold_take(folder, &first));
  char *who = sb_format("(process %ld on ", (long)getpid());
  assert_fails(sb_hold_take(folder, &second), SB_BUSY, who);
  sb_hold_release(&second); // of what was not got: nothing
  assert_fails(sb_hold_take(folder, &second), SB_BUSY, "wait until it has ended");
  assert_true(sb_is_file(file));
  sb_hold_release(&first);
  assert_false(sb_is_folder(folder)); // nothing was put into it

  assert_ok(sb_hold_take(folder, &first));
  assert_ok(sb_write_file(other, "x", 1));
  sb_hold_release(&first);
  assert_true(sb_is_file(other) && !sb_is_file(file));
  assert_ok(sb_hold_take(folder, &first));
  unlink(other);
  sb_hold_release(&first);
  assert_true(sb_is_folder(folder)); // it was there before
  free(who);
  free(other);
  free(file);
  free(folder);
}

// A process that ends without a word leaves the file, which holds nothing.
static void holds_of_the_dead(void **state) {
  char *file = sb_path_join(*state, SB_HOLD_FILE);
  sb_hold hold;
  const pid_t child = fork();
  if (child == 0) _exit((int)sb_hold_take(*state, &hold).code);
  int ended;
  assert_int_equal(waitpid(child, &ended, 0), child);
  assert_int_equal(ended, 0);
  assert_true(sb_is_file(file));
  assert_ok(sb_hold_take(*state, &hold));
  sb_hold_release(&hold);
  assert_false(sb_is_file(file));
  free(file);
}

// Takes and releases until it has held `times` times; 1 where somebody else was in there too.
static int hold_alone(const char *folder, const char *inside, int times) {
  sb_hold hold;
  while (times > 0) {
    sb_status status = sb_hold_take(folder, &hold);
    if (status.code == SB_BUSY) continue;
    if (status.code != SB_OK || mkdir(inside, 0700) != 0 || rmdir(inside) != 0) return 1;
    sb_hold_release(&hold);
    times--;
  }
  return 0;
}

// However taking and releasing meet, one process is in there at a time.
static void holds_exclude(void **state) {
  enum { PROCESSES = 4, TIMES = 200 };
  char *inside = sb_path_join(*state, "inside");
  pid_t children[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) {
    children[i] = fork();
    if (children[i] == 0) _exit(hold_alone(*state, inside, TIMES));
  }
  for (int i = 0; i < PROCESSES; i++) {
    int ended;
    assert_int_equal(waitpid(children[i], &ended, 0), children[i]);
    assert_int_equal(ended, 0);
  }
  free(inside);
}

static void memory(void **state) {
  (void)state;
  double *array = NULL;
  assert_ok(SB_NEW_ZERO(&array, 1000, "numbers"));
  assert_int_equal((uintptr_t)array % 64, 0);
  for (int i = 0; i < 1000; i++) assert_true(array[i] == 0);
  free(array);
  assert_ok(SB_NEW(&array, 0, "nothing"));
  assert_non_null(array);
  free(array);
  assert_fails(SB_NEW(&array, SIZE_MAX / 4, "too much"), SB_NO_MEMORY, "too much");
  assert_null(array);
  char *text = sb_format("%s-%d", "a", 5);
  assert_string_equal(text, "a-5");
  free(text);
  assert_int_equal(sb_thread_count(3), 3);
  assert_true(sb_thread_count(0) >= 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(half_all_values),
      cmocka_unit_test(half_rounding),
      cmocka_unit_test(half_arrays),
      cmocka_unit_test(npy_round_trip),
      cmocka_unit_test(npy_headers_of_others),
      cmocka_unit_test(npy_refused_shapes),
      cmocka_unit_test(npy_refused_dictionaries),
      cmocka_unit_test(tsv_reading),
      cmocka_unit_test_setup_teardown(tsv_refusals, make_scratch, remove_scratch),
      cmocka_unit_test(tsv_writing),
      cmocka_unit_test(paths),
      cmocka_unit_test_setup_teardown(folders, make_scratch, remove_scratch),
      cmocka_unit_test_setup_teardown(new_files, make_scratch, remove_scratch),
      cmocka_unit_test_setup_teardown(large_file_and_hash, make_scratch, remove_scratch),
      cmocka_unit_test(known_hashes),
      cmocka_unit_test(affines),
      cmocka_unit_test(statuses),
      cmocka_unit_test(long_messages),
      cmocka_unit_test_setup_teardown(holds, make_scratch, remove_scratch),
      cmocka_unit_test_setup_teardown(holds_of_the_dead, make_scratch, remove_scratch),
      cmocka_unit_test_setup_teardown(holds_exclude, make_scratch, remove_scratch),
      cmocka_unit_test(memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
