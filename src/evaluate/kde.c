#include "evaluate/kde.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "evaluate/normal.h"

// The score below which a share of the weight lies, linear within bins.
static double quantile(const sb_pool *pool, const double *weights, double total, double share) {
  double left = share * total;
  for (int64_t bin = 0; bin < pool->bins; bin++) {
    if (weights[bin] >= left && weights[bin] > 0)
      return pool->low + sb_pool_width(pool) * ((double)bin + left / weights[bin]);
    left -= weights[bin];
  }
  return pool->high;
}

static double silverman(const sb_pool *pool, const double *weights, const sb_moments *m,
                        double unit) {
  double sd = sqrt(m->variance);
  if (!(sd > 0)) return (double)NAN;
  double iqr = quantile(pool, weights, m->weight, 0.75) - quantile(pool, weights, m->weight, 0.25);
  double spread = iqr > 0 ? fmin(sd, iqr / 1.34) : sd;
  return fmax(0.9 * spread * pow(m->weight / unit, -0.2), sb_pool_width(pool) / 2);
}

sb_status sb_kde_open(const sb_pool *pool, const double *weights, double unit, sb_kde *out) {
  memset(out, 0, sizeof *out);
  sb_status status = SB_NEW(&out->at, pool->bins, "density");
  if (status.code == SB_OK) status = SB_NEW(&out->log_weight, pool->bins, "density");
  if (status.code != SB_OK) {
    sb_kde_close(out);
    return status;
  }
  sb_moments m = sb_pool_moments(pool, weights, unit);
  out->mean = m.mean;
  out->bandwidth = silverman(pool, weights, &m, unit);
  for (int64_t bin = 0; bin < pool->bins; bin++) {
    if (!(weights[bin] > 0)) continue;
    out->at[out->points] = sb_pool_centre(pool, bin);
    out->log_weight[out->points++] = log(weights[bin] / m.weight);
  }
  return status;
}

void sb_kde_close(sb_kde *kde) {
  free(kde->at);
  free(kde->log_weight);
  memset(kde, 0, sizeof *kde);
}

// The first point at or above x.
static int64_t first_above(const sb_kde *kde, double x) {
  int64_t low = 0, high = kde->points;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (kde->at[middle] < x)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

double sb_kde_log_density(const sb_kde *kde, double x) {
  if (kde->points == 0 || !(kde->bandwidth > 0)) return (double)NAN;
  // Relative to the nearest point, what is 9 bandwidths further is below rounding.
  int64_t split = first_above(kde, x);
  double nearest = INFINITY, sum = 0;
  if (split < kde->points) nearest = fabs(kde->at[split] - x);
  if (split > 0) nearest = fmin(nearest, fabs(x - kde->at[split - 1]));
  double near = nearest / kde->bandwidth, reach = kde->bandwidth * sqrt(near * near + 90);
  for (int64_t i = first_above(kde, x - reach); i < kde->points && kde->at[i] <= x + reach; i++) {
    double d = (kde->at[i] - x) / kde->bandwidth;
    sum += exp(kde->log_weight[i] - (d * d - near * near) / 2);
  }
  return log(sum) - near * near / 2 - log(kde->bandwidth * 2.5066282746310002);
}

// The share of the density above x.
static double share_above(const sb_kde *kde, double x) {
  double sum = 0;
  for (int64_t i = 0; i < kde->points; i++)
    sum += exp(kde->log_weight[i]) * sb_normal_upper((x - kde->at[i]) / kde->bandwidth);
  return sum;
}

static double lead(const sb_kde *mated, const sb_kde *nonmated, double x) {
  return sb_kde_log_density(mated, x) - sb_kde_log_density(nonmated, x);
}

static double crossing(const sb_kde *mated, const sb_kde *nonmated) {
  enum { STEPS = 256 };
  double best = (double)NAN, least = INFINITY, from = nonmated->mean, to = mated->mean;
  if (!(mated->bandwidth > 0) || !(nonmated->bandwidth > 0) || !(to > from)) return best;
  double before = lead(mated, nonmated, from);
  for (int i = 1; i <= STEPS; i++) {
    double low = from + (to - from) * (i - 1) / STEPS, high = from + (to - from) * i / STEPS;
    double after = lead(mated, nonmated, high);
    bool crosses = before < 0 && after >= 0;
    before = after;
    if (!crosses) continue;
    for (int step = 0; step < 50; step++) {
      double middle = (low + high) / 2;
      if (lead(mated, nonmated, middle) < 0)
        low = middle;
      else
        high = middle;
    }
    double error = 1 - share_above(mated, high) + share_above(nonmated, high);
    if (error < least) {
      least = error;
      best = high;
    }
  }
  return best;
}

sb_status sb_kde_threshold(const sb_pool *pool, double *threshold, double bandwidth[2]) {
  sb_kde mated = {0}, nonmated = {0};
  sb_status status = sb_ok();
  *threshold = bandwidth[0] = bandwidth[1] = (double)NAN;
  if (!(pool->mated_weight > 0) || !(pool->nonmated_weight > 0)) return status;
  SB_TRY(sb_kde_open(pool, pool->mated, 1, &mated));
  SB_TRY(sb_kde_open(pool, pool->nonmated, 1, &nonmated));
  *threshold = crossing(&mated, &nonmated);
  bandwidth[0] = mated.bandwidth;
  bandwidth[1] = nonmated.bandwidth;
cleanup:
  sb_kde_close(&mated);
  sb_kde_close(&nonmated);
  return status;
}
