// Small symmetric systems of linear equations.
#ifndef SB_CORE_CHOLESKY_H
#define SB_CORE_CHOLESKY_H

#include <stdbool.h>

// In-place lower Cholesky factor of an n x n matrix, row by row; false when it is not positive definite.
bool sb_cholesky(int n, double *a);
// b of n becomes x of a x = b.
void sb_cholesky_solve(int n, const double *factor, double *b);

#endif
