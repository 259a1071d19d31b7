// Small pictures inside the page: PNG by libpng, as data: addresses.
#ifndef SB_REPORT_PNG_H
#define SB_REPORT_PNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "samebrain/status.h"

// A picture of at most 256 colours: one byte a pixel, top line first, an index into the palette. Colour 0 is
// transparent.
typedef struct sb_picture {
  int width, height;
  const uint8_t *pixels;
  uint8_t palette[256][3]; // red, green, blue
  int colours;
} sb_picture;

// The file's bytes in memory; free() them. Errors: SB_NO_MEMORY.
sb_status sb_png_encode(const sb_picture *picture, uint8_t **bytes, size_t *count);
// "data:image/png;base64,...". `written` (may be NULL) grows by what was put.
sb_status sb_png_put(FILE *file, const sb_picture *picture, int64_t *written);
void sb_base64_put(FILE *file, const uint8_t *bytes, size_t count);

#endif
