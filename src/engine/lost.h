// What rounding takes from vectors, and what that can make of a pair's dot product.
//
// Element i of every vector x is rounded by one random number d_i, uniform in (-1/2, 1/2) and independent of the
// vectors and of each other: to the multiple of its chunk's step s nearest to x_i + d_i s, one of the two beside it. What that
// adds to x_i is x_i's own on average 0: nothing is lost for good. So of a pair a, b each rounded product
// is its product and something of mean |E| <= s_a s_b / 4 (both are rounded by the same d_i) within a range of
//   L_i = s_a |b_i| + s_b |a_i| + s_a s_b,
// independent of the other elements', and of their sum (Hoeffding, J. Am. Stat. Assoc. 58 (1963) 13, theorem 2)
//   P(|a'.b' - a.b| > sum s_a s_b / 4 + t) <= 2 exp(-2 t^2 / sum L_i^2),  and with t = SB_LOST_ODDS sqrt(sum L_i^2)
// that is 2^-128: of the 10^10 pairs of two databases of a hundred thousand scans one would err by more with a
// probability of 2^-94. By Minkowski's and Cauchy's inequalities over chunks c of up to n elements
//   sqrt(sum L_i^2) <= step_a size_b + step_b size_a + sqrt(n) step_a step_b,
// where step = (sum_c s_c^4)^(1/4), size = (sum_c |x_c|^4)^(1/4): a chunk with a giant in it, and so a large step, counts
// for what that chunk of the other vector is worth; and sum s_a s_b / 4 <= spread_a spread_b / 4.
#ifndef SB_ENGINE_LOST_H
#define SB_ENGINE_LOST_H

typedef struct sb_lost {
  double step;   // (sum of the fourth powers of the chunks' steps)^(1/4)
  double size;   // (sum of the fourth powers of the chunks' norms)^(1/4), and sqrt(n) step / 2
  double spread; // root of the sum of the squared steps of all elements
} sb_lost;

// sqrt(ln(2^129) / 2), rounded up.
static const double SB_LOST_ODDS = 6.69;

// The error of one pair's dot product, beside `of_all`. Besides the above: the numbers d_i are multiples of 2^-16, and
// x_i / s is computed in float32: together that moves an element's mean by less than 2^-15 of its step, against the
// other vector of norm at most 1 + 2^-23 (twice that is allowed for). Chunks too small to have a step count for nothing.
static inline double sb_pair_error(double of_all, const sb_lost *a, const sb_lost *b) {
  return of_all + SB_LOST_ODDS * (a->step * b->size + a->size * b->step) +
         (0.25 + 0x1p-14) * a->spread * b->spread + 0x1p-14 * (a->spread + b->spread) + 0x1p-40;
}

#endif
