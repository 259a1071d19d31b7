#include "core/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

// Large blocks are asked for in huge pages: touching fresh memory page by page costs more than
// filling it.
enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

sb_status sb_alloc(size_t count, size_t size, const char *what, void **out) {
  *out = NULL;
  if (size != 0 && count > (SIZE_MAX - HUGE_PAGE) / size)
    return sb_error(SB_NO_MEMORY, "%s: %zu elements of %zu bytes do not fit in memory", what, count,
                    size);
  size_t bytes = count * size;
  if (bytes == 0) bytes = 1;
  const bool large = bytes >= 2 * (size_t)HUGE_PAGE;
  if (posix_memalign(out, large ? HUGE_PAGE : ALIGNMENT, bytes) != 0) {
    *out = NULL;
    return sb_error(SB_NO_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
  }
  if (large) madvise(*out, bytes, MADV_HUGEPAGE); // only a hint
  return sb_ok();
}

sb_status sb_alloc_zero(size_t count, size_t size, const char *what, void **out) {
  sb_status status = sb_alloc(count, size, what, out);
  if (*out != NULL) memset(*out, 0, count * size);
  return status;
}

int64_t sb_memory_bytes(int64_t wanted) {
  if (wanted > 0) return wanted;
  const int64_t four_gib = (int64_t)4 << 30;
  int64_t quarter = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE) / 4;
  return quarter > 0 && quarter < four_gib ? quarter : four_gib;
}

int64_t sb_resident_bytes(void) {
  long long size, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL) return 0;
  if (fscanf(file, "%lld %lld", &size, &resident) != 2) resident = 0;
  fclose(file);
  return (int64_t)resident * (int64_t)sysconf(_SC_PAGESIZE);
}

void sb_keep_freed(void) {
#ifdef __GLIBC__
  enum { KEPT_BYTES = 1 << 30, OWN_MAPPING_BYTES = 32 << 20 };
  mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
  mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
#endif
}

void sb_release_freed(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

char *sb_strdup(const char *text) {
  size_t bytes = strlen(text) + 1;
  char *copy = malloc(bytes);
  if (copy != NULL) memcpy(copy, text, bytes);
  return copy;
}

char *sb_format(const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (length < 0) return NULL;
  char *text = malloc((size_t)length + 1);
  if (text == NULL) return NULL;
  va_start(args, format);
  vsnprintf(text, (size_t)length + 1, format, args);
  va_end(args);
  return text;
}

void sb_prefer_large_pages(void *memory, size_t bytes) {
  const size_t large = (size_t)2 << 20, before = (large - (uintptr_t)memory % large) % large;
  if (bytes < before + large) return;
  madvise((char *)memory + before, (bytes - before) / large * large, MADV_HUGEPAGE);
}
