// A scratch folder for a test or benchmark.
#ifndef SB_TESTS_SCRATCH_H
#define SB_TESTS_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"

// A new folder in $TMPDIR or /tmp, for remove_folder and free(); NULL where it cannot be made.
static inline char *scratch_folder(void) {
  const char *base = getenv("TMPDIR");
  char *path = sb_format("%s/samebrain-XXXXXX", base != NULL ? base : "/tmp");
  if (path != NULL && mkdtemp(path) != NULL) return path;
  free(path);
  return NULL;
}

static inline int remove_entry(const char *path, const struct stat *info, int kind,
                               struct FTW *place) {
  (void)info;
  (void)kind;
  (void)place;
  return remove(path);
}

// Removes a folder and all in it; links are removed, not followed. 0 when it is gone.
static inline int remove_folder(const char *path) {
  return path == NULL ? -1 : nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
