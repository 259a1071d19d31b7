// The histograms of several shards, and their matrices.
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "engine/json.h"
#include "engine/merging.h"

// An array file of a share, open where its elements begin. NULL and SB_OK: there is none.
static sb_status open_array(const sb_shard_folder *s, const char *name, const sb_npy *expected,
                            FILE **file) {
  char header[SB_NPY_HEADER], *path = sb_path_join(s->folder, name);
  sb_npy array;
  int64_t offset = 0;
  *file = NULL;
  if (path == NULL) return sb_merging_no_memory();
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

static sb_status short_array(const sb_shard_folder *s, const char *name) {
  return sb_error(SB_FORMAT, "%s: its %s ends too early; link that shard again", s->folder, name);
}

// The sums of the shares' counts, a probe at a time.
static sb_status add_counts(const sb_merging *m, sb_results *results, const char *name,
                            int64_t bins) {
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
  SB_TRY(sb_results_create_array(results, name, &array, &out));
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

static sb_status copy_edges(const sb_merging *m, sb_results *results, const char *name,
                            int64_t bins) {
  const sb_npy array = {"<f8", bins + 1, 0};
  FILE *in = NULL, *out = NULL;
  double *edges = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&edges, bins + 1, "edges"));
  SB_TRY(open_array(&m->sources[0], name, &array, &in));
  if (in == NULL || fread(edges, sizeof *edges, (size_t)bins + 1, in) != (size_t)bins + 1)
    status = short_array(&m->sources[0], name);
  SB_TRY(status);
  SB_TRY(sb_results_create_array(results, name, &array, &out));
  fwrite(edges, sizeof *edges, (size_t)bins + 1, out);
cleanup:
  if (in != NULL) fclose(in);
  free(edges);
  return status;
}

// Columns of a probe's line of the matrix that a share computed: all of its own probes'; in a
// self-comparison its own probes' scans in the lines after them, and no scan before them.
static sb_range columns_of(const sb_merging *m, const sb_shard_folder *s, int64_t probe) {
  const sb_range own = s->range;
  if (!m->self)
    return probe >= own.first && probe < own.last ? (sb_range){0, m->gallery_count}
                                                  : (sb_range){0, 0};
  if (probe < own.first) return (sb_range){0, 0};
  return (sb_range){own.first, probe < own.last ? m->gallery_count : own.last};
}

static sb_status join_matrix(const sb_merging *m, sb_results *results, const char *name) {
  const sb_npy array = {"<f4", m->probe_count, m->gallery_count};
  FILE **in = NULL, *out = NULL;
  float *line = NULL;
  sb_status status;
  // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
  SB_TRY(SB_NEW_ZERO(&in, m->count, "matrices"));
  SB_TRY(SB_NEW_ZERO(&line, m->gallery_count, "matrices"));
  for (size_t i = 0; i < m->count; i++) SB_TRY(open_array(&m->sources[i], name, &array, &in[i]));
  if (in[0] == NULL) goto cleanup;
  SB_TRY(sb_results_create_array(results, name, &array, &out));
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

sb_status sb_merging_arrays(const sb_merging *m, sb_results *results, int measure) {
  const cJSON *list = cJSON_GetObjectItemCaseSensitive(m->sources[0].summary, "measures");
  const int64_t bins =
      (int64_t)sb_json_number_or(cJSON_GetArrayItem(list, measure), "histogram_bins", 0);
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
