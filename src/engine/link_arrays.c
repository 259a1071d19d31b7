#include "engine/link_arrays.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/npy.h"

static sb_status open_array(sb_results *results, const char *prefix, const char *measure,
                            const char *suffix, const sb_npy *array, FILE **file) {
  char *name = sb_format("%s-%s%s.npy", prefix, measure, suffix);
  if (name == NULL) return sb_error(SB_NO_MEMORY, "out of memory");
  sb_status status = sb_results_create_array(results, name, array, file);
  free(name);
  return status;
}

static sb_status write_counts(sb_results *results, const sb_run *run, const sb_sink *sink,
                              const char *suffix, const uint32_t *counts) {
  FILE *file = NULL;
  sb_npy array = {"<i8", run->people.probe_count, sink->bins};
  sb_status status =
      open_array(results, "nonmated", sink->measure->info.name, suffix, &array, &file);
  for (int64_t i = 0; i < array.rows * array.columns && status.code == SB_OK; i++) {
    int64_t count = counts[i];
    fwrite(&count, sizeof count, 1, file);
  }
  return status;
}

sb_status sb_link_write_histograms(sb_results *results, const sb_run *run, const sb_sink *sink) {
  const sb_measure_info *info = &sink->measure->info;
  FILE *file = NULL;
  sb_status status = write_counts(results, run, sink, "", sink->histogram);
  if (status.code == SB_OK && sink->within != NULL)
    status = write_counts(results, run, sink, "-within", sink->within);
  if (status.code != SB_OK) return status;
  sb_npy array = {"<f8", sink->bins + 1, 0};
  status = open_array(results, "nonmated", info->name, "-edges", &array, &file);
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i <= sink->bins; i++) {
    double edge = sb_histogram_edge(info, sink->bins, i);
    fwrite(&edge, sizeof edge, 1, file);
  }
  return status;
}

sb_status sb_link_open_matrix(sb_results *results, const sb_run *run, const char *measure,
                              int *descriptor) {
  FILE *file = NULL;
  sb_npy array = {"<f4", run->people.probe_count, run->people.gallery_count};
  sb_status status = open_array(results, "scores", measure, "", &array, &file);
  if (status.code != SB_OK) return status;
  int64_t bytes = SB_NPY_HEADER + array.rows * array.columns * 4;
  if (fflush(file) != 0 || ftruncate(fileno(file), bytes) != 0)
    return sb_error(SB_IO, "%s: no room for a matrix of %lld bytes", results->folder,
                    (long long)bytes);
  *descriptor = fileno(file);
  return status;
}
