// The CPU backend in int8: vectors rounded to whole numbers with a scale for each chunk (int8.h), packed
// into panels whose products are exact (int8_panel.h); the chunks' products times both scales are summed in
// float64, always in the same order: the same bits for any tiles, threads and processor.
//
// What is left of an error is what rounding the vectors lost, which is known vector by vector
// (sb_pair_error), and the sum of q chunk products in float64: gamma64(q + 2) times the sum of their
// sizes, itself at most |a'| |b'| <= (w + 1)^2, since nobody loses more than the whole vector.
//
// The probes are rounded and packed when their slot is filled. The gallery, which mostly passes once, is
// rounded on its way into a product, a chunk of BATCH vectors at a time: it comes from memory once, and
// what it is packed into stays in the cache while the probes' panels of that chunk pass.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/memory.h"
#include "engine/backend.h"
#include "engine/int8.h"
#include "engine/int8_panel.h"

// A longer chunk takes fewer passes over the result; of a shorter one the scales fit better, and more fits
// into the caches.
enum { DEFAULT_CHUNK = 4096, ROWS = SB_PANEL_ROWS, COLUMNS = SB_PANEL_COLUMNS, PANELS = 2 };
enum { BATCH = PANELS * COLUMNS };

// What a slot was filled with.
typedef struct block {
  const float *vectors;
  int64_t count, k, stride;
  double *lost;
  int64_t lost_capacity;
} block;

// The probes, rounded and packed: for each chunk all panels, and ROWS scales and offsets of each panel.
typedef struct left {
  int8_t *panels;
  float *scales;
  int32_t *offsets;
  int64_t capacity; // bytes of panels
  int64_t count;    // panels of a chunk
} left;

// A thread's part: PANELS of the gallery, and vectors on their way into a panel.
typedef struct workplace {
  uint8_t *right;
  double scales[BATCH];
  int8_t *numbers;
} workplace;

typedef struct cpu {
  int threads;
  bool fast;
  int64_t chunk;
  block slots[SB_SLOTS];
  left probes;
  workplace *places; // one a thread
  char description[100];
} cpu;

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static void int8_close(void *context) {
  cpu *c = context;
  if (c == NULL) return;
  for (int s = 0; s < SB_SLOTS; s++) free(c->slots[s].lost);
  free(c->probes.panels);
  for (int t = 0; c->places != NULL && t < c->threads; t++) {
    free(c->places[t].right);
    free(c->places[t].numbers);
  }
  free(c->places);
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
  c->chunk = smaller(options->k_chunk > 0 ? options->k_chunk : DEFAULT_CHUNK, SB_INT8_MOST_CHUNK);
  SB_TRY(SB_NEW_ZERO(&c->places, c->threads, "backend"));
  for (int t = 0; t < c->threads; t++) {
    SB_TRY(SB_NEW(&c->places[t].right, BATCH * chunk_bytes(c), "rounded vectors"));
    SB_TRY(SB_NEW(&c->places[t].numbers, COLUMNS * chunk_bytes(c), "rounded vectors"));
  }
  snprintf(c->description, sizeof c->description, "int8 products in float64 sums, %s",
           c->fast ? "AVX-512 VNNI" : "no VNNI");
  *context = c;
cleanup:
  if (status.code != SB_OK) int8_close(c);
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

static int64_t panels_of(int64_t count) {
  return (count + ROWS - 1) / ROWS;
}

// The probes' panels, scales and offsets.
static int64_t left_bytes(const cpu *c, int64_t panels, int64_t k) {
  return panels * ROWS * chunks_of(c, k) *
         (chunk_bytes(c) + (int64_t)(sizeof(float) + sizeof(int32_t)));
}

static int64_t int8_workspace_bytes(const void *context, int64_t m, int64_t n, int64_t k) {
  const cpu *c = context;
  return left_bytes(c, panels_of(m), k) + (m + n) * (int64_t)sizeof(double) +
         c->threads * ((BATCH + COLUMNS) * chunk_bytes(c) + (int64_t)sizeof(workplace));
}

// ---- Rounding and packing -----------------------------------------------------------------------

// Rounds one chunk, of `length` elements from `at` on, of `count` vectors of a block into `numbers`, each
// filled up with zeros; what is lost is added up in the block's `lost`.
static void round_chunk(const cpu *c, block *b, int64_t first, int64_t count, int64_t at,
                        int64_t length, int8_t *numbers, float *scales) {
  for (int64_t i = 0; i < count; i++, numbers += chunk_bytes(c)) {
    const float *chunk = b->vectors + (first + i) * b->stride + at;
    b->lost[first + i] +=
        sb_int8_round_chunk(length, chunk, chunk + b->stride, numbers, scales + i);
    memset(numbers + length, 0, (size_t)(sb_quads(length) * SB_QUAD - length));
  }
}

static sb_status reserve_left(cpu *c, int64_t panels, int64_t k) {
  const int64_t vectors = panels * ROWS * chunks_of(c, k), bytes = left_bytes(c, panels, k);
  if (bytes > c->probes.capacity) {
    free(c->probes.panels);
    c->probes.capacity = 0;
    sb_status status = SB_NEW(&c->probes.panels, bytes, "rounded vectors");
    if (status.code != SB_OK) return status;
    c->probes.capacity = bytes;
    sb_prefer_large_pages(c->probes.panels, (size_t)bytes);
  }
  c->probes.count = panels;
  c->probes.scales = (float *)(void *)(c->probes.panels + vectors * chunk_bytes(c));
  c->probes.offsets = (int32_t *)(void *)(c->probes.scales + vectors);
  return sb_ok();
}

// Where a chunk's part of a panel of probes is: its place among all of them.
static int64_t place_of(const cpu *c, int64_t chunk, int64_t panel) {
  return chunk * c->probes.count + panel;
}

static void pack_probes(cpu *c, int64_t panel, int8_t *numbers) {
  block *b = &c->slots[SB_SLOT_PROBES];
  const int64_t first = panel * ROWS, count = smaller(ROWS, b->count - first);
  for (int64_t chunk = 0; chunk < chunks_of(c, b->k); chunk++) {
    const int64_t at = chunk * c->chunk, length = smaller(c->chunk, b->k - at);
    const int64_t place = place_of(c, chunk, panel);
    round_chunk(c, b, first, count, at, length, numbers, c->probes.scales + place * ROWS);
    sb_pack_left(count, sb_quads(length), numbers, chunk_bytes(c),
                 c->probes.panels + place * ROWS * chunk_bytes(c),
                 c->probes.offsets + place * ROWS);
  }
  for (int64_t i = first; i < first + count; i++) b->lost[i] = sb_int8_lost(b->lost[i]);
}

static sb_status int8_put(void *context, sb_slot slot, const float *vectors, int64_t count,
                          int64_t k, int64_t stride) {
  cpu *c = context;
  block *b = &c->slots[slot];
  sb_status status = sb_ok();
  if (count > b->lost_capacity) {
    free(b->lost);
    b->lost_capacity = 0;
    SB_TRY(SB_NEW(&b->lost, count, "bounds"));
    b->lost_capacity = count;
  }
  b->vectors = vectors;
  b->count = count;
  b->k = k;
  b->stride = stride;
  if (slot != SB_SLOT_PROBES) return status;
  SB_TRY(reserve_left(c, panels_of(count), k));
  memset(b->lost, 0, (size_t)count * sizeof *b->lost);
#pragma omp parallel for num_threads(c->threads) schedule(dynamic)
  for (int64_t panel = 0; panel < c->probes.count; panel++)
    pack_probes(c, panel, c->places[omp_get_thread_num()].numbers);
cleanup:
  return status;
}

// ---- Products -----------------------------------------------------------------------------------

// What is to be multiplied: probes with vectors of a slot.
typedef struct product {
  sb_part a, b;
  double *sums;
  int64_t ldc;
} product;

// Adds the products of a panel of probes with one of the gallery, times the scales of both, to the sums.
SB_CLONES static void add_products(int64_t rows, int64_t columns, bool start,
                                   const int32_t *products, const float *scales,
                                   const double *gallery_scales, double *sums, int64_t ldc) {
  for (int64_t i = 0; i < rows; i++) {
    const double scale = (double)scales[i];
    const int32_t *line = products + i * COLUMNS;
    double *sum = sums + i * ldc;
    for (int64_t j = 0; j < columns; j++)
      sum[j] = (start ? 0 : sum[j]) + scale * gallery_scales[j] * (double)line[j];
  }
}

// One chunk of a panel of probes with a panel of the gallery, whose first vector is `column` of the part.
static void multiply_panel(const cpu *c, const product *p, int64_t chunk, int64_t panel,
                           int64_t column, const uint8_t *right, const double *scales) {
  _Alignas(64) int32_t products[ROWS * COLUMNS];
  const int64_t length = smaller(c->chunk, c->slots[p->b.slot].k - chunk * c->chunk);
  const int64_t place = place_of(c, chunk, panel), columns = smaller(COLUMNS, p->b.count - column);
  // Rows of the panel that the part of the probes has, and where they go.
  const int64_t skipped = panel * ROWS < p->a.first ? p->a.first - panel * ROWS : 0;
  const int64_t row = panel * ROWS + skipped - p->a.first;
  const int64_t rows = smaller(ROWS - skipped, p->a.count - row);
  double *sums = p->sums + row * p->ldc + column;
  for (int64_t i = 0; i < rows; i++) // these come while the product is computed
    for (int64_t j = 0; j < columns; j += 8) __builtin_prefetch(sums + i * p->ldc + j, 1);
  sb_multiply_panels(sb_quads(length), c->fast, c->probes.panels + place * ROWS * chunk_bytes(c),
                     c->probes.offsets + place * ROWS, right, products);
  add_products(rows, columns, chunk == 0, products + skipped * COLUMNS,
               c->probes.scales + place * ROWS + skipped, scales, sums, p->ldc);
}

// One chunk of the part's vectors from `first` on, at most BATCH of them, with all probes.
static void multiply_batch(cpu *c, const product *p, int64_t chunk, int64_t first) {
  workplace *w = &c->places[omp_get_thread_num()];
  block *b = &c->slots[p->b.slot];
  const int64_t at = chunk * c->chunk, length = smaller(c->chunk, b->k - at);
  const int64_t count = smaller(BATCH, p->b.count - first);
  for (int64_t done = 0; done < count; done += COLUMNS) {
    const int64_t columns = smaller(COLUMNS, count - done);
    float scales[COLUMNS];
    round_chunk(c, b, p->b.first + first + done, columns, at, length, w->numbers, scales);
    for (int64_t j = 0; j < columns; j++) w->scales[done + j] = (double)scales[j];
    sb_pack_right(columns, sb_quads(length), w->numbers, chunk_bytes(c),
                  w->right + done * chunk_bytes(c));
  }
  // Of probes with themselves, none after the batch's last.
  int64_t last = p->a.first + p->a.count;
  if (p->a.slot == p->b.slot) last = smaller(last, p->b.first + first + count);
  for (int64_t panel = p->a.first / ROWS; panel * ROWS < last; panel++)
    for (int64_t done = 0; done < count; done += COLUMNS)
      multiply_panel(c, p, chunk, panel, first + done, w->right + done * chunk_bytes(c),
                     w->scales + done);
}

static sb_status int8_gemm_nt(void *context, sb_part a, sb_part b, double *sums, int64_t ldc) {
  cpu *c = context;
  block *right = &c->slots[b.slot];
  double *lost = right->lost + b.first; // of the probes the same again
  const product p = {.a = a, .b = b, .sums = sums, .ldc = ldc};
  memset(lost, 0, (size_t)b.count * sizeof *lost);
#pragma omp parallel num_threads(c->threads)
  for (int64_t chunk = 0; chunk < chunks_of(c, right->k); chunk++)
#pragma omp for schedule(dynamic)
    for (int64_t first = 0; first < b.count; first += BATCH) multiply_batch(c, &p, chunk, first);
  for (int64_t j = 0; j < b.count; j++) lost[j] = sb_int8_lost(lost[j]);
  return sb_ok();
}

static double int8_gemm_error(const void *context, int64_t k) {
  const cpu *c = context;
  const double terms = ((double)chunks_of(c, k) + 2) * 0x1p-53;
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
    .skips_below_diagonal = true,
    .gemm_error = int8_gemm_error,
    .lost = int8_lost,
};
