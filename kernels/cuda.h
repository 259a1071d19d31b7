// The CUDA backend's context, and its parts:
//   backend_cuda.c  opening, the seam's functions
//   vectors.c       vectors to the device, rounded
//   embed.c         the same from a store's rows, embedded on the device
//   products.c      their products
//   select.c        which of a tile's pairs could matter
//   pairs.c         the pair family
#ifndef SB_KERNELS_CUDA_H
#define SB_KERNELS_CUDA_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "buffer.h"
#include "engine/backend.h"
#include "engine/int8.h"
#include "kernels.h"
#include "pairs.h"
#include "staging.h"

// What embedding on the device needs (embed.c).
typedef struct sb_embedding_room {
  sb_recipe recipe; // its kind SB_RECIPE_NONE where nothing was begun
  sb_buffer row_of, weight, inverse;
  sb_buffer values, boxes[2], lanes, figures; // in work
} sb_embedding_room;

// Everything that cuBLASLt wants to know of one product.
typedef struct sb_product {
  int64_t m, n, k, batch;
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t a, b, c; // in its own order: a is the gallery's part
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulAlgo_t algorithm;
} sb_product;

enum { SB_PRODUCTS = 4 }; // kept: whole tiles and the last, whole batches and the last

// What selection needs (select.c). Device memory:
enum { SB_SELECTOR_TABLES = 5, SB_SELECTOR_BUFFERS = SB_SELECTOR_TABLES + 6 };
typedef struct sb_selector {
  union {
    sb_buffer buffers[SB_SELECTOR_BUFFERS];
    struct {
      sb_buffer tables[SB_SELECTOR_TABLES]; // who is who
      sb_buffer histogram, within, figures, input, least, selected;
    };
  };
  sb_pinned inputs, outputs;
  sb_kernel_selection kernel;
  int64_t first, last; // of the tile's lines, those that are picked or on their way
} sb_selector;

typedef struct sb_cuda {
  sb_precision precision;
  int threads; // of the host
  bool timed;
  sb_stages stages;
  double lap_s; // when the last stage ended, of a timed context
  int64_t most_chunk;
  cudaStream_t stream;    // of products, and what follows from them
  cudaStream_t preparing; // of kernels that fill slots meanwhile
  sb_staging staging;
  cublasLtHandle_t handle;
  sb_device_block slots[SB_SLOTS];
  sb_device_block spare;     // takes the gallery's place while that is busy
  int64_t k, chunk, chunks;  // of what is in the slots: chunk * chunks is k, padded
  sb_buffer dither, squares; // of int8: random numbers, and what rounding leaves for its sums
  int64_t dither_count;
  sb_buffer parts, sum, workspace;
  sb_buffer lost;                   // of int8, with the sum: of a's vectors, and behind them of b's
  sb_product products[SB_PRODUCTS]; // the latest shapes; choosing an algorithm takes a while
  int next_product;
  sb_embedding_room embedding;
  sb_selector selector;
  sb_pairs *pairs; // of the pair family; NULL until it is wanted
  char description[600];
} sb_cuda;

// Unit vectors of hundreds of thousands of elements have elements near 2^-9, close to where fp16 loses
// digits: all but int8's are multiplied by this, a power of two.
static const double SB_CUDA_SCALE = 256;

// cuBLASLt's int8 products want the count of columns to be a multiple of this, and all are fastest
// with results aligned to 16 bytes: so many vectors are multiplied, and the blocks padded with zeros.
enum { SB_COLUMN_UNIT = 4 };
static inline int64_t sb_columns(int64_t vectors) {
  return (vectors + SB_COLUMN_UNIT - 1) / SB_COLUMN_UNIT * SB_COLUMN_UNIT;
}

static inline size_t sb_element_bytes(sb_precision precision) {
  return precision == SB_INT8                           ? sizeof(int8_t)
         : precision == SB_FP32 || precision == SB_TF32 ? sizeof(float)
                                                        : sizeof(uint16_t);
}

sb_status sb_cublas_failure(cublasStatus_t code, const char *what);

// vectors.c: what the device has for slots, in all, without the memory of those that are filled, `others`
// and what is to be left `beside`; and the seam's most_vectors and put (backend.h).
size_t sb_cuda_slot_bytes(const sb_cuda *c, size_t others, size_t *beside);
void sb_cuda_empty_slots(sb_cuda *c); // gives their memory back
int64_t sb_cuda_most_vectors(const sb_cuda *c, int64_t k, int64_t beside);
sb_status sb_cuda_put(sb_cuda *c, sb_slot slot, const float *vectors, int64_t count, int64_t k,
                      int64_t stride);
// Makes room in a slot for `count` vectors of k elements, of which it has none then.
sb_status sb_cuda_reserve_block(sb_cuda *c, sb_slot slot, int64_t count, int64_t k);
// Rounds `count` vectors of c->k floats, on the device, into a block from its `first` on.
sb_status sb_cuda_round(sb_cuda *c, const float *vectors, sb_device_block *block, int64_t first,
                        int64_t count);
// Says that it is filled.
sb_status sb_cuda_block_filled(sb_cuda *c, sb_slot slot, int64_t count);
sb_status sb_device_block_open(sb_device_block *block);
void sb_device_block_free(sb_device_block *block);

// embed.c: the seam's embed_supports, embed_begin and put_rows.
bool sb_cuda_embed_supports(const sb_recipe *recipe);
sb_status sb_cuda_embed_begin(sb_cuda *c, const sb_recipe *recipe);
sb_status sb_cuda_put_rows(sb_cuda *c, sb_slot slot, const sb_stored_row *rows, int64_t count,
                           bool *well);
void sb_cuda_embed_free(sb_cuda *c);

// products.c: the seam's gemm_nt and gemm_error. sb_cuda_products queues the same, and leaves it in c->sum,
// lines b.count apart, and what was lost in c->lost. Errors: SB_NO_MEMORY, where halves may fit.
sb_status sb_cuda_products(sb_cuda *c, sb_part a, sb_part b);
sb_status sb_cuda_multiply(sb_cuda *c, sb_part a, sb_part b, double *out, int64_t ldc);
double sb_cuda_error(const sb_cuda *c, int64_t k);
void sb_products_free(sb_cuda *c);

// select.c: the seam's select_begin, select_start, select_take and select_end.
sb_status sb_cuda_select_begin(sb_cuda *c, const sb_selection *selection);
sb_status sb_cuda_select_start(sb_cuda *c, sb_part a, sb_part b, const sb_selection_tile *tile);
sb_status sb_cuda_select_take(sb_cuda *c, const sb_selected **items, int64_t *count, bool *more);
sb_status sb_cuda_select_end(sb_cuda *c, uint32_t *histogram, uint32_t *within, double *error);
void sb_cuda_select_free(sb_cuda *c);
// The host's memory for a tile: pinned, and as much again where the engine sorts candidates.
int64_t sb_cuda_selection_bytes(int64_t m, int64_t n);

#endif
