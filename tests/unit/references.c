#include "references.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *numbers(int64_t count) {
  double *out = calloc((size_t)(count > 0 ? count : 1), sizeof *out);
  if (out == NULL) abort();
  return out;
}

static double *as_double(const scene *s, const float *row) {
  double *out = numbers(s->length);
  for (int64_t i = 0; i < s->length; i++) out[i] = (double)row[i];
  return out;
}

static double correlate(int64_t n, const double *a, const double *b) {
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < n; i++) {
    ma += a[i] / (double)n;
    mb += b[i] / (double)n;
  }
  for (int64_t i = 0; i < n; i++) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / sqrt(aa * bb);
}

// The correlation of what a function makes of both rows.
static double correlate_made(const scene *s, double *(*make)(const scene *, const float *)) {
  double *a = make(s, s->a), *b = make(s, s->b), r = correlate(s->length, a, b);
  free(a);
  free(b);
  return r;
}

static double pearson(const scene *s) {
  return correlate_made(s, as_double);
}

static double cosine(const scene *s) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < s->length; i++) {
    ab += (double)s->a[i] * (double)s->b[i];
    aa += (double)s->a[i] * (double)s->a[i];
    bb += (double)s->b[i] * (double)s->b[i];
  }
  return ab / sqrt(aa * bb);
}

static double *ranks(const scene *s, const float *row) {
  double *out = numbers(s->length);
  for (int64_t i = 0; i < s->length; i++) {
    int64_t less = 0, equal = 0;
    for (int64_t j = 0; j < s->length; j++) {
      less += row[j] < row[i];
      equal += row[j] == row[i];
    }
    out[i] = (double)less + (double)(equal + 1) / 2;
  }
  return out;
}

static double spearman(const scene *s) {
  return correlate_made(s, ranks);
}

static double mse(const scene *s) {
  double sum = 0;
  for (int64_t i = 0; i < s->length; i++) {
    double d = (double)s->a[i] - (double)s->b[i];
    sum += d * d;
  }
  return sum / (double)s->length;
}

static double mae(const scene *s) {
  double sum = 0;
  for (int64_t i = 0; i < s->length; i++) sum += fabs((double)s->a[i] - (double)s->b[i]);
  return sum / (double)s->length;
}

static double nrmse(const scene *s) {
  double aa = 0, bb = 0;
  for (int64_t i = 0; i < s->length; i++) {
    aa += (double)s->a[i] * (double)s->a[i] / (double)s->length;
    bb += (double)s->b[i] * (double)s->b[i] / (double)s->length;
  }
  return sqrt(mse(s)) / sqrt((aa + bb) / 2);
}

static double psnr(const scene *s) {
  double low = INFINITY, high = -INFINITY, error = mse(s);
  for (int64_t i = 0; i < s->length; i++) {
    const double least = fmin((double)s->a[i], (double)s->b[i]),
                 most = fmax((double)s->a[i], (double)s->b[i]);
    if (least < low) low = least; // fmin() here is an internal error of GCC 12.2 on aarch64
    if (most > high) high = most;
  }
  double db = 20 * log10(high - low) - 10 * log10(error);
  return error == 0 || db > 200 ? 200 : db;
}

static double ccc(const scene *s) {
  double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0, n = (double)s->length;
  for (int64_t i = 0; i < s->length; i++) {
    ma += (double)s->a[i] / n;
    mb += (double)s->b[i] / n;
  }
  for (int64_t i = 0; i < s->length; i++) {
    aa += ((double)s->a[i] - ma) * ((double)s->a[i] - ma) / n;
    bb += ((double)s->b[i] - mb) * ((double)s->b[i] - mb) / n;
    ab += ((double)s->a[i] - ma) * ((double)s->b[i] - mb) / n;
  }
  return 2 * ab / (aa + bb + (ma - mb) * (ma - mb));
}

// ---- Windows ------------------------------------------------------------------------------------

// Largest distance along an axis, and the squared distance, of two of the row's voxels.
static int64_t farthest_axis(const scene *s, int64_t i, int64_t j, double *squared) {
  int64_t farthest = 0;
  *squared = 0;
  for (int axis = 0; axis < 3; axis++) {
    int64_t d = llabs(s->at[i][axis] - s->at[j][axis]);
    if (d > farthest) farthest = d;
    *squared += (double)(d * d);
  }
  return farthest;
}

static double *band(const scene *s, const float *row) {
  double *out = numbers(s->length), sigma = 4 / s->voxel_mm, squared;
  const int64_t cut = (int64_t)(4 * sigma + 0.5);
  for (int64_t i = 0; i < s->length; i++) {
    double sum = 0, weights = 0;
    for (int64_t j = 0; j < s->length; j++) {
      if (farthest_axis(s, i, j, &squared) > cut) continue;
      double weight = exp(-squared / (2 * sigma * sigma));
      sum += weight * (double)row[j];
      weights += weight;
    }
    out[i] = (double)row[i] - sum / weights;
  }
  return out;
}

static double bandpass(const scene *s) {
  return correlate_made(s, band);
}

static int64_t cube_radius(const scene *s, double width_mm) {
  int64_t radius = (int64_t)floor(width_mm / 2 / s->voxel_mm);
  return radius > 1 ? radius : 1;
}

static double deviation(const scene *s, const float *row) {
  double mean = 0, sum = 0, n = (double)s->length;
  for (int64_t i = 0; i < s->length; i++) mean += (double)row[i] / n;
  for (int64_t i = 0; i < s->length; i++) sum += ((double)row[i] - mean) * ((double)row[i] - mean);
  return sqrt(sum / n);
}

typedef struct moments {
  double n, a, b, aa, bb, ab; // of the cube: voxels, means, variances, covariance
} moments;

static moments cube(const scene *s, int64_t i, int64_t radius) {
  moments m = {0};
  double squared;
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t j = 0; j < s->length; j++) {
      if (farthest_axis(s, i, j, &squared) > radius) continue;
      double a = (double)s->a[j], b = (double)s->b[j];
      if (pass == 0) {
        m.n++;
        m.a += a;
        m.b += b;
      } else {
        m.aa += (a - m.a) * (a - m.a) / m.n;
        m.bb += (b - m.b) * (b - m.b) / m.n;
        m.ab += (a - m.a) * (b - m.b) / m.n;
      }
    }
    if (pass == 0) {
      m.a /= m.n;
      m.b /= m.n;
    }
  }
  return m;
}

static double localz(const scene *s) {
  const int64_t radius = cube_radius(s, 10);
  double *a = numbers(s->length), *b = numbers(s->length);
  double least_a = deviation(s, s->a) / 20, least_b = deviation(s, s->b) / 20;
  for (int64_t i = 0; i < s->length; i++) {
    moments m = cube(s, i, radius);
    a[i] = ((double)s->a[i] - m.a) / sqrt(m.aa + least_a * least_a);
    b[i] = ((double)s->b[i] - m.b) / sqrt(m.bb + least_b * least_b);
  }
  double r = correlate(s->length, a, b);
  free(a);
  free(b);
  return r;
}

static double lncc(const scene *s) {
  const int64_t radius = cube_radius(s, 8);
  double sum = 0, sd_a = deviation(s, s->a), sd_b = deviation(s, s->b);
  for (int64_t i = 0; i < s->length; i++) {
    moments m = cube(s, i, radius);
    bool flat_a = m.aa <= 1e-5 * sd_a * sd_a, flat_b = m.bb <= 1e-5 * sd_b * sd_b;
    if (flat_a || flat_b)
      sum += flat_a && flat_b;
    else
      sum += m.ab * m.ab / (m.aa * m.bb);
  }
  return sum / (double)s->length;
}

// ---- Images with nothing outside the mask -------------------------------------------------------

static double *image(const scene *s, const float *row) {
  double *out = numbers(s->dims[0] * s->dims[1] * s->dims[2]);
  for (int64_t i = 0; i < s->length; i++)
    out[s->at[i][0] + s->dims[0] * (s->at[i][1] + s->dims[1] * s->at[i][2])] = (double)row[i];
  return out;
}

static double value_at(const scene *s, const double *values, int64_t x, int64_t y, int64_t z) {
  if (x < 0 || y < 0 || z < 0 || x >= s->dims[0] || y >= s->dims[1] || z >= s->dims[2]) return 0;
  return values[x + s->dims[0] * (y + s->dims[1] * z)];
}

// Wang's formula in windows of weights exp(-d^2 / 2 sigma^2), or equal ones for sigma 0.
static double structure(const scene *s, int radius, double sigma, double k1, double k2, double dark,
                        double flat) {
  double *a = image(s, s->a), *b = image(s, s->b), low = 0, high = 0, sum = 0;
  for (int64_t i = 0; i < s->length; i++) {
    const double least = fmin((double)s->a[i], (double)s->b[i]),
                 most = fmax((double)s->a[i], (double)s->b[i]);
    if (least < low) low = least; // fmin() here is an internal error of GCC 12.2 on aarch64
    if (most > high) high = most;
  }
  const double square = (high - low) * (high - low);
  const double c1 = k1 * k1 * square, c2 = k2 * k2 * square;
  for (int64_t i = 0; i < s->length; i++) {
    double w = 0, ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int pass = 0; pass < 2; pass++) {
      for (int z = -radius; z <= radius; z++)
        for (int y = -radius; y <= radius; y++)
          for (int x = -radius; x <= radius; x++) {
            double weight = sigma > 0 ? exp(-(x * x + y * y + z * z) / (2 * sigma * sigma)) : 1;
            double va = value_at(s, a, s->at[i][0] + x, s->at[i][1] + y, s->at[i][2] + z);
            double vb = value_at(s, b, s->at[i][0] + x, s->at[i][1] + y, s->at[i][2] + z);
            if (pass == 0) {
              w += weight;
              ma += weight * va;
              mb += weight * vb;
            } else {
              aa += weight / w * (va - ma) * (va - ma);
              bb += weight / w * (vb - mb) * (vb - mb);
              ab += weight / w * (va - ma) * (vb - mb);
            }
          }
      if (pass == 0) {
        ma /= w;
        mb /= w;
      }
    }
    double light = ma * ma + mb * mb + c1, contrast = aa + bb + c2;
    sum += (light > dark * square ? (2 * ma * mb + c1) / light : 1) *
           (contrast > flat * square ? (2 * ab + c2) / contrast : 1);
  }
  free(a);
  free(b);
  return sum / (double)s->length;
}

static double ssim(const scene *s) {
  return structure(s, 5, 1.5, 0.01, 0.03, 0, 0);
}

static double uqi(const scene *s) {
  return structure(s, 3, 0, 0, 0, 1e-10, 1e-6);
}

// The normalised gradient field: three numbers a voxel.
static double *field(const scene *s, const float *row) {
  const int64_t voxels = s->dims[0] * s->dims[1] * s->dims[2];
  double *out = numbers(3 * s->length), *values = image(s, row), *inside = numbers(voxels);
  double edge = 0;
  for (int64_t i = 0; i < voxels; i++) inside[i] = s->mask[i];
  for (int64_t i = 0; i < s->length; i++) {
    double square = 0;
    for (int axis = 0; axis < 3; axis++) {
      int64_t next[3], last[3];
      memcpy(next, s->at[i], sizeof next);
      memcpy(last, s->at[i], sizeof last);
      next[axis]++;
      last[axis]--;
      bool after = value_at(s, inside, next[0], next[1], next[2]) > 0;
      bool before = value_at(s, inside, last[0], last[1], last[2]) > 0;
      double here = (double)row[i], d = 0;
      if (after) d += value_at(s, values, next[0], next[1], next[2]) - here;
      if (before) d += here - value_at(s, values, last[0], last[1], last[2]);
      out[3 * i + axis] = after && before ? d / 2 : d;
      square += out[3 * i + axis] * out[3 * i + axis];
    }
    edge += sqrt(square) / (double)s->length;
  }
  for (int64_t i = 0; i < s->length; i++) {
    double *g = out + 3 * i;
    double size = sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2] + edge * edge);
    for (int axis = 0; axis < 3; axis++) g[axis] /= size;
  }
  free(values);
  free(inside);
  return out;
}

static double gradient(const scene *s) {
  double *a = field(s, s->a), *b = field(s, s->b), ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < 3 * s->length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  free(a);
  free(b);
  return ab / sqrt(aa * bb);
}

// ---- Levels -------------------------------------------------------------------------------------

static int ascending(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

static double *levels(const scene *s, const float *row, int count) {
  double *out = as_double(s, row), *sorted = as_double(s, row);
  qsort(sorted, (size_t)s->length, sizeof *sorted, ascending);
  const int64_t last = s->length - 1;
  double low = sorted[last / 200], high = sorted[last * 199 / 200];
  if (low == high) {
    low = sorted[0];
    high = sorted[last];
  }
  for (int64_t i = 0; i < s->length; i++) {
    double level = floor((out[i] - low) * (count / (high - low)));
    out[i] = fmin(fmax(level, 0), count - 1);
  }
  free(sorted);
  return out;
}

// The class of each voxel, with the least sum of squared deviations from the classes' means.
static double *classes(const scene *s, const float *row) {
  double *level = levels(s, row, 256), best = INFINITY, *out = numbers(s->length);
  for (int first = 1; first < 256; first++)
    for (int second = first + 1; second <= 256; second++) {
      double n[3] = {0}, sum[3] = {0}, squares = 0;
      for (int64_t i = 0; i < s->length; i++) {
        int c = (level[i] >= first) + (level[i] >= second);
        n[c]++;
        sum[c] += level[i];
        squares += level[i] * level[i];
      }
      for (int c = 0; c < 3; c++) squares -= n[c] > 0 ? sum[c] * sum[c] / n[c] : 0;
      if (squares >= best - 1e-9) continue;
      best = squares;
      for (int64_t i = 0; i < s->length; i++) out[i] = (level[i] >= first) + (level[i] >= second);
    }
  free(level);
  return out;
}

static double dice(const scene *s) {
  double *a = classes(s, s->a), *b = classes(s, s->b), shared = 0, sizes = 0;
  for (int c = 0; c < 3; c++)
    for (int64_t i = 0; i < s->length; i++) {
      shared += a[i] == c && b[i] == c;
      sizes += (a[i] == c) + (b[i] == c);
    }
  free(a);
  free(b);
  return 2 * shared / sizes;
}

static double outline(const scene *s) {
  double shared = 0, sizes = 0;
  for (int64_t i = 0; i < s->dims[0] * s->dims[1] * s->dims[2]; i++) {
    int a = s->own_a[i / 8] >> (7 - i % 8) & 1, b = s->own_b[i / 8] >> (7 - i % 8) & 1;
    shared += a && b;
    sizes += a + b;
  }
  return 2 * shared / sizes;
}

enum { LEVELS = 64 };

static void joint(const scene *s, double p[LEVELS][LEVELS]) {
  double *a = levels(s, s->a, LEVELS), *b = levels(s, s->b, LEVELS);
  memset(p, 0, sizeof(double[LEVELS][LEVELS]));
  for (int64_t i = 0; i < s->length; i++) p[(int)a[i]][(int)b[i]] += 1.0 / (double)s->length;
  free(a);
  free(b);
}

static double minus_p_log_p(double p) {
  return p > 0 ? -p * log(p) : 0;
}

static void entropies(const scene *s, double *a, double *b, double *both) {
  double p[LEVELS][LEVELS];
  joint(s, p);
  *a = *b = *both = 0;
  for (int i = 0; i < LEVELS; i++) {
    double row = 0, column = 0;
    for (int j = 0; j < LEVELS; j++) {
      row += p[i][j];
      column += p[j][i];
      *both += minus_p_log_p(p[i][j]);
    }
    *a += minus_p_log_p(row);
    *b += minus_p_log_p(column);
  }
}

static double mi(const scene *s) {
  double a, b, both;
  entropies(s, &a, &b, &both);
  return a + b - both;
}

static double nmi(const scene *s) {
  double a, b, both;
  entropies(s, &a, &b, &both);
  return (a + b) / both;
}

// Roche's eta^2: 1 - mean variance of b within the levels of a, over the variance of b.
static double eta_squared(const scene *s, const double *a, const double *b) {
  double mean = 0, whole = 0, within = 0, n = (double)s->length;
  for (int64_t i = 0; i < s->length; i++) mean += b[i] / n;
  for (int64_t i = 0; i < s->length; i++) whole += (b[i] - mean) * (b[i] - mean);
  for (int level = 0; level < LEVELS; level++) {
    double count = 0, sum = 0;
    for (int64_t i = 0; i < s->length; i++)
      if (a[i] == level) {
        count++;
        sum += b[i];
      }
    for (int64_t i = 0; i < s->length; i++)
      if (a[i] == level) within += (b[i] - sum / count) * (b[i] - sum / count);
  }
  return 1 - within / whole;
}

static double cr(const scene *s) {
  double *a = levels(s, s->a, LEVELS), *b = levels(s, s->b, LEVELS);
  double score = (eta_squared(s, a, b) + eta_squared(s, b, a)) / 2;
  free(a);
  free(b);
  return score;
}

// ---- Phases -------------------------------------------------------------------------------------

typedef struct spectrum {
  int n[3], band[3], count;
  int (*f)[3]; // the frequencies, both halves
  double *re, *im;
} spectrum;

// The phases of a row's Fourier sum over its voxels, frequency by frequency.
static spectrum phases(const scene *s, const float *row) {
  spectrum p = {.count = 1};
  double mean = 0, most = 0;
  for (int64_t i = 0; i < s->length; i++) mean += (double)row[i] / (double)s->length;
  for (int axis = 0; axis < 3; axis++) {
    int64_t low = INT64_MAX, high = 0;
    for (int64_t i = 0; i < s->length; i++) {
      if (s->at[i][axis] < low) low = s->at[i][axis];
      if (s->at[i][axis] > high) high = s->at[i][axis];
    }
    p.n[axis] = (int)(high - low + 1) + (int)ceil(6 / s->voxel_mm);
    p.band[axis] = (int)floor(p.n[axis] * s->voxel_mm / 8);
    if (p.band[axis] > (p.n[axis] - 1) / 2) p.band[axis] = (p.n[axis] - 1) / 2;
    p.count *= 2 * p.band[axis] + 1;
  }
  p.re = numbers(p.count);
  p.im = numbers(p.count);
  p.f = calloc((size_t)p.count, sizeof *p.f);
  if (p.f == NULL) abort();
  for (int k = 0; k < p.count; k++) {
    int rest = k;
    for (int axis = 0; axis < 3; axis++) {
      p.f[k][axis] = rest % (2 * p.band[axis] + 1) - p.band[axis];
      rest /= 2 * p.band[axis] + 1;
    }
    for (int64_t i = 0; i < s->length; i++) {
      double turns = 0;
      for (int axis = 0; axis < 3; axis++)
        turns += (double)(p.f[k][axis] * s->at[i][axis]) / p.n[axis];
      p.re[k] += ((double)row[i] - mean) * cos(2 * M_PI * turns);
      p.im[k] -= ((double)row[i] - mean) * sin(2 * M_PI * turns);
    }
    most = fmax(most, hypot(p.re[k], p.im[k]));
  }
  for (int k = 0; k < p.count; k++) {
    double size = hypot(p.re[k], p.im[k]);
    const bool there = size > 1e-6 * most && k != p.count / 2; // the middle one is the mean
    p.re[k] = there ? p.re[k] / size : 0;
    p.im[k] = there ? p.im[k] / size : 0;
  }
  return p;
}

static double correlation_at(const scene *s, const spectrum *a, const spectrum *b,
                             const int shift_mm[3]) {
  double sum = 0, weight = 0;
  for (int k = 0; k < a->count; k++) {
    double re = a->re[k] * b->re[k] + a->im[k] * b->im[k], turns = 0;
    double im = a->im[k] * b->re[k] - a->re[k] * b->im[k];
    for (int axis = 0; axis < 3; axis++)
      turns += a->f[k][axis] * shift_mm[axis] / (a->n[axis] * s->voxel_mm);
    sum += re * cos(2 * M_PI * turns) - im * sin(2 * M_PI * turns);
    weight += hypot(re, im);
  }
  return sum / weight;
}

static void free_spectrum(spectrum *p) {
  free(p->f);
  free(p->re);
  free(p->im);
}

static double poc(const scene *s) {
  spectrum a = phases(s, s->a), b = phases(s, s->b);
  double best = -INFINITY, gain = 0;
  int at[3] = {0};
  for (int z = -6; z <= 6; z++)
    for (int y = -6; y <= 6; y++)
      for (int x = -6; x <= 6; x++) {
        const int shift[3] = {x, y, z};
        double value = correlation_at(s, &a, &b, shift);
        if (value <= best) continue;
        best = value;
        memcpy(at, shift, sizeof at);
      }
  for (int axis = 0; axis < 3; axis++) {
    if (abs(at[axis]) == 6) continue;
    int before[3] = {at[0], at[1], at[2]}, after[3] = {at[0], at[1], at[2]};
    before[axis]--;
    after[axis]++;
    double low = correlation_at(s, &a, &b, before), high = correlation_at(s, &a, &b, after);
    double curvature =
        2 * best - low - high; // the vertex of y = best + slope/2 t - curvature/2 t^2
    if (curvature > 0) gain += (high - low) * (high - low) / (8 * curvature);
  }
  free_spectrum(&a);
  free_spectrum(&b);
  return fmin(best + gain, 1);
}

// Outside a run its parts weigh the same.
static double fused(const scene *s) {
  return (bandpass(s) + localz(s) + gradient(s)) / 3;
}

// ---- The list -----------------------------------------------------------------------------------

static const reference REFERENCES[] = {
    {"pearson", pearson, 1e-7, false, true, true, true, true},
    {"cosine", cosine, 1e-7, false, true, false, true, false},
    {"spearman", spearman, 1e-7, false, true, true, true, true},
    {"mse", mse, 1e-12, true, false, false, false, true},
    {"nrmse", nrmse, 1e-12, false, false, false, true, false},
    {"psnr", psnr, 1e-12, false, false, false, true, true},
    {"ccc", ccc, 1e-12, false, false, false, true, true},
    {"bandpass", bandpass, 2e-6, false, true, true, true, true},
    {"localz", localz, 2e-6, false, true, true, true, true},
    {"gradient", gradient, 1e-6, false, true, true, true, true},
    {"dice", dice, 0, true, true, true, true, true},
    {"outline", outline, 0, true, true, true, true, true},
    {"fused", fused, 2e-6, false, true, true, true, true},
    {"mae", mae, 1e-12, true, false, false, false, true},
    {"ssim", ssim, 1e-6, false, false, false, true, false},
    {"uqi", uqi, 1e-5, false, false, false, true, false},
    {"mi", mi, 1e-12, false, true, true, true, true},
    {"nmi", nmi, 1e-12, false, true, true, true, true},
    {"cr", cr, 1e-12, false, true, true, true, true},
    {"lncc", lncc, 1e-5, false, true, true, true, true},
    {"poc", poc, 1e-5, false, true, true, true, true},
};

const reference *find_reference(const char *measure) {
  for (size_t i = 0; i < sizeof REFERENCES / sizeof *REFERENCES; i++)
    if (strcmp(REFERENCES[i].measure, measure) == 0) return &REFERENCES[i];
  return NULL;
}
