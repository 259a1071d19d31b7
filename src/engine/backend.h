// The one seam between what is compared and what computes it: a table of functions and a context.
// The engine hands a backend blocks of unit vectors and gets back their dot products, with a bound
// on their error; what follows (candidates, canonical scores) is the same for all backends.
#ifndef SB_ENGINE_BACKEND_H
#define SB_ENGINE_BACKEND_H

#include <stdint.h>

#include "samebrain/status.h"

typedef struct sb_backend_options {
  int threads;     // at least 1
  int64_t k_chunk; // elements whose products are summed in float32; 0: the backend's choice
} sb_backend_options;

typedef struct sb_backend {
  const char *name; // what --backend takes

  sb_status (*open)(const sb_backend_options *options, void **context);
  void (*close)(void *context);

  // What computes, in words ("oneDNN 2.6.3, ..."), for summary.json. Valid until close.
  const char *(*describe)(const void *context);
  int64_t (*k_chunk)(const void *context);
  // Host memory that gemm_nt uses beside its arguments, for a result of m x n.
  int64_t (*workspace_bytes)(const void *context, int64_t m, int64_t n);

  // c = a b^T. Row-major: a is m x k (rows lda floats apart), b is n x k, c is m x n.
  sb_status (*gemm_nt)(void *context, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                       const float *b, int64_t ldb, double *c, int64_t ldc);
  // A bound on |c - a.b| for float vectors of k elements and Euclidean norm at most 1 + 2^-23.
  double (*gemm_error)(const void *context, int64_t k);
} sb_backend;

extern const sb_backend sb_backend_cpu;

// The backend that "auto" or a name stands for. Errors: SB_BACKEND (not in this build), SB_USAGE.
sb_status sb_backend_find(const char *name, const sb_backend **backend);

#endif
