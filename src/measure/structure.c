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

// Two scans in a window sum: d and e, or d and d. A vector is d, S(d) and the variance, each a row.
typedef struct both {
  const structure *s;
  const float *mean_a, *mean_b, *variance_a, *variance_b; // mean: S(d)
  sb_structure_pair pair;
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
  const float weight = p->s->weight, m = p->pair.m, n = p->pair.n;
  float *out = p->out;
  for (int64_t i = first; i < first + count; i++)
    out[i] = sb_window_covariance(sums[i - first], weight, share[i], mean_a[i], mean_b[i], m, n);
}

SB_VECTOR_CLONES static void use_similarity(void *user, int64_t first, int64_t count,
                                            const float *sums) {
  const both *p = user;
  const float *share = p->s->share, *mean_a = p->mean_a, *mean_b = p->mean_b;
  const float *variance_a = p->variance_a, *variance_b = p->variance_b;
  const float weight = p->s->weight;
  const sb_structure_pair pair = p->pair;
  float *out = p->out;
  for (int64_t i = first; i < first + count; i++)
    out[i] = sb_window_similarity(sums[i - first], weight, share[i], mean_a[i], mean_b[i],
                                  variance_a[i], variance_b[i], pair);
}

sb_status sb_structure_embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                             float *vector, double *terms, float *scratch) {
  const structure *s = context;
  const int64_t n = grid->row_length, stride = sb_round_up(n);
  float *mean = vector + stride, *variance = mean + stride;
  sb_row_facts facts;
  sb_status status = sb_row_examine(n, scan->row, &facts);
  if (status.code != SB_OK) return status;
  terms[SB_TERM_MEAN] = (double)(float)facts.mean;
  terms[SB_TERM_LEAST] = facts.min < 0 ? (double)facts.min : 0;
  terms[SB_TERM_MOST] = facts.max > 0 ? (double)facts.max : 0;
  sb_centre_scale(n, scan->row, terms[SB_TERM_MEAN], 1, vector);
  for (int64_t i = n; i < stride; i++) vector[i] = mean[i] = variance[i] = 0;
  both p = {.s = s, .mean_a = mean, .mean_b = mean, .out = mean};
  p.pair.m = p.pair.n = (float)terms[SB_TERM_MEAN];
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
  both p = {.s = s,
            .mean_a = a.vector + stride,
            .mean_b = b.vector + stride,
            .variance_a = a.vector + 2 * stride,
            .variance_b = b.vector + 2 * stride,
            .pair = sb_structure_pair_of(&s->constants, a.terms, b.terms),
            .out = scratch};
  sb_filter_apply(s->filter, a.vector, b.vector, scratch + stride, use_similarity, &p);
  return sb_clamp(sb_sum(n, scratch) / (double)n, -1, 1);
}

void sb_structure_form(const sb_grid *grid, const void *context, sb_form *out) {
  const structure *s = context;
  sb_filter_form(s->filter, grid, out);
  out->windows.score = SB_WINDOWS_SIMILARITY;
  out->windows.factor = s->share;
  out->windows.scale = s->weight;
  out->windows.constants = s->constants;
}
