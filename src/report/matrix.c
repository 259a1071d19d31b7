// All scores as a picture: blocks by dataset, made smaller by keeping the closest pair of each cell.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "report/array.h"
#include "report/figure.h"
#include "report/page.h"
#include "report/png.h"
#include "report/text.h"

enum { LARGEST = 640, LARGEST_MORE = 320, SHADES = 100 };

// The scans along one side, and where each dataset begins.
typedef struct side {
  sb_tsv table;
  size_t dataset, scan;
  int64_t count;
} side;

typedef struct matrix {
  side probe, gallery;
  int width, height; // cells: gallery scans across, probes down
  float *closest;    // of each cell, as closeness; NaN: nothing is known
  double direction;
  bool dense;
} matrix;

// ---- The scans ----------------------------------------------------------------------------------

static sb_status read_side(const sb_page *page, const char *name, side *out) {
  char *path = sb_path_join(page->folder, name);
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_tsv_read(path, &out->table));
  SB_TRY(sb_tsv_need_own(&out->table, path, "dataset", "link again", &out->dataset));
  SB_TRY(sb_tsv_need_own(&out->table, path, "scan_id", "link again", &out->scan));
  out->count = (int64_t)out->table.rows;
  if (out->count < 1) status = sb_error(SB_FORMAT, "%s: has no scans; link again", path);
cleanup:
  free(path);
  return status;
}

static const char *dataset_of(const side *s, int64_t i) {
  return sb_tsv_cell(&s->table, (size_t)i, s->dataset);
}

// The scan's place; the tables are in (dataset, scan_id) order. -1: not there.
static int64_t find_scan(const side *s, const char *dataset, const char *scan) {
  int64_t low = 0, high = s->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    int order = strcmp(dataset_of(s, middle), dataset);
    if (order == 0) order = strcmp(sb_tsv_cell(&s->table, (size_t)middle, s->scan), scan);
    if (order == 0) return middle;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return -1;
}

// ---- The scores ---------------------------------------------------------------------------------

static void keep_closest(matrix *m, int64_t probe, int64_t gallery, float score) {
  int64_t y = probe * m->height / m->probe.count, x = gallery * m->width / m->gallery.count;
  float closeness = (float)m->direction * score, *cell = m->closest + y * m->width + x;
  if (isfinite(closeness) && !(*cell >= closeness)) *cell = closeness;
}

static sb_status fill_dense(const char *path, bool self, matrix *m) {
  sb_array array = {0};
  float *line = NULL;
  sb_status status;
  SB_TRY(sb_array_open(path, "<f4", &array));
  if (array.shape.rows != m->probe.count || array.shape.columns != m->gallery.count) {
    status = sb_error(SB_FORMAT, "%s: does not fit probes.tsv and gallery.tsv; link again", path);
    goto cleanup;
  }
  SB_TRY(SB_NEW(&line, m->gallery.count, "scores"));
  for (int64_t p = 0; p < m->probe.count; p++) {
    SB_TRY(sb_array_next(&array, line));
    for (int64_t g = 0; g < m->gallery.count; g++)
      if (!self || p != g) keep_closest(m, p, g, line[g]);
  }
cleanup:
  sb_array_close(&array);
  free(line);
  return status;
}

static sb_status fill_sparse(const sb_page *page, const char *measure, matrix *m) {
  static const char *const names[] = {"probe_dataset", "probe_id", "gallery_dataset",
                                      "gallery_id",    "measure",  "score"};
  char *path = sb_path_join(page->folder, "matches.tsv");
  sb_tsv table = {0};
  size_t column[6];
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_tsv_read(path, &table));
  for (int i = 0; i < 6; i++)
    SB_TRY(sb_tsv_need_own(&table, path, names[i], "link again", column + i));
  for (size_t row = 0; row < table.rows; row++) {
    const char *cells[6];
    for (int i = 0; i < 6; i++) cells[i] = sb_tsv_cell(&table, row, column[i]);
    if (strcmp(cells[4], measure) != 0) continue;
    int64_t p = find_scan(&m->probe, cells[0], cells[1]);
    int64_t g = find_scan(&m->gallery, cells[2], cells[3]);
    if (p >= 0 && g >= 0) keep_closest(m, p, g, strtof(cells[5], NULL));
  }
cleanup:
  sb_tsv_free(&table);
  free(path);
  return status;
}

static sb_status read_matrix(const sb_page *page, int i, int largest, matrix *m) {
  const char *measure = sb_page_measure_name(page, i);
  char *path = sb_page_path(page, "scores", measure, ".npy");
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(read_side(page, "probes.tsv", &m->probe));
  SB_TRY(read_side(page, "gallery.tsv", &m->gallery));
  m->width = (int)(m->gallery.count < largest ? m->gallery.count : largest);
  m->height = (int)(m->probe.count < largest ? m->probe.count : largest);
  m->direction = cJSON_IsFalse(sb_json_at(sb_page_measure(page, i), "higher_is_closer")) ? -1 : 1;
  m->dense = sb_is_file(path);
  SB_TRY(SB_NEW(&m->closest, (int64_t)m->width * m->height, "picture"));
  for (int64_t c = 0; c < (int64_t)m->width * m->height; c++) m->closest[c] = NAN;
  if (m->dense)
    SB_TRY(fill_dense(path, page->self, m));
  else
    SB_TRY(fill_sparse(page, measure, m));
cleanup:
  free(path);
  return status;
}

static void free_matrix(matrix *m) {
  sb_tsv_free(&m->probe.table);
  sb_tsv_free(&m->gallery.table);
  free(m->closest);
}

// ---- The picture --------------------------------------------------------------------------------

// Dark blue to light yellow, lightness rising all the way: the same order in grey and to every eye.
static void shade(double level, uint8_t out[3]) {
  static const double stops[][3] = {{18, 28, 58},    {33, 72, 122},   {48, 124, 146},
                                    {110, 175, 140}, {205, 213, 120}, {253, 245, 190}};
  enum { LAST = sizeof stops / sizeof *stops - 1 };
  double at = fmin(fmax(level, 0), 1) * LAST;
  int below = at >= LAST ? LAST - 1 : (int)at;
  for (int c = 0; c < 3; c++)
    out[c] =
        (uint8_t)lround(stops[below][c] + (at - below) * (stops[below + 1][c] - stops[below][c]));
}

static void find_range(const matrix *m, float *low, float *high) {
  *low = INFINITY;
  *high = -INFINITY;
  for (int64_t c = 0; c < (int64_t)m->width * m->height; c++) {
    if (isnan(m->closest[c])) continue;
    *low = fminf(*low, m->closest[c]);
    *high = fmaxf(*high, m->closest[c]);
  }
  if (!(*high > *low)) *high = *low + 1;
}

static sb_status put_picture(sb_page *page, const matrix *m, float low, float high) {
  sb_picture picture = {.width = m->width, .height = m->height, .colours = SHADES + 1};
  uint8_t *pixels = NULL;
  sb_status status = SB_NEW(&pixels, (int64_t)m->width * m->height, "picture");
  if (status.code != SB_OK) return status;
  for (int i = 0; i < SHADES; i++) shade((double)i / (SHADES - 1), picture.palette[i + 1]);
  for (int64_t c = 0; c < (int64_t)m->width * m->height; c++) {
    float level = (m->closest[c] - low) / (high - low);
    pixels[c] = isnan(level) ? 0 : (uint8_t)(1 + lrintf((SHADES - 1) * level));
  }
  picture.pixels = pixels;
  int64_t written = 0;
  status = sb_png_put(page->file, &picture, &written);
  page->picture_bytes_left -= written;
  free(pixels);
  return status;
}

enum { NAME_BYTES = 18 }; // longer names of datasets are cut

// The longest name's length, in characters.
static double name_width(const side *s) {
  size_t longest = 0;
  for (int64_t i = 0; i < s->count; i++) {
    size_t length = strlen(dataset_of(s, i));
    if (length > longest) longest = length;
  }
  return longest > NAME_BYTES ? NAME_BYTES + 1 : (double)longest;
}

// Lines between the datasets of the side that runs down or across a picture of width x height, and, where there is
// room, their names beside it.
static void put_blocks(FILE *file, const side *s, bool down, double width, double height) {
  enum { LEAST_ROOM = 14, MOST_NAMED = 30 };
  const double size = down ? height : width;
  int named = 0;
  for (int64_t first = 0, next; first < s->count; first = next) {
    for (next = first; next < s->count; next++)
      if (strcmp(dataset_of(s, next), dataset_of(s, first)) != 0) break;
    double from = size * (double)first / (double)s->count;
    double to = size * (double)next / (double)s->count;
    if (first > 0 && down) fprintf(file, "<path class=\"block\" d=\"M0 %.1fh%.1f\"/>", from, width);
    if (first > 0 && !down)
      fprintf(file, "<path class=\"block\" d=\"M%.1f 0v%.1f\"/>", from, height);
    if (to - from < LEAST_ROOM || named++ >= MOST_NAMED) continue;
    char name[40];
    bool cut = strlen(dataset_of(s, first)) > NAME_BYTES;
    snprintf(name, sizeof name, "%.*s%s", NAME_BYTES, dataset_of(s, first),
             cut ? "\xe2\x80\xa6" : "");
    if (down)
      fprintf(file, "<text class=\"ty\" x=\"-8\" y=\"%.1f\">", (from + to) / 2 + 4);
    else
      fprintf(file, "<text class=\"tx\" x=\"%.1f\" y=\"%.1f\">", (from + to) / 2, height + 18);
    sb_put_html(file, name);
    fputs("</text>\n", file);
  }
}

static void put_scale(FILE *file, double low, double high) {
  char text[2][SB_TEXT];
  fprintf(file,
          "<p class=\"scale\"><span>%s</span><svg viewBox=\"0 0 200 10\" "
          "preserveAspectRatio=\"none\" aria-hidden=\"true\">",
          sb_text_score(low, text[0]));
  for (int i = 0; i < 40; i++) {
    uint8_t colour[3];
    shade(i / 39.0, colour);
    fprintf(file, "<path fill=\"#%02x%02x%02x\" d=\"M%d 0h6v10h-6z\"/>", colour[0], colour[1],
            colour[2], 5 * i);
  }
  fprintf(file, "</svg><span>%s</span> <span>closer</span></p>\n", sb_text_score(high, text[1]));
}

static void say_matrix(const matrix *m, char *text, size_t size) {
  char count[4][SB_TEXT];
  int used = snprintf(text, size, "%s scans down, %s across, ordered by dataset and name. ",
                      sb_text_count((double)m->probe.count, count[0]),
                      sb_text_count((double)m->gallery.count, count[1]));
  if (m->width < m->gallery.count || m->height < m->probe.count)
    used += snprintf(text + used, size - (size_t)used,
                     "Each of the %s x %s cells shows the closest of its pairs. ",
                     sb_text_count(m->height, count[2]), sb_text_count(m->width, count[3]));
  snprintf(text + used, size - (size_t)used, "%s",
           m->dense ? "All pairs are in it."
                    : "Only the pairs that matches.tsv lists are in it; the rest is left blank. "
                      "A link with --matrix writes all.");
}

static sb_status put_matrix(sb_page *page, int i) {
  matrix m = {0};
  float low, high;
  char text[400];
  sb_status status;
  SB_TRY(read_matrix(page, i, i == 0 ? LARGEST : LARGEST_MORE, &m));
  find_range(&m, &low, &high);
  if (!isfinite(low)) goto cleanup;
  double larger = m.width > m.height ? m.width : m.height;
  double width = fmax(520 * m.width / larger, 40), height = fmax(520 * m.height / larger, 40);
  double left = 12 + 7 * name_width(&m.probe);
  say_matrix(&m, text, sizeof text);
  sb_figure_begin(page->file, 3, sb_page_measure_name(page, i));
  fprintf(page->file,
          "<svg class=\"plot matrix\" viewBox=\"%.1f -2 %.1f %.1f\" role=\"img\" "
          "aria-labelledby=\"matrix-%d\"><title id=\"matrix-%d\">Matrix of scores</title>\n"
          "<rect class=\"blank\" width=\"%.1f\" height=\"%.1f\"/>"
          "<image width=\"%.1f\" height=\"%.1f\" preserveAspectRatio=\"none\" href=\"",
          -left, left + width + 4, height + 30, i, i, width, height, width, height);
  SB_TRY(put_picture(page, &m, low, high));
  fputs("\"/>\n", page->file);
  put_blocks(page->file, &m.probe, true, width, height);
  put_blocks(page->file, &m.gallery, false, width, height);
  fputs("</svg>\n", page->file);
  if (m.direction > 0)
    put_scale(page->file, low, high);
  else
    put_scale(page->file, -low, -high);
  sb_figure_text(page->file, text);
  sb_figure_end(page->file);
cleanup:
  free_matrix(&m);
  return status;
}

sb_status sb_put_matrices(sb_page *page) {
  enum { LEAST_LEFT = 1000000 }; // so that the brains are not left out for matrices
  sb_status status = sb_ok();
  int count = sb_page_measure_count(page), shown = 0;
  fputs("<section id=\"matrix\"><h2>All pairs at a glance</h2>\n<div class=\"plots\">\n",
        page->file);
  for (int i = 0; i < count && status.code == SB_OK; i++) {
    if (i > 0 && page->picture_bytes_left < LEAST_LEFT) break;
    status = put_matrix(page, i);
    shown++;
  }
  fputs("</div>\n", page->file);
  if (shown < count)
    fprintf(page->file,
            "<p class=\"note\">The matrices of %d more measures are left out to keep the page "
            "small.</p>\n",
            count - shown);
  fputs("</section>\n", page->file);
  return status;
}
