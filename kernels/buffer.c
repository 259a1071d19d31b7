#include "buffer.h"

sb_status sb_cuda_failure(cudaError_t code, const char *what) {
  if (code == cudaSuccess) return sb_ok();
  return sb_error(code == cudaErrorMemoryAllocation ? SB_NO_MEMORY : SB_BACKEND,
                  "the GPU failed: %s: %s", what, cudaGetErrorString(code));
}

void sb_buffer_free(sb_buffer *buffer) {
  cudaFree(buffer->data);
  *buffer = (sb_buffer){0};
}

sb_status sb_buffer_reserve(sb_buffer *buffer, size_t bytes, const char *what) {
  if (bytes <= buffer->bytes) return sb_ok();
  sb_buffer_free(buffer);
  const cudaError_t code = cudaMalloc(&buffer->data, bytes);
  if (code == cudaSuccess) {
    buffer->bytes = bytes;
    return sb_ok();
  }
  cudaGetLastError(); // it is told below, and must not be found again after another call
  return sb_error(SB_NO_MEMORY, "the GPU has no room for %zu MiB of %s: allow less --memory",
                  bytes >> 20, what);
}

void sb_pinned_free(sb_pinned *buffer) {
  if (buffer->data != NULL) cudaFreeHost(buffer->data);
  *buffer = (sb_pinned){0};
}

sb_status sb_pinned_reserve(sb_pinned *buffer, size_t bytes, const char *what) {
  if (bytes <= buffer->bytes) return sb_ok();
  sb_pinned_free(buffer);
  const cudaError_t code = cudaMallocHost(&buffer->data, bytes);
  if (code == cudaSuccess) {
    buffer->bytes = bytes;
    return sb_ok();
  }
  cudaGetLastError(); // told below
  buffer->data = NULL;
  return sb_error(SB_NO_MEMORY, "no room for %zu MiB of %s", bytes >> 20, what);
}
