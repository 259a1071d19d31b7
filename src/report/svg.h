// Plots as plain SVG: a frame with ticks, and lines, bands, bars and points in it. Colours come from the page's
// style sheet by class, so that a plot follows light and dark and prints well.
#ifndef SB_REPORT_SVG_H
#define SB_REPORT_SVG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum sb_scale {
  SB_LINEAR = 0,
  SB_LOG,    // decades
  SB_DEVIATE // rates on the axis of a DET curve: their normal deviates
} sb_scale;

typedef struct sb_axis {
  sb_scale scale;
  double low, high; // low < high; above 0 where it is SB_LOG, between 0 and 1 where SB_DEVIATE
  const char *label;
  int as_percent; // ticks of a linear axis: 0.2 is written as 20 %
} sb_axis;

enum { SB_PLOT_WIDTH = 520, SB_PLOT_HEIGHT = 310 };

typedef struct sb_plot {
  FILE *file;
  sb_axis x, y;
  bool alone; // a file of its own, which brings its style along
  // Where not NULL: names in the place of the y axis' numbers, one row each, row i at height -i. The plot is
  // as high as they need.
  const char *const *rows;
  int row_count;
} sb_plot;

// Opens the picture and draws frame, grid and ticks. `id` is unique in the page; `title` is what a screen reader
// says of it, `text` what it shows, in words.
void sb_plot_begin(sb_plot *plot, const char *id, const char *title, const char *text);
void sb_plot_end(sb_plot *plot);

// Points that are NaN interrupt a line; what lies beyond the axes is cut off at the frame.
void sb_plot_line(sb_plot *plot, const char *style, const double *x, const double *y,
                  int64_t count);
// The area between two curves.
void sb_plot_band(sb_plot *plot, const char *style, const double *x, const double *low,
                  const double *high, int64_t count);
void sb_plot_bar(sb_plot *plot, const char *style, double from, double to, double y);
void sb_plot_point(sb_plot *plot, const char *style, double x, double y);
// A vertical line through the plot, with a label at its top in line 0, 1, ...
void sb_plot_mark(sb_plot *plot, const char *style, double x, const char *label, int line);

#endif
