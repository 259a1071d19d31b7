// What rounding takes from vectors, and what that can make of a pair's dot product.
#ifndef SB_ENGINE_LOST_H
#define SB_ENGINE_LOST_H

// Bounds on what a vector lost. What vectors have in common is one direction, the same for both of a pair, and
// what they lost lies hardly along it: so it can only meet what the other has beside that direction.
typedef struct sb_lost {
  double norm;   // of what it lost
  double along;  // of that, the part along the common direction
  double beside; // of the vector itself: the norm of the part that is not along it
} sb_lost;

// The error of one pair's dot product, beside `of_all`. With a' and b' what is left of a and b, r = a - a' and
// s = b - b': a.b - a'.b' = r.b + a.s - r.s. Split into parts along the direction and beside it, by Cauchy-Schwarz
// |r.b| <= along_a |b| + norm_a beside_b, and a.s likewise; norms of vectors are at most 1 + 2^-23.
static inline double sb_pair_error(double of_all, const sb_lost *a, const sb_lost *b) {
  return of_all + (1 + 0x1p-22) * (a->norm * b->beside + a->beside * b->norm + a->along + b->along +
                                   a->norm * b->norm);
}

#endif
