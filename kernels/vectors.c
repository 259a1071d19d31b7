// Vectors to the device: float32 ones are copied and rounded there; for int8 they are rounded on the
// host, which is what the CPU's backend does to them (engine/int8.h), so that a quarter of the bytes
// crosses the bus and both backends have the same numbers, scales and bounds. The host needs the floats
// in any case: a coarse screen is settled tile by tile (engine/tile.h).
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
  free(block->lost);
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
         (c->precision == SB_INT8 ? (size_t)chunks * sizeof(float) : 0);
}

size_t sb_cuda_slot_bytes(const sb_cuda *c, size_t others, size_t *beside) {
  size_t available, total;
  if (cudaMemGetInfo(&available, &total) != cudaSuccess) available = SIZE_MAX / 2;
  available += c->spare.elements.bytes;
  for (int s = 0; s < SB_SLOTS; s++)
    available += c->slots[s].elements.bytes + c->slots[s].scales.bytes;
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

// Where vectors are on their way.
typedef struct source {
  const float *vectors;
  int64_t k, stride;
} source;

static sb_status send_floats(sb_cuda *c, const source *from, sb_device_block *b, int64_t first,
                             int64_t count) {
  const size_t row_bytes = (size_t)from->k * sizeof(float), bytes = (size_t)count * row_bytes;
  const int64_t padded = c->chunk * c->chunks;
  sb_stage *stage;
  sb_status status;
  SB_TRY(sb_staging_fill(&c->staging, bytes, &stage));
#pragma omp parallel for num_threads(c->threads)
  for (int64_t i = 0; i < count; i++)
    memcpy((char *)stage->host.data + (size_t)i * row_bytes,
           from->vectors + (first + i) * from->stride, row_bytes);
  SB_TRY(sb_staging_send(&c->staging, stage, bytes));
  SB_TRY(sb_cuda_failure(
      sb_kernel_round(
          stage->device.data, count, from->k, (float)SB_CUDA_SCALE, c->precision, padded,
          (char *)b->elements.data + (size_t)(first * padded) * sb_element_bytes(c->precision),
          c->preparing),
      "rounding vectors"));
  SB_TRY(sb_staging_used(&c->staging, stage));
cleanup:
  return status;
}

// Of each vector its scales, and behind all of these their numbers.
static sb_status send_numbers(sb_cuda *c, const source *from, sb_device_block *b, int64_t first,
                              int64_t count) {
  const int64_t padded = c->chunk * c->chunks, k = from->k;
  const size_t scales = (size_t)(count * c->chunks), bytes = scales * sizeof(float);
  sb_stage *stage;
  sb_status status;
  SB_TRY(sb_staging_fill(&c->staging, bytes + (size_t)(count * k), &stage));
  float *scale = stage->host.data;
  int8_t *number = (int8_t *)stage->host.data + bytes;
#pragma omp parallel for num_threads(c->threads) schedule(dynamic)
  for (int64_t i = 0; i < count; i++)
    b->lost[first + i] = sb_int8_round(k, c->chunk, from->vectors + (first + i) * from->stride,
                                       &c->dither, number + i * k, scale + i * c->chunks);
  SB_TRY(sb_staging_send(&c->staging, stage, bytes + (size_t)(count * k)));
  SB_TRY(sb_cuda_failure(sb_kernel_place_numbers(stage->device.data, count, c->chunks, k, padded,
                                                 (float *)b->scales.data + first * c->chunks,
                                                 (int8_t *)b->elements.data + first * padded,
                                                 c->preparing),
                         "placing numbers"));
  SB_TRY(sb_staging_used(&c->staging, stage));
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
  if (c->precision != SB_INT8) return status;
  SB_TRY(sb_dither_reserve(&c->dither, k));
  SB_TRY(sb_buffer_reserve(&b->scales, (size_t)(count * c->chunks) * sizeof(float), "scales"));
  if (count <= b->lost_capacity) return status;
  free(b->lost);
  b->lost_capacity = 0;
  SB_TRY(SB_NEW(&b->lost, count, "bounds"));
  b->lost_capacity = count;
cleanup:
  return status;
}

sb_status sb_cuda_block_filled(sb_cuda *c, sb_slot slot, int64_t count) {
  sb_device_block *b = &c->slots[slot];
  b->count = count;
  return sb_cuda_failure(cudaEventRecord(b->filled, c->preparing), "marking what was filled");
}

sb_status sb_cuda_put(sb_cuda *c, sb_slot slot, const float *vectors, int64_t count, int64_t k,
                      int64_t stride) {
  sb_device_block *b = &c->slots[slot];
  const source from = {vectors, k, stride};
  const bool int8 = c->precision == SB_INT8;
  sb_status status;
  SB_TRY(sb_cuda_reserve_block(c, slot, count, k));
  const int64_t at_once = sb_staging_items(
      int8 ? (size_t)k + (size_t)c->chunks * sizeof(float) : (size_t)k * sizeof(float), count);
  for (int64_t at = 0; at < count; at += at_once) {
    const int64_t rows = count - at < at_once ? count - at : at_once;
    SB_TRY(int8 ? send_numbers(c, &from, b, at, rows) : send_floats(c, &from, b, at, rows));
  }
  SB_TRY(sb_cuda_block_filled(c, slot, count));
cleanup:
  return status;
}
