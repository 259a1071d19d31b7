// The emulated device's streams. What is queued runs at the latest when the host, or another stream,
// waits for it; when it runs before that is the test's choice (SAMEBRAIN_EMULATED_STREAMS):
//   unset  at once
//   late   not before it must
//   0, 1   that stream at once, in the order of their making, and the others not before they must
// So work that lacks the event or the wait that would order it meets memory before it is filled, or
// after it is overwritten.
#ifndef SB_EMULATION_STREAMS_H
#define SB_EMULATION_STREAMS_H

#include <cuda_runtime_api.h>
#include <functional>

void sb_enqueue(cudaStream_t stream, const std::function<void()> &work);

// For tests, which find it in the module: how much of what was queued on a stream has run, of the streams
// that are alive in the order of their making.
extern "C" __attribute__((visibility("default"))) long long sb_emulated_ran(int stream);

#endif
