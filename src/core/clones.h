// SB_CLONES: compile a function for several instruction sets and let the loader pick. Contraction
// is off and no sum is reordered, so every version gives the same bits. Sanitizers and ifunc do not
// mix.
#ifndef SB_CORE_CLONES_H
#define SB_CORE_CLONES_H

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&   \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SB_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SB_CLONES
#endif

#endif
