#include "evaluate/pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

sb_status sb_pool_new(const sb_study *study, sb_pool *out) {
  *out = (sb_pool){.low = study->low, .high = study->high, .bins = study->bins};
  sb_status status = SB_NEW_ZERO(&out->mated, out->bins, "histogram");
  if (status.code == SB_OK) status = SB_NEW_ZERO(&out->nonmated, out->bins, "histogram");
  if (status.code != SB_OK) sb_pool_free(out);
  return status;
}

void sb_pool_free(sb_pool *pool) {
  free(pool->mated);
  free(pool->nonmated);
  memset(pool, 0, sizeof *pool);
}

void sb_pool_total(sb_pool *pool) {
  pool->mated_weight = pool->nonmated_weight = 0;
  for (int64_t bin = 0; bin < pool->bins; bin++) {
    pool->mated_weight += pool->mated[bin];
    pool->nonmated_weight += pool->nonmated[bin];
  }
}

sb_status sb_pool_of_study(const sb_study *study, sb_pool *out) {
  sb_status status = sb_pool_new(study, out);
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < study->mated.count; i++)
    out->mated[sb_study_bin(study, study->mated.items[i].score)]++;
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = 0; bin < study->bins; bin++)
      out->nonmated[bin] += study->histogram[p * study->bins + bin];
  for (int64_t bin = 0; study->self && bin < study->bins; bin++) out->nonmated[bin] /= 2;
  sb_pool_total(out);
  return status;
}

sb_moments sb_pool_moments(const sb_pool *pool, const double *weights, double unit) {
  sb_moments m = {0, (double)NAN, (double)NAN};
  double sum = 0, squares = 0;
  for (int64_t bin = 0; bin < pool->bins; bin++) {
    m.weight += weights[bin];
    sum += weights[bin] * sb_pool_centre(pool, bin);
  }
  if (!(m.weight > 0)) return m;
  m.mean = sum / m.weight;
  for (int64_t bin = 0; bin < pool->bins; bin++) {
    double d = sb_pool_centre(pool, bin) - m.mean;
    squares += weights[bin] * d * d;
  }
  if (m.weight > unit)
    m.variance = sb_real_variance(squares / (m.weight - unit), pool->low, pool->high);
  return m;
}

double sb_d_prime(const sb_moments *mated, const sb_moments *nonmated) {
  double variance = (mated->variance + nonmated->variance) / 2;
  return variance > 0 ? fabs(mated->mean - nonmated->mean) / sqrt(variance) : (double)NAN;
}

static bool has_both(const sb_pool *p) {
  return p->mated_weight > 0 && p->nonmated_weight > 0;
}

double sb_pool_auc(const sb_pool *pool) {
  if (!has_both(pool)) return (double)NAN;
  double below = 0, sum = 0;
  for (int64_t bin = 0; bin < pool->bins; bin++) {
    sum += pool->mated[bin] * (below + pool->nonmated[bin] / 2);
    below += pool->nonmated[bin];
  }
  return sum / (pool->mated_weight * pool->nonmated_weight);
}

double sb_pool_auc_error(const sb_pool *pool) {
  if (!has_both(pool)) return (double)NAN;
  double sum = 0;
  for (int64_t bin = 0; bin < pool->bins; bin++) sum += pool->mated[bin] * pool->nonmated[bin] / 2;
  return sum / (pool->mated_weight * pool->nonmated_weight);
}

// The middle of the gap, where one threshold separates all pairs.
static double middle_of_gap(const sb_pool *pool) {
  int64_t top = pool->bins - 1, bottom = 0;
  while (top > 0 && !(pool->nonmated[top] > 0)) top--;
  while (bottom < pool->bins - 1 && !(pool->mated[bottom] > 0)) bottom++;
  return pool->low + sb_pool_width(pool) * (double)(top + 1 + bottom) / 2;
}

double sb_pool_eer(const sb_pool *pool, double *threshold) {
  *threshold = (double)NAN;
  if (!has_both(pool)) return (double)NAN;
  // Upwards over the edges the false match rate falls from 1 to 0, the false non-match rate rises.
  double above = pool->nonmated_weight, below = 0, fmr = 1, fnmr = 0;
  for (int64_t bin = 0; bin < pool->bins; bin++) {
    above -= pool->nonmated[bin];
    below += pool->mated[bin];
    double next_fmr = above > 1e-9 * pool->nonmated_weight ? above / pool->nonmated_weight : 0;
    double next_fnmr = below / pool->mated_weight;
    if (next_fnmr >= next_fmr) {
      double gap = fmr - fnmr, next_gap = next_fmr - next_fnmr, part = gap / (gap - next_gap);
      double eer = fmr + part * (next_fmr - fmr);
      *threshold = pool->low + sb_pool_width(pool) * ((double)bin + part);
      if (eer <= 0) *threshold = middle_of_gap(pool);
      return fmax(eer, 0);
    }
    fmr = next_fmr;
    fnmr = next_fnmr;
  }
  return (double)NAN;
}

double sb_pool_tar(const sb_pool *pool, double far, double *threshold) {
  *threshold = (double)NAN;
  if (!(pool->nonmated_weight > 0)) return (double)NAN;
  double allowed = far * pool->nonmated_weight * (1 + 1e-12), above = 0, accepted = 0;
  int64_t edge = pool->bins;
  while (edge > 0 && above + pool->nonmated[edge - 1] <= allowed) {
    edge--;
    above += pool->nonmated[edge];
    accepted += pool->mated[edge];
  }
  *threshold = pool->low + sb_pool_width(pool) * (double)edge;
  return pool->mated_weight > 0 ? fmin(accepted / pool->mated_weight, 1) : (double)NAN;
}

double sb_pool_above(const sb_pool *pool, const double *weights, double total, double threshold) {
  if (!(total > 0) || isnan(threshold)) return (double)NAN;
  double at = (threshold - pool->low) / sb_pool_width(pool), sum = 0;
  for (int64_t bin = pool->bins - 1; bin >= 0 && (double)(bin + 1) > at; bin--)
    sum += weights[bin] * fmin(1, (double)(bin + 1) - at);
  return fmin(fmax(sum / total, 0), 1);
}
