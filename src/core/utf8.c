#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sb_utf8_bytes(const char *text) {
  const unsigned char *at = (const unsigned char *)text, first = at[0];
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  int bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (int i = 1; i < bytes; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  const unsigned char second = at[1];
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
    return 0;                                   // overlong, a surrogate, or beyond U+10FFFF
  if (first == 0xc2 && second < 0xa0) return 0; // C1 controls
  return bytes;
}

bool sb_utf8_shows(const char *text) {
  while (*text != '\0') {
    const int bytes = sb_utf8_bytes(text);
    if (bytes == 0) return false;
    text += bytes;
  }
  return true;
}

char *sb_utf8_visible(const char *name) {
  char *text = malloc(4 * strlen(name) + 1), *to = text;
  if (text == NULL) return NULL;
  while (*name != '\0') {
    const int bytes = sb_utf8_bytes(name);
    if (bytes == 0) to += sprintf(to, "\\x%02x", (unsigned)(unsigned char)*name++);
    for (int i = 0; i < bytes; i++) *to++ = *name++;
  }
  *to = '\0';
  return text;
}
