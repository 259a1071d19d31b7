#include "evaluate/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "evaluate/exact.h"
#include "evaluate/normal.h"

const double sb_galleries[SB_GALLERIES] = {1e3, 1e4, 1e5, 1e6, 1e7};

enum { DRAWS = 1000, RANK_DRAWS = 400, STEPS = 41, REST_BINS = 512, RESIDUAL_BINS = 4000 };

// Probes without their own effects show little of how the gallery's make far pairs cluster; taking
// the effects in shows far too much. This margin was set by simulation (bench_coverage).
static const double CLUSTER_MARGIN = 1.3;

// ---- Effects of the probes ----------------------------------------------------------------------

typedef struct probe_level {
  double mean, variance, count;
} probe_level;

static double centre_z(const sb_study *study, const sb_tail *shape, int64_t bin) {
  return sb_tail_z(shape, sb_study_edge(study, bin) + sb_study_width(study) / 2);
}

static probe_level level_of(const sb_study *study, const double *z, int64_t probe) {
  probe_level level = {0};
  const uint32_t *line = study->histogram + probe * study->bins;
  double sum = 0, squares = 0;
  for (int64_t bin = 0; bin < study->bins; bin++) {
    level.count += line[bin];
    sum += line[bin] * z[bin];
    squares += line[bin] * z[bin] * z[bin];
  }
  if (level.count > 0) level.mean = sum / level.count;
  if (level.count > 1) level.variance = fmax(squares - sum * level.mean, 0) / (level.count - 1);
  return level;
}

// Method of moments: the variance of the probes' means, less what chance alone gives them.
static void find_effects(sb_forecaster *f, const probe_level *levels, double *mean, double *noise) {
  double sum = 0, squares = 0, within = 0, probes = 0;
  for (int64_t p = 0; p < f->study->probes; p++) {
    if (levels[p].count < 2) continue;
    sum += levels[p].mean;
    within += levels[p].variance / levels[p].count;
    probes++;
  }
  *mean = probes > 0 ? sum / probes : 0;
  *noise = probes > 0 ? within / probes : 0;
  for (int64_t p = 0; p < f->study->probes; p++)
    if (levels[p].count >= 2) squares += (levels[p].mean - *mean) * (levels[p].mean - *mean);
  double people = fmin(probes, (double)f->study->people);
  double variance = probes > 1 ? fmax(squares / (probes - 1) - *noise, 0) : 0;
  f->effect_sd = sqrt(variance);
  f->effect_df = fmax(people - 1, 1);
  f->mean_se = people > 0 ? 2 * f->effect_sd / sqrt(people) : 0;
}

static double effect_of(const sb_forecaster *f, const probe_level *level, double mean,
                        double noise) {
  double variance = f->effect_sd * f->effect_sd;
  if (level->count < 2 || !(variance > 0)) return 0;
  return (level->mean - mean) * variance / (variance + noise);
}

// ---- The tail of what is left -------------------------------------------------------------------

static sb_status fit_residuals(sb_forecaster *f, bool nonmated_known, const double *z,
                               const double *effect) {
  const sb_study *study = f->study;
  double low = INFINITY, high = -INFINITY, *counts = NULL, *exceed = NULL;
  sb_status status = sb_ok();
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = 0; bin < study->bins; bin++)
      if (study->histogram[p * study->bins + bin] > 0) {
        low = fmin(low, z[bin] - effect[p]);
        high = fmax(high, z[bin] - effect[p]);
      }
  if (!(high > low)) return status;
  double width = (high - low) / (RESIDUAL_BINS - 2);
  low -= width / 2;
  high = low + width * RESIDUAL_BINS;
  SB_TRY(SB_NEW_ZERO(&counts, RESIDUAL_BINS, "histogram"));
  SB_TRY(SB_NEW_ZERO(&exceed, study->probes, "histogram"));
  double sides = (double)sb_study_sides(study), pairs = 0;
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = 0; bin < study->bins; bin++) {
      double count = study->histogram[p * study->bins + bin] / sides;
      if (!(count > 0)) continue;
      counts[(int64_t)((z[bin] - effect[p] - low) / width)] += count;
      pairs += count;
    }
  double start = low + width * (double)sb_tail_start(counts, RESIDUAL_BINS, pairs, nonmated_known);
  // How much more the probes' sums of excesses vary than those of independent pairs would: as of
  // their number in a study's tail, but led by the far ones, on which a forecast rests.
  double sum = 0, squares = 0, alone = 0;
  for (int64_t p = 0; p < study->probes; p++) {
    for (int64_t bin = 0; bin < study->bins; bin++) {
      double excess = z[bin] - effect[p] - start, count = study->histogram[p * study->bins + bin];
      if (excess <= 0) continue;
      exceed[p] += count * excess;
      alone += count * excess * excess;
    }
    sum += exceed[p];
    squares += exceed[p] * exceed[p];
  }
  double spread = squares - sum * sum / (double)study->probes;
  double cluster = alone > 0 ? spread / alone * (study->self ? 2 : 1) - (study->self ? 1 : 0) : 1;
  const sb_tail_data data = {.low = low,
                             .high = high,
                             .bins = RESIDUAL_BINS,
                             .counts = counts,
                             .known_nonmated = nonmated_known};
  status = sb_tail_fit(&data, CLUSTER_MARGIN * fmax(cluster, 1), &f->tail);
cleanup:
  free(counts);
  free(exceed);
  return status;
}

static sb_status take_mates(sb_forecaster *f, const sb_tail *shape, const double *effect) {
  const sb_study *study = f->study;
  sb_status status = SB_NEW(&f->rest, study->probes, "scores");
  if (status.code == SB_OK) status = SB_NEW(&f->rest_person, study->probes, "scores");
  for (int64_t p = 0; p < study->probes && status.code == SB_OK; p++) {
    if (isnan(study->mate[p])) continue;
    f->rest[f->rest_count] = sb_tail_z(shape, study->mate[p]) - effect[p];
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

sb_status sb_forecast_open(const sb_study *study, bool nonmated_known, sb_forecaster *out) {
  memset(out, 0, sizeof *out);
  out->study = study;
  out->valid_to = SB_FORECAST_REACH * (double)study->people;
  const sb_tail shape = {.low = study->low, .high = study->high, .fisher = true};
  double *z = NULL, *effect = NULL, mean, noise;
  probe_level *levels = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&z, study->bins, "scores"));
  SB_TRY(SB_NEW(&effect, study->probes, "scores"));
  SB_TRY(SB_NEW(&levels, study->probes, "scores"));
  for (int64_t bin = 0; bin < study->bins; bin++) z[bin] = centre_z(study, &shape, bin);
  for (int64_t p = 0; p < study->probes; p++) levels[p] = level_of(study, z, p);
  find_effects(out, levels, &mean, &noise);
  for (int64_t p = 0; p < study->probes; p++) effect[p] = effect_of(out, levels + p, mean, noise);
  SB_TRY(fit_residuals(out, nonmated_known, z, effect));
  SB_TRY(take_mates(out, &shape, effect));
  SB_TRY(cumulate(out));
  SB_TRY(sb_study_mated_people(study, &out->mated_people));
cleanup:
  free(z);
  free(effect);
  free(levels);
  if (status.code != SB_OK) sb_forecast_close(out);
  return status;
}

void sb_forecast_close(sb_forecaster *forecaster) {
  free(forecaster->rest);
  free(forecaster->rest_person);
  free(forecaster->beyond);
  memset(forecaster, 0, sizeof *forecaster);
}

// ---- FPIR ---------------------------------------------------------------------------------------

// P(somebody of `gallery` is at least as close as z), the mean over probes' effects.
static double search_finds(const sb_tail *tail, int cell, double gallery, double z,
                           double effect_sd) {
  if (!(effect_sd > 0)) return -expm1(-gallery * sb_tail_above_cell(tail, cell, z));
  double sum = 0, weights = 0;
  for (int i = 0; i < STEPS; i++) {
    double a = -5 + 10.0 * i / (STEPS - 1), weight = exp(-a * a / 2);
    weights += weight;
    sum += weight * -expm1(-gallery * sb_tail_above_cell(tail, cell, z - a * effect_sd));
  }
  return sum / weights;
}

static double normal_draw(uint64_t key, uint64_t counter) {
  return sb_normal_quantile(sb_random_uniform(key, counter, 1e-12, 1 - 1e-12));
}

static int ascending(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

// What is not known of a forecast, drawn once: the tail, the probes' effect and the general level.
typedef struct state {
  int cell;
  double effect_sd, shift;
} state;

static state draw(const sb_forecaster *f, uint64_t key, uint64_t i) {
  double spread = 1 + normal_draw(key, 3 * i + 1) / sqrt(2 * f->effect_df); // sd of a sample sd
  return (state){.cell = sb_tail_draw(&f->tail, sb_random_uniform(key, 3 * i, 0, 1)),
                 .effect_sd = f->effect_sd * fmax(spread, 0),
                 .shift = f->mean_se * normal_draw(key, 3 * i + 2)};
}

static void forecast_fpir(const sb_forecaster *f, double threshold, uint64_t key, double *values,
                          sb_forecast *out) {
  const sb_tail shape = {.low = f->study->low, .high = f->study->high, .fisher = true};
  double z = sb_tail_z(&shape, threshold), sum = 0;
  for (int i = 0; i < DRAWS; i++) {
    state s = draw(f, key, (uint64_t)i);
    values[i] = search_finds(&f->tail, s.cell, out->gallery, z - s.shift, s.effect_sd);
    sum += values[i];
  }
  qsort(values, DRAWS, sizeof *values, ascending);
  out->fpir = sum / DRAWS;
  out->fpir_low = values[(int)(DRAWS * SB_ALPHA / 2)];
  out->fpir_high = values[DRAWS - 1 - (int)(DRAWS * SB_ALPHA / 2)];
}

// ---- Rank-1 -------------------------------------------------------------------------------------

// For each mated probe, the chance that none of the gallery is closer than its mate.
static double rank1_of(const sb_forecaster *f, const state *s, double gallery, double low,
                       double width, const double *weight) {
  double sum = 0, total = 0;
  for (int bin = 0; bin < REST_BINS; bin++) {
    if (!(weight[bin] > 0)) continue;
    double z = low + width * (bin + 0.5) - s->shift;
    sum += weight[bin] * exp(-gallery * sb_tail_above_cell(&f->tail, s->cell, z));
    total += weight[bin];
  }
  return total > 0 ? sum / total : (double)NAN;
}

static sb_status forecast_rank1(const sb_forecaster *f, uint64_t key, double *values,
                                sb_forecast *out) {
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
    state s = draw(f, key, (uint64_t)i);
    uint64_t people_key = sb_random_key(key, (uint64_t)i + 7);
    memset(drawn, 0, (size_t)people * sizeof *drawn);
    memset(weight, 0, REST_BINS * sizeof *weight);
    for (int64_t a = 0; a < people; a++)
      drawn[sb_random_bits(people_key, (uint64_t)a) % (uint64_t)people]++;
    for (int64_t j = 0; j < f->rest_count; j++)
      weight[(int)((f->rest[j] - low) / width)] += drawn[f->rest_person[j]];
    double value = rank1_of(f, &s, out->gallery, low, width, weight);
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
  if (!isnan(threshold))
    out->fpir_binomial = -expm1(out->gallery * log1p(-observed_share(f, threshold)));
  for (int64_t p = 0; p < study->probes; p++) {
    if (isnan(study->mate[p])) continue;
    sum += exp(out->gallery * log1p(-observed_above(f, study->mate[p])));
    mated++;
  }
  if (mated > 0) out->rank1_binomial = sum / (double)mated;
}

sb_status sb_forecast_at(const sb_forecaster *f, double gallery, double threshold, uint64_t seed,
                         sb_forecast *out) {
  double none = (double)NAN, *values = NULL;
  *out = (sb_forecast){gallery, none, none, none, none,
                       none,    none, none, none, gallery <= f->valid_to};
  sb_status status = sb_ok();
  extrapolate(f, threshold, out);
  if (!f->tail.known) return status;
  SB_TRY(SB_NEW(&values, DRAWS, "forecast"));
  uint64_t key = sb_random_key(seed, 0x666f7265u);
  if (!isnan(threshold)) forecast_fpir(f, threshold, key, values, out);
  if (f->rest_count > 0) SB_TRY(forecast_rank1(f, key, values, out));
cleanup:
  free(values);
  return status;
}
