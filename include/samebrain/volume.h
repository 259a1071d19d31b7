// A 3-D image in memory: float voxels and where they are in the scanner's space.
#ifndef SAMEBRAIN_VOLUME_H
#define SAMEBRAIN_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/status.h"

// Voxel (i,j,k) is voxels[i + dims[0] * (j + dims[1] * k)]. `affine` is a row-major 4x4 matrix that
// takes (i,j,k,1) to RAS millimetres (x to the right, y to the front, z up).
typedef struct sb_volume {
  float *voxels; // owned; NULL when empty
  int64_t dims[3];
  double affine[16];
} sb_volume;

// Where the affine came from.
typedef enum sb_orientation_source {
  SB_FROM_SFORM = 0,
  SB_FROM_QFORM = 1,
  SB_ASSUMED = 2, // no code in the header: axes taken as LAS, origin at the centre of the grid
  SB_FROM_DISPUTED_SFORM = 3 // the sform, of which the qform is a mirror image
} sb_orientation_source;

// What loading found out about a file.
typedef struct sb_volume_info {
  sb_orientation_source orientation;
  int64_t nonfinite_voxels; // NaN and Inf in the file; they are 0 in the volume
  int64_t stored_dims[3];   // as stored, before reorientation
  double voxel_size_mm[3];  // along the volume's axes, after reorientation
  char stored_axes[4];      // the storage orientation, e.g. "LPS", of the file's i, j, k
  char datatype[16];        // the file's datatype, e.g. "int16"
  bool unit_doubted; // the header's unit of length would make no brain of the image; mm was assumed
} sb_volume_info;

// Reads a NIfTI-1 or NIfTI-2 image (.nii, .nii.gz, .hdr/.img and their .gz; either endianness; any
// scalar datatype; scl_slope and scl_inter applied, slope 0 meaning none) and stores it in the
// closest canonical RAS order: the axes are permuted and flipped, never resampled, and `affine`
// is that of the reordered grid. sform comes before qform; one that is singular, not finite or
// absurd counts as absent. Numbers are taken as metres or micrometres where the header says so
// (xyzt_units) and the image's longest side is then that of a brain scan, 80 to 1000 mm, or is not so in
// millimetres either. NaN and Inf become 0, and so do values beyond float's range. gzip is
// told by content, not by name; no memory is taken for voxels that the file does not hold.
//   path    the image file (for a pair, either of the two names)
//   volume  out; free with sb_volume_free
//   info    out; may be NULL
// Errors: SB_NOT_FOUND, SB_IO, SB_FORMAT (not NIfTI, truncated, dims that do not match the data),
// SB_UNSUPPORTED (more than one volume, RGB, complex, float128, 2-D, an axis below 8 voxels, more
// than 2^30 voxels, ANALYZE 7.5), SB_CONTENT (no finite voxel, all zero, constant), SB_NO_MEMORY.
SB_API sb_status sb_volume_load(const char *path, sb_volume *volume, sb_volume_info *info);

// What sb_volume_load would take, from the header alone.
//   voxels      out: of the volume
//   load_bytes  out: the most memory that loading holds at one time, the volume included
// Errors: those that the header or a missing file shows.
SB_API sb_status sb_volume_cost(const char *path, int64_t *voxels, int64_t *load_bytes);

// The SHA-256 of an image's file, in hexadecimal; of a .hdr/.img pair, by either name, that of the
// .img: headers of one scanner's scans can be the same bytes, voxels are not.
// Errors: SB_NOT_FOUND, SB_IO (also for what is no regular file, such as a pipe, which is not
// read), SB_FORMAT (empty), SB_NO_MEMORY.
SB_API sb_status sb_volume_sha256(const char *path, char hex[65]);

// Writes a NIfTI-1 float32 image (gzip when the name ends in .gz), sform and qform code 2
// ("aligned") where the affine allows a qform. The file appears under its name only when complete.
// Errors: SB_IO, SB_NO_MEMORY, SB_USAGE (empty volume, an axis beyond 32,767 voxels).
SB_API sb_status sb_volume_save(const sb_volume *volume, const char *path);

// Frees the voxels and empties the volume; a zeroed volume is fine.
SB_API void sb_volume_free(sb_volume *volume);

#endif
