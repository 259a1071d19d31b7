// What a similarity measure is to the rest of the program: one row of the table in table.c. A
// measure of the GEMM family turns a row of voxels into a unit vector (`embed`), and the dot
// product of two vectors into the score (`epilogue`).
#ifndef SB_MEASURE_MEASURE_H
#define SB_MEASURE_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "samebrain/measure.h"
#include "samebrain/status.h"

// The grid that rows live on; a row is the mask's voxels, x fastest.
typedef struct sb_grid {
  int64_t dims[3];
  double voxel_mm;
  const uint8_t *mask; // dims[0] * dims[1] * dims[2] bytes, 0 or 1
  int64_t row_length;  // how many of them are 1
} sb_grid;

typedef struct sb_measure {
  sb_measure_info info;
  // Whatever can be computed once for a grid, shared read-only by all threads. NULL: nothing.
  sb_status (*create)(const sb_grid *grid, void **context);
  void (*destroy)(void *context);
  int64_t (*embedding_length)(const sb_grid *grid);
  // Floats of private memory that one call of `embed` needs.
  int64_t (*scratch_length)(const sb_grid *grid, const void *context);
  // A row to a vector of Euclidean norm 1 (up to the rounding of its float elements). The bits
  // depend on the row alone. Errors: SB_CONTENT (a row without variation, or not finite); the
  // caller knows which scan it is.
  sb_status (*embed)(const sb_grid *grid, const void *context, const float *row, float *vector,
                     float *scratch);
  // The score of two rows from the dot product of their vectors: monotone, and moving no further
  // than its argument, so that an error bound of the dot product is one of the score.
  double (*epilogue)(double dot);
} sb_measure;

// The table; NULL past its end, or when the name is unknown.
const sb_measure *sb_measure_row(size_t index);
const sb_measure *sb_measure_row_find(const char *name);
// As sb_measure_row_find, with SB_NOT_FOUND naming the measures there are.
sb_status sb_measure_need(const char *name, const sb_measure **measure);

// A measure made ready for a grid.
typedef struct sb_embedder {
  const sb_measure *measure;
  sb_grid grid; // its mask is borrowed
  void *context;
  int64_t length;  // of the vectors
  int64_t scratch; // floats
} sb_embedder;

sb_status sb_embedder_open(const sb_measure *measure, const sb_grid *grid, sb_embedder *out);
void sb_embedder_close(sb_embedder *embedder); // a zeroed one is fine
static inline sb_status sb_embed(const sb_embedder *e, const float *row, float *vector,
                                 float *scratch) {
  return e->measure->embed(&e->grid, e->context, row, vector, scratch);
}

extern const sb_measure sb_measure_pearson, sb_measure_bandpass;

#endif
