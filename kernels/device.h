// What kernels are written in: CUDA, or C++ on the emulation of tests, where a launch runs its
// blocks one after the other and the threads of a block in any order between barriers.
#ifndef SB_KERNELS_DEVICE_H
#define SB_KERNELS_DEVICE_H

#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define SB_LAUNCH(kernel, blocks, threads, stream, ...)                                            \
  kernel<<<(unsigned)(blocks), (unsigned)(threads), 0, (stream)>>>(__VA_ARGS__)
// Memory that a block's threads share; under emulation every access is checked (emulation.h).
#define SB_SHARED(type, name, count) __shared__ type name[count]
template <typename type> static __device__ const type *sb_plain(const type *array) {
  return array;
}
#define SB_UNROLL _Pragma("unroll")
#else
#include "emulation/emulation.h"
#define SB_LAUNCH(kernel, blocks, threads, stream, ...)                                            \
  sb_launch((unsigned)(blocks), (unsigned)(threads), (stream), kernel, __VA_ARGS__)
#define SB_UNROLL
#endif

// For kernels whose threads each take every so-manieth item. Here and in the kernels, sizes are small
// where tests ask for it (SAMEBRAIN_SMALL_TILES), so that small inputs take several of everything.
#ifdef SAMEBRAIN_SMALL_TILES
static const int64_t SB_THREADS = 64, SB_MOST_BLOCKS = 3;
#else
static const int64_t SB_THREADS = 256, SB_MOST_BLOCKS = 16384;
#endif
static inline int64_t sb_blocks(int64_t items) {
  const int64_t needed = (items + SB_THREADS - 1) / SB_THREADS;
  return needed < SB_MOST_BLOCKS ? needed : SB_MOST_BLOCKS;
}
static inline __device__ int64_t sb_first_item() {
  return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}
static inline __device__ int64_t sb_item_step() {
  return (int64_t)gridDim.x * blockDim.x;
}

// For kernels whose blocks each take every so-manieth item.
static inline int64_t sb_most_blocks(int64_t items) {
  return items < SB_MOST_BLOCKS ? items : SB_MOST_BLOCKS;
}

// What becomes of the numbers that the threads of a block have, a power of two of them, joined two by two
// in a fixed tree. `room` holds as many, and can be used again at once.
template <typename join, typename shared, typename number>
static __device__ number sb_block_join(shared &room, number mine) {
  room[threadIdx.x] = mine;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      room[threadIdx.x] = join::template of<number>(room[threadIdx.x], room[threadIdx.x + half]);
  }
  __syncthreads();
  const number all = room[0];
  __syncthreads();
  return all;
}

struct sb_sum {
  template <typename number> static __device__ number of(number a, number b) {
    return a + b;
  }
};
struct sb_most {
  template <typename number> static __device__ number of(number a, number b) {
    return b > a ? b : a;
  }
};
template <typename shared> static __device__ double sb_block_sum(shared &room, double mine) {
  return sb_block_join<sb_sum>(room, mine);
}
template <typename shared, typename number>
static __device__ number sb_block_most(shared &room, number mine) {
  return sb_block_join<sb_most>(room, mine);
}

#endif
