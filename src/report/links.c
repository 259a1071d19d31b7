// The table of proposed links, which the page's script sorts, searches and pages from inline JSON; and what check found.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "report/cards.h"
#include "report/page.h"
#include "report/text.h"

// ---- Names, each once ---------------------------------------------------------------------------

// The scans that pairs name, sorted, so that rows can speak of them by number.
typedef struct name {
  const char *dataset, *id;
} name;

typedef struct names {
  name *items;
  int64_t count;
} names;

static int compare_names(const void *left, const void *right) {
  const name *a = left, *b = right;
  int order = strcmp(a->dataset, b->dataset);
  return order != 0 ? order : strcmp(a->id, b->id);
}

static sb_status collect_names(const sb_pairs *pairs, int64_t rows, names *out) {
  *out = (names){0};
  sb_status status = SB_NEW(&out->items, 2 * rows + 1, "names");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < rows; i++)
    for (int side = 0; side < 2; side++)
      out->items[out->count++] = (name){pairs->items[i].dataset[side], pairs->items[i].id[side]};
  if (out->count > 1) qsort(out->items, (size_t)out->count, sizeof *out->items, compare_names);
  int64_t kept = 0;
  for (int64_t i = 0; i < out->count; i++)
    if (kept == 0 || compare_names(out->items + kept - 1, out->items + i) != 0)
      out->items[kept++] = out->items[i];
  out->count = kept;
  return status;
}

static int64_t number_of(const names *n, const sb_pair *pair, int side) {
  const name wanted = {pair->dataset[side], pair->id[side]};
  const name *found = bsearch(&wanted, n->items, (size_t)n->count, sizeof wanted, compare_names);
  return found - n->items;
}

// ---- The table's data ---------------------------------------------------------------------------

// As many lines as fit: the table is at most a fifth of the page, whatever the names.
static int64_t rows_that_fit(const sb_pairs *pairs) {
  enum { MOST_ROWS = 20000, MOST_BYTES = 2000000 };
  int64_t bytes = 0, rows = 0;
  for (; rows < pairs->count && rows < MOST_ROWS; rows++) {
    const sb_pair *pair = pairs->items + rows;
    for (int side = 0; side < 2; side++) bytes += (int64_t)(strlen(pair->id[side]) + 10);
    bytes += 80;
    if (bytes > MOST_BYTES) break;
  }
  return rows;
}

static void put_number(FILE *file, double value, int digits) {
  if (isfinite(value))
    fprintf(file, "%.*g", digits, value);
  else
    fputs("null", file);
}

static void put_names(FILE *file, const names *n) {
  fputs("\"datasets\":[", file);
  int64_t dataset = 0;
  for (int64_t i = 0; i < n->count; i++) {
    bool first = i == 0 || strcmp(n->items[i - 1].dataset, n->items[i].dataset) != 0;
    if (!first) continue;
    if (dataset++ > 0) fputc(',', file);
    sb_put_json(file, n->items[i].dataset);
  }
  fputs("],\n\"scans\":[", file);
  dataset = -1;
  for (int64_t i = 0; i < n->count; i++) {
    dataset += i == 0 || strcmp(n->items[i - 1].dataset, n->items[i].dataset) != 0;
    fprintf(file, "%s[%lld,", i == 0 ? "" : ",\n", (long long)dataset);
    sb_put_json(file, n->items[i].id);
    fputc(']', file);
  }
  fputs("],\n", file);
}

static void put_rows(const sb_page *page, const names *n, int64_t rows) {
  FILE *file = page->file;
  fputs("\"rows\":[", file);
  for (int64_t i = 0; i < rows; i++) {
    const sb_pair *pair = page->links.items + i;
    fprintf(file, "%s[%lld,%lld,", i == 0 ? "" : ",\n", (long long)number_of(n, pair, 0),
            (long long)number_of(n, pair, 1));
    put_number(file, pair->score, 6);
    fputc(',', file);
    put_number(file, pair->margin, 4);
    fputc(',', file);
    put_number(file, pair->false_probability, 3);
    fputc(',', file);
    sb_put_json(file, pair->expected);
    fputc(',', file);
    sb_put_json(file, pair->verdict);
    fprintf(file, ",%d,%d]", pair->measure, pair->card);
  }
  fputs("]", file);
}

static sb_status put_data(const sb_page *page, int64_t rows) {
  names n;
  FILE *file = page->file;
  sb_status status = collect_names(&page->links, rows, &n);
  if (status.code != SB_OK) return status;
  fputs("<script type=\"application/json\" id=\"links-data\">{\n\"measures\":[", file);
  for (int i = 0; i < sb_page_measure_count(page); i++) {
    if (i > 0) fputc(',', file);
    sb_put_json(file, sb_page_measure_name(page, i));
  }
  fputs("],\n", file);
  fprintf(file, "\"evaluated\":%s,\n", page->evaluation != NULL ? "true" : "false");
  put_names(file, &n);
  put_rows(page, &n, rows);
  fputs("}</script>\n", file);
  free(n.items);
  return status;
}

// ---- The table ----------------------------------------------------------------------------------

static void put_controls(const sb_page *page) {
  FILE *file = page->file;
  int measures = sb_page_measure_count(page);
  fputs("<form class=\"controls\" id=\"links-controls\" role=\"search\">\n"
        "<label for=\"links-search\">Search<input type=\"search\" id=\"links-search\" "
        "placeholder=\"scan, dataset or verdict\" autocomplete=\"off\"></label>\n",
        file);
  if (measures > 1) {
    fputs("<label for=\"links-measure\">Measure<select id=\"links-measure\">", file);
    for (int i = 0; i < measures; i++) {
      fprintf(file, "<option value=\"%d\">", i);
      sb_put_html(file, sb_page_measure_name(page, i));
      fputs("</option>", file);
    }
    fputs("</select></label>\n", file);
  }
  fputs("<label for=\"links-size\">Lines<select id=\"links-size\"><option>10</option><option "
        "selected>25"
        "</option><option>100</option></select></label>\n</form>\n",
        file);
}

static void put_head(const sb_page *page) {
  static const struct {
    const char *name;
    bool evaluated; // told by evaluate alone
  } columns[] = {{"Scan", false},   {"Closest scan", false},   {"Score", false},
                 {"Margin", false}, {"False by chance", true}, {"Labels say", true},
                 {"Verdict", true}};
  fputs("<thead><tr>", page->file);
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
    if (!columns[i].evaluated || page->evaluation != NULL)
      fprintf(page->file,
              "<th scope=\"col\" data-column=\"%zu\"><button type=\"button\">%s</button></th>", i,
              columns[i].name);
  if (sb_has_pictures(page)) fputs("<th scope=\"col\">Brains</th>", page->file);
  fputs("</tr></thead>\n", page->file);
}

static void put_explanation(const sb_page *page, int64_t rows) {
  FILE *file = page->file;
  char text[3][SB_TEXT];
  if (page->evaluation != NULL)
    fputs("<p>Pairs that chance does not explain. Margin: how much closer than the "
          "scan\xe2\x80\x99s next. False by "
          "chance: how probable a pair as close is where as many scans are compared, no two of "
          "them of one "
          "person.</p>\n",
          file);
  else
    fputs("<p>The closest scan of each scan, by score alone: somebody is always the closest, so "
          "this is no list of links.</p>\n",
          file);
  if (rows < page->links.count)
    fprintf(file, "<p class=\"note\">The first %s of %s lines; %s has all.</p>\n",
            sb_text_count((double)rows, text[0]), sb_text_count((double)page->links.count, text[1]),
            page->evaluation != NULL ? "links.tsv" : "matches.tsv");
}

sb_status sb_put_links(sb_page *page) {
  FILE *file = page->file;
  const bool evaluated = page->evaluation != NULL;
  int64_t rows = rows_that_fit(&page->links);
  fprintf(file, "<section id=\"links\"><h2>%s</h2>\n",
          evaluated ? "Proposed links" : "Closest scans");
  if (rows == 0) {
    fputs("<p>There are none.</p></section>\n", file);
    return sb_ok();
  }
  put_explanation(page, rows);
  put_controls(page);
  fprintf(file,
          "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of links\">"
          "<table id=\"links-table\" class=\"pairs\"><caption>%s</caption>\n",
          evaluated ? "Proposed links, the closest first" : "Closest scans, the closest first");
  put_head(page);
  fputs("<tbody></tbody></table></div>\n"
        "<div class=\"pager\"><button type=\"button\" id=\"links-back\">Back</button>"
        "<span id=\"links-status\" role=\"status\"></span>"
        "<button type=\"button\" id=\"links-next\">Next</button></div>\n"
        "<noscript><p class=\"note\">The table needs the page's own script; links.tsv and "
        "matches.tsv "
        "hold the same lines.</p></noscript>\n",
        file);
  sb_status status = put_data(page, rows);
  fputs("</section>\n", file);
  return status;
}
