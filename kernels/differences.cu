// Mean absolute differences, as a matrix product would be done: a block takes SB_TILE x SB_TILE pairs
// and one chunk of the voxels, brings both sides' floats into shared memory a slab at a time, and each
// thread sums EACH x EACH pairs. Sums of runs, and their sum over a chunk, are float32; chunks are added
// in float64 (add_parts.cu).
//
// A pair and voxel takes a difference, a magnitude and an addition; of memory, 2 x 4 bytes are read for
// SB_TILE pairs. With tiles of 64 that is 96 operations for a float of each side: arithmetic decides.
// Chunks make blocks enough for a GPU where the tile of pairs is small.
#include "kernels.h"

#include "device.h"

#ifdef SAMEBRAIN_SMALL_TILES
enum { SIDE = 4, EACH = 2, SLAB = 4 };
#else
enum { SIDE = 16, EACH = 4, SLAB = 16 };
#endif
enum {
  TILE = SIDE * EACH,
  PITCH = TILE + 1, // so that the threads of a warp store to different banks
  FLOATS = SLAB * PITCH,
  THREADS = SIDE * SIDE
};
static_assert(SB_RUN % SLAB == 0 && SB_CHUNK % SB_RUN == 0, "whole slabs and runs");

// One side's floats [at, at + SLAB) of TILE embeddings from `first` on, 0 where there are none.
template <typename shared>
static __device__ void load_slab(const float *block, int64_t size, int64_t first, int64_t count,
                                 int64_t at, int64_t voxels, shared &slab) {
  for (int i = (int)threadIdx.x; i < TILE * SLAB; i += THREADS) {
    const int row = i / SLAB, k = i % SLAB;
    const bool there = first + row < count && at + k < voxels;
    slab[k * PITCH + row] = there ? block[(first + row) * size + at + k] : 0.0f;
  }
}

// Adds a slab's differences to the pairs of rows y, y + SIDE, ... with columns x, x + SIDE, ...
template <typename shared>
static __device__ void add_slab(shared &a, shared &b, int y, int x, float (&run)[EACH][EACH]) {
  SB_UNROLL
  for (int k = 0; k < SLAB; k++) {
    float left[EACH], right[EACH];
    SB_UNROLL
    for (int e = 0; e < EACH; e++) {
      left[e] = a[k * PITCH + y + e * SIDE];
      right[e] = b[k * PITCH + x + e * SIDE];
    }
    SB_UNROLL
    for (int i = 0; i < EACH; i++) {
      SB_UNROLL
      for (int j = 0; j < EACH; j++) run[i][j] += fabsf(left[i] - right[j]);
    }
  }
}

// parts[chunk][i][j]
static __global__ void sum_differences(sb_kernel_pairs p, int64_t voxels, float *parts) {
  SB_SHARED(float, a, FLOATS);
  SB_SHARED(float, b, FLOATS);
  const int64_t across = (p.n + TILE - 1) / TILE, down = (p.m + TILE - 1) / TILE;
  const int y = (int)threadIdx.x / SIDE, x = (int)threadIdx.x % SIDE;
  for (int64_t item = blockIdx.x; item < across * down * sb_kernel_chunks(voxels);
       item += gridDim.x) {
    const int64_t chunk = item / (across * down), tile = item % (across * down);
    const int64_t first_a = tile / across * TILE, first_b = tile % across * TILE;
    const int64_t end = voxels < (chunk + 1) * SB_CHUNK ? voxels : (chunk + 1) * SB_CHUNK;
    float sum[EACH][EACH] = {}, run[EACH][EACH] = {};
    for (int64_t at = chunk * SB_CHUNK; at < end; at += SLAB) {
      __syncthreads(); // the slab before has been read
      load_slab(p.a, p.size, first_a, p.m, at, voxels, a);
      load_slab(p.b, p.size, first_b, p.n, at, voxels, b);
      __syncthreads();
      add_slab(a, b, y, x, run);
      if ((at + SLAB) % SB_RUN != 0 && at + SLAB < end) continue;
      SB_UNROLL
      for (int e = 0; e < EACH * EACH; e++) {
        sum[e / EACH][e % EACH] += run[e / EACH][e % EACH];
        run[e / EACH][e % EACH] = 0;
      }
    }
    SB_UNROLL
    for (int e = 0; e < EACH * EACH; e++) {
      const int64_t i = first_a + y + e / EACH * SIDE, j = first_b + x + e % EACH * SIDE;
      if (i < p.m && j < p.n) parts[(chunk * p.m + i) * p.n + j] = sum[e / EACH][e % EACH];
    }
  }
}

cudaError_t sb_kernel_differences(const sb_kernel_pairs *pairs, int64_t voxels) {
  const sb_kernel_pairs p = *pairs;
  const int64_t tiles = ((p.m + TILE - 1) / TILE) * ((p.n + TILE - 1) / TILE);
  const int64_t chunks = sb_kernel_chunks(voxels);
  float *parts = static_cast<float *>(p.work);
  SB_LAUNCH(sum_differences, sb_most_blocks(tiles * chunks), THREADS, p.stream, p, voxels, parts);
  const cudaError_t code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  const sb_kernel_parts sums = {parts, 1, p.m * p.n, p.m * p.n, (int)chunks, true};
  return sb_kernel_add_parts(&sums, 1 / (double)voxels, p.scores, p.stream);
}
