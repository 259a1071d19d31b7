// The CPU backend in fp32: oneDNN's float32 GEMM in chunks along k, summed in float64.
//
// Error of one element, for vectors a and b of norm at most w = 1 + 2^-23, u = 2^-24, chunks of c:
//   - within a chunk the library sums c products in float32, in whatever order and with or without
//     fused multiply-adds. Any such sum obeys |computed - exact| <= gamma(c) sum |a_i b_i|, where
//     gamma(c) = c u / (1 - c u) (Higham, Accuracy and Stability of Numerical Algorithms, 3.1);
//   - over all chunks the sums of |a_i b_i| add up to at most |a| |b| <= w^2 (Cauchy-Schwarz), so
//     the float32 part is at most gamma(c) w^2 however many chunks there are;
//   - adding q chunk results in float64 adds at most gamma64(q) times the sum of their magnitudes,
//     itself at most (1 + gamma(c)) w^2;
//   - a product, or a partial sum, that underflows is off by at most 2^-126 even where subnormal
//     numbers are flushed to zero; there are fewer than 2 k of them.
// Smaller chunks give a tighter bound and more passes over the result: with 2,048 the bound is
// 1.2e-4, at 95 to 105 % of the speed of 8,192 (whose bound is 4.9e-4): no slower that we can see.
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <oneapi/dnnl/dnnl.h>

#include "core/memory.h"
#include "engine/backend.h"

enum { DEFAULT_CHUNK = 2048 };

// What a slot was filled with.
typedef struct block {
  const float *vectors;
  int64_t count, k, stride;
} block;

typedef struct cpu {
  int threads;
  int64_t chunk;
  block slots[SB_SLOTS];
  float *product; // one chunk's float32 result, grown when needed
  int64_t product_length;
  char description[120];
} cpu;

static void cpu_close(void *context) {
  cpu *c = context;
  if (c == NULL) return;
  free(c->product);
  free(c);
}

static sb_status cpu_open(const sb_backend_options *options, void **context) {
  cpu *c;
  *context = NULL;
  if (options->precision != SB_FP32)
    return sb_error(SB_USAGE, "precision %s: the cpu backend has int8 and fp32; use these, or auto",
                    sb_precision_name(options->precision));
  sb_status status = SB_NEW_ZERO(&c, 1, "backend");
  if (status.code != SB_OK) return status;
  c->threads = options->threads;
  c->chunk = options->k_chunk > 0 ? options->k_chunk : DEFAULT_CHUNK;
  const dnnl_version_t *version = dnnl_version();
  snprintf(c->description, sizeof c->description,
           "oneDNN %d.%d.%d, float32 products in float64 sums", version->major, version->minor,
           version->patch);
  *context = c;
  return status;
}

static const char *cpu_describe(const void *context) {
  return ((const cpu *)context)->description;
}

static int64_t cpu_k_chunk(const void *context) {
  return ((const cpu *)context)->chunk;
}

// The product, and what oneDNN packs its operands into (measured: below 8 MiB a thread).
static int64_t cpu_workspace_bytes(const void *context, int64_t m, int64_t n, int64_t k) {
  const cpu *c = context;
  (void)k;
  return m * n * (int64_t)sizeof(float) + (int64_t)c->threads * (8 << 20);
}

static sb_status reserve(cpu *c, int64_t length) {
  if (length <= c->product_length) return sb_ok();
  free(c->product);
  c->product_length = 0;
  sb_status status = SB_NEW(&c->product, length, "a tile of scores");
  if (status.code == SB_OK) c->product_length = length;
  return status;
}

static void add_product(const float *product, int64_t m, int64_t n, bool first, double *c,
                        int64_t ldc) {
#pragma omp parallel for schedule(static) if (m * n > 1 << 16)
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      c[i * ldc + j] = (first ? 0 : c[i * ldc + j]) + (double)product[i * n + j];
}

static sb_status cpu_put(void *context, sb_slot slot, const float *vectors, int64_t count,
                         int64_t k, int64_t stride) {
  ((cpu *)context)->slots[slot] = (block){vectors, count, k, stride};
  return sb_ok();
}

static sb_status cpu_gemm_nt(void *context, sb_part a, sb_part b, double *c, int64_t ldc) {
  cpu *self = context;
  const block *left = &self->slots[a.slot], *right = &self->slots[b.slot];
  const float *a_vectors = left->vectors + a.first * left->stride;
  const float *b_vectors = right->vectors + b.first * right->stride;
  const int64_t m = a.count, n = b.count, k = left->k;
  sb_status status = reserve(self, m * n);
  if (status.code != SB_OK) return status;
  // oneDNN takes its number of threads from OpenMP's setting for the calling thread.
  int threads_before = omp_get_max_threads();
  omp_set_num_threads(self->threads);
  for (int64_t at = 0; at < k && status.code == SB_OK; at += self->chunk) {
    int64_t length = k - at < self->chunk ? k - at : self->chunk;
    dnnl_status_t code = dnnl_sgemm('N', 'T', m, n, length, 1, a_vectors + at, left->stride,
                                    b_vectors + at, right->stride, 0, self->product, n);
    if (code != dnnl_success)
      status = sb_error(code == dnnl_out_of_memory ? SB_NO_MEMORY : SB_BACKEND,
                        "oneDNN's matrix product of %lld x %lld x %lld failed (status %d)",
                        (long long)m, (long long)n, (long long)length, (int)code);
    else
      add_product(self->product, m, n, at == 0, c, ldc);
  }
  omp_set_num_threads(threads_before);
  return status;
}

static double cpu_gemm_error(const void *context, int64_t k) {
  const cpu *c = context;
  double chunk = (double)(k < c->chunk ? k : c->chunk);
  const int64_t chunk_count = (k + c->chunk - 1) / c->chunk;
  double chunks = (double)chunk_count;
  double in_chunk = chunk * 0x1p-24 / (1 - chunk * 0x1p-24);
  double over_chunks = chunks * 0x1p-53 / (1 - chunks * 0x1p-53) * (1 + in_chunk);
  double norms = (1 + 0x1p-23) * (1 + 0x1p-23);
  return (in_chunk + over_chunks) * norms + 2 * (double)k * 0x1p-126;
}

const sb_backend sb_backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .k_chunk = cpu_k_chunk,
    .workspace_bytes = cpu_workspace_bytes,
    .put = cpu_put,
    .gemm_nt = cpu_gemm_nt,
    .gemm_error = cpu_gemm_error,
    .int8 = &sb_backend_cpu_int8,
};
