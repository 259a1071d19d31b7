#include "evaluate/effects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

enum { BINS = 320, CURVE = 801 };
static const double REACH = 8; // standard deviations that bins cover to each side
static const double G_SD = 0.1, H_SD = 0.03;
static const double SPAN = 4; // standard errors of location and scale to each side

static double g_at(int i) {
  const int middle = SB_EFFECT_G / 2;
  return 0.1 * (i - middle);
}

static double h_at(int i) {
  return 0.025 * i;
}

// log of the scale over the estimates' standard deviation; heavy tails leave it less certain.
static double log_scale_at(const sb_effects *e, int i) {
  const double heavier = 1.5;
  return SPAN * heavier / sqrt(2 * fmax(e->people, 2)) * (2.0 * i / (SB_EFFECT_SCALES - 1) - 1);
}

static double place_at(const sb_effects *e, int i) {
  return SPAN * e->seen_sd / sqrt(e->people) * (2.0 * i / (SB_EFFECT_PLACES - 1) - 1);
}

static double raw(double x, double g, double h) {
  return (g == 0 ? x : expm1(g * x) / g) * exp(h * x * x / 2);
}

static double log_slope(double x, double g, double h) {
  return log(exp(g * x) + h * x * (g == 0 ? x : expm1(g * x) / g)) + h * x * x / 2;
}

// A shape's values at the nodes, of mean 0 and variance 1.
typedef struct moments {
  double mean, sd;
} moments;

static moments standardise(double g, double h, double *nodes) {
  double weights = 0, sum = 0, squares = 0;
  for (int i = 0; i < SB_EFFECT_NODES; i++) {
    double x = sb_effect_node(i), weight = exp(-x * x / 2), value = raw(x, g, h);
    nodes[i] = value;
    weights += weight;
    sum += weight * value;
    squares += weight * value * value;
  }
  moments m = {sum / weights, 0};
  m.sd = sqrt(squares / weights - m.mean * m.mean);
  for (int i = 0; i < SB_EFFECT_NODES; i++) nodes[i] = (nodes[i] - m.mean) / m.sd;
  return m;
}

// A shape's log density at CURVE values from -2 REACH to 2 REACH, between those at a walk over x.
static void draw_curve(double g, double h, const moments *m, double *curve) {
  const double first = -9, step = 0.02, last = 9;
  double x = first, value = raw(x, g, h), log_f = -x * x / 2 - log_slope(x, g, h);
  double before = value, log_before = log_f;
  for (int i = 0; i < CURVE; i++) {
    double wanted = m->mean + m->sd * 2 * REACH * (2.0 * i / (CURVE - 1) - 1);
    while (value < wanted && x < last) {
      before = value;
      log_before = log_f;
      x += step;
      value = raw(x, g, h);
      log_f = -x * x / 2 - log_slope(x, g, h);
    }
    double part = value > before ? fmin(fmax((wanted - before) / (value - before), 0), 1) : 0;
    curve[i] = log_before + part * (log_f - log_before) + log(m->sd);
  }
}

static double log_density(const double *curve, double y) {
  double at = (y / (2 * REACH) + 1) / 2 * (CURVE - 1);
  int i = (int)fmin(fmax(at, 0), CURVE - 2);
  return curve[i] + (at - i) * (curve[i + 1] - curve[i]);
}

typedef struct histogram {
  double at[BINS], count[BINS];
  int used;
  double total;
} histogram;

static void fill(const double *seen, int64_t count, double sd, histogram *out) {
  double bins[BINS] = {0};
  memset(out, 0, sizeof *out);
  for (int64_t i = 0; i < count; i++) {
    double at = floor((seen[i] / sd + REACH) / (2 * REACH) * BINS);
    bins[(int)fmin(fmax(at, 0), BINS - 1)]++;
  }
  for (int bin = 0; bin < BINS; bin++) {
    if (!(bins[bin] > 0)) continue;
    out->at[out->used] = ((bin + 0.5) / BINS * 2 - 1) * REACH;
    out->count[out->used++] = bins[bin];
    out->total += bins[bin];
  }
}

static double log_likelihood(const histogram *h, const double *curve, double place, double scale) {
  double sum = 0;
  for (int i = 0; i < h->used; i++)
    sum += h->count[i] * log_density(curve, (h->at[i] - place) / scale);
  return sum - h->total * log(scale);
}

static void weigh(const histogram *seen, sb_effects *e) {
  double best = -INFINITY, sum = 0, worth = e->people / seen->total, curve[CURVE];
  double *weight = e->weight;
  for (int shape = 0; shape < SB_EFFECT_SHAPES; shape++) {
    double g = g_at(shape / SB_EFFECT_H), h = h_at(shape % SB_EFFECT_H);
    moments m = standardise(g, h, e->shapes[shape]);
    draw_curve(g, h, &m, curve);
    double prior = -0.5 * g * g / (G_SD * G_SD) - 0.5 * h * h / (H_SD * H_SD);
    for (int i = 0; i < SB_EFFECT_SCALES; i++)
      for (int j = 0; j < SB_EFFECT_PLACES; j++) {
        double scale = exp(log_scale_at(e, i)), place = place_at(e, j) / e->seen_sd;
        *weight = prior + worth * log_likelihood(seen, curve, place, scale);
        best = fmax(best, *weight++);
      }
  }
  for (int cell = 0; cell < SB_EFFECT_CELLS; cell++)
    sum += e->weight[cell] = exp(e->weight[cell] - best);
  for (int cell = 0; cell < SB_EFFECT_CELLS; cell++) e->weight[cell] /= sum;
}

sb_status sb_effects_fit(const double *seen, int64_t count, double people, double seen_sd,
                         double noise, sb_effects *out) {
  memset(out, 0, sizeof *out);
  out->people = fmax(people, 1);
  out->seen_sd = seen_sd;
  out->sd = sqrt(fmax(seen_sd * seen_sd - noise, 0));
  sb_status status = sb_ok();
  if (!(out->sd > 0) || count < 1) {
    out->sd = 0;
    return status;
  }
  histogram *h = NULL;
  SB_TRY(SB_NEW(&h, 1, "effects"));
  fill(seen, count, seen_sd, h);
  weigh(h, out);
cleanup:
  free(h);
  return status;
}

sb_effect_draw sb_effects_draw(const sb_effects *effects, double uniform) {
  if (!(effects->sd > 0)) return (sb_effect_draw){0, 0, effects->shapes[0]};
  double noise = effects->seen_sd * effects->seen_sd - effects->sd * effects->sd, sum = 0;
  int cell = 0;
  for (; cell < SB_EFFECT_CELLS - 1; cell++) {
    sum += effects->weight[cell];
    if (uniform < sum) break;
  }
  int place = cell % SB_EFFECT_PLACES, scale = cell / SB_EFFECT_PLACES % SB_EFFECT_SCALES;
  double seen = effects->seen_sd * exp(log_scale_at(effects, scale));
  return (sb_effect_draw){place_at(effects, place), sqrt(fmax(seen * seen - noise, 0)),
                          effects->shapes[cell / (SB_EFFECT_PLACES * SB_EFFECT_SCALES)]};
}
