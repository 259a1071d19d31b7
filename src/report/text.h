// Text that goes into the page: escaped, so that no name can become markup or script, and numbers as people read them.
#ifndef SB_REPORT_TEXT_H
#define SB_REPORT_TEXT_H

#include <stdint.h>
#include <stdio.h>

enum { SB_TEXT = 64 }; // room for a formatted number

// As the content of an element or a quoted attribute. What is no UTF-8, and control characters, become
// U+FFFD.
void sb_put_html(FILE *file, const char *text);
// The same as an element of its own, whose writing direction does not reach what stands beside it.
void sb_put_name(FILE *file, const char *text);
// A scan's dataset and id. An id too long for a line of a table may be broken.
void sb_put_scan(FILE *file, const char *dataset, const char *id);
// As a JSON string with its quotes that may stand inside <script>: "<", ">" and "&" are written as \u00XX.
void sb_put_json(FILE *file, const char *text);
// A printf-style text, escaped as sb_put_html does.
void sb_put_htmlf(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Each writes into `out` and returns it; NaN gives "–".
const char *sb_text_count(double value, char out[SB_TEXT]);  // 12,345
const char *sb_text_score(double value, char out[SB_TEXT]);  // 0.9831
const char *sb_text_rate(double value, char out[SB_TEXT]);   // 63 %, 0.12 %, 1.3e-7
const char *sb_text_share(double value, char out[SB_TEXT]);  // 0.6316, 0.99997, 2.0e-08
const char *sb_text_tenths(double value, char out[SB_TEXT]); // 32.5
const char *sb_text_small(double value, char out[SB_TEXT]);  // 0.0031, 1.3e-7
const char *sb_text_seconds(double seconds, char out[SB_TEXT]);

#endif
