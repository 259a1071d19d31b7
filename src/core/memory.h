// Allocation with overflow checks, aligned for vector code.
#ifndef SB_CORE_MEMORY_H
#define SB_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "samebrain/status.h"

// An array of `count` elements of `size` bytes on a 64-byte boundary, uninitialised; free() it.
// *out is NULL on failure. `what` names the thing in the message ("image", "row", ...).
sb_status sb_alloc(size_t count, size_t size, const char *what, void **out);
// The same, zeroed.
sb_status sb_alloc_zero(size_t count, size_t size, const char *what, void **out);

// The memory that a command may take: `wanted` bytes, or where that is 0 or less the smaller of 4 GiB and a
// quarter of the machine's.
int64_t sb_memory_bytes(int64_t wanted);
// What this process holds now, from /proc; 0 where there is none.
int64_t sb_resident_bytes(void);

// Asks for large pages, for memory that is visited thousands of rows at a time, each in pages of its own.
// Advice: it may be refused.
void sb_prefer_large_pages(void *memory, size_t bytes);

// For programs that take scans one after the other, where images of some tens of megabytes come and go:
// memory that was asked for once is kept, since the system clears each page that it hands out.
void sb_keep_freed(void);

// Gives what was freed, and kept for later, back to the system. All threads wait for it.
void sb_release_freed(void);

// A copy of a string, free() it; NULL only when memory is short.
char *sb_strdup(const char *text);
// A formatted string of any length, free() it; NULL only when memory is short.
char *sb_format(const char *format, ...) SB_PRINTF(1, 2);

// Typed: SB_NEW(&pointer, count, "what").
#define SB_NEW(pointer, count, what)                                                               \
  sb_alloc((size_t)(count), sizeof **(pointer), (what), (void **)(pointer))
#define SB_NEW_ZERO(pointer, count, what)                                                          \
  sb_alloc_zero((size_t)(count), sizeof **(pointer), (what), (void **)(pointer))

// Go to the cleanup label of a function when a step failed.
#define SB_TRY(expression)                                                                         \
  do {                                                                                             \
    status = (expression);                                                                         \
    if (status.code != SB_OK) goto cleanup;                                                        \
  } while (0)

#endif
