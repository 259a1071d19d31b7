// Status codes and messages.
#include "samebrain/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sb_status sb_ok(void) {
  sb_status status;
  status.code = SB_OK;
  status.message[0] = '\0';
  return status;
}

static bool inside_character(char byte) {
  return ((unsigned char)byte & 0xc0u) == 0x80u; // of UTF-8
}

// The text's beginning and end, which say where and what; a long path's middle is the least loss.
static void shorten(const char *text, size_t length, char *message, size_t bytes) {
  static const char gap[] = " ... ";
  size_t head = bytes / 2;
  const char *tail = text + length - (bytes - head - sizeof gap);
  while (head > 0 && inside_character(text[head])) head--;
  while (inside_character(*tail)) tail++;
  snprintf(message, bytes, "%.*s%s%s", (int)head, text, gap, tail);
}

sb_status sb_error(sb_code code, const char *format, ...) {
  sb_status status;
  status.code = code;
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(status.message, sizeof status.message, format, args);
  if (length >= (int)sizeof status.message) {
    char *text = malloc((size_t)length + 1);
    if (text != NULL) {
      vsnprintf(text, (size_t)length + 1, format, again);
      shorten(text, (size_t)length, status.message, sizeof status.message);
    }
    free(text);
  }
  va_end(again);
  va_end(args);
  return status;
}

const char *sb_code_name(sb_code code) {
  switch (code) {
  case SB_OK:
    return "ok";
  case SB_USAGE:
    return "usage";
  case SB_NO_MEMORY:
    return "no_memory";
  case SB_IO:
    return "io";
  case SB_FORMAT:
    return "format";
  case SB_UNSUPPORTED:
    return "unsupported";
  case SB_CONTENT:
    return "content";
  case SB_ALIGN:
    return "align";
  case SB_CONFLICT:
    return "conflict";
  case SB_BUSY:
    return "busy";
  case SB_NOT_FOUND:
    return "not_found";
  case SB_BACKEND:
    return "backend";
  }
  return "unknown";
}

const char *sb_version(void) {
  return SAMEBRAIN_VERSION;
}
