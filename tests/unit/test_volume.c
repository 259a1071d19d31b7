// Loading and saving NIfTI. Files are made here by hand from the header structs, byte by byte, so
// that the loader is never judged by the saver.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <nifti2_io.h>
#include <zlib.h>

#include "core/file.h"
#include "core/memory.h"
#include "image/nifti_save.h"
#include "image/orient.h"
#include "samebrain/volume.h"
#include "scratch.h"

// ---- Scratch files ------------------------------------------------------------------------------

static char *scratch;

static int make_scratch(void **state) {
  (void)state;
  scratch = scratch_folder();
  return scratch == NULL;
}

static int remove_scratch(void **state) {
  (void)state;
  const int result = remove_folder(scratch);
  free(scratch);
  return result;
}

static const char *in_scratch(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", scratch, name);
  return path;
}

static void write_bytes(const char *name, const void *data, size_t bytes) {
  FILE *file = fopen(in_scratch(name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
}

// One gzip member; "ab" appends another.
static void write_gzip(const char *name, const char *mode, const void *data, size_t bytes) {
  gzFile file = gzopen(in_scratch(name), mode);
  assert_non_null(file);
  assert_int_equal(gzwrite(file, data, (unsigned)bytes), bytes);
  assert_int_equal(gzclose(file), Z_OK);
}

static void write_packed(const char *name, const void *data, size_t bytes) {
  if (sb_ends_with(name, ".gz"))
    write_gzip(name, "wb", data, bytes);
  else
    write_bytes(name, data, bytes);
}

// ---- Files made by hand
// ---------------------------------------------------------------------------

// The image that most tests store: 9 x 10 x 11, no symmetry, values that every datatype can hold.
enum { NX = 9, NY = 10, NZ = 11, COUNT = NX * NY * NZ };
static const double tilted[12] = {-0.9, 0.1, 0.05, 30, 0.08, 1.1, -0.1, -40, 0.02, 0.12, 1.3, 7};

static double pattern(int64_t i, int64_t j, int64_t k) {
  return (double)((i * 7 + j * 13 + k * 29) % 97);
}

// What goes into a file; plain() gives a good one, tests spoil it.
typedef struct recipe {
  int version;  // 1 or 2
  bool swapped; // the other byte order
  bool pair;    // header and voxels in two files
  int datatype, item_bytes;
  int64_t dim[8];
  double pixdim[8], slope, inter;
  int64_t offset; // of the voxels
  int sform_code, qform_code, units;
  double sform[12], quatern[3], qoffset[3];
  const double *values; // NULL: the pattern
} recipe;

static recipe plain(void) {
  recipe r = {.version = 1, .datatype = DT_INT16, .item_bytes = 2, .offset = 352, .sform_code = 1};
  const int64_t dim[8] = {3, NX, NY, NZ, 1, 1, 1, 1};
  memcpy(r.dim, dim, sizeof dim);
  for (int i = 0; i < 8; i++) r.pixdim[i] = 1;
  memcpy(r.sform, tilted, sizeof tilted);
  return r;
}

static void reverse(void *item, size_t bytes) {
  unsigned char *p = item;
  for (size_t i = 0; i < bytes / 2; i++) {
    unsigned char kept = p[i];
    p[i] = p[bytes - 1 - i];
    p[bytes - 1 - i] = kept;
  }
}

static void reverse_items(void *items, size_t bytes, size_t count) {
  for (size_t i = 0; i < count; i++) reverse((char *)items + i * bytes, bytes);
}

#define REVERSE(field) reverse(&(field), sizeof(field))
#define REVERSE_ALL(field) reverse_items((field), sizeof *(field), sizeof(field) / sizeof *(field))

// The fields that both versions have, by name.
#define FILL_COMMON(h, r, real)                                                                    \
  do {                                                                                             \
    (h).sizeof_hdr = (int)sizeof(h);                                                               \
    (h).datatype = (short)(r)->datatype;                                                           \
    (h).bitpix = (short)(8 * (r)->item_bytes);                                                     \
    (h).scl_slope = (real)(r)->slope;                                                              \
    (h).scl_inter = (real)(r)->inter;                                                              \
    (h).sform_code = (short)(r)->sform_code;                                                       \
    (h).qform_code = (short)(r)->qform_code;                                                       \
    (h).xyzt_units = (__typeof__((h).xyzt_units))(r)->units;                                       \
    (h).quatern_b = (real)(r)->quatern[0];                                                         \
    (h).quatern_c = (real)(r)->quatern[1];                                                         \
    (h).quatern_d = (real)(r)->quatern[2];                                                         \
    (h).qoffset_x = (real)(r)->qoffset[0];                                                         \
    (h).qoffset_y = (real)(r)->qoffset[1];                                                         \
    (h).qoffset_z = (real)(r)->qoffset[2];                                                         \
    for (int a = 0; a < 8; a++) (h).pixdim[a] = (real)(r)->pixdim[a];                              \
    for (int a = 0; a < 4; a++) {                                                                  \
      (h).srow_x[a] = (real)(r)->sform[a];                                                         \
      (h).srow_y[a] = (real)(r)->sform[4 + a];                                                     \
      (h).srow_z[a] = (real)(r)->sform[8 + a];                                                     \
    }                                                                                              \
    if (!(r)->swapped) break;                                                                      \
    REVERSE((h).sizeof_hdr);                                                                       \
    REVERSE((h).datatype);                                                                         \
    REVERSE((h).bitpix);                                                                           \
    REVERSE((h).vox_offset);                                                                       \
    REVERSE((h).scl_slope);                                                                        \
    REVERSE((h).scl_inter);                                                                        \
    REVERSE((h).sform_code);                                                                       \
    REVERSE((h).qform_code);                                                                       \
    REVERSE((h).xyzt_units);                                                                       \
    REVERSE((h).quatern_b);                                                                        \
    REVERSE((h).quatern_c);                                                                        \
    REVERSE((h).quatern_d);                                                                        \
    REVERSE((h).qoffset_x);                                                                        \
    REVERSE((h).qoffset_y);                                                                        \
    REVERSE((h).qoffset_z);                                                                        \
    REVERSE_ALL((h).dim);                                                                          \
    REVERSE_ALL((h).pixdim);                                                                       \
    REVERSE_ALL((h).srow_x);                                                                       \
    REVERSE_ALL((h).srow_y);                                                                       \
    REVERSE_ALL((h).srow_z);                                                                       \
  } while (0)

static size_t make_header(const recipe *r, char *out) {
  if (r->version == 1) {
    nifti_1_header h;
    memset(&h, 0, sizeof h);
    memcpy(h.magic, r->pair ? "ni1" : "n+1", 4);
    h.vox_offset = (float)(r->pair ? 0 : r->offset);
    for (int a = 0; a < 8; a++) h.dim[a] = (short)r->dim[a];
    FILL_COMMON(h, r, float);
    memcpy(out, &h, sizeof h);
    return sizeof h;
  }
  nifti_2_header h;
  memset(&h, 0, sizeof h);
  memcpy(h.magic, r->pair ? "ni2\0\r\n\032\n" : "n+2\0\r\n\032\n", 8);
  h.vox_offset = r->pair ? 0 : r->offset;
  for (int a = 0; a < 8; a++) h.dim[a] = r->dim[a];
  FILL_COMMON(h, r, double);
  memcpy(out, &h, sizeof h);
  return sizeof h;
}

#define PUT(type)                                                                                  \
  do {                                                                                             \
    type item = (type)value;                                                                       \
    memcpy(out, &item, sizeof item);                                                               \
  } while (0)

static void put_value(int datatype, double value, char *out) {
  switch (datatype) {
  case DT_UINT8:
    PUT(uint8_t);
    break;
  case DT_INT8:
    PUT(int8_t);
    break;
  case DT_UINT16:
    PUT(uint16_t);
    break;
  case DT_INT16:
    PUT(int16_t);
    break;
  case DT_UINT32:
    PUT(uint32_t);
    break;
  case DT_INT32:
    PUT(int32_t);
    break;
  case DT_UINT64:
    PUT(uint64_t);
    break;
  case DT_INT64:
    PUT(int64_t);
    break;
  case DT_FLOAT32:
    PUT(float);
    break;
  case DT_FLOAT64:
    PUT(double);
    break;
  default:
    memset(out, 1, 1);
    break; // a type that is refused: any bytes will do
  }
}

static void put_voxels(const recipe *r, char *out) {
  for (int64_t k = 0, n = 0; k < NZ; k++)
    for (int64_t j = 0; j < NY; j++)
      for (int64_t i = 0; i < NX; i++, n++) {
        char *at = out + n * r->item_bytes;
        put_value(r->datatype, r->values != NULL ? r->values[n] : pattern(i, j, k), at);
        if (r->swapped) reverse(at, (size_t)r->item_bytes);
      }
}

// A single file in memory (header, padding, COUNT voxels); free() it.
static char *make_file(const recipe *r, size_t *bytes) {
  *bytes = (size_t)(r->offset + COUNT * r->item_bytes);
  char *data = calloc(1, *bytes + 1024);
  assert_non_null(data);
  make_header(r, data);
  put_voxels(r, data + r->offset);
  return data;
}

static const char *write_recipe(const recipe *r, const char *name) {
  size_t bytes;
  char *data = make_file(r, &bytes);
  write_packed(name, data, bytes);
  free(data);
  return in_scratch(name);
}

static void write_pair(recipe r, const char *header_name, const char *image_name) {
  char header[1024] = {0};
  r.pair = true;
  write_packed(header_name, header, make_header(&r, header));
  size_t bytes = (size_t)r.item_bytes * COUNT;
  char *voxels = calloc(1, bytes);
  assert_non_null(voxels);
  put_voxels(&r, voxels);
  write_packed(image_name, voxels, bytes);
  free(voxels);
}

// ---- What must come out
// ---------------------------------------------------------------------------

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s", status.message);
}

// cmocka's own comparison is in single precision.
static void assert_near(double value, double expected, double tolerance) {
  if (!(fabs(value - expected) <= tolerance)) fail_msg("%.12g, not %.12g", value, expected);
}

static void assert_affine(const double *affine, const double *expected, int count) {
  for (int i = 0; i < count; i++)
    if (!(fabs(affine[i] - expected[i]) < 1e-5))
      fail_msg("affine[%d] is %g, not %g", i, affine[i], expected[i]);
}

// The pattern, stored with `tilted` (x runs to the left), as it must come out: x reversed.
static void assert_pattern(const sb_volume *v, double slope, double inter) {
  assert_int_equal(v->dims[0], NX);
  assert_int_equal(v->dims[1], NY);
  assert_int_equal(v->dims[2], NZ);
  for (int64_t k = 0, n = 0; k < NZ; k++)
    for (int64_t j = 0; j < NY; j++)
      for (int64_t i = 0; i < NX; i++, n++)
        assert_near((double)v->voxels[n], pattern(NX - 1 - i, j, k) * slope + inter, 1e-6);
  double expected[12];
  memcpy(expected, tilted, sizeof tilted);
  for (int row = 0; row < 3; row++) {
    expected[4 * row] = -tilted[4 * row];
    expected[4 * row + 3] = tilted[4 * row + 3] + (NX - 1) * tilted[4 * row];
  }
  assert_affine(v->affine, expected, 12);
  assert_affine(v->affine + 12, (double[]){0, 0, 0, 1}, 4);
}

static void load_pattern(const char *path, const char *datatype) {
  sb_volume v;
  sb_volume_info info;
  assert_ok(sb_volume_load(path, &v, &info));
  assert_pattern(&v, 1, 0);
  assert_string_equal(info.datatype, datatype);
  assert_string_equal(info.stored_axes, "LAS");
  assert_int_equal(info.orientation, SB_FROM_SFORM);
  assert_int_equal(info.nonfinite_voxels, 0);
  assert_int_equal(info.stored_dims[1], NY);
  assert_near(info.voxel_size_mm[1], sqrt(0.1 * 0.1 + 1.1 * 1.1 + 0.12 * 0.12), 1e-5);
  sb_volume_free(&v);
  assert_null(v.voxels);
}

static void assert_refused(const char *path, sb_code code, const char *words) {
  sb_volume v;
  sb_status status = sb_volume_load(path, &v, NULL);
  if (status.code == SB_OK) fail_msg("%s was taken, without '%s'", path, words);
  if (strstr(status.message, words) == NULL)
    fail_msg("'%s' does not say '%s'", status.message, words);
  if (strncmp(status.message, scratch, strlen(scratch)) != 0)
    fail_msg("'%s' does not start with the file", status.message);
  assert_int_equal(status.code, code);
  assert_null(v.voxels);
}

// ---- Every way to store an image
// --------------------------------------------------------------------

static void test_every_storage(void **state) {
  (void)state;
  static const struct {
    int code, bytes;
    const char *name;
  } types[] = {{DT_UINT8, 1, "uint8"},    {DT_INT8, 1, "int8"},     {DT_UINT16, 2, "uint16"},
               {DT_INT16, 2, "int16"},    {DT_UINT32, 4, "uint32"}, {DT_INT32, 4, "int32"},
               {DT_UINT64, 8, "uint64"},  {DT_INT64, 8, "int64"},   {DT_FLOAT32, 4, "float32"},
               {DT_FLOAT64, 8, "float64"}};
  static const char *const pairs[][2] = {
      {"p.hdr", "p.img"}, {"q.hdr.gz", "q.img.gz"}, {"r.hdr", "r.img.gz"}, {"s.hdr.gz", "s.img"}};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++)
    for (int form = 0; form < 4; form++) {
      recipe r = plain();
      r.version = 1 + form / 2;
      r.swapped = form % 2 == 1;
      r.offset = r.version == 1 ? 352 : 544;
      r.datatype = types[t].code;
      r.item_bytes = types[t].bytes;
      load_pattern(write_recipe(&r, "a.nii"), types[t].name);
      load_pattern(write_recipe(&r, "a.nii.gz"), types[t].name);
      for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        write_pair(r, pairs[p][0], pairs[p][1]);
        load_pattern(in_scratch(pairs[p][0]), types[t].name);
        load_pattern(in_scratch(pairs[p][1]), types[t].name);
      }
    }
}

static void test_extremes_of_types(void **state) {
  (void)state;
  static const struct {
    int code, bytes;
    double low, high;
  } types[] = {{DT_INT8, 1, -128, 127},
               {DT_INT16, 2, -32768, 32767},
               {DT_UINT16, 2, 0, 65535},
               {DT_INT32, 4, -2147483648.0, 2147483520.0},
               {DT_UINT32, 4, 0, 4294967040.0},
               {DT_INT64, 8, -9223372036854775808.0, 9223371487098961920.0},
               {DT_UINT64, 8, 0, 18446742974197923840.0}};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++)
    for (int swapped = 0; swapped < 2; swapped++) {
      double values[COUNT] = {types[t].low, types[t].high};
      recipe r = plain();
      r.swapped = swapped == 1;
      r.datatype = types[t].code;
      r.item_bytes = types[t].bytes;
      r.values = values;
      sb_volume v;
      assert_ok(sb_volume_load(write_recipe(&r, "a.nii"), &v, NULL));
      assert_true(v.voxels[NX - 1] == (float)types[t].low);
      assert_true(v.voxels[NX - 2] == (float)types[t].high);
      sb_volume_free(&v);
    }
}

static void test_scaling(void **state) {
  (void)state;
  static const double cases[][4] = {// slope, inter in the file; as they must act
                                    {2, -3, 2, -3},    {0, 5, 1, 0},        {1, 4, 1, 4},
                                    {NAN, 3, 1, 0},    {INFINITY, 3, 1, 0}, {0.5, NAN, 0.5, 0},
                                    {-1.5, 0, -1.5, 0}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
    for (int swapped = 0; swapped < 2; swapped++) {
      recipe r = plain();
      r.swapped = swapped == 1;
      r.slope = cases[c][0];
      r.inter = cases[c][1];
      sb_volume v;
      assert_ok(sb_volume_load(write_recipe(&r, "a.nii"), &v, NULL));
      assert_pattern(&v, cases[c][2], cases[c][3]);
      sb_volume_free(&v);
    }
}

static void test_voxel_offset(void **state) {
  (void)state;
  static const int64_t offsets[] = {352, 353, 701};
  for (int i = 0; i < 3; i++) { // an extension and odd alignment are fine
    recipe r = plain();
    r.offset = offsets[i];
    r.datatype = DT_FLOAT64;
    r.item_bytes = 8;
    load_pattern(write_recipe(&r, "a.nii"), "float64");
  }
  recipe r = plain(); // an offset of 0 in a single file means right behind the header
  size_t bytes;
  char *data = make_file(&r, &bytes);
  memset(data + offsetof(nifti_1_header, vox_offset), 0, sizeof(float));
  write_bytes("a.nii", data, bytes);
  load_pattern(in_scratch("a.nii"), "int16");
  free(data);
}

static void test_trailing_dims_of_one(void **state) {
  (void)state;
  recipe r = plain();
  r.dim[0] = 4;
  load_pattern(write_recipe(&r, "a.nii"), "int16");
  r.dim[0] = 7;
  load_pattern(write_recipe(&r, "a.nii"), "int16");
  r.dim[0] = 5;
  r.dim[4] = r.dim[5] = 0; // as some writers leave them
  load_pattern(write_recipe(&r, "a.nii"), "int16");
}

// ---- gzip
// -------------------------------------------------------------------------------------------

static void test_gzip_forms(void **state) {
  (void)state;
  recipe r = plain();
  size_t bytes;
  char *data = make_file(&r, &bytes);
  write_gzip("a.nii.gz", "wb", data, 100); // the header itself is spread over two members
  write_gzip("a.nii.gz", "ab", data + 100, 1000);
  write_gzip("a.nii.gz", "ab", data + 1100, bytes - 1100);
  load_pattern(in_scratch("a.nii.gz"), "int16");
  write_gzip("a.nii.gz", "wb", data, bytes); // as many bytes in the last member as are needed
  write_gzip("a.nii.gz", "ab", data, bytes);
  load_pattern(in_scratch("a.nii.gz"), "int16");
  write_gzip("a.nii.gz", "wb", data, bytes + 1024); // more content than the header speaks of
  load_pattern(in_scratch("a.nii.gz"), "int16");

  write_gzip("a.nii.gz", "wb", data, bytes); // zeros behind the end, as on a tape
  FILE *file = fopen(in_scratch("a.nii.gz"), "ab");
  assert_non_null(file);
  for (int i = 0; i < 700; i++) fputc(0, file);
  fclose(file);
  load_pattern(in_scratch("a.nii.gz"), "int16");

  write_gzip("a.nii", "wb", data, bytes); // content decides, not the name
  load_pattern(in_scratch("a.nii"), "int16");
  write_bytes("a.nii.gz", data, bytes);
  load_pattern(in_scratch("a.nii.gz"), "int16");
  free(data);
}

static void test_gzip_damage(void **state) {
  (void)state;
  recipe r = plain();
  char *packed;
  size_t bytes;
  assert_ok(sb_read_file(write_recipe(&r, "a.nii.gz"), &packed, &bytes));
  for (size_t kept = 2; kept < bytes; kept += kept < bytes - 20 ? 13 : 1) {
    write_bytes("t.nii.gz", packed, kept);
    assert_refused(in_scratch("t.nii.gz"), SB_FORMAT, "truncated gzip");
  }
  packed[bytes - 7] = (char)(packed[bytes - 7] ^ 1); // the checksum
  write_bytes("t.nii.gz", packed, bytes);
  assert_refused(in_scratch("t.nii.gz"), SB_FORMAT, "damaged gzip");
  packed[bytes - 7] = (char)(packed[bytes - 7] ^ 1);
  packed[2] = 7; // not deflate
  write_bytes("t.nii.gz", packed, bytes);
  assert_refused(in_scratch("t.nii.gz"), SB_FORMAT, "damaged gzip");
  free(packed);
}

// ---- Orientation
// ------------------------------------------------------------------------------------

// The grid of `whole`, stored with axes permuted and flipped, the affine telling the truth.
static void store_reordered(const sb_volume *whole, const int order[3], int flips, const char *name,
                            char letters[4]) {
  recipe r = plain();
  int64_t stride[3] = {1, NX, NX * NY};
  double values[COUNT];
  r.values = values;
  memset(letters, 0, 4);
  for (int row = 0; row < 3; row++) r.sform[4 * row + 3] = whole->affine[4 * row + 3];
  for (int s = 0; s < 3; s++) {
    int axis = order[s];
    bool flip = (flips >> s & 1) != 0;
    r.dim[s + 1] = whole->dims[axis];
    letters[s] = (flip ? "LPI" : "RAS")[axis];
    for (int row = 0; row < 3; row++) {
      double step = whole->affine[4 * row + axis];
      r.sform[4 * row + s] = flip ? -step : step;
      if (flip) r.sform[4 * row + 3] += step * (double)(whole->dims[axis] - 1);
    }
  }
  int64_t n = 0;
  for (int64_t k = 0; k < r.dim[3]; k++)
    for (int64_t j = 0; j < r.dim[2]; j++)
      for (int64_t i = 0; i < r.dim[1]; i++) {
        const int64_t at[3] = {i, j, k};
        int64_t from = 0;
        for (int s = 0; s < 3; s++)
          from += stride[order[s]] * ((flips >> s & 1) != 0 ? r.dim[s + 1] - 1 - at[s] : at[s]);
        values[n++] = (double)whole->voxels[from];
      }
  // Written here: put_voxels() counts by n alone, so any order of the same number of voxels is
  // fine.
  write_recipe(&r, name);
}

static void test_all_48_orientations(void **state) {
  (void)state;
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                   {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  recipe r = plain();
  sb_volume whole, v;
  sb_volume_info info;
  assert_ok(sb_volume_load(write_recipe(&r, "whole.nii"), &whole, NULL));
  for (int o = 0; o < 6; o++)
    for (int flips = 0; flips < 8; flips++) {
      char letters[4];
      store_reordered(&whole, orders[o], flips, "a.nii", letters);
      assert_ok(sb_volume_load(in_scratch("a.nii"), &v, &info));
      assert_string_equal(info.stored_axes, letters);
      assert_memory_equal(v.dims, whole.dims, sizeof v.dims);
      assert_memory_equal(v.voxels, whole.voxels, COUNT * sizeof(float));
      assert_affine(v.affine, whole.affine, 16);
      sb_volume_free(&v);
    }
  sb_volume_free(&whole);
}

// Taking the largest cosine first (0.95, then 0.75) would leave storage axis 1 to body axis 1, with
// a cosine of 0.1: the best assignment as a whole gives up the 0.75.
static void test_oblique_assignment(void **state) {
  (void)state;
  const double a[16] = {0.75, 0.74, 0, 0, 0.66, 0.1, 0.3, 0, 0, -0.66, -0.95, 0, 0, 0, 0, 1};
  sb_axis_order order = sb_closest_ras(a);
  assert_int_equal(order.from[0], 1);
  assert_int_equal(order.from[1], 0);
  assert_int_equal(order.from[2], 2);
  assert_false(order.flip[0]);
  assert_false(order.flip[1]);
  assert_true(order.flip[2]);
  char letters[4];
  sb_axis_letters(&order, letters);
  assert_string_equal(letters, "ARI");
}

static void load_affine(const recipe *r, double affine[16], sb_volume_info *info) {
  sb_volume v;
  assert_ok(sb_volume_load(write_recipe(r, "a.nii"), &v, info));
  memcpy(affine, v.affine, sizeof v.affine);
  sb_volume_free(&v);
}

static void test_where_the_affine_comes_from(void **state) {
  (void)state;
  const double c = cos(0.3), s = sin(0.3); // turned by 0.3 about z: quaternion (0, 0, sin 0.15)
  const double turned[12] = {2 * c, -3 * s, 0, 11, 2 * s, 3 * c, 0, 12, 0, 0, 4, 13};
  recipe r = plain();
  sb_volume_info info;
  double affine[16], mirrored[16];
  for (int i = 0; i < 3; i++) {
    r.pixdim[i + 1] = i + 2;
    r.qoffset[i] = 11 + i;
  }
  r.quatern[2] = sin(0.15);
  r.qform_code = 1;
  r.pixdim[0] = -1;               // k runs from below, as in the sform
  load_affine(&r, affine, &info); // sform before qform
  assert_int_equal(info.orientation, SB_FROM_SFORM);
  r.pixdim[0] = 1; // in the qform alone the other way: which side is left?
  load_affine(&r, mirrored, &info);
  assert_int_equal(info.orientation, SB_FROM_DISPUTED_SFORM);
  assert_affine(mirrored, affine, 12);

  const double bad[5] = {0, NAN, INFINITY, 1e30, 1e-30};
  for (int b = 0; b < 5; b++) { // an sform that cannot be: qform
    memcpy(r.sform, tilted, sizeof tilted);
    for (int row = 0; row < 3; row++) r.sform[4 * row + 1] = bad[b];
    load_affine(&r, affine, &info);
    assert_int_equal(info.orientation, SB_FROM_QFORM);
    assert_affine(affine, turned, 12);
  }
  r.sform_code = 0;
  memcpy(r.sform, tilted, sizeof tilted);
  load_affine(&r, affine, &info);
  assert_int_equal(info.orientation, SB_FROM_QFORM);
  assert_affine(affine, turned, 12);

  r.pixdim[0] = -1; // qfac: k runs the other way
  load_affine(&r, affine, &info);
  assert_string_equal(info.stored_axes, "RAI");
  assert_near(affine[11], 13 - 4.0 * (NZ - 1), 1e-4);

  r.pixdim[0] = 1;
  r.pixdim[1] = -2; // a negative spacing is a spacing, none is 1 mm
  r.pixdim[2] = 0;
  load_affine(&r, affine, &info);
  assert_near(info.voxel_size_mm[0], 2, 1e-5);
  assert_near(info.voxel_size_mm[1], 1, 1e-5);
  assert_near(info.voxel_size_mm[2], 4, 1e-5);

  r.quatern[1] = NAN; // no orientation at all: assumed, origin in the middle
  load_affine(&r, affine, &info);
  assert_int_equal(info.orientation, SB_ASSUMED);
  assert_string_equal(info.stored_axes, "LAS");
  assert_affine(affine, (double[]){2, 0, 0, -8, 0, 1, 0, -4.5, 0, 0, 4, -20}, 12);
  r.quatern[1] = 0;
  r.qform_code = 0;
  for (int b = 1; b < 5; b++) {
    r.pixdim[3] = bad[b]; // no spacing either
    load_affine(&r, affine, &info);
    assert_int_equal(info.orientation, SB_ASSUMED);
    assert_affine(affine, (double[]){2, 0, 0, -8, 0, 1, 0, -4.5, 0, 0, 1, -5}, 12);
  }
}

// The sform of voxels of this size, in whatever unit.
static recipe with_voxels(double size, int units) {
  recipe r = plain();
  memset(r.sform, 0, sizeof r.sform);
  for (int i = 0; i < 3; i++) {
    r.sform[5 * i] = r.pixdim[i + 1] = size;
    r.sform[4 * i + 3] = -2 * size;
  }
  r.units = units;
  return r;
}

// Metres and micrometres, where the header says so and means it.
static void test_units(void **state) {
  (void)state;
  static const struct {
    double size, expected;
    int units;
    bool doubted;
  } cases[] = {
      {15, 15, NIFTI_UNITS_UNKNOWN, false},
      {15, 15, NIFTI_UNITS_MM, false},
      {0.015, 0.015, NIFTI_UNITS_MM, false}, // what is not said is not guessed
      {0.015, 15, NIFTI_UNITS_METER, false},
      {0.015, 15, NIFTI_UNITS_METER | NIFTI_UNITS_SEC, false},
      {15, 15, NIFTI_UNITS_METER, true},
      {15000, 15, NIFTI_UNITS_MICRON, false},
      {15, 15, NIFTI_UNITS_MICRON, true},
      {60, 60, NIFTI_UNITS_MICRON, true},
      {5, 0.005, NIFTI_UNITS_MICRON, false}, // no brain in either: as the header has it
      {15, 15, 7, false},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
    for (int form = 0; form < 8; form++) {
      recipe r = with_voxels(cases[c].size, cases[c].units);
      double affine[16];
      sb_volume_info info;
      r.swapped = (form & 1) != 0;
      if ((form & 2) != 0) r.sform_code = 0; // by pixdim alone
      if ((form & 4) != 0) {
        r.version = 2;
        r.offset = 544;
      }
      load_affine(&r, affine, &info);
      assert_int_equal(info.unit_doubted, cases[c].doubted);
      for (int i = 0; i < 3; i++) {
        assert_near(info.voxel_size_mm[i] / cases[c].expected, 1, 1e-6);
        if (r.sform_code > 0) assert_near(affine[4 * i + 3] / cases[c].expected, -2, 1e-6);
      }
    }
}

// ---- Content
// ----------------------------------------------------------------------------------------

static void test_nonfinite_voxels(void **state) {
  (void)state;
  double values[COUNT];
  for (int i = 0; i < COUNT; i++) values[i] = i + 1;
  values[0] = NAN;
  values[1] = INFINITY;
  values[2] = -INFINITY;
  recipe r = plain();
  r.values = values;
  r.datatype = DT_FLOAT32;
  r.item_bytes = 4;
  sb_volume v;
  sb_volume_info info;
  assert_ok(sb_volume_load(write_recipe(&r, "a.nii"), &v, &info));
  assert_int_equal(info.nonfinite_voxels, 3);
  for (int i = 0; i < 3; i++) assert_true(v.voxels[NX - 1 - i] == 0);
  assert_true(v.voxels[NX - 4] == 4);
  sb_volume_free(&v);

  values[COUNT - 1] = 1e300; // beyond float
  r.datatype = DT_FLOAT64;
  r.item_bytes = 8;
  assert_ok(sb_volume_load(write_recipe(&r, "a.nii"), &v, &info));
  assert_int_equal(info.nonfinite_voxels, 4);
  sb_volume_free(&v);

  for (int i = 0; i < COUNT; i++) values[i] = i % 2 == 0 ? NAN : INFINITY;
  assert_refused(write_recipe(&r, "a.nii"), SB_CONTENT, "all NaN or infinite");
  for (int i = 0; i < COUNT; i++) values[i] = 0;
  assert_refused(write_recipe(&r, "a.nii"), SB_CONTENT, "every voxel is zero");
  values[7] = NAN;
  assert_refused(write_recipe(&r, "a.nii"), SB_CONTENT, "every voxel is zero");
  for (int i = 0; i < COUNT; i++) values[i] = 42;
  assert_refused(write_recipe(&r, "a.nii"), SB_CONTENT, "the same value");
  values[0] = NAN; // a missing voxel does not make an image of it
  assert_refused(write_recipe(&r, "a.nii"), SB_CONTENT, "the same value");
  values[0] = 42;
  values[COUNT - 1] = 43; // but one that differs does
  assert_ok(sb_volume_load(write_recipe(&r, "a.nii"), &v, &info));
  sb_volume_free(&v);
}

// ---- Refusals
// ---------------------------------------------------------------------------------------

static void refuse(recipe r, sb_code code, const char *words) {
  assert_refused(write_recipe(&r, "a.nii"), code, words);
  assert_refused(write_recipe(&r, "a.nii.gz"), code, words);
}

static void test_refused_kinds(void **state) {
  (void)state;
  recipe r = plain();
  r.dim[0] = 4;
  r.dim[4] = 30;
  refuse(r, SB_UNSUPPORTED, "holds 30 volumes");
  r = plain();
  r.dim[0] = 5;
  r.dim[5] = 3;
  refuse(r, SB_UNSUPPORTED, "holds 3 volumes");
  r = plain();
  r.dim[0] = 2;
  refuse(r, SB_UNSUPPORTED, "a 2-D image");
  r = plain();
  r.dim[3] = 1;
  refuse(r, SB_UNSUPPORTED, "a 2-D image");
  r = plain();
  r.dim[2] = 4;
  refuse(r, SB_UNSUPPORTED, "too few for a brain");
  static const struct {
    int code, bytes;
    const char *words;
  } types[] = {{DT_RGB24, 3, "type RGB;"},        {DT_RGBA32, 4, "type RGBA;"},
               {DT_COMPLEX64, 8, "complex64"},    {DT_COMPLEX128, 16, "complex128"},
               {DT_COMPLEX256, 32, "complex256"}, {DT_FLOAT128, 16, "float128"},
               {DT_BINARY, 1, "binary"}};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    r = plain();
    r.datatype = types[t].code;
    r.item_bytes = types[t].bytes;
    refuse(r, SB_UNSUPPORTED, types[t].words);
  }
  r = plain();
  size_t bytes;
  char *data = make_file(&r, &bytes);
  memset(data + offsetof(nifti_1_header, magic), 0, 4);
  write_bytes("a.hdr", data, bytes);
  assert_refused(in_scratch("a.hdr"), SB_UNSUPPORTED, "ANALYZE 7.5");
  free(data);
}

static void test_damaged_headers(void **state) {
  (void)state;
  recipe r = plain();
  r.dim[0] = 0;
  refuse(r, SB_FORMAT, "0 dimensions");
  r.dim[0] = 9;
  refuse(r, SB_FORMAT, "9 dimensions");
  r = plain();
  r.dim[2] = -3;
  refuse(r, SB_FORMAT, "-3 voxels along axis 2");
  r = plain();
  r.datatype = 1234;
  refuse(r, SB_FORMAT, "unknown datatype 1234");
  r = plain();
  r.version = 2;
  r.offset = 544;
  size_t bytes;
  char *data = make_file(&r, &bytes);
  data[8] = '\n'; // the magic's carriage return, eaten by a transfer in text mode
  write_bytes("a.nii", data, bytes);
  assert_refused(in_scratch("a.nii"), SB_FORMAT, "its magic is wrong");
  free(data);
  static const float offsets[] = {-1, NAN, INFINITY, 1e30f};
  for (int i = 0; i < 4; i++) {
    r = plain();
    data = make_file(&r, &bytes);
    memcpy(data + offsetof(nifti_1_header, vox_offset), &offsets[i], sizeof(float));
    write_bytes("a.nii", data, bytes);
    assert_refused(in_scratch("a.nii"), SB_FORMAT, "cannot start at byte");
    free(data);
  }
}

static void test_dims_that_do_not_match(void **state) {
  (void)state;
  recipe r = plain();
  r.dim[3] = NZ + 1;
  refuse(r, SB_FORMAT, "the header does not match the data");
  r = plain();
  r.dim[1] = r.dim[2] = r.dim[3] = 1000; // 2 GB of voxels in a file of 2 KB
  refuse(r, SB_FORMAT, "the header does not match the data");
  r.dim[1] = r.dim[2] = r.dim[3] = 32767;
  refuse(r, SB_UNSUPPORTED, "far beyond a brain scan");
  r.version = 2;
  r.offset = 544;
  r.dim[1] = r.dim[2] = r.dim[3] = INT64_MAX / 2;
  refuse(r, SB_UNSUPPORTED, "far beyond a brain scan");
  r = plain();
  r.version = 2;
  r.offset = 544;
  size_t bytes;
  char *data = make_file(&r, &bytes);
  int64_t far = INT64_MAX - 5;
  memcpy(data + offsetof(nifti_2_header, vox_offset), &far, sizeof far);
  write_bytes("a.nii", data, bytes);
  assert_refused(in_scratch("a.nii"), SB_FORMAT, "cannot start at byte");
  far = INT64_MAX / 4;
  memcpy(data + offsetof(nifti_2_header, vox_offset), &far, sizeof far);
  write_packed("a.nii.gz", data, bytes);
  assert_refused(in_scratch("a.nii.gz"), SB_FORMAT, "the header does not match the data");
  free(data);
}

static void test_not_nifti(void **state) {
  (void)state;
  assert_refused(in_scratch("none.nii.gz"), SB_NOT_FOUND, "No such file");
  assert_refused(scratch, SB_IO, "a folder");
  write_bytes("a.nii.gz", "", 0);
  assert_refused(in_scratch("a.nii.gz"), SB_FORMAT, "the file is empty");
  static const struct {
    const char *name, *content, *words;
  } cases[] = {
      {"a.nii.gz", "<html>404 not found</html>", "nor gzip as its name says: it holds text"},
      {"a.nii", "<html>404 not found</html>", "not a NIfTI image: it holds text"},
      {"a.nii.gz", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
      {"a.nii.gz", "/annex/objects/MD5E-s1--0.nii.gz\n", "datalad get"},
      {"a.nii", "\x01\x02\x03", "too short for a header"},
      {"a.mgh", "\x01\x02\x03", "mri_convert"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    write_bytes(cases[c].name, cases[c].content, strlen(cases[c].content));
    assert_refused(in_scratch(cases[c].name), SB_FORMAT, cases[c].words);
  }
  char bytes[1000];
  for (int i = 0; i < 1000; i++) bytes[i] = (char)(i * i % 251);
  write_bytes("a.nii", bytes, sizeof bytes);
  assert_refused(in_scratch("a.nii"), SB_FORMAT, "no NIfTI-1 or NIfTI-2 header");
  memcpy(bytes + 128, (const char[]){'D', 'I', 'C', 'M'}, 4);
  write_packed("a.nii.gz", bytes, sizeof bytes);
  assert_refused(in_scratch("a.nii.gz"), SB_FORMAT, "dcm2niix");
  write_packed("a.nii.gz", bytes, 0);
  assert_refused(in_scratch("a.nii.gz"), SB_FORMAT, "unpacks to nothing");
  assert_int_equal(symlink("/nowhere/at/all", in_scratch("link.nii.gz")), 0);
  assert_refused(in_scratch("link.nii.gz"), SB_NOT_FOUND, "a link, and its content is not here");
  assert_int_equal(mkfifo(in_scratch("pipe.nii"), 0600), 0);
  assert_refused(in_scratch("pipe.nii"), SB_IO, "not a regular file");
}

static void test_half_a_pair(void **state) {
  (void)state;
  write_pair(plain(), "lone.hdr", "other.img");
  assert_refused(in_scratch("lone.hdr"), SB_NOT_FOUND, "lone.img (or .img.gz) is not there");
  assert_refused(in_scratch("other.img"), SB_NOT_FOUND, "other.hdr (or .hdr.gz) is not there");
  write_pair(plain(), "named.nii", "named.img");
  assert_refused(in_scratch("named.nii"), SB_FORMAT, "in a separate .img file");
}

// Of a pair the voxels count: headers of two people's scans can be the same bytes.
static void test_hash_of_a_pair(void **state) {
  (void)state;
  char by_header[65], by_image[65], other[65], alone[65];
  recipe r = plain();
  write_pair(r, "one.hdr", "one.img");
  write_pair(r, "two.hdr", "two.img.gz");
  assert_ok(sb_volume_sha256(in_scratch("one.hdr"), by_header));
  assert_ok(sb_volume_sha256(in_scratch("one.img"), by_image));
  assert_ok(sb_volume_sha256(in_scratch("two.hdr"), other));
  assert_string_equal(by_header, by_image);
  assert_string_not_equal(by_header, other);
  assert_int_equal(unlink(in_scratch("two.img.gz")), 0);
  assert_ok(sb_volume_sha256(in_scratch("two.hdr"), alone)); // half a pair is refused by loading
  assert_string_not_equal(alone, other);
  assert_int_equal(mkfifo(in_scratch("hash.nii"), 0600), 0); // reading it would never end
  assert_int_equal(sb_volume_sha256(in_scratch("hash.nii"), alone).code, SB_IO);
  assert_int_equal(sb_volume_sha256("/dev/zero", alone).code, SB_IO);
}

// What loading takes, told from the header: the file's content, and the volume or the packed file.
static void test_cost(void **state) {
  (void)state;
  static const int64_t volume = COUNT * (int64_t)sizeof(float);
  recipe r = plain();
  const int64_t raw = r.offset + COUNT * r.item_bytes;
  int64_t voxels, bytes;
  assert_ok(sb_volume_cost(write_recipe(&r, "a.nii"), &voxels, &bytes));
  assert_int_equal(voxels, COUNT);
  assert_int_equal(bytes, raw + volume);
  assert_ok(sb_volume_cost(write_recipe(&r, "a.nii.gz"), &voxels, &bytes));
  assert_int_equal(voxels, COUNT);
  assert_int_equal(bytes, raw + volume); // packed it is less than the volume
  write_pair(r, "a.hdr", "a.img");
  assert_ok(sb_volume_cost(in_scratch("a.hdr"), &voxels, &bytes));
  assert_int_equal(voxels, COUNT);
  assert_int_equal(bytes, COUNT * r.item_bytes + volume);
  assert_int_equal(truncate(write_recipe(&r, "a.nii"), raw - 1), 0);
  assert_int_equal(sb_volume_cost(in_scratch("a.nii"), &voxels, &bytes).code, SB_FORMAT);
  assert_true(voxels == 0 && bytes == 0);
  assert_int_equal(sb_volume_cost("nowhere.nii", &voxels, &bytes).code, SB_NOT_FOUND);
}

// ---- Saving
// -----------------------------------------------------------------------------------------

static sb_volume make_volume(const double affine[12]) {
  sb_volume v = {.dims = {NX, NY, NZ}};
  memcpy(v.affine, affine, 12 * sizeof *affine);
  v.affine[15] = 1;
  assert_ok(SB_NEW(&v.voxels, COUNT, "a test"));
  for (int64_t i = 0; i < COUNT; i++)
    v.voxels[i] = (float)(pattern(i % NX, i / NX % NY, i / (NX * NY)) * 1.25 - 7.1);
  return v;
}

static const double straight[12] = {1.5, 0, 0, -10, 0, 2, 0, -20, 0, 0, 2.5, -30};

static void test_round_trip(void **state) {
  (void)state;
  const double c = cos(0.4), s = sin(0.4);
  const double turned[12] = {1.5 * c, -2 * s, 0, -10, 1.5 * s, 2 * c, 0, -20, 0, 0, 2.5, -30};
  const double sheared[12] = {1.5, 0.3, 0, -10, 0, 2, 0, -20, 0, 0, 2.5, -30};
  const double *affines[3] = {straight, turned, sheared};
  static const char *const names[2] = {"save.nii", "save.nii.gz"};
  for (int a = 0; a < 3; a++)
    for (int n = 0; n < 2; n++) {
      sb_volume v = make_volume(affines[a]), back;
      sb_volume_info info;
      assert_ok(sb_volume_save(&v, in_scratch(names[n])));
      assert_ok(sb_volume_load(in_scratch(names[n]), &back, &info));
      assert_memory_equal(back.dims, v.dims, sizeof v.dims);
      assert_memory_equal(back.voxels, v.voxels, COUNT * sizeof(float));
      assert_affine(back.affine, v.affine, 16);
      assert_string_equal(info.datatype, "float32");

      nifti_image *image = nifti_image_read(in_scratch(names[n]), 1); // as nifticlib sees it
      assert_non_null(image);
      assert_int_equal(image->nvox, COUNT);
      assert_int_equal(image->sform_code, NIFTI_XFORM_ALIGNED_ANAT);
      assert_int_equal(image->qform_code, a == 2 ? 0 : NIFTI_XFORM_ALIGNED_ANAT);
      assert_int_equal(image->xyz_units, NIFTI_UNITS_MM);
      assert_memory_equal(image->data, v.voxels, COUNT * sizeof(float));
      assert_affine(&image->sto_xyz.m[0][0], v.affine, 16);
      if (a < 2) assert_affine(&image->qto_xyz.m[0][0], v.affine, 16);
      nifti_image_free(image);

      struct stat file;
      assert_int_equal(stat(in_scratch(names[n]), &file), 0);
      assert_int_equal(file.st_mode & 0777, 0600);
      sb_volume_free(&v);
      sb_volume_free(&back);
    }
}

static void test_save_as(void **state) {
  (void)state;
  static const struct {
    sb_save_type type;
    const char *name;
    double slope, inter, low, high; // what the type can hold, as values
  } cases[] = {{SB_SAVE_UINT8, "uint8", 0.5, -10, -10, 117.5},
               {SB_SAVE_INT16, "int16", 1, 0, -32768, 32767},
               {SB_SAVE_INT16, "int16", 0.001953125, 3, -61, 66.998046875},
               {SB_SAVE_UINT16, "uint16", 0.25, -8, -8, 16375.75},
               {SB_SAVE_FLOAT32, "float32", 2, 1, -1e9, 1e9},
               {SB_SAVE_FLOAT64, "float64", 1, 0, -1e9, 1e9}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    sb_volume v = make_volume(straight), back;
    sb_volume_info info;
    v.voxels[0] = -1e9f;
    v.voxels[1] = 1e9f;
    assert_ok(sb_volume_save_as(&v, in_scratch("as.nii.gz"), cases[c].type, cases[c].slope,
                                cases[c].inter));
    assert_ok(sb_volume_load(in_scratch("as.nii.gz"), &back, &info));
    assert_string_equal(info.datatype, cases[c].name);
    assert_true(back.voxels[0] == (float)cases[c].low); // saturated
    assert_true(back.voxels[1] == (float)cases[c].high);
    bool real = cases[c].type == SB_SAVE_FLOAT32 || cases[c].type == SB_SAVE_FLOAT64;
    for (int i = 2; i < COUNT; i++) {
      double value = (double)v.voxels[i], error = real ? 1e-5 : cases[c].slope / 2 + 1e-5;
      if (value < cases[c].low) value = cases[c].low;
      if (value > cases[c].high) value = cases[c].high;
      assert_true(fabs((double)back.voxels[i] - value) <= error);
    }
    sb_volume_free(&v);
    sb_volume_free(&back);
  }
}

static void assert_not_saved(const sb_volume *v, const char *path, double slope, sb_code code) {
  sb_status status = sb_volume_save_as(v, path, SB_SAVE_INT16, slope, 0);
  assert_int_equal(status.code, code);
  assert_non_null(strstr(status.message, path));
  assert_false(sb_is_file(path));
}

static void test_save_errors(void **state) {
  (void)state;
  sb_volume v = make_volume(straight), empty = {0};
  assert_not_saved(&empty, in_scratch("no.nii"), 1, SB_USAGE);
  assert_not_saved(&v, in_scratch("no.nii"), 0, SB_USAGE);
  assert_not_saved(&v, in_scratch("no.nii"), NAN, SB_USAGE);
  assert_not_saved(&v, in_scratch("nofolder/no.nii"), 1, SB_IO);
  sb_volume wide = v;
  wide.dims[0] = 40000;
  assert_not_saved(&wide, in_scratch("no.nii"), 1, SB_USAGE);
  v.voxels[5] = NAN; // an integer file has no NaN
  sb_volume back;
  assert_ok(sb_volume_save_as(&v, in_scratch("nan.nii"), SB_SAVE_INT16, 1, 0));
  assert_ok(sb_volume_load(in_scratch("nan.nii"), &back, NULL));
  assert_true(back.voxels[5] == 0);
  sb_volume_free(&back);
  sb_volume_free(&v);
}

// ---- A real scan, as nifticlib reads it
// -------------------------------------------------------------

static void test_real_scan(void **state) {
  (void)state;
  const char *path = SAMEBRAIN_SOURCE_DIR "/../shared/data/oasis/sub-OAS10040/ses-01/anat/"
                                          "sub-OAS10040_ses-01_T1w.nii.gz";
  if (!sb_is_file(path)) {
    print_message("skipped: %s is not there\n", path);
    skip();
  }
  sb_volume v;
  sb_volume_info info;
  assert_ok(sb_volume_load(path, &v, &info));
  nifti_image *image = nifti_image_read(path, 1);
  assert_non_null(image);
  assert_int_equal(image->datatype, DT_INT16);
  assert_string_equal(info.stored_axes, "LAS");
  const int16_t *stored = image->data;
  const int64_t nx = v.dims[0], rows = v.dims[1] * v.dims[2];
  assert_int_equal(image->nvox, nx * rows);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = 0; i < nx; i++)
      if (v.voxels[row * nx + i] != (float)stored[row * nx + nx - 1 - i]) fail();
  nifti_image_free(image);
  sb_volume_free(&v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_storage),
      cmocka_unit_test(test_extremes_of_types),
      cmocka_unit_test(test_scaling),
      cmocka_unit_test(test_voxel_offset),
      cmocka_unit_test(test_trailing_dims_of_one),
      cmocka_unit_test(test_gzip_forms),
      cmocka_unit_test(test_gzip_damage),
      cmocka_unit_test(test_all_48_orientations),
      cmocka_unit_test(test_oblique_assignment),
      cmocka_unit_test(test_where_the_affine_comes_from),
      cmocka_unit_test(test_nonfinite_voxels),
      cmocka_unit_test(test_refused_kinds),
      cmocka_unit_test(test_damaged_headers),
      cmocka_unit_test(test_dims_that_do_not_match),
      cmocka_unit_test(test_not_nifti),
      cmocka_unit_test(test_half_a_pair),
      cmocka_unit_test(test_hash_of_a_pair),
      cmocka_unit_test(test_cost),
      cmocka_unit_test(test_units),
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_save_as),
      cmocka_unit_test(test_save_errors),
      cmocka_unit_test(test_real_scan),
  };
  return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
