#include "core/tsv.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"

sb_status sb_tsv_read(const char *path, sb_tsv *out) {
  memset(out, 0, sizeof *out);
  char *text;
  size_t bytes;
  sb_status status = sb_read_file(path, &text, &bytes);
  if (status.code != SB_OK) return status;
  if (strlen(text) != bytes) {
    free(text);
    return sb_error(SB_FORMAT, "%s: not a text table (it has NUL bytes)", path);
  }
  return sb_tsv_parse(path, text, out);
}

static size_t count_tabs(const char *line) {
  size_t tabs = 0;
  for (; *line != '\0'; line++) tabs += *line == '\t';
  return tabs;
}

// Cuts `line` at its tabs into `cells`.
static void split(char *line, char **cells) {
  for (;;) {
    *cells++ = line;
    char *tab = strchr(line, '\t');
    if (tab == NULL) return;
    *tab = '\0';
    line = tab + 1;
  }
}

sb_status sb_tsv_parse(const char *path, char *text, sb_tsv *out) {
  memset(out, 0, sizeof *out);
  out->text = text;
  sb_status status = sb_ok();
  size_t capacity = 0, line_number = 0;
  char *at = text;
  if (strncmp(at, "\xef\xbb\xbf", 3) == 0) at += 3;
  while (*at != '\0') {
    char *line = at;
    line_number++;
    char *end = at + strcspn(at, "\r\n");
    at = end + (end[0] == '\r' && end[1] == '\n' ? 2 : end[0] != '\0');
    *end = '\0';
    if (*line == '\0') continue;
    size_t cells = count_tabs(line) + 1;
    if (out->header == NULL) {
      out->columns = cells;
      SB_TRY(SB_NEW(&out->header, cells, path));
      split(line, out->header);
      continue;
    }
    if (cells != out->columns) {
      status = sb_error(SB_FORMAT, "%s: line %zu has %zu cells where the header has %zu", path,
                        line_number, cells, out->columns);
      goto cleanup;
    }
    if (out->rows == capacity) {
      capacity = capacity == 0 ? 64 : 2 * capacity;
      char **grown = realloc((void *)out->cells, capacity * out->columns * sizeof *grown);
      if (grown == NULL) {
        status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
        goto cleanup;
      }
      out->cells = grown;
    }
    split(line, out->cells + out->rows * out->columns);
    out->rows++;
  }
  if (out->header == NULL)
    status = sb_error(SB_FORMAT, "%s: an empty table (no header line)", path);
cleanup:
  if (status.code != SB_OK) sb_tsv_free(out);
  return status;
}

void sb_tsv_free(sb_tsv *table) {
  free((void *)table->header);
  free((void *)table->cells);
  free(table->text);
  memset(table, 0, sizeof *table);
}

long sb_tsv_column(const sb_tsv *table, const char *name) {
  for (size_t i = 0; i < table->columns; i++)
    if (strcmp(table->header[i], name) == 0) return (long)i;
  return -1;
}

sb_status sb_tsv_find(const sb_tsv *table, const char *path, const char *name, long *column) {
  *column = sb_tsv_column(table, name);
  for (size_t i = (size_t)*column + 1; *column >= 0 && i < table->columns; i++)
    if (strcmp(table->header[i], name) == 0)
      return sb_error(SB_FORMAT, "%s: two columns are called \"%s\"; keep one of them", path, name);
  return sb_ok();
}

sb_status sb_tsv_need(const sb_tsv *table, const char *path, const char *name, size_t *column) {
  long found;
  sb_status status = sb_tsv_find(table, path, name, &found);
  if (status.code != SB_OK) return status;
  if (found >= 0) {
    *column = (size_t)found;
    return status;
  }
  char names[400] = "";
  for (size_t i = 0; i < table->columns; i++) {
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ", table->header[i]);
  }
  return sb_error(SB_FORMAT, "%s: no column \"%s\" (tab-separated; it has: %s)", path, name, names);
}

sb_status sb_tsv_need_own(const sb_tsv *table, const char *path, const char *name,
                          const char *again, size_t *column) {
  const sb_status status = sb_tsv_need(table, path, name, column);
  if (status.code == SB_OK) return status;
  return sb_error(SB_FORMAT,
                  "%s: no column \"%s\": it is damaged, or of another version of samebrain; %s",
                  path, name, again);
}

void sb_tsv_put(FILE *file, const char *text) {
  if (*text == '\0') {
    fputs("n/a", file);
    return;
  }
  for (; *text != '\0'; text++)
    fputc(*text == '\t' || *text == '\n' || *text == '\r' ? ' ' : *text, file);
}

char *sb_tsv_trimmed(char *cell) {
  cell += strspn(cell, " ");
  size_t length = strlen(cell);
  while (length > 0 && cell[length - 1] == ' ') length--;
  cell[length] = '\0';
  return cell;
}

void sb_tsv_trim(sb_tsv *table) {
  for (size_t i = 0; i < table->columns; i++) table->header[i] = sb_tsv_trimmed(table->header[i]);
  for (size_t i = 0; i < table->rows * table->columns; i++)
    table->cells[i] = sb_tsv_trimmed(table->cells[i]);
}

const char *sb_tsv_text(const char *cell) {
  return strcmp(cell, "n/a") == 0 ? "" : cell;
}
