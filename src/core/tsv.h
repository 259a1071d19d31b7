// Tab-separated tables with a header line, as BIDS has them: UTF-8, no quoting, "n/a" for none.
#ifndef SB_CORE_TSV_H
#define SB_CORE_TSV_H

#include <stddef.h>
#include <stdio.h>

#include "samebrain/status.h"

// A table in memory. cells[row * columns + column]; all strings live in `text`.
typedef struct sb_tsv {
  char *text;
  char **header, **cells;
  size_t columns, rows;
} sb_tsv;

// Reads a table. Lines end in LF, CRLF or CR; a byte order mark is accepted, empty lines are skipped.
// Errors: SB_NOT_FOUND, SB_IO, SB_FORMAT (no header; a line with another number of cells: which).
sb_status sb_tsv_read(const char *path, sb_tsv *out);
// The same from text already in memory, which the table takes over (`text` ends in NUL).
sb_status sb_tsv_parse(const char *path, char *text, sb_tsv *out);
void sb_tsv_free(sb_tsv *table);

// Takes the blanks around every cell away, as tables typed by people have them.
void sb_tsv_trim(sb_tsv *table);
// The same of one, in place.
char *sb_tsv_trimmed(char *cell);

// The first column of that name, or -1.
long sb_tsv_column(const sb_tsv *table, const char *name);
// The same of a column that tells something. Errors: SB_FORMAT where two have the name.
sb_status sb_tsv_find(const sb_tsv *table, const char *path, const char *name, long *column);
// One that must be there. Errors: those, and SB_FORMAT naming file, column and what the table has.
sb_status sb_tsv_need(const sb_tsv *table, const char *path, const char *name, size_t *column);
// The same of a table that this program wrote. `again`: what makes it anew, such as "link again".
sb_status sb_tsv_need_own(const sb_tsv *table, const char *path, const char *name,
                          const char *again, size_t *column);
static inline const char *sb_tsv_cell(const sb_tsv *table, size_t row, size_t column) {
  return table->cells[row * table->columns + column];
}

// Writes a cell's text: tab, newline and carriage return become spaces, an empty text "n/a".
void sb_tsv_put(FILE *file, const char *text);
// What a cell says, "" for "n/a".
const char *sb_tsv_text(const char *cell);

#endif
