#include "core/npy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MAGIC[8] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0};
enum { PREFIX = 10 }; // magic, version and the 16-bit length of what follows

void sb_npy_format(const sb_npy *array, char header[SB_NPY_HEADER]) {
  char shape[64];
  if (array->columns == 0)
    snprintf(shape, sizeof shape, "(%" PRId64 ",)", array->rows);
  else
    snprintf(shape, sizeof shape, "(%" PRId64 ", %" PRId64 ")", array->rows, array->columns);
  memset(header, ' ', SB_NPY_HEADER);
  memcpy(header, MAGIC, sizeof MAGIC);
  header[8] = (char)(SB_NPY_HEADER - PREFIX);
  header[9] = 0;
  char text[SB_NPY_HEADER - PREFIX];
  int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                        array->type, shape);
  memcpy(header + PREFIX, text, (size_t)length);
  header[SB_NPY_HEADER - 1] = '\n';
}

int64_t sb_npy_item_bytes(const sb_npy *array) {
  return array->type[2] - '0';
}

// ---- Reading a header: {'descr': '<f2', 'fortran_order': False, 'shape': (3, 48), } -------------

enum { TYPE, ORDER, SHAPE, KEYS };
static const char *const KEY[KEYS] = {"'descr'", "'fortran_order'", "'shape'"};

// A piece of the header's text.
typedef struct span {
  const char *at;
  size_t length;
} span;

static bool span_is(span s, const char *text) {
  return s.length == strlen(text) && memcmp(s.at, text, s.length) == 0;
}

// Takes a key or a value (a string in quotes, a tuple or a word) and the spaces after it.
static span take(const char **at) {
  const char *end = *at + strcspn(*at, " ,:}");
  if (**at == '\'' || **at == '(') {
    const char *closing = strchr(*at + 1, **at == '(' ? ')' : '\'');
    end = closing == NULL ? *at : closing + 1;
  }
  span s = {*at, (size_t)(end - *at)};
  *at = end + strspn(end, " ");
  return s;
}

// Finds the value of each key. False unless each is there once, and nothing else.
static bool split(const char *text, size_t length, span values[KEYS]) {
  const char *at = text;
  memset(values, 0, KEYS * sizeof *values);
  if (*at++ != '{') return false;
  at += strspn(at, " ");
  while (*at != '}') {
    span key = take(&at);
    if (*at++ != ':') return false;
    at += strspn(at, " ");
    span value = take(&at);
    int k = 0;
    while (k < KEYS && !span_is(key, KEY[k])) k++;
    if (k == KEYS || values[k].length != 0 || value.length == 0) return false;
    values[k] = value;
    if (*at != ',' && *at != '}') return false;
    if (*at == ',') at += 1 + strspn(at + 1, " ");
  }
  at++;
  at += strspn(at, " \n");
  return at == text + length && values[TYPE].length != 0 && values[ORDER].length != 0 &&
         values[SHAPE].length != 0;
}

static bool parse_type(span value, sb_npy *array) {
  static const char *const types[] = {"'<f2'", "'<f4'", "'<f8'", "'<i8'", "'|u1'"};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (span_is(value, types[i])) {
      memcpy(array->type, types[i] + 1, 3);
      return true;
    }
  return false;
}

// Takes a number of digits alone and the spaces after it; -1 where there is none, or a huge one.
static int64_t take_number(const char **at) {
  if (**at < '0' || **at > '9') return -1;
  char *end;
  errno = 0;
  long long value = strtoll(*at, &end, 10);
  *at = end + strspn(end, " ");
  return errno == 0 ? value : -1;
}

// "(rows,)" or "(rows, columns)". Rows of no elements are not used here, and would be taken for one
// dimension.
static bool parse_shape(const char *at, sb_npy *array) {
  const int64_t most = INT64_MAX / 16; // elements: their bytes can be counted
  if (*at++ != '(') return false;
  array->rows = take_number(&at);
  if (array->rows < 0 || array->rows > most || *at++ != ',') return false;
  at += strspn(at, " ");
  if (*at == ')') return true;
  array->columns = take_number(&at);
  return array->columns > 0 && *at == ')' && array->rows <= most / array->columns;
}

sb_status sb_npy_parse(const char *path, const char *data, size_t bytes, sb_npy *array,
                       int64_t *data_offset) {
  memset(array, 0, sizeof *array);
  if (bytes < PREFIX || memcmp(data, MAGIC, sizeof MAGIC) != 0)
    return sb_error(SB_FORMAT, "%s: not a NumPy array file (.npy, format 1.0)", path);
  size_t length = (size_t)(uint8_t)data[8] | (size_t)(uint8_t)data[9] << 8;
  char text[512];
  if (bytes - PREFIX < length || length >= sizeof text)
    return sb_error(SB_FORMAT, "%s: damaged .npy header", path);
  memcpy(text, data + PREFIX, length);
  text[length] = '\0';

  span values[KEYS];
  if (!split(text, length, values)) return sb_error(SB_FORMAT, "%s: damaged .npy header", path);
  if (!span_is(values[ORDER], "False") || !parse_type(values[TYPE], array))
    return sb_error(SB_FORMAT, "%s: a .npy of a type or order that is not used here: %.*s", path,
                    (int)strcspn(text, "\n"), text);
  if (!parse_shape(values[SHAPE].at, array))
    return sb_error(SB_FORMAT, "%s: not an array of one or two dimensions, with elements in a row",
                    path);
  *data_offset = (int64_t)(PREFIX + length);
  return sb_ok();
}
