#include "streams.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "memory.h"

// How often an event was recorded, and how many of these moments have come.
struct moments {
  cudaStream_t stream = nullptr; // of the last recording
  unsigned long long recorded = 0, come = 0;
};

struct CUevent_st {
  std::shared_ptr<moments> m = std::make_shared<moments>();
};

struct CUstream_st {
  struct item {
    std::function<void()> work; // or, empty:
    std::shared_ptr<moments> m; // an event,
    unsigned long long moment;  // this moment of it,
    bool wait;                  // which is waited for, or comes
  };
  std::deque<item> queue;
  long long ran = 0; // of what was queued
};

namespace {

std::recursive_mutex lock;
std::vector<cudaStream_t> streams; // that are alive, in the order of their making

void run_until(cudaStream_t stream, const moments *m, unsigned long long moment);

void run_first(cudaStream_t stream) {
  const CUstream_st::item item = stream->queue.front();
  stream->queue.pop_front();
  stream->ran++;
  if (item.work)
    item.work();
  else if (!item.wait)
    item.m->come = item.moment;
  else
    run_until(item.m->stream, item.m.get(), item.moment);
}

// All that a stream has; or until an event's moment has come.
void run_until(cudaStream_t stream, const moments *m, unsigned long long moment) {
  while (m == nullptr ? !stream->queue.empty() : m->come < moment) run_first(stream);
}

void run_all() {
  for (cudaStream_t stream : streams) run_until(stream, nullptr, 0);
}

// Whether what is queued on a stream runs without anybody waiting.
bool runs_at_once(cudaStream_t stream) {
  const char *wanted = std::getenv("SAMEBRAIN_EMULATED_STREAMS");
  if (wanted == nullptr || wanted[0] == '\0') return true;
  for (size_t i = 0; i < streams.size(); i++)
    if (streams[i] == stream) return wanted == std::to_string(i);
  return false;
}

void push(cudaStream_t stream, const CUstream_st::item &item) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  stream->queue.push_back(item);
  if (runs_at_once(stream)) run_until(stream, nullptr, 0);
}

} // namespace

void sb_enqueue(cudaStream_t stream, const std::function<void()> &work) {
  push(stream, {work, nullptr, 0, false});
}

long long sb_emulated_ran(int stream) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  return streams.at(static_cast<size_t>(stream))->ran;
}

void sb_finish_all() {
  std::lock_guard<std::recursive_mutex> guard(lock);
  run_all();
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  *stream = new CUstream_st;
  streams.push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  run_all();
  for (size_t i = 0; i < streams.size(); i++)
    if (streams[i] == stream) streams.erase(streams.begin() + static_cast<std::ptrdiff_t>(i));
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  run_until(stream, nullptr, 0);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (event->m->recorded > 0) push(stream, {{}, event->m, event->m->recorded, true});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->m->stream = stream;
  push(stream, {{}, event->m, ++event->m->recorded, false});
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  if (event->m->recorded > 0) run_until(event->m->stream, event->m.get(), event->m->recorded);
  return cudaSuccess;
}
