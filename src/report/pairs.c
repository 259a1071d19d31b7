#include "report/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

void sb_pairs_free(sb_pairs *pairs) {
  free(pairs->items);
  sb_tsv_free(&pairs->table);
  memset(pairs, 0, sizeof *pairs);
}

// ---- Cells --------------------------------------------------------------------------------------

// What columns a table of pairs may have; the first five must be there.
enum {
  DATASET_A,
  ID_A,
  DATASET_B,
  ID_B,
  SCORE,
  MEASURE,
  RANK,
  EXPECTED,
  OBSERVED,
  VERDICT,
  REASON,
  MARGIN,
  PROBABILITY,
  COLUMNS,
  REQUIRED = SCORE + 1
};

typedef struct reader {
  const sb_tsv *table;
  const sb_pair_measures *measures; // NULL: the table names none
  long column[COLUMNS];
} reader;

static const char *const OF_LINK[COLUMNS] = {"probe_dataset",
                                             "probe_id",
                                             "gallery_dataset",
                                             "gallery_id",
                                             "score",
                                             "measure",
                                             "rank",
                                             "expected",
                                             "observed",
                                             "verdict",
                                             "reason",
                                             "margin",
                                             "false_link_probability"};
static const char *const OF_CHECK[COLUMNS] = {"dataset_a",
                                              "id_a",
                                              "dataset_b",
                                              "id_b",
                                              "score",
                                              "measure",
                                              "rank",
                                              "expected",
                                              "observed",
                                              "verdict",
                                              "reason",
                                              "margin",
                                              "false_link_probability"};

// `again`: what makes the table anew
static sb_status find_columns(const sb_tsv *table, const char *path, const char *const *names,
                              const char *again, const sb_pair_measures *measures, reader *out) {
  *out = (reader){.table = table, .measures = measures};
  sb_status status = sb_ok();
  for (int i = 0; i < COLUMNS && status.code == SB_OK; i++) {
    size_t column;
    if (i < REQUIRED) status = sb_tsv_need_own(table, path, names[i], again, &column);
    out->column[i] = sb_tsv_column(table, names[i]);
  }
  return status;
}

static const char *text_of(const reader *r, size_t row, int column) {
  return r->column[column] < 0 ? ""
                               : sb_tsv_text(sb_tsv_cell(r->table, row, (size_t)r->column[column]));
}

static double number_of(const reader *r, size_t row, int column) {
  const char *text = text_of(r, row, column);
  char *end;
  double value = strtod(text, &end);
  return end == text || *end != '\0' ? (double)NAN : value;
}

static int measure_of(const reader *r, size_t row) {
  const char *name = text_of(r, row, MEASURE);
  for (int i = 0; r->measures != NULL && i < r->measures->count; i++)
    if (strcmp(r->measures->names[i], name) == 0) return i;
  return -1;
}

static sb_pair pair_of(const reader *r, size_t row) {
  return (sb_pair){
      .dataset = {text_of(r, row, DATASET_A), text_of(r, row, DATASET_B)},
      .id = {text_of(r, row, ID_A), text_of(r, row, ID_B)},
      .expected = text_of(r, row, EXPECTED),
      .observed = text_of(r, row, OBSERVED),
      .verdict = text_of(r, row, VERDICT),
      .reason = text_of(r, row, REASON),
      .score = number_of(r, row, SCORE),
      .margin = number_of(r, row, MARGIN),
      .false_probability = number_of(r, row, PROBABILITY),
      .measure = measure_of(r, row),
  };
}

static sb_status open_table(const char *path, const char *const *names, const char *again,
                            const sb_pair_measures *measures, sb_pairs *out, reader *r) {
  memset(out, 0, sizeof *out);
  sb_status status = sb_tsv_read(path, &out->table);
  if (status.code == SB_OK) status = find_columns(&out->table, path, names, again, measures, r);
  if (status.code == SB_OK) status = SB_NEW(&out->items, out->table.rows + 1, path);
  return status;
}

static sb_status read_all(const char *path, const char *const *names, const char *again,
                          const sb_pair_measures *measures, sb_pairs *out) {
  reader r;
  sb_status status = open_table(path, names, again, measures, out, &r);
  for (size_t row = 0; status.code == SB_OK && row < out->table.rows; row++)
    out->items[out->count++] = pair_of(&r, row);
  if (status.code != SB_OK) sb_pairs_free(out);
  return status;
}

sb_status sb_pairs_of_links(const char *path, const sb_pair_measures *measures, sb_pairs *out) {
  return read_all(path, OF_LINK, "evaluate again", measures, out);
}

sb_status sb_pairs_of_check(const char *path, sb_pairs *out) {
  return read_all(path, OF_CHECK, "check again", NULL, out);
}

// ---- The closest scan of each probe -------------------------------------------------------------

static int compare_scans(const sb_pair *a, int side_a, const sb_pair *b, int side_b) {
  int order = strcmp(a->dataset[side_a], b->dataset[side_b]);
  return order != 0 ? order : strcmp(a->id[side_a], b->id[side_b]);
}

// Which side of a pair comes first by name.
static int first_side(const sb_pair *pair) {
  return compare_scans(pair, 0, pair, 1) <= 0 ? 0 : 1;
}

static int compare_pairs(const sb_pair *a, const sb_pair *b) {
  int x = first_side(a), y = first_side(b);
  int order = compare_scans(a, x, b, y);
  return order != 0 ? order : compare_scans(a, 1 - x, b, 1 - y);
}

// By measure, the closest first (a distance's score is turned while sorting), then by name.
static int closest_first(const void *left, const void *right) {
  const sb_pair *a = left, *b = right;
  if (a->measure != b->measure) return a->measure < b->measure ? -1 : 1;
  if (a->score != b->score) return a->score > b->score ? -1 : 1;
  int order = compare_pairs(a, b);
  return order != 0 ? order : compare_scans(a, 0, b, 0);
}

static void turn(sb_pairs *pairs, const sb_pair_measures *measures) {
  for (int64_t i = 0; i < pairs->count; i++)
    pairs->items[i].score *= measures->direction[pairs->items[i].measure];
}

static void keep_once(sb_pairs *pairs) {
  int64_t kept = 0;
  for (int64_t i = 0; i < pairs->count; i++) {
    const sb_pair *last = kept > 0 ? pairs->items + kept - 1 : NULL;
    const sb_pair *pair = pairs->items + i;
    if (last == NULL || last->measure != pair->measure || compare_pairs(last, pair) != 0)
      pairs->items[kept++] = *pair;
  }
  pairs->count = kept;
}

sb_status sb_pairs_of_matches(const char *path, const sb_pair_measures *measures, bool self,
                              sb_pairs *out) {
  reader r;
  sb_status status = open_table(path, OF_LINK, "link again", measures, out, &r);
  for (size_t row = 0; status.code == SB_OK && row < out->table.rows; row++) {
    double rank = number_of(&r, row, RANK);
    if (rank == 1 && measure_of(&r, row) >= 0) out->items[out->count++] = pair_of(&r, row);
    if (rank != 2 || out->count == 0) continue;
    sb_pair *best = out->items + out->count - 1, second = pair_of(&r, row);
    if (best->measure == second.measure && compare_scans(best, 0, &second, 0) == 0)
      best->margin = measures->direction[best->measure] * (best->score - second.score);
  }
  if (status.code == SB_OK) {
    turn(out, measures);
    if (out->count > 1) qsort(out->items, (size_t)out->count, sizeof *out->items, closest_first);
    turn(out, measures);
    if (self) keep_once(out);
  } else {
    sb_pairs_free(out);
  }
  return status;
}

// ---- The closest that is no link, and how many have one -----------------------------------------

// The pairs of one measure; free() them.
static sb_status copy_measure(const sb_pairs *pairs, int measure, sb_pair **copy, size_t *count) {
  *count = 0;
  sb_status status = SB_NEW(copy, pairs->count + 1, "pairs");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < pairs->count; i++)
    if (pairs->items[i].measure == measure) (*copy)[(*count)++] = pairs->items[i];
  return status;
}

static int by_names(const void *left, const void *right) {
  return compare_pairs(left, right);
}

sb_status sb_pairs_closest_other(const char *path, const sb_pair_measures *measures, int measure,
                                 const sb_pairs *links, sb_pairs *out) {
  sb_pair *linked = NULL;
  size_t count = 0;
  reader r;
  sb_status status = open_table(path, OF_LINK, "link again", measures, out, &r);
  SB_TRY(status);
  SB_TRY(copy_measure(links, measure, &linked, &count));
  if (count > 1) qsort(linked, count, sizeof *linked, by_names);
  for (size_t row = 0; row < out->table.rows; row++) {
    const sb_pair pair = pair_of(&r, row);
    double closer =
        out->count == 0 ? 1 : measures->direction[measure] * (pair.score - out->items[0].score);
    if (pair.measure != measure || !(closer > 0) ||
        bsearch(&pair, linked, count, sizeof *linked, by_names) != NULL)
      continue;
    out->items[0] = pair;
    out->count = 1;
  }
cleanup:
  free(linked);
  if (status.code != SB_OK) sb_pairs_free(out);
  return status;
}

static int by_probe(const void *left, const void *right) {
  return compare_scans(left, 0, right, 0);
}

sb_status sb_pairs_count_probes(const sb_pairs *pairs, int measure, int64_t *count) {
  sb_pair *list = NULL;
  size_t used;
  *count = 0;
  sb_status status = copy_measure(pairs, measure, &list, &used);
  if (status.code != SB_OK) return status;
  if (used > 1) qsort(list, used, sizeof *list, by_probe);
  for (size_t i = 0; i < used; i++) *count += i == 0 || by_probe(list + i - 1, list + i) != 0;
  free(list);
  return status;
}

bool sb_is_finding(const sb_pair *pair) {
  return *pair->verdict != '\0' && strcmp(pair->verdict, "same") != 0 &&
         strcmp(pair->verdict, "unsure") != 0;
}
