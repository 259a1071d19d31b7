// NIfTI's datatypes: names, sizes, and rows of stored numbers turned into float.
#ifndef SB_IMAGE_DATATYPE_H
#define SB_IMAGE_DATATYPE_H

#include <stdbool.h>
#include <stdint.h>

// How stored numbers become values: value = stored * slope + inter.
typedef struct sb_encoding {
  bool swapped; // the file has the other byte order
  double slope, inter;
} sb_encoding;

// `raw` may have any alignment. Values beyond float's range become infinite.
typedef void (*sb_row_decoder)(const unsigned char *raw, int64_t n, const sb_encoding *encoding,
                               float *out);

typedef struct sb_datatype {
  int code;   // NIFTI_TYPE_*
  bool whole; // numbers: always finite
  const char *name;
  int64_t bytes;         // of one voxel
  sb_row_decoder decode; // NULL: not a type that a scan can be read from
} sb_datatype;

// NULL for a code that NIfTI does not have.
const sb_datatype *sb_datatype_find(int code);

#endif
