// With an image x = d + m in the mask (m its mean there) and 0 outside, window sums S of weight 1 and
// the window's share c = S(1) in the mask,
//   S(x) = S(d) + m c,    S(xy) - S(x) S(y) = S(de) - S(d) S(e) + (1 - c) (m S(e) + n S(d) + m n c)
// for y = e + n: float32 sums of small deviations in place of large intensities that cancel.
#include "measure/structure.h"

#include <stdlib.h>

#include "core/memory.h"
#include "measure/elements.h"
#include "measure/filter.h"
#include "measure/row.h"
#include "measure/vector.h"

typedef struct structure {
  sb_filter *filter;
  sb_structure_constants constants;
  float weight; // 1 over the sum of the window's weights
  float *share; // c, a row
} structure;

// Terms of an embedding; its vector is d, S(d) and the variance, each a row.
enum { MEAN, LEAST, MOST };

void sb_structure_destroy(void *context) {
  structure *s = context;
  if (s == NULL) return;
  sb_filter_free(s->filter);
  free(s->share);
  free(s);
}

sb_status sb_structure_create(const sb_grid *grid, int radius, const float *weight,
                              const sb_structure_constants *constants, void **context) {
  structure *s = NULL;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&s, 1, "windows"));
  s->constants = *constants;
  double line = (double)weight[0];
  for (int k = 1; k <= radius; k++) line += 2 * (double)weight[k];
  s->weight = (float)(1 / (line * line * line));
  SB_TRY(sb_filter_create(grid, radius, weight, &s->filter));
  SB_TRY(SB_NEW(&s->share, grid->row_length, "windows"));
  const float *inverse = sb_filter_inverse(s->filter);
  for (int64_t i = 0; i < grid->row_length; i++) s->share[i] = s->weight / inverse[i];
  *context = s;
  s = NULL;
cleanup:
  sb_structure_destroy(s);
  return status;
}

int64_t sb_structure_length(const sb_grid *grid, const void *context) {
  (void)context;
  return 3 * sb_round_up(grid->row_length);
}

int64_t sb_structure_scratch(const sb_grid *grid, const void *context) {
  const structure *s = context;
  return sb_round_up(grid->row_length) + sb_filter_scratch(s->filter);
}

// Two scans in a window sum: d and e, or d and d.
typedef struct both {
  const structure *s;
  sb_embedding a, b;
  const float *mean_a, *mean_b, *variance_a, *variance_b; // mean: S(d)
  float m, n;
  float c1, c2, dark, flat;
  float *out;
} both;

static void use_mean(void *user, int64_t first, int64_t count, const float *sums) {
  const both *p = user;
  for (int64_t i = 0; i < count; i++) p->out[first + i] = sums[i] * p->s->weight;
}

SB_VECTOR_CLONES static void use_covariance(void *user, int64_t first, int64_t count,
                                            const float *sums) {
  const both *p = user;
  const float *share = p->s->share, *mean_a = p->mean_a, *mean_b = p->mean_b;
  const float weight = p->s->weight, m = p->m, n = p->n;
  float *out = p->out;
  for (int64_t i = first; i < first + count; i++) {
    float outside = 1 - share[i], edge = m * mean_b[i] + n * mean_a[i] + m * n * share[i];
    out[i] = sums[i - first] * weight - mean_a[i] * mean_b[i] + outside * edge;
  }
}

SB_VECTOR_CLONES static void use_similarity(void *user, int64_t first, int64_t count,
                                            const float *sums) {
  const both *p = user;
  const float *share = p->s->share, *mean_a = p->mean_a, *mean_b = p->mean_b;
  const float *variance_a = p->variance_a, *variance_b = p->variance_b;
  const float weight = p->s->weight, m = p->m, n = p->n;
  const float c1 = p->c1, c2 = p->c2, dark = p->dark, flat = p->flat;
  float *out = p->out;
  for (int64_t i = first; i < first + count; i++) {
    float outside = 1 - share[i], edge = m * mean_b[i] + n * mean_a[i] + m * n * share[i];
    sb_windows w = {.mean_a = mean_a[i] + m * share[i],
                    .mean_b = mean_b[i] + n * share[i],
                    .variance_a = variance_a[i],
                    .variance_b = variance_b[i]};
    w.covariance = sums[i - first] * weight - mean_a[i] * mean_b[i] + outside * edge;
    out[i] = sb_structural_similarity(w, c1, c2, dark, flat);
  }
}

sb_status sb_structure_embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                             float *vector, double *terms, float *scratch) {
  const structure *s = context;
  const int64_t n = grid->row_length, stride = sb_round_up(n);
  float *mean = vector + stride, *variance = mean + stride;
  sb_row_facts facts;
  sb_status status = sb_row_examine(n, scan->row, &facts);
  if (status.code != SB_OK) return status;
  terms[MEAN] = (double)(float)facts.mean;
  terms[LEAST] = facts.min < 0 ? (double)facts.min : 0;
  terms[MOST] = facts.max > 0 ? (double)facts.max : 0;
  sb_centre_scale(n, scan->row, terms[MEAN], 1, vector);
  for (int64_t i = n; i < stride; i++) vector[i] = mean[i] = variance[i] = 0;
  both p = {.s = s, .mean_a = mean, .mean_b = mean, .out = mean};
  p.m = p.n = (float)terms[MEAN];
  sb_filter_apply(s->filter, vector, NULL, scratch, use_mean, &p);
  p.out = variance;
  sb_filter_apply(s->filter, vector, vector, scratch, use_covariance, &p);
  for (int64_t i = 0; i < n; i++) variance[i] = variance[i] > 0 ? variance[i] : 0;
  return status;
}

double sb_structure_score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                          float *scratch) {
  const structure *s = context;
  const int64_t n = grid->row_length, stride = sb_round_up(n);
  double most = a.terms[MOST] > b.terms[MOST] ? a.terms[MOST] : b.terms[MOST];
  double least = a.terms[LEAST] < b.terms[LEAST] ? a.terms[LEAST] : b.terms[LEAST];
  double range = most - least;
  both p = {.s = s,
            .mean_a = a.vector + stride,
            .mean_b = b.vector + stride,
            .variance_a = a.vector + 2 * stride,
            .variance_b = b.vector + 2 * stride,
            .m = (float)a.terms[MEAN],
            .n = (float)b.terms[MEAN],
            .c1 = (float)(s->constants.k1 * s->constants.k1 * range * range),
            .c2 = (float)(s->constants.k2 * s->constants.k2 * range * range),
            .dark = (float)(s->constants.dark * range * range),
            .flat = (float)(s->constants.flat * range * range),
            .out = scratch};
  sb_filter_apply(s->filter, a.vector, b.vector, scratch + stride, use_similarity, &p);
  return sb_clamp(sb_sum(n, scratch) / (double)n, -1, 1);
}
