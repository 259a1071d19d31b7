#include "core/npy.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

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

// The text after `'key':` in the header's dictionary, or NULL.
static const char *value_of(const char *dictionary, const char *key) {
  const char *at = strstr(dictionary, key);
  if (at == NULL) return NULL;
  at += strlen(key);
  while (*at == ' ' || *at == ':') at++;
  return at;
}

static bool known_type(const char *type) {
  static const char *const types[] = {"<f2", "<f4", "<f8", "<i8", "|u1"};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strncmp(type, types[i], 3) == 0) return true;
  return false;
}

sb_status sb_npy_parse(const char *path, const char *data, size_t bytes, sb_npy *array,
                       int64_t *data_offset) {
  memset(array, 0, sizeof *array);
  if (bytes < PREFIX || memcmp(data, MAGIC, sizeof MAGIC) != 0)
    return sb_error(SB_FORMAT, "%s: not a NumPy array file (.npy, format 1.0)", path);
  size_t length = (size_t)(uint8_t)data[8] | (size_t)(uint8_t)data[9] << 8;
  char dictionary[512];
  if (bytes - PREFIX < length || length >= sizeof dictionary)
    return sb_error(SB_FORMAT, "%s: damaged .npy header", path);
  memcpy(dictionary, data + PREFIX, length);
  dictionary[length] = '\0';

  const char *type = value_of(dictionary, "'descr'");
  const char *order = value_of(dictionary, "'fortran_order'");
  const char *shape = value_of(dictionary, "'shape'");
  if (type == NULL || order == NULL || shape == NULL || type[0] != '\'' || shape[0] != '(')
    return sb_error(SB_FORMAT, "%s: damaged .npy header", path);
  if (strncmp(order, "False", 5) != 0 || !known_type(type + 1))
    return sb_error(SB_FORMAT, "%s: a .npy of a type or order that is not used here: %.*s", path,
                    (int)strcspn(dictionary, "\n"), dictionary);
  memcpy(array->type, type + 1, 3);
  char *end = NULL;
  array->rows = strtoll(shape + 1, &end, 10);
  if (*end == ',') array->columns = strtoll(end + 1, &end, 10);
  while (*end == ' ' || *end == ',') end++;
  if (*end != ')' || array->rows < 0 || array->columns < 0)
    return sb_error(SB_FORMAT, "%s: not an array of one or two dimensions", path);
  *data_offset = (int64_t)(PREFIX + length);
  return sb_ok();
}

sb_status sb_npy_write(const char *path, const sb_npy *array, const void *data) {
  char header[SB_NPY_HEADER];
  sb_npy_format(array, header);
  sb_new_file file;
  sb_status status = sb_file_create(path, &file);
  if (status.code != SB_OK) return status;
  int64_t count = array->rows * (array->columns == 0 ? 1 : array->columns);
  fwrite(header, 1, sizeof header, file.file);
  fwrite(data, (size_t)sb_npy_item_bytes(array), (size_t)count, file.file);
  return sb_file_commit(&file);
}
