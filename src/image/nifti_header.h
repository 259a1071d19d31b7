// A NIfTI-1 or NIfTI-2 header, checked: what is stored, how, where, and how it lies in space.
#ifndef SB_IMAGE_NIFTI_HEADER_H
#define SB_IMAGE_NIFTI_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/datatype.h"
#include "samebrain/volume.h"

enum { SB_NIFTI_HEADER_BYTES = 540 }; // of the longer kind

typedef struct sb_nifti_header {
  bool separate_data; // the voxels are in an .img file
  int64_t dims[3];
  const sb_datatype *datatype;
  sb_encoding encoding;
  int64_t data_offset, data_bytes;
  double affine[16]; // of the stored grid
  sb_orientation_source orientation;
  bool unit_doubted; // see sb_volume_info
} sb_nifti_header;

// Reads a header out of a file's first bytes (up to SB_NIFTI_HEADER_BYTES, as many as there are).
//   gzip  whether the file is compressed, for the message when this is no NIfTI file
// Errors: SB_FORMAT (no NIfTI header, or one that makes no sense), SB_UNSUPPORTED (a kind of image
// that is no brain scan: several volumes, RGB, complex, 2-D, ...).
sb_status sb_nifti_parse(const char *path, const unsigned char *head, size_t bytes, bool gzip,
                         sb_nifti_header *out);

#endif
