// The one seam between what is compared and what computes it: a table of functions and a context.
// The engine hands a backend blocks of unit vectors and gets back their dot products, or blocks of
// other embeddings and gets back their scores, with a bound on their error; what follows (candidates,
// canonical scores) is the same for all backends.
#ifndef SB_ENGINE_BACKEND_H
#define SB_ENGINE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/lost.h"
#include "engine/screened.h"
#include "measure/form.h"
#include "measure/recipe.h"
#include "samebrain/status.h"

// What the operands of a product are rounded to. Products are exact, sums are at least float32.
typedef enum sb_precision {
  SB_FP32, // 24 significant bits
  SB_TF32, // 11
  SB_FP16, // 11
  SB_BF16, // 8
  SB_INT8, // whole numbers times a scale that chunks of a vector share; sums are exact
  SB_PRECISIONS
} sb_precision;

typedef struct sb_backend_options {
  int threads;            // of the host, at least 1
  int64_t k_chunk;        // elements whose products are summed at once; 0: the backend's choice
  sb_precision precision; // of the screen
  bool timed;             // wait after each stage, for `stages`
} sb_backend_options;

// Seconds that products took so far.
typedef struct sb_stages {
  double multiply_s, add_s, copy_s; // chunks' products; their sum; scores to the host
} sb_stages;

// Where a backend keeps blocks of vectors: the probes, and the gallery's as they stream past.
typedef enum sb_slot { SB_SLOT_PROBES, SB_SLOT_GALLERY, SB_SLOTS } sb_slot;

// Vectors [first, first + count) of a slot's block.
typedef struct sb_part {
  sb_slot slot;
  int64_t first, count;
} sb_part;

// A row as a store has it: its values are half * scale + offset (engine/rows.h).
typedef struct sb_stored_row {
  const uint16_t *halves;
  double scale, offset;
} sb_stored_row;

// |c - canonical score| <= absolute + relative |c|.
typedef struct sb_score_error {
  double absolute, relative;
} sb_score_error;

// What selects the pairs of a comparison.
typedef struct sb_selection {
  sb_from_dot from_dot; // never SB_FROM_DOT_NONE
  double range_min, range_max;
  bool higher_is_closer;
  int64_t length; // of a vector
  int terms;      // of a scan
  int64_t probes, gallery;
  // As in sb_people; in a self-comparison probes and gallery are the same.
  bool self, unknown_left_out;
  const int64_t *probe_person, *gallery_person, *probe_dataset, *gallery_dataset, *same;
  int64_t bins; // of a probe's histogram of its non-mated scores
  bool within;  // another one, of pairs of one dataset
  // Of each list: it wants so many of the closest, and all that reach a closeness.
  int64_t wanted[SB_LIST_KINDS];
  double threshold[SB_LIST_KINDS];
} sb_selection;

typedef struct sb_selection_tile {
  sb_extent extent;
  double error;                    // of the dot products
  const double *cutoffs;           // [line][list]: nothing below it can matter any more
  const double *a_terms, *b_terms; // of the probes and of the gallery's scans, [scan][term]
} sb_selection_tile;

// A candidate for one of the lists of a tile's line: the x-th scan that the line meets, and its closeness.
typedef struct sb_selected {
  double low, high;
  int32_t line, x;
} sb_selected;

typedef struct sb_backend {
  const char *name; // what --backend takes

  // Errors: SB_BACKEND says why it cannot be used here; SB_USAGE for a precision it has not.
  sb_status (*open)(const sb_backend_options *options, void **context);
  void (*close)(void *context);

  // What computes, in words ("oneDNN 2.6.3, ..."), for summary.json. Valid until close.
  const char *(*describe)(const void *context);
  int64_t (*k_chunk)(const void *context);
  // Host memory used beside the vectors and the result, for m vectors against n, of k elements.
  int64_t (*workspace_bytes)(const void *context, int64_t m, int64_t n, int64_t k);

  // How many vectors of k elements its own memory holds, in both slots together, beside all else that it
  // needs and `beside` bytes. NULL: they stay in the host's.
  int64_t (*most_vectors)(const void *context, int64_t k, int64_t beside);

  // Fills a slot with `count` vectors of k floats and norm at most 1 + 2^-23, `stride` floats
  // apart. They stay the caller's, and as they are until the slot is filled again. Errors:
  // SB_NO_MEMORY, after which fewer may fit.
  sb_status (*put)(void *context, sb_slot slot, const float *vectors, int64_t count, int64_t k,
                   int64_t stride);
  // Embedding by the backend; all NULL where it embeds nothing. What it cannot embed the host does.
  bool (*embed_supports)(const sb_recipe *recipe);
  // From here on rows are embedded by this recipe. What it points at stays the caller's.
  sb_status (*embed_begin)(void *context, const sb_recipe *recipe);
  // Fills a slot, as `put`, with what the recipe makes of `count` rows: the host's vectors to the bit.
  // Rows that cannot be embedded make *well false, and the slot is empty then.
  sb_status (*put_rows)(void *context, sb_slot slot, const sb_stored_row *rows, int64_t count,
                        bool *well);

  // c[i * ldc + j] = dot product of a's vector i and b's vector j.
  sb_status (*gemm_nt)(void *context, sb_part a, sb_part b, double *c, int64_t ldc);
  // gemm_nt of probes with probes leaves out what nobody wants of a self-comparison: pairs where b's comes
  // before a's. Else the engine asks for it in parts.
  bool skips_below_diagonal;
  // Selection by the backend; all NULL where it selects nothing. Of a tile's products come back only the
  // candidates that could matter; what follows from the products is the host's to the bit (screened.h).
  // From here on tiles are selected for this comparison; slots are empty. What it points at stays the caller's, and as it
  // is until the end. Errors: SB_NO_MEMORY, after which the host has to select.
  sb_status (*select_begin)(void *context, const sb_selection *selection);
  // Queues a tile's products, of a's vectors with b's, and their selection, and returns: slots may be
  // filled meanwhile. What the tile points at may change once this has returned. Errors: SB_NO_MEMORY,
  // after which nothing is queued.
  sb_status (*select_start)(void *context, sb_part a, sb_part b, const sb_selection_tile *tile);
  // Waits for a tile, and hands out a part of its candidates, line by line in any order within a line,
  // valid until the next call. `more`: there is another part to take.
  sb_status (*select_take)(void *context, const sb_selected **items, int64_t *count, bool *more);
  // When the last tile was taken: adds what was counted (`within` may be NULL), and raises *error to the
  // largest sb_screened_error of a pair.
  sb_status (*select_end)(void *context, uint32_t *histogram, uint32_t *within, double *error);

  // Of a context that is timed. NULL: not known.
  sb_stages (*stages)(const void *context);
  // A bound on |c - a.b| for vectors of k elements: of any two vectors, or where `lost` tells of their rounding, of
  // rounded ones.
  double (*gemm_error)(const void *context, int64_t k);
  // For each vector of a slot what bounds the error that rounding it makes in a product, where that is
  // too different from vector to vector for one bound (see sb_pair_error). Valid from a product with
  // these vectors on, until the slot is filled again. No such function, or NULL: gemm_error is all.
  const sb_lost *(*lost)(const void *context, sb_slot slot);
  // Tiles are settled one by one (engine/tile.h), by the host's embeddings: there is `lost`.
  bool coarse;
  // What computes in int8 instead of this. NULL: nothing, or this itself.
  const struct sb_backend *int8;

  // The pair family, scored by the backend; all NULL where it scores none. What it cannot score is
  // left to the host.
  bool (*pair_supports)(const sb_form *form);
  // A bound on the error of a score by a form that is supported.
  sb_score_error (*pair_error)(const sb_form *form);
  // How many embeddings its own memory holds, in both slots together, beside all else that it needs.
  int64_t (*most_embeddings)(const void *context, const sb_form *form);
  // From here on pairs are scored by this form; slots are empty. It and what it points at stay the
  // caller's and as they are.
  sb_status (*pair_begin)(void *context, const sb_form *form);
  // Fills a slot with `count` embeddings of form->size floats, one after the other.
  sb_status (*pair_put)(void *context, sb_slot slot, const float *embeddings, int64_t count);
  // c[i * ldc + j] = the score of a's embedding i and b's embedding j.
  sb_status (*pair_tile)(void *context, sb_part a, sb_part b, double *c, int64_t ldc);
} sb_backend;

extern const sb_backend sb_backend_cpu;      // fp32
extern const sb_backend sb_backend_cpu_int8; // int8

// The backend that a name stands for. Errors: SB_BACKEND (its module cannot be loaded; says why),
// SB_USAGE (there is none of that name).
sb_status sb_backend_find(const char *name, const sb_backend **backend);

// What a module, a shared library opened at run time, defines: its backend, if `version` is the one
// it was compiled with, else NULL.
#define SB_MODULE_VERSION 6
#define SB_MODULE_ENTRY "sb_module_backend"
typedef const sb_backend *(*sb_module_entry)(int version);

sb_status sb_precision_of(const char *name, sb_precision *out);
const char *sb_precision_name(sb_precision precision);
// The backend that computes in a precision: the one given, or its `int8`.
static inline const sb_backend *sb_backend_in(const sb_backend *backend, sb_precision precision) {
  return precision == SB_INT8 && backend->int8 != NULL ? backend->int8 : backend;
}
// Relative error of rounding a number to it: half a unit in the last place. None for int8.
double sb_precision_unit(sb_precision precision);

#endif
