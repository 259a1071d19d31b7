// What check found: for a curator, by kind, with what to do about it.
#include <inttypes.h>
#include <string.h>

#include "report/page.h"
#include "report/text.h"

typedef struct kind {
  const char *verdict, *title, *advice;
} kind;

static const kind KINDS[] = {
    {"suspected_swap", "Suspected swaps",
     "Sessions of one id that are of two people. Compare the scans' records with their source, and "
     "move or "
     "relabel the one that is wrong."},
    {"same_person", "One person under two ids",
     "Scans of two ids that are of one person. Decide whether it is one participant enrolled twice "
     "or a "
     "mislabelled scan, and keep both out of different folds of a split until then."},
    {"duplicate", "Duplicates",
     "One image stored twice, maybe re-encoded, turned or renamed. Keep one."},
    {"unsure", "Unsure", "Neither clearly one person nor clearly two. Look at the pictures."},
};

static void put_scan(FILE *file, const sb_pair *pair, int side) {
  fputs("<td><span class=\"dataset\">", file);
  sb_put_name(file, pair->dataset[side]);
  fputs("</span> ", file);
  sb_put_name(file, pair->id[side]);
  fputs("</td>", file);
}

static void put_line(FILE *file, const sb_pair *pair) {
  char text[SB_TEXT];
  const char *const words[] = {pair->expected, pair->observed, pair->reason};
  fputs("<tr>", file);
  put_scan(file, pair, 0);
  put_scan(file, pair, 1);
  fprintf(file, "<td>%s</td>", sb_text_score(pair->score, text));
  for (int i = 0; i < 3; i++) {
    fputs("<td>", file);
    sb_put_html(file, words[i]);
    fputs("</td>", file);
  }
  if (pair->card > 0)
    fprintf(file, "<td><a href=\"#pair-%d\">pair %d</a></td></tr>\n", pair->card, pair->card);
  else
    fputs("<td></td></tr>\n", file);
}

static void put_kind(const sb_page *page, const kind *k) {
  enum { MOST = 500 };
  FILE *file = page->file;
  int64_t shown = 0;
  for (int64_t i = 0; i < page->checks.count; i++) {
    const sb_pair *pair = page->checks.items + i;
    if (strcmp(pair->verdict, k->verdict) != 0 || ++shown > MOST) continue;
    if (shown == 1)
      fprintf(file,
              "<h3>%s</h3>\n<p>%s</p>\n<div class=\"scroll\" "
              "tabindex=\"0\"><table><caption>%s</caption>"
              "<thead><tr><th scope=\"col\">Scan</th><th scope=\"col\">Scan</th><th "
              "scope=\"col\">Score</th>"
              "<th scope=\"col\">Expected</th><th scope=\"col\">Observed</th><th "
              "scope=\"col\">Reason</th>"
              "<th scope=\"col\">Brains</th></tr></thead>\n<tbody>\n",
              k->title, k->advice, k->title);
    put_line(file, pair);
  }
  if (shown > 0) fputs("</tbody></table></div>\n", file);
  if (shown > MOST)
    fprintf(file, "<p class=\"note\">%d of %" PRId64 " lines; check.tsv has all.</p>\n", (int)MOST,
            shown);
}

sb_status sb_put_checks(sb_page *page) {
  if (!page->checked) return sb_ok();
  int64_t findings = 0;
  char text[SB_TEXT];
  for (int64_t i = 0; i < page->checks.count; i++)
    findings += sb_is_finding(page->checks.items + i);
  fputs("<section id=\"check\"><h2>What the check found</h2>\n", page->file);
  if (findings == 0) fputs("<p>The labels agree with the images.</p>\n", page->file);
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) put_kind(page, KINDS + i);
  fprintf(
      page->file,
      "<p class=\"note\">%s pairs were judged in all: those that the labels or the images say are "
      "of one person.</p>\n</section>\n",
      sb_text_count((double)page->checks.count, text));
  return sb_ok();
}
