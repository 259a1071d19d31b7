// OpenMP, where it is: how many threads to use.
#ifndef SB_CORE_THREADS_H
#define SB_CORE_THREADS_H

// `requested` if positive, else the processors this process may use (OMP_NUM_THREADS respected).
int sb_thread_count(int requested);

#endif
