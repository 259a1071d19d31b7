// CUDA's kernel language on the host, for tests: the threads of a block are coroutines that run one
// at a time from barrier to barrier, in an order that the test chooses.
#ifndef SB_EMULATION_H
#define SB_EMULATION_H

#include <cuda_runtime_api.h>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

struct sb_index {
  unsigned x;
};
extern thread_local sb_index blockIdx, threadIdx, blockDim, gridDim;

// Where a thread waits for all others of its block. A thread that ends while others wait is a fault
// of the kernel, and ends the program saying so.
void __syncthreads();

// Memory that a block's threads share: `bytes` at this place in the kernel, filled with NaN's bytes
// when the block starts. Every thread must ask in the same order.
void *sb_shared(size_t bytes);
#define SB_SHARED(type, name, count)                                                               \
  type *name = static_cast<type *>(sb_shared(sizeof(type) * (count)))

// Runs a kernel. The order of a block's threads is SAMEBRAIN_EMULATED_ORDER: "forward" (default),
// "reverse", or a number that seeds a random order, new after every barrier.
void sb_emulate(unsigned blocks, unsigned threads, cudaStream_t stream,
                const std::function<void()> &kernel);

#endif
