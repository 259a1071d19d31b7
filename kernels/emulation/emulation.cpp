// Blocks and threads of CUDA kernels as coroutines (see emulation.h).
#undef _FORTIFY_SOURCE // which some compilers set, and which takes a jump to another stack for an attack
#include "emulation.h"
#include "streams.h"

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <ucontext.h>
#include <vector>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

thread_local sb_index blockIdx, threadIdx, blockDim, gridDim;

namespace {

const size_t STACK_BYTES = 64 << 10, POISON = 0xff;
const size_t SHARED_BYTES = 48 << 10; // what a block has without asking for more

enum state { NEW, READY, WAITING, ENDED };

// A thread is entered by its context, left and entered again by jumps, which need no system call.
struct thread {
  ucontext_t context;
  jmp_buf paused;
  std::vector<char> stack;
  state now;
  size_t shared; // bytes of the block's memory that it has asked for
};

// What was done to one place of shared memory since the barrier number `when`.
struct touched {
  uint64_t when;
  unsigned reader, writer; // the thread, or one of these
  bool atomic;             // by any number of threads
};
const unsigned NOBODY = ~0u, SEVERAL = ~0u - 1;

// One launch at a time in each thread of the host.
thread_local std::deque<thread>
    threads; // which stay where they are: contexts point into themselves
thread_local std::vector<char> shared(SHARED_BYTES);
thread_local std::vector<touched> touches(SHARED_BYTES);
thread_local uint64_t barriers; // of all blocks so far
thread_local jmp_buf scheduler;
thread_local unsigned current;
thread_local const std::function<void()> *work;

[[noreturn]] void fault(const char *what) {
  std::fprintf(stderr, "emulated GPU: block %u, thread %u: %s\n", blockIdx.x, current, what);
  std::abort();
}

void body() {
  (*work)();
  threads[current].now = ENDED;
  _longjmp(scheduler, 1);
}

void start(unsigned index) {
  thread &t = threads[index];
  if (t.stack.empty()) {
    t.stack.resize(STACK_BYTES);
    getcontext(&t.context);
  }
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(t.stack.data(), t.stack.size()); // frames that were jumped out of
#endif
  t.now = NEW;
  t.shared = 0;
  t.context.uc_stack.ss_sp = t.stack.data();
  t.context.uc_stack.ss_size = t.stack.size();
  t.context.uc_link = nullptr;
  makecontext(&t.context, body, 0);
}

// Runs a thread until it waits or ends.
void enter(thread *t) {
  if (_setjmp(scheduler) != 0) return;
  if (t->now == NEW)
    setcontext(&t->context);
  else
    _longjmp(t->paused, 1);
}

uint64_t next_random(uint64_t *seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed;
}

// The order in which threads run until the next barrier.
void arrange(std::vector<unsigned> &order, const char *wanted, uint64_t *seed) {
  for (unsigned i = 0; i < order.size(); i++) order[i] = i;
  if (wanted == nullptr || std::strcmp(wanted, "forward") == 0) return;
  if (std::strcmp(wanted, "reverse") == 0)
    std::reverse(order.begin(), order.end());
  else
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[next_random(seed) % i]);
}

void run_block(std::vector<unsigned> &order, const char *wanted, uint64_t *seed) {
  std::memset(shared.data(), POISON, shared.size());
  for (unsigned i = 0; i < order.size(); i++) start(i);
  for (;;) {
    size_t waiting = 0, ended = 0;
    barriers++;
    arrange(order, wanted, seed);
    for (unsigned i : order) {
      if (threads[i].now != NEW && threads[i].now != READY) continue;
      current = i;
      threadIdx.x = i;
      enter(&threads[i]);
    }
    for (thread &t : threads) {
      waiting += t.now == WAITING;
      ended += t.now == ENDED;
      if (t.now == WAITING) t.now = READY;
    }
    if (waiting == 0) return;
    if (ended > 0) fault("some threads ended while others wait at a barrier");
  }
}

} // namespace

void __syncthreads() {
  threads[current].now = WAITING;
  if (_setjmp(threads[current].paused) == 0) _longjmp(scheduler, 1);
}

void *sb_shared(size_t bytes, size_t *place) {
  thread &t = threads[current];
  *place = t.shared;
  t.shared += (bytes + 15) / 16 * 16;
  if (t.shared > SHARED_BYTES) fault("more shared memory than a block has");
  return shared.data() + *place;
}

void sb_touch(size_t place, sb_access access) {
  touched &t = touches[place];
  if (t.when != barriers) t = {barriers, NOBODY, NOBODY, false};
  const bool read = t.reader != NOBODY && t.reader != current;
  const bool written = t.writer != NOBODY && t.writer != current;
  if (access == SB_READ ? written || t.atomic : read || written || (access == SB_WRITE && t.atomic))
    fault("two threads at one place of shared memory, no barrier between them");
  if (access == SB_READ) t.reader = t.reader == NOBODY || t.reader == current ? current : SEVERAL;
  if (access == SB_WRITE) t.writer = current;
  if (access == SB_ATOMIC) t.atomic = true;
}

void sb_beyond_shared(size_t at, size_t count) {
  std::fprintf(stderr, "emulated GPU: element %zu of an array of %zu\n", at, count);
  fault("a place beyond its array in shared memory");
}

static void run_launch(unsigned blocks, unsigned count, const std::function<void()> &kernel) {
  const char *wanted = std::getenv("SAMEBRAIN_EMULATED_ORDER");
  uint64_t seed =
      wanted != nullptr ? std::strtoull(wanted, nullptr, 10) * 2 + 88172645463325252u : 1;
  std::vector<unsigned> order(count);
  threads.resize(count);
  work = &kernel;
  blockDim.x = count;
  gridDim.x = blocks;
  for (unsigned block = 0; block < blocks; block++) {
    blockIdx.x = block;
    run_block(order, wanted, &seed);
  }
}

void sb_emulate(unsigned blocks, unsigned count, cudaStream_t stream,
                const std::function<void()> &kernel) {
  if (stream == nullptr) fault("a launch on the default stream, which waits for all others");
  if (blocks == 0 || count == 0 || count > 1024) fault("a launch without threads, or too many");
  sb_enqueue(stream, [=] { run_launch(blocks, count, kernel); });
}
