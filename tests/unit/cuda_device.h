// The device that tests of the CUDA backend run on: emulated, with the threads of a block in several
// orders and streams out of step, or with the argument "gpu" a real one; with "wide" an emulated
// one that runs kernels with the tiles of a GPU.
#ifndef TESTS_CUDA_DEVICE_H
#define TESTS_CUDA_DEVICE_H

#include "cohort.h"

#include <dlfcn.h>

#include "engine/compute.h"

#ifndef SAMEBRAIN_EMULATED_MODULE // without a compiler for the emulation
#define SAMEBRAIN_EMULATED_MODULE NULL
#define SAMEBRAIN_WIDE_MODULE NULL
#endif

static bool real_device, wide;

// A module's context; the caller closes it.
static inline void *open_cuda(sb_precision precision, int64_t chunk, const sb_backend **backend) {
  const sb_backend_options options = {.threads = 1, .k_chunk = chunk, .precision = precision};
  void *context;
  assert_ok(sb_backend_find("cuda", backend));
  assert_ok((*backend)->open(&options, &context));
  return context;
}

// Chooses the module by a program's arguments. Returns what the program exits with where there is no
// device; else 0.
static inline int choose_device(int argc, char **argv) {
  enum { SKIPPED = 77 };
  real_device = argc > 1 && strcmp(argv[1], "gpu") == 0;
  wide = argc > 1 && strcmp(argv[1], "wide") == 0;
  const char *emulated_module = wide ? SAMEBRAIN_WIDE_MODULE : SAMEBRAIN_EMULATED_MODULE;
  if (!real_device && emulated_module != NULL) setenv("SAMEBRAIN_CUDA_MODULE", emulated_module, 1);
  sb_compute compute;
  const sb_status status = sb_compute_open("cuda", "auto", 1, 0, &compute);
  sb_compute_close(&compute);
  if (status.code == SB_OK) return 0;
  printf("%s: skipped: %s\n", argv[0], status.message);
  return SKIPPED;
}

// In the which-th order of a block's threads, and of streams (emulation/streams.h). False past the last;
// a real device, and wide tiles, have one.
static inline bool choose_order(int which) {
  static const char *const orders[][2] = {
      {"forward", ""}, {"reverse", "late"}, {"1", "0"}, {"2", "1"}, {"3", "2"}};
  if (which >= (real_device || wide ? 1 : (int)(sizeof orders / sizeof *orders))) return false;
  setenv("SAMEBRAIN_EMULATED_ORDER", orders[which][0], 1);
  setenv("SAMEBRAIN_EMULATED_STREAMS", orders[which][1], 1);
  return true;
}

// What the emulation tells of itself, by a function of the module (emulation/streams.h, memory.h).
static inline long long emulated(const char *name, int argument) {
  void *module = dlopen(getenv("SAMEBRAIN_CUDA_MODULE"), RTLD_NOW), *symbol;
  long long (*figure)(int) = NULL;
  assert_non_null(module);
  symbol = dlsym(module, name);
  memcpy(&figure, &symbol, sizeof figure);
  assert_non_null(figure);
  const long long told = figure(argument);
  dlclose(module);
  return told;
}

#endif
