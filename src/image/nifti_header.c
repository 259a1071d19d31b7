// NIfTI headers (see nifti_header.h). nifticlib swaps bytes and turns quaternions into matrices;
// its own conversion of a header prints to stderr and keeps no reason, so the fields are checked
// here.
#include "image/nifti_header.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include <nifti2_io.h>

#include "core/file.h"
#include "core/geometry.h"
#include "image/orient.h"

static const int64_t FEWEST_VOXELS = 8;              // along an axis
static const int64_t MOST_VOXELS = INT64_C(1) << 30; // in the grid: 1024^3

// ---- Not NIfTI: what is it then -----------------------------------------------------------------

static bool starts_with(const unsigned char *head, size_t bytes, const char *text) {
  size_t length = strlen(text);
  return bytes >= length && memcmp(head, text, length) == 0;
}

static bool is_text(const unsigned char *head, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (head[i] < 0x80 && !isprint(head[i]) && !isspace(head[i])) return false;
  return true;
}

static sb_status not_nifti(const char *path, const unsigned char *head, size_t bytes, bool gzip) {
  const char *what = "no NIfTI-1 or NIfTI-2 header in it";
  const char *hint = "convert it to NIfTI first";
  if (bytes == 0) {
    what = "it unpacks to nothing";
    hint = "fetch the file again";
  } else if (starts_with(head, bytes, "version https://git-lfs")) {
    what = "a Git LFS pointer in its place";
    hint = "fetch the file with 'git lfs pull'";
  } else if (starts_with(head, bytes, "/annex/objects")) {
    what = "a git-annex pointer in its place";
    hint = "fetch the file with 'datalad get'";
  } else if (bytes >= 132 && memcmp(head + 128, "DICM", 4) == 0) {
    what = "it is a DICOM file";
    hint = "convert the series with dcm2niix";
  } else if (sb_ends_with(path, ".mgz") || sb_ends_with(path, ".mgh")) {
    what = "it is a FreeSurfer file";
    hint = "convert it with mri_convert";
  } else if (is_text(head, bytes)) {
    what = "it holds text (a web page or a message in its place?)";
    hint = "fetch the file again";
  } else if (bytes < sizeof(nifti_1_header)) {
    what = "it is too short for a header";
    hint = "fetch the file again";
  }
  return sb_error(SB_FORMAT, "%s: not a NIfTI image%s: %s; %s", path,
                  sb_ends_with(path, ".gz") && !gzip ? ", nor gzip as its name says" : "", what,
                  hint);
}

// ---- Two versions, two byte orders, one struct
// ----------------------------------------------------

static void widen(const nifti_1_header *h, nifti_2_header *out) {
  memset(out, 0, sizeof *out);
  memcpy(out->magic, h->magic, sizeof h->magic);
  out->datatype = h->datatype;
  for (int i = 0; i < 8; i++) {
    out->dim[i] = h->dim[i];
    out->pixdim[i] = h->pixdim[i];
  }
  // Out of int64's range or no number at all: -1, refused later.
  out->vox_offset = h->vox_offset >= 0 && h->vox_offset < 1e15f ? (int64_t)h->vox_offset : -1;
  out->scl_slope = h->scl_slope;
  out->scl_inter = h->scl_inter;
  out->xyzt_units = (unsigned char)h->xyzt_units;
  out->qform_code = h->qform_code;
  out->sform_code = h->sform_code;
  out->quatern_b = h->quatern_b;
  out->quatern_c = h->quatern_c;
  out->quatern_d = h->quatern_d;
  out->qoffset_x = h->qoffset_x;
  out->qoffset_y = h->qoffset_y;
  out->qoffset_z = h->qoffset_z;
  for (int i = 0; i < 4; i++) {
    out->srow_x[i] = h->srow_x[i];
    out->srow_y[i] = h->srow_y[i];
    out->srow_z[i] = h->srow_z[i];
  }
}

static sb_status unpack_1(const char *path, const unsigned char *head, bool swapped,
                          nifti_2_header *out, bool *separate) {
  nifti_1_header h;
  memcpy(&h, head, sizeof h);
  if (swapped) nifti_swap_as_nifti1(&h);
  bool single = memcmp(h.magic, "n+1", 4) == 0;
  *separate = memcmp(h.magic, "ni1", 4) == 0;
  if (!single && !*separate)
    return sb_error(SB_UNSUPPORTED,
                    "%s: an ANALYZE 7.5 header (or a NIfTI-1 header without its magic), which does "
                    "not say left from right; convert it to NIfTI first",
                    path);
  widen(&h, out);
  return sb_ok();
}

static sb_status unpack_2(const char *path, const unsigned char *head, bool swapped,
                          nifti_2_header *out, bool *separate) {
  memcpy(out, head, sizeof *out);
  if (swapped) nifti_swap_as_nifti2(out);
  bool single = memcmp(out->magic, "n+2\0\r\n\032\n", 8) == 0;
  *separate = memcmp(out->magic, "ni2\0\r\n\032\n", 8) == 0;
  if (single || *separate) return sb_ok();
  return sb_error(SB_FORMAT,
                  "%s: the NIfTI-2 header is damaged (its magic is wrong, as after a transfer in "
                  "text mode); fetch the file again",
                  path);
}

static sb_status unpack(const char *path, const unsigned char *head, size_t bytes, bool gzip,
                        nifti_2_header *out, bool *swapped, bool *separate) {
  uint32_t size = 0;
  if (bytes >= sizeof size) memcpy(&size, head, sizeof size);
  const uint32_t one = sizeof(nifti_1_header), two = sizeof(nifti_2_header);
  *swapped = size == __builtin_bswap32(one) || size == __builtin_bswap32(two);
  if (*swapped) size = __builtin_bswap32(size);
  if (size == one && bytes >= one) return unpack_1(path, head, *swapped, out, separate);
  if (size == two && bytes >= two) return unpack_2(path, head, *swapped, out, separate);
  return not_nifti(path, head, bytes, gzip);
}

// ---- What is stored -----------------------------------------------------------------------------

static sb_status check_dims(const char *path, const nifti_2_header *h, int64_t dims[3]) {
  if (h->dim[0] < 1 || h->dim[0] > 7)
    return sb_error(SB_FORMAT, "%s: the header is damaged: %lld dimensions; fetch the file again",
                    path, (long long)h->dim[0]);
  int64_t voxels = 1, volumes = 1;
  for (int d = 1; d <= (int)h->dim[0]; d++) {
    int64_t n = h->dim[d];
    if (n < 0 || (n == 0 && d <= 3))
      return sb_error(SB_FORMAT,
                      "%s: the header is damaged: %lld voxels along axis %d; fetch the file again",
                      path, (long long)n, d);
    if (n == 0) n = 1; // an unused dimension, as some writers have it
    int64_t *product = d <= 3 ? &voxels : &volumes;
    if (n > MOST_VOXELS / *product)
      return sb_error(SB_UNSUPPORTED,
                      "%s: the header asks for more than %lld voxels, far beyond a brain scan",
                      path, (long long)MOST_VOXELS);
    *product *= n;
  }
  for (int d = 0; d < 3; d++) dims[d] = h->dim[0] > d ? h->dim[d + 1] : 1;
  if (volumes > 1)
    return sb_error(SB_UNSUPPORTED,
                    "%s: holds %lld volumes, where one 3-D scan is needed; take one out first (for "
                    "instance with fslroi)",
                    path, (long long)volumes);
  for (int d = 0; d < 3; d++)
    if (dims[d] < FEWEST_VOXELS)
      return sb_error(SB_UNSUPPORTED,
                      "%s: %lld x %lld x %lld voxels are %s; a 3-D scan of at least %lld voxels "
                      "along each axis is needed",
                      path, (long long)dims[0], (long long)dims[1], (long long)dims[2],
                      dims[d] == 1 ? "a 2-D image" : "too few for a brain",
                      (long long)FEWEST_VOXELS);
  return sb_ok();
}

static sb_status check_datatype(const char *path, int code, const sb_datatype **type) {
  *type = sb_datatype_find(code);
  if (*type == NULL && code != DT_BINARY)
    return sb_error(SB_FORMAT,
                    "%s: the header is damaged: unknown datatype %d; fetch the file again", path,
                    code);
  if (*type == NULL || (*type)->decode == NULL)
    return sb_error(SB_UNSUPPORTED,
                    "%s: voxels of type %s; a scan of one real number per voxel is needed: convert "
                    "it to float32 or an integer type",
                    path, *type == NULL ? "binary" : (*type)->name);
  return sb_ok();
}

static sb_status locate_data(const char *path, const nifti_2_header *h, bool version_1,
                             sb_nifti_header *out) {
  int64_t voxels = out->dims[0] * out->dims[1] * out->dims[2];
  int64_t first = out->separate_data ? 0 : version_1 ? 352 : 544; // header and extension flag
  out->data_bytes = voxels * out->datatype->bytes;
  out->data_offset = h->vox_offset > first ? h->vox_offset : first;
  if (h->vox_offset < 0 || h->vox_offset > INT64_MAX / 2)
    return sb_error(
        SB_FORMAT,
        "%s: the header is damaged: its voxels cannot start at byte %lld; fetch the file "
        "again",
        path, (long long)h->vox_offset);
  return sb_ok();
}

// ---- Where it lies ------------------------------------------------------------------------------

static bool plausible_spacing(double mm) {
  return mm > 1e-6 && mm < 1e6;
}

// Numbers that make sense as millimetres, and columns far from lying in one plane.
static bool usable(const double affine[16]) {
  double size[3];
  sb_voxel_size(affine, size);
  for (int i = 0; i < 3; i++)
    if (!plausible_spacing(size[i]) || !(fabs(affine[4 * i + 3]) < 1e9)) return false;
  double determinant = sb_affine_determinant(affine);
  return fabs(determinant) > 1e-4 * size[0] * size[1] * size[2];
}

static bool affine_from_sform(const nifti_2_header *h, double affine[16]) {
  if (h->sform_code <= 0) return false;
  memcpy(affine, h->srow_x, sizeof h->srow_x);
  memcpy(affine + 4, h->srow_y, sizeof h->srow_y);
  memcpy(affine + 8, h->srow_z, sizeof h->srow_z);
  return usable(affine);
}

static double voxel_spacing(const nifti_2_header *h, int axis) {
  double spacing = fabs(h->pixdim[axis + 1]);
  return plausible_spacing(spacing) ? spacing : 1;
}

static bool affine_from_qform(const nifti_2_header *h, double affine[16]) {
  double b = h->quatern_b, c = h->quatern_c, d = h->quatern_d;
  if (h->qform_code <= 0 || !isfinite(b * b + c * c + d * d)) return false;
  nifti_dmat44 m = nifti_quatern_to_dmat44(b, c, d, h->qoffset_x, h->qoffset_y, h->qoffset_z,
                                           voxel_spacing(h, 0), voxel_spacing(h, 1),
                                           voxel_spacing(h, 2), h->pixdim[0] < 0 ? -1.0 : 1.0);
  for (int row = 0; row < 4; row++) memcpy(affine + 4 * row, m.m[row], sizeof m.m[row]);
  return usable(affine);
}

// As ANALYZE files, whose headers have no orientation either, are read by most programs: the first
// axis runs from right to left.
static void affine_assumed(const nifti_2_header *h, const int64_t dims[3], double affine[16]) {
  sb_affine_identity(affine);
  for (int axis = 0; axis < 3; axis++) {
    double spacing = voxel_spacing(h, axis);
    affine[5 * axis] = spacing;
    affine[4 * axis + 3] = -spacing * (double)(dims[axis] - 1) / 2;
  }
  affine[0] = -affine[0];
  affine[3] = -affine[3];
}

// Whether one of the two is a mirror image of the other: readers of the one and of the other then take
// different sides for the left.
static bool are_mirrored(const double a[16], const double b[16]) {
  return sb_affine_determinant(a) * sb_affine_determinant(b) < 0;
}

static void find_affine(const nifti_2_header *h, sb_nifti_header *out) {
  double other[16];
  sb_affine_identity(out->affine);
  sb_affine_identity(other);
  if (affine_from_sform(h, out->affine)) {
    const bool disputed = affine_from_qform(h, other) && are_mirrored(out->affine, other);
    out->orientation = disputed ? SB_FROM_DISPUTED_SFORM : SB_FROM_SFORM;
  } else if (affine_from_qform(h, out->affine)) {
    out->orientation = SB_FROM_QFORM;
  } else {
    out->orientation = SB_ASSUMED;
    affine_assumed(h, out->dims, out->affine);
  }
}

// Millimetres in the header's unit of length; one that it does not name is the millimetre.
static double unit_mm(const nifti_2_header *h) {
  switch (XYZT_TO_SPACE(h->xyzt_units)) {
  case NIFTI_UNITS_METER:
    return 1000;
  case NIFTI_UNITS_MICRON:
    return 1e-3;
  default:
    return 1;
  }
}

static bool plausible_side(double mm) {
  return mm >= 80 && mm <= 1000; // the longest of a scan of a brain or a head
}

// Takes the affine from the header's unit to millimetres. Many headers name a unit that their numbers are
// not in: it is not believed where millimetres make a scan of a brain, and it does not.
static void apply_unit(const nifti_2_header *h, sb_nifti_header *out) {
  const double unit = unit_mm(h);
  double size[3], side = 0;
  sb_voxel_size(out->affine, size);
  for (int i = 0; i < 3; i++) side = fmax(side, size[i] * (double)out->dims[i]);
  out->unit_doubted = unit != 1 && plausible_side(side) && !plausible_side(side * unit);
  if (out->unit_doubted) return;
  for (int i = 0; i < 12; i++) out->affine[i] *= unit;
}

sb_status sb_nifti_parse(const char *path, const unsigned char *head, size_t bytes, bool gzip,
                         sb_nifti_header *out) {
  memset(out, 0, sizeof *out);
  nifti_2_header h = {0};
  bool swapped = false;
  sb_status status = unpack(path, head, bytes, gzip, &h, &swapped, &out->separate_data);
  if (status.code == SB_OK) status = check_dims(path, &h, out->dims);
  if (status.code == SB_OK) status = check_datatype(path, h.datatype, &out->datatype);
  if (status.code == SB_OK) status = locate_data(path, &h, h.magic[2] == '1', out);
  if (status.code != SB_OK) return status;
  bool scaled = isfinite(h.scl_slope) && h.scl_slope != 0;
  out->encoding.swapped = swapped;
  out->encoding.slope = scaled ? h.scl_slope : 1;
  out->encoding.inter = scaled && isfinite(h.scl_inter) ? h.scl_inter : 0;
  find_affine(&h, out);
  apply_unit(&h, out);
  return status;
}
