// Row-major 4x4 affine matrices and the like.
#ifndef SB_CORE_GEOMETRY_H
#define SB_CORE_GEOMETRY_H

#include <stdbool.h>

// c = a b; c may be a or b.
void sb_affine_multiply(const double a[16], const double b[16], double c[16]);
// False when `a` is singular; `inverse` may be `a`.
bool sb_affine_invert(const double a[16], double inverse[16]);
// out = a * (point, 1); out may be point.
void sb_affine_apply(const double a[16], const double point[3], double out[3]);
void sb_affine_identity(double a[16]);
// Determinant of the upper-left 3x3 part.
double sb_affine_determinant(const double a[16]);
// The rotation nearest to a's 3x3 part, without a shift. False when `a` is singular.
bool sb_affine_rotation(const double a[16], double rotation[16]);
// How far apart two maps put a point 70 mm from `centre`, at most: the corners of a cube about it.
double sb_affine_apart(const double a[16], const double b[16], const double centre[3]);

#endif
