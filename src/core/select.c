// Hoare's quickselect, the pivot being the median of three.
#include "core/select.h"

static void swap(float *a, float *b) {
  const float kept = *a;
  *a = *b;
  *b = kept;
}

// Puts the median of the first, middle and last value of a range into its middle.
static float pivot_of(float *values, int64_t first, int64_t last) {
  const int64_t middle = first + (last - first) / 2;
  if (values[middle] < values[first]) swap(&values[middle], &values[first]);
  if (values[last] < values[first]) swap(&values[last], &values[first]);
  if (values[last] < values[middle]) swap(&values[last], &values[middle]);
  return values[middle];
}

float sb_select(float *values, int64_t count, int64_t rank) {
  int64_t first = 0, last = count - 1;
  while (first < last) {
    const float pivot = pivot_of(values, first, last);
    int64_t i = first, j = last;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (pivot < values[j]) j--;
      if (i <= j) swap(&values[i++], &values[j--]);
    }
    // Now everything up to j is at most the pivot, everything from i on at least, and what lies
    // between equals it.
    if (rank <= j)
      last = j;
    else if (rank >= i)
      first = i;
    else
      break;
  }
  return values[rank];
}

int64_t sb_even_stride(const int64_t dims[3], int64_t samples) {
  const int64_t slice = dims[0] * dims[1];
  int64_t stride = slice * dims[2] / samples + 1;
  for (;; stride++) {
    int64_t a = slice, b = stride;
    while (b != 0) { // Euclid's greatest common divisor
      const int64_t rest = a % b;
      a = b;
      b = rest;
    }
    if (a == 1) return stride;
  }
}
