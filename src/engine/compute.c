#include "engine/compute.h"

#include <stdio.h>
#include <string.h>

#include "engine/int8_panel.h"
#include "samebrain/link.h"

static bool is_auto(const char *name) {
  return strcmp(name, "auto") == 0;
}

static sb_status open_cuda(const char *precision, sb_backend_options options, bool may_fall_back,
                           sb_compute *out) {
  const sb_backend *backend;
  sb_status status = sb_backend_find("cuda", &backend);
  if (status.code != SB_OK) return status;
  options.precision = SB_FP16;
  if (!is_auto(precision)) status = sb_precision_of(precision, &options.precision);
  if (status.code != SB_OK) return status;
  out->backend = sb_backend_in(backend, options.precision);
  status = out->backend->open(&options, &out->context);
  if (status.code != SB_OK) return status;
  out->precision = options.precision;
  options.precision = SB_FP32;
  return may_fall_back ? sb_backend_cpu.open(&options, &out->fine) : status;
}

static sb_status open_cpu(const char *precision, sb_backend_options options, sb_compute *out) {
  sb_status status = sb_ok();
  if (!is_auto(precision)) {
    status = sb_precision_of(precision, &options.precision);
  } else if (sb_int8_is_fast()) {
    out->may_choose = true;
    options.precision = SB_INT8;
  } else {
    out->no_int8 = "this processor has no fast int8 products (VNNI)";
    options.precision = SB_FP32;
  }
  if (status.code != SB_OK) return status;
  const sb_backend *backend = sb_backend_in(&sb_backend_cpu, options.precision);
  status = backend->open(&options, &out->context);
  if (status.code != SB_OK) return status;
  out->backend = backend;
  out->precision = options.precision;
  options.precision = SB_FP32;
  return backend->coarse ? sb_backend_cpu.open(&options, &out->fine) : status;
}

sb_status sb_compute_open(const char *backend, const char *precision, int threads, int64_t k_chunk,
                          sb_compute *out) {
  const sb_backend_options options = {.threads = threads, .k_chunk = k_chunk};
  memset(out, 0, sizeof *out);
  if (strcmp(backend, "cpu") == 0) return open_cpu(precision, options, out);
  if (strcmp(backend, "cuda") == 0) return open_cuda(precision, options, false, out);
  if (!is_auto(backend)) {
    const sb_backend *none;
    return sb_backend_find(backend, &none);
  }
  sb_status status = open_cuda(precision, options, true, out);
  out->may_fall_back = status.code == SB_OK;
  if (out->context != NULL) return status;
  snprintf(out->passed, sizeof out->passed, "%s", status.message);
  return open_cpu(precision, options, out);
}

void sb_compute_close(sb_compute *compute) {
  if (compute->backend != NULL && compute->context != NULL)
    compute->backend->close(compute->context);
  if (compute->fine != NULL) sb_backend_cpu.close(compute->fine);
  memset(compute, 0, sizeof *compute);
}

sb_status sb_backend_probe(const char *name, char *text, size_t size) {
  sb_compute compute;
  sb_status status = sb_compute_open(name, "auto", 1, 0, &compute);
  if (status.code == SB_OK && compute.backend != NULL)
    snprintf(text, size, "%s", compute.backend->describe(compute.context));
  sb_compute_close(&compute);
  return status;
}

bool sb_compute_fall_back(sb_compute *compute, const sb_status *failure) {
  if (!compute->may_fall_back || (failure->code != SB_BACKEND && failure->code != SB_NO_MEMORY))
    return false;
  compute->backend->close(compute->context);
  snprintf(compute->passed, sizeof compute->passed, "%s", failure->message);
  compute->backend = &sb_backend_cpu;
  compute->context = compute->fine;
  compute->precision = SB_FP32;
  compute->fine = NULL;
  compute->may_fall_back = false;
  return true;
}
