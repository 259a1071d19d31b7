#include "engine/backend.h"

#include <string.h>

sb_status sb_backend_find(const char *name, const sb_backend **backend) {
  *backend = NULL;
  if (name == NULL || strcmp(name, "auto") == 0 || strcmp(name, sb_backend_cpu.name) == 0) {
    *backend = &sb_backend_cpu;
    return sb_ok();
  }
  if (strcmp(name, "cuda") == 0)
    return sb_error(SB_BACKEND, "backend cuda is not in this build; use auto or cpu");
  return sb_error(SB_USAGE, "there is no backend \"%s\"; there are: auto, cpu", name);
}
