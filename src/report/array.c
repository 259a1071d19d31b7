#include "report/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"

sb_status sb_array_open(const char *path, const char *type, sb_array *out) {
  char header[SB_NPY_HEADER];
  int64_t offset;
  memset(out, 0, sizeof *out);
  if (path == NULL || (out->path = sb_strdup(path)) == NULL)
    return sb_error(SB_NO_MEMORY, "out of memory");
  out->file = fopen(path, "rb");
  sb_status status = out->file == NULL ? sb_open_error(path, errno) : sb_ok();
  SB_TRY(status);
  size_t got = fread(header, 1, sizeof header, out->file);
  SB_TRY(sb_npy_parse(path, header, got, &out->shape, &offset));
  if (strcmp(out->shape.type, type) != 0 || offset != SB_NPY_HEADER)
    status = sb_error(SB_FORMAT, "%s: not an array as link writes it; link again", path);
  if (out->shape.columns == 0) {
    out->shape.columns = out->shape.rows;
    out->shape.rows = 1;
  }
cleanup:
  if (status.code != SB_OK) sb_array_close(out);
  return status;
}

sb_status sb_array_next(sb_array *array, void *line) {
  size_t item = (size_t)sb_npy_item_bytes(&array->shape), count = (size_t)array->shape.columns;
  if (fread(line, item, count, array->file) == count) return sb_ok();
  return sb_error(SB_FORMAT, "%s: it ends too early; link again", array->path);
}

void sb_array_close(sb_array *array) {
  if (array->file != NULL) fclose(array->file);
  free(array->path);
  memset(array, 0, sizeof *array);
}
