// The kernels, as C calls them: each queues its work on a stream.
#ifndef SB_KERNELS_KERNELS_H
#define SB_KERNELS_KERNELS_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

// Rounds `rows` vectors of k floats times `scale` to a precision (not int8), and pads each with zeros
// to `padded` elements. Elements are float (fp32, tf32) or 16 bits wide.
cudaError_t sb_kernel_round(const float *in, int64_t rows, int64_t k, float scale,
                            sb_precision precision, int64_t padded, void *out, cudaStream_t stream);

// Vectors on their way to int8 (engine/int8.h). Pointers are the device's.
typedef struct sb_kernel_int8 {
  const float *in; // rows x k
  int64_t rows, k, chunk, chunks;
  const float *dither; // k
  int8_t *numbers;     // rows x (chunks * chunk), padded with zeros
  float *scales;       // rows x chunks
  double *squares;     // as many, in work
  sb_lost *lost;       // of each row; its squares are summed in another order than the host's
  cudaStream_t stream;
} sb_kernel_int8;
cudaError_t sb_kernel_round_int8(const sb_kernel_int8 *vectors);

// `number` arrays, one behind the other, each of `rows` lines of `columns`, `stride` apart.
typedef struct sb_kernel_parts {
  const void *parts;
  int64_t rows, columns, stride;
  int number;
  bool first; // nothing was summed before
} sb_kernel_parts;

// sum = (first ? 0 : sum) + part 0 + part 1 + ..., in this order in float64; then times `scale`. The
// sum's lines are `columns` apart.
cudaError_t sb_kernel_add_parts(const sb_kernel_parts *parts, double scale, double *sum,
                                cudaStream_t stream); // float
cudaError_t sb_kernel_add_sums(const sb_kernel_parts *parts, double scale, double *sum,
                               cudaStream_t stream); // double
// The same of int32_t, each times the scales of its line and column in that part: a_scales[i * chunks +
// part] and b_scales[j * chunks + part].
cudaError_t sb_kernel_add_int8_parts(const sb_kernel_parts *parts, const float *a_scales,
                                     const float *b_scales, int64_t chunks, double *sum,
                                     cudaStream_t stream);

// A tile's products, and what selects its pairs (engine/backend.h). Pointers are the device's, those in
// `of` too.
typedef struct sb_kernel_selection {
  sb_selection of;
  sb_extent extent;
  const double *dots;             // [i * extent.galleries + j]
  double error;                   // of the dot products
  const sb_lost *a_lost, *b_lost; // of each vector, beside it (sb_pair_error); NULL: nothing
  const double *cutoffs, *a_terms, *b_terms;
  uint32_t *histogram, *within;   // probes x bins
  unsigned long long *most_error; // of all pairs so far, a double's bits
  int32_t *least;                 // [line][list], from the survey to the picking
  sb_selected *selected;          // room for `capacity`
  int64_t capacity;
  unsigned long long *count; // of those picked, be there room or not
  cudaStream_t stream;
} sb_kernel_selection;

cudaError_t sb_kernel_survey(const sb_kernel_selection *selection);
// The candidates of lines [first, last), once they were surveyed; adds to the count.
cudaError_t sb_kernel_pick(const sb_kernel_selection *selection, int64_t first, int64_t last);

// Rows on their way to being vectors, each of k floats, and what is known of each; without gaps, since
// it is copied whole.
typedef struct sb_row_figures {
  double rms, mean,
      factor;   // root mean square of the row; mean and inverse norm of what becomes of it
  int64_t well; // finite, with variation
} sb_row_figures;
typedef struct sb_kernel_rows {
  int64_t rows, k;
  float *values;
  double *lanes; // SB_DOT_LANES of each row, in work
  sb_row_figures *figures;
  cudaStream_t stream;
} sb_kernel_rows;

// What a filter needs (measure/recipe.h). Pointers are the device's.
typedef struct sb_kernel_filter {
  int64_t nx, ny, nz;    // of the mask's box
  const int32_t *row_of; // of the box, x fastest: the row's element there, -1 outside the mask
  int radius;
  const float *weight, *inverse;
  float *box, *other_box; // room for `rows` boxes each, in work
} sb_kernel_filter;

// From scale and offset of each row, and behind these k float16 of each.
cudaError_t sb_kernel_decode(const void *in, const sb_kernel_rows *rows);
cudaError_t sb_kernel_rms(const sb_kernel_rows *rows); // into the figures
// Of each row what its filtered self leaves.
cudaError_t sb_kernel_bandpass(const sb_kernel_rows *rows, const sb_kernel_filter *filter);
// Subtracts the means and divides by the norms; needs the rms. Fills the rest of the figures.
cudaError_t sb_kernel_standardise(const sb_kernel_rows *rows);

// All pairs of m embeddings with n others, each `size` floats after the one before, and what the
// kernels need.
typedef struct sb_kernel_pairs {
  const float *a, *b;
  int64_t size, m, n;
  void *work;     // for what kernels leave for each other
  double *scores; // m x n
  cudaStream_t stream;
} sb_kernel_pairs;

// How many differences are summed in float32: SB_RUN one after the other, and the sums of runs in a
// chunk.
#ifdef SAMEBRAIN_SMALL_TILES
enum { SB_RUN = 8, SB_CHUNK = 48 };
#else
enum { SB_RUN = 64, SB_CHUNK = 8192 };
#endif
SB_HD static inline int64_t sb_kernel_chunks(int64_t voxels) {
  return (voxels + SB_CHUNK - 1) / SB_CHUNK;
}

// Mean |a - b| over the first `voxels` floats. Work: a float for each pair and chunk.
cudaError_t sb_kernel_differences(const sb_kernel_pairs *pairs, int64_t voxels);

// From the joint histogram of the first `voxels` bytes.
cudaError_t sb_kernel_levels(const sb_kernel_pairs *pairs, int64_t voxels, sb_levels_score score);

// What the pairs of a windows form share. Pointers are the device's.
enum { SB_MOST_RADIUS = 6 };
typedef struct sb_kernel_windows {
  sb_windows_score score;
  int radius;
  int64_t nx, ny, nz; // of the mask's box
  int64_t voxels, stride, terms;
  const int32_t *row_of; // of the box, x fastest: the row's element there, -1 outside the mask
  const float *factor;   // a row
  float weight[SB_MOST_RADIUS + 1], scale;
  sb_structure_constants constants;
} sb_kernel_windows;

// Work: a double for each pair and tile of the box.
int64_t sb_kernel_windows_tiles(const sb_kernel_windows *windows);
cudaError_t sb_kernel_window_scores(const sb_kernel_pairs *pairs, const sb_kernel_windows *windows);

// What the pairs of a phases form share (measure/form.h); turns are the device's.
typedef struct sb_kernel_phases {
  int64_t width, rows, slabs;
  int band;
  const float *turn_re[3], *turn_im[3];
} sb_kernel_phases;

// Work for each pair.
int64_t sb_kernel_phases_bytes(const sb_kernel_phases *phases);
cudaError_t sb_kernel_phase_scores(const sb_kernel_pairs *pairs, const sb_kernel_phases *phases);

#ifdef __cplusplus
}
#endif

#endif
