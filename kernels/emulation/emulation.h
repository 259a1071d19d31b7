// CUDA's kernel language on the host, for tests: the threads of a block are coroutines that run one
// at a time from barrier to barrier, in an order that the test chooses.
#ifndef SB_EMULATION_H
#define SB_EMULATION_H

#include <cstddef>
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

// Memory that a block's threads share, filled with NaN's bytes when the block starts: `bytes` of it,
// and its place in the block's. Every thread must ask in the same order.
void *sb_shared(size_t bytes, size_t *place);

// What a thread does to `place`. Ends the program, saying so, where another thread has done or does
// something to the same place since the last barrier, unless both only read or both are atomic: which
// of them comes first would be left to chance.
enum sb_access { SB_READ, SB_WRITE, SB_ATOMIC };
void sb_touch(size_t place, sb_access access);

[[noreturn]] void sb_beyond_shared(size_t at, size_t count);

// One element of shared memory, and all that kernels do with one.
template <typename type> class sb_cell {
public:
  sb_cell(type *element, size_t place) : element_(element), place_(place) {}
  sb_cell(const sb_cell &other) = default;
  operator type() const {
    sb_touch(place_, SB_READ);
    return *element_;
  }
  sb_cell &operator=(type value) {
    sb_touch(place_, SB_WRITE);
    *element_ = value;
    return *this;
  }
  sb_cell &operator=(const sb_cell &other) {
    return *this = static_cast<type>(other);
  }
  sb_cell &operator+=(type value) {
    return *this = static_cast<type>(*this) + value;
  }
  void add_atomically(type value) {
    sb_touch(place_, SB_ATOMIC);
    *element_ += value;
  }
  sb_cell *operator&() { // for atomicAdd(&array[i], value)
    return this;
  }

private:
  type *element_;
  size_t place_;
};

template <typename type> class sb_shared_array {
public:
  explicit sb_shared_array(size_t count)
      : data_(static_cast<type *>(sb_shared(sizeof(type) * count, &place_))), count_(count) {}
  template <typename index> sb_cell<type> operator[](index i) {
    const size_t at = static_cast<size_t>(i); // a negative one is huge
    if (at >= count_) sb_beyond_shared(at, count_);
    return sb_cell<type>(data_ + at, place_ + at * sizeof(type));
  }

  // As a plain array, every element read at once.
  const type *plain() {
    for (size_t i = 0; i < count_; i++) sb_touch(place_ + i * sizeof(type), SB_READ);
    return data_;
  }

private:
  size_t place_;
  type *data_;
  size_t count_;
};
#define SB_SHARED(type, name, count) sb_shared_array<type> name(count)

template <typename type> const type *sb_plain(sb_shared_array<type> &array) {
  return array.plain();
}

template <typename type> void atomicAdd(sb_cell<type> *cell, type value) {
  cell->add_atomically(value);
}

// On global memory: launches and blocks run one after the other.
template <typename type> type atomicAdd(type *place, type value) {
  const type before = *place;
  *place += value;
  return before;
}
template <typename type> type atomicMax(type *place, type value) {
  const type before = *place;
  if (value > before) *place = value;
  return before;
}

// Queues a kernel on a stream. The order of a block's threads is SAMEBRAIN_EMULATED_ORDER: "forward"
// (default), "reverse", or a number that seeds a random order, new after every barrier.
void sb_emulate(unsigned blocks, unsigned threads, cudaStream_t stream,
                const std::function<void()> &kernel);

// The arguments are copied, as a launch does.
template <typename function, typename... arguments>
void sb_launch(unsigned blocks, unsigned threads, cudaStream_t stream, function kernel,
               arguments... given) {
  sb_emulate(blocks, threads, stream, [=] { kernel(given...); });
}

#endif
