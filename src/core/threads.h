// OpenMP, where it is: how many threads to use.
#ifndef SB_CORE_THREADS_H
#define SB_CORE_THREADS_H

// `requested` if positive, else the processors this process may use (OMP_NUM_THREADS respected).
int sb_thread_count(int requested);

// Lets threads that wait for each other sleep soon instead of spinning for milliseconds, which on a busy
// machine takes the processor from the very thread that is waited for. OpenMP asks the environment
// before main() begins, so the program starts itself anew, once; does nothing where the user has chosen.
void sb_wait_asleep(char **arguments);

#endif
