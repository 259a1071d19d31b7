#include "report/figure.h"

#include <math.h>

#include "report/text.h"

void sb_figure_begin(FILE *file, int level, const char *title) {
  fprintf(file, "<figure>\n<h%d>", level);
  sb_put_html(file, title);
  fprintf(file, "</h%d>\n", level);
}

void sb_figure_key(FILE *file, const char *style, const char *name) {
  fprintf(file,
          "<span class=\"key\"><svg viewBox=\"0 0 22 10\" aria-hidden=\"true\"><path class=\"line "
          "%s\" d=\"M1 5h20\"/></svg>",
          style);
  sb_put_html(file, name);
  fputs("</span>\n", file);
}

void sb_figure_text(FILE *file, const char *text) {
  fputs("<figcaption>", file);
  sb_put_html(file, text);
  fputs("</figcaption>\n", file);
}

void sb_figure_table(FILE *file, const char *caption, const char *const *headers,
                     double *const *columns, int64_t rows, const char *source) {
  enum { MOST = 30 };
  int64_t step = (rows + MOST - 1) / MOST;
  char text[SB_TEXT];
  if (rows < 1) return;
  fputs(
      "<details class=\"data\"><summary>The numbers</summary><div class=\"scroll\" tabindex=\"0\">"
      "<table><caption>",
      file);
  sb_put_html(file, caption);
  if (step > 1) fprintf(file, ": one line in %s", sb_text_count((double)step, text));
  fputs("; all of them: ", file);
  sb_put_html(file, source);
  fputs("</caption>\n<thead><tr>", file);
  for (int c = 0; headers[c] != NULL; c++) {
    fputs("<th scope=\"col\">", file);
    sb_put_html(file, headers[c]);
    fputs("</th>", file);
  }
  fputs("</tr></thead>\n<tbody>", file);
  for (int64_t row = 0; row < rows; row += step) {
    fputs("<tr>", file);
    for (int c = 0; headers[c] != NULL; c++) {
      double value = columns[c][row];
      if (isnan(value))
        fputs("<td>\xe2\x80\x93</td>", file);
      else
        fprintf(file, "<td>%.4g</td>", value);
    }
    fputs("</tr>\n", file);
  }
  fputs("</tbody></table></div></details>\n", file);
}

void sb_figure_end(FILE *file) {
  fputs("</figure>\n", file);
}
