// What link, evaluate and check left in a folder, as the page needs it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "report/page.h"
#include "store/mirror.h"

enum {
  PICTURE_BYTES = 5000000 // the page stays below 10 MB; tables and plots take at most the rest
};

// ---- JSON ---------------------------------------------------------------------------------------

bool sb_json_interval(const cJSON *figures, const char *name, double *low, double *high) {
  const cJSON *ends = sb_json_at(sb_json_at(figures, "intervals"), name);
  const cJSON *first = cJSON_GetArrayItem(ends, 0), *second = cJSON_GetArrayItem(ends, 1);
  *low = *high = (double)NAN;
  if (!cJSON_IsNumber(first) || !cJSON_IsNumber(second)) return false;
  *low = first->valuedouble;
  *high = second->valuedouble;
  return true;
}

// A JSON file with the given kind. A missing one leaves *out NULL.
static sb_status read_json(const char *folder, const char *name, const char *kind, cJSON **out) {
  char *path = sb_path_join(folder, name), *text = NULL;
  size_t bytes;
  *out = NULL;
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", folder) : sb_ok();
  SB_TRY(status);
  if (!sb_is_file(path)) goto cleanup;
  SB_TRY(sb_read_file(path, &text, &bytes));
  *out = cJSON_Parse(text);
  if (strcmp(sb_json_text(*out, "kind"), kind) != 0)
    status = sb_error(SB_FORMAT, "%s: damaged, or not of a %s", path, kind);
cleanup:
  free(text);
  free(path);
  return status;
}

// ---- Measures -----------------------------------------------------------------------------------

int sb_page_measure_count(const sb_page *page) {
  int count = cJSON_GetArraySize(sb_json_at(page->summary, "measures"));
  return count < 64 ? count : 64;
}

const cJSON *sb_page_measure(const sb_page *page, int i) {
  return cJSON_GetArrayItem(sb_json_at(page->summary, "measures"), i);
}

const char *sb_page_measure_name(const sb_page *page, int i) {
  return sb_json_text(sb_page_measure(page, i), "name");
}

const cJSON *sb_page_figures(const sb_page *page, int i) {
  const cJSON *figures;
  cJSON_ArrayForEach(figures, sb_json_at(page->evaluation, "measures")) {
    if (strcmp(sb_json_text(figures, "measure"), sb_page_measure_name(page, i)) == 0)
      return figures;
  }
  return NULL;
}

// ---- Tables -------------------------------------------------------------------------------------

char *sb_page_path(const sb_page *page, const char *prefix, const char *measure,
                   const char *suffix) {
  return sb_format("%s/%s-%s%s", page->folder, prefix, measure, suffix);
}

void sb_columns_free(sb_columns *columns) {
  for (int i = 0; i < 8; i++) free(columns->columns[i]);
  memset(columns, 0, sizeof *columns);
}

static double number_in(const sb_tsv *table, size_t row, size_t column) {
  const char *cell = sb_tsv_cell(table, row, column);
  char *end;
  double value = strtod(cell, &end);
  return end == cell || *end != '\0' ? (double)NAN : value;
}

sb_status sb_columns_read(const sb_page *page, const char *prefix, const char *measure,
                          const char *const *names, const char *rule, sb_columns *out) {
  char *path = sb_page_path(page, prefix, measure, ".tsv");
  sb_tsv table = {0};
  memset(out, 0, sizeof *out);
  sb_status status =
      path == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", page->folder) : sb_ok();
  SB_TRY(status);
  if (!sb_is_file(path)) goto cleanup;
  SB_TRY(sb_tsv_read(path, &table));
  size_t column[8], rules = 0;
  int count = 0;
  if (rule != NULL) SB_TRY(sb_tsv_need_own(&table, path, "rule", "evaluate again", &rules));
  for (; names[count] != NULL; count++) {
    SB_TRY(sb_tsv_need_own(&table, path, names[count], "evaluate again", column + count));
    SB_TRY(SB_NEW(&out->columns[count], table.rows + 1, path));
  }
  for (size_t row = 0; row < table.rows; row++) {
    if (rule != NULL && strcmp(sb_tsv_cell(&table, row, rules), rule) != 0) continue;
    for (int i = 0; i < count; i++) out->columns[i][out->rows] = number_in(&table, row, column[i]);
    out->rows++;
  }
cleanup:
  if (status.code != SB_OK) sb_columns_free(out);
  sb_tsv_free(&table);
  free(path);
  return status;
}

// ---- Pairs --------------------------------------------------------------------------------------

static void measures_of(const sb_page *page, sb_pair_measures *out) {
  out->count = sb_page_measure_count(page);
  for (int i = 0; i < out->count; i++) {
    out->names[i] = sb_page_measure_name(page, i);
    out->direction[i] =
        cJSON_IsFalse(sb_json_at(sb_page_measure(page, i), "higher_is_closer")) ? -1 : 1;
  }
}

static sb_status read_pairs(sb_page *page) {
  sb_pair_measures measures;
  measures_of(page, &measures);
  char *links = sb_path_join(page->folder, "links.tsv");
  char *matches = sb_path_join(page->folder, "matches.tsv");
  char *check = sb_path_join(page->folder, "check.tsv");
  sb_status status = links == NULL || matches == NULL || check == NULL
                         ? sb_error(SB_NO_MEMORY, "%s: out of memory", page->folder)
                         : sb_ok();
  SB_TRY(status);
  if (page->evaluation != NULL) {
    SB_TRY(sb_pairs_of_links(links, &measures, &page->links));
    SB_TRY(sb_pairs_closest_other(matches, &measures, 0, &page->links, &page->other));
  } else {
    SB_TRY(sb_pairs_of_matches(matches, &measures, page->self, &page->links));
  }
  if (page->check != NULL) SB_TRY(sb_pairs_of_check(check, &page->checks));
cleanup:
  free(links);
  free(matches);
  free(check);
  return status;
}

// ---- Stores -------------------------------------------------------------------------------------

int64_t sb_store_find(const sb_store *store, const char *dataset, const char *scan_id) {
  if (store == NULL) return -1;
  int64_t low = 0, high = sb_store_count(store);
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    const sb_scan *scan = &sb_store_record(store, middle)->scan;
    int order = strcmp(scan->dataset, dataset);
    if (order == 0) order = strcmp(scan->scan_id, scan_id);
    if (order == 0) return middle;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return -1;
}

// Whether the store has the scans that were linked, of the same files: *why says where not.
static sb_status has_linked_scans(const sb_page *page, const sb_store *store, const char *name,
                                  char *why, size_t size) {
  char *path = sb_path_join(page->folder, name);
  sb_tsv table = {0};
  size_t dataset, scan, hash;
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_tsv_read(path, &table));
  SB_TRY(sb_tsv_need_own(&table, path, "dataset", "link again", &dataset));
  SB_TRY(sb_tsv_need_own(&table, path, "scan_id", "link again", &scan));
  SB_TRY(sb_tsv_need_own(&table, path, "source_sha256", "link again", &hash));
  for (size_t row = 0; row < table.rows && *why == '\0'; row++) {
    const char *id = sb_tsv_cell(&table, row, scan);
    int64_t i = sb_store_find(store, sb_tsv_cell(&table, row, dataset), id);
    if (i < 0 || strcmp(sb_store_record(store, i)->source_sha256,
                        sb_tsv_text(sb_tsv_cell(&table, row, hash))) != 0)
      snprintf(why, size, "%.250s: another store than the one that was linked (%.60s)",
               sb_store_path(store), id);
  }
cleanup:
  sb_tsv_free(&table);
  free(path);
  return status;
}

// A store that cannot be used any more is no error: the page says so.
static sb_status open_store(sb_page *page, const char *name, const char *scans, sb_store **out) {
  const cJSON *told = sb_json_at(sb_json_at(page->summary, "stores"), name);
  const char *path = sb_json_text(told, "path");
  char why[sizeof page->why_no_store] = "";
  *out = NULL;
  sb_status status = sb_store_open(path, out);
  if (status.code != SB_OK)
    snprintf(why, sizeof why, "%.390s", status.message);
  else if (strcmp(sb_store_template_hash(*out), sb_json_text(told, "template_hash")) != 0 ||
           strcmp(sb_store_parameters(*out), sb_json_text(told, "parameters")) != 0)
    snprintf(why, sizeof why, "%.300s: another store than the one that was linked", path);
  status =
      *out == NULL || *why != '\0' ? sb_ok() : has_linked_scans(page, *out, scans, why, sizeof why);
  if (*why == '\0') return status;
  memcpy(page->why_no_store, why, sizeof why);
  sb_store_close(*out);
  *out = NULL;
  return status;
}

static sb_status open_stores(sb_page *page) {
  sb_status status = open_store(page, "gallery", "gallery.tsv", &page->gallery);
  if (page->self)
    page->probe = page->gallery;
  else if (status.code == SB_OK)
    status = open_store(page, "probe", "probes.tsv", &page->probe);
  if (status.code == SB_OK && page->mirrored && page->probe != NULL)
    status = sb_store_mirror_all(page->probe);
  return status;
}

// ---- All ----------------------------------------------------------------------------------------

// Whether it was a check that linked; not its second link, of mirror images, which is a folder of its own.
static bool is_of_check(const sb_page *page) {
  static const char check[] = "samebrain check ";
  const char *command = sb_json_text(page->summary, "command");
  return strncmp(command, check, strlen(check)) == 0 && !page->mirrored;
}

sb_status sb_page_open(const char *folder, const sb_report_options *options, sb_page *page) {
  *page =
      (sb_page){.folder = folder, .images = options->images, .picture_bytes_left = PICTURE_BYTES};
  sb_status status;
  SB_TRY(read_json(folder, "summary.json", "samebrain link", &page->summary));
  if (page->summary == NULL) {
    status = sb_error(SB_NOT_FOUND,
                      "%s: no summary.json there: not a folder that link wrote, or link did not "
                      "finish",
                      folder);
    goto cleanup;
  }
  SB_TRY(read_json(folder, "evaluation.json", "samebrain evaluation", &page->evaluation));
  SB_TRY(read_json(folder, "check.json", "samebrain check", &page->check));
  page->self = cJSON_IsTrue(sb_json_at(page->summary, "self"));
  page->mirrored = cJSON_IsTrue(sb_json_at(page->summary, "mirrored"));
  page->unfinished = page->check == NULL && is_of_check(page);
  if (sb_page_measure_count(page) < 1) {
    status = sb_error(SB_FORMAT, "%s/summary.json: names no measure; link again", folder);
    goto cleanup;
  }
  SB_TRY(read_pairs(page));
  SB_TRY(open_stores(page));
cleanup:
  if (status.code != SB_OK) sb_page_close(page);
  return status;
}

void sb_page_close(sb_page *page) {
  cJSON_Delete(page->summary);
  cJSON_Delete(page->evaluation);
  cJSON_Delete(page->check);
  sb_pairs_free(&page->links);
  sb_pairs_free(&page->other);
  sb_pairs_free(&page->checks);
  if (page->probe != page->gallery) sb_store_close(page->probe);
  sb_store_close(page->gallery);
  memset(page, 0, sizeof *page);
}
