// How a measure of the pair family makes a score of two embeddings, in plain data, for backends that do
// so on a device of their own (engine/backend.h). There are few forms and many measures: a measure that
// has a form names it (`form` in measure.h) and needs no code for any device; one that has none is
// computed on the host. What a device computes is a screen: the host's own `score` stays what counts.
#ifndef SB_MEASURE_FORM_H
#define SB_MEASURE_FORM_H

#include <stdint.h>

#include "measure/elements.h"

typedef enum sb_form_kind {
  SB_FORM_NONE,        // on the host alone
  SB_FORM_DIFFERENCES, // the mean of |a - b| over two vectors
  SB_FORM_LEVELS,      // from the joint histogram of two vectors of bytes, one a voxel
  SB_FORM_WINDOWS,     // a mean over the voxels of what windows around them have in common
  SB_FORM_PHASES       // the peak of a correlation of phases
} sb_form_kind;

typedef enum sb_levels_score { SB_LEVELS_MI, SB_LEVELS_NMI, SB_LEVELS_CR } sb_levels_score;

typedef enum sb_windows_score {
  SB_WINDOWS_SIMILARITY, // sb_window_similarity; vector: deviations, their means, variances
  SB_WINDOWS_CORRELATION // sb_window_correlation; vector: values, means, inverse deviations
} sb_windows_score;

// A vector is three rows, `stride` apart. The products of two scans' first rows, 0 outside the mask,
// are summed in a separable window on the mask's box, axis by axis in the order of filter.c, and what
// the element makes of each voxel's sum is averaged.
typedef struct sb_windows_form {
  sb_windows_score score;
  int64_t dims[3], first[3], size[3]; // of the grid, and of the mask's box in it
  const uint8_t *mask;                // of the grid
  int64_t stride;
  int radius;
  const float *weight; // radius + 1
  const float *factor; // a row: the window's share in the mask, or 1 over its sum there
  float scale;         // of the sums; similarity alone
  sb_structure_constants constants;
} sb_windows_form;

// A vector is the real and then the imaginary part of a half spectrum of width x rows x slabs. Sums
// over slabs, then rows, then frequencies 0..band of a line, each turned by what a shift adds.
typedef struct sb_phases_form {
  int64_t width, rows, slabs;
  int band;
  const float *turn_re[3], *turn_im[3]; // [shift][frequency]: SB_SHIFTS x width, rows, slabs
} sb_phases_form;

typedef struct sb_form {
  sb_form_kind kind;
  int64_t voxels; // of a row
  int64_t size;   // floats of an embedding
  int64_t terms;  // floats before its terms
  union {
    sb_levels_score levels;
    sb_windows_form windows;
    sb_phases_form phases;
  };
} sb_form;

#endif
