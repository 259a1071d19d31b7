#include "evaluate/spearman.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

typedef struct ranking {
  const sb_measured *by_x, *by_y;
  int64_t count;
} ranking;

static int by_x(const void *left, const void *right) {
  const sb_measured *a = left, *b = right;
  return (a->x > b->x) - (a->x < b->x);
}

static int by_y(const void *left, const void *right) {
  const sb_measured *a = left, *b = right;
  return (a->y > b->y) - (a->y < b->y);
}

// Middle ranks of a list in its order, each weighing as often as its person was drawn (NULL: once), at
// its place.
static void middle_ranks(const sb_measured *list, int64_t count,
                         int (*order)(const void *, const void *), const double *weight,
                         double *rank) {
  double below = 0;
  for (int64_t first = 0, next; first < count; first = next) {
    double tied = 0;
    for (next = first; next < count && order(list + first, list + next) == 0; next++)
      tied += weight == NULL ? 1 : weight[list[next].person];
    for (int64_t i = first; i < next; i++) rank[list[i].place] = below + tied / 2;
    below += tied;
  }
}

static void correlate(const void *context, const double *weight, double *scratch, double *rho) {
  const ranking *r = context;
  double *x = scratch, *y = scratch + r->count;
  double sum = 0, mean[2] = {0}, xx = 0, xy = 0, yy = 0;
  middle_ranks(r->by_x, r->count, by_x, weight, x);
  middle_ranks(r->by_y, r->count, by_y, weight, y);
  for (int64_t i = 0; i < r->count; i++) {
    double w = weight == NULL ? 1 : weight[r->by_x[i].person];
    sum += w;
    mean[0] += w * x[i];
    mean[1] += w * y[i];
  }
  for (int64_t i = 0; i < r->count; i++) {
    double w = weight == NULL ? 1 : weight[r->by_x[i].person];
    double dx = x[i] - mean[0] / sum, dy = y[i] - mean[1] / sum;
    xx += w * dx * dx;
    xy += w * dx * dy;
    yy += w * dy * dy;
  }
  *rho = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : (double)NAN;
}

sb_status sb_spearman(sb_measured *list, int64_t count, const sb_redraw *how, double *rho,
                      sb_interval *interval) {
  sb_measured *other = NULL;
  double *scratch = NULL;
  sb_status status = sb_ok();
  *rho = interval->low = interval->high = (double)NAN;
  if (count < 3) return status;
  SB_TRY(SB_NEW(&other, count, "ranks"));
  SB_TRY(SB_NEW(&scratch, 2 * count, "ranks"));
  qsort(list, (size_t)count, sizeof *list, by_x);
  for (int64_t i = 0; i < count; i++) list[i].place = i;
  memcpy(other, list, (size_t)count * sizeof *list);
  qsort(other, (size_t)count, sizeof *other, by_y);
  const ranking r = {list, other, count};
  correlate(&r, NULL, scratch, rho);
  sb_redraw redraw = *how;
  redraw.figure = correlate;
  redraw.context = &r;
  redraw.width = 1;
  redraw.scratch = 2 * count;
  SB_TRY(sb_redraw_intervals(&redraw, interval));
cleanup:
  free(other);
  free(scratch);
  return status;
}
