// The CPU backend in int8: vectors rounded to whole numbers with a scale for each chunk (int8.h), oneDNN's
// int8 GEMM of each chunk, and the chunks' products times both scales summed in float64, always in the
// same order: the same bits for any tiles, threads and processor.
//
// A chunk of c products of numbers up to 127 in size is at most 127^2 c, which fits 32 bits up to c =
// 131,072: sums are exact. What is left is what rounding the vectors lost, which is known vector by
// vector (sb_pair_error), and the sum of q chunk products in float64: gamma64(q + 2) times the sum of
// their sizes, itself at most |a'| |b'| <= (w + 1)^2, since nobody loses more than the whole vector.
//
// Processors without VNNI multiply int8 in pairs whose sum is cut off at 16 bits: silently wrong
// with numbers up to 127, right up to 63. So the product is tried when the backend opens.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "core/memory.h"
#include "engine/backend.h"
#include "engine/int8.h"

// A longer chunk takes fewer passes over the result, a shorter one has scales that fit better.
enum { DEFAULT_CHUNK = 16384, MOST_CHUNK = 131072, FEW_LEVELS = 63, ROW_UNIT = 64, PIECE = 1024 };

// Vectors, rounded.
typedef struct rounded {
  int8_t *numbers;  // `stride` of a vector
  float *scales;    // `chunks` of a vector
  int64_t capacity; // bytes
} rounded;

// What a slot was filled with. Probes are rounded when the slot is filled; the gallery, which mostly
// passes once, PIECE vectors at a time on its way into a product.
typedef struct block {
  const float *vectors;
  int64_t count, k, stride;
  double *lost;
  int64_t lost_capacity;
} block;

typedef struct cpu {
  int threads, levels;
  int64_t chunk;
  block slots[SB_SLOTS];
  rounded probes, piece;
  int32_t *product; // one chunk's result, grown when needed
  int64_t product_length;
  double *line; // the gallery's scales of one chunk, likewise
  int64_t line_length;
  char description[160];
} cpu;

static void int8_close(void *context) {
  cpu *c = context;
  if (c == NULL) return;
  for (int s = 0; s < SB_SLOTS; s++) free(c->slots[s].lost);
  free(c->probes.numbers);
  free(c->piece.numbers);
  free(c->product);
  free(c->line);
  free(c);
}

static sb_status multiply(int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t lda,
                          const int8_t *b, int64_t ldb, int32_t *c) {
  const int32_t nothing = 0;
  const dnnl_status_t code =
      dnnl_gemm_s8s8s32('N', 'T', 'F', m, n, k, 1, a, lda, 0, b, ldb, 0, 0, c, n, &nothing);
  if (code == dnnl_success) return sb_ok();
  return sb_error(code == dnnl_out_of_memory ? SB_NO_MEMORY : SB_BACKEND,
                  "oneDNN's int8 product of %lld x %lld x %lld failed (status %d)", (long long)m,
                  (long long)n, (long long)k, (int)code);
}

// Whether products of numbers up to `levels` in size come out right, of all signs, where sums are
// largest.
static bool is_exact(int levels) {
  enum { ROWS = 20, K = 256 };
  static const int signs[4] = {1, -1, 1, -1};
  int8_t a[ROWS * K];
  int32_t c[ROWS * ROWS];
  for (int i = 0; i < ROWS * K; i++) a[i] = (int8_t)(signs[i / K % 4] * levels);
  for (int i = 0; i < K; i += 2) a[i] = (int8_t)-a[i]; // one row of changing signs
  if (multiply(ROWS, ROWS, K, a, K, a, K, c).code != SB_OK) return false;
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < ROWS; j++) {
      int32_t sum = 0;
      for (int l = 0; l < K; l++) sum += (int32_t)a[i * K + l] * a[j * K + l];
      if (c[i * ROWS + j] != sum) return false;
    }
  return true;
}

bool sb_cpu_multiplies_int8(void) {
  return is_exact(SB_INT8_LEVELS);
}

static sb_status int8_open(const sb_backend_options *options, void **context) {
  cpu *c;
  *context = NULL;
  const int levels = is_exact(SB_INT8_LEVELS) ? SB_INT8_LEVELS
                     : is_exact(FEW_LEVELS)   ? FEW_LEVELS
                                              : 0;
  if (levels == 0)
    return sb_error(SB_USAGE, "precision int8: this processor's int8 products are wrong; use fp32");
  sb_status status = SB_NEW_ZERO(&c, 1, "backend");
  if (status.code != SB_OK) return status;
  c->threads = options->threads;
  c->levels = levels;
  c->chunk = options->k_chunk > 0 ? options->k_chunk : DEFAULT_CHUNK;
  if (c->chunk > MOST_CHUNK) c->chunk = MOST_CHUNK;
  const dnnl_version_t *version = dnnl_version();
  snprintf(c->description, sizeof c->description,
           "oneDNN %d.%d.%d, int8 products of numbers up to %d in float64 sums", version->major,
           version->minor, version->patch, levels);
  *context = c;
  return status;
}

static const char *int8_describe(const void *context) {
  return ((const cpu *)context)->description;
}

static int64_t int8_k_chunk(const void *context) {
  return ((const cpu *)context)->chunk;
}

static int64_t round_up(int64_t bytes) {
  return (bytes + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
}

static int64_t chunks_of(const cpu *c, int64_t k) {
  return (k + c->chunk - 1) / c->chunk;
}

// Of one vector: its numbers and its scales.
static int64_t vector_bytes(const cpu *c, int64_t k) {
  return round_up(k) + chunks_of(c, k) * (int64_t)sizeof(float);
}

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// The probes and a piece of the gallery, rounded; the product; and what oneDNN packs its operands into
// (measured: below 8 MiB a thread).
static int64_t int8_workspace_bytes(const void *context, int64_t m, int64_t n, int64_t k) {
  const cpu *c = context;
  return (m + smaller(n, PIECE)) * vector_bytes(c, k) + m * n * (int64_t)sizeof(int32_t) +
         (m + 2 * n) * (int64_t)sizeof(double) + (int64_t)c->threads * (8 << 20);
}

// Rounds vectors of a slot; what they lose is kept with the slot.
static sb_status round_vectors(cpu *c, const block *b, int64_t first, int64_t count, rounded *out) {
  const int64_t bytes = count * vector_bytes(c, b->k), chunks = chunks_of(c, b->k);
  const int64_t stride = round_up(b->k);
  if (bytes > out->capacity) {
    free(out->numbers);
    out->capacity = 0;
    sb_status status = SB_NEW(&out->numbers, bytes, "rounded vectors");
    if (status.code != SB_OK) return status;
    out->capacity = bytes;
    sb_prefer_large_pages(out->numbers, (size_t)bytes);
  }
  out->scales = (float *)(void *)(out->numbers + count * stride);
#pragma omp parallel for num_threads(c->threads) schedule(dynamic)
  for (int64_t i = 0; i < count; i++)
    b->lost[first + i] =
        sb_int8_round(b->k, c->chunk, c->levels, b->vectors + (first + i) * b->stride,
                      out->numbers + i * stride, out->scales + i * chunks);
  return sb_ok();
}

static sb_status int8_put(void *context, sb_slot slot, const float *vectors, int64_t count,
                          int64_t k, int64_t stride) {
  cpu *c = context;
  block *b = &c->slots[slot];
  sb_status status = sb_ok();
  if (count > b->lost_capacity) {
    free(b->lost);
    b->lost_capacity = 0;
    status = SB_NEW(&b->lost, count, "bounds");
    if (status.code != SB_OK) return status;
    b->lost_capacity = count;
  }
  b->vectors = vectors;
  b->count = count;
  b->k = k;
  b->stride = stride;
  return slot == SB_SLOT_PROBES ? round_vectors(c, b, 0, count, &c->probes) : status;
}

// ---- Products -----------------------------------------------------------------------------------

// Adds a chunk's products of m vectors from `a` with n from `b`, times the scales of both, to the sums.
static void add_product(const cpu *c, const float *a, const float *b, int64_t m, int64_t n,
                        int64_t chunks, int64_t chunk, double *sums, int64_t ldc) {
  for (int64_t j = 0; j < n; j++) c->line[j] = (double)b[j * chunks + chunk];
#pragma omp parallel for num_threads(c->threads) schedule(static)
  for (int64_t i = 0; i < m; i++) {
    const double scale = (double)a[i * chunks + chunk];
    const int32_t *product = c->product + i * n;
    double *sum = sums + i * ldc;
    for (int64_t j = 0; j < n; j++)
      sum[j] = (chunk == 0 ? 0 : sum[j]) + scale * c->line[j] * (double)product[j];
  }
}

static sb_status reserve(cpu *c, int64_t m, int64_t n) {
  sb_status status = sb_ok();
  if (m * n > c->product_length) {
    free(c->product);
    c->product_length = 0;
    status = SB_NEW(&c->product, m * n, "a tile of scores");
    if (status.code == SB_OK) c->product_length = m * n;
  }
  if (status.code == SB_OK && n > c->line_length) {
    free(c->line);
    c->line_length = 0;
    status = SB_NEW(&c->line, n, "a tile of scores");
    if (status.code == SB_OK) c->line_length = n;
  }
  return status;
}

// m probes from `first` on with n rounded vectors from `second` on.
static sb_status multiply_rounded(cpu *c, int64_t first, int64_t m, const rounded *b,
                                  int64_t second, int64_t n, int64_t k, double *sums, int64_t ldc) {
  const int64_t chunks = chunks_of(c, k), stride = round_up(k);
  sb_status status = reserve(c, m, n);
  for (int64_t chunk = 0; chunk < chunks && status.code == SB_OK; chunk++) {
    const int64_t at = chunk * c->chunk;
    status = multiply(m, n, smaller(k - at, c->chunk), c->probes.numbers + first * stride + at,
                      stride, b->numbers + second * stride + at, stride, c->product);
    if (status.code == SB_OK)
      add_product(c, c->probes.scales + first * chunks, b->scales + second * chunks, m, n, chunks,
                  chunk, sums, ldc);
  }
  return status;
}

static sb_status int8_gemm_nt(void *context, sb_part a, sb_part b, double *sums, int64_t ldc) {
  cpu *c = context;
  const block *right = &c->slots[b.slot];
  sb_status status = sb_ok();
  // oneDNN takes its number of threads from OpenMP's setting for the calling thread.
  const int threads_before = omp_get_max_threads();
  omp_set_num_threads(c->threads);
  if (b.slot == SB_SLOT_PROBES)
    status =
        multiply_rounded(c, a.first, a.count, &c->probes, b.first, b.count, right->k, sums, ldc);
  else
    for (int64_t at = 0; at < b.count && status.code == SB_OK; at += PIECE) {
      const int64_t count = smaller(PIECE, b.count - at);
      status = round_vectors(c, right, b.first + at, count, &c->piece);
      if (status.code == SB_OK)
        status =
            multiply_rounded(c, a.first, a.count, &c->piece, 0, count, right->k, sums + at, ldc);
    }
  omp_set_num_threads(threads_before);
  return status;
}

static double int8_gemm_error(const void *context, int64_t k) {
  const cpu *c = context;
  const int64_t chunk_count = (k + c->chunk - 1) / c->chunk;
  const double terms = ((double)chunk_count + 2) * 0x1p-53;
  return terms / (1 - terms) * 4.01;
}

static const double *int8_lost(const void *context, sb_slot slot) {
  return ((const cpu *)context)->slots[slot].lost;
}

const sb_backend sb_backend_cpu_int8 = {
    .name = "cpu",
    .open = int8_open,
    .close = int8_close,
    .describe = int8_describe,
    .k_chunk = int8_k_chunk,
    .workspace_bytes = int8_workspace_bytes,
    .put = int8_put,
    .gemm_nt = int8_gemm_nt,
    .gemm_error = int8_gemm_error,
    .lost = int8_lost,
};
