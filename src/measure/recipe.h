// How a measure makes the vector of a row, in plain data, for backends that do so on a device of their
// own (engine/backend.h). A device has the host's operations in the host's order (elements.h), so that
// its vectors are the host's to the bit. A measure without a recipe is embedded on the host.
#ifndef SB_MEASURE_RECIPE_H
#define SB_MEASURE_RECIPE_H

#include <stdint.h>

typedef enum sb_recipe_kind {
  SB_RECIPE_NONE,
  SB_RECIPE_STANDARDISE, // the row, its mean subtracted and divided by its norm (correlation.h)
  SB_RECIPE_BANDPASS     // the same of the row minus its filtered self, times `inverse` (filter.h)
} sb_recipe_kind;

// A recipe's vectors have as many elements as rows, and no terms. What is pointed at is the context's.
typedef struct sb_recipe {
  sb_recipe_kind kind;
  int64_t voxels; // of a row
  // Of the filter: axis by axis, x first, on the mask's box with zeros around it.
  int64_t dims[3], first[3], size[3]; // of the grid, and of the mask's box in it
  const uint8_t *mask;                // of the grid
  int radius;
  const float *weight;  // radius + 1
  const float *inverse; // a row
} sb_recipe;

#endif
