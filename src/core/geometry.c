#include "core/geometry.h"

#include <math.h>
#include <string.h>

void sb_affine_identity(double a[16]) {
  for (int i = 0; i < 16; i++) a[i] = i % 5 == 0 ? 1.0 : 0.0;
}

void sb_affine_multiply(const double a[16], const double b[16], double c[16]) {
  double result[16];
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      double sum = 0;
      for (int k = 0; k < 4; k++) sum += a[4 * i + k] * b[4 * k + j];
      result[4 * i + j] = sum;
    }
  memcpy(c, result, sizeof result);
}

double sb_affine_determinant(const double a[16]) {
  return a[0] * (a[5] * a[10] - a[6] * a[9]) - a[1] * (a[4] * a[10] - a[6] * a[8]) +
         a[2] * (a[4] * a[9] - a[5] * a[8]);
}

bool sb_affine_invert(const double a[16], double inverse[16]) {
  double determinant = sb_affine_determinant(a);
  if (!isfinite(determinant) || determinant == 0) return false;
  double r[16];
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) { // cofactors, transposed
      int i1 = (i + 1) % 3, i2 = (i + 2) % 3, j1 = (j + 1) % 3, j2 = (j + 2) % 3;
      r[4 * j + i] =
          (a[4 * i1 + j1] * a[4 * i2 + j2] - a[4 * i1 + j2] * a[4 * i2 + j1]) / determinant;
    }
  for (int i = 0; i < 3; i++)
    r[4 * i + 3] = -(r[4 * i] * a[3] + r[4 * i + 1] * a[7] + r[4 * i + 2] * a[11]);
  r[12] = r[13] = r[14] = 0;
  r[15] = 1;
  memcpy(inverse, r, sizeof r);
  return true;
}

void sb_affine_apply(const double a[16], const double point[3], double out[3]) {
  double x = point[0], y = point[1], z = point[2];
  for (int i = 0; i < 3; i++)
    out[i] = a[4 * i] * x + a[4 * i + 1] * y + a[4 * i + 2] * z + a[4 * i + 3];
}

// Newton's iteration for the polar factor.
bool sb_affine_rotation(const double a[16], double rotation[16]) {
  double inverse[16];
  memcpy(rotation, a, 16 * sizeof *rotation);
  rotation[3] = rotation[7] = rotation[11] = 0;
  for (int iteration = 0; iteration < 30; iteration++) {
    if (!sb_affine_invert(rotation, inverse)) return false;
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 3; j++)
        rotation[4 * i + j] = 0.5 * (rotation[4 * i + j] + inverse[4 * j + i]);
  }
  return true;
}

double sb_affine_apart(const double a[16], const double b[16], const double centre[3]) {
  double most = 0;
  for (int corner = 0; corner < 8; corner++) {
    double p[3], u[3], v[3], square = 0;
    for (int i = 0; i < 3; i++) p[i] = centre[i] + ((corner >> i & 1) != 0 ? 40 : -40);
    sb_affine_apply(a, p, u);
    sb_affine_apply(b, p, v);
    for (int i = 0; i < 3; i++) square += (u[i] - v[i]) * (u[i] - v[i]);
    const double apart = sqrt(square);
    if (apart > most) most = apart; // fmax() here is an internal error of GCC 12.2 on aarch64
  }
  return most;
}
