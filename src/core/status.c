// Status codes and messages.
#include "samebrain/status.h"

#include <stdarg.h>
#include <stdio.h>

sb_status sb_ok(void) {
  sb_status status;
  status.code = SB_OK;
  status.message[0] = '\0';
  return status;
}

sb_status sb_error(sb_code code, const char *format, ...) {
  sb_status status;
  status.code = code;
  va_list args;
  va_start(args, format);
  vsnprintf(status.message, sizeof status.message, format, args);
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
