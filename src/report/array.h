// A .npy file read line by line, so that a matrix of any size takes the memory of one line.
#ifndef SB_REPORT_ARRAY_H
#define SB_REPORT_ARRAY_H

#include <stdio.h>

#include "core/npy.h"

typedef struct sb_array {
  FILE *file;
  char *path;
  sb_npy shape; // an array of one dimension is one line
} sb_array;

// Errors: SB_NOT_FOUND, SB_IO, SB_FORMAT (another type).
sb_status sb_array_open(const char *path, const char *type, sb_array *out);
// The next line's elements. Errors: SB_FORMAT (the file ends too early).
sb_status sb_array_next(sb_array *array, void *line);
void sb_array_close(sb_array *array); // a zeroed one is fine

#endif
