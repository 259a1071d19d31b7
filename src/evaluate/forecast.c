#include "evaluate/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "evaluate/exact.h"
#include "evaluate/normal.h"

const double sb_galleries[SB_GALLERIES] = {1e3, 1e4, 1e5, 1e6, 1e7};

enum { DRAWS = 1000, RANK_DRAWS = 400, REST_BINS = 512, RESIDUAL_BINS = 600 };
enum { MAP_NODES = 2048, EFFECT_BINS = 256 };
// Where a draw's tail is known, in standard deviations of a comparison without its probe's effect.
enum { TAIL_NODES = 96 };
static const double TAIL_FROM = -5, TAIL_TO = 14;
static const double XI_SD = 0.1, LOG_SIGMA_SD = 0.2;

// ---- Effects of the probes ----------------------------------------------------------------------

typedef struct probe_level {
  double mean, variance, count;
} probe_level;

// edge: z of the bins' edges.
static probe_level level_of(const sb_study *study, const double *edge, int64_t probe) {
  probe_level level = {0};
  const uint32_t *line = study->histogram + probe * study->bins;
  double sum = 0, squares = 0;
  for (int64_t bin = 0; bin < study->bins; bin++) {
    double z = (edge[bin] + edge[bin + 1]) / 2;
    level.count += line[bin];
    sum += line[bin] * z;
    squares += line[bin] * z * z;
  }
  if (level.count > 0) level.mean = sum / level.count;
  if (level.count > 1) level.variance = fmax(squares - sum * level.mean, 0) / (level.count - 1);
  return level;
}

// Method of moments. A probe's scores vary with the gallery's effects and by themselves (`within`);
// the probes' means by their own effects and by what is left of the latter. Gives each probe's
// effect, drawn towards 0 by how little is known of it.
static sb_status find_effects(sb_forecaster *f, const double *edge, double *effect) {
  const sb_study *study = f->study;
  double sum = 0, squares = 0, within = 0, probes = 0, share = 0;
  probe_level *levels = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&levels, study->probes, "scores"));
  for (int64_t p = 0; p < study->probes; p++) {
    effect[p] = 0;
    levels[p] = level_of(study, edge, p);
    if (levels[p].count < 2) continue;
    sum += levels[p].mean;
    within += levels[p].variance;
    share += 1 / levels[p].count;
    probes++;
  }
  if (!(probes > 1)) goto cleanup;
  f->level = sum / probes;
  within /= probes;
  share /= probes;
  for (int64_t p = 0; p < study->probes; p++) {
    if (levels[p].count < 2) continue;
    effect[p] = levels[p].mean - f->level;
    squares += effect[p] * effect[p];
  }
  double seen = squares / (probes - 1), variance = fmax((seen - within * share) / (1 - share), 0);
  f->noise_sd = sqrt(fmax(within - variance, 0));
  double people = fmin(probes, (double)study->people), noise = f->noise_sd * f->noise_sd * share;
  SB_TRY(sb_effects_fit(effect, study->probes, people, sqrt(seen), noise, &f->effects));
  double kept = seen > 0 ? f->effects.sd * f->effects.sd / seen : 0;
  for (int64_t p = 0; p < study->probes; p++) effect[p] *= kept;
cleanup:
  free(levels);
  return status;
}

// ---- The tail of what is left -------------------------------------------------------------------

// From a score without its probe's effect, r, to the normal deviate x that is as rare, were scores
// the gallery's effects, as they are here, plus normal noise: what a pair owes to both its people
// is no part of the tail then.
typedef struct to_deviate {
  double low, step;
  double x[MAP_NODES];
  double effect[EFFECT_BINS], share[EFFECT_BINS]; // the gallery's, as the probes' are
} to_deviate;

static void make_map(const sb_forecaster *f, const double *effect, double low, double high,
                     to_deviate *map) {
  double least = INFINITY, most = -INFINITY;
  int64_t probes = f->study->probes;
  for (int64_t p = 0; p < probes; p++) {
    least = fmin(least, effect[p]);
    most = fmax(most, effect[p]);
  }
  double width = fmax((most - least) * (1 + 1e-9), 1e-12) / EFFECT_BINS;
  memset(map->share, 0, sizeof map->share);
  for (int bin = 0; bin < EFFECT_BINS; bin++) map->effect[bin] = least + width * (bin + 0.5);
  for (int64_t p = 0; p < probes; p++)
    map->share[(int)((effect[p] - least) / width)] += 1 / (double)probes;
  map->low = low;
  map->step = (high - low) / (MAP_NODES - 1);
  for (int i = 0; i < MAP_NODES; i++) {
    double above = 0;
    for (int bin = 0; bin < EFFECT_BINS; bin++)
      if (map->share[bin] > 0)
        above += map->share[bin] *
                 sb_normal_upper((low + map->step * i - map->effect[bin]) / f->noise_sd);
    map->x[i] = sb_upper_quantile(log(fmax(above, 1e-300)));
  }
}

static double deviate_of(const to_deviate *map, double r) {
  double at = (r - map->low) / map->step;
  int node = (int)fmin(fmax(at, 0), MAP_NODES - 2);
  return map->x[node] + (at - node) * (map->x[node + 1] - map->x[node]);
}

// The share of the gallery's scans whose people are not among the probes.
static sb_status find_strangers(const sb_study *study, double *share) {
  bool *probe = NULL;
  int64_t strangers = 0;
  sb_status status = SB_NEW_ZERO(&probe, study->people, "persons");
  for (int64_t p = 0; p < study->probes && status.code == SB_OK; p++)
    probe[study->probe_person[p]] = true;
  for (int64_t g = 0; g < study->gallery && status.code == SB_OK; g++)
    strangers += !probe[study->gallery_person[g]];
  *share = study->gallery > 0 ? (double)strangers / (double)study->gallery : 0;
  free(probe);
  return status;
}

// The effects of people who are in the gallery alone are not known, only what such effects are like.
// Every probe meets the same ones, so that its pairs cluster by as much as the effects move the mean
// excess of a gallery scan.
static double gallery_clustering(const sb_forecaster *f, const to_deviate *map, double start) {
  double sum = 0, squares = 0, alone = 0;
  for (int bin = 0; bin < EFFECT_BINS; bin++) {
    if (!(map->share[bin] > 0)) continue;
    double mean = 0, square = 0;
    for (int i = 0; i < MAP_NODES; i++) {
      if (map->x[i] <= start) continue;
      double excess = map->x[i] - start;
      double noise = (map->low + map->step * i - map->effect[bin]) / f->noise_sd;
      double density = exp(-noise * noise / 2) / 2.5066282746310002 / f->noise_sd * map->step;
      mean += density * excess;
      square += density * excess * excess;
    }
    sum += map->share[bin] * mean;
    squares += map->share[bin] * mean * mean;
    alone += map->share[bin] * square;
  }
  return alone > 0 ? (double)f->study->probes * (squares - sum * sum) / alone : 0;
}

// How much more the probes' sums of excesses vary than those of independent pairs would: as of
// their number in a study's tail, but led by the far ones, on which a forecast rests. With the
// effects of both people out this is near 1. From `start` to `end` as the tail goes.
static sb_status clustering(const sb_study *study, const to_deviate *map, const double *edge,
                            const double *effect, double start, double end, double *out) {
  double sum = 0, squares = 0, alone = 0, *exceed = NULL;
  sb_status status = SB_NEW_ZERO(&exceed, study->probes, "scores");
  *out = 1;
  for (int64_t p = 0; p < study->probes && status.code == SB_OK; p++) {
    for (int64_t bin = 0; bin < study->bins; bin++) {
      double count = study->histogram[p * study->bins + bin];
      if (!(count > 0)) continue;
      double excess = deviate_of(map, (edge[bin] + edge[bin + 1]) / 2 - effect[p]) - start;
      if (excess <= 0 || excess > end - start) continue;
      exceed[p] += count * excess;
      alone += count * excess * excess;
    }
    sum += exceed[p];
    squares += exceed[p] * exceed[p];
  }
  double spread = squares - sum * sum / (double)study->probes;
  if (alone > 0) *out = spread / alone * (study->self ? 2 : 1) - (study->self ? 1 : 0);
  free(exceed);
  return status;
}

// Counts spread evenly over an interval of an array's places.
static void spread(double *counts, double from, double to, double count) {
  double part = count / fmax(to - from, 1e-9);
  for (int64_t at = (int64_t)from; (double)at < to; at++)
    counts[at] += part * (fmin(to, (double)(at + 1)) - fmax(from, (double)at));
}

static sb_status fit_residuals(sb_forecaster *f, bool nonmated_known, const double *edge,
                               const double *effect) {
  const sb_study *study = f->study;
  double low = INFINITY, high = -INFINITY, *counts = NULL, cluster = 1;
  to_deviate *map = NULL;
  sb_status status = sb_ok();
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = 0; bin < study->bins; bin++)
      if (study->histogram[p * study->bins + bin] > 0) {
        low = fmin(low, edge[bin] - effect[p]);
        high = fmax(high, edge[bin + 1] - effect[p]);
      }
  if (!(high > low) || !(f->noise_sd > 0)) return status;
  SB_TRY(SB_NEW(&map, 1, "scores"));
  make_map(f, effect, low, high, map);
  double first = map->x[0], width = (map->x[MAP_NODES - 1] - first) / (RESIDUAL_BINS - 2);
  first -= width / 2;
  SB_TRY(SB_NEW_ZERO(&counts, RESIDUAL_BINS, "histogram"));
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = 0; bin < study->bins; bin++) {
      double count = study->histogram[p * study->bins + bin] / (double)sb_study_sides(study);
      if (!(count > 0)) continue;
      double from = (deviate_of(map, edge[bin] - effect[p]) - first) / width;
      double to = (deviate_of(map, edge[bin + 1] - effect[p]) - first) / width;
      spread(counts, from, to, count);
    }
  const sb_tail_data data = {.low = first,
                             .high = first + width * RESIDUAL_BINS,
                             .bins = RESIDUAL_BINS,
                             .counts = counts,
                             .known_nonmated = nonmated_known,
                             .xi_sd = XI_SD,
                             .log_sigma_sd = LOG_SIGMA_SD,
                             .zoom = true};
  if (!sb_tail_place(&data, &f->tail)) goto cleanup;
  const double start = first + width * (double)f->tail.first_bin;
  const double end = first + width * (double)f->tail.end_bin;
  SB_TRY(clustering(study, map, edge, effect, start, end, &cluster));
  SB_TRY(find_strangers(study, &f->strangers));
  cluster = fmax(cluster, 1);
  if (f->strangers > 0) cluster += f->strangers * gallery_clustering(f, map, start);
  status = sb_tail_fit(&data, cluster, &f->tail);
cleanup:
  free(counts);
  free(map);
  return status;
}

// ---- What is not known, drawn -------------------------------------------------------------------

static double normal_draw(uint64_t key, uint64_t counter) {
  return sb_normal_quantile(sb_random_uniform(key, counter, 1e-12, 1 - 1e-12));
}

// P(a comparison without its probe's effect is above r), the gallery's effects and the tail as
// drawn: log, at TAIL_NODES.
static void fill_tail(const sb_forecaster *f, const sb_effect_draw *d, double shift, int cell,
                      double *log_q) {
  for (int i = 0; i < TAIL_NODES; i++) {
    double r = f->tail_low + f->tail_step * i, above = 0, weights = 0;
    for (int k = 0; k < SB_EFFECT_NODES; k++) {
      double x = sb_effect_node(k), weight = exp(-x * x / 2);
      double b = shift + d->sd * d->shape[k];
      weights += weight;
      above += weight * sb_normal_upper((r - b) / f->noise_sd);
    }
    double x = sb_upper_quantile(log(fmax(above / weights, 1e-300)));
    log_q[i] = log(sb_tail_above_cell(&f->tail, cell, x));
  }
}

static sb_status draw_all(sb_forecaster *f) {
  sb_status status = sb_ok();
  uint64_t key = f->seed;
  double total = hypot(f->noise_sd, f->effects.sd);
  f->tail_low = TAIL_FROM * total;
  f->tail_step = (TAIL_TO - TAIL_FROM) * total / (TAIL_NODES - 1);
  SB_TRY(SB_NEW(&f->draws, DRAWS, "forecast"));
  SB_TRY(SB_NEW(&f->log_q, (int64_t)DRAWS * TAIL_NODES, "forecast"));
  for (int i = 0; i < DRAWS; i++) {
    uint64_t at = 3 * (uint64_t)i;
    sb_effect_draw *d = f->draws + i;
    int cell = sb_tail_draw(&f->tail, sb_random_uniform(key, at, 0, 1));
    *d = sb_effects_draw(&f->effects, sb_random_uniform(key, at + 1, 0, 1));
    // A gallery of the same people has the probes' level; another has its own.
    double shift = d->place;
    if (f->strangers > 0)
      shift = d->sd / sqrt((double)f->study->gallery) * normal_draw(key, at + 2);
    fill_tail(f, d, shift, cell, f->log_q + (int64_t)i * TAIL_NODES);
  }
cleanup:
  return status;
}

static double beyond(const sb_forecaster *f, int draw, double r) {
  const double *log_q = f->log_q + (int64_t)draw * TAIL_NODES;
  double at = fmax((r - f->tail_low) / f->tail_step, 0);
  int node = (int)fmin(at, TAIL_NODES - 2);
  double end = log_q[node + 1];
  if (!isfinite(end)) return at <= node ? exp(log_q[node]) : 0; // a tail that ends
  return exp(log_q[node] + (at - node) * (end - log_q[node]));
}

// ---- Opening ------------------------------------------------------------------------------------

static sb_status take_mates(sb_forecaster *f, const sb_tail *shape, const double *effect) {
  const sb_study *study = f->study;
  sb_status status = SB_NEW(&f->rest, study->probes, "scores");
  if (status.code == SB_OK) status = SB_NEW(&f->rest_person, study->probes, "scores");
  for (int64_t p = 0; p < study->probes && status.code == SB_OK; p++) {
    if (isnan(study->mate[p])) continue;
    f->rest[f->rest_count] = sb_tail_z(shape, study->mate[p]) - f->level - effect[p];
    f->rest_person[f->rest_count++] = study->probe_person[p];
  }
  return status;
}

// beyond[b]: the share of non-mated comparisons in bin b and above.
static sb_status cumulate(sb_forecaster *f) {
  const sb_study *study = f->study;
  sb_status status = SB_NEW_ZERO(&f->beyond, study->bins + 1, "histogram");
  if (status.code != SB_OK) return status;
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = 0; bin < study->bins; bin++)
      f->beyond[bin] += study->histogram[p * study->bins + bin];
  for (int64_t bin = study->bins; bin-- > 0;) f->beyond[bin] += f->beyond[bin + 1];
  double all = f->beyond[0];
  f->nonmated = all / (double)sb_study_sides(study);
  for (int64_t bin = 0; bin <= study->bins && all > 0; bin++) f->beyond[bin] /= all;
  return status;
}

sb_status sb_forecast_open(const sb_study *study, bool nonmated_known, uint64_t seed,
                           sb_forecaster *out) {
  memset(out, 0, sizeof *out);
  out->study = study;
  out->nonmated_known = nonmated_known;
  out->seed = sb_random_key(seed, 0x666f7265u);
  out->valid_to = SB_FORECAST_REACH * (double)study->people;
  const sb_tail shape = {.low = study->low, .high = study->high, .fisher = !study->ratio};
  double *edge = NULL, *effect = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&edge, study->bins + 1, "scores"));
  SB_TRY(SB_NEW(&effect, study->probes, "scores"));
  for (int64_t bin = 0; bin <= study->bins; bin++)
    edge[bin] = sb_tail_z(&shape, sb_study_edge(study, bin));
  SB_TRY(find_effects(out, edge, effect));
  for (int64_t bin = 0; bin <= study->bins; bin++) edge[bin] -= out->level;
  SB_TRY(fit_residuals(out, nonmated_known, edge, effect));
  if (out->tail.known) SB_TRY(draw_all(out));
  SB_TRY(take_mates(out, &shape, effect));
  SB_TRY(cumulate(out));
  SB_TRY(sb_study_mated_people(study, &out->mated_people));
cleanup:
  free(edge);
  free(effect);
  if (status.code != SB_OK) sb_forecast_close(out);
  return status;
}

void sb_forecast_close(sb_forecaster *forecaster) {
  free(forecaster->draws);
  free(forecaster->log_q);
  free(forecaster->rest);
  free(forecaster->rest_person);
  free(forecaster->beyond);
  memset(forecaster, 0, sizeof *forecaster);
}

// ---- FPIR ---------------------------------------------------------------------------------------

// P(somebody of `gallery` is at least as close as z), the mean over probes' effects.
static double search_finds(const sb_forecaster *f, int draw, double gallery, double z) {
  const sb_effect_draw *effects = f->draws + draw;
  double sum = 0, weights = 0;
  for (int k = 0; k < SB_EFFECT_NODES; k++) {
    double x = sb_effect_node(k), weight = exp(-x * x / 2);
    double a = effects->place + effects->sd * effects->shape[k];
    weights += weight;
    sum += weight * -expm1(-gallery * beyond(f, draw, z - f->level - a));
  }
  return sum / weights;
}

static int ascending(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

static void forecast_fpir(const sb_forecaster *f, double threshold, double *values,
                          sb_forecast *out) {
  const sb_study *study = f->study;
  const sb_tail shape = {.low = study->low, .high = study->high, .fisher = !study->ratio};
  double z = sb_tail_z(&shape, threshold), sum = 0;
  for (int i = 0; i < DRAWS; i++) {
    values[i] = search_finds(f, i, out->gallery, z);
    sum += values[i];
  }
  qsort(values, DRAWS, sizeof *values, ascending);
  out->fpir = sum / DRAWS;
  // Few draws of a heavy tail can carry the mean beyond the percentiles: then they end at it.
  out->fpir_low = fmin(values[(int)(DRAWS * SB_ALPHA / 2)], out->fpir);
  out->fpir_high = fmax(values[DRAWS - 1 - (int)(DRAWS * SB_ALPHA / 2)], out->fpir);
}

// ---- Rank-1 -------------------------------------------------------------------------------------

// For each mated probe, the chance that none of the gallery is closer than its mate.
static double rank1_of(const sb_forecaster *f, int draw, double gallery, double low, double width,
                       const double *weight) {
  double sum = 0, total = 0;
  for (int bin = 0; bin < REST_BINS; bin++) {
    if (!(weight[bin] > 0)) continue;
    sum += weight[bin] * exp(-gallery * beyond(f, draw, low + width * (bin + 0.5)));
    total += weight[bin];
  }
  return total > 0 ? sum / total : (double)NAN;
}

static sb_status forecast_rank1(const sb_forecaster *f, double *values, sb_forecast *out) {
  double low = INFINITY, high = -INFINITY, *drawn = NULL, *weight = NULL, sum = 0;
  int64_t people = f->study->people, used = 0;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&drawn, people, "persons"));
  SB_TRY(SB_NEW(&weight, REST_BINS, "scores"));
  for (int64_t i = 0; i < f->rest_count; i++) {
    low = fmin(low, f->rest[i]);
    high = fmax(high, f->rest[i]);
  }
  double width = fmax((high - low) * (1 + 1e-9), 1e-9) / REST_BINS;
  for (int i = 0; i < RANK_DRAWS; i++) {
    uint64_t people_key = sb_random_key(f->seed, (uint64_t)i + 7);
    memset(drawn, 0, (size_t)people * sizeof *drawn);
    memset(weight, 0, REST_BINS * sizeof *weight);
    for (int64_t a = 0; a < people; a++)
      drawn[sb_random_bits(people_key, (uint64_t)a) % (uint64_t)people]++;
    for (int64_t j = 0; j < f->rest_count; j++)
      weight[(int)((f->rest[j] - low) / width)] += drawn[f->rest_person[j]];
    double value = rank1_of(f, i, out->gallery, low, width, weight);
    if (isnan(value)) continue;
    values[used++] = value;
    sum += value;
  }
  if (used > 0) {
    qsort(values, (size_t)used, sizeof *values, ascending);
    out->rank1 = sum / (double)used;
    out->rank1_low = values[(int64_t)((double)(used - 1) * SB_ALPHA / 2)];
    out->rank1_high = values[used - 1 - (int64_t)((double)(used - 1) * SB_ALPHA / 2)];
    // So few people cannot show more, whatever the tail.
    out->rank1_low = fmin(out->rank1_low, 1 - sb_zero_error_bound(f->mated_people, SB_ALPHA));
  }
cleanup:
  free(drawn);
  free(weight);
  return status;
}

// ---- Both ---------------------------------------------------------------------------------------

// The share of all non-mated comparisons at or above a score, as observed.
static double observed_above(const sb_forecaster *f, double closeness) {
  int64_t bin = sb_study_bin(f->study, closeness);
  double part = (closeness - sb_study_edge(f->study, bin)) / sb_study_width(f->study);
  part = fmin(fmax(part, 0), 1);
  double above = f->beyond[bin] + part * (f->beyond[bin + 1] - f->beyond[bin]);
  return fmin(above, 1 - 1e-15);
}

// The same as far as pairs are known one by one.
static double observed_share(const sb_forecaster *f, double closeness) {
  return fmin(sb_study_nonmated_above(f->study, closeness) / f->nonmated, 1 - 1e-15);
}

static void extrapolate(const sb_forecaster *f, double threshold, sb_forecast *out) {
  const sb_study *study = f->study;
  double sum = 0;
  int64_t mated = 0;
  if (!(f->beyond[0] > 0)) return;
  if (!isnan(threshold) && f->nonmated_known)
    out->fpir_binomial = -expm1(out->gallery * log1p(-observed_share(f, threshold)));
  for (int64_t p = 0; p < study->probes; p++) {
    if (isnan(study->mate[p])) continue;
    sum += exp(out->gallery * log1p(-observed_above(f, study->mate[p])));
    mated++;
  }
  if (mated > 0) out->rank1_binomial = sum / (double)mated;
}

sb_status sb_forecast_at(const sb_forecaster *f, double gallery, double threshold,
                         sb_forecast *out) {
  double none = (double)NAN, *values = NULL;
  *out = (sb_forecast){gallery, none, none, none, none,
                       none,    none, none, none, gallery <= f->valid_to};
  sb_status status = sb_ok();
  extrapolate(f, threshold, out);
  if (!f->tail.known) return status;
  SB_TRY(SB_NEW(&values, DRAWS, "forecast"));
  if (!isnan(threshold)) forecast_fpir(f, threshold, values, out);
  if (f->rest_count > 0) SB_TRY(forecast_rank1(f, values, out));
cleanup:
  free(values);
  return status;
}
