#include "engine/merge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/json.h"
#include "engine/merging.h"

static void set_number(cJSON *object, const char *name, double value) {
  cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  if (item != NULL) cJSON_SetNumberValue(item, value);
}

// Adds up what each stage took in all shares.
static void add_seconds(cJSON *into, const cJSON *from) {
  cJSON *item;
  cJSON_ArrayForEach(item, into)
      cJSON_SetNumberValue(item, item->valuedouble + sb_json_number_or(from, item->string, 0));
}

static void join_precisions(cJSON *into, const cJSON *from) {
  if (strcmp(sb_json_text(into, "precision"), sb_json_text(from, "precision")) != 0)
    cJSON_ReplaceItemInObjectCaseSensitive(into, "precision", cJSON_CreateString("mixed"));
}

static void join_screens(cJSON *into, const cJSON *from) {
  for (int i = 0; i < cJSON_GetArraySize(into); i++) {
    cJSON *item = cJSON_GetArrayItem(into, i);
    const cJSON *other = cJSON_GetArrayItem(from, i);
    set_number(item, "screen_bound",
               fmax(sb_json_number_or(item, "screen_bound", 0),
                    sb_json_number_or(other, "screen_bound", 0)));
    set_number(item, "rows_read",
               sb_json_number_or(item, "rows_read", 0) + sb_json_number_or(other, "rows_read", 0));
    join_precisions(item, other);
  }
}

// The first share's, with what differs between shares put together. What does not, is told of the first:
// machine and plan.
static sb_status write_summary(const sb_merging *m, sb_results *results, sb_link_summary *summary) {
  cJSON *root = cJSON_Duplicate(m->sources[0].summary, true);
  double pairs = 0, mated = 0;
  for (size_t i = 0; i < m->count; i++) {
    const cJSON *from = m->sources[i].summary;
    pairs += sb_json_number_or(from, "pairs", 0);
    mated += sb_json_number_or(from, "mated_pairs", 0);
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
  set_number(share, "last", (double)m->sources[m->count - 1].range.last);
  if (sb_share_is_whole(m->share)) {
    cJSON_DeleteItemFromObjectCaseSensitive(root, "share");
    cJSON_DeleteItemFromObjectCaseSensitive(root, "request");
  }
  cJSON_DeleteItemFromObjectCaseSensitive(root, "merged_from"); // of a share that was done in parts
  cJSON_AddNumberToObject(root, "merged_from", (double)m->count);
  *summary = (sb_link_summary){
      .gallery = m->gallery_count,
      .probes = m->probe_count,
      .measures = m->measure_count,
      .pairs = (int64_t)pairs,
      .mated = (int64_t)mated,
      .mirrored = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "mirrored")),
      .seconds = sb_json_number_or(cJSON_GetObjectItemCaseSensitive(root, "seconds"), "total", 0)};
  sb_status status = sb_results_publish(results, root);
  cJSON_Delete(root);
  return status;
}

sb_status sb_merge_shares(const char *const *folders, size_t count, sb_share share, const char *out,
                          bool keep, const sb_progress *progress, sb_link_summary *summary) {
  sb_merging m = {.count = count, .share = share};
  sb_results results = {0};
  FILE *file = NULL;
  sb_status status;
  SB_TRY(sb_merging_open(&m, folders));
  const char *command = sb_json_text(m.sources[0].summary, "command");
  SB_TRY(sb_results_open(out, &(sb_results_use){command, keep, progress}, &results));
  SB_TRY(sb_results_create(&results, "matches.tsv", &file));
  SB_TRY(sb_merging_matches(&m, file));
  SB_TRY(sb_results_create(&results, "mated.tsv", &file));
  SB_TRY(sb_merging_mated(&m, file));
  for (int measure = 0; measure < m.measure_count; measure++)
    SB_TRY(sb_merging_arrays(&m, &results, measure));
  SB_TRY(sb_results_create(&results, "probes.tsv", &file));
  SB_TRY(sb_merging_probes(&m, file));
  SB_TRY(sb_results_create(&results, "gallery.tsv", &file));
  sb_merging_gallery(&m, file);
  SB_TRY(write_summary(&m, &results, summary));
cleanup:
  sb_results_close(&results);
  sb_merging_close(&m);
  return status;
}

static bool same_folder(const char *one, const char *other) {
  char *a = realpath(one, NULL), *b = realpath(other, NULL);
  bool same = a != NULL && b != NULL && strcmp(a, b) == 0;
  free(a);
  free(b);
  return same;
}

sb_status sb_merge(const char *const *folders, size_t count, const char *out, bool keep,
                   const sb_progress *progress, sb_link_summary *summary) {
  sb_link_summary unread;
  if (summary == NULL) summary = &unread;
  if (count == 0) return sb_error(SB_USAGE, "there is nothing to merge");
  for (size_t i = 0; i < count; i++)
    if (same_folder(folders[i], out))
      return sb_error(SB_USAGE, "%s: is one of the shards; name another folder for the results",
                      out);
  return sb_merge_shares(folders, count, (sb_share){0, 0}, out, keep, progress, summary);
}
