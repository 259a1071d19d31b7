// NIfTI out: a single-file NIfTI-1 image in this machine's byte order (sb_volume_save, _as), gzip
// when the name ends in .gz. The file is made in memory and appears under its name when complete.
#include "image/nifti_save.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>
#include <nifti2_io.h>

#include "core/file.h"
#include "core/memory.h"
#include "image/orient.h"

enum { DATA_OFFSET = 352, GZIP_LEVEL = 6 };

static const struct stored_type {
  int16_t code;
  int16_t bytes;
  double low, high; // of an integer type; both 0: not one
} stored_types[] = {
    [SB_SAVE_UINT8] = {NIFTI_TYPE_UINT8, 1, 0, UINT8_MAX},
    [SB_SAVE_INT16] = {NIFTI_TYPE_INT16, 2, INT16_MIN, INT16_MAX},
    [SB_SAVE_UINT16] = {NIFTI_TYPE_UINT16, 2, 0, UINT16_MAX},
    [SB_SAVE_FLOAT32] = {NIFTI_TYPE_FLOAT32, 4, 0, 0},
    [SB_SAVE_FLOAT64] = {NIFTI_TYPE_FLOAT64, 8, 0, 0},
};

// ---- Header -------------------------------------------------------------------------------------

// Rotation, voxel size and handedness as a quaternion. False when the affine has shear, which a
// quaternion cannot say.
static bool set_qform(const double affine[16], nifti_1_header *h) {
  nifti_dmat44 m;
  for (int row = 0; row < 4; row++) memcpy(m.m[row], affine + 4 * row, sizeof m.m[row]);
  double b, c, d, x, y, z, dx, dy, dz, qfac;
  nifti_dmat44_to_quatern(m, &b, &c, &d, &x, &y, &z, &dx, &dy, &dz, &qfac);
  nifti_dmat44 back = nifti_quatern_to_dmat44(b, c, d, x, y, z, dx, dy, dz, qfac);
  for (int i = 0; i < 12; i++)
    if (!(fabs(back.m[i / 4][i % 4] - affine[i]) <= 1e-4 * fmax(dx, fmax(dy, dz)))) return false;
  h->qform_code = NIFTI_XFORM_ALIGNED_ANAT;
  h->quatern_b = (float)b;
  h->quatern_c = (float)c;
  h->quatern_d = (float)d;
  h->qoffset_x = (float)x;
  h->qoffset_y = (float)y;
  h->qoffset_z = (float)z;
  h->pixdim[0] = (float)qfac;
  return true;
}

static void make_header(const sb_volume *v, const struct stored_type *type, double slope,
                        double inter, nifti_1_header *h) {
  memset(h, 0, sizeof *h);
  h->sizeof_hdr = sizeof *h;
  memcpy(h->magic, "n+1", 4);
  h->vox_offset = DATA_OFFSET;
  h->datatype = type->code;
  h->bitpix = (int16_t)(8 * type->bytes);
  h->scl_slope = (float)slope;
  h->scl_inter = (float)inter;
  h->xyzt_units = NIFTI_UNITS_MM;
  double size[3];
  sb_voxel_size(v->affine, size);
  h->dim[0] = 3;
  for (int i = 1; i < 8; i++) {
    h->dim[i] = i <= 3 ? (int16_t)v->dims[i - 1] : 1;
    h->pixdim[i] = i <= 3 ? (float)size[i - 1] : 0;
  }
  h->pixdim[0] = 1;
  h->sform_code = NIFTI_XFORM_ALIGNED_ANAT;
  for (int i = 0; i < 4; i++) {
    h->srow_x[i] = (float)v->affine[i];
    h->srow_y[i] = (float)v->affine[4 + i];
    h->srow_z[i] = (float)v->affine[8 + i];
  }
  set_qform(v->affine, h);
  snprintf(h->descrip, sizeof h->descrip, "samebrain %s", sb_version());
}

// ---- Voxels -------------------------------------------------------------------------------------

static double quantised(double value, const struct stored_type *type, double slope, double inter) {
  if (isnan(value)) value = 0;
  double stored = nearbyint((value - inter) / slope);
  return fmin(fmax(stored, type->low), type->high);
}

#define STORE(type_name, expression)                                                               \
  for (int64_t i = 0; i < count; i++) {                                                            \
    type_name stored = (type_name)(expression);                                                    \
    memcpy(out + (int64_t)sizeof stored * i, &stored, sizeof stored);                              \
  }                                                                                                \
  break

static void store_voxels(const sb_volume *v, sb_save_type type, double slope, double inter,
                         char *out) {
  const struct stored_type *t = &stored_types[type];
  const float *in = v->voxels;
  const int64_t count = v->dims[0] * v->dims[1] * v->dims[2];
  switch (type) {
  case SB_SAVE_UINT8:
    STORE(uint8_t, quantised(in[i], t, slope, inter));
  case SB_SAVE_INT16:
    STORE(int16_t, quantised(in[i], t, slope, inter));
  case SB_SAVE_UINT16:
    STORE(uint16_t, quantised(in[i], t, slope, inter));
  case SB_SAVE_FLOAT32:
    STORE(float, ((double)in[i] - inter) / slope);
  case SB_SAVE_FLOAT64:
    STORE(double, ((double)in[i] - inter) / slope);
  }
}

// ---- The file -----------------------------------------------------------------------------------

static sb_status compress(const char *path, char **data, size_t *bytes) {
  sb_status status;
  char *packed = NULL;
  struct libdeflate_compressor *deflater = libdeflate_alloc_compressor(GZIP_LEVEL);
  if (deflater == NULL) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory for compressing", path);
    goto cleanup;
  }
  size_t bound = libdeflate_gzip_compress_bound(deflater, *bytes);
  SB_TRY(SB_NEW(&packed, bound, path));
  *bytes = libdeflate_gzip_compress(deflater, *data, *bytes, packed, bound);
  free(*data);
  *data = packed;
cleanup:
  libdeflate_free_compressor(deflater);
  return status;
}

static sb_status check(const sb_volume *v, const char *path, double slope, double inter) {
  if (v->voxels == NULL || v->dims[0] < 1 || v->dims[1] < 1 || v->dims[2] < 1)
    return sb_error(SB_USAGE, "%s: an empty volume cannot be saved", path);
  for (int i = 0; i < 3; i++)
    if (v->dims[i] > INT16_MAX)
      return sb_error(SB_USAGE, "%s: %lld voxels along an axis, where NIfTI-1 takes at most %d",
                      path, (long long)v->dims[i], INT16_MAX);
  if (!isfinite(slope) || slope == 0 || !isfinite(inter))
    return sb_error(SB_USAGE, "%s: cannot save with slope %g and intercept %g", path, slope, inter);
  return sb_ok();
}

sb_status sb_volume_save_as(const sb_volume *volume, const char *path, sb_save_type type,
                            double slope, double inter) {
  sb_status status;
  char *data = NULL;
  SB_TRY(check(volume, path, slope, inter));
  const struct stored_type *stored = &stored_types[type];
  int64_t voxels = volume->dims[0] * volume->dims[1] * volume->dims[2];
  size_t bytes = DATA_OFFSET + (size_t)voxels * (size_t)stored->bytes;
  nifti_1_header header;
  SB_TRY(SB_NEW(&data, bytes, path));
  // The header holds floats: voxels are stored by the numbers that a reader will use.
  make_header(volume, stored, slope, inter, &header);
  memset(data, 0, DATA_OFFSET);
  memcpy(data, &header, sizeof header);
  store_voxels(volume, type, (double)header.scl_slope, (double)header.scl_inter,
               data + DATA_OFFSET);
  if (sb_ends_with(path, ".gz")) SB_TRY(compress(path, &data, &bytes));
  SB_TRY(sb_write_file(path, data, bytes));
cleanup:
  free(data);
  return status;
}

sb_status sb_volume_save(const sb_volume *volume, const char *path) {
  return sb_volume_save_as(volume, path, SB_SAVE_FLOAT32, 1, 0);
}
