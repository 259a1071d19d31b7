// NumPy's .npy files: a fixed 128-byte header (format version 1.0), then the array in C order.
#ifndef SB_CORE_NPY_H
#define SB_CORE_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "samebrain/status.h"

enum { SB_NPY_HEADER = 128 };

// An array of at most two dimensions; columns 0 means one dimension of `rows` elements.
typedef struct sb_npy {
  char type[4]; // "<f2", "<f4", "<f8", "<i8", "|u1"
  int64_t rows, columns;
} sb_npy;

// Writes the header of `array` into 128 bytes.
void sb_npy_format(const sb_npy *array, char header[SB_NPY_HEADER]);
// Reads one back, also as NumPy itself writes it (any length up to 65,535 bytes).
//   data, bytes    the file's beginning, at least its header
//   data_offset    out: where the array starts
// Errors: SB_FORMAT (not .npy, Fortran order, another type or number of dimensions, rows without
// elements, more elements than a file can hold).
sb_status sb_npy_parse(const char *path, const char *data, size_t bytes, sb_npy *array,
                       int64_t *data_offset);
// Bytes of one element: 1, 2, 4 or 8.
int64_t sb_npy_item_bytes(const sb_npy *array);

#endif
