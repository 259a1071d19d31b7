#include "report/svg.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/utf8.h"
#include "evaluate/normal.h"
#include "report/text.h"

enum { LEFT = 52, NAMES = 170, RIGHT = 14, TOP = 30, BOTTOM = 50, MOST_TICKS = 16, ROW = 20 };

// ---- From values to the picture -----------------------------------------------------------------

static double on_scale(const sb_axis *axis, double value) {
  switch (axis->scale) {
  case SB_LOG:
    return log10(value);
  case SB_DEVIATE:
    return sb_normal_quantile(value);
  default:
    return value;
  }
}

// 0 at the axis' beginning, 1 at its end; what lies beyond is at the end.
static double along(const sb_axis *axis, double value) {
  if (isnan(value)) return value;
  double within = fmin(fmax(value, axis->low), axis->high);
  double low = on_scale(axis, axis->low), high = on_scale(axis, axis->high);
  return (on_scale(axis, within) - low) / (high - low);
}

static int left_edge(const sb_plot *plot) {
  return plot->rows == NULL ? LEFT : NAMES;
}

static int height_of(const sb_plot *plot) {
  return plot->rows == NULL ? SB_PLOT_HEIGHT : TOP + BOTTOM + ROW * plot->row_count;
}

static double left_of(const sb_plot *plot, double x) {
  const int left = left_edge(plot);
  return left + (SB_PLOT_WIDTH - left - RIGHT) * along(&plot->x, x);
}

static double top_of(const sb_plot *plot, double y) {
  const int height = height_of(plot);
  return height - BOTTOM - (height - TOP - BOTTOM) * along(&plot->y, y);
}

// ---- Ticks --------------------------------------------------------------------------------------

// The distance of about `count` ticks: 1, 2 or 5 times a power of ten.
static double round_step(double span, int count) {
  double raw = span / count, power = pow(10, floor(log10(raw)));
  double mantissa = raw / power;
  return power * (mantissa < 1.5 ? 1 : mantissa < 3.5 ? 2 : mantissa < 7.5 ? 5 : 10);
}

static int linear_ticks(const sb_axis *axis, int count, double *ticks) {
  double step = round_step(axis->high - axis->low, count);
  int used = 0;
  for (double k = ceil(axis->low / step - 1e-9); k * step <= axis->high + 1e-9 * step; k++)
    if (used < MOST_TICKS) ticks[used++] = k == 0 ? 0 : k * step;
  return used;
}

static int log_ticks(const sb_axis *axis, double *ticks) {
  int first = (int)ceil(log10(axis->low) - 1e-9), last = (int)floor(log10(axis->high) + 1e-9);
  int step = (last - first) / 8 + 1, used = 0;
  for (int power = first; power <= last && used < MOST_TICKS; power += step)
    ticks[used++] = pow(10, power);
  return used;
}

static int deviate_ticks(const sb_axis *axis, double *ticks) {
  static const double rates[] = {1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99};
  int used = 0;
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
    if (rates[i] >= axis->low && rates[i] <= axis->high) ticks[used++] = rates[i];
  return used;
}

static int make_ticks(const sb_axis *axis, int count, double ticks[MOST_TICKS]) {
  return axis->scale == SB_LOG       ? log_ticks(axis, ticks)
         : axis->scale == SB_DEVIATE ? deviate_ticks(axis, ticks)
                                     : linear_ticks(axis, count, ticks);
}

// 10 to a power, written with a raised number.
static void put_power(FILE *file, double value) {
  fprintf(file, "10<tspan dy=\"-5\" font-size=\"9\">%.0f</tspan>", log10(value));
}

static void put_tick(FILE *file, const sb_axis *axis, double value) {
  if (axis->scale == SB_LOG && !(value >= 1 && value < 5e3))
    put_power(file, value);
  else if (axis->scale == SB_DEVIATE || axis->as_percent)
    fprintf(file, "%.5g %%", 100 * value);
  else
    fprintf(file, "%.5g", value);
}

// ---- The frame ----------------------------------------------------------------------------------

// The beginning of a name, as much as there is room for.
static void put_row_name(FILE *file, const char *name) {
  enum { MOST = 22 };
  char cut[4 * MOST + 8];
  size_t used = 0;
  for (int i = 0; name[used] != '\0' && i < MOST; i++) {
    int bytes = sb_utf8_bytes(name + used);
    used += bytes > 0 ? (size_t)bytes : 1;
  }
  snprintf(cut, sizeof cut, "%.*s%s", (int)used, name, name[used] == '\0' ? "" : "\xe2\x80\xa6");
  sb_put_html(file, cut);
}

// The grid's lines along y, with what they stand for.
static void put_levels(sb_plot *plot, int left, int right) {
  FILE *file = plot->file;
  double ticks[MOST_TICKS];
  int count = plot->rows != NULL ? plot->row_count : make_ticks(&plot->y, 5, ticks);
  for (int i = 0; i < count; i++) {
    double y = top_of(plot, plot->rows != NULL ? -i : ticks[i]);
    fprintf(file, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" class=\"ty\">",
            left, y, right, left - 8, y + 4);
    if (plot->rows != NULL)
      put_row_name(file, plot->rows[i]);
    else
      put_tick(file, &plot->y, ticks[i]);
    fputs("</text>\n", file);
  }
}

static void put_axes(sb_plot *plot) {
  FILE *file = plot->file;
  const int left = left_edge(plot), right = SB_PLOT_WIDTH - RIGHT, height = height_of(plot);
  const int bottom = height - BOTTOM;
  double ticks[MOST_TICKS];
  put_levels(plot, left, right);
  int count = make_ticks(&plot->x, 6, ticks);
  for (int i = 0; i < count; i++) {
    double x = left_of(plot, ticks[i]);
    fprintf(file, "<path class=\"tick\" d=\"M%.1f %dv5\"/><text x=\"%.1f\" y=\"%d\" class=\"tx\">",
            x, bottom, x, bottom + 19);
    put_tick(file, &plot->x, ticks[i]);
    fputs("</text>\n", file);
  }
  fprintf(file, "<path class=\"axis\" d=\"M%d %dH%d\"/>\n", left, bottom, right);
  fprintf(file, "<text x=\"%d\" y=\"%d\" class=\"tx label\">", (left + right) / 2, height - 10);
  sb_put_html(file, plot->x.label);
  fprintf(file, "</text>\n<text x=\"4\" y=\"14\" class=\"label\">");
  sb_put_html(file, plot->y.label);
  fputs("</text>\n", file);
}

// Of a plot alone: legible on light and on dark ground.
static const char STYLE[] =
    "<style>text{font:12px sans-serif;fill:#7a838d}.tx{text-anchor:middle}.ty{text-anchor:end}"
    ".grid{stroke:#8884}.axis,.tick{stroke:#7a838d;fill:none}.line{fill:none;stroke-width:2;"
    "stroke:currentColor}.dot{fill:currentColor}.c1{color:#7a838d}.c2{color:#2a84c4}"
    ".c3{color:#c2703a}</style>\n";

void sb_plot_begin(sb_plot *plot, const char *id, const char *title, const char *text) {
  FILE *file = plot->file;
  fprintf(
      file,
      "<svg %sclass=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n"
      "<title id=\"%s-t\">",
      plot->alone ? "xmlns=\"http://www.w3.org/2000/svg\" " : "", SB_PLOT_WIDTH, height_of(plot),
      id, id, id);
  sb_put_html(file, title);
  fprintf(file, "</title><desc id=\"%s-d\">", id);
  sb_put_html(file, text);
  fputs("</desc>\n", file);
  if (plot->alone) fputs(STYLE, file);
  put_axes(plot);
}

void sb_plot_end(sb_plot *plot) {
  fputs("</svg>\n", plot->file);
}

// ---- Curves -------------------------------------------------------------------------------------

// Of neighbours that fall on the same half pixel only the first is written, so that thousands of points stay small.
static void put_path(sb_plot *plot, const double *x, const double *y, int64_t count) {
  double last_x = -1e9, last_y = -1e9;
  bool pen_down = false;
  for (int64_t i = 0; i < count; i++) {
    double left = left_of(plot, x[i]), top = top_of(plot, y[i]);
    if (isnan(left) || isnan(top)) {
      pen_down = false;
      continue;
    }
    bool far = fabs(left - last_x) >= 0.5 || fabs(top - last_y) >= 0.5 || i + 1 == count;
    if (pen_down && !far) continue;
    fprintf(plot->file, "%c%.1f %.1f", pen_down ? 'L' : 'M', left, top);
    last_x = left;
    last_y = top;
    pen_down = true;
  }
}

void sb_plot_line(sb_plot *plot, const char *style, const double *x, const double *y,
                  int64_t count) {
  fprintf(plot->file, "<path class=\"line %s\" d=\"", style);
  put_path(plot, x, y, count);
  fputs("\"/>\n", plot->file);
}

void sb_plot_band(sb_plot *plot, const char *style, const double *x, const double *low,
                  const double *high, int64_t count) {
  bool begun = false;
  for (int64_t i = 0; i < count; i++) {
    if (isnan(low[i]) || isnan(high[i])) continue;
    if (!begun) fprintf(plot->file, "<path class=\"area %s\" d=\"M", style);
    fprintf(plot->file, "%s%.1f %.1f", begun ? "L" : "", left_of(plot, x[i]),
            top_of(plot, high[i]));
    begun = true;
  }
  if (!begun) return;
  for (int64_t i = count - 1; i >= 0; i--)
    if (!isnan(low[i]) && !isnan(high[i]))
      fprintf(plot->file, "L%.1f %.1f", left_of(plot, x[i]), top_of(plot, low[i]));
  fputs("Z\"/>\n", plot->file);
}

// ---- Marks --------------------------------------------------------------------------------------

void sb_plot_bar(sb_plot *plot, const char *style, double from, double to, double y) {
  double left = left_of(plot, from), right = left_of(plot, to), top = top_of(plot, y);
  double bottom = height_of(plot) - BOTTOM;
  if (!(y > plot->y.low)) return;
  if (bottom - top < 1) top = bottom - 1; // that something is there must be seen
  fprintf(plot->file, "<path class=\"bar %s\" d=\"M%.1f %.1fV%.1fH%.1fV%.1fZ\"/>\n", style, left,
          bottom, top, right, bottom);
}

void sb_plot_point(sb_plot *plot, const char *style, double x, double y) {
  fprintf(plot->file, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", style,
          left_of(plot, x), top_of(plot, y));
}

void sb_plot_mark(sb_plot *plot, const char *style, double x, const char *label, int line) {
  double left = left_of(plot, x);
  bool right_half = along(&plot->x, x) > 0.55;
  int top = TOP + 2 + 16 * line;
  fprintf(plot->file,
          "<path class=\"line %s\" d=\"M%.1f %dV%d\"/><text x=\"%.1f\" y=\"%d\" class=\"mark %s\">",
          style, left, top - 8, height_of(plot) - BOTTOM, right_half ? left - 6 : left + 6, top,
          right_half ? "ty" : "");
  sb_put_html(plot->file, label);
  fputs("</text>\n", plot->file);
}
