// The CUDA backend: a module that the program opens at run time. Vectors are rounded to the screen's
// precision on the device, multiplied by cuBLASLt, chunks of k being the batch, and the chunks'
// float32 products are added up in float64.
//
// Row-major c = a b^T is, to cuBLASLt's column-major eyes, c^T = b a^T: the first operand is b,
// k x n and transposed, the second a, k x m. Chunk q of both lies q * chunk elements further on;
// vectors are padded with zeros so that all chunks are as long.
//
// Error of one element, for vectors of norm at most w = 1 + 2^-23, scaled by a power of two:
//   - rounding both operands, each element by at most the precision's unit u: (2 u + u^2) w^2, and
//     for fp16, whose smallest step is 2^-24, elements below 2^-14 by at most 2^-25 each, which for
//     vectors scaled by s is at most 2 (sqrt(k) / s) 2^-25 w;
//   - a chunk of c products summed in float32: gamma(c) w^2 as on the CPU, with unit 2^-24 for fp32.
//     Matrix units add blocks of products, truncating: their sums are taken to err by up to 2^-22
//     an element instead, four times what a rounded sum would (Fasi, Higham, Mikaitis and Pranesh
//     2021, PeerJ CS 7:e330);
//   - chunk results added in float64, as on the CPU.
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "core/memory.h"
#include "engine/backend.h"
#include "kernels.h"
#include "pairs.h"

enum {
  FP32_CHUNK = 2048,       // for a bound of 1.2e-4
  MATRIX_UNIT_CHUNK = 8192 // few enough passes over the result that they do not count
};
static const size_t WORKSPACE_BYTES = 32 << 20, STAGING_BYTES = 64 << 20;
static const size_t PARTS_BYTES = 512 << 20; // of chunk results in work at once
enum { MOST_BATCH = 32 };                    // chunks at once: enough to fill a GPU
static const int LEAST_MAJOR = 7, LEAST_MINOR = 5;

// Everything that cuBLASLt wants to know of one product.
typedef struct product {
  int64_t m, n, k, batch;
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t a, b, c; // in its own order: a is the gallery's part
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulAlgo_t algorithm;
} product;

enum { PRODUCTS = 4 }; // kept: whole tiles and the last, whole batches and the last

typedef struct cuda {
  sb_precision precision;
  int64_t most_chunk;
  cudaStream_t stream;
  cublasLtHandle_t handle;
  sb_device_block slots[SB_SLOTS];
  int64_t k, chunk, chunks; // of what is in the slots: chunk * chunks is k, padded
  sb_buffer staging, parts, sum, workspace;
  product products[PRODUCTS]; // the latest shapes; choosing an algorithm takes a while
  int next_product;
  sb_pairs *pairs; // of the pair family; NULL until it is wanted
  char description[600];
} cuda;

static sb_status cublas_failure(cublasStatus_t code, const char *what) {
  if (code == CUBLAS_STATUS_SUCCESS) return sb_ok();
  return sb_error(code == CUBLAS_STATUS_ALLOC_FAILED ? SB_NO_MEMORY : SB_BACKEND,
                  "the GPU failed: %s: cuBLASLt status %d", what, (int)code);
}

// ---- Opening ------------------------------------------------------------------------------------

static void product_free(product *p) {
  if (p->operation != NULL) cublasLtMatmulDescDestroy(p->operation);
  if (p->a != NULL) cublasLtMatrixLayoutDestroy(p->a);
  if (p->b != NULL) cublasLtMatrixLayoutDestroy(p->b);
  if (p->c != NULL) cublasLtMatrixLayoutDestroy(p->c);
  if (p->preference != NULL) cublasLtMatmulPreferenceDestroy(p->preference);
  memset(p, 0, sizeof *p);
}

static void cuda_close(void *context) {
  cuda *c = context;
  if (c == NULL) return;
  sb_pairs_close(c->pairs);
  for (int s = 0; s < SB_SLOTS; s++) sb_buffer_free(&c->slots[s].elements);
  sb_buffer_free(&c->staging);
  sb_buffer_free(&c->parts);
  sb_buffer_free(&c->sum);
  sb_buffer_free(&c->workspace);
  for (int p = 0; p < PRODUCTS; p++) product_free(&c->products[p]);
  if (c->handle != NULL) cublasLtDestroy(c->handle);
  if (c->stream != NULL) cudaStreamDestroy(c->stream);
  free(c);
}

// Processes that a launcher starts on one machine share out its GPUs: each is told its number there.
static int local_rank(void) {
  static const char *const variables[] = {"SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK",
                                          "MPI_LOCALRANKID"};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    const char *rank = getenv(variables[i]);
    if (rank != NULL && atoi(rank) >= 0) return atoi(rank);
  }
  return 0;
}

static sb_status choose_device(cuda *c) {
  int count = 0, driver = 0, runtime = 0, number = 0;
  struct cudaDeviceProp device;
  cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaErrorInsufficientDriver)
    return sb_error(SB_BACKEND,
                    "no GPU: there is no NVIDIA driver, or one older than CUDA %d.%d needs",
                    CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  if (code == cudaErrorNoDevice || (code == cudaSuccess && count == 0))
    return sb_error(SB_BACKEND,
                    "no GPU: the driver finds no device (is CUDA_VISIBLE_DEVICES set?)");
  sb_status status = sb_cuda_failure(code, "asking for devices");
  if (status.code == SB_OK) {
    number = local_rank() % count;
    status = sb_cuda_failure(cudaGetDeviceProperties(&device, number), "asking for a device");
  }
  if (status.code == SB_OK) status = sb_cuda_failure(cudaSetDevice(number), "choosing the device");
  if (status.code != SB_OK) return status;
  if (device.major < LEAST_MAJOR || (device.major == LEAST_MAJOR && device.minor < LEAST_MINOR))
    return sb_error(SB_BACKEND, "the GPU %s has compute capability %d.%d: %d.%d is needed",
                    device.name, device.major, device.minor, LEAST_MAJOR, LEAST_MINOR);
  if (device.major < 8 && (c->precision == SB_TF32 || c->precision == SB_BF16))
    return sb_error(SB_USAGE, "the GPU %s has no %s: use fp16 or fp32", device.name,
                    sb_precision_name(c->precision));
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  snprintf(c->description, sizeof c->description,
           "%s (GPU %d of %d, %d.%d, %zu MiB), CUDA %d.%d, driver for %d.%d, cuBLASLt %zu, %s "
           "products in "
           "float64 sums of float32 chunks",
           device.name, number + 1, count, device.major, device.minor, device.totalGlobalMem >> 20,
           runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10,
           cublasLtGetVersion(), sb_precision_name(c->precision));
  return sb_ok();
}

static sb_status cuda_open(const sb_backend_options *options, void **context) {
  cuda *c = NULL;
  *context = NULL;
  if (options->precision == SB_INT8)
    return sb_error(SB_USAGE, "precision int8: the cuda backend has fp32, tf32, fp16 and bf16");
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&c, 1, "backend"));
  c->precision = options->precision;
  c->most_chunk = options->k_chunk > 0      ? options->k_chunk
                  : c->precision == SB_FP32 ? FP32_CHUNK
                                            : MATRIX_UNIT_CHUNK;
  SB_TRY(choose_device(c));
  SB_TRY(sb_cuda_failure(cudaStreamCreate(&c->stream), "making a stream"));
  SB_TRY(cublas_failure(cublasLtCreate(&c->handle), "starting cuBLASLt"));
  SB_TRY(sb_buffer_reserve(&c->workspace, WORKSPACE_BYTES, "workspace"));
  *context = c;
  c = NULL;
cleanup:
  cuda_close(c);
  return status;
}

static const char *cuda_describe(const void *context) {
  return ((const cuda *)context)->description;
}

static int64_t cuda_k_chunk(const void *context) {
  return ((const cuda *)context)->most_chunk;
}

static int64_t cuda_workspace_bytes(const void *context, int64_t m, int64_t n, int64_t k) {
  (void)context;
  (void)m;
  (void)n;
  (void)k;
  return 0;
}

// ---- Vectors ------------------------------------------------------------------------------------

static size_t element_bytes(sb_precision precision) {
  return precision == SB_FP32 || precision == SB_TF32 ? sizeof(float) : sizeof(uint16_t);
}

// Unit vectors of hundreds of thousands of elements have elements near 2^-9, close to where fp16
// loses digits: all are multiplied by this, a power of two.
static const double SCALE = 256;

// Equal chunks, as few as can be, each a multiple of 16 bytes in any precision.
static void choose_chunks(cuda *c, int64_t k) {
  enum { UNIT = 16 };
  c->k = k;
  c->chunks = (k + c->most_chunk - 1) / c->most_chunk;
  c->chunk = ((k + c->chunks - 1) / c->chunks + UNIT - 1) / UNIT * UNIT;
}

static sb_status cuda_put(void *context, sb_slot slot, const float *vectors, int64_t count,
                          int64_t k, int64_t stride) {
  cuda *c = context;
  sb_device_block *b = &c->slots[slot];
  choose_chunks(c, k);
  const int64_t padded = c->chunk * c->chunks;
  const size_t row_bytes = (size_t)k * sizeof(float),
               stored_bytes = (size_t)padded * element_bytes(c->precision);
  int64_t at_once = (int64_t)(STAGING_BYTES / row_bytes);
  if (at_once < 1) at_once = 1;
  if (at_once > count) at_once = count;
  sb_status status;
  b->count = 0;
  SB_TRY(sb_buffer_reserve(&b->elements, (size_t)count * stored_bytes, "vectors"));
  SB_TRY(sb_buffer_reserve(&c->staging, (size_t)at_once * row_bytes, "vectors on their way"));
  for (int64_t at = 0; at < count; at += at_once) {
    const int64_t rows = count - at < at_once ? count - at : at_once;
    SB_TRY(sb_cuda_failure(cudaMemcpy2DAsync(c->staging.data, row_bytes, vectors + at * stride,
                                             (size_t)stride * sizeof(float), row_bytes,
                                             (size_t)rows, cudaMemcpyHostToDevice, c->stream),
                           "copying vectors"));
    SB_TRY(sb_cuda_failure(
        sb_kernel_round(c->staging.data, k, rows, k, (float)SCALE, c->precision, padded,
                        (char *)b->elements.data + (size_t)at * stored_bytes, c->stream),
        "rounding vectors"));
  }
  SB_TRY(sb_cuda_failure(cudaStreamSynchronize(c->stream), "filling a block"));
  b->count = count;
cleanup:
  return status;
}

// ---- Products -----------------------------------------------------------------------------------

static sb_status make_layout(cublasLtMatrixLayout_t *layout, cudaDataType_t type, int64_t rows,
                             int64_t columns, int64_t leading, int batch, int64_t batch_stride) {
  sb_status status;
  const int32_t count = batch;
  SB_TRY(cublas_failure(
      cublasLtMatrixLayoutCreate(layout, type, (uint64_t)rows, (uint64_t)columns, leading),
      "describing a matrix"));
  SB_TRY(cublas_failure(cublasLtMatrixLayoutSetAttribute(
                            *layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
                        "describing a batch"));
  SB_TRY(cublas_failure(
      cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                       &batch_stride, sizeof batch_stride),
      "describing a batch"));
cleanup:
  return status;
}

static cudaDataType_t data_type(sb_precision precision) {
  return precision == SB_FP16 ? CUDA_R_16F : precision == SB_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

// m x n products of `batch` chunks at once.
static sb_status product_create(cuda *c, int64_t m, int64_t n, int batch, product *p) {
  const int64_t padded = c->chunk * c->chunks;
  const cudaDataType_t type = data_type(c->precision);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  const size_t workspace = c->workspace.bytes;
  cublasLtMatmulHeuristicResult_t found;
  int count = 0;
  sb_status status;
  *p = (product){.m = m, .n = n, .k = c->k, .batch = batch};
  SB_TRY(cublas_failure(
      cublasLtMatmulDescCreate(
          &p->operation,
          c->precision == SB_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
      "describing a product"));
  SB_TRY(cublas_failure(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                                       &transposed, sizeof transposed),
                        "describing a product"));
  SB_TRY(make_layout(&p->a, type, c->chunk, n, padded, batch, c->chunk));
  SB_TRY(make_layout(&p->b, type, c->chunk, m, padded, batch, c->chunk));
  SB_TRY(make_layout(&p->c, CUDA_R_32F, n, m, n, batch, m * n));
  SB_TRY(cublas_failure(cublasLtMatmulPreferenceCreate(&p->preference), "choosing an algorithm"));
  SB_TRY(cublas_failure(
      cublasLtMatmulPreferenceSetAttribute(p->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                           &workspace, sizeof workspace),
      "choosing an algorithm"));
  SB_TRY(cublas_failure(cublasLtMatmulAlgoGetHeuristic(c->handle, p->operation, p->a, p->b, p->c,
                                                       p->c, p->preference, 1, &found, &count),
                        "choosing an algorithm"));
  if (count == 0)
    status =
        sb_error(SB_BACKEND,
                 "the GPU failed: cuBLASLt has no algorithm for %s products of "
                 "%lld x %lld x %lld",
                 sb_precision_name(c->precision), (long long)m, (long long)n, (long long)c->chunk);
  else
    p->algorithm = found.algo;
cleanup:
  if (status.code != SB_OK) product_free(p);
  return status;
}

// The product of these sizes, made anew if it is not among the latest.
static sb_status product_of(cuda *c, int64_t m, int64_t n, int batch, product **out) {
  for (int p = 0; p < PRODUCTS; p++) {
    *out = &c->products[p];
    if ((*out)->m == m && (*out)->n == n && (*out)->k == c->k && (*out)->batch == batch)
      return sb_ok();
  }
  *out = &c->products[c->next_product];
  c->next_product = (c->next_product + 1) % PRODUCTS;
  product_free(*out);
  return product_create(c, m, n, batch, *out);
}

// Chunks first..first+batch-1 into c->parts.
static sb_status multiply(cuda *c, sb_part a, sb_part b, int64_t first, int batch) {
  const float one = 1, zero = 0;
  const size_t size = element_bytes(c->precision);
  const int64_t padded = c->chunk * c->chunks;
  const char *a_data = (const char *)c->slots[a.slot].elements.data +
                       (size_t)(a.first * padded + first * c->chunk) * size;
  const char *b_data = (const char *)c->slots[b.slot].elements.data +
                       (size_t)(b.first * padded + first * c->chunk) * size;
  product *p;
  sb_status status = product_of(c, a.count, b.count, batch, &p);
  if (status.code != SB_OK) return status;
  return cublas_failure(cublasLtMatmul(c->handle, p->operation, &one, b_data, p->a, a_data, p->b,
                                       &zero, c->parts.data, p->c, c->parts.data, p->c,
                                       &p->algorithm, c->workspace.data, c->workspace.bytes,
                                       c->stream),
                        "multiplying");
}

static sb_status cuda_gemm_nt(void *context, sb_part a, sb_part b, double *out, int64_t ldc) {
  cuda *c = context;
  const int64_t m = a.count, n = b.count;
  const size_t part_bytes = (size_t)(m * n) * sizeof(float);
  int64_t at_once = (int64_t)(PARTS_BYTES / part_bytes);
  if (at_once < 1) at_once = 1;
  if (at_once > MOST_BATCH) at_once = MOST_BATCH;
  if (at_once > c->chunks) at_once = c->chunks;
  sb_status status;
  SB_TRY(sb_buffer_reserve(&c->parts, (size_t)at_once * part_bytes, "products"));
  SB_TRY(sb_buffer_reserve(&c->sum, (size_t)(m * n) * sizeof(double), "scores"));
  for (int64_t at = 0; at < c->chunks; at += at_once) {
    const int batch = (int)(c->chunks - at < at_once ? c->chunks - at : at_once);
    const bool last = at + batch == c->chunks;
    SB_TRY(multiply(c, a, b, at, batch));
    SB_TRY(
        sb_cuda_failure(sb_kernel_add_parts(c->parts.data, m * n, batch, at == 0,
                                            last ? 1 / (SCALE * SCALE) : 1, c->sum.data, c->stream),
                        "adding products"));
  }
  SB_TRY(sb_cuda_failure(cudaMemcpy2DAsync(out, (size_t)ldc * sizeof(double), c->sum.data,
                                           (size_t)n * sizeof(double), (size_t)n * sizeof(double),
                                           (size_t)m, cudaMemcpyDeviceToHost, c->stream),
                         "copying scores"));
  SB_TRY(sb_cuda_failure(cudaStreamSynchronize(c->stream), "multiplying"));
cleanup:
  return status;
}

static double cuda_gemm_error(const void *context, int64_t k) {
  const cuda *c = context;
  const double u = c->precision == SB_FP32 ? 0 : sb_precision_unit(c->precision);
  const double chunk = (double)(k < c->most_chunk ? k : c->most_chunk) + 16;
  const double adding = chunk * (c->precision == SB_FP32 ? 0x1p-24 : 0x1p-22);
  const double in_chunk = adding / (1 - adding), norms = (1 + 0x1p-23) * (1 + 0x1p-23);
  const double chunks = (double)(k / c->most_chunk + 1);
  const double over_chunks = chunks * 0x1p-53 / (1 - chunks * 0x1p-53) * (1 + in_chunk);
  const double small = c->precision == SB_FP16 ? 2 * sqrt((double)k) / SCALE * 0x1p-25 : 0;
  const double rounding = 2 * u + u * u;
  return ((in_chunk + over_chunks) * (1 + rounding) + rounding + 1.001 * small) * norms +
         2 * (double)k * 0x1p-126;
}

// ---- The pair family ----------------------------------------------------------------------------

static sb_status cuda_pair_begin(void *context, const sb_form *form) {
  cuda *c = context;
  const sb_pair_memory memory = {c->stream, c->slots, &c->parts, &c->sum};
  sb_pairs_close(c->pairs);
  return sb_pairs_open(&memory, form, &c->pairs);
}

static sb_status cuda_pair_put(void *context, sb_slot slot, const float *embeddings,
                               int64_t count) {
  return sb_pairs_put(((cuda *)context)->pairs, slot, embeddings, count);
}

static sb_status cuda_pair_tile(void *context, sb_part a, sb_part b, double *out, int64_t ldc) {
  return sb_pairs_tile(((cuda *)context)->pairs, a, b, out, ldc);
}

static const sb_backend BACKEND = {
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .k_chunk = cuda_k_chunk,
    .workspace_bytes = cuda_workspace_bytes,
    .put = cuda_put,
    .gemm_nt = cuda_gemm_nt,
    .gemm_error = cuda_gemm_error,
    .pair_supports = sb_pairs_support,
    .pair_error = sb_pairs_error,
    .pair_begin = cuda_pair_begin,
    .pair_put = cuda_pair_put,
    .pair_tile = cuda_pair_tile,
};

__attribute__((visibility("default"))) const sb_backend *sb_module_backend(int version);
const sb_backend *sb_module_backend(int version) {
  return version == SB_MODULE_VERSION ? &BACKEND : NULL;
}
