// Finds backends: the CPU's is part of the program, others are modules opened at run time, so that
// one program runs on machines with and without their libraries.
#include "engine/backend.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"

// ---- Modules ------------------------------------------------------------------------------------

// Where a module may be: beside this program or library, as in a build folder, or where the
// installation puts it, seen from the program's folder and from the library's. NULL past the last;
// free() the others.
static char *module_place(const char *name, int which) {
  static const char *const folders[] = {".", SAMEBRAIN_MODULES, "samebrain", NULL};
  Dl_info here;
  if (folders[which] == NULL || dladdr(&sb_backend_cpu, &here) == 0 || here.dli_fname == NULL)
    return NULL;
  // A program's own name may be relative to a folder that it has left, or found in PATH.
  char *real = realpath(here.dli_fname, NULL);
  if (real == NULL) real = realpath("/proc/self/exe", NULL);
  char *slash = real == NULL ? NULL : strrchr(real, '/'), *place = NULL;
  if (slash != NULL)
    place = sb_format("%.*s/%s/samebrain_%s.so", (int)(slash - real), real, folders[which], name);
  free(real);
  return place;
}

static sb_status open_module(const char *name, const char *path, const sb_backend **backend) {
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL); // stays open until the process ends
  if (module == NULL) return sb_error(SB_BACKEND, "backend %s: %s", name, dlerror());
  sb_module_entry entry = NULL;
  void *symbol = dlsym(module, SB_MODULE_ENTRY);
  memcpy(&entry, &symbol, sizeof entry); // C has no cast from an object's pointer to a function's
  *backend = entry != NULL ? entry(SB_MODULE_VERSION) : NULL;
  if (*backend != NULL) return sb_ok();
  dlclose(module);
  return sb_error(SB_BACKEND, "backend %s: %s is of another version of samebrain; install it anew",
                  name, path);
}

// Without a driver the module need not be opened: its libraries take a hundred megabytes. A driver that
// is there stays loaded, since the module is opened next.
static bool has_driver(void) {
  void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (driver != NULL) dlclose(driver);
  return driver != NULL;
}

static sb_status find_module(const char *name, const sb_backend **backend) {
  const char *given = getenv("SAMEBRAIN_CUDA_MODULE");
  if (given != NULL && given[0] != '\0') return open_module(name, given, backend);
  char *path;
  for (int which = 0; (path = module_place(name, which)) != NULL; which++) {
    if (access(path, R_OK) != 0) {
      free(path);
      continue;
    }
    sb_status status =
        has_driver() ? open_module(name, path, backend)
                     : sb_error(SB_BACKEND, "no GPU: there is no NVIDIA driver (libcuda.so.1)");
    free(path);
    return status;
  }
  return sb_error(SB_BACKEND,
                  "backend %s: its module samebrain_%s.so is not there: samebrain was built or "
                  "installed without it; use auto or cpu",
                  name, name);
}

sb_status sb_backend_find(const char *name, const sb_backend **backend) {
  *backend = NULL;
  if (strcmp(name, sb_backend_cpu.name) == 0) {
    *backend = &sb_backend_cpu;
    return sb_ok();
  }
  if (strcmp(name, "cuda") == 0) return find_module(name, backend);
  return sb_error(SB_USAGE, "there is no backend \"%s\"; there are: auto, cpu, cuda", name);
}
