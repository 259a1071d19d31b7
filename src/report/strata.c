// How performance depends on what else is known of the scans: for each column, how alike mated pairs are, and
// how often searches miss a mate or find somebody else.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "report/figure.h"
#include "report/page.h"
#include "report/svg.h"
#include "report/text.h"

enum { MOST_COLUMNS = 100 }; // of all measures, to keep the page small

static const cJSON *differentials_of(const sb_page *page, int measure) {
  return sb_json_at(sb_page_figures(page, measure), "differentials");
}

bool sb_page_has_strata(const sb_page *page) {
  return cJSON_GetArraySize(differentials_of(page, 0)) > 0;
}

// ---- Plots --------------------------------------------------------------------------------------

// The strata's names, row by row; free() it.
static sb_status names_of(const cJSON *strata, const char ***out) {
  const cJSON *stratum;
  int used = 0;
  sb_status status = SB_NEW(out, cJSON_GetArraySize(strata) + 1, "strata");
  if (status.code == SB_OK)
    cJSON_ArrayForEach(stratum, strata)(*out)[used++] = sb_json_text(stratum, "stratum");
  return status;
}

// A row of a plot: a line from `low` to `high`, and a dot. What is NaN is not drawn.
static void draw_row(sb_plot *plot, const char *style, double row, double low, double middle,
                     double high) {
  if (!isnan(low) && !isnan(high))
    sb_plot_line(plot, style, (double[]){low, high}, (double[]){row, row}, 2);
  if (!isnan(middle)) sb_plot_point(plot, style, middle, row);
}

static sb_plot plot_of(const sb_page *page, const char *const *names, int rows, double low,
                       double high, const char *label) {
  return (sb_plot){.file = page->file,
                   .x = {.scale = SB_LINEAR, .low = low, .high = high, .label = label},
                   .y = {.scale = SB_LINEAR, .low = 0.5 - rows, .high = 1, .label = ""},
                   .rows = names,
                   .row_count = rows};
}

static void draw_scores(sb_plot *plot, const char *id, const char *text, const cJSON *strata,
                        double threshold) {
  const cJSON *stratum;
  int row = 0;
  char mark[SB_TEXT + 20], score[SB_TEXT];
  sb_plot_begin(plot, id, "Scores of mated pairs", text);
  cJSON_ArrayForEach(stratum, strata) {
    draw_row(plot, "c2", -row, sb_json_number(stratum, "mated_min"),
             sb_json_number(stratum, "mated_median"), sb_json_number(stratum, "mated_max"));
    row++;
  }
  if (threshold >= plot->x.low && threshold <= plot->x.high) {
    snprintf(mark, sizeof mark, "threshold %s", sb_text_score(threshold, score));
    sb_plot_mark(plot, "c4", threshold, mark, 0);
  }
  sb_plot_end(plot);
}

static void draw_rates(sb_plot *plot, const char *id, const char *text, const cJSON *strata) {
  static const char *const rates[2][2] = {{"fnir", "c2"}, {"fpir", "c3"}};
  const cJSON *stratum;
  int row = 0;
  plot->x.as_percent = 1;
  sb_plot_begin(plot, id, "Errors of searches", text);
  cJSON_ArrayForEach(stratum, strata) {
    for (int i = 0; i < 2; i++) {
      double low, high;
      sb_json_interval(stratum, rates[i][0], &low, &high);
      draw_row(plot, rates[i][1], -row + (i == 0 ? 0.2 : -0.2), low,
               sb_json_number(stratum, rates[i][0]), high);
    }
    row++;
  }
  sb_plot_end(plot);
}

// ---- Numbers ------------------------------------------------------------------------------------

typedef struct cell {
  const char *figure, *header;
  const char *(*format)(double, char *);
  bool interval;
} cell;

static const cell PAIR_CELLS[] = {{"people", "people", sb_text_count, false},
                                  {"mated", "mated pairs", sb_text_count, false},
                                  {"mated_min", "least alike", sb_text_score, false},
                                  {"mated_median", "median", sb_text_score, false},
                                  {"mated_max", "most alike", sb_text_score, false},
                                  {"fnmr", "missed (FNMR)", sb_text_rate, true},
                                  {0}};
static const cell SEARCH_CELLS[] = {{"people", "people", sb_text_count, false},
                                    {"searches", "searches", sb_text_count, false},
                                    {"mated", "with a mate", sb_text_count, false},
                                    {"rank1", "mate is closest", sb_text_rate, true},
                                    {"fnir", "mates missed (FNIR)", sb_text_rate, true},
                                    {"fpir", "with a false hit (FPIR)", sb_text_rate, true},
                                    {"fmr", "false matches (FMR)", sb_text_rate, true},
                                    {"nonmated_max", "closest other person", sb_text_score, false},
                                    {0}};

static void put_table(FILE *file, const char *caption, const cJSON *strata, const cell *cells) {
  const cJSON *stratum;
  char text[3][SB_TEXT];
  double low, high;
  fputs(
      "<details class=\"data\"><summary>The numbers</summary><div class=\"scroll\" tabindex=\"0\">"
      "<table><caption>",
      file);
  sb_put_html(file, caption);
  fputs("</caption>\n<thead><tr><th scope=\"col\">Stratum</th>", file);
  for (const cell *c = cells; c->figure != NULL; c++)
    fprintf(file, "<th scope=\"col\">%s</th>", c->header);
  fputs("</tr></thead>\n<tbody>", file);
  cJSON_ArrayForEach(stratum, strata) {
    fputs("<tr><th scope=\"row\">", file);
    sb_put_name(file, sb_json_text(stratum, "stratum"));
    fputs("</th>", file);
    for (const cell *c = cells; c->figure != NULL; c++) {
      fprintf(file, "<td class=\"number\">%s",
              c->format(sb_json_number(stratum, c->figure), text[0]));
      if (c->interval && sb_json_interval(stratum, c->figure, &low, &high))
        fprintf(file, " (%s to %s)", c->format(low, text[1]), c->format(high, text[2]));
      fputs("</td>", file);
    }
    fputs("</tr>\n", file);
  }
  fputs("</tbody></table></div></details>\n", file);
}

// ---- One column ---------------------------------------------------------------------------------

// How many strata are not shown, and how many pairs or searches are in none.
static void say_rest(const cJSON *column, const char *of, char *text, size_t size) {
  char name[60], count[2][SB_TEXT];
  snprintf(name, sizeof name, "%s_left_out", of);
  double left_out = sb_json_number_or(column, name, 0);
  snprintf(name, sizeof name, "%s_without_value", of);
  double without = sb_json_number_or(column, name, 0);
  int used = 0;
  *text = '\0';
  if (left_out > 0)
    used = snprintf(text, size, " The largest are shown; %s more are in strata.tsv.",
                    sb_text_count(left_out, count[0]));
  if (without > 0)
    snprintf(text + used, size - (size_t)used, " %s lack a value and are left out.",
             sb_text_count(without, count[1]));
}

static double number_at(const cJSON *list, int i) {
  const cJSON *item = cJSON_GetArrayItem(list, i);
  return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

static void say_pairs(const cJSON *column, char *text, size_t size) {
  char rest[200], spearman[300] = "";
  const char *kind = sb_json_text(column, "kind");
  const cJSON *ends = sb_json_at(column, "spearman_interval");
  double rho = sb_json_number(column, "spearman");
  say_rest(column, "mated_pairs", rest, sizeof rest);
  int used = isnan(rho) ? 0
                        : snprintf(spearman, sizeof spearman,
                                   " Spearman's correlation of difference and score: %.3f", rho);
  if (used > 0)
    snprintf(spearman + used, sizeof spearman - (size_t)used,
             cJSON_IsArray(ends) ? " (95 %%: %.3f to %.3f)." : ".", number_at(ends, 0),
             number_at(ends, 1));
  snprintf(text, size,
           "Mated pairs by %s: from the least to the most alike, the dot is the median.%s%s",
           strcmp(kind, "categories") == 0 ? "their two values"
           : strcmp(kind, "dates") == 0    ? "the years between them"
                                           : "the difference of their values",
           spearman, rest);
}

static sb_status put_pairs(const sb_page *page, const char *id, const char *title,
                           const cJSON *column, double threshold) {
  const cJSON *strata = sb_json_at(column, "mated_pairs");
  const cJSON *all = cJSON_GetArrayItem(strata, 0);
  const char **names = NULL;
  char text[900];
  double ends[2] = {sb_json_number(all, "mated_min"), sb_json_number(all, "mated_max")};
  double low = fmin(ends[0], ends[1]), high = fmax(ends[0], ends[1]);
  sb_status status = names_of(strata, &names);
  if (status.code != SB_OK || isnan(low)) goto cleanup;
  low = fmin(low, threshold);
  high = fmax(high, threshold);
  double room = high > low ? 0.03 * (high - low) : 0.5;
  sb_plot plot = plot_of(page, names, cJSON_GetArraySize(strata), low - room, high + room, "score");
  say_pairs(column, text, sizeof text);
  sb_figure_begin(page->file, 4, title);
  draw_scores(&plot, id, text, strata, threshold);
  sb_figure_text(page->file, text);
  put_table(page->file, "Mated pairs", strata, PAIR_CELLS);
  sb_figure_end(page->file);
cleanup:
  free((void *)names);
  return status;
}

static sb_status put_searches(const sb_page *page, const char *id, const char *title,
                              const cJSON *column) {
  const cJSON *strata = sb_json_at(column, "searches");
  const char **names = NULL;
  char text[600], rest[200];
  sb_status status = names_of(strata, &names);
  if (status.code != SB_OK) return status;
  sb_plot plot = plot_of(page, names, cJSON_GetArraySize(strata), 0, 1.02, "share of searches");
  say_rest(column, "searches", rest, sizeof rest);
  snprintf(text, sizeof text,
           "Searches by their probe's value: how often the mate is missed, and how often somebody "
           "else is found, with 95 %% intervals over people.%s",
           rest);
  sb_figure_begin(page->file, 4, title);
  draw_rates(&plot, id, text, strata);
  sb_figure_key(page->file, "c2", "mates missed (FNIR)");
  sb_figure_key(page->file, "c3", "with a false hit (FPIR)");
  sb_figure_text(page->file, text);
  put_table(page->file, "Searches", strata, SEARCH_CELLS);
  sb_figure_end(page->file);
  free((void *)names);
  return status;
}

static sb_status put_column(const sb_page *page, int measure, int number, const cJSON *column,
                            double threshold) {
  const char *name = sb_json_text(column, "column");
  char id[60], *titles[2] = {sb_format("How alike mated pairs are, by %s", name),
                             sb_format("How searches fail, by %s", name)};
  sb_status status =
      titles[0] == NULL || titles[1] == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  snprintf(id, sizeof id, "strata-%d-%d-pairs", measure, number);
  SB_TRY(put_pairs(page, id, titles[0], column, threshold));
  snprintf(id, sizeof id, "strata-%d-%d-searches", measure, number);
  SB_TRY(put_searches(page, id, titles[1], column));
cleanup:
  free(titles[0]);
  free(titles[1]);
  return status;
}

// What one measure shows of each column, `left` of them at most.
static sb_status put_columns(const sb_page *page, int measure, int *left) {
  const cJSON *figures = sb_page_figures(page, measure), *column;
  int number = 0;
  sb_status status = sb_ok();
  cJSON_ArrayForEach(column, differentials_of(page, measure)) {
    if (status.code != SB_OK || *left <= 0) break;
    (*left)--;
    status = put_column(page, measure, number++, column, sb_json_number(figures, "fpir_threshold"));
  }
  return status;
}

sb_status sb_put_strata(sb_page *page) {
  FILE *file = page->file;
  sb_status status = sb_ok();
  char score[SB_TEXT], rate[SB_TEXT];
  int left = MOST_COLUMNS, columns = 0;
  if (!sb_page_has_strata(page)) return status;
  for (int i = 0; i < sb_page_measure_count(page); i++)
    columns += cJSON_GetArraySize(differentials_of(page, i));
  fputs(
      "<section id=\"strata\"><h2>Who is recognised better, who worse?</h2>\n<p>All rates are at "
      "one "
      "threshold for everybody, the lowest with at most the false positive identification rate "
      "asked for. Two strata differ where their intervals lie apart; where few people are in one, "
      "its "
      "interval is wide or missing, and nothing can be said. A stratum that differs need not do so "
      "because of this column: scanners differ in whom they scanned.</p>\n",
      file);
  for (int i = 0; i < sb_page_measure_count(page) && status.code == SB_OK && left > 0; i++) {
    const cJSON *figures = sb_page_figures(page, i);
    fputs(i == 0 ? "<h3>By " : "<details class=\"more\"><summary>By ", file);
    sb_put_html(file, sb_page_measure_name(page, i));
    fprintf(file, ", at the score %s (FPIR %s)%s",
            sb_text_score(sb_json_number(figures, "fpir_threshold"), score),
            sb_text_rate(sb_json_number(figures, "fpir"), rate),
            i == 0 ? "</h3>\n" : "</summary>\n");
    fputs("<div class=\"plots\">\n", file);
    status = put_columns(page, i, &left);
    fputs(i == 0 ? "</div>\n" : "</div></details>\n", file);
  }
  if (columns > MOST_COLUMNS)
    fprintf(
        file,
        "<p class=\"note\">The first %d columns of measures are shown; strata.tsv has all.</p>\n",
        MOST_COLUMNS);
  fputs("</section>\n", file);
  return status;
}
