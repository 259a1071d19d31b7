#include "measure/set.h"

#include <math.h>

#include "measure/elements.h"

float sb_set_element(int64_t size, double *terms) {
  int exponent;
  frexp(sqrt((double)size), &exponent);
  terms[SB_TERM_SET_SCALE] = ldexp(1, exponent);
  terms[SB_TERM_SET_SIZE] = (double)size;
  return (float)ldexp(1, -exponent);
}

double sb_set_dice(double dot, const double *a, const double *b) {
  return sb_dice_from_dot(dot, a, b);
}
