// What a similarity measure is to the rest of the program: one row of the table in table.c. Every
// measure turns a scan into an embedding, once (`embed`): a vector of floats and a few terms, which
// are float64 figures of the whole scan. There are two families:
//   GEMM   the score follows from the dot product of two vectors and the terms of both scans
//          (`epilogue`), so that all pairs can be screened by a matrix product;
//   pair   the score is computed pair by pair from the two embeddings (`score`).
#ifndef SB_MEASURE_MEASURE_H
#define SB_MEASURE_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "measure/form.h"
#include "measure/recipe.h"
#include "measure/vector.h"
#include "samebrain/measure.h"
#include "samebrain/status.h"

// The grid that rows live on; a row is the mask's voxels, x fastest.
typedef struct sb_grid {
  int64_t dims[3];
  double voxel_mm;
  const uint8_t *mask; // dims[0] * dims[1] * dims[2] bytes, 0 or 1
  int64_t row_length;  // how many of them are 1
} sb_grid;

// The embedding of one scan.
typedef struct sb_embedding {
  const float *vector;
  const double *terms;
} sb_embedding;

enum { SB_EMBEDDING_UNIT = 16, SB_MOST_TERMS = SB_EMBEDDING_UNIT / 2, SB_MOST_PARTS = 4 };

typedef struct sb_measure {
  sb_measure_info info;
  // Of a combination of measures: the names of its parts, at most SB_MOST_PARTS, NULL at the end, and
  // what tells the context how much each weighs (the weights sum to 1; without it all weigh the
  // same). NULL: no combination.
  const char *const *parts;
  void (*weigh)(void *context, const double *weights);
  // Whatever can be computed once for a grid, shared read-only by all threads. NULL: nothing.
  sb_status (*create)(const sb_grid *grid, void **context);
  void (*destroy)(void *context);
  int64_t (*embedding_length)(const sb_grid *grid, const void *context);
  int term_count; // at most SB_MOST_TERMS
  // Floats of private memory that one call of `embed` or `score` needs. NULL: none.
  int64_t (*scratch_length)(const sb_grid *grid, const void *context);
  // A scan to its embedding. In the GEMM family the vector has a Euclidean norm of at most 1 (up to
  // the rounding of float elements). The bits depend on the scan alone. Errors: SB_CONTENT (a row
  // without variation, or not finite); the caller knows which scan it is.
  sb_status (*embed)(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                     float *vector, double *terms, float *scratch);
  // GEMM family (NULL in the other): the score from a dot product and the terms of both scans. It
  // rises with the dot product throughout, or falls throughout, and returns scores within the
  // measure's range for any dot product; so whoever knows the dot product within an error knows the
  // score within the values at both ends (see engine/screen.h).
  double (*epilogue)(double dot, const double *terms_a, const double *terms_b);
  // The same for devices (elements.h): they select where it is known, and the host elsewhere.
  sb_from_dot from_dot;
  // The canonical score of two embeddings, the same bits for (a, b) and (b, a). In the GEMM family
  // NULL stands for the epilogue of the fixed-order float64 dot product; another function there must
  // equal the epilogue of the exact dot product but for rounding (see sb_screen_interval).
  double (*score)(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                  float *scratch);
  // Pair family: how devices make the score (form.h); the caller has filled what all forms share. What
  // it points at is the context's. NULL: on the host alone.
  void (*form)(const sb_grid *grid, const void *context, sb_form *out);
  // GEMM family: how devices embed a row (recipe.h), likewise. NULL: on the host alone.
  void (*recipe)(const sb_grid *grid, const void *context, sb_recipe *out);
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
  int64_t length; // of the vectors
  int64_t size; // floats that an embedding takes: the vector, filled up to 64 bytes, and the terms
  int64_t scratch;  // floats
  sb_form form;     // for devices; of a measure without any its kind is SB_FORM_NONE
  sb_recipe recipe; // likewise
} sb_embedder;

static inline int64_t sb_round_up(int64_t floats) {
  return (floats + SB_EMBEDDING_UNIT - 1) / SB_EMBEDDING_UNIT * SB_EMBEDDING_UNIT;
}

sb_status sb_embedder_open(const sb_measure *measure, const sb_grid *grid, sb_embedder *out);
void sb_embedder_close(sb_embedder *embedder); // a zeroed one is fine

// `embedding` has `size` floats on a 64-byte boundary: the terms lie behind the vector.
static inline double *sb_terms(const sb_embedder *e, float *embedding) {
  return (double *)(void *)(embedding + sb_round_up(e->length));
}
static inline sb_embedding sb_embedding_at(const sb_embedder *e, const float *embedding) {
  return (sb_embedding){embedding,
                        (const double *)(const void *)(embedding + sb_round_up(e->length))};
}
static inline sb_status sb_embed(const sb_embedder *e, const sb_scan_data *scan, float *embedding,
                                 float *scratch) {
  return e->measure->embed(&e->grid, e->context, scan, embedding, sb_terms(e, embedding), scratch);
}
// The canonical score of two embeddings.
double sb_embedded_score(const sb_embedder *e, const float *a, const float *b, float *scratch);

// A pair of embeddings, and its canonical score on the way.
typedef struct sb_scored_pair {
  const float *a, *b;
  double score;
  double lanes[SB_DOT_LANES]; // of the dot product so far
} sb_scored_pair;

// The canonical scores of many pairs, the same bits as one by one. Pairs that follow each other share an `a`,
// or a `b`.
//   sliced  a slice of all pairs at a time, so that slices of what they share stay in a cache; else each
//           pair's embeddings from end to end, as they lie in memory: quicker for pairs that share few
//           (sb_pairs_share)
void sb_embedded_scores(const sb_embedder *e, sb_scored_pair *pairs, int64_t count, bool sliced,
                        float *scratch);
// Whether `count` pairs of so many scans with so many others share enough for slices.
bool sb_pairs_share(int64_t count, int64_t probes, int64_t galleries);

// A length, for measures whose vectors are rows.
int64_t sb_row_of_voxels(const sb_grid *grid, const void *context);

#endif
