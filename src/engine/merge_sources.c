// What the folders are that are to be merged.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "engine/json.h"
#include "engine/merging.h"

sb_status sb_merging_no_memory(void) {
  return sb_error(SB_NO_MEMORY, "merging: out of memory");
}

void sb_merging_close(sb_merging *m) {
  for (size_t i = 0; m->sources != NULL && i < m->count; i++) {
    cJSON_Delete(m->sources[i].summary);
    free(m->sources[i].summary_path);
  }
  free(m->sources);
  free(m->probes);
  free(m->gallery);
  sb_tsv_free(&m->probe_table);
  sb_tsv_free(&m->gallery_table);
}

static sb_status open_source(const char *folder, sb_shard_folder *s) {
  char *text = NULL;
  size_t bytes;
  s->folder = folder;
  s->summary_path = sb_path_join(folder, "summary.json");
  sb_status status = s->summary_path == NULL ? sb_merging_no_memory() : sb_ok();
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
  s->share = (sb_share){(int64_t)sb_json_number_or(share, "index", -1),
                        (int64_t)sb_json_number_or(share, "count", 0)};
  s->range = (sb_range){(int64_t)sb_json_number_or(share, "first", -1),
                        (int64_t)sb_json_number_or(share, "last", -1)};
  if (strcmp(sb_json_text(s->summary, "kind"), "samebrain link") != 0)
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
  const sb_shard_folder *a = left, *b = right;
  return a->share.index < b->share.index ? -1 : a->share.index > b->share.index;
}

// All shares of the whole, each once, and of one run.
static sb_status check_sources(const sb_merging *m) {
  const sb_shard_folder *first = &m->sources[0];
  const int64_t expected = first->share.count / sb_share_count(m->share);
  for (size_t i = 0; i < m->count; i++) {
    const sb_shard_folder *s = &m->sources[i];
    if (s->share.count != first->share.count)
      return sb_error(SB_CONFLICT, "%s is one of %lld shards and %s one of %lld: not of one run",
                      first->folder, (long long)first->share.count, s->folder,
                      (long long)s->share.count);
    if (strcmp(sb_json_text(s->summary, "request"), sb_json_text(first->summary, "request")) != 0)
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

static sb_status read_request(sb_merging *m) {
  const cJSON *summary = m->sources[0].summary, *item;
  const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(summary, "parameters");
  const cJSON *refine = cJSON_GetObjectItemCaseSensitive(summary, "refine");
  sb_status status = sb_ok();
  m->self = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(summary, "self"));
  m->top = (int64_t)sb_json_number_or(parameters, "top", 0);
  m->threshold = sb_json_number_or(parameters, "threshold", (double)NAN);
  m->refine = -1;
  cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(summary, "measures")) {
    if (m->measure_count == SB_MOST_MERGED - 1) break;
    SB_TRY(sb_measure_need(sb_json_text(item, "name"), &m->measures[m->measure_count++]));
  }
  if (m->measure_count == 0 || m->top < 1)
    status = sb_error(SB_FORMAT, "%s: is damaged: no measures, or no number of matches",
                      m->sources[0].summary_path);
  SB_TRY(status);
  if (refine != NULL) {
    m->refine = m->measure_count;
    SB_TRY(sb_measure_need(sb_json_text(refine, "measure"), &m->measures[m->refine]));
  }
cleanup:
  return status;
}

sb_status sb_merging_table(const sb_shard_folder *s, const char *name, sb_tsv *table) {
  char *path = sb_path_join(s->folder, name);
  if (path == NULL) return sb_merging_no_memory();
  sb_status status = sb_tsv_read(path, table);
  free(path);
  return status;
}

static sb_status read_scans(const sb_shard_folder *s, const char *name, sb_tsv *table,
                            sb_identity **list, int64_t *count) {
  sb_status status;
  SB_TRY(sb_merging_table(s, name, table));
  if (table->columns < SB_IDENTITY_COLUMNS)
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

// Each goes on where the one before it ends, and all of them are the whole.
static sb_status check_ranges(const sb_merging *m) {
  const sb_range whole = sb_share_range(m->share, m->probe_count, m->self);
  int64_t at = whole.first;
  for (size_t i = 0; i < m->count; i++) {
    const sb_range range = m->sources[i].range;
    const bool last = i + 1 == m->count;
    if (range.first != at || range.last < at || (last && range.last != whole.last))
      return sb_error(SB_CONFLICT,
                      "%s: its probes are not those between the shards before and after it; link "
                      "this shard again",
                      m->sources[i].folder);
    at = range.last;
  }
  return sb_ok();
}

sb_status sb_merging_open(sb_merging *m, const char *const *folders) {
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&m->sources, m->count, "shards"));
  for (size_t i = 0; i < m->count; i++) SB_TRY(open_source(folders[i], &m->sources[i]));
  qsort(m->sources, m->count, sizeof *m->sources, by_share);
  SB_TRY(check_sources(m));
  SB_TRY(read_request(m));
  const sb_shard_folder *first = &m->sources[0];
  SB_TRY(read_scans(first, "probes.tsv", &m->probe_table, &m->probes, &m->probe_count));
  SB_TRY(read_scans(first, "gallery.tsv", &m->gallery_table, &m->gallery, &m->gallery_count));
  SB_TRY(check_ranges(m));
cleanup:
  return status;
}
