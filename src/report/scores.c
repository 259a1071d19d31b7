// For each measure: how the scores lie, and how well they tell people apart.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "report/figure.h"
#include "report/histogram.h"
#include "report/page.h"
#include "report/svg.h"
#include "report/text.h"

// What the figures of one measure are drawn from.
typedef struct measured {
  const char *name;
  const cJSON *figures; // NULL: not evaluated
  char id[64];          // for the page's ids
} measured;

static sb_axis axis(sb_scale scale, double low, double high, const char *label) {
  return (sb_axis){.scale = scale, .low = low, .high = high, .label = label};
}

// ---- Distribution -------------------------------------------------------------------------------

static double largest(const double *values, int64_t count, double least) {
  for (int64_t i = 0; i < count; i++)
    if (values[i] > least) least = values[i];
  return least;
}

static void draw_thresholds(sb_plot *plot, const cJSON *figures) {
  char label[100], text[SB_TEXT];
  const struct {
    const char *name, *words, *style;
  } marks[] = {{"kde_threshold", "densities cross", "c4"}, {"link_threshold", "links from", "c5"}};
  for (int i = 0; i < 2; i++) {
    double at = sb_json_number(figures, marks[i].name);
    if (isnan(at) || at < plot->x.low || at > plot->x.high) continue;
    snprintf(label, sizeof label, "%s %s", marks[i].words, sb_text_score(at, text));
    sb_plot_mark(plot, marks[i].style, at, label, i);
  }
}

static void say_distribution(const sb_histogram *h, bool anyone, bool smoothed, char *text,
                             size_t size) {
  char count[2][SB_TEXT];
  int used = snprintf(text, size, "%s %s", sb_text_count(round(h->nonmated_pairs), count[0]),
                      anyone ? "non-mated pairs (of two people, as far as is known)"
                             : "pairs: which of them are of one person nobody knows");
  if (h->mated_pairs > 0)
    used +=
        snprintf(text + used, size - (size_t)used, " and %s mated ones (two scans of one person)",
                 sb_text_count(round(h->mated_pairs), count[1]));
  snprintf(
      text + used, size - (size_t)used,
      ". %s however many pairs it has: the height says where scores lie, not how many there are.%s",
      anyone ? "Each kind has area 1," : "The area is 1,",
      smoothed ? " Bars are counts, lines kernel densities." : "");
}

static void draw_distribution(sb_plot *plot, const sb_histogram *h, const sb_columns *kde) {
  double step = (h->high - h->low) / SB_BARS;
  for (int i = 0; i < SB_BARS; i++)
    sb_plot_bar(plot, "c1", h->low + step * i, h->low + step * (i + 1), h->nonmated[i]);
  for (int i = 0; i < SB_BARS; i++)
    sb_plot_bar(plot, "c2", h->low + step * i, h->low + step * (i + 1), h->mated[i]);
  if (kde->rows < 1) return;
  sb_plot_line(plot, "c1", kde->columns[0], kde->columns[1], kde->rows);
  if (kde->columns[2] != NULL)
    sb_plot_line(plot, "c2", kde->columns[0], kde->columns[2], kde->rows);
}

static sb_status put_distribution(const sb_page *page, const measured *m) {
  static const char *const known[] = {"score", "nonmated_density", "mated_density", NULL};
  static const char *const known_headers[] = {"score", "density, non-mated", "density, mated",
                                              NULL};
  static const char *const all[] = {"score", "density", NULL};
  static const char *const all_headers[] = {"score", "density, all pairs", NULL};
  const bool anyone = m->figures == NULL || !isnan(sb_json_number(m->figures, "nonmated_pairs"));
  FILE *file = page->file;
  sb_columns kde = {0};
  sb_histogram h = {0};
  char text[400], *source = sb_format("density-%s.tsv", m->name);
  sb_status status = source == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_histogram_read(page, m->name, m->figures, &h));
  if (h.nonmated_pairs + h.mated_pairs <= 0) goto cleanup;
  if (m->figures != NULL)
    SB_TRY(sb_columns_read(page, "density", m->name, anyone ? known : all, NULL, &kde));
  double top = largest(h.mated, SB_BARS, largest(h.nonmated, SB_BARS, 0));
  for (int i = 1; i <= 2 && kde.columns[i] != NULL; i++)
    top = largest(kde.columns[i], kde.rows, top);
  sb_plot plot = {.file = file,
                  .x = axis(SB_LINEAR, h.low, h.high, "score"),
                  .y = axis(SB_LINEAR, 0, top > 0 ? 1.12 * top : 1, "density")};
  say_distribution(&h, anyone, kde.rows > 0, text, sizeof text);
  sb_figure_begin(file, 4, "Where the scores lie");
  sb_plot_begin(&plot, m->id, "Distribution of scores", text);
  draw_distribution(&plot, &h, &kde);
  draw_thresholds(&plot, m->figures);
  sb_plot_end(&plot);
  sb_figure_key(file, "c1", anyone ? "non-mated pairs" : "all pairs");
  if (h.mated_pairs > 0) sb_figure_key(file, "c2", "mated pairs");
  sb_figure_text(file, text);
  sb_figure_table(file, "Kernel densities", anyone ? known_headers : all_headers, kde.columns,
                  kde.rows, source);
  sb_figure_end(file);
cleanup:
  free(source);
  sb_columns_free(&kde);
  return status;
}

// ---- ROC and DET --------------------------------------------------------------------------------

// The lowest rate above 0, for a logarithmic axis; 0 where there is none.
static double least_positive(const double *values, int64_t count) {
  double least = 0;
  for (int64_t i = 0; i < count; i++)
    if (values[i] > 0 && (least == 0 || values[i] < least)) least = values[i];
  return least;
}

// The ROC's band, and the points at which it is worked out.
static sb_status read_band(const sb_page *page, const measured *m, sb_columns *out) {
  static const char *const names[] = {"far", "tar", "tar_low", "tar_high", NULL};
  return sb_columns_read(page, "tar", m->name, names, NULL, out);
}

// Only where both error rates are above 0 somewhere is there a curve.
static bool has_det(const sb_columns *roc) {
  int64_t both = 0;
  for (int64_t i = 0; i < roc->rows; i++)
    both += roc->columns[1][i] > 0 && roc->columns[1][i] < 1 && roc->columns[2][i] > 0 &&
            roc->columns[2][i] < 1;
  return both >= 2;
}

static void say_roc(const cJSON *figures, bool det, char *text, size_t size) {
  char auc[3][SB_TEXT], eer[SB_TEXT], interval[2 * SB_TEXT + 20] = "";
  double low, high;
  if (sb_json_interval(figures, "auc", &low, &high))
    snprintf(interval, sizeof interval, " (95 %%: %s to %s)", sb_text_score(low, auc[1]),
             sb_text_score(high, auc[2]));
  snprintf(text, size,
           "Share of mated pairs found against share of non-mated pairs taken for mated, at every "
           "threshold. Area under the curve %s%s; equal error rate %s. Shaded: 95 %% "
           "intervals over people.%s",
           sb_text_score(sb_json_number(figures, "auc"), auc[0]), interval,
           sb_text_rate(sb_json_number(figures, "eer"), eer),
           det ? "" : " At no threshold are there errors of both kinds, so there is no DET curve.");
}

static sb_status put_roc(const sb_page *page, const measured *m, const sb_columns *roc) {
  sb_columns band = {0};
  static const char *const headers[] = {"false accept rate", "true accept rate", NULL};
  FILE *file = page->file;
  double *hit = NULL, least = least_positive(roc->columns[1], roc->rows);
  char id[80], text[500], *source = sb_format("roc-%s.tsv", m->name);
  sb_status status = source == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(SB_NEW(&hit, roc->rows, "curve"));
  SB_TRY(read_band(page, m, &band));
  for (int64_t i = 0; i < roc->rows; i++) hit[i] = 1 - roc->columns[2][i];
  double first = fmin(pow(10, floor(log10(least > 0 ? least : 0.1) + 1e-9)), 0.1);
  sb_plot plot = {.file = file,
                  .x = axis(SB_LOG, first, 1, "false accept rate: non-mated pairs accepted"),
                  .y = axis(SB_LINEAR, 0, 1.02, "true accept rate: mated pairs accepted")};
  plot.y.as_percent = 1;
  snprintf(id, sizeof id, "%s-roc", m->id);
  say_roc(m->figures, has_det(roc), text, sizeof text);
  sb_figure_begin(file, 4, "Found, against wrongly accepted (ROC)");
  sb_plot_begin(&plot, id, "Receiver operating characteristic", text);
  sb_plot_line(&plot, "c2", roc->columns[1], hit, roc->rows);
  sb_plot_band(&plot, "c2", band.columns[0], band.columns[2], band.columns[3], band.rows);
  sb_plot_end(&plot);
  sb_figure_text(file, text);
  sb_figure_table(file, "ROC", headers, (double *[]){roc->columns[1], hit}, roc->rows, source);
  sb_figure_end(file);
cleanup:
  sb_columns_free(&band);
  free(source);
  free(hit);
  return status;
}

static void draw_det(sb_plot *plot, const sb_columns *roc, const sb_columns *band) {
  double *fmr = roc->columns[1], *fnmr = roc->columns[2];
  for (int64_t i = 0; i < roc->rows; i++) // what is beyond the axes interrupts the line
    if (!(fmr[i] > 0 && fmr[i] < 1 && fnmr[i] > 0 && fnmr[i] < 1)) fmr[i] = (double)NAN;
  for (int64_t i = 0; i < band->rows; i++) // shares missed in the place of shares found
    for (int column = 2; column < 4; column++)
      band->columns[column][i] = 1 - band->columns[column][i];
  sb_plot_band(plot, "c2", band->columns[0], band->columns[3], band->columns[2], band->rows);
  sb_plot_line(plot, "c2", fmr, fnmr, roc->rows);
}

static sb_status put_det(const sb_page *page, const measured *m, const sb_columns *roc) {
  sb_columns band = {0};
  char id[80];
  const char *text =
      "Both errors, at every threshold, on axes on which two normal distributions give "
      "a straight line (detection error tradeoff). Shaded: 95 % intervals over people.";
  sb_status status = read_band(page, m, &band);
  if (status.code != SB_OK) return status;
  sb_figure_begin(page->file, 4, "One error against the other (DET)");
  double least =
      fmin(least_positive(roc->columns[1], roc->rows), least_positive(roc->columns[2], roc->rows));
  double low = fmax(fmin(least, 0.01), 1e-7);
  sb_plot plot = {.file = page->file,
                  .x = axis(SB_DEVIATE, low, 0.9, "false match rate"),
                  .y = axis(SB_DEVIATE, low, 0.9, "false non-match rate")};
  snprintf(id, sizeof id, "%s-det", m->id);
  sb_plot_begin(&plot, id, "Detection error tradeoff", text);
  draw_det(&plot, roc, &band);
  sb_plot_end(&plot);
  sb_figure_text(page->file, text);
  sb_figure_end(page->file);
  sb_columns_free(&band);
  return status;
}

static sb_status put_errors(const sb_page *page, const measured *m) {
  static const char *const names[] = {"threshold", "fmr", "fnmr", NULL};
  sb_columns roc = {0};
  sb_status status = sb_columns_read(page, "roc", m->name, names, NULL, &roc);
  bool both = sb_json_number(m->figures, "mated_pairs") > 0 &&
              sb_json_number(m->figures, "nonmated_pairs") > 0;
  if (status.code == SB_OK && roc.rows > 1 && both) {
    status = put_roc(page, m, &roc);
    if (status.code == SB_OK && has_det(&roc)) status = put_det(page, m, &roc);
  }
  sb_columns_free(&roc);
  return status;
}

// ---- CMC and forecast ---------------------------------------------------------------------------

static sb_status put_cmc(const sb_page *page, const measured *m) {
  enum { LAST_RANK = 20 }; // shown; the band ends there too
  static const char *const names[] = {"rank", "hit_rate", "hit_rate_low", "hit_rate_high", NULL};
  static const char *const headers[] = {"rank", "share of searches", "low", "high", NULL};
  const char *text = "Share of searches, among those with a mate in the gallery, that have a mate "
                     "among so many closest scans (cumulative match characteristic). Shaded: 95 % "
                     "intervals over people.";
  sb_columns cmc = {0};
  char id[80], *source = sb_format("cmc-%s.tsv", m->name);
  sb_status status = source == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_columns_read(page, "cmc", m->name, names, NULL, &cmc));
  if (cmc.rows < 1) goto cleanup;
  if (cmc.rows > LAST_RANK) cmc.rows = LAST_RANK;
  snprintf(id, sizeof id, "%s-cmc", m->id);
  sb_plot plot = {.file = page->file,
                  .x = axis(SB_LINEAR, 0.5, fmax((double)cmc.rows, 10) + 0.5, "rank"),
                  .y = axis(SB_LINEAR, 0, 1.02, "share of searches")};
  plot.y.as_percent = 1;
  sb_figure_begin(page->file, 4, "At which rank the mate is found (CMC)");
  sb_plot_begin(&plot, id, "Cumulative match characteristic", text);
  sb_plot_band(&plot, "c2", cmc.columns[0], cmc.columns[2], cmc.columns[3], cmc.rows);
  sb_plot_line(&plot, "c2", cmc.columns[0], cmc.columns[1], cmc.rows);
  for (int64_t i = 0; i < cmc.rows; i++)
    sb_plot_point(&plot, "c2", cmc.columns[0][i], cmc.columns[1][i]);
  sb_plot_end(&plot);
  sb_figure_text(page->file, text);
  sb_figure_table(page->file, "CMC", headers, cmc.columns, cmc.rows, source);
  sb_figure_end(page->file);
cleanup:
  free(source);
  sb_columns_free(&cmc);
  return status;
}

static void draw_forecast(const sb_page *page, const measured *m, const sb_columns *f) {
  char id[80], text[600], count[3][SB_TEXT];
  bool binomial = !isnan(f->columns[4][0]); // else nobody knows which pairs are false
  double valid = sb_json_number(sb_json_at(m->figures, "forecast"), "valid_to_gallery");
  snprintf(
      text, sizeof text,
      "Share of searches that would return somebody else in larger galleries, at the threshold of "
      "the proposed links (%s), with its 95 %% interval. %sChecked only up to galleries of %s; "
      "beyond that it is extrapolation, and all of it assumes more people like these.",
      sb_text_score(f->columns[6][0], count[0]),
      binomial ? "The dashed line has no tail beyond the closest pair seen (binomial). " : "",
      sb_text_count(valid, count[1]));
  snprintf(id, sizeof id, "%s-forecast", m->id);
  sb_plot plot = {
      .file = page->file,
      .x = axis(SB_LOG, f->columns[0][0], f->columns[0][f->rows - 1], "scans in the gallery"),
      .y = axis(SB_LINEAR, 0, 1.02, "searches with a false hit (FPIR)")};
  plot.y.as_percent = 1;
  sb_figure_begin(page->file, 4, "What a larger gallery would bring");
  sb_plot_begin(&plot, id, "Forecast of the false positive identification rate", text);
  sb_plot_band(&plot, "c3", f->columns[0], f->columns[2], f->columns[3], f->rows);
  sb_plot_line(&plot, "c3", f->columns[0], f->columns[1], f->rows);
  if (binomial) sb_plot_line(&plot, "c1 dashed", f->columns[0], f->columns[4], f->rows);
  for (int64_t i = 0; i < f->rows; i++)
    sb_plot_point(&plot, "c3", f->columns[0][i], f->columns[1][i]);
  if (valid > plot.x.low && valid < plot.x.high)
    sb_plot_mark(&plot, "c4", valid, "checked up to here", 0);
  sb_plot_end(&plot);
  sb_figure_key(page->file, "c3", "by the tail of the scores");
  if (binomial) sb_figure_key(page->file, "c1 dashed", "binomial extrapolation");
  sb_figure_text(page->file, text);
}

static sb_status put_forecast(const sb_page *page, const measured *m) {
  static const char *const names[] = {"gallery",       "fpir",  "fpir_low",  "fpir_high",
                                      "fpir_binomial", "rank1", "threshold", NULL};
  static const char *const headers[] = {"gallery",  "FPIR",   "low",       "high",
                                        "binomial", "rank 1", "threshold", NULL};
  sb_columns f = {0};
  char *source = sb_format("forecast-%s.tsv", m->name);
  sb_status status = source == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_columns_read(page, "forecast", m->name, names, "expected_false", &f));
  if (f.rows < 2) goto cleanup;
  draw_forecast(page, m, &f);
  sb_figure_table(page->file, "Forecast at the threshold of the proposed links", headers, f.columns,
                  f.rows, source);
  sb_figure_end(page->file);
cleanup:
  free(source);
  sb_columns_free(&f);
  return status;
}

// ---- One measure's figures ----------------------------------------------------------------------

static void put_figure_line(FILE *file, const cJSON *figures, const char *figure, const char *name,
                            const char *(*format)(double, char *)) {
  char text[3][SB_TEXT];
  double low, high, value = sb_json_number(figures, figure);
  if (isnan(value)) return;
  fprintf(file, "<tr><th scope=\"row\">%s</th><td>%s</td><td>", name, format(value, text[0]));
  if (sb_json_interval(figures, figure, &low, &high))
    fprintf(file, "%s to %s", format(low, text[1]), format(high, text[2]));
  else
    fputs("\xe2\x80\x93", file);
  fputs("</td></tr>\n", file);
}

static void put_figure_table(FILE *file, const cJSON *figures) {
  static const struct {
    const char *figure, *name;
    const char *(*format)(double, char *);
  } lines[] = {{"mated_pairs", "Mated pairs", sb_text_count},
               {"nonmated_pairs", "Non-mated pairs", sb_text_count},
               {"people", "People", sb_text_count},
               {"mated_people", "People with two scans", sb_text_count},
               {"mated_min", "Least alike mated pair", sb_text_score},
               {"nonmated_max", "Most alike non-mated pair", sb_text_score},
               {"margin", "Margin between the two", sb_text_score},
               {"d_prime", "Separation d\xe2\x80\xb2", sb_text_tenths},
               {"auc", "Area under the ROC curve", sb_text_score},
               {"eer", "Equal error rate", sb_text_rate},
               {"tar_at_far_0.01", "True accept rate at false accept rate 1 %", sb_text_rate},
               {"tar_at_far_0.0001", "True accept rate at false accept rate 0.01 %", sb_text_rate},
               {"rank1", "Mate is the closest scan (rank 1)", sb_text_rate},
               {"rank10", "Mate is among the ten closest", sb_text_rate},
               {"fnir", "Mates missed (FNIR) at the FPIR asked for", sb_text_rate},
               {"kde_threshold", "Threshold where the densities cross", sb_text_score},
               {"kde_fmr", "False matches at that threshold", sb_text_rate},
               {"kde_fnmr", "False non-matches at that threshold", sb_text_rate},
               {"link_threshold", "Threshold of the proposed links", sb_text_score},
               {"links", "Proposed links", sb_text_count},
               {"control_links", "Links proposed with all known mates taken out", sb_text_count},
               {"alike_pairs",
                "Below that threshold, but as alike as one person\xe2\x80\x99s scans usually are",
                sb_text_count}};
  const cJSON *why;
  fputs("<div class=\"scroll\" tabindex=\"0\"><table class=\"figures\"><caption>Figures, with 95 % "
        "intervals over people</caption>\n<thead><tr><th scope=\"col\">Figure</th><th "
        "scope=\"col\">Value</th><th scope=\"col\">Interval</th></tr></thead>\n<tbody>\n",
        file);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    put_figure_line(file, figures, lines[i].figure, lines[i].name, lines[i].format);
  fputs("</tbody></table></div>\n", file);
  cJSON_ArrayForEach(why, sb_json_at(figures, "missing")) {
    if (!cJSON_IsString(why)) continue;
    fputs("<p class=\"note\">", file);
    sb_put_html(file, why->valuestring);
    fputs(".</p>\n", file);
  }
}

static sb_status put_measure(const sb_page *page, int i) {
  measured m = {.name = sb_page_measure_name(page, i), .figures = sb_page_figures(page, i)};
  snprintf(m.id, sizeof m.id, "scores-%d", i);
  sb_status status;
  fputs("<div class=\"plots\">\n", page->file);
  SB_TRY(put_distribution(page, &m));
  if (m.figures != NULL) {
    SB_TRY(put_errors(page, &m));
    SB_TRY(put_cmc(page, &m));
    SB_TRY(put_forecast(page, &m));
  }
  fputs("</div>\n", page->file);
  if (m.figures != NULL) put_figure_table(page->file, m.figures);
cleanup:
  return status;
}

sb_status sb_put_scores(sb_page *page) {
  FILE *file = page->file;
  sb_status status = sb_ok();
  fputs("<section id=\"scores\"><h2>How sure is it?</h2>\n", file);
  for (int i = 0; i < sb_page_measure_count(page) && status.code == SB_OK; i++) {
    if (i == 0)
      fputs("<h3>By ", file);
    else
      fputs("<details class=\"more\"><summary>By ", file);
    sb_put_html(file, sb_page_measure_name(page, i));
    fputs(i == 0 ? "</h3>\n" : "</summary>\n", file);
    status = put_measure(page, i);
    if (i > 0) fputs("</details>\n", file);
  }
  fputs("</section>\n", file);
  return status;
}
