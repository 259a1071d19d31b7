#include "evaluate/tail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/order.h"
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

static double surprise(const sb_tail *tail, double z) {
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
    c->from[c->used] = surprise(t, transform(t, edge)) - t->u;
    c->to[c->used] = surprise(t, transform(t, edge + width)) - t->u;
    c->count[c->used++] = d->counts[bin];
  }
  for (int64_t i = 0; i < d->censored_count; i++) {
    const int64_t bin = d->censored[i].best, second = d->censored[i].second;
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
  return surprise(t, transform(t, d->low + width * (double)edge));
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

static bool counts(sb_pair_kind kind, bool with_mated) {
  return kind == SB_PAIR_NONMATED || (with_mated && kind == SB_PAIR_MATED);
}

// The bin of each probe's second closest pair, -1: none. From histograms, which lack none, where lists end early.
static void find_second(const sb_study *study, bool with_mated, int64_t *first, int64_t *second) {
  for (int64_t p = 0; p < study->probes; p++) {
    first[p] = second[p] = -1;
    for (int64_t bin = study->bins - 1; bin >= 0 && second[p] < 0; bin--) {
      const uint32_t count = study->histogram[p * study->bins + bin];
      if (count == 0) continue;
      if (first[p] >= 0 || count > 1) second[p] = bin;
      if (first[p] < 0) first[p] = bin;
    }
  }
  for (int64_t i = 0; with_mated && i < study->mated.count; i++) {
    const sb_listed *pair = &study->mated.items[i];
    const int64_t bin = sb_study_bin(study, pair->score);
    const int64_t scans[2] = {pair->probe, pair->gallery};
    for (int side = 0; side < (study->self ? 2 : 1); side++) {
      const int64_t p = scans[side];
      second[p] = sb_larger(second[p], sb_smaller(bin, first[p]));
      first[p] = sb_larger(first[p], bin);
    }
  }
}

// Of the probes whose closest match a gallery scan is: the closest one's line, and the next one's bin; -1: none.
typedef struct suitors {
  int64_t first, second;
} suitors;

static void add_suitor(const sb_study *study, int64_t line, suitors *s) {
  const sb_listed *items = study->matches.items;
  int64_t other = line;
  if (s->first < 0 || items[line].score > items[s->first].score) {
    other = s->first;
    s->first = line;
  }
  if (other >= 0) s->second = sb_larger(s->second, sb_study_bin(study, items[other].score));
}

// Pairs that are the closest match of both their scans, each once, from each probe's first line and its histogram alone:
// what they are does not depend on how many lines were listed. Of a gallery scan that is no probe, too, only
// those probes are known whose closest match it is: there the pair is the closest of these.
static sb_status find_reciprocal(const sb_study *study, bool with_mated, sb_tail_censored **out,
                                 int64_t *count) {
  const sb_listed *items = study->matches.items;
  int64_t *closest = NULL; // line of each probe, -1: none
  suitors *of = NULL;      // each gallery scan
  int64_t *first = NULL, *second = NULL;
  sb_status status = sb_ok();
  *count = 0;
  SB_TRY(SB_NEW(out, study->probes, "scores"));
  SB_TRY(SB_NEW(&closest, study->probes, "scores"));
  SB_TRY(SB_NEW(&of, study->gallery, "scores"));
  SB_TRY(SB_NEW(&first, study->probes, "scores"));
  SB_TRY(SB_NEW(&second, study->probes, "scores"));
  find_second(study, with_mated, first, second);
  for (int64_t p = 0; p < study->probes; p++) closest[p] = -1;
  for (int64_t g = 0; g < study->gallery; g++) of[g] = (suitors){-1, -1};
  for (int64_t i = 0; i < study->matches.count; i++) {
    if (closest[items[i].probe] >= 0 || !counts(items[i].kind, with_mated)) continue;
    closest[items[i].probe] = i;
    add_suitor(study, i, of + items[i].gallery);
  }
  for (int64_t p = 0; p < study->probes; p++) {
    if (closest[p] < 0) continue;
    const sb_listed *line = items + closest[p];
    const int64_t g = line->gallery;
    const bool mutual = study->self ? p < g && closest[g] >= 0 && items[closest[g]].gallery == p
                                    : of[g].first == closest[p];
    if (!mutual) continue;
    (*out)[(*count)++] =
        (sb_tail_censored){sb_study_bin(study, line->score),
                           sb_larger(second[p], study->self ? second[g] : of[g].second)};
  }
cleanup:
  free(closest);
  free(of);
  free(first);
  free(second);
  return status;
}

sb_status sb_tail_of_study(const sb_study *study, bool with_mated, sb_tail *out) {
  double *bins = NULL, cluster;
  sb_tail_censored *reciprocal = NULL;
  int64_t reciprocal_count = 0;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(&bins, study->bins, "histogram"));
  for (int64_t p = 0; p < study->probes; p++)
    for (int64_t bin = 0; bin < study->bins; bin++)
      bins[bin] += study->histogram[p * study->bins + bin];
  for (int64_t bin = 0; bin < study->bins; bin++) bins[bin] /= (double)sb_study_sides(study);
  for (int64_t i = 0; with_mated && i < study->mated.count; i++)
    bins[sb_study_bin(study, study->mated.items[i].score)]++;
  SB_TRY(find_reciprocal(study, with_mated, &reciprocal, &reciprocal_count));
  const sb_tail_data data = {.low = study->low,
                             .high = study->high,
                             .fisher = !study->ratio,
                             .bins = study->bins,
                             .counts = bins,
                             .xi_sd = XI_SD,
                             .log_sigma_sd = LOG_SIGMA_SD,
                             .censored_count = reciprocal_count,
                             .censored = reciprocal};
  if (!sb_tail_place(&data, out)) goto cleanup;
  SB_TRY(clustering(study, out, with_mated, &cluster));
  SB_TRY(sb_tail_fit(&data, cluster, out));
cleanup:
  free(bins);
  free(reciprocal);
  return status;
}
