// The bytes of an image file, gzip or plain (told by content, not by name), without trusting sizes
// that a file claims: memory grows with the data that is really there.
#ifndef SB_IMAGE_SOURCE_H
#define SB_IMAGE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "samebrain/status.h"

enum { SB_LARGEST_RATIO = 1032 }; // of content to file: deflate cannot compress better

typedef struct sb_source {
  const char *path; // borrowed
  size_t bytes;     // on disk
  bool gzip;
} sb_source;

// Looks at a file. Errors: SB_NOT_FOUND, SB_IO (a folder, unreadable), SB_FORMAT (empty).
sb_status sb_source_open(const char *path, sb_source *out);

// The first `want` bytes of content, fewer (*got) when there are fewer. Errors: SB_IO, SB_FORMAT
// (truncated or damaged gzip), SB_NO_MEMORY.
sb_status sb_source_head(const sb_source *source, size_t want, unsigned char *head, size_t *got);

// The first `want` bytes of content, or all (*got) when there are fewer; free() *data. A gzip's
// checksum is verified unless far more than `want` follows. Errors: as sb_source_head.
sb_status sb_source_read(const sb_source *source, size_t want, unsigned char **data, size_t *got);

#endif
