#include "engine/merge.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/tsv.h"
#include "engine/people.h"
#include "engine/results.h"
#include "measure/measure.h"

enum {
  MOST_MEASURES = 64,
  IDENTITY_COLUMNS = 6
}; // of probes.tsv, before the best non-mated scores

// One of the folders.
typedef struct source {
  const char *folder;
  char *summary_path;
  cJSON *summary;
  sb_share share;
  sb_range range;
} source;

// A line of matches.tsv.
typedef struct match {
  int64_t probe, gallery;
  int measure;
  double score, closeness;
} match;

typedef struct merge {
  source *sources; // in the order of their shares
  size_t count;
  sb_share share; // what they make together
  bool self;
  int measure_count, refine; // refine: its number, behind the others; -1: none
  const sb_measure *measures[MOST_MEASURES];
  int64_t top;
  double threshold; // NaN: none
  sb_tsv probe_table, gallery_table;
  sb_identity *probes, *gallery;
  int64_t probe_count, gallery_count;
  match *matches;
  int64_t match_count, match_capacity;
} merge;

static sb_status out_of_memory(void) {
  return sb_error(SB_NO_MEMORY, "merging: out of memory");
}

static void close_merge(merge *m) {
  for (size_t i = 0; m->sources != NULL && i < m->count; i++) {
    cJSON_Delete(m->sources[i].summary);
    free(m->sources[i].summary_path);
  }
  free(m->sources);
  free(m->probes);
  free(m->gallery);
  free(m->matches);
  sb_tsv_free(&m->probe_table);
  sb_tsv_free(&m->gallery_table);
}

// ---- What the folders are -----------------------------------------------------------------------

static double number_in(const cJSON *object, const char *name, double otherwise) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

static const char *text_in(const cJSON *object, const char *name) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  return cJSON_IsString(item) ? item->valuestring : "";
}

static sb_status open_source(const char *folder, source *s) {
  char *text = NULL;
  size_t bytes;
  s->folder = folder;
  s->summary_path = sb_path_join(folder, "summary.json");
  sb_status status = s->summary_path == NULL ? out_of_memory() : sb_ok();
  SB_TRY(status);
  status = sb_read_file(s->summary_path, &text, &bytes);
  if (status.code == SB_NOT_FOUND)
    status = sb_error(SB_NOT_FOUND,
                      "%s: no summary.json there: not a folder that link wrote, or that link did "
                      "not finish; run it again",
                      folder);
  SB_TRY(status);
  s->summary = cJSON_Parse(text);
  const cJSON *share = cJSON_GetObjectItemCaseSensitive(s->summary, "share");
  s->share =
      (sb_share){(int64_t)number_in(share, "index", -1), (int64_t)number_in(share, "count", 0)};
  if (strcmp(text_in(s->summary, "kind"), "samebrain link") != 0)
    status = sb_error(SB_FORMAT, "%s: is not the summary of a link", s->summary_path);
  else if (share == NULL)
    status = sb_error(SB_USAGE,
                      "%s: is a whole link, not a shard of one: there is nothing to merge", folder);
  else if (s->share.index < 0 || s->share.index >= s->share.count)
    status = sb_error(SB_FORMAT, "%s: is damaged: which shard it is, is not told", s->summary_path);
cleanup:
  free(text);
  return status;
}

static int by_share(const void *left, const void *right) {
  const source *a = left, *b = right;
  return a->share.index < b->share.index ? -1 : a->share.index > b->share.index;
}

// All shares of the whole, each once, and of one run.
static sb_status check_sources(const merge *m) {
  const source *first = &m->sources[0];
  const int64_t expected = first->share.count / sb_share_count(m->share);
  for (size_t i = 0; i < m->count; i++) {
    const source *s = &m->sources[i];
    if (s->share.count != first->share.count)
      return sb_error(SB_CONFLICT, "%s is one of %lld shards and %s one of %lld: not of one run",
                      first->folder, (long long)first->share.count, s->folder,
                      (long long)s->share.count);
    if (strcmp(text_in(s->summary, "request"), text_in(first->summary, "request")) != 0)
      return sb_error(SB_CONFLICT,
                      "%s and %s are not shards of one run: the stores, measures, identities or "
                      "other options differ; link with the same for all shards",
                      first->folder, s->folder);
    if (i > 0 && s->share.index == m->sources[i - 1].share.index)
      return sb_error(SB_CONFLICT, "%s and %s are the same shard, %lld of %lld",
                      m->sources[i - 1].folder, s->folder, (long long)s->share.index + 1,
                      (long long)s->share.count);
  }
  for (int64_t i = 0; i < expected; i++)
    if ((size_t)i >= m->count || m->sources[i].share.index != m->share.index * expected + i)
      return sb_error(SB_USAGE, "shard %lld of %lld is missing: give the folders of all shards",
                      (long long)(m->share.index * expected + i) + 1,
                      (long long)first->share.count);
  return sb_ok();
}

static sb_status read_request(merge *m) {
  const cJSON *summary = m->sources[0].summary, *item;
  const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(summary, "parameters");
  const cJSON *refine = cJSON_GetObjectItemCaseSensitive(summary, "refine");
  sb_status status = sb_ok();
  m->self = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(summary, "self"));
  m->top = (int64_t)number_in(parameters, "top", 0);
  m->threshold = number_in(parameters, "threshold", (double)NAN);
  m->refine = -1;
  cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(summary, "measures")) {
    if (m->measure_count == MOST_MEASURES - 1) break;
    SB_TRY(sb_measure_need(text_in(item, "name"), &m->measures[m->measure_count++]));
  }
  if (m->measure_count == 0 || m->top < 1)
    status = sb_error(SB_FORMAT, "%s: is damaged: no measures, or no number of matches",
                      m->sources[0].summary_path);
  SB_TRY(status);
  if (refine != NULL) {
    m->refine = m->measure_count;
    SB_TRY(sb_measure_need(text_in(refine, "measure"), &m->measures[m->refine]));
  }
cleanup:
  return status;
}

static sb_status read_table(const source *s, const char *name, sb_tsv *table) {
  char *path = sb_path_join(s->folder, name);
  if (path == NULL) return out_of_memory();
  sb_status status = sb_tsv_read(path, table);
  free(path);
  return status;
}

static sb_status read_scans(const source *s, const char *name, sb_tsv *table, sb_identity **list,
                            int64_t *count) {
  sb_status status;
  SB_TRY(read_table(s, name, table));
  if (table->columns < IDENTITY_COLUMNS)
    status = sb_error(SB_FORMAT, "%s: its %s is damaged", s->folder, name);
  SB_TRY(status);
  *count = (int64_t)table->rows;
  SB_TRY(SB_NEW_ZERO(list, *count, "scans"));
  for (int64_t i = 0; i < *count; i++) {
    (*list)[i].dataset = sb_tsv_cell(table, (size_t)i, 0);
    (*list)[i].scan_id = sb_tsv_cell(table, (size_t)i, 1);
  }
cleanup:
  return status;
}

static sb_status open_merge(merge *m, const char *const *folders) {
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&m->sources, m->count, "shards"));
  for (size_t i = 0; i < m->count; i++) SB_TRY(open_source(folders[i], &m->sources[i]));
  qsort(m->sources, m->count, sizeof *m->sources, by_share);
  SB_TRY(check_sources(m));
  SB_TRY(read_request(m));
  const source *first = &m->sources[0];
  SB_TRY(read_scans(first, "probes.tsv", &m->probe_table, &m->probes, &m->probe_count));
  SB_TRY(read_scans(first, "gallery.tsv", &m->gallery_table, &m->gallery, &m->gallery_count));
  for (size_t i = 0; i < m->count; i++)
    m->sources[i].range = sb_share_range(m->sources[i].share, m->probe_count, m->self);
cleanup:
  return status;
}

// ---- Matches and mated pairs --------------------------------------------------------------------

static sb_status add_match(merge *m, const match *item) {
  if (m->match_count == m->match_capacity) {
    int64_t more = m->match_capacity > 0 ? 2 * m->match_capacity : 4096;
    match *grown = realloc(m->matches, (size_t)more * sizeof *grown);
    if (grown == NULL) return out_of_memory();
    m->matches = grown;
    m->match_capacity = more;
  }
  m->matches[m->match_count++] = *item;
  return sb_ok();
}

static int measure_number(const merge *m, const char *name) {
  const int all = m->refine >= 0 ? m->refine + 1 : m->measure_count;
  for (int i = 0; i < all; i++)
    if (strcmp(m->measures[i]->info.name, name) == 0) return i;
  return -1;
}

static sb_status read_matches(merge *m, const source *s) {
  sb_tsv table = {0};
  sb_status status;
  SB_TRY(read_table(s, "matches.tsv", &table));
  for (size_t row = 0; row < table.rows; row++) {
    const char *const *cells = (const char *const *)&table.cells[row * table.columns];
    match item = {0};
    char *end = NULL;
    bool fits = table.columns == 7;
    if (fits) {
      item.probe = sb_identity_find(m->probes, m->probe_count, cells[0], cells[1]);
      item.gallery = sb_identity_find(m->gallery, m->gallery_count, cells[2], cells[3]);
      item.measure = measure_number(m, cells[4]);
      item.score = strtod(cells[6], &end);
      fits = item.probe >= 0 && item.gallery >= 0 && item.measure >= 0 && *end == '\0';
    }
    if (!fits) {
      status =
          sb_error(SB_FORMAT, "%s: its matches.tsv is damaged at entry %zu; link that shard again",
                   s->folder, row + 1);
      goto cleanup;
    }
    const bool similarity = m->measures[item.measure]->info.higher_is_closer;
    item.closeness = similarity ? item.score : -item.score;
    SB_TRY(add_match(m, &item));
  }
cleanup:
  sb_tsv_free(&table);
  return status;
}

// As link writes them: measure by measure, probe by probe, the closest first, ties by name.
static int by_rank(const void *left, const void *right) {
  const match *a = left, *b = right;
  if (a->measure != b->measure) return a->measure < b->measure ? -1 : 1;
  if (a->probe != b->probe) return a->probe < b->probe ? -1 : 1;
  if (a->closeness != b->closeness) return a->closeness > b->closeness ? -1 : 1;
  return a->gallery < b->gallery ? -1 : a->gallery > b->gallery;
}

static void put_match(FILE *file, const merge *m, const match *item, int64_t rank) {
  const sb_identity *p = &m->probes[item->probe], *g = &m->gallery[item->gallery];
  const char *const cells[] = {p->dataset, p->scan_id, g->dataset, g->scan_id,
                               m->measures[item->measure]->info.name};
  for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) fprintf(file, "%s\t", cells[i]);
  fprintf(file, sb_share_is_whole(m->share) ? "%" PRId64 "\t%.9f\n" : "%" PRId64 "\t%.17g\n", rank,
          item->score);
}

// Whether a refined pair is still listed by one of the other measures.
static bool survives(const sb_pairs *listed, const match *item) {
  const sb_pair wanted = {item->probe, item->gallery};
  int64_t low = 0, high = listed->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    const sb_pair *at = &listed->items[middle];
    if (at->probe < wanted.probe || (at->probe == wanted.probe && at->gallery < wanted.gallery))
      low = middle + 1;
    else
      high = middle;
  }
  return low < listed->count && listed->items[low].probe == wanted.probe &&
         listed->items[low].gallery == wanted.gallery;
}

static sb_status write_matches(merge *m, FILE *file) {
  sb_pairs listed = {0};
  sb_status status = sb_ok();
  bool sorted = false;
  if (m->match_count > 1) qsort(m->matches, (size_t)m->match_count, sizeof *m->matches, by_rank);
  int64_t rank = 0;
  for (int64_t i = 0; i < m->match_count; i++) {
    const match *item = &m->matches[i], *before = i > 0 ? item - 1 : NULL;
    if (before == NULL || before->measure != item->measure || before->probe != item->probe)
      rank = 0;
    if (item->measure == m->refine) {
      if (!sorted) sb_pairs_sort(&listed);
      sorted = true;
      if (survives(&listed, item)) put_match(file, m, item, ++rank);
      continue;
    }
    const double direction = m->measures[item->measure]->info.higher_is_closer ? 1 : -1;
    const bool beyond = !isnan(m->threshold) && item->closeness >= direction * m->threshold;
    if (rank >= m->top && !beyond) continue;
    put_match(file, m, item, ++rank);
    if (m->refine >= 0) SB_TRY(sb_pairs_add(&listed, (sb_pair){item->probe, item->gallery}));
  }
cleanup:
  free(listed.items);
  return status;
}

// Shares come in the order of their probes: their lines one after the other, for each measure.
static sb_status write_mated(const merge *m, FILE *file) {
  sb_tsv *tables = NULL;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&tables, m->count, "mated pairs"));
  for (size_t i = 0; i < m->count; i++) {
    SB_TRY(read_table(&m->sources[i], "mated.tsv", &tables[i]));
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

// ---- Scans --------------------------------------------------------------------------------------

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
static sb_status write_probes(merge *m, FILE *file) {
  sb_tsv *best = &m->probe_table, *others = NULL;
  const size_t columns = IDENTITY_COLUMNS + (size_t)m->measure_count;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&others, m->count, "probes"));
  for (size_t i = 0; i < m->count; i++) {
    SB_TRY(read_table(&m->sources[i], "probes.tsv", &others[i]));
    if (others[i].columns != columns || others[i].rows != best->rows)
      status = sb_error(SB_FORMAT, "%s: its probes.tsv is damaged", m->sources[i].folder);
    SB_TRY(status);
    for (size_t row = 0; row < best->rows; row++)
      for (size_t c = IDENTITY_COLUMNS; c < columns; c++) {
        char **cell = &best->cells[row * columns + c];
        const char *other = sb_tsv_cell(&others[i], row, c);
        if (closer(other, *cell, m->measures[c - IDENTITY_COLUMNS]->info.higher_is_closer))
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

static void write_gallery(const merge *m, FILE *file) {
  const sb_tsv *t = &m->gallery_table;
  put_line(file, t->header, t->columns);
  for (size_t row = 0; row < t->rows; row++)
    put_line(file, &t->cells[row * t->columns], t->columns);
}

// ---- Arrays -------------------------------------------------------------------------------------

// An array file of a share, open where its elements begin. NULL and SB_OK: there is none.
static sb_status open_array(const source *s, const char *name, const sb_npy *expected,
                            FILE **file) {
  char header[SB_NPY_HEADER], *path = sb_path_join(s->folder, name);
  sb_npy array;
  int64_t offset = 0;
  *file = NULL;
  if (path == NULL) return out_of_memory();
  sb_status status = sb_ok();
  if (!sb_is_file(path)) goto cleanup;
  *file = fopen(path, "rb");
  if (*file == NULL || fread(header, 1, sizeof header, *file) != sizeof header)
    status = sb_error(SB_IO, "%s: cannot be read", path);
  SB_TRY(status);
  SB_TRY(sb_npy_parse(path, header, sizeof header, &array, &offset));
  if (strcmp(array.type, expected->type) != 0 || array.rows != expected->rows ||
      array.columns != expected->columns || offset != SB_NPY_HEADER)
    status = sb_error(SB_FORMAT,
                      "%s: is not of the size that the scans have; link that shard again", path);
cleanup:
  free(path);
  if (status.code != SB_OK && *file != NULL) {
    fclose(*file);
    *file = NULL;
  }
  return status;
}

static sb_status short_array(const source *s, const char *name) {
  return sb_error(SB_FORMAT, "%s: its %s ends too early; link that shard again", s->folder, name);
}

static sb_status create_array(sb_results *results, const char *name, const sb_npy *array,
                              FILE **file) {
  char header[SB_NPY_HEADER];
  sb_status status = sb_results_create(results, name, file);
  if (status.code != SB_OK) return status;
  sb_npy_format(array, header);
  fwrite(header, 1, sizeof header, *file);
  return status;
}

// The sums of the shares' counts, a probe at a time.
static sb_status add_counts(const merge *m, sb_results *results, const char *name, int64_t bins) {
  const sb_npy array = {"<i8", m->probe_count, bins};
  FILE **in = NULL, *out = NULL;
  int64_t *sum = NULL, *line = NULL;
  sb_status status;
  // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
  SB_TRY(SB_NEW_ZERO(&in, m->count, "histograms"));
  SB_TRY(SB_NEW(&sum, bins, "histograms"));
  SB_TRY(SB_NEW(&line, bins, "histograms"));
  for (size_t i = 0; i < m->count; i++) SB_TRY(open_array(&m->sources[i], name, &array, &in[i]));
  if (in[0] == NULL) goto cleanup;
  SB_TRY(create_array(results, name, &array, &out));
  for (int64_t p = 0; p < m->probe_count; p++) {
    memset(sum, 0, (size_t)bins * sizeof *sum);
    for (size_t i = 0; i < m->count; i++) {
      if (in[i] == NULL || fread(line, sizeof *line, (size_t)bins, in[i]) != (size_t)bins) {
        status = short_array(&m->sources[i], name);
        goto cleanup;
      }
      for (int64_t b = 0; b < bins; b++) sum[b] += line[b];
    }
    fwrite(sum, sizeof *sum, (size_t)bins, out);
  }
cleanup:
  for (size_t i = 0; in != NULL && i < m->count; i++)
    if (in[i] != NULL) fclose(in[i]);
  free(in);
  free(sum);
  free(line);
  return status;
}

static sb_status copy_edges(const merge *m, sb_results *results, const char *name, int64_t bins) {
  const sb_npy array = {"<f8", bins + 1, 0};
  FILE *in = NULL, *out = NULL;
  double *edges = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&edges, bins + 1, "edges"));
  SB_TRY(open_array(&m->sources[0], name, &array, &in));
  if (in == NULL || fread(edges, sizeof *edges, (size_t)bins + 1, in) != (size_t)bins + 1)
    status = short_array(&m->sources[0], name);
  SB_TRY(status);
  SB_TRY(create_array(results, name, &array, &out));
  fwrite(edges, sizeof *edges, (size_t)bins + 1, out);
cleanup:
  if (in != NULL) fclose(in);
  free(edges);
  return status;
}

// Columns of a probe's line of the matrix that a share computed: all of its own probes'; in a
// self-comparison its own probes' scans in the lines after them, and no scan before them.
static sb_range columns_of(const merge *m, const source *s, int64_t probe) {
  const sb_range own = s->range;
  if (!m->self)
    return probe >= own.first && probe < own.last ? (sb_range){0, m->gallery_count}
                                                  : (sb_range){0, 0};
  if (probe < own.first) return (sb_range){0, 0};
  return (sb_range){own.first, probe < own.last ? m->gallery_count : own.last};
}

static sb_status join_matrix(const merge *m, sb_results *results, const char *name) {
  const sb_npy array = {"<f4", m->probe_count, m->gallery_count};
  FILE **in = NULL, *out = NULL;
  float *line = NULL;
  sb_status status;
  // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
  SB_TRY(SB_NEW_ZERO(&in, m->count, "matrices"));
  SB_TRY(SB_NEW_ZERO(&line, m->gallery_count, "matrices"));
  for (size_t i = 0; i < m->count; i++) SB_TRY(open_array(&m->sources[i], name, &array, &in[i]));
  if (in[0] == NULL) goto cleanup;
  SB_TRY(create_array(results, name, &array, &out));
  for (int64_t p = 0; p < m->probe_count; p++) {
    for (size_t i = 0; i < m->count; i++) {
      const sb_range columns = columns_of(m, &m->sources[i], p);
      const size_t count = (size_t)(columns.last - columns.first);
      if (count == 0) continue;
      const int64_t at =
          SB_NPY_HEADER + (p * m->gallery_count + columns.first) * (int64_t)sizeof *line;
      if (in[i] == NULL || fseeko(in[i], at, SEEK_SET) != 0 ||
          fread(line + columns.first, sizeof *line, count, in[i]) != count) {
        status = short_array(&m->sources[i], name);
        goto cleanup;
      }
    }
    fwrite(line, sizeof *line, (size_t)m->gallery_count, out);
  }
cleanup:
  for (size_t i = 0; in != NULL && i < m->count; i++)
    if (in[i] != NULL) fclose(in[i]);
  free(in);
  free(line);
  return status;
}

static sb_status merge_arrays(const merge *m, sb_results *results, int measure) {
  const cJSON *list = cJSON_GetObjectItemCaseSensitive(m->sources[0].summary, "measures");
  const int64_t bins = (int64_t)number_in(cJSON_GetArrayItem(list, measure), "histogram_bins", 0);
  static const char *const patterns[] = {"nonmated-%s.npy", "nonmated-%s-within.npy",
                                         "nonmated-%s-edges.npy", "scores-%s.npy"};
  char names[4][64];
  sb_status status = sb_ok();
  if (bins < 1 || bins > 1000000)
    status = sb_error(SB_FORMAT, "%s: is damaged: a measure without its histogram",
                      m->sources[0].summary_path);
  SB_TRY(status);
  for (int i = 0; i < 4; i++)
    snprintf(names[i], sizeof names[i], patterns[i], m->measures[measure]->info.name);
  SB_TRY(add_counts(m, results, names[0], bins));
  SB_TRY(add_counts(m, results, names[1], bins));
  SB_TRY(copy_edges(m, results, names[2], bins));
  SB_TRY(join_matrix(m, results, names[3]));
cleanup:
  return status;
}

// ---- summary.json -------------------------------------------------------------------------------

static void set_number(cJSON *object, const char *name, double value) {
  cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  if (item != NULL) cJSON_SetNumberValue(item, value);
}

// Adds up what each stage took in all shares.
static void add_seconds(cJSON *into, const cJSON *from) {
  cJSON *item;
  cJSON_ArrayForEach(item, into)
      cJSON_SetNumberValue(item, item->valuedouble + number_in(from, item->string, 0));
}

static void join_precisions(cJSON *into, const cJSON *from) {
  if (strcmp(text_in(into, "precision"), text_in(from, "precision")) != 0)
    cJSON_ReplaceItemInObjectCaseSensitive(into, "precision", cJSON_CreateString("mixed"));
}

static void join_screens(cJSON *into, const cJSON *from) {
  for (int i = 0; i < cJSON_GetArraySize(into); i++) {
    cJSON *item = cJSON_GetArrayItem(into, i);
    const cJSON *other = cJSON_GetArrayItem(from, i);
    set_number(item, "screen_bound",
               fmax(number_in(item, "screen_bound", 0), number_in(other, "screen_bound", 0)));
    join_precisions(item, other);
  }
}

// The first share's, with what differs between shares put together. What does not, is told of the first:
// machine and plan.
static sb_status write_summary(const merge *m, sb_results *results, sb_link_summary *summary) {
  cJSON *root = cJSON_Duplicate(m->sources[0].summary, true);
  double pairs = 0, mated = 0;
  for (size_t i = 0; i < m->count; i++) {
    const cJSON *from = m->sources[i].summary;
    pairs += number_in(from, "pairs", 0);
    mated += number_in(from, "mated_pairs", 0);
    if (i == 0) continue;
    add_seconds(cJSON_GetObjectItemCaseSensitive(root, "seconds"),
                cJSON_GetObjectItemCaseSensitive(from, "seconds"));
    join_screens(cJSON_GetObjectItemCaseSensitive(root, "measures"),
                 cJSON_GetObjectItemCaseSensitive(from, "measures"));
    join_precisions(cJSON_GetObjectItemCaseSensitive(root, "parameters"),
                    cJSON_GetObjectItemCaseSensitive(from, "parameters"));
  }
  set_number(root, "pairs", pairs);
  set_number(root, "mated_pairs", mated);
  cJSON *share = cJSON_GetObjectItemCaseSensitive(root, "share");
  set_number(share, "index", (double)m->share.index);
  set_number(share, "count", (double)m->share.count);
  if (sb_share_is_whole(m->share)) {
    cJSON_DeleteItemFromObjectCaseSensitive(root, "share");
    cJSON_DeleteItemFromObjectCaseSensitive(root, "request");
  }
  cJSON_AddNumberToObject(root, "merged_from", (double)m->count);
  *summary = (sb_link_summary){
      .gallery = m->gallery_count,
      .probes = m->probe_count,
      .measures = m->measure_count,
      .pairs = (int64_t)pairs,
      .mated = (int64_t)mated,
      .mirrored = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "mirrored")),
      .seconds = number_in(cJSON_GetObjectItemCaseSensitive(root, "seconds"), "total", 0)};
  char *printed = cJSON_Print(root);
  char *text = printed == NULL ? NULL : sb_format("%s\n", printed);
  sb_status status = text == NULL ? out_of_memory() : sb_results_publish(results, text);
  cJSON_free(printed);
  cJSON_Delete(root);
  free(text);
  return status;
}

// ---- The whole ----------------------------------------------------------------------------------

sb_status sb_merge_shares(const char *const *folders, size_t count, sb_share share, const char *out,
                          sb_link_summary *summary) {
  merge m = {.count = count, .share = share};
  sb_results results = {0};
  FILE *file = NULL;
  sb_status status;
  SB_TRY(open_merge(&m, folders));
  SB_TRY(sb_results_open(out, &results));
  for (size_t i = 0; i < count; i++) SB_TRY(read_matches(&m, &m.sources[i]));
  SB_TRY(sb_results_create(&results, "matches.tsv", &file));
  fputs(SB_MATCHES_HEADER, file);
  SB_TRY(write_matches(&m, file));
  SB_TRY(sb_results_create(&results, "mated.tsv", &file));
  fputs(SB_MATED_HEADER, file);
  SB_TRY(write_mated(&m, file));
  for (int measure = 0; measure < m.measure_count; measure++)
    SB_TRY(merge_arrays(&m, &results, measure));
  SB_TRY(sb_results_create(&results, "probes.tsv", &file));
  SB_TRY(write_probes(&m, file));
  SB_TRY(sb_results_create(&results, "gallery.tsv", &file));
  write_gallery(&m, file);
  SB_TRY(write_summary(&m, &results, summary));
cleanup:
  sb_results_close(&results);
  close_merge(&m);
  return status;
}

static bool same_folder(const char *one, const char *other) {
  char *a = realpath(one, NULL), *b = realpath(other, NULL);
  bool same = a != NULL && b != NULL && strcmp(a, b) == 0;
  free(a);
  free(b);
  return same;
}

sb_status sb_merge(const char *const *folders, size_t count, const char *out,
                   sb_link_summary *summary) {
  if (count == 0) return sb_error(SB_USAGE, "there is nothing to merge");
  for (size_t i = 0; i < count; i++)
    if (same_folder(folders[i], out))
      return sb_error(SB_USAGE, "%s: is one of the shards; name another folder for the results",
                      out);
  return sb_merge_shares(folders, count, (sb_share){0, 0}, out, summary);
}
