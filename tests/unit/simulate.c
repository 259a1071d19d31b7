#include "simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/random.h"

simulation sim_default(void) {
  return (simulation){.people = 200,
                      .mated_people = 200,
                      .distance = 2,
                      .effect = 0.15,
                      .top = 10,
                      .bins = 1000,
                      .scale = 0.06,
                      .seed = 1};
}

// ---- Drawing ------------------------------------------------------------------------------------

// Box and Muller: the square root is at least the value.
static double first_uniform(uint64_t key, uint64_t counter) {
  return sb_random_uniform(key, 2 * counter, 0x1p-53, 1);
}

static double draw_normal(uint64_t key, uint64_t counter) {
  double u = first_uniform(key, counter);
  double v = sb_random_uniform(key, 2 * counter + 1, 0, 6.283185307179586);
  return sqrt(-2 * log(u)) * cos(v);
}

// A normal value made into one of another shape, of mean 0 and variance 1; rising.
static double shape_noise(sim_shape shape, double x) {
  enum { SKEW = 60 };
  const double heavy = 0.05;
  if (shape == SIM_SKEWED) { // Wilson and Hilferty: the cube of a normal is nearly chi-square
    double root = 1 - 2.0 / (9 * SKEW) + x * sqrt(2.0 / (9 * SKEW));
    return (root * root * root - 1) * SKEW / sqrt(2.0 * SKEW);
  }
  if (shape == SIM_HEAVY) // Tukey's h
    return x * exp(heavy * x * x / 2) * pow(1 - 2 * heavy, 0.75);
  return x;
}

// What is drawn of a person.
typedef struct person {
  double effect, factor;
  int64_t family;
} person;

typedef struct draws {
  const simulation *s;
  person *people;
  uint64_t key;
} draws;

static double sum_of_squares(uint64_t key, uint64_t first, uint64_t count) {
  double sum = 0;
  for (uint64_t i = 0; i < count; i++) {
    double x = draw_normal(key, first + i);
    sum += x * x;
  }
  return sum;
}

// Of mean 0 and variance 1.
static double draw_effect(sim_effects kind, uint64_t key, uint64_t a) {
  enum { SQUARES = 8, DEGREES = 5 };
  uint64_t more = sb_random_key(key, 1);
  if (kind == SIM_EFFECTS_SKEWED)
    return (sum_of_squares(more, a * SQUARES, SQUARES) - SQUARES) / sqrt(2.0 * SQUARES);
  double x = draw_normal(key, a);
  if (kind == SIM_EFFECTS_HEAVY) // over the root of chi-square / DEGREES, at sd 1
    return x * sqrt((DEGREES - 2) / sum_of_squares(more, a * DEGREES, DEGREES));
  return x;
}

static sb_status open_draws(const simulation *s, draws *d) {
  *d = (draws){.s = s, .key = sb_random_key(s->seed, 1)};
  uint64_t effects = sb_random_key(s->seed, 2), factors = sb_random_key(s->seed, 3),
           families = sb_random_key(s->seed, 4);
  sb_status status = SB_NEW(&d->people, s->people, "persons");
  for (int64_t a = 0; a < s->people && status.code == SB_OK; a++) {
    uint64_t i = (uint64_t)a;
    d->people[a] = (person){
        .effect = sqrt(s->effect) * draw_effect(s->effects, effects, i),
        .factor = s->spread > 0 ? exp(s->spread * draw_normal(factors, i)) : 1,
        .family =
            s->families > 0 ? (int64_t)(sb_random_bits(families, i) % (uint64_t)s->families) : a};
  }
  return status;
}

static double draw_score(const draws *d, int64_t a, int64_t b, int64_t scan_a, int64_t scan_b) {
  const simulation *s = d->s;
  uint64_t low = (uint64_t)(scan_a < scan_b ? scan_a : scan_b);
  uint64_t high = (uint64_t)(scan_a < scan_b ? scan_b : scan_a);
  uint64_t key = sb_random_key(d->key, low);
  const person *one = d->people + a, *other = d->people + b;
  double x = draw_normal(key, high);
  if (a == b) return s->scale * (s->distance + one->effect + sqrt(1 - s->effect) * x);
  double noise = sqrt(1 - 2 * s->effect) * shape_noise(s->shape, x) * one->factor * other->factor;
  double alike = one->family == other->family ? s->likeness : 0;
  return s->scale * (one->effect + other->effect + alike + noise);
}

// ---- The study ----------------------------------------------------------------------------------

static void insert(sb_listed *list, int64_t *count, int64_t top, sb_listed line) {
  if (*count == top && line.score <= list[top - 1].score) return;
  int64_t at = *count < top ? (*count)++ : top - 1;
  while (at > 0 && list[at - 1].score < line.score) {
    list[at] = list[at - 1];
    at--;
  }
  list[at] = line;
}

// One probe against the gallery.
static void search(const draws *d, int64_t probe, sb_study *study) {
  const simulation *s = d->s;
  sb_listed *list = study->matches.items + study->matches.count;
  int64_t listed = 0;
  for (int64_t g = 0; g < study->gallery; g++) {
    if (study->self && g == probe) continue;
    int64_t a = study->probe_person[probe], b = study->gallery_person[g];
    int64_t gallery_scan = study->self ? g : study->probes + g;
    sb_listed line = {.probe = probe,
                      .gallery = g,
                      .score = draw_score(d, a, b, probe, gallery_scan),
                      .kind = a == b ? SB_PAIR_MATED : SB_PAIR_NONMATED};
    insert(list, &listed, s->top, line);
    if (a == b) {
      if (!study->self || probe < g) study->mated.items[study->mated.count++] = line;
    } else {
      study->histogram[probe * study->bins + sb_study_bin(study, line.score)]++;
      double *best = study->best_nonmated + probe;
      if (isnan(*best) || line.score > *best) *best = line.score;
    }
  }
  for (int64_t i = 0; i < listed; i++) list[i].rank = i + 1;
  study->matches.count += listed;
}

// Scan i of a store of everybody: first all first scans, then the second ones.
static int64_t person_of(const simulation *s, int64_t scan) {
  return scan < s->people ? scan : scan - s->people;
}

sb_status sim_study(const simulation *s, sb_study *out) {
  int64_t scans = s->people + s->mated_people;
  *out = (sb_study){.low = -1,
                    .high = 1,
                    .self = s->self,
                    .people = s->people,
                    .bins = s->bins,
                    .probes = s->self ? scans : s->mated_people,
                    .gallery = s->self ? scans : s->people};
  draws d;
  sb_status status = sb_ok();
  SB_TRY(open_draws(s, &d));
  SB_TRY(SB_NEW(&out->probe_person, out->probes, "scans"));
  SB_TRY(SB_NEW(&out->gallery_person, out->gallery, "scans"));
  for (int64_t g = 0; g < out->gallery; g++) out->gallery_person[g] = person_of(s, g);
  for (int64_t p = 0; p < out->probes; p++) out->probe_person[p] = person_of(s, p);
  if (s->self) {
    free(out->gallery_person);
    out->gallery_person = out->probe_person;
  }
  SB_TRY(SB_NEW_ZERO(&out->histogram, out->probes * out->bins, "histograms"));
  SB_TRY(SB_NEW(&out->best_nonmated, out->probes, "scores"));
  SB_TRY(SB_NEW(&out->matches.items, out->probes * s->top, "scores"));
  SB_TRY(SB_NEW(&out->mated.items, s->people, "scores"));
  for (int64_t p = 0; p < out->probes; p++) {
    out->best_nonmated[p] = (double)NAN;
    search(&d, p, out);
  }
  out->pairs = s->self ? scans * (scans - 1) / 2 : out->probes * out->gallery;
  SB_TRY(sb_study_complete(out));
cleanup:
  free(d.people);
  if (status.code != SB_OK) sb_study_free(out);
  return status;
}

// ---- A whole cohort ---------------------------------------------------------------------------

sb_status sim_closest(const simulation *s, double *best) {
  draws d;
  int64_t people = s->people;
  sb_status status = open_draws(s, &d);
  if (status.code != SB_OK) return status;
  for (int64_t a = 0; a < people; a++) best[a] = -INFINITY;
#pragma omp parallel
  {
    double *mine = NULL;
    sb_status have = SB_NEW(&mine, people, "scores");
    for (int64_t a = 0; a < people && have.code == SB_OK; a++) mine[a] = -INFINITY;
    // Most draws are below this normal value, and then nearly always too small to matter.
    const double usual = 2.5, above_usual = exp(-usual * usual / 2);
    double most = sqrt(1 - 2 * s->effect) * shape_noise(s->shape, usual);
#pragma omp for schedule(dynamic, 64)
    for (int64_t a = 0; a < people; a++)
      for (int64_t b = a + 1; b < people && have.code == SB_OK; b++) {
        const person *one = d.people + a, *other = d.people + b;
        double bound =
            s->scale * (one->effect + other->effect + most * one->factor * other->factor);
        if (bound <= mine[a] && bound <= mine[b] && one->family != other->family &&
            first_uniform(sb_random_key(d.key, (uint64_t)a), (uint64_t)b) > above_usual)
          continue;
        double score = draw_score(&d, a, b, a, b);
        if (score > mine[a]) mine[a] = score;
        if (score > mine[b]) mine[b] = score;
      }
#pragma omp critical
    if (have.code != SB_OK)
      status = have;
    else
      for (int64_t a = 0; a < people; a++) best[a] = fmax(best[a], mine[a]);
    free(mine);
  }
  free(d.people);
  return status;
}

// ---- Truths -------------------------------------------------------------------------------------

static double below(double x) {
  return 0.5 * erfc(-x * 0.70710678118654752);
}

double sim_true_auc(const simulation *s) {
  return below(s->distance / sqrt(2));
}

double sim_true_fpir(const simulation *s, double others, double threshold) {
  enum { STEPS = 801 };
  double t = threshold / s->scale, sum = 0, weights = 0;
  for (int i = 0; i < STEPS; i++) {
    double a = -8 + 16.0 * i / (STEPS - 1), weight = exp(-a * a / 2);
    double above = 1 - below((t - a * sqrt(s->effect)) / sqrt(1 - s->effect));
    if (above < 1e-6) above = below(-(t - a * sqrt(s->effect)) / sqrt(1 - s->effect));
    weights += weight;
    sum += weight * -expm1(others * log1p(-above));
  }
  return sum / weights;
}

double sim_true_threshold(const simulation *s, double others, double fpir) {
  double low = -10 * s->scale, high = 20 * s->scale;
  for (int i = 0; i < 80; i++) {
    double middle = (low + high) / 2;
    if (sim_true_fpir(s, others, middle) > fpir)
      low = middle;
    else
      high = middle;
  }
  return high;
}

double sim_true_fnmr(const simulation *s, double threshold) {
  return below(threshold / s->scale - s->distance);
}

double sim_true_rank1(const simulation *s, double others) {
  enum { STEPS = 1601 };
  // Less the probe's effect, the mate lies at `distance` with variance 1 - effect, and so do all
  // others at 0.
  double sd = sqrt(1 - s->effect), sum = 0, weights = 0;
  for (int i = 0; i < STEPS; i++) {
    double x = -8 + 16.0 * i / (STEPS - 1), weight = exp(-x * x / 2);
    weights += weight;
    sum += weight * exp(others * log1p(-below(-(s->distance + sd * x) / sd)));
  }
  return sum / weights;
}
