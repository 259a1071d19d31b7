// Wall and processor time of this process, its children included where they have ended.
#ifndef BENCH_CLOCKS_H
#define BENCH_CLOCKS_H

#include <sys/resource.h>

#include "core/clock.h"

typedef struct clocks {
  double wall, cpu;
} clocks;

static inline double cpu_of(const struct rusage *used) {
  return (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) +
         1e-6 * (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec);
}

static inline clocks clocks_now(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (clocks){sb_now_s(), cpu_of(&used)};
}

static inline clocks clocks_since(clocks start) {
  const clocks now = clocks_now();
  return (clocks){now.wall - start.wall, now.cpu - start.cpu};
}

#endif
