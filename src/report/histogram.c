#include "report/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "report/array.h"

// Counts of both kinds between edges that rise.
typedef struct counts {
  double *edges, *nonmated, *mated; // bins + 1, bins, bins
  int64_t bins;
} counts;

static void free_counts(counts *c) {
  free(c->edges);
  free(c->nonmated);
  free(c->mated);
}

static sb_status new_counts(int64_t bins, counts *out) {
  *out = (counts){.bins = bins};
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&out->edges, bins + 1, "histogram"));
  SB_TRY(SB_NEW_ZERO(&out->nonmated, bins + 1, "histogram"));
  SB_TRY(SB_NEW_ZERO(&out->mated, bins + 1, "histogram"));
cleanup:
  return status;
}

// ---- As evaluate counts them --------------------------------------------------------------------

// Error rates change from one threshold to the next by what lies between the two.
static sb_status count_roc(const sb_columns *roc, const cJSON *figures, counts *out) {
  double nonmated = sb_json_number(figures, "nonmated_pairs");
  double mated = sb_json_number(figures, "mated_pairs");
  if (isnan(nonmated)) // nobody is known: all pairs are counted there
    nonmated = sb_json_number(sb_json_at(figures, "tail"), "pairs");
  sb_status status = new_counts(roc->rows - 1, out);
  if (status.code != SB_OK) return status;
  const double *threshold = roc->columns[0];
  bool falling = threshold[0] > threshold[roc->rows - 1];
  for (int64_t bin = 0; bin < out->bins; bin++) {
    int64_t lower = falling ? out->bins - bin : bin, upper = falling ? lower - 1 : bin + 1;
    out->edges[bin] = threshold[lower];
    out->edges[bin + 1] = threshold[upper];
    double some = nonmated * fabs(roc->columns[1][lower] - roc->columns[1][upper]);
    double others = mated * fabs(roc->columns[2][lower] - roc->columns[2][upper]);
    out->nonmated[bin] = isnan(some) ? 0 : some;
    out->mated[bin] = isnan(others) ? 0 : others;
  }
  return status;
}

// ---- As link wrote them -------------------------------------------------------------------------

static sb_status read_edges(const sb_page *page, const char *measure, counts *out) {
  sb_array array = {0};
  char *path = sb_page_path(page, "nonmated", measure, "-edges.npy");
  sb_status status;
  SB_TRY(sb_array_open(path, "<f8", &array));
  SB_TRY(new_counts(array.shape.columns - 1, out));
  SB_TRY(sb_array_next(&array, out->edges));
cleanup:
  sb_array_close(&array);
  free(path);
  return status;
}

// All probes' counts added up, a line at a time.
static sb_status add_nonmated(const sb_page *page, const char *measure, counts *out) {
  sb_array array = {0};
  int64_t *line = NULL;
  char *path = sb_page_path(page, "nonmated", measure, ".npy");
  sb_status status;
  SB_TRY(sb_array_open(path, "<i8", &array));
  if (array.shape.columns != out->bins) {
    status = sb_error(SB_FORMAT, "%s: does not fit the edges beside it; link again", path);
    goto cleanup;
  }
  SB_TRY(SB_NEW(&line, out->bins + 1, "histogram"));
  for (int64_t row = 0; row < array.shape.rows; row++) {
    SB_TRY(sb_array_next(&array, line));
    for (int64_t bin = 0; bin < out->bins; bin++)
      out->nonmated[bin] += (double)line[bin] / (page->self ? 2 : 1);
  }
cleanup:
  sb_array_close(&array);
  free(line);
  free(path);
  return status;
}

static void count_score(double score, counts *out) {
  int64_t low = 0, high = out->bins - 1;
  while (low < high) { // the last bin that begins at or below the score
    int64_t middle = low + (high - low + 1) / 2;
    if (out->edges[middle] <= score)
      low = middle;
    else
      high = middle - 1;
  }
  out->mated[low]++;
}

static sb_status add_mated(const sb_page *page, const char *measure, counts *out) {
  char *path = sb_format("%s/mated.tsv", page->folder);
  sb_tsv table = {0};
  size_t names, scores;
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_tsv_read(path, &table));
  SB_TRY(sb_tsv_need_own(&table, path, "measure", "link again", &names));
  SB_TRY(sb_tsv_need_own(&table, path, "score", "link again", &scores));
  for (size_t row = 0; row < table.rows; row++)
    if (strcmp(sb_tsv_cell(&table, row, names), measure) == 0)
      count_score(strtod(sb_tsv_cell(&table, row, scores), NULL), out);
cleanup:
  sb_tsv_free(&table);
  free(path);
  return status;
}

static sb_status read_counts(const sb_page *page, const char *measure, const cJSON *figures,
                             counts *out) {
  static const char *const names[] = {"threshold", "fmr", "fnmr", NULL};
  sb_columns roc = {0};
  sb_status status = sb_ok();
  if (figures != NULL) SB_TRY(sb_columns_read(page, "roc", measure, names, NULL, &roc));
  if (roc.rows > 1) {
    status = count_roc(&roc, figures, out);
  } else {
    SB_TRY(read_edges(page, measure, out));
    SB_TRY(add_nonmated(page, measure, out));
    SB_TRY(add_mated(page, measure, out));
  }
cleanup:
  sb_columns_free(&roc);
  return status;
}

// ---- Bars ---------------------------------------------------------------------------------------

// Where the bars begin and end: every pair is within them.
static void find_range(const counts *c, sb_histogram *out) {
  double low = INFINITY, high = -INFINITY;
  for (int64_t bin = 0; bin < c->bins; bin++) {
    if (!(c->nonmated[bin] + c->mated[bin] > 0)) continue;
    low = fmin(low, c->edges[bin]);
    high = fmax(high, c->edges[bin + 1]);
  }
  if (!(high > low)) { // no pair at all
    low = 0;
    high = 1;
  }
  out->low = low - 0.03 * (high - low);
  out->high = high + 0.03 * (high - low);
}

// What of a bin lies in each bar, as if its pairs were spread evenly over it.
static double fill_bars(const counts *c, const double *values, const sb_histogram *h,
                        double bars[SB_BARS]) {
  double step = (h->high - h->low) / SB_BARS, total = 0;
  for (int64_t bin = 0; bin < c->bins; bin++) total += values[bin];
  for (int64_t bin = 0; bin < c->bins; bin++) {
    double from = c->edges[bin], to = c->edges[bin + 1];
    if (!(values[bin] > 0) || !(to > from)) continue;
    int first = (int)fmax(0, floor((from - h->low) / step));
    int last = (int)fmin(SB_BARS - 1, floor((to - h->low) / step));
    for (int bar = first; bar <= last; bar++) {
      double within = fmin(to, h->low + step * (bar + 1)) - fmax(from, h->low + step * bar);
      bars[bar] += values[bin] / total * fmax(within, 0) / (to - from) / step;
    }
  }
  return total;
}

sb_status sb_histogram_read(const sb_page *page, const char *measure, const cJSON *figures,
                            sb_histogram *out) {
  counts c = {0};
  memset(out, 0, sizeof *out);
  sb_status status = read_counts(page, measure, figures, &c);
  if (status.code == SB_OK) {
    find_range(&c, out);
    out->nonmated_pairs = fill_bars(&c, c.nonmated, out, out->nonmated);
    out->mated_pairs = fill_bars(&c, c.mated, out, out->mated);
  }
  free_counts(&c);
  return status;
}
