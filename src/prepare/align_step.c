// The Gauss-Newton step: the normal matrix, factorised for each freedom, and what is solved by it.
#include <math.h>
#include <string.h>

#include "core/cholesky.h"
#include "prepare/align_model.h"

enum { GAIN = SB_MOTIONS };

// ---- Freedoms: fewer motions than 12 ------------------------------------------------------------

// How many unknowns a freedom has, photometric ones included, and which combination of the 24 each
// is: columns[k] is a vector of 24.
static int freedom_columns(sb_freedom freedom, double columns[SB_UNKNOWNS][SB_UNKNOWNS]) {
  memset(columns, 0, SB_UNKNOWNS * sizeof *columns);
  int count = 0;
  if (freedom == SB_AFFINE) {
    for (; count < SB_MOTIONS; count++) columns[count][count] = 1;
  } else {
    for (int d = 0; d < 3; d++) columns[count++][4 * d + 3] = 1; // translations
    for (int d = 0; d < 3; d++) {                                // rotations about each axis
      int a = (d + 1) % 3, b = (d + 2) % 3;
      columns[count][4 * b + a] = 1;
      columns[count++][4 * a + b] = -1;
    }
    for (int d = 0; d < 3; d++) columns[count][4 * d + d] = 1; // scale
    count++;
  }
  for (int i = SB_MOTIONS; i < SB_UNKNOWNS; i++) columns[count++][i] = 1;
  return count;
}

static bool factorise_freedom(const double h[SB_UNKNOWNS * SB_UNKNOWNS], sb_freedom freedom,
                              double *factor) {
  double columns[SB_UNKNOWNS][SB_UNKNOWNS];
  int n = freedom_columns(freedom, columns);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (int p = 0; p < SB_UNKNOWNS; p++) {
        if (columns[i][p] == 0) continue;
        for (int q = 0; q < SB_UNKNOWNS; q++)
          sum += columns[i][p] * h[p * SB_UNKNOWNS + q] * columns[j][q];
      }
      factor[i * n + j] = sum;
    }
  for (int i = 0; i < n; i++) factor[i * n + i] *= 1 + 1e-9;
  return sb_cholesky(n, factor);
}

// The mean of the gain polynomial's terms over the brain. Row sums of T x^n times the row's factor
// are what the normal matrix holds between the gain terms and the constant.
static void set_mean_polynomial(const double h[SB_UNKNOWNS * SB_UNKNOWNS], sb_align_level *level) {
  for (int i = 0; i < SB_GAINS; i++)
    level->mean_polynomial[i] =
        h[(SB_UNKNOWNS - 1) * SB_UNKNOWNS + GAIN + i] / h[(SB_UNKNOWNS - 1) * SB_UNKNOWNS + GAIN];
}

bool sb_align_level_solve(sb_align_level *level, float *store) {
  double h[SB_UNKNOWNS * SB_UNKNOWNS];
  sb_align_normal_matrix(level, store, h);
  set_mean_polynomial(h, level);
  for (int f = 0; f < SB_FREEDOMS; f++)
    if (!factorise_freedom(h, (sb_freedom)f, level->factor[f])) return false;
  return true;
}

// ---- The step -----------------------------------------------------------------------------------

// Makes the 3x3 part of a matrix a rotation times a scale, leaving where it takes `centre`: Newton's
// iteration for the polar factor.
static void restrict_motion(const double centre[3], double a[16]) {
  double kept[3], now[3];
  sb_affine_apply(a, centre, kept);
  double scale = cbrt(sb_affine_determinant(a));
  a[3] = a[7] = a[11] = 0;
  for (int iteration = 0; iteration < 20; iteration++) {
    double inverse[16];
    if (!sb_affine_invert(a, inverse)) return;
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 3; j++) a[4 * i + j] = 0.5 * (a[4 * i + j] + inverse[4 * j + i]);
  }
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) a[4 * i + j] *= scale;
  sb_affine_apply(a, centre, now);
  for (int i = 0; i < 3; i++) a[4 * i + 3] = kept[i] - now[i];
}

bool sb_align_level_step(const sb_align_level *level, const sb_alignment_sums *sums,
                         sb_freedom freedom, double step[16], double gain[SB_GAINS]) {
  static const double MOST_LINEAR = 0.3, MOST_MM = 25; // of one step
  double columns[SB_UNKNOWNS][SB_UNKNOWNS], reduced[SB_UNKNOWNS], found[SB_UNKNOWNS] = {0};
  int n = freedom_columns(freedom, columns);
  for (int i = 0; i < n; i++) {
    reduced[i] = 0;
    for (int p = 0; p < SB_UNKNOWNS; p++) reduced[i] += columns[i][p] * sums->projection[p];
  }
  sb_cholesky_solve(n, level->factor[freedom], reduced);
  for (int i = 0; i < n; i++)
    for (int p = 0; p < SB_UNKNOWNS; p++) found[p] += columns[i][p] * reduced[i];

  double mean = 0;
  for (int i = 0; i < SB_GAINS; i++) mean += found[GAIN + i] * level->mean_polynomial[i];
  if (!(mean > 0) || !isfinite(mean)) return false;
  for (int i = 0; i < SB_GAINS; i++) gain[i] = found[GAIN + i] / mean;
  double linear = 0, shift = 0;
  for (int i = 0; i < SB_MOTIONS; i++) {
    found[i] /= mean;
    if (!isfinite(found[i])) return false;
    if (i % 4 == 3)
      shift = fmax(shift, fabs(found[i]));
    else
      linear = fmax(linear, fabs(found[i] / SB_ALIGN_UNIT_MM));
  }
  double damp = fmin(1, fmin(MOST_LINEAR / fmax(linear, 1e-12), MOST_MM / fmax(shift, 1e-12)));
  sb_affine_identity(step);
  for (int d = 0; d < 3; d++) {
    step[4 * d + 3] = damp * found[4 * d + 3];
    for (int j = 0; j < 3; j++) {
      double a = damp * found[4 * d + j] / SB_ALIGN_UNIT_MM;
      step[4 * d + j] += a;
      step[4 * d + 3] -= a * level->centre_mm[j];
    }
  }
  if (!sb_affine_invert(step, step)) return false;
  if (freedom != SB_AFFINE) restrict_motion(level->centre_mm, step);
  return true;
}
