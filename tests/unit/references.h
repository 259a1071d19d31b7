// Every similarity measure once more, in double precision and as slowly as its definition reads. A
// scene is an irregular mask on a small grid with two rows and two brain masks on it.
#ifndef TESTS_REFERENCES_H
#define TESTS_REFERENCES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct scene {
  int64_t dims[3], length;
  double voxel_mm;
  uint8_t *mask;
  int64_t (*at)[3];       // where each of the row's voxels is
  float *a, *b;           // rows
  uint8_t *own_a, *own_b; // bits
} scene;

typedef double (*reference_function)(const scene *s);

typedef struct reference {
  const char *measure;
  reference_function score;
  double tolerance;                 // relative to the larger of 1 and the score
  bool exact_on_integers;           // rows of small integers give the same bits
  bool any_scale, any_offset;       // a change of one row leaves the score
  bool common_scale, common_offset; // a change of both does
} reference;

// NULL: nobody wrote one.
const reference *find_reference(const char *measure);

#endif
