// Vectors to the device, and their rounding there: to float16, say, or to int8 by the numbers that the CPU's backend takes
// (engine/int8.h), so that numbers and scales are the same.
#include <stdlib.h>
#include <string.h>

#include "box.h"
#include "core/memory.h"
#include "cuda.h"
#include "engine/int8.h"
#include "kernels.h"

// Left to what is not in slots: the products of a tile, its scores, and vectors on their way; what lies
// between the kernels of pairs. At most this, and a quarter of what there is.
static const size_t BESIDE_BYTES = (size_t)1 << 30;

sb_status sb_device_block_open(sb_device_block *block) {
  cudaError_t code = cudaEventCreateWithFlags(&block->filled, cudaEventDisableTiming);
  if (code == cudaSuccess) code = cudaEventCreateWithFlags(&block->used, cudaEventDisableTiming);
  return sb_cuda_failure(code, "making an event");
}

void sb_device_block_free(sb_device_block *block) {
  if (block->filled != NULL) cudaEventDestroy(block->filled);
  if (block->used != NULL) cudaEventDestroy(block->used);
  sb_buffer_free(&block->elements);
  sb_buffer_free(&block->scales);
  sb_buffer_free(&block->lost);
  sb_pinned_free(&block->lost_here);
  memset(block, 0, sizeof *block);
}

// Equal chunks, as few as can be, each a multiple of 16 bytes in any precision.
static void choose_chunks(const sb_cuda *c, int64_t k, int64_t *chunk, int64_t *chunks) {
  enum { UNIT = 16 };
  *chunks = (k + c->most_chunk - 1) / c->most_chunk;
  *chunk = ((k + *chunks - 1) / *chunks + UNIT - 1) / UNIT * UNIT;
  *chunks = (k + *chunk - 1) / *chunk; // short chunks, rounded up, may be fewer
}

static size_t vector_bytes(const sb_cuda *c, int64_t chunk, int64_t chunks) {
  return (size_t)(chunk * chunks) * sb_element_bytes(c->precision) +
         (c->precision == SB_INT8 ? (size_t)chunks * sizeof(float) + sizeof(sb_lost) : 0);
}

static size_t block_bytes(const sb_device_block *b) {
  return b->elements.bytes + b->scales.bytes + b->lost.bytes;
}

size_t sb_cuda_slot_bytes(const sb_cuda *c, size_t others, size_t *beside) {
  size_t available, total;
  if (cudaMemGetInfo(&available, &total) != cudaSuccess) available = SIZE_MAX / 2;
  available += block_bytes(&c->spare);
  for (int s = 0; s < SB_SLOTS; s++) available += block_bytes(&c->slots[s]);
  available -= others < available ? others : available;
  *beside = available / 4 < BESIDE_BYTES ? available / 4 : BESIDE_BYTES;
  return available - *beside;
}

void sb_cuda_empty_slots(sb_cuda *c) {
  sb_device_block *const blocks[] = {&c->slots[SB_SLOT_PROBES], &c->slots[SB_SLOT_GALLERY],
                                     &c->spare};
  for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
    sb_buffer_free(&blocks[b]->elements);
    sb_buffer_free(&blocks[b]->scales);
    sb_buffer_free(&blocks[b]->lost);
    blocks[b]->count = 0;
    blocks[b]->busy = false;
  }
}

int64_t sb_cuda_most_vectors(const sb_cuda *c, int64_t k, int64_t others) {
  enum { BLOCKS = SB_SLOTS + 1 };
  size_t beside, available = sb_cuda_slot_bytes(c, (size_t)others, &beside);
  int64_t chunk, chunks;
  choose_chunks(c, k, &chunk, &chunks);
  return (int64_t)(available / vector_bytes(c, chunk, chunks)) - BLOCKS * (SB_COLUMN_UNIT - 1);
}

sb_status sb_cuda_round(sb_cuda *c, const float *vectors, sb_device_block *b, int64_t first,
                        int64_t count) {
  const int64_t padded = c->chunk * c->chunks;
  char *out = (char *)b->elements.data + (size_t)(first * padded) * sb_element_bytes(c->precision);
  sb_status status;
  if (c->precision != SB_INT8)
    return sb_cuda_failure(sb_kernel_round(vectors, count, c->k, (float)SB_CUDA_SCALE, c->precision,
                                           padded, out, c->preparing),
                           "rounding vectors");
  SB_TRY(sb_buffer_reserve(&c->squares, (size_t)(count * c->chunks) * sizeof(double), "sums"));
  const sb_kernel_int8 rounding = {.in = vectors,
                                   .rows = count,
                                   .k = c->k,
                                   .chunk = c->chunk,
                                   .chunks = c->chunks,
                                   .dither = c->dither.data,
                                   .numbers = (int8_t *)out,
                                   .scales = (float *)b->scales.data + first * c->chunks,
                                   .squares = c->squares.data,
                                   .lost = (sb_lost *)b->lost.data + first,
                                   .stream = c->preparing};
  SB_TRY(sb_cuda_failure(sb_kernel_round_int8(&rounding), "rounding vectors"));
cleanup:
  return status;
}

// Vectors from the host's memory, `stride` floats apart.
static sb_status send_floats(sb_cuda *c, const float *vectors, int64_t stride, sb_device_block *b,
                             int64_t first, int64_t count) {
  const size_t row_bytes = (size_t)c->k * sizeof(float), bytes = (size_t)count * row_bytes;
  sb_stage *stage;
  sb_status status;
  SB_TRY(sb_staging_fill(&c->staging, bytes, &stage));
#pragma omp parallel for num_threads(c->threads)
  for (int64_t i = 0; i < count; i++)
    memcpy((char *)stage->host.data + (size_t)i * row_bytes, vectors + (first + i) * stride,
           row_bytes);
  SB_TRY(sb_staging_send(&c->staging, stage, bytes));
  SB_TRY(sb_cuda_round(c, stage->device.data, b, first, count));
  SB_TRY(sb_staging_used(&c->staging, stage));
cleanup:
  return status;
}

// The random numbers that int8 is rounded by, to the device.
static sb_status reserve_dither(sb_cuda *c, int64_t k) {
  sb_dither dither = {0};
  sb_status status = sb_ok();
  if (k <= c->dither_count) return status;
  c->dither_count = 0;
  SB_TRY(sb_dither_reserve(&dither, k));
  SB_TRY(sb_upload(&c->dither, dither.values, k, sizeof(float), c->preparing));
  c->dither_count = k;
cleanup:
  sb_dither_free(&dither);
  return status;
}

// Room for what int8 has beside its numbers.
static sb_status reserve_int8(sb_cuda *c, sb_device_block *b, int64_t count, int64_t k) {
  const size_t lost = (size_t)count * sizeof(sb_lost);
  sb_status status;
  SB_TRY(reserve_dither(c, k));
  SB_TRY(sb_buffer_reserve(&b->scales, (size_t)(count * c->chunks) * sizeof(float), "scales"));
  SB_TRY(sb_buffer_reserve(&b->lost, lost, "bounds"));
  SB_TRY(sb_pinned_reserve(&b->lost_here, lost, "bounds"));
cleanup:
  return status;
}

sb_status sb_cuda_reserve_block(sb_cuda *c, sb_slot slot, int64_t count, int64_t k) {
  sb_device_block *b = &c->slots[slot];
  if (slot == SB_SLOT_GALLERY && b->busy) {
    const sb_device_block busy = *b;
    *b = c->spare;
    c->spare = busy;
  }
  b->count = 0;
  c->k = k;
  choose_chunks(c, k, &c->chunk, &c->chunks);
  const size_t row_bytes = (size_t)(c->chunk * c->chunks) * sb_element_bytes(c->precision);
  const int64_t rows = count + SB_COLUMN_UNIT - 1;
  sb_status status;
  SB_TRY(sb_buffer_reserve(&b->elements, (size_t)rows * row_bytes, "vectors"));
  SB_TRY(sb_cuda_failure(cudaStreamWaitEvent(c->preparing, b->used, 0), "waiting for a product"));
  SB_TRY(sb_cuda_failure(cudaMemsetAsync((char *)b->elements.data + (size_t)count * row_bytes, 0,
                                         (size_t)(rows - count) * row_bytes, c->preparing),
                         "padding a block"));
  if (c->precision == SB_INT8) SB_TRY(reserve_int8(c, b, count, k));
cleanup:
  return status;
}

sb_status sb_cuda_block_filled(sb_cuda *c, sb_slot slot, int64_t count) {
  sb_device_block *b = &c->slots[slot];
  sb_status status = sb_ok();
  b->count = count;
  if (c->precision == SB_INT8)
    SB_TRY(sb_cuda_failure(cudaMemcpyAsync(b->lost_here.data, b->lost.data,
                                           (size_t)count * sizeof(sb_lost), cudaMemcpyDeviceToHost,
                                           c->preparing),
                           "copying bounds"));
  SB_TRY(sb_cuda_failure(cudaEventRecord(b->filled, c->preparing), "marking what was filled"));
cleanup:
  return status;
}

sb_status sb_cuda_put(sb_cuda *c, sb_slot slot, const float *vectors, int64_t count, int64_t k,
                      int64_t stride) {
  sb_device_block *b = &c->slots[slot];
  sb_status status;
  SB_TRY(sb_cuda_reserve_block(c, slot, count, k));
  const int64_t at_once = sb_staging_items((size_t)k * sizeof(float), count);
  for (int64_t at = 0; at < count; at += at_once)
    SB_TRY(send_floats(c, vectors, stride, b, at, count - at < at_once ? count - at : at_once));
  SB_TRY(sb_cuda_block_filled(c, slot, count));
cleanup:
  return status;
}
