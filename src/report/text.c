#include "report/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"

// ---- Escaping -----------------------------------------------------------------------------------

static const char REPLACEMENT[] = "\xef\xbf\xbd";

// What a byte is written as in HTML; NULL: as it is.
static const char *html_entity(char c) {
  switch (c) {
  case '<':
    return "&lt;";
  case '>':
    return "&gt;";
  case '&':
    return "&amp;";
  case '"':
    return "&quot;";
  case '\'':
    return "&#39;";
  default:
    return NULL;
  }
}

void sb_put_html(FILE *file, const char *text) {
  while (*text != '\0') {
    int bytes = sb_utf8_bytes(text);
    const char *entity = bytes == 1 ? html_entity(*text) : NULL;
    if (bytes == 0)
      fputs(REPLACEMENT, file);
    else if (entity != NULL)
      fputs(entity, file);
    else
      fwrite(text, 1, (size_t)bytes, file);
    text += bytes == 0 ? 1 : bytes;
  }
}

void sb_put_name(FILE *file, const char *text) {
  fputs("<bdi>", file);
  sb_put_html(file, text);
  fputs("</bdi>", file);
}

void sb_put_scan(FILE *file, const char *dataset, const char *id) {
  enum { LONG_BYTES = 32 };
  fputs("<span class=\"dataset\">", file);
  sb_put_name(file, dataset);
  fputs(strlen(id) > LONG_BYTES ? "</span> <bdi class=\"long\">" : "</span> <bdi>", file);
  sb_put_html(file, id);
  fputs("</bdi>", file);
}

void sb_put_json(FILE *file, const char *text) {
  fputc('"', file);
  while (*text != '\0') {
    int bytes = sb_utf8_bytes(text);
    if (bytes == 0)
      fputs(REPLACEMENT, file);
    else if (bytes == 1 && strchr("<>&\"\\'", *text) != NULL)
      fprintf(file, "\\u%04x", (unsigned)(unsigned char)*text);
    else
      fwrite(text, 1, (size_t)bytes, file);
    text += bytes == 0 ? 1 : bytes;
  }
  fputc('"', file);
}

void sb_put_htmlf(FILE *file, const char *format, ...) {
  char text[2000];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  sb_put_html(file, text);
}

// ---- Numbers ------------------------------------------------------------------------------------

static const char *none(char out[SB_TEXT]) {
  snprintf(out, SB_TEXT, "\xe2\x80\x93");
  return out;
}

const char *sb_text_count(double value, char out[SB_TEXT]) {
  if (isnan(value)) return none(out);
  char digits[SB_TEXT];
  snprintf(digits, sizeof digits, "%.0f", value);
  size_t length = strlen(digits), used = 0;
  for (size_t i = 0; i < length && used + 2 < SB_TEXT; i++) {
    size_t left = length - i;
    if (i > 0 && left % 3 == 0 && digits[i - 1] != '-') out[used++] = ',';
    out[used++] = digits[i];
  }
  out[used] = '\0';
  return out;
}

const char *sb_text_score(double value, char out[SB_TEXT]) {
  if (isnan(value)) return none(out);
  double size = fabs(value);
  snprintf(out, SB_TEXT, size < 10 && (size >= 1e-3 || size == 0) ? "%.4f" : "%.5g", value);
  return out;
}

const char *sb_text_share(double value, char out[SB_TEXT]) {
  if (isnan(value)) return none(out);
  // Never rounded to 0 or 1: that there were errors, or may be, counts.
  double missing = 1 - value;
  if (value > 0 && value < 5e-5)
    snprintf(out, SB_TEXT, "%.1e", value);
  else
    snprintf(out, SB_TEXT, "%.*f", missing > 0 && missing < 5e-5 ? (int)ceil(-log10(missing)) : 4,
             value);
  return out;
}

const char *sb_text_tenths(double value, char out[SB_TEXT]) {
  if (isnan(value)) return none(out);
  snprintf(out, SB_TEXT, "%.1f", value);
  return out;
}

const char *sb_text_small(double value, char out[SB_TEXT]) {
  if (isnan(value)) return none(out);
  snprintf(out, SB_TEXT, "%.2g", value);
  return out;
}

const char *sb_text_rate(double value, char out[SB_TEXT]) {
  if (isnan(value)) return none(out);
  double percent = 100 * value;
  if (percent == 0 || percent == 100)
    snprintf(out, SB_TEXT, "%.0f %%", percent);
  else if (percent < 1e-3)
    snprintf(out, SB_TEXT, "%.1e", value);
  else if (percent < 1)
    snprintf(out, SB_TEXT, "%.2g %%", percent);
  else if (percent > 99) // what is missing counts
    snprintf(out, SB_TEXT, percent > 99.99 ? "> 99.99 %%" : "%.2f %%", percent);
  else
    snprintf(out, SB_TEXT, "%.1f %%", percent);
  return out;
}

const char *sb_text_seconds(double seconds, char out[SB_TEXT]) {
  if (isnan(seconds)) return none(out);
  if (seconds < 1)
    snprintf(out, SB_TEXT, "%.3f s", seconds);
  else if (seconds < 120)
    snprintf(out, SB_TEXT, "%.1f s", seconds);
  else if (seconds < 7200)
    snprintf(out, SB_TEXT, "%.1f min", seconds / 60);
  else
    snprintf(out, SB_TEXT, "%.1f h", seconds / 3600);
  return out;
}
