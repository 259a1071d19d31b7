// A figure of the page: a plot, what it shows, its legend, and its numbers as a table.
#ifndef SB_REPORT_FIGURE_H
#define SB_REPORT_FIGURE_H

#include <stdint.h>
#include <stdio.h>

// Opens the figure with its title, a heading of level 3 or 4; the plot or picture follows.
void sb_figure_begin(FILE *file, int level, const char *title);
// An entry of the legend: a swatch of the plot's class `style`, and a name.
void sb_figure_key(FILE *file, const char *style, const char *name);
// What the figure shows, in words, after the plot and its legend.
void sb_figure_text(FILE *file, const char *text);
// The numbers behind it, at most about 30 lines of them, evenly taken; `source` names the file with all.
void sb_figure_table(FILE *file, const char *caption, const char *const *headers,
                     double *const *columns, int64_t rows, const char *source);
void sb_figure_end(FILE *file);

#endif
