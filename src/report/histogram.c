#include "report/histogram.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/npy.h"
#include "report/array.h"

void sb_histogram_free(sb_histogram *histogram) {
  free(histogram->mated);
  memset(histogram, 0, sizeof *histogram);
}

// All probes' counts added up, a line at a time.
static sb_status add_counts(const sb_page *page, const char *measure, double **sums,
                            int64_t *bins) {
  sb_array array = {0};
  int64_t *line = NULL;
  char *path = sb_page_path(page, "nonmated", measure, ".npy");
  sb_status status;
  SB_TRY(sb_array_open(path, "<i8", &array));
  *bins = array.shape.columns;
  SB_TRY(SB_NEW_ZERO(sums, *bins + 1, "histogram"));
  SB_TRY(SB_NEW(&line, *bins + 1, "histogram"));
  for (int64_t row = 0; row < array.shape.rows; row++) {
    SB_TRY(sb_array_next(&array, line));
    for (int64_t bin = 0; bin < *bins; bin++) (*sums)[bin] += (double)line[bin];
  }
cleanup:
  sb_array_close(&array);
  free(line);
  free(path);
  return status;
}

static sb_status read_edges(const sb_page *page, const char *measure, int64_t bins,
                            double **edges) {
  sb_array array = {0};
  char *path = sb_page_path(page, "nonmated", measure, "-edges.npy");
  sb_status status;
  SB_TRY(sb_array_open(path, "<f8", &array));
  if (array.shape.columns != bins + 1) {
    status = sb_error(SB_FORMAT, "%s: does not fit the histogram beside it; link again", path);
    goto cleanup;
  }
  SB_TRY(SB_NEW(edges, bins + 1, "histogram"));
  SB_TRY(sb_array_next(&array, *edges));
cleanup:
  sb_array_close(&array);
  free(path);
  return status;
}

static sb_status read_mated(const sb_page *page, const char *measure, sb_histogram *out) {
  char *path = sb_format("%s/mated.tsv", page->folder);
  sb_tsv table = {0};
  size_t names, scores;
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_tsv_read(path, &table));
  SB_TRY(sb_tsv_need(&table, path, "measure", &names));
  SB_TRY(sb_tsv_need(&table, path, "score", &scores));
  SB_TRY(SB_NEW(&out->mated, table.rows + 1, "scores"));
  for (size_t row = 0; row < table.rows; row++)
    if (strcmp(sb_tsv_cell(&table, row, names), measure) == 0)
      out->mated[out->mated_count++] = strtod(sb_tsv_cell(&table, row, scores), NULL);
cleanup:
  sb_tsv_free(&table);
  free(path);
  return status;
}

// Where the bars begin and end: every pair is within them.
static void find_range(const double *sums, const double *edges, int64_t bins, sb_histogram *out) {
  double low = INFINITY, high = -INFINITY;
  for (int64_t bin = 0; bin < bins; bin++) {
    if (!(sums[bin] > 0)) continue;
    low = fmin(low, edges[bin]);
    high = fmax(high, edges[bin + 1]);
  }
  for (int64_t i = 0; i < out->mated_count; i++) {
    low = fmin(low, out->mated[i]);
    high = fmax(high, out->mated[i]);
  }
  if (!(high > low)) { // nothing, or one score alone
    low = isfinite(low) ? low - 0.5 : 0;
    high = low + 1;
  }
  out->low = low - 0.03 * (high - low);
  out->high = high + 0.03 * (high - low);
}

// What of a bin lies in each bar, as if its pairs were spread evenly over it.
static void fill_bars(const double *sums, const double *edges, int64_t bins, sb_histogram *out) {
  double step = (out->high - out->low) / SB_BARS;
  for (int64_t bin = 0; bin < bins; bin++) {
    double width = edges[bin + 1] - edges[bin];
    if (!(sums[bin] > 0) || !(width > 0)) continue;
    int first = (int)fmax(0, floor((edges[bin] - out->low) / step));
    int last = (int)fmin(SB_BARS - 1, floor((edges[bin + 1] - out->low) / step));
    for (int bar = first; bar <= last; bar++) {
      double from = fmax(edges[bin], out->low + step * bar);
      double to = fmin(edges[bin + 1], out->low + step * (bar + 1));
      out->density[bar] += sums[bin] / out->total * fmax(to - from, 0) / width / step;
    }
  }
}

sb_status sb_histogram_read(const sb_page *page, const char *measure, sb_histogram *out) {
  double *sums = NULL, *edges = NULL;
  int64_t bins = 0;
  memset(out, 0, sizeof *out);
  sb_status status;
  SB_TRY(add_counts(page, measure, &sums, &bins));
  SB_TRY(read_edges(page, measure, bins, &edges));
  SB_TRY(read_mated(page, measure, out));
  for (int64_t bin = 0; bin < bins; bin++) out->total += sums[bin];
  find_range(sums, edges, bins, out);
  fill_bars(sums, edges, bins, out);
  if (page->self) out->total /= 2;
cleanup:
  if (status.code != SB_OK) sb_histogram_free(out);
  free(sums);
  free(edges);
  return status;
}
