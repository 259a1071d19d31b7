// matches.tsv of several shards: of each probe's matches the closest, ranked anew.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/merging.h"

// A line of matches.tsv.
typedef struct match {
  int64_t probe, gallery;
  int measure;
  double score, closeness;
} match;

typedef struct match_list {
  match *items;
  int64_t count, capacity;
} match_list;

static sb_status add_match(match_list *list, const match *item) {
  if (list->count == list->capacity) {
    int64_t more = list->capacity > 0 ? 2 * list->capacity : 4096;
    match *grown = realloc(list->items, (size_t)more * sizeof *grown);
    if (grown == NULL) return sb_merging_no_memory();
    list->items = grown;
    list->capacity = more;
  }
  list->items[list->count++] = *item;
  return sb_ok();
}

static int measure_number(const sb_merging *m, const char *name) {
  const int all = m->refine >= 0 ? m->refine + 1 : m->measure_count;
  for (int i = 0; i < all; i++)
    if (strcmp(m->measures[i]->info.name, name) == 0) return i;
  return -1;
}

static sb_status read_matches(const sb_merging *m, const sb_shard_folder *s, match_list *list) {
  sb_tsv table = {0};
  sb_status status;
  SB_TRY(sb_merging_table(s, "matches.tsv", &table));
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
    SB_TRY(add_match(list, &item));
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

static void put_match(FILE *file, const sb_merging *m, const match *item, int64_t rank) {
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

static sb_status write_list(const sb_merging *m, const match_list *list, FILE *file) {
  sb_pairs listed = {0};
  sb_status status = sb_ok();
  bool sorted = false;
  int64_t rank = 0;
  for (int64_t i = 0; i < list->count; i++) {
    const match *item = &list->items[i], *before = i > 0 ? item - 1 : NULL;
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

sb_status sb_merging_matches(const sb_merging *m, FILE *file) {
  match_list list = {0};
  sb_status status = sb_ok();
  for (size_t i = 0; i < m->count; i++) SB_TRY(read_matches(m, &m->sources[i], &list));
  if (list.count > 1) qsort(list.items, (size_t)list.count, sizeof *list.items, by_rank);
  fputs(SB_MATCHES_HEADER, file);
  SB_TRY(write_list(m, &list, file));
cleanup:
  free(list.items);
  return status;
}
