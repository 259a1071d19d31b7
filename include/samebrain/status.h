// What every fallible function returns: a stable code and a message that a person can act on.
#ifndef SAMEBRAIN_STATUS_H
#define SAMEBRAIN_STATUS_H

#include <stdbool.h>

#if defined(__cplusplus)
#define SB_LINKAGE extern "C"
#else
#define SB_LINKAGE
#endif

#if defined(__GNUC__)
#define SB_API SB_LINKAGE __attribute__((visibility("default")))
#define SB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SB_API SB_LINKAGE
#define SB_PRINTF(fmt, args)
#endif

// Codes never change their number; new ones are added at the end.
typedef enum sb_code {
  SB_OK = 0,
  SB_USAGE = 1,     // an argument or option is invalid
  SB_NO_MEMORY = 2, // an allocation failed
  SB_IO = 3,        // a file or folder cannot be opened, read, written or synced
  SB_FORMAT = 4, // a file is not what its name or header claims (truncated, damaged, inconsistent)
  SB_UNSUPPORTED =
      5,           // a valid file of a kind that is not taken (4D, RGB, complex, a whole head, ...)
  SB_CONTENT = 6,  // an image that holds nothing usable (constant, all zero, no finite voxel)
  SB_ALIGN = 7,    // no plausible alignment to the template was found
  SB_CONFLICT = 8, // things that must agree do not (two stores' templates, one scan given twice)
  SB_BUSY = 9,     // another process holds what is needed
  SB_NOT_FOUND = 10, // a file, folder, scan or measure does not exist
  SB_BACKEND = 11    // a compute backend is missing or failed
} sb_code;

// Returned by value; the message says what went wrong, with which file, and what to do about it.
// `message` is empty when `code` is SB_OK.
typedef struct sb_status {
  sb_code code;
  char message[1020];
} sb_status;

// A success.
SB_API sb_status sb_ok(void);

// A failure with a printf-style message (one too long for the buffer loses its middle).
SB_API sb_status sb_error(sb_code code, const char *format, ...) SB_PRINTF(2, 3);

// The code's name in lower case, as used in stores and JSON ("ok", "format", ...); "unknown" for any
// other value. Static storage.
SB_API const char *sb_code_name(sb_code code);

// Version of the library, "MAJOR.MINOR.PATCH"; static storage.
SB_API const char *sb_version(void);

// How a long run tells what it is doing. Any member may be NULL. Called from one thread at a time.
typedef struct sb_progress {
  void *context;
  // `done` of `total` units of `stage` are finished.
  void (*advance)(void *context, const char *stage, long long done, long long total);
  // Something a person should know now: a failed scan, an assumption made. `text` has no newline.
  void (*warn)(void *context, const char *text);
} sb_progress;

#endif
