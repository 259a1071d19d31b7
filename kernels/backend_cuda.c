// The CUDA backend: a module that the program opens at run time. How it computes is in its parts
// (cuda.h).
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "cuda.h"

enum {
  FP32_CHUNK = 2048,       // for a bound of 1.2e-4
  MATRIX_UNIT_CHUNK = 8192 // few enough passes over the result that they do not count
};
static const size_t WORKSPACE_BYTES = 32 << 20;
static const int LEAST_MAJOR = 7, LEAST_MINOR = 5;

sb_status sb_cublas_failure(cublasStatus_t code, const char *what) {
  if (code == CUBLAS_STATUS_SUCCESS) return sb_ok();
  return sb_error(code == CUBLAS_STATUS_ALLOC_FAILED ? SB_NO_MEMORY : SB_BACKEND,
                  "the GPU failed: %s: cuBLASLt status %d", what, (int)code);
}

// ---- Opening ------------------------------------------------------------------------------------

static void cuda_close(void *context) {
  sb_cuda *c = context;
  if (c == NULL) return;
  if (c->stream != NULL) cudaStreamSynchronize(c->stream);
  if (c->preparing != NULL) cudaStreamSynchronize(c->preparing);
  sb_pairs_close(c->pairs);
  sb_cuda_embed_free(c);
  sb_cuda_select_free(c);
  sb_staging_close(&c->staging);
  for (int s = 0; s < SB_SLOTS; s++) sb_device_block_free(&c->slots[s]);
  sb_device_block_free(&c->spare);
  sb_buffer_free(&c->dither);
  sb_buffer_free(&c->squares);
  sb_buffer_free(&c->parts);
  sb_buffer_free(&c->sum);
  sb_buffer_free(&c->lost);
  sb_buffer_free(&c->workspace);
  sb_products_free(c);
  if (c->handle != NULL) cublasLtDestroy(c->handle);
  if (c->preparing != NULL) cudaStreamDestroy(c->preparing);
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

static sb_status choose_device(sb_cuda *c) {
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
           "products in float64 sums of %s chunks",
           device.name, number + 1, count, device.major, device.minor, device.totalGlobalMem >> 20,
           runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10,
           cublasLtGetVersion(), sb_precision_name(c->precision),
           c->precision == SB_INT8 ? "exact" : "float32");
  return sb_ok();
}

static sb_status cuda_open(const sb_backend_options *options, void **context) {
  sb_cuda *c = NULL;
  *context = NULL;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&c, 1, "backend"));
  c->precision = options->precision;
  c->threads = options->threads;
  c->timed = options->timed;
  c->most_chunk = options->k_chunk > 0      ? options->k_chunk
                  : c->precision == SB_FP32 ? FP32_CHUNK
                                            : MATRIX_UNIT_CHUNK;
  if (c->precision == SB_INT8 && c->most_chunk > SB_INT8_MOST_CHUNK)
    c->most_chunk = SB_INT8_MOST_CHUNK;
  SB_TRY(choose_device(c));
  SB_TRY(sb_cuda_failure(cudaStreamCreate(&c->stream), "making a stream"));
  SB_TRY(sb_cuda_failure(cudaStreamCreate(&c->preparing), "making a stream"));
  SB_TRY(sb_staging_open(&c->staging, c->preparing));
  for (int s = 0; s < SB_SLOTS; s++) SB_TRY(sb_device_block_open(&c->slots[s]));
  SB_TRY(sb_device_block_open(&c->spare));
  SB_TRY(sb_cublas_failure(cublasLtCreate(&c->handle), "starting cuBLASLt"));
  SB_TRY(sb_buffer_reserve(&c->workspace, WORKSPACE_BYTES, "workspace"));
  *context = c;
  c = NULL;
cleanup:
  cuda_close(c);
  return status;
}

static const char *cuda_describe(const void *context) {
  return ((const sb_cuda *)context)->description;
}

static int64_t cuda_k_chunk(const void *context) {
  return ((const sb_cuda *)context)->most_chunk;
}

// Pinned memory for vectors on their way, and for what is selected.
static int64_t cuda_workspace_bytes(const void *context, int64_t m, int64_t n, int64_t k) {
  (void)context;
  const int64_t row = k * (int64_t)sizeof(float), most = (m > n ? m : n) * row;
  const int64_t stage = row > (int64_t)SB_STAGE_BYTES ? row : (int64_t)SB_STAGE_BYTES;
  return SB_STAGES * (most < stage ? most : stage) + sb_cuda_selection_bytes(m, n);
}

// ---- Products -----------------------------------------------------------------------------------

static int64_t cuda_most_vectors(const void *context, int64_t k, int64_t beside) {
  return sb_cuda_most_vectors(context, k, beside);
}

static sb_status cuda_put(void *context, sb_slot slot, const float *vectors, int64_t count,
                          int64_t k, int64_t stride) {
  return sb_cuda_put(context, slot, vectors, count, k, stride);
}

static sb_status cuda_embed_begin(void *context, const sb_recipe *recipe) {
  return sb_cuda_embed_begin(context, recipe);
}

static sb_status cuda_put_rows(void *context, sb_slot slot, const sb_stored_row *rows,
                               int64_t count, bool *well) {
  return sb_cuda_put_rows(context, slot, rows, count, well);
}

static sb_status cuda_gemm_nt(void *context, sb_part a, sb_part b, double *out, int64_t ldc) {
  return sb_cuda_multiply(context, a, b, out, ldc);
}

static sb_status cuda_select_begin(void *context, const sb_selection *selection) {
  return sb_cuda_select_begin(context, selection);
}

static sb_status cuda_select_start(void *context, sb_part a, sb_part b,
                                   const sb_selection_tile *tile) {
  return sb_cuda_select_start(context, a, b, tile);
}

static sb_status cuda_select_take(void *context, const sb_selected **items, int64_t *count,
                                  bool *more) {
  return sb_cuda_select_take(context, items, count, more);
}

static sb_status cuda_select_end(void *context, uint32_t *histogram, uint32_t *within,
                                 double *error) {
  return sb_cuda_select_end(context, histogram, within, error);
}

static sb_stages cuda_stages(const void *context) {
  return ((const sb_cuda *)context)->stages;
}

static double cuda_gemm_error(const void *context, int64_t k) {
  return sb_cuda_error(context, k);
}

static const sb_lost *cuda_lost(const void *context, sb_slot slot) {
  const sb_cuda *c = context;
  return c->precision == SB_INT8 ? c->slots[slot].lost_here.data : NULL;
}

// ---- The pair family ----------------------------------------------------------------------------

static sb_status cuda_pair_begin(void *context, const sb_form *form) {
  sb_cuda *c = context;
  size_t beside;
  sb_pairs_close(c->pairs);
  c->pairs = NULL;
  sb_cuda_empty_slots(c);
  sb_cuda_slot_bytes(c, 0, &beside);
  // Half of it: what all pairs share takes some, too.
  const sb_pair_memory memory = {c->stream, c->slots, &c->parts, &c->sum, beside / 2};
  return sb_pairs_open(&memory, form, &c->pairs);
}

static int64_t cuda_most_embeddings(const void *context, const sb_form *form) {
  size_t beside;
  return (int64_t)(sb_cuda_slot_bytes(context, 0, &beside) / ((size_t)form->size * sizeof(float)));
}

static sb_status cuda_pair_put(void *context, sb_slot slot, const float *embeddings,
                               int64_t count) {
  return sb_pairs_put(((sb_cuda *)context)->pairs, slot, embeddings, count);
}

static sb_status cuda_pair_tile(void *context, sb_part a, sb_part b, double *out, int64_t ldc) {
  return sb_pairs_tile(((sb_cuda *)context)->pairs, a, b, out, ldc);
}

static const sb_backend BACKEND = {
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .k_chunk = cuda_k_chunk,
    .workspace_bytes = cuda_workspace_bytes,
    .most_vectors = cuda_most_vectors,
    .put = cuda_put,
    .embed_supports = sb_cuda_embed_supports,
    .embed_begin = cuda_embed_begin,
    .put_rows = cuda_put_rows,
    .gemm_nt = cuda_gemm_nt,
    .select_begin = cuda_select_begin,
    .select_start = cuda_select_start,
    .select_take = cuda_select_take,
    .select_end = cuda_select_end,
    .stages = cuda_stages,
    .gemm_error = cuda_gemm_error,
    .lost = cuda_lost,
    .pair_supports = sb_pairs_support,
    .pair_error = sb_pairs_error,
    .most_embeddings = cuda_most_embeddings,
    .pair_begin = cuda_pair_begin,
    .pair_put = cuda_pair_put,
    .pair_tile = cuda_pair_tile,
};

__attribute__((visibility("default"))) const sb_backend *sb_module_backend(int version);
const sb_backend *sb_module_backend(int version) {
  return version == SB_MODULE_VERSION ? &BACKEND : NULL;
}
