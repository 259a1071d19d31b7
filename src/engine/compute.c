#include "engine/compute.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "samebrain/link.h"

static sb_status open_backend(const char *name, const char *precision, sb_backend_options options,
                              sb_compute *out) {
  const sb_backend *backend;
  sb_status status = sb_backend_find(name, &backend);
  if (status.code != SB_OK) return status;
  options.precision = backend == &sb_backend_cpu ? SB_FP32 : SB_FP16;
  if (strcmp(precision, "auto") != 0) status = sb_precision_of(precision, &options.precision);
  if (status.code == SB_OK) status = backend->open(&options, &out->context);
  if (status.code != SB_OK) return status;
  out->backend = backend;
  out->precision = options.precision;
  return status;
}

sb_status sb_compute_open(const char *backend, const char *precision, int threads, int64_t k_chunk,
                          sb_compute *out) {
  const sb_backend_options options = {.threads = threads, .k_chunk = k_chunk};
  memset(out, 0, sizeof *out);
  if (strcmp(backend, "auto") != 0) return open_backend(backend, precision, options, out);
  sb_status status = open_backend("cuda", precision, options, out);
  if (status.code == SB_OK) return sb_backend_cpu.open(&options, &out->spare);
  snprintf(out->passed, sizeof out->passed, "%s", status.message);
  return open_backend(sb_backend_cpu.name, precision, options, out);
}

void sb_compute_close(sb_compute *compute) {
  if (compute->context != NULL) compute->backend->close(compute->context);
  if (compute->spare != NULL) sb_backend_cpu.close(compute->spare);
  memset(compute, 0, sizeof *compute);
}

sb_status sb_backend_probe(const char *name, char *text, size_t size) {
  sb_compute compute;
  sb_status status = sb_compute_open(name, "auto", 1, 0, &compute);
  if (status.code == SB_OK) snprintf(text, size, "%s", compute.backend->describe(compute.context));
  sb_compute_close(&compute);
  return status;
}

double sb_compute_error(const sb_compute *compute, int64_t k) {
  const double error = compute->backend->gemm_error(compute->context, k);
  return compute->spare == NULL ? error : fmax(error, sb_backend_cpu.gemm_error(compute->spare, k));
}

bool sb_compute_fall_back(sb_compute *compute, const sb_status *failure) {
  if (compute->spare == NULL || (failure->code != SB_BACKEND && failure->code != SB_NO_MEMORY))
    return false;
  compute->backend->close(compute->context);
  snprintf(compute->passed, sizeof compute->passed, "%s", failure->message);
  compute->backend = &sb_backend_cpu;
  compute->context = compute->spare;
  compute->spare = NULL;
  return true;
}
