// Products of vectors by cuBLASLt: chunks of k are the batch, and the chunks' products are added up in
// float64.
//
// Row-major c = a b^T is, to cuBLASLt's column-major eyes, c^T = b a^T: the first operand is b,
// k x n and transposed, the second a, k x m. Chunk q of both lies q * chunk elements further on;
// vectors are padded with zeros so that all chunks are as long. Columns of c, vectors of b, are
// rounded up (sb_columns).
//
// Error of one element, for vectors of norm at most w = 1 + 2^-23, scaled by a power of two:
//   - rounding both operands, each element by at most the precision's unit u: (2 u + u^2) w^2, and
//     for fp16, whose smallest step is 2^-24, elements below 2^-14 by at most 2^-25 each, which for
//     vectors scaled by s is at most 2 (sqrt(k) / s) 2^-25 w;
//   - a chunk of c products summed in float32: gamma(c) w^2 as on the CPU, with unit 2^-24 for fp32.
//     Matrix units add blocks of products, truncating: their sums are taken to err by up to 2^-22
//     an element instead, four times what a rounded sum would (Fasi, Higham, Mikaitis and Pranesh
//     2021, PeerJ CS 7:e330). A block of b is cut off f bits below its largest addend, and its sum to
//     float32: (b + 1) 2^-f + 2^-23 for b elements, f = 23 and b = 4 on the first of them, 25 and 16
//     on Hopper (Xie, Wang, Yang and Yang 2025, arXiv:2511.10909);
//   - chunk results added in float64, as on the CPU.
// Of int8, sums of a chunk are exact in 32 bits. What is left is what rounding can make of two vectors' product
// (sb_pair_error), and the sum of the chunk products in float64 (sb_int8_sum_error).
#include <math.h>
#include <string.h>
#include <time.h>

#include "core/memory.h"
#include "cuda.h"
#include "kernels.h"

static const size_t PARTS_BYTES = 512 << 20; // of chunk results in work at once
enum { MOST_BATCH = 32 };                    // chunks at once: enough to fill a GPU

static void product_free(sb_product *p) {
  if (p->operation != NULL) cublasLtMatmulDescDestroy(p->operation);
  if (p->a != NULL) cublasLtMatrixLayoutDestroy(p->a);
  if (p->b != NULL) cublasLtMatrixLayoutDestroy(p->b);
  if (p->c != NULL) cublasLtMatrixLayoutDestroy(p->c);
  if (p->preference != NULL) cublasLtMatmulPreferenceDestroy(p->preference);
  memset(p, 0, sizeof *p);
}

void sb_products_free(sb_cuda *c) {
  for (int p = 0; p < SB_PRODUCTS; p++) product_free(&c->products[p]);
}

static sb_status make_layout(cublasLtMatrixLayout_t *layout, cudaDataType_t type, int64_t rows,
                             int64_t columns, int64_t leading, int batch, int64_t batch_stride) {
  sb_status status;
  const int32_t count = batch;
  SB_TRY(sb_cublas_failure(
      cublasLtMatrixLayoutCreate(layout, type, (uint64_t)rows, (uint64_t)columns, leading),
      "describing a matrix"));
  SB_TRY(sb_cublas_failure(cublasLtMatrixLayoutSetAttribute(
                               *layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
                           "describing a batch"));
  SB_TRY(sb_cublas_failure(
      cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                       &batch_stride, sizeof batch_stride),
      "describing a batch"));
cleanup:
  return status;
}

static cudaDataType_t data_type(sb_precision precision) {
  return precision == SB_INT8   ? CUDA_R_8I
         : precision == SB_FP16 ? CUDA_R_16F
         : precision == SB_BF16 ? CUDA_R_16BF
                                : CUDA_R_32F;
}

static cublasComputeType_t compute_type(sb_precision precision) {
  return precision == SB_INT8   ? CUBLAS_COMPUTE_32I
         : precision == SB_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                : CUBLAS_COMPUTE_32F;
}

// What algorithms may count on: the workspace, and that chunks begin at multiples of 16 bytes, where
// cuBLASLt would take 256 for granted.
static sb_status make_preference(cublasLtMatmulPreference_t *preference, size_t workspace) {
  static const cublasLtMatmulPreferenceAttributes_t operands[] = {
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
  const uint32_t alignment = 16;
  sb_status status;
  SB_TRY(sb_cublas_failure(cublasLtMatmulPreferenceCreate(preference), "choosing an algorithm"));
  SB_TRY(sb_cublas_failure(
      cublasLtMatmulPreferenceSetAttribute(*preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                           &workspace, sizeof workspace),
      "choosing an algorithm"));
  for (size_t i = 0; i < sizeof operands / sizeof *operands; i++)
    SB_TRY(sb_cublas_failure(cublasLtMatmulPreferenceSetAttribute(*preference, operands[i],
                                                                  &alignment, sizeof alignment),
                             "choosing an algorithm"));
cleanup:
  return status;
}

static sb_status choose_algorithm(sb_cuda *c, sb_product *p) {
  cublasLtMatmulHeuristicResult_t found = {0};
  int count = 0;
  const cublasStatus_t code = cublasLtMatmulAlgoGetHeuristic(
      c->handle, p->operation, p->a, p->b, p->c, p->c, p->preference, 1, &found, &count);
  const bool none =
      code == CUBLAS_STATUS_NOT_SUPPORTED ||
      (code == CUBLAS_STATUS_SUCCESS && (count == 0 || found.state != CUBLAS_STATUS_SUCCESS));
  if (none)
    return sb_error(SB_BACKEND,
                    "the GPU failed: cuBLASLt has no algorithm for %s products of "
                    "%lld x %lld x %lld",
                    sb_precision_name(c->precision), (long long)p->m, (long long)p->n,
                    (long long)c->chunk);
  p->algorithm = found.algo;
  return sb_cublas_failure(code, "choosing an algorithm");
}

// m x n products of `batch` chunks at once.
static sb_status product_create(sb_cuda *c, int64_t m, int64_t n, int batch, sb_product *p) {
  const int64_t padded = c->chunk * c->chunks;
  const cudaDataType_t type = data_type(c->precision);
  const cudaDataType_t sums = c->precision == SB_INT8 ? CUDA_R_32I : CUDA_R_32F;
  const int64_t columns = sb_columns(n);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  sb_status status;
  *p = (sb_product){.m = m, .n = n, .k = c->k, .batch = batch};
  SB_TRY(
      sb_cublas_failure(cublasLtMatmulDescCreate(&p->operation, compute_type(c->precision), sums),
                        "describing a product"));
  SB_TRY(sb_cublas_failure(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                                          &transposed, sizeof transposed),
                           "describing a product"));
  SB_TRY(make_layout(&p->a, type, c->chunk, columns, padded, batch, c->chunk));
  SB_TRY(make_layout(&p->b, type, c->chunk, m, padded, batch, c->chunk));
  SB_TRY(make_layout(&p->c, sums, columns, m, columns, batch, m * columns));
  SB_TRY(make_preference(&p->preference, c->workspace.bytes));
  SB_TRY(choose_algorithm(c, p));
cleanup:
  if (status.code != SB_OK) product_free(p);
  return status;
}

// The product of these sizes, made anew if it is not among the latest.
static sb_status product_of(sb_cuda *c, int64_t m, int64_t n, int batch, sb_product **out) {
  for (int p = 0; p < SB_PRODUCTS; p++) {
    *out = &c->products[p];
    if ((*out)->m == m && (*out)->n == n && (*out)->k == c->k && (*out)->batch == batch)
      return sb_ok();
  }
  *out = &c->products[c->next_product];
  c->next_product = (c->next_product + 1) % SB_PRODUCTS;
  product_free(*out);
  return product_create(c, m, n, batch, *out);
}

// Chunks first..first+batch-1 into c->parts.
static sb_status multiply(sb_cuda *c, sb_part a, sb_part b, int64_t first, int batch) {
  static const float one = 1, zero = 0;
  static const int32_t whole_one = 1, whole_zero = 0;
  const bool int8 = c->precision == SB_INT8;
  const void *alpha = int8 ? (const void *)&whole_one : &one;
  const void *beta = int8 ? (const void *)&whole_zero : &zero;
  const size_t size = sb_element_bytes(c->precision);
  const int64_t padded = c->chunk * c->chunks;
  const char *a_data = (const char *)c->slots[a.slot].elements.data +
                       (size_t)(a.first * padded + first * c->chunk) * size;
  const char *b_data = (const char *)c->slots[b.slot].elements.data +
                       (size_t)(b.first * padded + first * c->chunk) * size;
  sb_product *p;
  sb_status status = product_of(c, a.count, b.count, batch, &p);
  if (status.code != SB_OK) return status;
  return sb_cublas_failure(cublasLtMatmul(c->handle, p->operation, alpha, b_data, p->a, a_data,
                                          p->b, beta, c->parts.data, p->c, c->parts.data, p->c,
                                          &p->algorithm, c->workspace.data, c->workspace.bytes,
                                          c->stream),
                           "multiplying");
}

// Adds the chunks' products to c->sum.
static sb_status add(sb_cuda *c, sb_part a, sb_part b, int64_t first, int batch) {
  const bool last = first + batch == c->chunks;
  const double scale = last ? 1 / (SB_CUDA_SCALE * SB_CUDA_SCALE) : 1;
  const sb_kernel_parts parts = {.parts = c->parts.data,
                                 .rows = a.count,
                                 .columns = b.count,
                                 .stride = sb_columns(b.count),
                                 .number = batch,
                                 .first = first == 0};
  if (c->precision != SB_INT8)
    return sb_cuda_failure(sb_kernel_add_parts(&parts, scale, c->sum.data, c->stream),
                           "adding products");
  const float *a_scales = c->slots[a.slot].scales.data, *b_scales = c->slots[b.slot].scales.data;
  return sb_cuda_failure(sb_kernel_add_int8_parts(&parts, a_scales + a.first * c->chunks + first,
                                                  b_scales + b.first * c->chunks + first, c->chunks,
                                                  c->sum.data, c->stream),
                         "adding products");
}

// Room for the products of `batch` chunks at once, and for their sum.
static sb_status reserve(sb_cuda *c, int64_t m, int64_t n, int *batch) {
  const size_t part_bytes = (size_t)(m * sb_columns(n)) * sizeof(float); // or of int32_t
  int64_t at_once = (int64_t)(PARTS_BYTES / part_bytes);
  if (at_once < 1) at_once = 1;
  if (at_once > MOST_BATCH) at_once = MOST_BATCH;
  if (at_once > c->chunks) at_once = c->chunks;
  *batch = (int)at_once;
  sb_status status = sb_buffer_reserve(&c->parts, (size_t)at_once * part_bytes, "products");
  if (status.code == SB_OK)
    status = sb_buffer_reserve(&c->sum, (size_t)(m * n) * sizeof(double), "scores");
  if (status.code == SB_OK && c->precision == SB_INT8)
    status = sb_buffer_reserve(&c->lost, (size_t)(m + n) * sizeof(sb_lost), "bounds");
  return status;
}

// A tile in two halves, of its longer side.
static sb_status multiply_halves(sb_cuda *c, sb_part a, sb_part b, double *out, int64_t ldc) {
  const bool rows = a.count >= b.count;
  const int64_t half = (rows ? a.count : b.count) / 2;
  sb_part a2 = a, b2 = b;
  if (rows) {
    a.count = half;
    a2.first += half;
    a2.count -= half;
  } else {
    b.count = half;
    b2.first += half;
    b2.count -= half;
  }
  const sb_status status = sb_cuda_multiply(c, a, b, out, ldc);
  return status.code == SB_OK ? sb_cuda_multiply(c, a2, b2, out + (rows ? half * ldc : half), ldc)
                              : status;
}

// Ends a stage of a timed context: adds its seconds, or with NULL starts the first one.
static sb_status lap(sb_cuda *c, double *seconds) {
  struct timespec time;
  if (!c->timed) return sb_ok();
  const sb_status status = sb_cuda_failure(cudaStreamSynchronize(c->stream), "timing");
  clock_gettime(CLOCK_MONOTONIC, &time);
  const double now = (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
  if (seconds != NULL) *seconds += now - c->lap_s;
  c->lap_s = now;
  return status;
}

// What is queued from here on comes after a slot's filling; what fills it again, after what was queued.
static sb_status wait_for(sb_cuda *c, sb_slot slot) {
  return sb_cuda_failure(cudaStreamWaitEvent(c->stream, c->slots[slot].filled, 0),
                         "waiting for vectors");
}
static sb_status mark_used(sb_cuda *c, sb_slot slot) {
  return sb_cuda_failure(cudaEventRecord(c->slots[slot].used, c->stream), "marking what was read");
}

// What was lost of a part's vectors stays with their products: slots are filled again before all who read it have.
static sb_status keep_lost(sb_cuda *c, sb_part part, int64_t at) {
  if (c->precision != SB_INT8) return sb_ok();
  return sb_cuda_failure(
      cudaMemcpyAsync((sb_lost *)c->lost.data + at,
                      (const sb_lost *)c->slots[part.slot].lost.data + part.first,
                      (size_t)part.count * sizeof(sb_lost), cudaMemcpyDeviceToDevice, c->stream),
      "copying bounds");
}

sb_status sb_cuda_products(sb_cuda *c, sb_part a, sb_part b) {
  int at_once;
  sb_status status;
  SB_TRY(reserve(c, a.count, b.count, &at_once));
  SB_TRY(wait_for(c, a.slot));
  SB_TRY(wait_for(c, b.slot));
  SB_TRY(lap(c, NULL));
  for (int64_t at = 0; at < c->chunks; at += at_once) {
    const int batch = (int)(c->chunks - at < at_once ? c->chunks - at : at_once);
    SB_TRY(multiply(c, a, b, at, batch));
    SB_TRY(lap(c, &c->stages.multiply_s));
    SB_TRY(add(c, a, b, at, batch));
    SB_TRY(lap(c, &c->stages.add_s));
  }
  SB_TRY(keep_lost(c, a, 0));
  SB_TRY(keep_lost(c, b, a.count));
  SB_TRY(mark_used(c, a.slot));
  SB_TRY(mark_used(c, b.slot));
cleanup:
  return status;
}

sb_status sb_cuda_multiply(sb_cuda *c, sb_part a, sb_part b, double *out, int64_t ldc) {
  const size_t row_bytes = (size_t)b.count * sizeof(double);
  sb_status status = sb_cuda_products(c, a, b);
  if (status.code == SB_NO_MEMORY && (a.count > 1 || b.count > 1))
    return multiply_halves(c, a, b, out, ldc);
  SB_TRY(status);
  SB_TRY(sb_cuda_failure(cudaMemcpy2DAsync(out, (size_t)ldc * sizeof(double), c->sum.data,
                                           row_bytes, row_bytes, (size_t)a.count,
                                           cudaMemcpyDeviceToHost, c->stream),
                         "copying scores"));
  SB_TRY(sb_cuda_failure(cudaStreamSynchronize(c->stream), "multiplying"));
  SB_TRY(lap(c, &c->stages.copy_s));
cleanup:
  return status;
}

double sb_cuda_error(const sb_cuda *c, int64_t k) {
  const int64_t most_chunks = k / c->most_chunk + 1;
  const double chunk_count = (double)most_chunks;
  if (c->precision == SB_INT8) return sb_int8_sum_error(most_chunks);
  const double u = c->precision == SB_FP32 ? 0 : sb_precision_unit(c->precision);
  const double chunk = (double)(k < c->most_chunk ? k : c->most_chunk) + 16;
  const double adding = chunk * (c->precision == SB_FP32 ? 0x1p-24 : 0x1p-22);
  const double in_chunk = adding / (1 - adding), norms = (1 + 0x1p-23) * (1 + 0x1p-23);
  const double over_chunks = chunk_count * 0x1p-53 / (1 - chunk_count * 0x1p-53) * (1 + in_chunk);
  const double small = c->precision == SB_FP16 ? 2 * sqrt((double)k) / SB_CUDA_SCALE * 0x1p-25 : 0;
  const double rounding = 2 * u + u * u;
  return ((in_chunk + over_chunks) * (1 + rounding) + rounding + 1.001 * small) * norms +
         2 * (double)k * 0x1p-126;
}
