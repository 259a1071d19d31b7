// The CPU backend in int8: vectors rounded to whole numbers with a scale for each chunk (int8.h), packed
// into panels whose products are exact (int8_panel.h); the chunks' products times both scales are summed in
// float64, always in the same order: the same bits for any tiles, threads and processor.
//
// What is left of an error is what rounding can make of two vectors' product, bounded by what is known of each
// (sb_pair_error), and the sum of the chunk products in float64 (sb_int8_sum_error).
//
// The probes are rounded and packed when their slot is filled; the gallery, which mostly passes once, on its
// way into a product: of a batch of vectors one chunk after the other, each multiplied while the next one is
// fetched from memory.
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/memory.h"
#include "core/order.h"
#include "engine/backend.h"
#include "engine/int8.h"
#include "engine/int8_panel.h"

// A longer chunk takes fewer passes over the result; of a shorter one the scales fit better, and more fits
// into the caches.
enum { DEFAULT_CHUNK = 4096, ROWS = SB_PANEL_ROWS, COLUMNS = SB_PANEL_COLUMNS };
// Vectors of a batch for each thread, and at most: all probes are read for it once. Panels that meet at
// once: of the batch as many as stay in a core's cache while those of the probes pass; of the probes so many
// that each thread gets a few such parts.
enum {
  RIGHT_PANELS = 4,
  MOST_LEFT_PANELS = 64,
  PARTS_A_THREAD = 16,
  THREAD_BATCH = RIGHT_PANELS * COLUMNS,
  MOST_BATCH = 1024
};

// What a slot was filled with. Of vectors that are rounded, what they lost so far, and in the end.
typedef struct block {
  const float *vectors;
  int64_t count, k, stride;
  sb_int8_sums *sums;
  sb_lost *lost;
  int64_t lost_capacity;
} block;

// Vectors, rounded and packed: for each chunk from `first` on all panels, of `width` vectors, and the scales and
// (of probes) offsets of each panel's vectors.
typedef struct packed {
  int64_t width, first;
  int8_t *panels;
  float *scales;
  int32_t *offsets;
  int64_t capacity; // bytes of panels
  int64_t count;    // panels of a chunk
} packed;

typedef struct cpu {
  int threads;
  bool fast;
  int64_t chunk;
  block slots[SB_SLOTS];
  packed probes, batch;
  sb_dither dither;
  int8_t *numbers; // for each thread COLUMNS vectors on their way into a panel
  int64_t numbers_capacity;
  char description[100];
} cpu;

static void int8_close(void *context) {
  cpu *c = context;
  if (c == NULL) return;
  for (int s = 0; s < SB_SLOTS; s++) {
    free(c->slots[s].sums);
    free(c->slots[s].lost);
  }
  sb_dither_free(&c->dither);
  free(c->probes.panels);
  free(c->batch.panels);
  free(c->numbers);
  free(c);
}

// Bytes of a vector's numbers of a whole chunk.
static int64_t chunk_bytes(const cpu *c) {
  return sb_quads(c->chunk) * SB_QUAD;
}

static sb_status int8_open(const sb_backend_options *options, void **context) {
  cpu *c;
  *context = NULL;
  sb_status status = SB_NEW_ZERO(&c, 1, "backend");
  if (status.code != SB_OK) return status;
  c->threads = options->threads;
  c->fast = sb_int8_is_fast();
  c->chunk =
      sb_smaller(options->k_chunk > 0 ? options->k_chunk : DEFAULT_CHUNK, SB_INT8_MOST_CHUNK);
  c->probes.width = ROWS;
  c->batch.width = COLUMNS;
  snprintf(c->description, sizeof c->description, "int8 products in float64 sums, %s",
           c->fast ? "AVX-512 VNNI" : "no VNNI");
  *context = c;
  return status;
}

static const char *int8_describe(const void *context) {
  return ((const cpu *)context)->description;
}

static int64_t int8_k_chunk(const void *context) {
  return ((const cpu *)context)->chunk;
}

static int64_t chunks_of(const cpu *c, int64_t k) {
  return (k + c->chunk - 1) / c->chunk;
}

static int64_t panels_of(int64_t count, int64_t width) {
  return (count + width - 1) / width;
}

static int64_t batch_of(const cpu *c, int64_t count) {
  return sb_smaller(sb_smaller((int64_t)c->threads * THREAD_BATCH, MOST_BATCH), count);
}

// Of panels of so many chunks, with their scales and offsets.
static int64_t packed_bytes(const cpu *c, int64_t width, int64_t panels, int64_t chunks) {
  return panels * width * chunks * (chunk_bytes(c) + (int64_t)(sizeof(float) + sizeof(int32_t)));
}

// A thread's vectors on their way into a panel.
static int64_t numbers_bytes(const cpu *c) {
  return COLUMNS * chunk_bytes(c);
}

static int64_t int8_workspace_bytes(const void *context, int64_t m, int64_t n, int64_t k) {
  const cpu *c = context;
  return packed_bytes(c, ROWS, panels_of(m, ROWS), chunks_of(c, k)) +
         packed_bytes(c, COLUMNS, panels_of(batch_of(c, n), COLUMNS), 1) +
         c->threads * numbers_bytes(c) + k * (int64_t)sizeof(float) +
         (m + n) * (int64_t)(sizeof(sb_int8_sums) + sizeof(sb_lost));
}

// ---- Rounding and packing -----------------------------------------------------------------------

static sb_status reserve(int8_t **memory, int64_t *capacity, int64_t bytes) {
  if (bytes <= *capacity) return sb_ok();
  free(*memory);
  *capacity = 0;
  sb_status status = SB_NEW(memory, bytes, "rounded vectors");
  if (status.code == SB_OK) *capacity = bytes;
  return status;
}

static sb_status reserve_packed(cpu *c, packed *p, int64_t count, int64_t chunks) {
  p->count = panels_of(count, p->width);
  const int64_t vectors = p->count * p->width * chunks;
  sb_status status;
  SB_TRY(reserve(&p->panels, &p->capacity, packed_bytes(c, p->width, p->count, chunks)));
  SB_TRY(reserve(&c->numbers, &c->numbers_capacity, c->threads * numbers_bytes(c)));
  p->scales = (float *)(void *)(p->panels + vectors * chunk_bytes(c));
  p->offsets = (int32_t *)(void *)(p->scales + vectors);
cleanup:
  return status;
}

// Where a chunk's part of a panel is: its place among all of them.
static int64_t place_of(const packed *p, int64_t chunk, int64_t panel) {
  return (chunk - p->first) * p->count + panel;
}

// A chunk of `count` vectors, each filled up with zeros; their scales go to the panel's. What is lost is added up
// in the block's `sums`.
static void round_vectors(const cpu *c, const block *b, int64_t first, int64_t count, int64_t chunk,
                          float *scales, int8_t *numbers) {
  const int64_t at = chunk * c->chunk, length = sb_smaller(c->chunk, b->k - at);
  for (int64_t i = 0; i < count; i++, numbers += chunk_bytes(c)) {
    const float *from = b->vectors + (first + i) * b->stride + at;
    sb_int8_round_chunk(length, from, c->dither.values + at, from + b->stride, numbers, scales + i,
                        b->sums + first + i);
    memset(numbers + length, 0, (size_t)(chunk_bytes(c) - length));
  }
}

static void pack_panel(cpu *c, block *b, int64_t first, int64_t count, packed *p, int64_t panel,
                       int64_t chunk) {
  int8_t *numbers = c->numbers + omp_get_thread_num() * numbers_bytes(c);
  const int64_t quads = sb_quads(sb_smaller(c->chunk, b->k - chunk * c->chunk));
  const int64_t vectors = place_of(p, chunk, panel) * p->width;
  int8_t *to = p->panels + vectors * chunk_bytes(c);
  if (chunk == 0) memset(b->sums + first, 0, (size_t)count * sizeof *b->sums);
  round_vectors(c, b, first, count, chunk, p->scales + vectors, numbers);
  if (p->width == ROWS)
    sb_pack_left(count, quads, numbers, chunk_bytes(c), to, p->offsets + vectors);
  else
    sb_pack_right(count, quads, numbers, chunk_bytes(c), (uint8_t *)to);
  if (chunk + 1 < chunks_of(c, b->k)) return;
  for (int64_t i = first; i < first + count; i++) b->lost[i] = sb_int8_lost(b->sums + i, c->chunk);
}

// A chunk of vectors [first, first + count) of a block, whose `lost` is told after the last one.
static void pack(cpu *c, block *b, int64_t first, int64_t count, packed *p, int64_t chunk) {
#pragma omp parallel for num_threads(c->threads) schedule(dynamic)
  for (int64_t panel = 0; panel < p->count; panel++) {
    const int64_t at = panel * p->width;
    pack_panel(c, b, first + at, sb_smaller(p->width, count - at), p, panel, chunk);
  }
}

static sb_status pack_probes(cpu *c, block *b) {
  const int64_t chunks = chunks_of(c, b->k);
  const sb_status status = reserve_packed(c, &c->probes, b->count, chunks);
  for (int64_t chunk = 0; chunk < chunks && status.code == SB_OK; chunk++)
    pack(c, b, 0, b->count, &c->probes, chunk);
  return status;
}

static sb_status int8_put(void *context, sb_slot slot, const float *vectors, int64_t count,
                          int64_t k, int64_t stride) {
  cpu *c = context;
  block *b = &c->slots[slot];
  sb_status status = sb_ok();
  if (count > b->lost_capacity) {
    free(b->sums);
    free(b->lost);
    b->sums = NULL;
    b->lost = NULL;
    b->lost_capacity = 0;
    SB_TRY(SB_NEW(&b->sums, count, "bounds"));
    SB_TRY(SB_NEW(&b->lost, count, "bounds"));
    b->lost_capacity = count;
  }
  SB_TRY(sb_dither_reserve(&c->dither, k));
  b->vectors = vectors;
  b->count = count;
  b->k = k;
  b->stride = stride;
  if (slot == SB_SLOT_PROBES) SB_TRY(pack_probes(c, b));
cleanup:
  return status;
}

// ---- Products -----------------------------------------------------------------------------------

// What is to be multiplied: of a part of the probes and a batch of vectors of a slot, in work as panels, one chunk.
// Meanwhile the chunk that comes next is fetched, of `rows` vectors.
typedef struct product {
  sb_part a, b;
  double *sums;
  int64_t ldc, k, chunk;
  const float *next;
  int64_t rows, stride;
} product;

// Adds the products of a panel of probes with one of the batch, times the scales of both, to the sums.
SB_CLONES static void add_products(int64_t rows, int64_t columns, bool start,
                                   const int32_t *products, const float *scales,
                                   const float *batch_scales, double *sums, int64_t ldc) {
  for (int64_t i = 0; i < rows; i++) {
    const double scale = (double)scales[i];
    const int32_t *line = products + i * COLUMNS;
    double *sum = sums + i * ldc;
    for (int64_t j = 0; j < columns; j++)
      sum[j] = (start ? 0 : sum[j]) + scale * (double)batch_scales[j] * (double)line[j];
  }
}

// What the product of two panels is to fetch: another vector's chunk for each, until there are no more.
static const float *to_fetch(const cpu *c, const product *p, int64_t panel, int64_t other) {
  const int64_t row = (panel - p->a.first / ROWS) * c->batch.count + other;
  return row < p->rows ? p->next + row * p->stride : NULL;
}

// One chunk of a panel of probes with a panel of the batch.
static void multiply_panel(const cpu *c, const product *p, int64_t panel, int64_t other) {
  _Alignas(64) int32_t products[ROWS * COLUMNS];
  const int64_t quads = sb_quads(sb_smaller(c->chunk, p->k - p->chunk * c->chunk));
  const int64_t column = other * COLUMNS, columns = sb_smaller(COLUMNS, p->b.count - column);
  const int64_t left = place_of(&c->probes, p->chunk, panel) * ROWS;
  const int64_t right = place_of(&c->batch, p->chunk, other) * COLUMNS;
  // Rows of the panel that the part of the probes has, and where they go.
  const int64_t skipped = panel * ROWS < p->a.first ? p->a.first - panel * ROWS : 0;
  const int64_t row = panel * ROWS + skipped - p->a.first;
  const int64_t rows = sb_smaller(ROWS - skipped, p->a.count - row);
  double *sums = p->sums + row * p->ldc + column;
  for (int64_t i = 0; i < rows; i++) // these come while the product is computed
    for (int64_t j = 0; j < columns; j += 8) __builtin_prefetch(sums + i * p->ldc + j, 1);
  sb_multiply_panels(quads, c->fast, c->probes.panels + left * chunk_bytes(c),
                     c->probes.offsets + left,
                     (const uint8_t *)c->batch.panels + right * chunk_bytes(c),
                     to_fetch(c, p, panel, other), products);
  add_products(rows, columns, p->chunk == 0, products + skipped * COLUMNS,
               c->probes.scales + left + skipped, c->batch.scales + right, sums, p->ldc);
}

// A chunk of the batch with all probes. Of probes with themselves those after the batch's last are left out.
static void multiply_chunk(const cpu *c, const product *p) {
  int64_t last = p->a.first + p->a.count;
  if (p->a.slot == p->b.slot) last = sb_smaller(last, p->b.first + p->b.count);
  const int64_t first = p->a.first / ROWS, across = panels_of(c->batch.count, RIGHT_PANELS);
  const int64_t panels = panels_of(last, ROWS) - first;
  if (panels <= 0) return; // the batch comes before all of them
  const int64_t share = panels_of(panels * across, c->threads * PARTS_A_THREAD);
  const int64_t together = sb_smaller(share, MOST_LEFT_PANELS), down = panels_of(panels, together);
#pragma omp parallel for num_threads(c->threads) schedule(dynamic)
  for (int64_t task = 0; task < down * across; task++) {
    const int64_t left = first + task / across * together;
    const int64_t right = task % across * RIGHT_PANELS;
    for (int64_t panel = left; panel < left + together && panel * ROWS < last; panel++)
      for (int64_t other = right; other < sb_smaller(right + RIGHT_PANELS, c->batch.count); other++)
        multiply_panel(c, p, panel, other);
  }
}

// A batch with all probes; `left` vectors come after it.
static void multiply_batch(cpu *c, product *p, int64_t left) {
  block *b = &c->slots[p->b.slot];
  const int64_t chunks = chunks_of(c, p->k);
  for (p->chunk = 0; p->chunk < chunks; p->chunk++) {
    c->batch.first = p->chunk;
    pack(c, b, p->b.first, p->b.count, &c->batch, p->chunk);
    const bool ends = p->chunk + 1 == chunks; // then the next batch's first chunk comes
    p->next = b->vectors + (p->b.first + (ends ? p->b.count : 0)) * b->stride +
              (ends ? 0 : (p->chunk + 1) * c->chunk);
    p->rows = ends ? sb_smaller(left, p->b.count) : p->b.count;
    multiply_chunk(c, p);
  }
}

static sb_status int8_gemm_nt(void *context, sb_part a, sb_part b, double *sums, int64_t ldc) {
  cpu *c = context;
  const block *right = &c->slots[b.slot];
  sb_status status = sb_ok();
  for (int64_t at = 0, count; at < b.count && status.code == SB_OK; at += count) {
    count = batch_of(c, b.count - at);
    product p = {.a = a,
                 .b = {b.slot, b.first + at, count},
                 .sums = sums + at,
                 .ldc = ldc,
                 .k = right->k,
                 .stride = right->stride};
    status = reserve_packed(c, &c->batch, count, 1);
    if (status.code == SB_OK) multiply_batch(c, &p, b.count - at - count);
  }
  return status;
}

static double int8_gemm_error(const void *context, int64_t k) {
  const cpu *c = context;
  return sb_int8_sum_error(chunks_of(c, k));
}

static const sb_lost *int8_lost(const void *context, sb_slot slot) {
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
    .skips_below_diagonal = true,
    .gemm_error = int8_gemm_error,
    .lost = int8_lost,
    .coarse = true,
};
