#include "evaluate/folder.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"

static sb_status damaged(const char *path, const char *what) {
  return sb_error(SB_FORMAT, "%s: %s; the results are damaged, link again", path, what);
}

// ---- summary.json -------------------------------------------------------------------------------

static sb_status need_text(const cJSON *object, const char *path, const char *name, char **text) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  if (!cJSON_IsString(item)) return sb_error(SB_FORMAT, "%s: has no text \"%s\"", path, name);
  *text = sb_strdup(item->valuestring);
  return *text == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", path) : sb_ok();
}

static sb_status read_store(const cJSON *stores, const char *path, const char *name,
                            sb_linked_store *store) {
  const cJSON *object = cJSON_GetObjectItemCaseSensitive(stores, name);
  sb_status status = need_text(object, path, "path", &store->path);
  if (status.code == SB_OK)
    status = need_text(object, path, "template_hash", &store->template_hash);
  if (status.code == SB_OK) status = need_text(object, path, "parameters", &store->parameters);
  return status;
}

static sb_status read_mode(const cJSON *root, const char *path, sb_identity_mode *mode) {
  const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(root, "parameters");
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(parameters, "identities");
  for (int i = SB_IDENTITIES_LABELS; i <= SB_IDENTITIES_NONE; i++)
    if (cJSON_IsString(item) &&
        strcmp(item->valuestring, sb_identity_mode_name((sb_identity_mode)i)) == 0) {
      *mode = (sb_identity_mode)i;
      return sb_ok();
    }
  return damaged(path, "does not say what identities were used");
}

static double number_in(const cJSON *object, const char *name) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  return cJSON_IsNumber(item) && item->valuedouble > 0 ? item->valuedouble : 0;
}

// How much the parts of a combination weighed.
static sb_status read_weights(const cJSON *item, const char *path, sb_linked_measure *m) {
  const cJSON *parts = cJSON_GetObjectItemCaseSensitive(item, "parts");
  for (int p = 0; m->measure->parts != NULL && m->measure->parts[p] != NULL; p++) {
    m->weights[p] = number_in(cJSON_GetArrayItem(parts, p), "weight");
    if (!(m->weights[p] > 0 && m->weights[p] <= 1))
      return damaged(path, "a combination of measures without its weights");
  }
  return sb_ok();
}

static sb_status read_measures(const cJSON *root, const char *path, sb_link_folder *out) {
  const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "measures"), *item;
  if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1)
    return damaged(path, "names no measure");
  sb_status status = SB_NEW_ZERO(&out->measures, cJSON_GetArraySize(list), "measures");
  if (status.code != SB_OK) return status;
  cJSON_ArrayForEach(item, list) {
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
    const cJSON *bins = cJSON_GetObjectItemCaseSensitive(item, "histogram_bins");
    sb_linked_measure *m = out->measures + out->measure_count++;
    if (!cJSON_IsString(name) || !cJSON_IsNumber(bins) || !(bins->valuedouble >= 1) ||
        bins->valuedouble > 1e6)
      return damaged(path, "a measure without its name or histogram");
    m->bins = (int64_t)bins->valuedouble;
    m->vector_length = number_in(item, "vector_length");
    m->memory_bytes = number_in(cJSON_GetObjectItemCaseSensitive(item, "plan"), "planned_bytes");
    status = sb_measure_need(name->valuestring, &m->measure);
    if (status.code == SB_OK) status = read_weights(item, path, m);
    if (status.code != SB_OK) return status;
  }
  return status;
}

static void read_times(const cJSON *root, sb_linked_times *out) {
  const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(root, "seconds");
  const cJSON *machine = cJSON_GetObjectItemCaseSensitive(root, "machine");
  const cJSON *cpu = cJSON_GetObjectItemCaseSensitive(machine, "cpu");
  *out = (sb_linked_times){.embed = number_in(seconds, "embed"),
                           .multiply = number_in(seconds, "multiply"),
                           .select = number_in(seconds, "select"),
                           .rescore = number_in(seconds, "rescore"),
                           .write = number_in(seconds, "write"),
                           .total = number_in(seconds, "total"),
                           .threads = number_in(machine, "threads")};
  snprintf(out->machine, sizeof out->machine, "%s",
           cJSON_IsString(cpu) ? cpu->valuestring : "unknown");
}

static sb_status read_summary(const char *folder, sb_link_folder *out) {
  char *path = sb_path_join(folder, "summary.json"), *text = NULL;
  cJSON *root = NULL;
  size_t bytes;
  sb_status status = sb_ok();
  if (path == NULL) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
    goto cleanup;
  }
  status = sb_read_file(path, &text, &bytes);
  if (status.code == SB_NOT_FOUND)
    status = sb_error(
        SB_NOT_FOUND,
        "%s: no summary.json there: not a folder that link wrote, or link did not finish", folder);
  SB_TRY(status);
  root = cJSON_Parse(text);
  const cJSON *kind = cJSON_GetObjectItemCaseSensitive(root, "kind");
  if (!cJSON_IsString(kind) || strcmp(kind->valuestring, "samebrain link") != 0) {
    status = sb_error(SB_FORMAT, "%s: is not the summary of a link", path);
    goto cleanup;
  }
  if (cJSON_HasObjectItem(root, "share")) {
    status = sb_error(SB_USAGE,
                      "%s: is one shard of a link: join them all first (samebrain merge), then "
                      "evaluate the whole",
                      folder);
    goto cleanup;
  }
  out->scans.self = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "self"));
  out->mirrored = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "mirrored"));
  const cJSON *stores = cJSON_GetObjectItemCaseSensitive(root, "stores");
  SB_TRY(read_mode(root, path, &out->mode));
  SB_TRY(read_store(stores, path, "gallery", &out->gallery));
  SB_TRY(read_store(stores, path, out->scans.self ? "gallery" : "probe", &out->probe));
  SB_TRY(read_measures(root, path, out));
  read_times(root, &out->times);
  const cJSON *refine = cJSON_GetObjectItemCaseSensitive(root, "refine");
  if (refine != NULL) SB_TRY(need_text(refine, path, "measure", &out->refine));
cleanup:
  cJSON_Delete(root);
  free(text);
  free(path);
  return status;
}

// ---- Tables -------------------------------------------------------------------------------------

// A number, "n/a" giving NaN where that is allowed. False for anything else.
static bool read_number(const char *cell, bool may_be_none, double *value) {
  *value = NAN;
  if (may_be_none && strcmp(cell, "n/a") == 0) return true;
  char *end;
  *value = strtod(cell, &end);
  return end != cell && *end == '\0' && isfinite(*value);
}

static int order_of(const sb_identity *a, const sb_identity *b) {
  int order = strcmp(a->dataset, b->dataset);
  return order != 0 ? order : strcmp(a->scan_id, b->scan_id);
}

static sb_status read_scans(const char *path, sb_tsv *table, sb_identity **list, int64_t *count) {
  static const char *const names[] = {"dataset", "scan_id", "participant",
                                      "session", "person",  "source_sha256"};
  size_t column[6];
  sb_status status = sb_tsv_read(path, table);
  for (int i = 0; i < 6 && status.code == SB_OK; i++)
    status = sb_tsv_need_own(table, path, names[i], "link again", column + i);
  if (status.code == SB_OK) status = SB_NEW(list, table->rows, "scans");
  if (status.code != SB_OK) return status;
  for (size_t row = 0; row < table->rows; row++) {
    (*list)[row] = (sb_identity){.dataset = sb_tsv_cell(table, row, column[0]),
                                 .scan_id = sb_tsv_cell(table, row, column[1]),
                                 .participant = sb_tsv_text(sb_tsv_cell(table, row, column[2])),
                                 .session = sb_tsv_text(sb_tsv_cell(table, row, column[3])),
                                 .person = sb_tsv_text(sb_tsv_cell(table, row, column[4])),
                                 .source_sha256 = sb_tsv_text(sb_tsv_cell(table, row, column[5]))};
    if (row > 0 && order_of(*list + row - 1, *list + row) >= 0)
      return damaged(path, "its scans are not in order");
  }
  *count = (int64_t)table->rows;
  return *count > 0 ? sb_ok() : damaged(path, "has no scans");
}

static sb_status read_best(const char *path, const sb_tsv *table, sb_linked_measure *m) {
  char *name = sb_format("best_nonmated_%s", m->measure->info.name);
  size_t column;
  if (name == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  sb_status status = sb_tsv_need_own(table, path, name, "link again", &column);
  free(name);
  if (status.code == SB_OK) status = SB_NEW(&m->best_nonmated, table->rows, "scores");
  for (size_t row = 0; row < table->rows && status.code == SB_OK; row++)
    if (!read_number(sb_tsv_cell(table, row, column), true, m->best_nonmated + row))
      status = damaged(path, "holds a score that is not a number");
  return status;
}

// One line of matches.tsv or mated.tsv. False when it does not fit the scans and measures.
static bool read_line(const sb_link_folder *folder, const sb_tsv *table, size_t row,
                      const size_t column[7], bool ranked, sb_listed *line, size_t *measure) {
  const char *cells[7];
  for (int i = 0; i < (ranked ? 7 : 6); i++) cells[i] = sb_tsv_cell(table, row, column[i]);
  const sb_scans *scans = &folder->scans;
  line->probe = sb_identity_find(scans->probe, scans->probe_count, cells[0], cells[1]);
  line->gallery = sb_identity_find(scans->gallery, scans->gallery_count, cells[2], cells[3]);
  for (*measure = 0; *measure < folder->measure_count; ++*measure)
    if (strcmp(folder->measures[*measure].measure->info.name, cells[4]) == 0) break;
  double rank = 0;
  if (ranked && (!read_number(cells[6], false, &rank) || !(rank >= 1 && rank < 0x1p53)))
    return false;
  line->rank = (int64_t)rank;
  return line->probe >= 0 && line->gallery >= 0 && *measure < folder->measure_count &&
         read_number(cells[5], false, &line->score);
}

static sb_status append(sb_listed_array *array, const sb_listed *line, const char *path) {
  int64_t count = array->count;
  if (count >= 64 ? (count & (count - 1)) == 0 : count == 0) { // full: 0, 64, 128, 256, ...
    size_t capacity = count == 0 ? 64 : 2 * (size_t)count;
    sb_listed *grown = realloc(array->items, capacity * sizeof *grown);
    if (grown == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", path);
    array->items = grown;
  }
  array->items[array->count++] = *line;
  return sb_ok();
}

// Lists start at rank 1 and have no gaps.
static bool continues(const sb_listed_array *array, const sb_listed *line) {
  if (array->count == 0) return line->rank == 1;
  const sb_listed *last = array->items + array->count - 1;
  return last->probe == line->probe ? line->rank == last->rank + 1
                                    : line->probe > last->probe && line->rank == 1;
}

// Lines of --refine rank candidates among themselves: there is no list of all scores behind them.
static bool out_of_refinement(const sb_link_folder *folder, const char *measure) {
  return folder->refine != NULL && strcmp(folder->refine, measure) == 0;
}

static sb_status read_lines(sb_link_folder *folder, const char *path, bool ranked) {
  static const char *const names[] = {
      "probe_dataset", "probe_id", "gallery_dataset", "gallery_id", "measure", "score", "rank"};
  sb_tsv table = {0};
  size_t column[7], measure;
  sb_listed line;
  sb_status status = sb_ok();
  SB_TRY(sb_tsv_read(path, &table));
  for (int i = 0; i < (ranked ? 7 : 6); i++)
    SB_TRY(sb_tsv_need_own(&table, path, names[i], "link again", column + i));
  for (size_t row = 0; row < table.rows; row++) {
    if (out_of_refinement(folder, sb_tsv_cell(&table, row, column[4]))) continue;
    if (!read_line(folder, &table, row, column, ranked, &line, &measure)) {
      status = sb_error(SB_FORMAT,
                        "%s: its entry %zu does not fit the scans and measures linked; the results "
                        "are damaged, link again",
                        path, row + 1);
      goto cleanup;
    }
    sb_linked_measure *m = folder->measures + measure;
    if (ranked && !continues(&m->matches, &line)) {
      status = damaged(path, "a probe's ranks are not complete");
      goto cleanup;
    }
    SB_TRY(append(ranked ? &m->matches : &m->mated, &line, path));
  }
cleanup:
  sb_tsv_free(&table);
  return status;
}

// ---- Histograms ---------------------------------------------------------------------------------

static sb_status read_lines_of(FILE *file, const char *path, int64_t probes, int64_t bins,
                               int64_t *line, uint32_t *out) {
  char header[SB_NPY_HEADER];
  sb_npy array;
  int64_t offset;
  size_t got = fread(header, 1, sizeof header, file);
  sb_status status = sb_npy_parse(path, header, got, &array, &offset);
  if (status.code != SB_OK) return status;
  if (strcmp(array.type, "<i8") != 0 || array.rows != probes || array.columns != bins ||
      offset != SB_NPY_HEADER)
    return damaged(path, "its shape does not fit the link");
  for (int64_t row = 0; row < probes; row++) {
    if (fread(line, sizeof *line, (size_t)bins, file) != (size_t)bins)
      return damaged(path, "it ends too early");
    for (int64_t bin = 0; bin < bins; bin++) {
      if (line[bin] < 0 || line[bin] > INT32_MAX) return damaged(path, "it holds an absurd count");
      out[row * bins + bin] = (uint32_t)line[bin];
    }
  }
  return fgetc(file) == EOF ? sb_ok() : damaged(path, "it is too long");
}

// nonmated-MEASURE.npy, or with a suffix, as counts of 32 bits.
static sb_status read_histogram(const char *folder, int64_t probes, const sb_linked_measure *m,
                                const char *suffix, uint32_t **out) {
  char *name = sb_format("nonmated-%s%s.npy", m->measure->info.name, suffix);
  char *path = name == NULL ? NULL : sb_path_join(folder, name);
  FILE *file = NULL;
  int64_t *line = NULL;
  sb_status status = sb_ok();
  if (path == NULL) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
    goto cleanup;
  }
  SB_TRY(SB_NEW(out, probes * m->bins, "histogram"));
  SB_TRY(SB_NEW(&line, m->bins, "histogram"));
  file = fopen(path, "rb");
  if (file == NULL)
    status = sb_error(errno == ENOENT ? SB_NOT_FOUND : SB_IO, "%s: cannot open: %s", path,
                      strerror(errno));
  else
    status = read_lines_of(file, path, probes, m->bins, line, *out);
cleanup:
  if (file != NULL) fclose(file);
  free(line);
  free(path);
  free(name);
  return status;
}

// Whether the scans are of more than one dataset: then link wrote the histograms within datasets.
static bool several_datasets(const sb_scans *scans) {
  const char *first = scans->gallery[0].dataset;
  return strcmp(scans->gallery[scans->gallery_count - 1].dataset, first) != 0 ||
         strcmp(scans->probe[0].dataset, first) != 0 ||
         strcmp(scans->probe[scans->probe_count - 1].dataset, first) != 0;
}

// ---- All ----------------------------------------------------------------------------------------

// Whether the probes are the gallery's scans, as they are or mirrored.
static bool are_the_gallery(const sb_link_folder *folder) {
  return folder->scans.self ||
         (folder->mirrored && strcmp(folder->probe.path, folder->gallery.path) == 0);
}

// One list for both then.
static sb_status unite(sb_scans *scans, const char *path) {
  bool same = scans->probe_count == scans->gallery_count;
  for (int64_t i = 0; same && i < scans->probe_count; i++)
    same = order_of(scans->probe + i, scans->gallery + i) == 0;
  if (!same) return damaged(path, "its scans are not those of gallery.tsv");
  free(scans->gallery);
  scans->gallery = scans->probe;
  return sb_ok();
}

sb_status sb_link_folder_open(const char *path, sb_link_folder *out) {
  static const char *const names[] = {"probes.tsv", "gallery.tsv", "matches.tsv", "mated.tsv"};
  char *paths[4] = {NULL};
  memset(out, 0, sizeof *out);
  sb_status status = sb_ok();
  out->path = sb_strdup(path);
  bool memory = out->path != NULL;
  for (int i = 0; i < 4; i++) {
    paths[i] = sb_path_join(path, names[i]);
    memory = memory && paths[i] != NULL;
  }
  if (!memory) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
    goto cleanup;
  }
  sb_scans *scans = &out->scans;
  SB_TRY(read_summary(path, out));
  SB_TRY(read_scans(paths[1], &out->gallery_table, &scans->gallery, &scans->gallery_count));
  SB_TRY(read_scans(paths[0], &out->probe_table, &scans->probe, &scans->probe_count));
  if (are_the_gallery(out)) SB_TRY(unite(scans, paths[0]));
  for (size_t i = 0; i < out->measure_count; i++) {
    SB_TRY(read_best(paths[0], &out->probe_table, out->measures + i));
    sb_linked_measure *m = out->measures + i;
    SB_TRY(read_histogram(path, scans->probe_count, m, "", &m->histogram));
    if (several_datasets(scans))
      SB_TRY(read_histogram(path, scans->probe_count, m, "-within", &m->within));
  }
  SB_TRY(read_lines(out, paths[2], true));
  SB_TRY(read_lines(out, paths[3], false));
cleanup:
  for (int i = 0; i < 4; i++) free(paths[i]);
  if (status.code != SB_OK) sb_link_folder_close(out);
  return status;
}

static void free_store(sb_linked_store *store) {
  free(store->path);
  free(store->template_hash);
  free(store->parameters);
}

void sb_link_folder_close(sb_link_folder *folder) {
  for (size_t i = 0; i < folder->measure_count; i++) {
    sb_linked_measure *m = folder->measures + i;
    free(m->matches.items);
    free(m->mated.items);
    free(m->best_nonmated);
    free(m->histogram);
    free(m->within);
  }
  free(folder->measures);
  free(folder->refine);
  if (folder->scans.gallery != folder->scans.probe) free(folder->scans.gallery);
  free(folder->scans.probe);
  sb_tsv_free(&folder->probe_table);
  sb_tsv_free(&folder->gallery_table);
  free_store(&folder->probe);
  free_store(&folder->gallery);
  free(folder->path);
  memset(folder, 0, sizeof *folder);
}
