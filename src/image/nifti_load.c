// NIfTI in: path to float voxels in closest canonical RAS order (sb_volume_load). The header is
// read and judged first, the data only when it can be used; decoding and reordering are one pass.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clones.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "image/nifti_header.h"
#include "image/orient.h"
#include "image/source.h"
#include "samebrain/volume.h"

// ---- Which files --------------------------------------------------------------------------------

// The length of `path` without `ending` and a .gz after it; 0 when it does not end so.
static size_t stem_length(const char *path, const char *ending) {
  size_t length = strlen(path), n = strlen(ending);
  if (length > 3 && strcasecmp(path + length - 3, ".gz") == 0) length -= 3;
  return length > n && strncasecmp(path + length - n, ending, n) == 0 ? length - n : 0;
}

// The other file of a pair, compressed or not; free() *partner.
static sb_status find_partner(const char *path, size_t stem, const char *ending, char **partner) {
  static const char *const packed[] = {"", ".gz"};
  for (int i = 0; i < 2; i++) {
    *partner = sb_format("%.*s%s%s", (int)stem, path, ending, packed[i]);
    if (*partner == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", path);
    if (sb_is_file(*partner)) return sb_ok();
    free(*partner);
    *partner = NULL;
  }
  return sb_error(SB_NOT_FOUND,
                  "%s: its other half %.*s%s (or %s.gz) is not there; a pair needs both files",
                  path, (int)stem, path, ending, ending);
}

// Opens the file with the header; *name is NULL when that is `path` itself.
static sb_status open_header(const char *path, char **name, sb_source *source) {
  size_t stem = stem_length(path, ".img");
  sb_status status = sb_source_open(path, source);
  if (status.code != SB_OK || stem == 0) return status;
  status = find_partner(path, stem, ".hdr", name);
  return status.code == SB_OK ? sb_source_open(*name, source) : status;
}

// Opens the file with the voxels, given the header's; *name is NULL when it has a name already.
static sb_status open_data(const char *path, const sb_nifti_header *header, char **name,
                           sb_source *source) {
  if (!header->separate_data) return sb_ok();
  if (stem_length(path, ".img") > 0) return sb_source_open(path, source);
  size_t stem = stem_length(path, ".hdr");
  if (stem == 0)
    return sb_error(
        SB_FORMAT,
        "%s: its header says that the voxels are in a separate .img file, but it is not "
        "named .hdr; rename the pair NAME.hdr and NAME.img",
        path);
  sb_status status = find_partner(path, stem, ".img", name);
  return status.code == SB_OK ? sb_source_open(*name, source) : status;
}

sb_status sb_volume_sha256(const char *path, char hex[65]) {
  const size_t stem = stem_length(path, ".hdr");
  char *partner = NULL;
  sb_source source;
  sb_status status = sb_source_open(path, &source);
  if (status.code != SB_OK) return status;
  // Without the other half it is no image, which loading it will tell.
  if (stem > 0) status = find_partner(path, stem, ".img", &partner);
  if (status.code == SB_OK || status.code == SB_NOT_FOUND)
    status = sb_sha256_file(partner != NULL ? partner : path, hex);
  free(partner);
  return status;
}

// ---- Decoding and reordering
// ----------------------------------------------------------------------

// What the voxels turned out to be. `reference` is the first finite one.
typedef struct census {
  int64_t nonfinite;
  bool found, varied;
  float reference;
} census;

// Replaces what is not finite by 0; `reference` must be set if any value is finite.
SB_CLONES static void clean_row(int64_t n, float *values, census *c) {
  const float reference = c->reference;
  int32_t bad_count = 0, different = 0;
  for (int64_t i = 0; i < n; i++) {
    float value = values[i];
    int32_t bad = !(fabsf(value) <= FLT_MAX);
    bad_count += bad;
    different |= (value != reference) & !bad;
    values[i] = bad ? 0.0f : value;
  }
  c->nonfinite += bad_count;
  c->varied |= different != 0;
}

static void take_row(int64_t n, float *values, census *c) {
  for (int64_t i = 0; i < n && !c->found; i++)
    if (isfinite(values[i])) {
      c->found = true;
      c->reference = values[i];
    }
  clean_row(n, values, c);
}

// Where the stored voxels go: stored (i,j,k) to first + i * step[0] + j * step[1] + k * step[2].
typedef struct layout {
  int64_t dims[3], step[3], first;
} layout;

static layout make_layout(const sb_nifti_header *header, const sb_axis_order *order,
                          const int64_t out_dims[3]) {
  layout l = {.first = 0};
  memcpy(l.dims, header->dims, sizeof l.dims);
  int64_t stride = 1;
  for (int r = 0; r < 3; r++) {
    int s = order->from[r];
    l.step[s] = order->flip[r] ? -stride : stride;
    if (order->flip[r]) l.first += stride * (out_dims[r] - 1);
    stride *= out_dims[r];
  }
  return l;
}

// One stored row to floats.
static void decode_row(const sb_nifti_header *h, const unsigned char *raw, int64_t j, int64_t k,
                       float *out, census *c) {
  int64_t row = h->dims[0] * (j + h->dims[1] * k);
  h->datatype->decode(raw + row * h->datatype->bytes, h->dims[0], &h->encoding, out);
  const bool finite = h->datatype->whole && h->encoding.slope == 1 && h->encoding.inter == 0;
  if (!finite || !c->varied) take_row(h->dims[0], out, c); // else there is nothing left to learn
}

SB_CLONES static void reverse_row(int64_t n, const float *restrict in, float *restrict out) {
  for (int64_t i = 0; i < n; i++) out[n - 1 - i] = in[i];
}

// Stored rows are rows of the volume, perhaps reversed.
static void decode_along_rows(const sb_nifti_header *h, const unsigned char *raw, const layout *l,
                              float *row, float *out, census *c) {
  for (int64_t k = 0; k < l->dims[2]; k++)
    for (int64_t j = 0; j < l->dims[1]; j++) {
      float *to = out + l->first + j * l->step[1] + k * l->step[2];
      decode_row(h, raw, j, k, l->step[0] == 1 ? to : row, c);
      if (l->step[0] == -1) reverse_row(l->dims[0], row, to - (l->dims[0] - 1));
    }
}

enum { BAND = 16 }; // rows transposed together: one cache line of the volume

// Stored axis `a` (1 or 2) becomes the volume's rows: BAND stored rows, neighbours along `a`, are
// decoded side by side into `rows` and written across.
static void decode_across_rows(const sb_nifti_header *h, const unsigned char *raw, const layout *l,
                               int a, float *rows, float *out, census *c) {
  const int b = 3 - a;
  const int64_t n = l->dims[0];
  for (int64_t at_b = 0; at_b < l->dims[b]; at_b++)
    for (int64_t at_a = 0; at_a < l->dims[a]; at_a += BAND) {
      int64_t band = l->dims[a] - at_a < BAND ? l->dims[a] - at_a : BAND;
      for (int64_t r = 0; r < band; r++)
        decode_row(h, raw, a == 1 ? at_a + r : at_b, a == 1 ? at_b : at_a + r, rows + r * n, c);
      float *to = out + l->first + at_b * l->step[b] + at_a * l->step[a];
      for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < band; r++) to[i * l->step[0] + r * l->step[a]] = rows[r * n + i];
    }
}

static sb_status decode(const sb_nifti_header *h, const unsigned char *raw,
                        const sb_axis_order *order, sb_volume *volume, census *c) {
  sb_status status;
  float *rows = NULL;
  sb_reorder_grid(order, h->dims, h->affine, volume->dims, volume->affine);
  SB_TRY(SB_NEW(&volume->voxels, h->dims[0] * h->dims[1] * h->dims[2], "an image"));
  SB_TRY(SB_NEW(&rows, BAND * h->dims[0], "rows of voxels"));
  layout l = make_layout(h, order, volume->dims);
  if (order->from[0] == 0)
    decode_along_rows(h, raw, &l, rows, volume->voxels, c);
  else
    decode_across_rows(h, raw, &l, order->from[0], rows, volume->voxels, c);
cleanup:
  free(rows);
  return status;
}

// ---- The whole of it
// ------------------------------------------------------------------------------

static sb_status too_short(const sb_source *source, const sb_nifti_header *h, size_t got) {
  const int64_t need = h->data_offset + h->data_bytes;
  return sb_error(SB_FORMAT,
                  "%s: the header does not match the data: %lld x %lld x %lld voxels of %s need "
                  "%lld bytes, the file holds %zu; fetch it again",
                  source->path, (long long)h->dims[0], (long long)h->dims[1], (long long)h->dims[2],
                  h->datatype->name, (long long)need, got);
}

static sb_status read_data(const sb_source *source, const sb_nifti_header *h,
                           unsigned char **data) {
  size_t need = (size_t)(h->data_offset + h->data_bytes), got;
  if (!source->gzip && source->bytes < need) return too_short(source, h, source->bytes);
  sb_status status = sb_source_read(source, need, data, &got);
  if (status.code == SB_OK && got < need) status = too_short(source, h, got);
  return status;
}

static sb_status judge(const char *path, const census *c) {
  const char *what = NULL;
  if (!c->found)
    what = "no voxel is a finite number (all NaN or infinite)";
  else if (!c->varied && c->reference == 0)
    what = "every voxel is zero";
  else if (!c->varied)
    what = "every voxel has the same value";
  if (what == NULL) return sb_ok();
  return sb_error(SB_CONTENT, "%s: %s, so there is no brain in it; make the image again", path,
                  what);
}

static void describe(const sb_nifti_header *h, const sb_axis_order *order, const census *c,
                     const sb_volume *volume, sb_volume_info *info) {
  memset(info, 0, sizeof *info);
  info->orientation = h->orientation;
  info->nonfinite_voxels = c->nonfinite;
  memcpy(info->stored_dims, h->dims, sizeof info->stored_dims);
  sb_voxel_size(volume->affine, info->voxel_size_mm);
  sb_axis_letters(order, info->stored_axes);
  info->unit_doubted = h->unit_doubted;
  strncpy(info->datatype, h->datatype->name, sizeof info->datatype - 1);
}

// The header and where the voxels are; free() both names.
static sb_status open_both(const char *path, sb_nifti_header *header, sb_source *source,
                           char **header_name, char **data_name) {
  unsigned char head[SB_NIFTI_HEADER_BYTES];
  size_t got;
  sb_status status;
  SB_TRY(open_header(path, header_name, source));
  SB_TRY(sb_source_head(source, sizeof head, head, &got));
  SB_TRY(sb_nifti_parse(source->path, head, got, source->gzip, header));
  SB_TRY(open_data(path, header, data_name, source));
cleanup:
  return status;
}

sb_status sb_volume_cost(const char *path, int64_t *voxels, int64_t *load_bytes) {
  char *header_name = NULL, *data_name = NULL;
  sb_source source;
  sb_nifti_header h;
  sb_status status;
  *voxels = *load_bytes = 0;
  SB_TRY(open_both(path, &h, &source, &header_name, &data_name));
  const int64_t packed = source.gzip ? (int64_t)source.bytes : 0;
  const int64_t raw = h.data_offset + h.data_bytes, count = h.dims[0] * h.dims[1] * h.dims[2];
  const int64_t volume = count * (int64_t)sizeof(float);
  const int64_t most = source.gzip ? packed * SB_LARGEST_RATIO : (int64_t)source.bytes;
  if (most < raw) {
    status = too_short(&source, &h, (size_t)most);
    goto cleanup;
  }
  *voxels = count;
  *load_bytes =
      raw + (packed > volume ? packed : volume); // content beside the file, then the volume
cleanup:
  free(header_name);
  free(data_name);
  return status;
}

sb_status sb_volume_load(const char *path, sb_volume *volume, sb_volume_info *info) {
  sb_status status;
  char *header_name = NULL, *data_name = NULL;
  unsigned char *data = NULL;
  sb_source source;
  sb_nifti_header header;
  census found = {0};
  memset(volume, 0, sizeof *volume);
  SB_TRY(open_both(path, &header, &source, &header_name, &data_name));
  SB_TRY(read_data(&source, &header, &data));
  sb_axis_order order = sb_closest_ras(header.affine);
  SB_TRY(decode(&header, data + header.data_offset, &order, volume, &found));
  SB_TRY(judge(path, &found));
  if (info != NULL) describe(&header, &order, &found, volume, info);
cleanup:
  free(data);
  free(header_name);
  free(data_name);
  if (status.code != SB_OK) sb_volume_free(volume);
  return status;
}
