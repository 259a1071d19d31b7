#include "evaluate/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/order.h"
#include "core/random.h"
#include "core/threads.h"
#include "evaluate/exact.h"
#include "evaluate/kde.h"

const double sb_fars[SB_FARS] = {0.1, 0.01, 0.001, 0.0001};
const int64_t sb_ranks[SB_RANKS] = {1, 5, 10};

enum { BLOCK = 8, VALUES = sizeof(sb_values) / sizeof(double) };

// ---- Every figure of one pool -------------------------------------------------------------------

// Mated scores have their exact moments, non-mated ones those of their histogram.
static sb_moments mated_moments(const sb_study *study, const double *weight) {
  sb_moments m = {0, (double)NAN, (double)NAN};
  double sum = 0, squares = 0;
  const sb_listed *pairs = study->mated.items;
  for (int64_t i = 0; i < study->mated.count; i++) {
    double w = weight == NULL ? 1 : weight[study->probe_person[pairs[i].probe]];
    m.weight += w;
    sum += w * pairs[i].score;
  }
  if (!(m.weight > 0)) return m;
  m.mean = sum / m.weight;
  for (int64_t i = 0; i < study->mated.count; i++) {
    double w = weight == NULL ? 1 : weight[study->probe_person[pairs[i].probe]];
    squares += w * (pairs[i].score - m.mean) * (pairs[i].score - m.mean);
  }
  if (m.weight > 1)
    m.variance = sb_real_variance(squares / (m.weight - 1), study->low, study->high);
  return m;
}

double sb_band_far(int i) {
  return pow(10, -i / 4.0);
}

// The share of mated pairs accepted at a false accept rate. Fewer non-mated pairs than 1 / far cannot
// show that rate.
static double tar_at(const sb_study *study, const sb_pool *pool, double far, double *threshold) {
  double tar = sb_pool_tar(pool, far, threshold);
  if ((double)study->pairs * far < 1) tar = *threshold = (double)NAN;
  return tar;
}

static void compute_bands(const sb_bootstrap *b, const sb_pool *pool, const double *weight,
                          sb_values *out) {
  double threshold;
  for (int i = 0; i < SB_BAND_FARS; i++)
    out->band_tar[i] = tar_at(b->study, pool, sb_band_far(i), &threshold);
  sb_search_hit_rates(b->study, b->search, weight, SB_BAND_RANKS, out->band_hits);
}

static sb_status compute(const sb_bootstrap *b, const sb_pool *pool, const double *weight, bool kde,
                         sb_values *out) {
  const sb_study *study = b->study;
  sb_moments mated = mated_moments(study, weight);
  sb_moments nonmated = sb_pool_moments(pool, pool->nonmated, 1);
  out->auc = sb_pool_auc(pool);
  out->d_prime = sb_d_prime(&mated, &nonmated);
  out->eer = sb_pool_eer(pool, &out->eer_threshold);
  for (int i = 0; i < SB_FARS; i++)
    out->tar[i] = tar_at(study, pool, sb_fars[i], &out->tar_threshold[i]);
  compute_bands(b, pool, weight, out);
  for (int i = 0; i < SB_RANKS; i++)
    out->hits[i] = sb_search_hits(study, b->search, weight, (double)sb_ranks[i]);
  out->fpir_threshold = sb_search_threshold(study, b->search, weight, b->fpir);
  out->fnir = sb_search_fnir(study, b->search, weight, out->fpir_threshold);
  for (int i = 0; i < SB_MOST_FIXED; i++) {
    double t = i < b->fixed_count ? b->fixed[i] : (double)NAN;
    double tar = sb_pool_above(pool, pool->mated, pool->mated_weight, t);
    out->fnmr[i] = 1 - tar;
    out->fmr[i] = sb_pool_above(pool, pool->nonmated, pool->nonmated_weight, t);
  }
  double bandwidth[2];
  out->kde_threshold = (double)NAN;
  return kde ? sb_kde_threshold(pool, &out->kde_threshold, bandwidth) : sb_ok();
}

// Rates at given thresholds without bins, as far as pairs are known one by one.
static void refine(const sb_bootstrap *b, double nonmated, sb_values *out) {
  const sb_study *study = b->study;
  for (int i = 0; i < b->fixed_count; i++) {
    int64_t missed = 0;
    for (int64_t k = 0; k < study->mated.count; k++)
      missed += study->mated.items[k].score < b->fixed[i];
    if (!isnan(out->fnmr[i])) out->fnmr[i] = (double)missed / (double)study->mated.count;
    if (!isnan(out->fmr[i])) out->fmr[i] = sb_study_nonmated_above(study, b->fixed[i]) / nonmated;
  }
}

sb_status sb_values_of_study(const sb_bootstrap *b, sb_values *out) {
  sb_pool pool = {0};
  sb_status status = sb_pool_of_study(b->study, &pool);
  if (status.code == SB_OK) status = compute(b, &pool, NULL, true, out);
  if (status.code == SB_OK) refine(b, pool.nonmated_weight, out);
  sb_pool_free(&pool);
  return status;
}

// ---- What replicates are made of ----------------------------------------------------------------

// A listed non-mated pair; `sides` of the histograms' counts are its.
typedef struct known_pair {
  int64_t probe_person, gallery_person, bin;
  double sides;
} known_pair;

typedef struct material {
  int64_t first, span; // the bins in which there is anything
  float *rest;         // people x span: the counts of each person's probes, without the listed
  double *rest_total;  // per person
  double all;          // their sum
  int64_t gallery_people;
  int64_t
      *stands_in; // per person: whose probes tell how it scores as gallery; -1: not in the gallery
  known_pair *pairs;
  int64_t pair_count;
} material;

static void free_material(material *m) {
  free(m->rest);
  free(m->rest_total);
  free(m->stands_in);
  free(m->pairs);
}

static void find_span(const sb_study *study, int64_t *first, int64_t *span) {
  int64_t low = study->bins, high = -1;
  for (int64_t p = 0; p < study->probes; p++) {
    const uint32_t *line = study->histogram + p * study->bins;
    for (int64_t bin = 0; bin < low; bin++)
      if (line[bin] > 0) low = bin;
    for (int64_t bin = study->bins - 1; bin > high; bin--)
      if (line[bin] > 0) high = bin;
  }
  *first = low <= high ? low : 0;
  *span = low <= high ? high - low + 1 : 0;
}

// Whether a pair of a self-comparison stands under its other scan too.
static bool listed_under(const sb_study *study, const int64_t *start, int64_t probe,
                         int64_t gallery) {
  for (int64_t i = start[probe]; i < start[probe + 1]; i++)
    if (study->matches.items[i].gallery == gallery) return true;
  return false;
}

// Takes one count of a pair out of its probe's histogram: the screen's bin is near the canonical
// score's, the nearest that is not empty. False when all are.
static bool take_out(const sb_study *study, const material *m, int64_t probe, int64_t *bin) {
  float *line = m->rest + study->probe_person[probe] * m->span;
  const int64_t own = *bin - m->first, beyond = own < 0 ? -own : own;
  for (int64_t step = 0; step < 2 * (m->span + beyond); step++) { // 0, 1, -1, 2, -2, ...
    const int64_t at = own + (step % 2 != 0 ? (step + 1) / 2 : -step / 2);
    if (at < 0 || at >= m->span || line[at] < 1) continue;
    line[at]--;
    *bin = m->first + at;
    return true;
  }
  return false;
}

static sb_status list_pairs(const sb_study *study, material *m) {
  int64_t *start = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(&start, study->probes + 1, "scores"));
  SB_TRY(SB_NEW(&m->pairs, study->matches.count, "scores"));
  for (int64_t i = 0; i < study->matches.count; i++)
    start[study->matches.items[i].probe + 1] = i + 1;
  for (int64_t p = 0; p < study->probes; p++)
    if (start[p + 1] == 0) start[p + 1] = start[p];
  for (int64_t i = 0; i < study->matches.count; i++) {
    const sb_listed *line = study->matches.items + i;
    if (line->kind != SB_PAIR_NONMATED) continue;
    if (study->self && line->probe > line->gallery &&
        listed_under(study, start, line->gallery, line->probe))
      continue;
    known_pair pair = {.probe_person = study->probe_person[line->probe],
                       .gallery_person = study->gallery_person[line->gallery],
                       .bin = sb_study_bin(study, line->score)};
    if (!take_out(study, m, line->probe, &pair.bin)) continue;
    pair.sides = 1 + (study->self && take_out(study, m, line->gallery, &pair.bin));
    m->pairs[m->pair_count++] = pair;
  }
cleanup:
  free(start);
  return status;
}

static sb_status find_stand_ins(const sb_study *study, material *m, uint64_t seed) {
  sb_status status = SB_NEW(&m->stands_in, study->people, "persons");
  if (status.code != SB_OK) return status;
  for (int64_t a = 0; a < study->people; a++) m->stands_in[a] = -1;
  for (int64_t g = 0; g < study->gallery; g++) m->stands_in[study->gallery_person[g]] = 0;
  for (int64_t a = 0; a < study->people; a++) {
    if (m->stands_in[a] < 0) continue;
    m->gallery_people++;
    int64_t other = a;
    if (!(m->rest_total[a] > 0)) {
      uint64_t draw = sb_random_bits(seed, (uint64_t)a);
      other = study->probe_person[draw % (uint64_t)study->probes];
    }
    m->stands_in[a] = m->rest_total[other] > 0 ? other : -1;
  }
  return status;
}

static sb_status make_material(const sb_bootstrap *b, material *m) {
  const sb_study *study = b->study;
  sb_status status = sb_ok();
  find_span(study, &m->first, &m->span);
  SB_TRY(SB_NEW_ZERO(&m->rest, study->people * m->span, "histograms"));
  SB_TRY(SB_NEW_ZERO(&m->rest_total, study->people, "histograms"));
  for (int64_t p = 0; p < study->probes; p++) {
    float *line = m->rest + study->probe_person[p] * m->span;
    const uint32_t *from = study->histogram + p * study->bins + m->first;
    for (int64_t bin = 0; bin < m->span; bin++) line[bin] += (float)from[bin];
  }
  SB_TRY(list_pairs(study, m));
  for (int64_t a = 0; a < study->people; a++) {
    for (int64_t bin = 0; bin < m->span; bin++) m->rest_total[a] += m->rest[a * m->span + bin];
    m->all += m->rest_total[a];
  }
  SB_TRY(find_stand_ins(study, m, sb_random_key(b->seed, 1)));
cleanup:
  return status;
}

// ---- Replicates ---------------------------------------------------------------------------------

// How often each person is drawn.
static void draw_people(uint64_t key, int64_t people, double *weight) {
  memset(weight, 0, (size_t)people * sizeof *weight);
  for (int64_t i = 0; i < people; i++)
    weight[sb_random_bits(key, (uint64_t)i) % (uint64_t)people]++;
}

// What each person's histogram counts with: as probe, and for those it stands in for as gallery.
static void weigh_lines(const sb_study *study, const material *m, const double *weight,
                        double *coefficient) {
  memcpy(coefficient, weight, (size_t)study->people * sizeof *coefficient);
  double share = m->all / (double)m->gallery_people;
  for (int64_t a = 0; a < study->people; a++) {
    int64_t line = m->stands_in[a];
    if (line >= 0) coefficient[line] += (weight[a] - 1) * share / m->rest_total[line];
  }
}

static void fill_mated(const sb_study *study, const double *weight, sb_pool *pool) {
  memset(pool->mated, 0, (size_t)pool->bins * sizeof *pool->mated);
  for (int64_t i = 0; i < study->mated.count; i++) {
    const sb_listed *pair = study->mated.items + i;
    pool->mated[sb_study_bin(study, pair->score)] += weight[study->probe_person[pair->probe]];
  }
}

// `scratch`: BLOCK weights and BLOCK coefficients per person.
static void fill_pools(const sb_bootstrap *b, const material *m, int64_t first, double *scratch,
                       sb_pool *pools) {
  const sb_study *study = b->study;
  int64_t people = study->people;
  double *coefficients = scratch + BLOCK * people;
  for (int64_t r = 0; r < BLOCK; r++) {
    double *weight = scratch + r * people;
    draw_people(sb_random_key(b->seed, (uint64_t)(first + r) + 2), people, weight);
    weigh_lines(study, m, weight, coefficients + r * people);
    fill_mated(study, weight, pools + r);
    memset(pools[r].nonmated, 0, (size_t)study->bins * sizeof *pools[r].nonmated);
  }
  for (int64_t a = 0; a < people; a++) {
    const float *line = m->rest + a * m->span;
    if (!(m->rest_total[a] > 0)) continue;
    for (int64_t r = 0; r < BLOCK; r++) {
      double coefficient = coefficients[r * people + a], *to = pools[r].nonmated + m->first;
      for (int64_t bin = 0; bin < m->span; bin++) to[bin] += coefficient * (double)line[bin];
    }
  }
  for (int64_t r = 0; r < BLOCK; r++) {
    const double *weight = scratch + r * people;
    for (int64_t i = 0; i < m->pair_count; i++) {
      const known_pair *pair = m->pairs + i;
      pools[r].nonmated[pair->bin] +=
          pair->sides * weight[pair->probe_person] * weight[pair->gallery_person];
    }
    for (int64_t bin = 0; bin < study->bins; bin++)
      pools[r].nonmated[bin] = fmax(pools[r].nonmated[bin], 0) / (double)sb_study_sides(study);
    sb_pool_total(pools + r);
  }
}

// One thread's share of the replicates, BLOCK at a time.
static sb_status run_blocks(const sb_bootstrap *b, const material *m, int part, int parts,
                            sb_values *out) {
  sb_pool pools[BLOCK] = {{0}};
  double *scratch = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&scratch, 2 * BLOCK * b->study->people, "weights"));
  for (int i = 0; i < BLOCK; i++) SB_TRY(sb_pool_new(b->study, pools + i));
  for (int64_t first = (int64_t)part * BLOCK; first < b->replicates;
       first += (int64_t)parts * BLOCK) {
    fill_pools(b, m, first, scratch, pools);
    for (int64_t r = 0; r < BLOCK && first + r < b->replicates; r++)
      SB_TRY(compute(b, pools + r, scratch + r * b->study->people, first + r < SB_KDE_REPLICATES,
                     out + first + r));
  }
cleanup:
  for (int i = 0; i < BLOCK; i++) sb_pool_free(pools + i);
  free(scratch);
  return status;
}

static int ascending(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

static double quantile(const double *sorted, int64_t count, double share) {
  double at = share * (double)(count - 1);
  int64_t below = (int64_t)at;
  if (below + 1 >= count) return sorted[count - 1];
  return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

// The 95 % percentile interval of a figure's values, of which at most one in twenty may be NaN.
static sb_interval take_quantiles(double *column, int64_t tried) {
  int64_t used = 0;
  for (int64_t r = 0; r < tried; r++)
    if (!isnan(column[r])) column[used++] = column[r];
  if (used == 0 || used * 20 < tried * 19) return (sb_interval){(double)NAN, (double)NAN};
  qsort(column, (size_t)used, sizeof *column, ascending);
  return (sb_interval){quantile(column, used, SB_ALPHA / 2),
                       quantile(column, used, 1 - SB_ALPHA / 2)};
}

// Of `width` figures in each of `count` replicates; the one at `kde` is tried in the first few alone.
static sb_status take_intervals(const double *values, int64_t count, int64_t width, int64_t kde,
                                sb_interval *out) {
  double *column = NULL;
  sb_status status = SB_NEW(&column, count, "replicates");
  for (int64_t v = 0; v < width && status.code == SB_OK; v++) {
    for (int64_t r = 0; r < count; r++) column[r] = values[r * width + v];
    out[v] = take_quantiles(column, v == kde ? sb_smaller(count, SB_KDE_REPLICATES) : count);
  }
  free(column);
  return status;
}

sb_status sb_values_intervals(const sb_bootstrap *b, sb_values *low, sb_values *high) {
  material m = {0};
  sb_values *values = NULL;
  sb_interval ends[VALUES];
  sb_status status = sb_ok();
  int threads = sb_thread_count(b->threads);
  for (int64_t v = 0; v < VALUES; v++) ((double *)low)[v] = ((double *)high)[v] = (double)NAN;
  if (b->replicates < 1 || b->study->probes < 1) return status;
  SB_TRY(make_material(b, &m));
  SB_TRY(SB_NEW(&values, b->replicates, "replicates"));
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int part = 0; part < threads; part++) {
    sb_status mine = run_blocks(b, &m, part, threads, values);
#pragma omp critical
    if (mine.code != SB_OK) status = mine;
  }
  SB_TRY(status);
  SB_TRY(take_intervals((const double *)values, b->replicates, VALUES,
                        offsetof(sb_values, kde_threshold) / sizeof(double), ends));
  for (int64_t v = 0; v < VALUES; v++) {
    ((double *)low)[v] = ends[v].low;
    ((double *)high)[v] = ends[v].high;
  }
cleanup:
  free(values);
  free_material(&m);
  return status;
}

// ---- Any other figures --------------------------------------------------------------------------

sb_status sb_redraw_intervals(const sb_redraw *r, sb_interval *out) {
  double *values = NULL;
  sb_status status = sb_ok();
  int threads = sb_thread_count(r->threads);
  for (int64_t v = 0; v < r->width; v++) out[v] = (sb_interval){(double)NAN, (double)NAN};
  if (r->replicates < 1 || r->width < 1) return status;
  SB_TRY(SB_NEW(&values, r->replicates * r->width, "replicates"));
#pragma omp parallel num_threads(threads)
  {
    double *weight = NULL, *scratch = NULL;
    sb_status mine = SB_NEW(&weight, r->people, "weights");
    if (mine.code == SB_OK) mine = SB_NEW(&scratch, r->scratch, "weights");
#pragma omp for schedule(static)
    for (int i = 0; i < r->replicates; i++) {
      if (mine.code != SB_OK) continue;
      draw_people(sb_random_key(r->seed, (uint64_t)i + 2), r->people, weight);
      r->figure(r->context, weight, scratch, values + i * r->width);
    }
#pragma omp critical
    if (mine.code != SB_OK) status = mine;
    free(weight);
    free(scratch);
  }
  SB_TRY(status);
  SB_TRY(take_intervals(values, r->replicates, r->width, -1, out));
cleanup:
  free(values);
  return status;
}
