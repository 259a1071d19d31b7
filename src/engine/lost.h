// What rounding makes of a pair's dot product.
//
// Element x_i of every vector is rounded by one number d_i, as good as random in (-1/2, 1/2) and the same for all vectors: to the
// multiple of its chunk's step s that is nearest to x_i + d_i s, one of the two beside x_i, and on average over d_i to x_i itself.
// A pair's rounded product of element i is then off by something independent of all other elements, that
//   - is on average the covariance of both roundings, between 0 and s_a s_b / 4;
//   - keeps within a range of L_i = s_a |b_i| + s_b |a_i| + s_a s_b.
// So of the sum over all elements (Hoeffding, J. Am. Stat. Assoc. 58 (1963) 13, theorem 2)
//   P(|a'.b' - a.b| > sum s_a s_b / 4 + t) <= 2 exp(-2 t^2 / sum L_i^2),  and with t = SB_LOST_ODDS sqrt(sum L_i^2)
// that is 2^-128: were d_i truly random, of the 10^10 pairs of two databases of a hundred thousand scans one would err by more
// with a probability of 2^-94. Vectors that were made with the numbers d_i in hand can be off by more; scans are not.
//
// By Minkowski's and Cauchy's inequalities over chunks c of up to n elements
//   sqrt(sum L_i^2) <= step_a size_b + step_b size_a + sqrt(n) step_a step_b,
// where step = (sum_c s_c^4)^(1/4), size = (sum_c |x_c|^4)^(1/4): a chunk with a giant in it, and so a large step, counts
// for what that chunk of the other vector is worth. And sum s_a s_b <= spread_a spread_b.
#ifndef SB_ENGINE_LOST_H
#define SB_ENGINE_LOST_H

#include "measure/elements.h"

typedef struct sb_lost {
  double step;   // (sum of the fourth powers of the chunks' steps)^(1/4)
  double size;   // (sum of the fourth powers of the chunks' norms)^(1/4), plus sqrt(n) step / 2
  double spread; // root of the sum of the squared steps of all elements
} sb_lost;

// sqrt(ln(2^129) / 2), rounded up.
static const double SB_LOST_ODDS = 6.69;

// The error of one pair's dot product, beside `of_all`. Besides the above: x_i / s is computed in float32, so that what is rounded
// is off by up to 2^-16 of a step, and the numbers d_i are discrete: together that moves an element's mean by less than 2^-15 of its
// step, against the other vector of norm at most 1 + 2^-23 (twice that is allowed for). Chunks too small to have a step drop up
// to 1e-15 of each element: far less than these allowances.
SB_HD static inline double sb_pair_error(double of_all, const sb_lost *a, const sb_lost *b) {
  return of_all + SB_LOST_ODDS * (a->step * b->size + a->size * b->step) +
         (0.25 + 0x1p-14) * a->spread * b->spread + 0x1p-14 * (a->spread + b->spread) + 0x1p-40;
}

#endif
