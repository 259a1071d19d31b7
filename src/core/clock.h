// Seconds, to tell how long something took.
#ifndef SB_CORE_CLOCK_H
#define SB_CORE_CLOCK_H

#include <time.h>

static inline double sb_clock_s(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// Wall time, since some moment.
static inline double sb_now_s(void) {
  return sb_clock_s(CLOCK_MONOTONIC);
}

// Processor time of this thread.
static inline double sb_thread_cpu_s(void) {
  return sb_clock_s(CLOCK_THREAD_CPUTIME_ID);
}

// Adds this thread's processor time since *since to what a step took, and starts the next one.
static inline void sb_lap(double *since, double *step) {
  const double now = sb_thread_cpu_s();
  *step += now - *since;
  *since = now;
}

#endif
