#include "evaluate/strata.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/order.h"

static const double NONE = (double)NAN;

static sb_status add_stratum(sb_stratum *strata, int64_t *count, int64_t within, char *name) {
  strata[(*count)++] = (sb_stratum){.name = name,
                                    .within = within,
                                    .mated_min = NONE,
                                    .mated_median = NONE,
                                    .mated_max = NONE,
                                    .fnmr = NONE,
                                    .searches = -1,
                                    .nonmated_pairs = -1,
                                    .rank1 = NONE,
                                    .fnir = NONE,
                                    .fpir = NONE,
                                    .fmr = NONE,
                                    .nonmated_median = NONE,
                                    .nonmated_max = NONE,
                                    .fnmr_interval = {NONE, NONE},
                                    .rank1_interval = {NONE, NONE},
                                    .fnir_interval = {NONE, NONE},
                                    .fpir_interval = {NONE, NONE},
                                    .fmr_interval = {NONE, NONE}};
  return name != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "out of memory for strata");
}

// The largest of 1, 2 and 5 times a power of ten that is not above `x`.
static double round_step(double x) {
  double power = pow(10, floor(log10(x)));
  return power * (x >= 5 * power ? 5 : x >= 2 * power ? 2 : 1);
}

// Near `edge`, as short a number as tells a quarter of the middle half of the values apart.
static double round_edge(double edge, double spread) {
  char text[32];
  double step = round_step(spread / 4);
  snprintf(text, sizeof text, "%.15g", step * round(edge / step));
  return strtod(text, NULL);
}

static int64_t count_below(const double *sorted, int64_t count, double edge) {
  int64_t below = 0, high = count;
  while (below < high) {
    int64_t middle = below + (high - below) / 2;
    if (sorted[middle] < edge)
      below = middle + 1;
    else
      high = middle;
  }
  return below;
}

// Edges between at most SB_MOST_BINS bins: the quartiles, rounded where no bin becomes empty by it. A
// quartile that is the smallest value gives way to the next larger, so that zeros are a bin.
static int quartile_edges(const double *sorted, int64_t count, double *edges) {
  if (count == 0 || !(sorted[count - 1] > sorted[0])) return 0;
  int used = 0;
  int64_t at[SB_MOST_BINS + 1], last = 0;
  for (int k = 0; k <= SB_MOST_BINS; k++) at[k] = (count - 1) * k / SB_MOST_BINS;
  double spread = sorted[at[SB_MOST_BINS - 1]] - sorted[at[1]];
  if (!(spread > 0)) spread = sorted[count - 1] - sorted[0];
  for (int k = 1; k < SB_MOST_BINS; k++) {
    double exact = sorted[at[k]];
    if (!(exact > sorted[0]))
      exact = sorted[count_below(sorted, count, nextafter(exact, INFINITY))];
    double rounded = round_edge(exact, spread);
    if (count_below(sorted, count, rounded) % count == 0) rounded = exact; // none, or all, below
    int64_t below = count_below(sorted, count, rounded);
    if (below <= last) continue;
    edges[used++] = rounded;
    last = below;
  }
  return used;
}

// So many digits that no two edges read alike.
static int digits_of(const double *edges, int count) {
  int digits = 6;
  for (int i = 1; i < count; i++) {
    char text[2][32] = {""};
    for (; digits < 17; digits++) {
      for (int k = 0; k < 2; k++) snprintf(text[k], sizeof text[k], "%.*g", digits, edges[i - k]);
      if (strcmp(text[0], text[1]) != 0) break;
    }
  }
  return digits;
}

// Bins within stratum 0; the lower edge is the bin's.
static sb_status add_bins(const double *edges, int count, sb_stratum *strata, int64_t *used) {
  const int digits = digits_of(edges, count);
  sb_status status = sb_ok();
  for (int i = 0; i <= count && count > 0 && status.code == SB_OK; i++)
    status = add_stratum(strata, used, 0,
                         i == 0 ? sb_format("below %.*g", digits, edges[0])
                         : i == count
                             ? sb_format("%.*g and more", digits, edges[i - 1])
                             : sb_format("%.*g to %.*g", digits, edges[i - 1], digits, edges[i]));
  return status;
}

// Strata of numbers or dates, by given edges or by quartiles, and each sample's (`value`: NaN, missing).
static sb_status bin_samples(const double *value, const double *given, int given_count,
                             sb_samples *list, sb_stratum **strata, int64_t *count) {
  double *sorted = NULL, edges[SB_MOST_EDGES];
  int edge_count = given_count;
  int64_t known = 0;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&sorted, list->count, "strata"));
  SB_TRY(SB_NEW_ZERO(strata, SB_MOST_EDGES + 2, "strata"));
  for (int64_t i = 0; i < list->count; i++)
    if (!isnan(value[i])) sorted[known++] = value[i];
  if (known > 1) qsort(sorted, (size_t)known, sizeof *sorted, sb_order_doubles);
  if (given_count > 0)
    memcpy(edges, given, (size_t)given_count * sizeof *edges);
  else
    edge_count = quartile_edges(sorted, known, edges);
  SB_TRY(add_stratum(*strata, count, -1, sb_strdup("all")));
  SB_TRY(add_bins(edges, edge_count, *strata, count));
  for (int64_t i = 0; i < list->count; i++) {
    int bin = 0;
    while (bin < edge_count && value[i] >= edges[bin]) bin++;
    list->items[i].stratum = isnan(value[i]) ? -1 : edge_count == 0 ? 0 : 1 + bin;
  }
cleanup:
  free(sorted);
  return status;
}

// Two categories in their order, and the sample whose they are.
typedef struct two {
  double a, b;
  int64_t sample;
} two;

static int by_values(const void *left, const void *right) {
  const two *x = left, *y = right;
  bool same[2] = {x->a == x->b, y->a == y->b};
  if (same[0] != same[1]) return same[0] ? -1 : 1;
  if (x->a != y->a) return x->a < y->a ? -1 : 1;
  return (x->b > y->b) - (x->b < y->b);
}

// Strata of categories: of searches, one each within "all"; of pairs, those of one value within "same",
// those of two within "different".
static sb_status sort_samples(const sb_covariate *c, two *keys, int64_t known, bool pairs,
                              sb_samples *list, sb_stratum **strata, int64_t *count) {
  sb_status status = sb_ok();
  int64_t within = 0;
  bool different = false;
  if (known > 1) qsort(keys, (size_t)known, sizeof *keys, by_values);
  SB_TRY(SB_NEW_ZERO(strata, known + 3, "strata"));
  SB_TRY(add_stratum(*strata, count, -1, sb_strdup("all")));
  if (pairs) {
    within = *count;
    SB_TRY(add_stratum(*strata, count, 0, sb_strdup("same")));
  }
  for (int64_t i = 0; i <= known; i++) {
    const two *k = keys + i;
    if (pairs && !different && (i == known || k->a != k->b)) {
      different = true;
      within = *count;
      SB_TRY(add_stratum(*strata, count, 0, sb_strdup("different")));
    }
    if (i == known) break;
    if (i == 0 || by_values(k - 1, k) != 0) {
      const char *a = c->names[(int64_t)k->a], *b = c->names[(int64_t)k->b];
      SB_TRY(add_stratum(*strata, count, within,
                         k->a == k->b ? sb_strdup(a) : sb_format("%s - %s", a, b)));
    }
    list->items[k->sample].stratum = *count - 1;
  }
cleanup:
  return status;
}

sb_status sb_stratify(const sb_covariate *c, const double *a, const double *b, sb_samples *list,
                      sb_stratum **strata, int64_t *count) {
  two *keys = NULL;
  double *difference = NULL;
  int64_t known = 0;
  sb_status status = sb_ok();
  if (c->kind != SB_CATEGORIES) {
    if (b == NULL) return bin_samples(a, NULL, 0, list, strata, count);
    SB_TRY(SB_NEW(&difference, list->count, "strata"));
    for (int64_t i = 0; i < list->count; i++) difference[i] = sb_difference(a[i], b[i]);
    SB_TRY(bin_samples(difference, c->by->edges, c->by->edge_count, list, strata, count));
    goto cleanup;
  }
  SB_TRY(SB_NEW(&keys, list->count, "strata"));
  for (int64_t i = 0; i < list->count; i++) {
    double other = b == NULL ? a[i] : b[i];
    list->items[i].stratum = -1;
    if (!isnan(a[i]) && !isnan(other))
      keys[known++] = (two){fmin(a[i], other), fmax(a[i], other), i};
  }
  SB_TRY(sort_samples(c, keys, known, b != NULL, list, strata, count));
cleanup:
  free(keys);
  free(difference);
  return status;
}

// ---- Strata to show -----------------------------------------------------------------------------

static int largest_first(const void *left, const void *right) {
  const two *x = left, *y = right;
  if (x->a != y->a) return x->a > y->a ? -1 : 1;
  return (x->sample > y->sample) - (x->sample < y->sample);
}

sb_status sb_strata_show(const sb_stratum *strata, int64_t count, bool *shown) {
  two *parts = NULL; // their sizes
  int64_t part_count = 0;
  sb_status status = SB_NEW(&parts, count, "strata");
  if (status.code != SB_OK) return status;
  for (int64_t s = 0; s < count; s++) shown[s] = false;
  for (int64_t s = 0; s < count; s++)
    if (strata[s].within >= 0) shown[strata[s].within] = true;
  for (int64_t s = 0; s < count; s++) {
    double size = (double)(strata[s].searches < 0 ? strata[s].mated : strata[s].searches);
    if (!shown[s]) parts[part_count++] = (two){size, 0, s};
  }
  if (part_count > 1) qsort(parts, (size_t)part_count, sizeof *parts, largest_first);
  for (int64_t i = 0; i < sb_smaller(part_count, SB_STRATA_SHOWN); i++)
    shown[parts[i].sample] = true;
  free(parts);
  return status;
}
