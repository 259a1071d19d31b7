#include "report/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

// What libpng has written so far.
typedef struct buffer {
  uint8_t *bytes;
  size_t count, capacity;
} buffer;

static void append(png_structp png, png_bytep data, size_t count) {
  buffer *out = png_get_io_ptr(png);
  if (out->count + count > out->capacity) {
    size_t capacity = 2 * (out->count + count) + 1024;
    uint8_t *grown = realloc(out->bytes, capacity);
    if (grown == NULL) png_error(png, "out of memory");
    out->bytes = grown;
    out->capacity = capacity;
  }
  memcpy(out->bytes + out->count, data, count);
  out->count += count;
}

static void flush(png_structp png) {
  (void)png;
}

static void silent(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

// Everything between here and the caller's setjmp may be left by a longjmp, so it owns nothing.
static void encode(png_structp png, png_infop info, const sb_picture *p, buffer *out) {
  png_color palette[256];
  const png_byte transparent = 0;
  for (int i = 0; i < p->colours; i++)
    palette[i] = (png_color){p->palette[i][0], p->palette[i][1], p->palette[i][2]};
  png_set_write_fn(png, out, append, flush);
  png_set_IHDR(png, info, (png_uint_32)p->width, (png_uint_32)p->height, 8, PNG_COLOR_TYPE_PALETTE,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_PLTE(png, info, palette, p->colours);
  png_set_tRNS(png, info, &transparent, 1, NULL);
  png_set_compression_level(png, 9);
  png_set_filter(png, 0, PNG_ALL_FILTERS); // grey values, in order: neighbours predict each other
  png_write_info(png, info);
  for (int y = 0; y < p->height; y++) png_write_row(png, p->pixels + (size_t)y * (size_t)p->width);
  png_write_end(png, NULL);
}

sb_status sb_png_encode(const sb_picture *picture, uint8_t **bytes, size_t *count) {
  buffer out = {0};
  png_infop info = NULL;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, silent);
  if (png != NULL) info = png_create_info_struct(png);
  volatile bool written = false;
  if (info != NULL && setjmp(png_jmpbuf(png)) == 0) {
    encode(png, info, picture, &out);
    written = true;
  }
  png_destroy_write_struct(&png, &info);
  *bytes = written ? out.bytes : NULL;
  *count = written ? out.count : 0;
  if (written) return sb_ok();
  free(out.bytes);
  return sb_error(SB_NO_MEMORY, "out of memory for a picture");
}

void sb_base64_put(FILE *file, const uint8_t *bytes, size_t count) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < count; i += 3) {
    size_t here = count - i < 3 ? count - i : 3;
    uint32_t group = (uint32_t)bytes[i] << 16;
    if (here > 1) group |= (uint32_t)bytes[i + 1] << 8;
    if (here > 2) group |= bytes[i + 2];
    for (size_t d = 0; d < 4; d++)
      fputc(d <= here ? digits[group >> (18 - 6 * d) & 63] : '=', file);
  }
}

sb_status sb_png_put(FILE *file, const sb_picture *picture, int64_t *written) {
  uint8_t *bytes = NULL;
  size_t count = 0;
  sb_status status = sb_png_encode(picture, &bytes, &count);
  if (status.code != SB_OK) return status;
  fputs("data:image/png;base64,", file);
  sb_base64_put(file, bytes, count);
  if (written != NULL) *written += (int64_t)((count + 2) / 3 * 4);
  free(bytes);
  return status;
}
