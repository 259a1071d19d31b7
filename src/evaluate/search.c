#include "evaluate/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

typedef struct keyed {
  double key;
  int64_t probe;
} keyed;

static int ascending(const void *left, const void *right) {
  const keyed *a = left, *b = right;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  return a->probe < b->probe ? -1 : a->probe > b->probe;
}

// The probes that have a score, in ascending order of sign * score.
static sb_status order(const double *score, int64_t probes, double sign, int64_t **out,
                       int64_t *count) {
  keyed *list = NULL;
  sb_status status = sb_ok();
  *count = 0;
  SB_TRY(SB_NEW(&list, probes, "scores"));
  SB_TRY(SB_NEW(out, probes, "scores"));
  for (int64_t p = 0; p < probes; p++)
    if (!isnan(score[p])) list[(*count)++] = (keyed){sign * score[p], p};
  if (*count > 1) qsort(list, (size_t)*count, sizeof *list, ascending);
  for (int64_t i = 0; i < *count; i++) (*out)[i] = list[i].probe;
cleanup:
  free(list);
  return status;
}

// Its rank by the histogram: how many non-mated pairs are closer.
static double counted_rank(const sb_study *study, int64_t probe) {
  const uint32_t *line = study->histogram + probe * study->bins;
  int64_t bin = sb_study_bin(study, study->mate[probe]);
  double part = (study->mate[probe] - sb_study_edge(study, bin)) / sb_study_width(study);
  double closer = line[bin] * (1 - fmin(fmax(part, 0), 1));
  for (int64_t above = bin + 1; above < study->bins; above++) closer += line[above];
  return 1 + round(closer);
}

static void find_ranks(const sb_study *study, double *rank) {
  for (int64_t p = 0; p < study->probes; p++) rank[p] = (double)NAN;
  const sb_listed *items = study->matches.items;
  for (int64_t i = study->matches.count - 1; i >= 0; i--)
    if (items[i].kind == SB_PAIR_MATED) rank[items[i].probe] = (double)items[i].rank;
  int64_t next = 0;
  for (int64_t p = 0; p < study->probes; p++) {
    int64_t listed = next;
    while (next < study->matches.count && items[next].probe == p) next++;
    if (isnan(rank[p]) && !isnan(study->mate[p]))
      rank[p] = fmax(counted_rank(study, p), (double)(next - listed + 1));
  }
}

sb_status sb_search_open(const sb_study *study, sb_search *out) {
  *out = (sb_search){.probes = study->probes};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&out->rank, study->probes, "ranks"));
  find_ranks(study, out->rank);
  SB_TRY(order(study->best_nonmated, study->probes, -1, &out->by_nonmated, &out->with_others));
  SB_TRY(order(study->mate, study->probes, 1, &out->by_mate, &out->mated));
cleanup:
  if (status.code != SB_OK) sb_search_close(out);
  return status;
}

void sb_search_close(sb_search *search) {
  free(search->rank);
  free(search->by_nonmated);
  free(search->by_mate);
  memset(search, 0, sizeof *search);
}

static double weight_of(const sb_study *study, const double *weight, int64_t probe) {
  return weight == NULL ? 1 : weight[study->probe_person[probe]];
}

static double total(const sb_study *study, const double *weight, const int64_t *probes,
                    int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += weight_of(study, weight, probes[i]);
  return sum;
}

static double share(double part, double whole) {
  return whole > 0 ? part / whole : (double)NAN;
}

double sb_search_hits(const sb_study *study, const sb_search *search, const double *weight,
                      double rank) {
  double hits = 0;
  for (int64_t i = 0; i < search->mated; i++)
    if (search->rank[search->by_mate[i]] <= rank)
      hits += weight_of(study, weight, search->by_mate[i]);
  return share(hits, total(study, weight, search->by_mate, search->mated));
}

void sb_search_hit_rates(const sb_study *study, const sb_search *search, const double *weight,
                         int ranks, double *out) {
  double all = total(study, weight, search->by_mate, search->mated);
  for (int i = 0; i < ranks; i++) out[i] = 0;
  for (int64_t i = 0; i < search->mated; i++) {
    int64_t probe = search->by_mate[i];
    if (search->rank[probe] <= ranks)
      out[(int)search->rank[probe] - 1] += weight_of(study, weight, probe);
  }
  for (int i = 1; i < ranks; i++) out[i] += out[i - 1];
  for (int i = 0; i < ranks; i++) out[i] = share(out[i], all);
}

// The next closeness after one, as scores are told: with nine digits.
static double next_told(double closeness) {
  return closeness + 2e-8 * fmax(1, fabs(closeness));
}

double sb_search_threshold(const sb_study *study, const sb_search *search, const double *weight,
                           double fpir) {
  double all = total(study, weight, search->by_nonmated, search->with_others), above = 0;
  if (!(all > 0)) return (double)NAN;
  for (int64_t i = 0; i < search->with_others; i++) {
    int64_t probe = search->by_nonmated[i];
    above += weight_of(study, weight, probe);
    if (above > fpir * all * (1 + 1e-12)) return next_told(study->best_nonmated[probe]);
  }
  return study->best_nonmated[search->by_nonmated[search->with_others - 1]];
}

double sb_search_fpir(const sb_study *study, const sb_search *search, const double *weight,
                      double threshold) {
  double found = 0;
  if (isnan(threshold)) return (double)NAN;
  for (int64_t i = 0; i < search->with_others; i++) {
    int64_t probe = search->by_nonmated[i];
    if (study->best_nonmated[probe] < threshold) break;
    found += weight_of(study, weight, probe);
  }
  return share(found, total(study, weight, search->by_nonmated, search->with_others));
}

double sb_search_fnir(const sb_study *study, const sb_search *search, const double *weight,
                      double threshold) {
  double missed = 0;
  if (isnan(threshold)) return (double)NAN;
  for (int64_t i = 0; i < search->mated; i++) {
    int64_t probe = search->by_mate[i];
    if (study->mate[probe] >= threshold) break;
    missed += weight_of(study, weight, probe);
  }
  return share(missed, total(study, weight, search->by_mate, search->mated));
}
