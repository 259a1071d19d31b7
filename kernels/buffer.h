// Device memory that grows when more is needed, and what becomes of CUDA's errors.
#ifndef SB_KERNELS_BUFFER_H
#define SB_KERNELS_BUFFER_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samebrain/status.h"

typedef struct sb_buffer {
  void *data;
  size_t bytes;
} sb_buffer;

// The same of the host's, pinned, so that copies to and from it can run by themselves.
typedef struct sb_pinned {
  void *data;
  size_t bytes;
} sb_pinned;

// What is in one of the backend's slots, and the moments that order those who fill it and those who read it.
typedef struct sb_device_block {
  sb_buffer elements;
  int64_t count;
  cudaEvent_t filled, used;
  bool busy; // read by a tile that is on its way
  // Of int8:
  sb_buffer scales;    // one for each chunk of each vector
  sb_buffer lost;      // an sb_lost of each vector (see backend.h)
  sb_pinned lost_here; // the same on the host, once the block is filled
} sb_device_block;

// At least `bytes`; what was in it is lost when it grows. Errors: SB_NO_MEMORY, naming `what`.
sb_status sb_buffer_reserve(sb_buffer *buffer, size_t bytes, const char *what);
void sb_buffer_free(sb_buffer *buffer);
sb_status sb_pinned_reserve(sb_pinned *buffer, size_t bytes, const char *what); // likewise
void sb_pinned_free(sb_pinned *buffer);

sb_status sb_cuda_failure(cudaError_t code, const char *what);

#endif
