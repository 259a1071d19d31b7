#include "core/threads.h"

#include <stdlib.h>
#include <unistd.h>

#include <omp.h>

int sb_thread_count(int requested) {
  return requested > 0 ? requested : omp_get_max_threads();
}

void sb_wait_asleep(char **arguments) {
  static const char *const names[] = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (getenv(names[i]) != NULL) return;
  // About 10 microseconds. If the new start fails, this one goes on.
  if (setenv(names[0], "10000", 1) == 0) execv("/proc/self/exe", arguments);
}
