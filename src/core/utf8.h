// UTF-8: what can be shown, and kept in a table.
#ifndef SB_CORE_UTF8_H
#define SB_CORE_UTF8_H

#include <stdbool.h>

// The bytes of the character at `text`; 0 when there is none that can be shown: no UTF-8, a control
// character, or the end.
int sb_utf8_bytes(const char *text);
// Whether all of a text can be shown.
bool sb_utf8_shows(const char *text);
// A text as it can be shown, bytes that cannot be as \xHH. free() it; NULL when memory is short.
char *sb_utf8_visible(const char *text);

#endif
