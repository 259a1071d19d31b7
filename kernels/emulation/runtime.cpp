// A stand-in for CUDA's runtime, but for its streams (streams.cpp): device memory is host memory of which every block is known, new
// memory is filled with NaN's bytes, and copies are checked. Tests set
//   SAMEBRAIN_EMULATED_DEVICES       how many devices there are (1); -1: no driver
//   SAMEBRAIN_EMULATED_CAPABILITY    compute capability times ten (90)
//   SAMEBRAIN_EMULATED_MEMORY        bytes of the device (1 GiB)
//   SAMEBRAIN_EMULATED_NO_ROOM_AT    the first allocation on the device, counted from 1, that fails (none),
//   SAMEBRAIN_EMULATED_NO_ROOM_FOR   how many fail from there on (1), and
//   SAMEBRAIN_EMULATED_NO_ROOM_OF    the least bytes of those that are counted (1)
//   SAMEBRAIN_EMULATED_FAIL_AT       the copy or launch, counted from 1, that fails (none)
//   SAMEBRAIN_EMULATED_RECOUNT       count from here on (unset by this)
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "memory.h"
#include "streams.h"
#include <cuda_runtime_api.h>

namespace {

std::mutex lock;
std::map<uintptr_t, size_t> blocks;
size_t used;
long long calls, allocations, refused;
cudaError_t last = cudaSuccess;

cudaError_t fail(cudaError_t code) {
  last = code;
  return code;
}

// Counting starts anew when a test has asked for it.
void recount() {
  if (std::getenv("SAMEBRAIN_EMULATED_RECOUNT") == nullptr) return;
  unsetenv("SAMEBRAIN_EMULATED_RECOUNT");
  calls = allocations = 0;
}

bool fails_now() {
  recount();
  return ++calls == sb_emulated_setting("SAMEBRAIN_EMULATED_FAIL_AT", 0);
}

bool has_room(size_t bytes) {
  const long long from = sb_emulated_setting("SAMEBRAIN_EMULATED_NO_ROOM_AT", 0);
  const long long fails = sb_emulated_setting("SAMEBRAIN_EMULATED_NO_ROOM_FOR", 1);
  recount();
  if (static_cast<long long>(bytes) >= sb_emulated_setting("SAMEBRAIN_EMULATED_NO_ROOM_OF", 1))
    allocations++;
  else
    return true;
  return from == 0 || allocations < from || allocations >= from + fails;
}

size_t memory_bytes() {
  return static_cast<size_t>(sb_emulated_setting("SAMEBRAIN_EMULATED_MEMORY", 1 << 30));
}

} // namespace

long long sb_emulated_setting(const char *name, long long otherwise) {
  const char *value = std::getenv(name);
  return value == nullptr || value[0] == '\0' ? otherwise : std::atoll(value);
}

long long sb_emulated_refused(int) {
  std::lock_guard<std::mutex> guard(lock);
  return refused;
}

bool sb_device_holds(const void *data, size_t bytes) {
  std::lock_guard<std::mutex> guard(lock);
  const uintptr_t at = reinterpret_cast<uintptr_t>(data);
  auto after = blocks.upper_bound(at);
  if (after == blocks.begin()) return false;
  auto block = std::prev(after);
  return at + bytes <= block->first + block->second;
}

cudaError_t cudaGetDeviceCount(int *count) {
  const long long devices = sb_emulated_setting("SAMEBRAIN_EMULATED_DEVICES", 1);
  if (devices < 0) return cudaErrorInsufficientDriver;
  *count = static_cast<int>(devices);
  return devices == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int) {
  const long long capability = sb_emulated_setting("SAMEBRAIN_EMULATED_CAPABILITY", 90);
  std::memset(properties, 0, sizeof *properties);
  std::snprintf(properties->name, sizeof properties->name, "emulated device");
  properties->major = static_cast<int>(capability / 10);
  properties->minor = static_cast<int>(capability % 10);
  properties->totalGlobalMem = memory_bytes();
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const long long devices = sb_emulated_setting("SAMEBRAIN_EMULATED_DEVICES", 1);
  return device >= 0 && device < devices ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaDriverGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
  std::lock_guard<std::mutex> guard(lock);
  *total = memory_bytes();
  *available = *total > used ? *total - used : 0;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void **data, size_t bytes) {
  std::lock_guard<std::mutex> guard(lock);
  *data = nullptr;
  if (!has_room(bytes) || used > memory_bytes() || bytes > memory_bytes() - used) {
    refused++;
    return fail(cudaErrorMemoryAllocation);
  }
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*data == nullptr) return fail(cudaErrorMemoryAllocation);
  std::memset(*data, 0xff, bytes);
  blocks[reinterpret_cast<uintptr_t>(*data)] = bytes;
  used += bytes;
  return cudaSuccess;
}

// Waits for the device, as the real one does.
cudaError_t cudaFree(void *data) {
  if (data == nullptr) return cudaSuccess;
  sb_finish_all();
  std::lock_guard<std::mutex> guard(lock);
  auto block = blocks.find(reinterpret_cast<uintptr_t>(data));
  if (block == blocks.end()) return fail(cudaErrorInvalidValue);
  used -= block->second;
  blocks.erase(block);
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void **data, size_t bytes) {
  *data = std::malloc(bytes);
  if (*data == nullptr) return fail(cudaErrorMemoryAllocation);
  std::memset(*data, 0xff, bytes);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void *data) {
  sb_finish_all();
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
  if (fails_now()) return fail(cudaErrorLaunchFailure);
  if (!sb_device_holds(to, bytes)) return fail(cudaErrorInvalidValue);
  sb_enqueue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

// Whether all bytes are the device's, or the first one is not.
static bool is_where(bool on_device, const void *data, size_t bytes) {
  return on_device ? sb_device_holds(data, bytes) : !sb_device_holds(data, 1);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  if (fails_now()) return fail(cudaErrorLaunchFailure);
  if (height == 0 || width == 0) return cudaSuccess;
  const bool onto = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool off = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (width > to_pitch || width > from_pitch || (!onto && !off) ||
      !is_where(onto, to, to_pitch * (height - 1) + width) ||
      !is_where(off, from, from_pitch * (height - 1) + width))
    return fail(cudaErrorInvalidValue);
  sb_enqueue(stream, [=] {
    for (size_t row = 0; row < height; row++)
      std::memcpy(static_cast<char *>(to) + row * to_pitch,
                  static_cast<const char *>(from) + row * from_pitch, width);
  });
  return cudaSuccess;
}

cudaError_t cudaGetLastError(void) {
  const cudaError_t code = fails_now() ? cudaErrorLaunchFailure : last;
  last = cudaSuccess;
  return code;
}

const char *cudaGetErrorString(cudaError_t code) {
  switch (code) {
  case cudaSuccess:
    return "no error";
  case cudaErrorMemoryAllocation:
    return "out of memory";
  case cudaErrorInvalidValue:
    return "invalid argument";
  default:
    return "unspecified launch failure";
  }
}
