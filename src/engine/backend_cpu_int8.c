// The CPU backend in int8: vectors rounded to whole numbers with a scale for each chunk (int8.h), packed
// into panels whose products are exact (int8_panel.h); the chunks' products times both scales are summed in
// float64, always in the same order: the same bits for any tiles, threads and processor.
//
// What is left of an error is what rounding the vectors lost, which is known vector by vector
// (sb_pair_error), and the sum of q chunk products in float64: gamma64(q + 2) times the sum of their
// sizes, itself at most |a'| |b'| <= (w + 1)^2, since nobody loses more than the whole vector.
//
// The probes are rounded and packed when their slot is filled; the gallery, which mostly passes once, on its
// way into a product: of a batch of vectors one stretch after the other, each multiplied while the next one is
// fetched from memory.
#include <math.h>
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
enum { DEFAULT_CHUNK = 4096, ROWS = SB_PANEL_ROWS, COLUMNS = SB_PANEL_COLUMNS };
// Vectors of a batch for each thread, and at most: all probes are read for it once. Panels that meet at
// once: of the batch as many as stay in a core's cache while those of the probes pass, of the probes enough
// to share the work among threads.
enum {
  RIGHT_PANELS = 4,
  LEFT_PANELS = 64,
  THREAD_BATCH = RIGHT_PANELS * COLUMNS,
  MOST_BATCH = 1024
};

// Chunks of a vector that are rounded one after the other, as they lie in memory, before it is the next vector's
// turn: so many that memory is read in long stretches, so few that a batch's stay in the caches. A product of
// one chunk of two panels fetches as much as one vector's stretch.
enum { STRETCH = SB_FETCHED_BY_QUAD / SB_QUAD };

// Probes whose mean is the common direction; and the least norm of a mean that says anything.
enum { COMMON_PROBES = 128 };
static const double LEAST_COMMON = 0.2;

// What a slot was filled with. Of vectors that are rounded, what they lost so far, and in the end.
typedef struct block {
  const float *vectors;
  int64_t count, k, stride;
  sb_int8_sums *sums;
  sb_lost *lost;
  int64_t lost_capacity;
} block;

// Vectors, rounded and packed: for each chunk from `from` on all panels, of `width` vectors, and the scales and
// (of probes) offsets of each panel's vectors.
typedef struct packed {
  int64_t width, from;
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
  float *common; // direction of the vectors, of the probes' length
  int64_t common_capacity;
  bool has_common;
  int8_t *numbers; // for each thread COLUMNS vectors on their way into a panel
  int64_t numbers_capacity;
  char description[100];
} cpu;

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static void int8_close(void *context) {
  cpu *c = context;
  if (c == NULL) return;
  for (int s = 0; s < SB_SLOTS; s++) {
    free(c->slots[s].sums);
    free(c->slots[s].lost);
  }
  free(c->common);
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
  c->chunk = smaller(options->k_chunk > 0 ? options->k_chunk : DEFAULT_CHUNK, SB_INT8_MOST_CHUNK);
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
  return smaller(smaller((int64_t)c->threads * THREAD_BATCH, MOST_BATCH), count);
}

// Of panels of so many chunks, with their scales and offsets.
static int64_t packed_bytes(const cpu *c, int64_t width, int64_t panels, int64_t chunks) {
  return panels * width * chunks * (chunk_bytes(c) + (int64_t)(sizeof(float) + sizeof(int32_t)));
}

// A thread's vectors on their way into a panel.
static int64_t numbers_bytes(const cpu *c) {
  return COLUMNS * STRETCH * chunk_bytes(c);
}

static int64_t int8_workspace_bytes(const void *context, int64_t m, int64_t n, int64_t k) {
  const cpu *c = context;
  return packed_bytes(c, ROWS, panels_of(m, ROWS), chunks_of(c, k)) +
         packed_bytes(c, COLUMNS, panels_of(batch_of(c, n), COLUMNS), STRETCH) +
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
  return (chunk - p->from) * p->count + panel;
}

// Chunks [from, last) of `count` vectors, each filled up with zeros; their scales go to the panel's. What is
// lost is added up in the block's `sums`.
static void round_stretch(const cpu *c, const block *b, int64_t first, int64_t count, packed *p,
                          int64_t panel, int64_t from, int64_t last, int8_t *numbers) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t chunk = from; chunk < last; chunk++, numbers += chunk_bytes(c)) {
      const float *vector = b->vectors + (first + i) * b->stride;
      const int64_t at = chunk * c->chunk, length = smaller(c->chunk, b->k - at);
      const float *next =
          chunk + 1 < last ? vector + at + length : vector + b->stride + from * c->chunk;
      sb_int8_round_chunk(length, vector + at, c->has_common ? c->common + at : NULL, next, numbers,
                          p->scales + place_of(p, chunk, panel) * p->width + i,
                          b->sums + first + i);
      memset(numbers + length, 0, (size_t)(chunk_bytes(c) - length));
    }
}

static void pack_panel(cpu *c, block *b, int64_t first, int64_t count, packed *p, int64_t panel,
                       int64_t from, int64_t last) {
  int8_t *numbers = c->numbers + omp_get_thread_num() * numbers_bytes(c);
  if (from == 0) memset(b->sums + first, 0, (size_t)count * sizeof *b->sums);
  round_stretch(c, b, first, count, p, panel, from, last, numbers);
  for (int64_t chunk = from; chunk < last; chunk++) {
    const int64_t quads = sb_quads(smaller(c->chunk, b->k - chunk * c->chunk));
    const int64_t vectors = place_of(p, chunk, panel) * p->width;
    const int64_t stride = (last - from) * chunk_bytes(c);
    const int8_t *of_chunk = numbers + (chunk - from) * chunk_bytes(c);
    int8_t *to = p->panels + vectors * chunk_bytes(c);
    if (p->width == ROWS)
      sb_pack_left(count, quads, of_chunk, stride, to, p->offsets + vectors);
    else
      sb_pack_right(count, quads, of_chunk, stride, (uint8_t *)to);
  }
  if (last < chunks_of(c, b->k)) return;
  for (int64_t i = first; i < first + count; i++) b->lost[i] = sb_int8_lost(b->sums + i);
}

// Chunks [from, last) of vectors [first, first + count) of a block, whose `lost` is told after the last.
static void pack(cpu *c, block *b, int64_t first, int64_t count, packed *p, int64_t from,
                 int64_t last) {
#pragma omp parallel for num_threads(c->threads) schedule(dynamic)
  for (int64_t panel = 0; panel < p->count; panel++) {
    const int64_t at = panel * p->width;
    pack_panel(c, b, first + at, smaller(p->width, count - at), p, panel, from, last);
  }
}

// The direction of the mean of some probes: what they have in common, and the gallery with them, cannot
// meet what rounding loses (lost.h).
static sb_status find_common(cpu *c, const block *b) {
  const int64_t some = smaller(b->count, COMMON_PROBES);
  double squares = 0;
  if (b->k > c->common_capacity) {
    free(c->common);
    c->common_capacity = 0;
    sb_status status = SB_NEW(&c->common, b->k, "rounded vectors");
    if (status.code != SB_OK) return status;
    c->common_capacity = b->k;
  }
  memset(c->common, 0, (size_t)b->k * sizeof *c->common);
  for (int64_t i = 0; i < some; i++) {
    const float *vector = b->vectors + i * b->count / some * b->stride;
    for (int64_t v = 0; v < b->k; v++) c->common[v] += vector[v];
  }
  for (int64_t v = 0; v < b->k; v++) squares += (double)c->common[v] * (double)c->common[v];
  const double norm = sqrt(squares), factor = (1 - 0x1p-21) / norm;
  c->has_common = norm > LEAST_COMMON * (double)some;
  for (int64_t v = 0; v < b->k && c->has_common; v++)
    c->common[v] = (float)((double)c->common[v] * factor);
  return sb_ok();
}

static sb_status pack_probes(cpu *c, block *b) {
  const int64_t chunks = chunks_of(c, b->k);
  sb_status status = find_common(c, b);
  if (status.code == SB_OK) status = reserve_packed(c, &c->probes, b->count, chunks);
  if (status.code != SB_OK) return status;
  for (int64_t from = 0, last; from < chunks; from = last) {
    last = smaller(from + STRETCH, chunks);
    pack(c, b, 0, b->count, &c->probes, from, last);
  }
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
  b->vectors = vectors;
  b->count = count;
  b->k = k;
  b->stride = stride;
  if (slot == SB_SLOT_PROBES) SB_TRY(pack_probes(c, b));
cleanup:
  return status;
}

// ---- Products -----------------------------------------------------------------------------------

// What is to be multiplied: a part of the probes with chunks [from, last) of a batch of vectors of a slot, in
// work as panels. Meanwhile the stretch that comes next is fetched, `rows` of `stride`.
typedef struct product {
  sb_part a, b;
  double *sums;
  int64_t ldc, k, from, last;
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

// What the product of two panels is to fetch: another row for each, until there are no more.
static const float *to_fetch(const cpu *c, const product *p, int64_t chunk, int64_t panel,
                             int64_t other) {
  const int64_t lists = (p->last - p->from) * c->batch.count; // of left panels
  const int64_t row =
      (panel - p->a.first / ROWS) * lists + (chunk - p->from) * c->batch.count + other;
  return row < p->rows ? p->next + row * p->stride : NULL;
}

// One chunk of a panel of probes with a panel of the batch.
static void multiply_panel(const cpu *c, const product *p, int64_t chunk, int64_t panel,
                           int64_t other) {
  _Alignas(64) int32_t products[ROWS * COLUMNS];
  const int64_t quads = sb_quads(smaller(c->chunk, p->k - chunk * c->chunk));
  const int64_t column = other * COLUMNS, columns = smaller(COLUMNS, p->b.count - column);
  const int64_t left = place_of(&c->probes, chunk, panel) * ROWS;
  const int64_t right = place_of(&c->batch, chunk, other) * COLUMNS;
  // Rows of the panel that the part of the probes has, and where they go.
  const int64_t skipped = panel * ROWS < p->a.first ? p->a.first - panel * ROWS : 0;
  const int64_t row = panel * ROWS + skipped - p->a.first;
  const int64_t rows = smaller(ROWS - skipped, p->a.count - row);
  double *sums = p->sums + row * p->ldc + column;
  for (int64_t i = 0; i < rows; i++) // these come while the product is computed
    for (int64_t j = 0; j < columns; j += 8) __builtin_prefetch(sums + i * p->ldc + j, 1);
  sb_multiply_panels(quads, c->fast, c->probes.panels + left * chunk_bytes(c),
                     c->probes.offsets + left,
                     (const uint8_t *)c->batch.panels + right * chunk_bytes(c),
                     to_fetch(c, p, chunk, panel, other), products);
  add_products(rows, columns, chunk == 0, products + skipped * COLUMNS,
               c->probes.scales + left + skipped, c->batch.scales + right, sums, p->ldc);
}

// A stretch of the batch with all probes, one chunk after the other, so that the chunk's panels stay near. Of
// probes with themselves those after the batch's last are left out.
static void multiply_stretch(const cpu *c, const product *p) {
  int64_t last = p->a.first + p->a.count;
  if (p->a.slot == p->b.slot) last = smaller(last, p->b.first + p->b.count);
  const int64_t first = p->a.first / ROWS, across = panels_of(c->batch.count, RIGHT_PANELS);
  const int64_t down = panels_of(panels_of(last, ROWS) - first, LEFT_PANELS);
#pragma omp parallel num_threads(c->threads)
  for (int64_t chunk = p->from; chunk < p->last; chunk++)
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < down * across; task++) {
      const int64_t left = first + task / across * LEFT_PANELS;
      const int64_t right = task % across * RIGHT_PANELS;
      for (int64_t panel = left; panel < left + LEFT_PANELS && panel * ROWS < last; panel++)
        for (int64_t other = right; other < smaller(right + RIGHT_PANELS, c->batch.count); other++)
          multiply_panel(c, p, chunk, panel, other);
    }
}

// A batch with all probes; `left` vectors come after it.
static void multiply_batch(cpu *c, product *p, int64_t left) {
  block *b = &c->slots[p->b.slot];
  const int64_t chunks = chunks_of(c, p->k);
  for (p->from = 0; p->from < chunks; p->from = p->last) {
    p->last = smaller(p->from + STRETCH, chunks);
    c->batch.from = p->from;
    pack(c, b, p->b.first, p->b.count, &c->batch, p->from, p->last);
    const bool ends = p->last == chunks; // then the next batch's first stretch comes
    p->next = b->vectors + (p->b.first + (ends ? p->b.count : 0)) * b->stride +
              (ends ? 0 : p->last * c->chunk);
    p->rows = ends ? smaller(left, p->b.count) : p->b.count;
    multiply_stretch(c, p);
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
    status = reserve_packed(c, &c->batch, count, smaller(STRETCH, chunks_of(c, p.k)));
    if (status.code == SB_OK) multiply_batch(c, &p, b.count - at - count);
  }
  return status;
}

static double int8_gemm_error(const void *context, int64_t k) {
  const cpu *c = context;
  const double terms = ((double)chunks_of(c, k) + 2) * 0x1p-53;
  return terms / (1 - terms) * 4.01;
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
};
