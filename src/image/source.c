// The bytes of an image file (see source.h). libdeflate takes the usual case, one gzip member whose
// trailer tells its size; zlib's stream everything else, and it tells truncated from damaged.
#include "image/source.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libdeflate.h>
#include <zlib.h>

#include "core/file.h"
#include "core/memory.h"

enum {
  HEAD_BYTES = 1 << 16,   // of the file, read to see its first content
  SPARE_BYTES = 16 << 20, // content after the wanted bytes that is still checked
  FIRST_GUESS = 1 << 18   // of content, where the trailer is of no help
};

// ---- Files --------------------------------------------------------------------------------------

// Up to `want` bytes from the file's beginning.
static sb_status read_start(const char *path, size_t want, void *data, size_t *got) {
  *got = 0;
  FILE *file = fopen(path, "rb");
  if (file == NULL) return sb_open_error(path, errno);
  setvbuf(file, NULL, _IONBF, 0);
  *got = fread(data, 1, want, file);
  sb_status status =
      ferror(file) ? sb_error(SB_IO, "%s: cannot read: %s", path, strerror(errno)) : sb_ok();
  fclose(file);
  return status;
}

sb_status sb_source_open(const char *path, sb_source *out) {
  struct stat info;
  if (stat(path, &info) != 0) return sb_open_error(path, errno);
  if (S_ISDIR(info.st_mode))
    return sb_error(SB_IO, "%s: a folder, where an image file is needed", path);
  if (!S_ISREG(info.st_mode))
    return sb_error(SB_IO, "%s: not a regular file; save the image to a file first", path);
  if (info.st_size == 0)
    return sb_error(SB_FORMAT, "%s: the file is empty; fetch or write it again", path);
  unsigned char magic[2] = {0, 0};
  size_t got;
  sb_status status = read_start(path, sizeof magic, magic, &got);
  *out = (sb_source){path, (size_t)info.st_size, magic[0] == 0x1f && magic[1] == 0x8b};
  return status;
}

// ---- gzip by zlib -------------------------------------------------------------------------------

// Where inflated bytes go: a buffer that grows up to `want`; what comes after it is dropped.
typedef struct sink {
  unsigned char *data;
  size_t used, capacity, want, dropped;
  unsigned char waste[1 << 14];
} sink;

static sb_status sink_room(sink *s, const char *path, unsigned char **room, size_t *bytes) {
  if (s->used == s->want) {
    *room = s->waste;
    *bytes = sizeof s->waste;
    return sb_ok();
  }
  if (s->used == s->capacity) {
    size_t capacity = s->capacity == 0 ? FIRST_GUESS : s->capacity * 2;
    if (capacity > s->want) capacity = s->want;
    unsigned char *grown = realloc(s->data, capacity);
    if (grown == NULL)
      return sb_error(SB_NO_MEMORY, "%s: out of memory: %zu bytes for its content", path, capacity);
    s->data = grown;
    s->capacity = capacity;
  }
  *room = s->data + s->used;
  *bytes = s->capacity - s->used;
  return sb_ok();
}

static sb_status truncated(const char *path, size_t bytes) {
  return sb_error(
      SB_FORMAT,
      "%s: truncated gzip: the compressed data breaks off after %zu bytes; the file was "
      "copied or downloaded incompletely, fetch it again",
      path, bytes);
}

static sb_status damaged(const char *path, const char *detail) {
  return sb_error(SB_FORMAT, "%s: damaged gzip data (%s); fetch the file again", path,
                  detail != NULL ? detail : "no detail");
}

// At the end of a member: true when another follows, made ready to go on. Anything else that
// follows is padding, which gzip ignores too.
static bool next_member(z_stream *stream, size_t left) {
  return left >= 2 && stream->next_in[0] == 0x1f && stream->next_in[1] == 0x8b &&
         inflateReset(stream) == Z_OK;
}

// One call of inflate() into `room`, which `out` lent; zlib's code.
static int inflate_some(z_stream *stream, size_t left, unsigned char *room, size_t room_bytes,
                        sink *out) {
  stream->avail_in = left < UINT_MAX ? (uInt)left : UINT_MAX;
  stream->avail_out = room_bytes < UINT_MAX ? (uInt)room_bytes : UINT_MAX;
  stream->next_out = room;
  uInt offered = stream->avail_out;
  int code = inflate(stream, Z_NO_FLUSH);
  size_t made = offered - stream->avail_out;
  if (room == out->waste)
    out->dropped += made;
  else
    out->used += made;
  return code;
}

// Inflates all members of `in` into `out` until the input ends, or `partial` and `out` is full, or
// far more than wanted has come.
static sb_status inflate_stream(const char *path, const unsigned char *in, size_t bytes,
                                bool partial, sink *out) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (inflateInit2(&stream, 15 + 16) != Z_OK)
    return sb_error(SB_NO_MEMORY, "%s: out of memory for inflating", path);
  sb_status status;
  stream.next_in = (unsigned char *)in; // zlib only reads it
  size_t left = bytes;
  for (;;) {
    unsigned char *room = NULL;
    size_t room_bytes = 0;
    SB_TRY(sink_room(out, path, &room, &room_bytes));
    if (room == out->waste && (partial || out->dropped > SPARE_BYTES)) break;
    int code = inflate_some(&stream, left, room, room_bytes, out);
    left = bytes - (size_t)(stream.next_in - in);
    if (code == Z_STREAM_END) {
      if (next_member(&stream, left)) continue;
      break;
    }
    if (code == Z_MEM_ERROR)
      status = sb_error(SB_NO_MEMORY, "%s: out of memory for inflating", path);
    else if (code != Z_OK && code != Z_BUF_ERROR)
      status = damaged(path, stream.msg);
    else if (left == 0 && stream.avail_out > 0)
      status = truncated(path, bytes);
    if (status.code != SB_OK) break;
  }
cleanup:
  inflateEnd(&stream);
  return status;
}

// ---- gzip by libdeflate -------------------------------------------------------------------------

// The content's size as the last member's trailer has it, modulo 2^32.
static size_t trailer_size(const unsigned char *in, size_t bytes) {
  const unsigned char *t = in + bytes - 4;
  return (size_t)t[0] | (size_t)t[1] << 8 | (size_t)t[2] << 16 | (size_t)t[3] << 24;
}

// True when `in` is one member of about `want` bytes and has been inflated into *data; false, with
// nothing allocated, when zlib should look at it.
static bool inflate_at_once(const unsigned char *in, size_t bytes, size_t want,
                            unsigned char **data, size_t *got) {
  if (bytes < 18) return false;
  size_t size = trailer_size(in, bytes);
  if (size < want || size - want > SPARE_BYTES || size / SB_LARGEST_RATIO > bytes) return false;
  struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
  unsigned char *content = NULL;
  bool done = false;
  if (inflater != NULL && SB_NEW(&content, size, "an image").code == SB_OK) {
    size_t used_in = 0, made = 0;
    enum libdeflate_result result =
        libdeflate_gzip_decompress_ex(inflater, in, bytes, content, size, &used_in, &made);
    done = result == LIBDEFLATE_SUCCESS && used_in == bytes && made == size;
  }
  libdeflate_free_decompressor(inflater);
  if (!done) {
    free(content);
    return false;
  }
  *data = content;
  *got = want;
  return true;
}

// ---- Content ------------------------------------------------------------------------------------

sb_status sb_source_head(const sb_source *source, size_t want, unsigned char *head, size_t *got) {
  sb_status status;
  unsigned char *start = NULL;
  sink *out = NULL;
  *got = 0;
  if (!source->gzip) return read_start(source->path, want, head, got);
  SB_TRY(SB_NEW(&start, HEAD_BYTES, "a file's beginning"));
  SB_TRY(SB_NEW_ZERO(&out, 1, "a file's beginning"));
  out->want = want;
  size_t bytes;
  SB_TRY(read_start(source->path, HEAD_BYTES, start, &bytes));
  SB_TRY(inflate_stream(source->path, start, bytes, true, out));
  if (out->used > 0) memcpy(head, out->data, out->used);
  *got = out->used;
cleanup:
  if (out != NULL) free(out->data);
  free(out);
  free(start);
  return status;
}

static sb_status read_plain(const sb_source *source, size_t want, unsigned char **data,
                            size_t *got) {
  size_t bytes = want < source->bytes ? want : source->bytes;
  sb_status status = SB_NEW(data, bytes, source->path);
  if (status.code == SB_OK) status = read_start(source->path, bytes, *data, got);
  return status;
}

static sb_status read_gzip(const sb_source *source, size_t want, unsigned char **data,
                           size_t *got) {
  sb_status status;
  char *packed = NULL;
  sink *out = NULL;
  size_t bytes;
  SB_TRY(sb_read_file(source->path, &packed, &bytes));
  const unsigned char *in = (const unsigned char *)packed;
  if (inflate_at_once(in, bytes, want, data, got)) goto cleanup;
  SB_TRY(SB_NEW_ZERO(&out, 1, source->path));
  out->want = want;
  SB_TRY(inflate_stream(source->path, in, bytes, false, out));
  *data = out->data;
  *got = out->used;
  out->data = NULL;
cleanup:
  if (out != NULL) free(out->data);
  free(out);
  free(packed);
  return status;
}

sb_status sb_source_read(const sb_source *source, size_t want, unsigned char **data, size_t *got) {
  *data = NULL;
  *got = 0;
  sb_status status =
      source->gzip ? read_gzip(source, want, data, got) : read_plain(source, want, data, got);
  if (status.code != SB_OK) {
    free(*data);
    *data = NULL;
    *got = 0;
  }
  return status;
}
