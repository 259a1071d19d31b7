#include "evaluate/tail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "evaluate/normal.h"

enum { CELLS = SB_TAIL_XI * SB_TAIL_SIGMA };
static const double LEAST_EXCEEDANCES = 50, MOST_EXCEEDANCES = 5000, MOST_KNOWN = 12500,
                    LARGEST_SHARE = 0.25;
static const double USUAL_SHARE = 0.1, REACH = 6;
// Counts that were spread over bins add up to whole numbers but for rounding, of which this is more: else it would
// decide on which side of a gap a share ends that ends in one.
static const double ROUNDING = 1e-9;
static const double XI_SD = 0.15, LOG_SIGMA_SD = 0.5;

static double transform(const sb_tail *t, double x) {
  if (!t->fisher) return x;
  double r = 2 * (x - t->low) / (t->high - t->low) - 1;
  const double most = 1 - 1e-12;
  return atanh(fmin(fmax(r, -most), most));
}

double sb_tail_z(const sb_tail *tail, double closeness) {
  return transform(tail, closeness);
}

double sb_tail_surprise(const sb_tail *tail, double z) {
  return -sb_log_upper((z - tail->location) / tail->scale);
}

// log P(y - u > x | y > u) of a generalised Pareto distribution.
static double log_beyond(double xi, double sigma, double x) {
  if (x <= 0) return 0;
  double a = xi * x / sigma;
  if (fabs(a) < 1e-9) return -x / sigma;
  return a <= -1 ? -INFINITY : -log1p(a) / xi;
}

// ---- Location and scale -------------------------------------------------------------------------

// The z below which a share of the pairs lies, linear within bins of the score.
static double quantile(const sb_tail_data *d, const sb_tail *t, double share) {
  double left = share * t->pairs, width = (d->high - d->low) / (double)d->bins;
  for (int64_t bin = 0; bin < d->bins; bin++) {
    if (d->counts[bin] > 0 && d->counts[bin] + ROUNDING * t->pairs >= left)
      return transform(t, d->low + width * ((double)bin + fmin(left / d->counts[bin], 1)));
    left -= d->counts[bin];
  }
  return transform(t, d->high);
}

// ---- The likelihood -----------------------------------------------------------------------------

// What it is a sum over: counts between two levels of y - u.
typedef struct cells {
  double *from, *to, *count;
  int64_t used;
  double reach; // v - u
} cells;

static double log_between(double xi, double sigma, double from, double to) {
  double near = log_beyond(xi, sigma, from), far = log_beyond(xi, sigma, to);
  return near + log(-expm1(fmin(far - near, -1e-300)));
}

static double log_likelihood(const cells *c, double xi, double sigma) {
  double sum = 0, total = 0, whole = log_between(xi, sigma, 0, c->reach);
  for (int64_t i = 0; i < c->used; i++) {
    double log_p = log_between(xi, sigma, c->from[i], c->to[i]);
    if (!isfinite(log_p)) return -INFINITY; // beyond the end of a short tail
    sum += c->count[i] * log_p;
    total += c->count[i];
  }
  return sum - total * whole;
}

// Bins between u and v; reciprocal best matches leave their bin for "above the second best".
static sb_status collect(const sb_tail_data *d, const sb_tail *t, int64_t start, int64_t end,
                         cells *c) {
  double width = (d->high - d->low) / (double)d->bins;
  int64_t room = end - start + d->censored_count;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&c->from, room, "tail"));
  SB_TRY(SB_NEW(&c->to, room, "tail"));
  SB_TRY(SB_NEW(&c->count, room, "tail"));
  for (int64_t bin = start; bin < end; bin++) {
    double edge = d->low + width * (double)bin;
    c->from[c->used] = sb_tail_surprise(t, transform(t, edge)) - t->u;
    c->to[c->used] = sb_tail_surprise(t, transform(t, edge + width)) - t->u;
    c->count[c->used++] = d->counts[bin];
  }
  for (int64_t i = 0; i < d->censored_count; i++) {
    int64_t bin = (int64_t)floor((d->censored[i] - d->low) / width);
    int64_t second = (int64_t)floor((d->censored_at[i] - d->low) / width);
    if (bin < start || bin >= end || second >= bin || c->count[bin - start] < 1) continue;
    c->count[bin - start]--;
    c->from[c->used] = second < start ? 0 : c->from[second - start];
    c->to[c->used] = c->reach;
    c->count[c->used++] = 1;
  }
  int64_t kept = 0;
  for (int64_t i = 0; i < c->used; i++) {
    if (!(c->count[i] > 0)) continue;
    c->from[kept] = c->from[i];
    c->to[kept] = c->to[i];
    c->count[kept++] = c->count[i];
  }
  c->used = kept;
cleanup:
  return status;
}

// Weighs every cell of the grid; posterior means and standard deviations of xi and log sigma.
static void weigh_cells(const cells *c, const sb_tail_data *d, sb_tail *t, double mean[2],
                        double sd[2]) {
  double best = -INFINITY, sum = 0, squares[2] = {0};
  for (int cell = 0; cell < CELLS; cell++) {
    double xi = sb_tail_xi(t, cell), sigma = sb_tail_sigma(t, cell);
    double a = xi / d->xi_sd, b = log(sigma) / d->log_sigma_sd;
    t->weight[cell] = log_likelihood(c, xi, sigma) / t->cluster - (a * a + b * b) / 2;
    best = fmax(best, t->weight[cell]);
  }
  for (int cell = 0; cell < CELLS; cell++) sum += t->weight[cell] = exp(t->weight[cell] - best);
  mean[0] = mean[1] = 0;
  for (int cell = 0; cell < CELLS; cell++) {
    const double values[2] = {sb_tail_xi(t, cell), log(sb_tail_sigma(t, cell))};
    t->weight[cell] /= sum;
    for (int i = 0; i < 2; i++) {
      mean[i] += t->weight[cell] * values[i];
      squares[i] += t->weight[cell] * values[i] * values[i];
    }
  }
  for (int i = 0; i < 2; i++) sd[i] = sqrt(fmax(squares[i] - mean[i] * mean[i], 0));
}

// Lays the grid over where the weight is, at least a third of a step wide.
static void zoom(const double mean[2], const double sd[2], sb_tail *t) {
  const double reach = 5;
  double xi = reach * fmax(sd[0], t->xi_step / 3);
  double log_sigma = reach * fmax(sd[1], t->log_sigma_step / 3);
  t->xi_first = mean[0] - xi;
  t->xi_step = 2 * xi / (SB_TAIL_XI - 1);
  t->log_sigma_first = mean[1] - log_sigma;
  t->log_sigma_step = 2 * log_sigma / (SB_TAIL_SIGMA - 1);
}

static void weigh(const cells *c, const sb_tail_data *d, sb_tail *t) {
  double mean[2], sd[2];
  t->xi_first = -0.4;
  t->xi_step = 0.0375;
  t->log_sigma_first = log(0.2);
  t->log_sigma_step = log(25) / (SB_TAIL_SIGMA - 1);
  weigh_cells(c, d, t, mean, sd);
  if (d->zoom) {
    zoom(mean, sd, t);
    weigh_cells(c, d, t, mean, sd);
  }
  t->xi = mean[0];
  t->sigma = t->above_u = 0;
  for (int cell = 0; cell < CELLS; cell++) {
    double xi = sb_tail_xi(t, cell), sigma = sb_tail_sigma(t, cell);
    // P(u < y <= v) is what was counted; P(y > u) follows, whatever lies beyond v.
    double within = -expm1(log_beyond(xi, sigma, c->reach));
    t->share[cell] = fmin(t->exceedances / t->pairs / within, 1);
    t->sigma += t->weight[cell] * sigma;
    t->above_u += t->weight[cell] * t->share[cell];
  }
}

// ---- Where the tail lies ------------------------------------------------------------------------

// The lowest bin above which no more than a share of the pairs lie.
static int64_t bin_of_share(const sb_tail_data *d, double pairs, double share) {
  share = fmin(fmax(share, LEAST_EXCEEDANCES / pairs), LARGEST_SHARE);
  double above = 0;
  int64_t bin = d->bins;
  while (bin > 0 && above + d->counts[bin - 1] <= share * pairs * (1 + ROUNDING))
    above += d->counts[--bin];
  return bin;
}

static double surprise_at(const sb_tail_data *d, const sb_tail *t, int64_t edge) {
  const double width = (d->high - d->low) / (double)d->bins;
  return sb_tail_surprise(t, transform(t, d->low + width * (double)edge));
}

// The tail from a bin on: to its end, at least one bin.
static void place_at(const sb_tail_data *d, int64_t first, sb_tail *t) {
  t->first_bin = t->end_bin = first;
  t->u = t->v = surprise_at(d, t, first);
  t->exceedances = 0;
  for (; t->end_bin < d->bins; t->end_bin++) {
    const double y = surprise_at(d, t, t->end_bin + 1);
    if (t->end_bin > first && y > t->u + REACH && !d->known_nonmated) break;
    t->exceedances += d->counts[t->end_bin];
    t->v = y;
  }
  if (d->known_nonmated) t->v = INFINITY;
}

// Among so many pairs that their usual share is more than is needed, farther up. What lies beyond the
// tail's end is not counted: there may be more mates than the tail has pairs.
static void place_tail(const sb_tail_data *d, sb_tail *t) {
  if (d->known_nonmated) {
    place_at(d, bin_of_share(d, t->pairs, fmin(USUAL_SHARE, MOST_KNOWN / t->pairs)), t);
    return;
  }
  place_at(d, bin_of_share(d, t->pairs, USUAL_SHARE), t);
  while (t->exceedances > MOST_EXCEEDANCES) {
    place_at(d, t->first_bin + 1, t);
    if (t->exceedances >= LEAST_EXCEEDANCES) continue;
    place_at(d, t->first_bin - 1, t); // bins are coarse
    break;
  }
}

bool sb_tail_place(const sb_tail_data *data, sb_tail *out) {
  memset(out, 0, sizeof *out);
  out->low = data->low;
  out->high = data->high;
  out->fisher = data->fisher;
  for (int64_t bin = 0; bin < data->bins; bin++) out->pairs += data->counts[bin];
  if (out->pairs < SB_LEAST_PAIRS) return false;
  out->location = quantile(data, out, 0.5);
  out->scale = (quantile(data, out, 0.75) - quantile(data, out, 0.25)) / 1.349;
  double width = (data->high - data->low) / (double)data->bins;
  // Scores so alike that they share a bin have no scale.
  double least = transform(out, data->low + width) - transform(out, data->low);
  for (int64_t bin = 0; bin + 1 < data->bins; bin++)
    least = fmin(least, transform(out, data->low + width * (double)(bin + 1)) -
                            transform(out, data->low + width * (double)bin));
  if (!(out->scale > 0.6 * least)) return false;
  place_tail(data, out);
  return out->exceedances >= 1;
}

sb_status sb_tail_fit(const sb_tail_data *data, double cluster, sb_tail *placed) {
  cells c = {.reach = placed->v - placed->u};
  placed->cluster = fmax(cluster, 1);
  sb_status status = collect(data, placed, placed->first_bin, placed->end_bin, &c);
  if (status.code == SB_OK) {
    weigh(&c, data, placed);
    placed->known = true;
  }
  free(c.from);
  free(c.to);
  free(c.count);
  return status;
}

double sb_tail_above_cell(const sb_tail *tail, int cell, double z) {
  double x = (z - tail->location) / tail->scale;
  double y = -sb_log_upper(x);
  // Below u the bulk is normal, scaled so that both meet at u.
  if (y <= tail->u) return fmin(exp(tail->u - y) * tail->share[cell], 1);
  return tail->share[cell] *
         exp(log_beyond(sb_tail_xi(tail, cell), sb_tail_sigma(tail, cell), y - tail->u));
}

double sb_tail_above(const sb_tail *tail, double closeness) {
  if (!tail->known) return (double)NAN;
  double z = sb_tail_z(tail, closeness), sum = 0;
  for (int cell = 0; cell < CELLS; cell++)
    if (tail->weight[cell] > 1e-15) sum += tail->weight[cell] * sb_tail_above_cell(tail, cell, z);
  return sum;
}

int sb_tail_draw(const sb_tail *tail, double uniform) {
  double sum = 0;
  for (int cell = 0; cell < CELLS; cell++) {
    sum += tail->weight[cell];
    if (uniform < sum) return cell;
  }
  return CELLS - 1;
}

// ---- Of a study ---------------------------------------------------------------------------------

// How much the tail's pairs cluster in scans: the variance of their number over that of independent
// pairs. With k_p of probe p, sum (k_p - mean)^2 over the number of pairs is 1 (2 where a pair counts
// under both its scans) without clusters; a gallery scan is taken to attract pairs as a probe does.
static sb_status clustering(const sb_study *study, const sb_tail *t, bool with_mated, double *out) {
  double *count = NULL, sum = 0, squares = 0;
  sb_status status = SB_NEW_ZERO(&count, study->probes, "scans");
  *out = 1;
  if (status.code != SB_OK) return status;
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = t->first_bin; bin < t->end_bin; bin++)
      count[p] += study->histogram[p * study->bins + bin];
  for (int64_t i = 0; with_mated && i < study->mated.count; i++) {
    const sb_listed *pair = study->mated.items + i;
    const int64_t bin = sb_study_bin(study, pair->score);
    if (bin < t->first_bin || bin >= t->end_bin) continue;
    count[pair->probe]++;
    if (study->self) count[pair->gallery]++;
  }
  for (int64_t p = 0; p < study->probes; p++) {
    sum += count[p];
    squares += count[p] * count[p];
  }
  free(count);
  if (!(sum > 0)) return status;
  double probes = (double)study->probes, spread = squares - sum * sum / probes;
  double excess = fmax(spread / sum - 1, 0);
  *out = study->self ? fmax(2 * spread / sum - 1, 1)
                     : 1 + excess + excess * probes / (double)study->gallery;
  return status;
}

typedef struct best {
  double first, second;
  int64_t line; // of the matches
} best;

static void offer(best *b, double score, int64_t line) {
  if (score > b->first) {
    b->second = b->first;
    b->first = score;
    b->line = line;
  } else if (score > b->second) {
    b->second = score;
  }
}

static bool counts_in(const sb_listed *line, bool with_mated) {
  return with_mated || line->kind != SB_PAIR_MATED;
}

// Pairs that are the closest match of both their scans. In a self-comparison each stands in the
// lists twice and is taken once.
static sb_status find_reciprocal(const sb_study *study, bool with_mated, double **score,
                                 double **second, int64_t *count) {
  best *probe = NULL, *gallery = NULL;
  sb_status status = sb_ok();
  const sb_listed *items = study->matches.items;
  *count = 0;
  SB_TRY(SB_NEW(score, study->probes, "scores"));
  SB_TRY(SB_NEW(second, study->probes, "scores"));
  SB_TRY(SB_NEW(&probe, study->probes, "scores"));
  SB_TRY(SB_NEW(&gallery, study->gallery, "scores"));
  for (int64_t p = 0; p < study->probes; p++) probe[p] = (best){-INFINITY, -INFINITY, -1};
  for (int64_t g = 0; g < study->gallery; g++) gallery[g] = (best){-INFINITY, -INFINITY, -1};
  for (int64_t i = 0; i < study->matches.count; i++) {
    if (!counts_in(items + i, with_mated)) continue;
    offer(probe + items[i].probe, items[i].score, i);
    offer(gallery + items[i].gallery, items[i].score, i);
  }
  for (int64_t p = 0; p < study->probes; p++) {
    if (probe[p].line < 0) continue;
    const sb_listed *line = items + probe[p].line;
    const best *other = gallery + line->gallery;
    if (other->line != probe[p].line || (study->self && line->probe > line->gallery)) continue;
    (*score)[*count] = line->score;
    (*second)[(*count)++] = fmax(probe[p].second, other->second);
  }
cleanup:
  free(probe);
  free(gallery);
  return status;
}

sb_status sb_tail_of_study(const sb_study *study, bool with_mated, sb_tail *out) {
  double *counts = NULL, *score = NULL, *second = NULL;
  int64_t reciprocal = 0;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(&counts, study->bins, "histogram"));
  double cluster;
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = 0; bin < study->bins; bin++)
      counts[bin] += study->histogram[p * study->bins + bin];
  for (int64_t bin = 0; bin < study->bins; bin++) counts[bin] /= (double)sb_study_sides(study);
  for (int64_t i = 0; with_mated && i < study->mated.count; i++)
    counts[sb_study_bin(study, study->mated.items[i].score)]++;
  SB_TRY(find_reciprocal(study, with_mated, &score, &second, &reciprocal));
  const sb_tail_data data = {.low = study->low,
                             .high = study->high,
                             .fisher = !study->ratio,
                             .bins = study->bins,
                             .counts = counts,
                             .xi_sd = XI_SD,
                             .log_sigma_sd = LOG_SIGMA_SD,
                             .censored_count = reciprocal,
                             .censored = score,
                             .censored_at = second};
  if (!sb_tail_place(&data, out)) goto cleanup;
  SB_TRY(clustering(study, out, with_mated, &cluster));
  SB_TRY(sb_tail_fit(&data, cluster, out));
cleanup:
  free(counts);
  free(score);
  free(second);
  return status;
}
