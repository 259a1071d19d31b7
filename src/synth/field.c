#include "synth/field.h"

#include <math.h>
#include <stdlib.h>

#include "core/memory.h"
#include "core/random.h"

// A uniform cubic B-spline of knot distance h has the second moment of a Gaussian of sigma
// h/sqrt(3).
static const double KNOTS_PER_SIGMA = 1.7320508;
// The standard deviation of a three-dimensional spline with coefficients of standard deviation 1,
// averaged over where between the knots one looks: (151/315)^(3/2).
static const double SPLINE_SD = 0.33189;

int64_t sb_lattice_nodes(const sb_lattice *lattice) {
  return lattice->dims[0] * lattice->dims[1] * lattice->dims[2];
}

// For each node along one axis: the first of the four knots it hangs on, and their weights.
typedef struct axis_weights {
  int64_t knots;
  int64_t *first;
  float (*weights)[4];
} axis_weights;

static void free_axis(axis_weights *axis) {
  free(axis->first);
  free(axis->weights);
}

static sb_status make_axis(int64_t nodes, double knots_per_node, double phase, axis_weights *out) {
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&out->first, nodes, "random field"));
  SB_TRY(SB_NEW(&out->weights, nodes, "random field"));
  for (int64_t i = 0; i < nodes; i++) {
    double at = (double)i * knots_per_node + phase;
    double t = at - floor(at), s = 1 - t;
    out->first[i] = (int64_t)floor(at);
    out->weights[i][0] = (float)(s * s * s / 6);
    out->weights[i][1] = (float)((3 * t * t * t - 6 * t * t + 4) / 6);
    out->weights[i][2] = (float)((3 * s * s * s - 6 * s * s + 4) / 6);
    out->weights[i][3] = (float)(t * t * t / 6);
  }
  out->knots = out->first[nodes - 1] + 4;
cleanup:
  return status;
}

// out[i] = the spline along x of one line of coefficients.
static void along_x(const axis_weights *x, int64_t nodes, const float *line, float *out) {
  for (int64_t i = 0; i < nodes; i++) {
    const float *c = line + x->first[i], *w = x->weights[i];
    out[i] = w[0] * c[0] + w[1] * c[1] + w[2] * c[2] + w[3] * c[3];
  }
}

// out = the weighted sum of four arrays `stride` apart.
static void blend(const float *in, int64_t stride, const float w[4], int64_t count, float *out) {
  const float *a = in, *b = a + stride, *c = b + stride, *d = c + stride;
  for (int64_t i = 0; i < count; i++)
    out[i] = w[0] * a[i] + w[1] * b[i] + w[2] * c[i] + w[3] * d[i];
}

static void draw(float *coefficients, int64_t count, float sd, uint64_t key) {
  for (int64_t i = 0; i < count; i += 2) {
    float pair[2];
    sb_random_normals(key, (uint64_t)i, pair);
    coefficients[i] = sd * pair[0];
    if (i + 1 < count) coefficients[i + 1] = sd * pair[1];
  }
}

sb_status sb_field_add(const sb_lattice *lattice, double sigma_mm, double amplitude, uint64_t key,
                       int channels, int channel, float *values) {
  const int64_t *n = lattice->dims;
  double knots_per_node = lattice->step_mm / (sigma_mm * KNOTS_PER_SIGMA);
  axis_weights axes[3] = {{0}, {0}, {0}};
  float *line = NULL, *lines = NULL, *planes = NULL, *plane = NULL;
  sb_status status = sb_ok();
  for (int a = 0; a < 3; a++)
    SB_TRY(make_axis(n[a], knots_per_node, sb_random_uniform(key, (uint64_t)a, 0, 1), &axes[a]));
  int64_t kx = axes[0].knots, ky = axes[1].knots, kz = axes[2].knots;
  SB_TRY(SB_NEW(&line, kx * ky * kz, "random field"));
  SB_TRY(SB_NEW(&lines, n[0] * ky, "random field"));
  SB_TRY(SB_NEW(&planes, n[0] * n[1] * kz, "random field"));
  SB_TRY(SB_NEW(&plane, n[0] * n[1], "random field"));
  draw(line, kx * ky * kz, (float)(amplitude / SPLINE_SD), sb_random_key(key, 3));

  for (int64_t k = 0; k < kz; k++) {
    for (int64_t j = 0; j < ky; j++)
      along_x(&axes[0], n[0], line + kx * (j + ky * k), lines + n[0] * j);
    for (int64_t j = 0; j < n[1]; j++)
      blend(lines + n[0] * axes[1].first[j], n[0], axes[1].weights[j], n[0],
            planes + n[0] * (j + n[1] * k));
  }
  int64_t area = n[0] * n[1];
  for (int64_t k = 0; k < n[2]; k++) {
    blend(planes + area * axes[2].first[k], area, axes[2].weights[k], area, plane);
    float *out = values + channels * area * k + channel;
    for (int64_t i = 0; i < area; i++) out[channels * i] += plane[i];
  }
cleanup:
  for (int a = 0; a < 3; a++) free_axis(&axes[a]);
  free(line);
  free(lines);
  free(planes);
  free(plane);
  return status;
}

void sb_field_sample(const sb_lattice *lattice, int channels, const float *values,
                     const double point_mm[3], float *out) {
  int64_t low[3], up[3];
  float t[3];
  for (int a = 0; a < 3; a++) {
    double last = (double)(lattice->dims[a] - 1);
    double at = (point_mm[a] - lattice->origin[a]) / lattice->step_mm;
    at = at < 0 ? 0 : at > last ? last : at;
    low[a] = (int64_t)at;
    up[a] = low[a] + 1 < lattice->dims[a] ? low[a] + 1 : low[a];
    t[a] = (float)(at - (double)low[a]);
  }
  for (int c = 0; c < channels; c++) out[c] = 0;
  for (int corner = 0; corner < 8; corner++) {
    int64_t i = (corner & 1) != 0 ? up[0] : low[0], j = (corner & 2) != 0 ? up[1] : low[1];
    int64_t k = (corner & 4) != 0 ? up[2] : low[2];
    float weight = ((corner & 1) != 0 ? t[0] : 1 - t[0]) * ((corner & 2) != 0 ? t[1] : 1 - t[1]) *
                   ((corner & 4) != 0 ? t[2] : 1 - t[2]);
    const float *node = values + channels * (i + lattice->dims[0] * (j + lattice->dims[1] * k));
    for (int c = 0; c < channels; c++) out[c] += weight * node[c];
  }
}
