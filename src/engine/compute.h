// The backend of one run, opened by name; with "auto", whatever can be used here, and the CPU for
// the rest of the run should it fail.
#ifndef SB_ENGINE_COMPUTE_H
#define SB_ENGINE_COMPUTE_H

#include "engine/backend.h"

typedef struct sb_compute {
  const sb_backend *backend;
  void *context;
  sb_precision precision;
  void *
      fine; // the CPU's context in fp32, beside its int8 and beside a GPU that it may stand in for; NULL: there is none
  bool may_fall_back;  // to the fine one, should the backend fail
  bool may_choose;     // the fine one where it is quicker, measure by measure
  char passed[1020];   // why a backend that was tried first is not used; "": none was
  const char *no_int8; // why "auto" does without int8 on the CPU; NULL: it does not
} sb_compute;

//   backend    "auto", "cpu", "cuda"
//   precision  "auto" (the CPU's is int8 where that pays, else fp32; a GPU's fp16) or one of
//              sb_precision_name()
//   k_chunk    0: the backend's choice
// Errors: SB_USAGE, SB_BACKEND, SB_NO_MEMORY.
sb_status sb_compute_open(const char *backend, const char *precision, int threads, int64_t k_chunk,
                          sb_compute *out);
void sb_compute_close(sb_compute *compute); // a zeroed one is fine

// After `failure`: goes over to the CPU. False where that is not for it to decide, or would not help.
bool sb_compute_fall_back(sb_compute *compute, const sb_status *failure);

#endif
