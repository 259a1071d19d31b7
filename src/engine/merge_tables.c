// The tables of mated pairs and of scans of several shards.
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/merging.h"

// Shares come in the order of their probes: their lines one after the other, for each measure.
sb_status sb_merging_mated(const sb_merging *m, FILE *file) {
  sb_tsv *tables = NULL;
  sb_status status;
  fputs(SB_MATED_HEADER, file);
  SB_TRY(SB_NEW_ZERO(&tables, m->count, "mated pairs"));
  for (size_t i = 0; i < m->count; i++) {
    SB_TRY(sb_merging_table(&m->sources[i], "mated.tsv", &tables[i]));
    if (tables[i].columns != 6)
      status = sb_error(SB_FORMAT, "%s: its mated.tsv is damaged", m->sources[i].folder);
    SB_TRY(status);
  }
  for (int measure = 0; measure < m->measure_count; measure++)
    for (size_t i = 0; i < m->count; i++)
      for (size_t row = 0; row < tables[i].rows; row++) {
        const char *const *cells = (const char *const *)&tables[i].cells[row * 6];
        if (strcmp(cells[4], m->measures[measure]->info.name) != 0) continue;
        for (int c = 0; c < 6; c++) fprintf(file, "%s%c", cells[c], c < 5 ? '\t' : '\n');
      }
cleanup:
  for (size_t i = 0; tables != NULL && i < m->count; i++) sb_tsv_free(&tables[i]);
  free(tables);
  return status;
}

static void put_line(FILE *file, char *const *cells, size_t columns) {
  for (size_t c = 0; c < columns; c++)
    fprintf(file, "%s%c", cells[c], c + 1 < columns ? '\t' : '\n');
}

static bool closer(const char *a, const char *b, bool higher_is_closer) {
  if (strcmp(a, "n/a") == 0) return false;
  if (strcmp(b, "n/a") == 0) return true;
  double x = strtod(a, NULL), y = strtod(b, NULL);
  return higher_is_closer ? x > y : x < y;
}

// probes.tsv, with each probe's best non-mated score over all shares.
sb_status sb_merging_probes(sb_merging *m, FILE *file) {
  sb_tsv *best = &m->probe_table, *others = NULL;
  const size_t columns = SB_IDENTITY_COLUMNS + (size_t)m->measure_count;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&others, m->count, "probes"));
  for (size_t i = 0; i < m->count; i++) {
    SB_TRY(sb_merging_table(&m->sources[i], "probes.tsv", &others[i]));
    if (others[i].columns != columns || others[i].rows != best->rows)
      status = sb_error(SB_FORMAT, "%s: its probes.tsv is damaged", m->sources[i].folder);
    SB_TRY(status);
    for (size_t row = 0; row < best->rows; row++)
      for (size_t c = SB_IDENTITY_COLUMNS; c < columns; c++) {
        char **cell = &best->cells[row * columns + c];
        const char *other = sb_tsv_cell(&others[i], row, c);
        if (closer(other, *cell, m->measures[c - SB_IDENTITY_COLUMNS]->info.higher_is_closer))
          *cell = others[i].cells[row * columns + c];
      }
  }
  put_line(file, best->header, columns);
  for (size_t row = 0; row < best->rows; row++)
    put_line(file, &best->cells[row * columns], columns);
cleanup:
  for (size_t i = 0; others != NULL && i < m->count; i++) sb_tsv_free(&others[i]);
  free(others);
  return status;
}

void sb_merging_gallery(const sb_merging *m, FILE *file) {
  const sb_tsv *t = &m->gallery_table;
  put_line(file, t->header, t->columns);
  for (size_t row = 0; row < t->rows; row++)
    put_line(file, &t->cells[row * t->columns], t->columns);
}
