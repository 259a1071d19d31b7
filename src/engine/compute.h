// The backend of one run, opened by name; with "auto", whatever can be used here, and the CPU for
// the rest of the run should it fail.
#ifndef SB_ENGINE_COMPUTE_H
#define SB_ENGINE_COMPUTE_H

#include "engine/backend.h"

typedef struct sb_compute {
  const sb_backend *backend;
  void *context;
  sb_precision precision;
  void *spare;       // the CPU backend's context, to fall back on; NULL: an error is an error
  char passed[1020]; // why a backend that was tried first is not used; "": none was
} sb_compute;

//   backend    "auto", "cpu", "cuda"
//   precision  "auto" (the CPU's is fp32, a GPU's fp16) or one of sb_precision_name()
//   k_chunk    0: the backend's choice
// Errors: SB_USAGE, SB_BACKEND, SB_NO_MEMORY.
sb_status sb_compute_open(const char *backend, const char *precision, int threads, int64_t k_chunk,
                          sb_compute *out);
void sb_compute_close(sb_compute *compute); // a zeroed one is fine

// A bound on the error of a dot product of k elements, whichever backend computes it in this run.
double sb_compute_error(const sb_compute *compute, int64_t k);

// After `failure`: goes over to the CPU. False where that is not for it to decide, or would not help.
bool sb_compute_fall_back(sb_compute *compute, const sb_status *failure);

#endif
