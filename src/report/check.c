// What check found: for a curator, by kind, with what to do about it.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "report/cards.h"
#include "report/page.h"
#include "report/text.h"

typedef struct kind {
  const char *verdict, *title, *advice;
} kind;

static const kind KINDS[] = {
    {"suspected_swap", "Suspected swaps",
     "Scans that seem to bear another person's label, and whose they probably are. Compare their "
     "records with "
     "the source, and relabel the ones that are wrong."},
    {"same_person", "One person under two ids",
     "Scans of two ids that are of one person. Decide whether it is one participant enrolled twice "
     "or a "
     "mislabelled scan, and keep both out of different folds of a split until then."},
    {"different", "Two people under one id, or a poor image",
     "Scans of one id that are not alike. Look at the pictures: where both are good, somebody "
     "else's "
     "scan bears this id."},
    {"mirrored", "Mirrored",
     "Two scans of one person, one of which has left and right exchanged. Look at both beside the "
     "source, and convert the wrong one again."},
    {"duplicate", "Duplicates",
     "One image stored twice, maybe re-encoded, turned, mirrored or renamed. Keep one."},
    {"unsure", "Unsure", "Neither clearly one person nor clearly two. Look at the pictures."},
};

static void put_line(FILE *file, const sb_pair *pair, bool pictures) {
  char text[SB_TEXT];
  const char *const words[] = {pair->expected, pair->observed, pair->reason};
  fputs("<tr>", file);
  for (int side = 0; side < 2; side++) {
    fputs("<td class=\"scan\">", file);
    sb_put_scan(file, pair->dataset[side], pair->id[side]);
    fputs("</td>", file);
  }
  fprintf(file, "<td>%s</td>", sb_text_score(pair->score, text));
  for (int i = 0; i < 3; i++) {
    fputs("<td>", file);
    sb_put_html(file, words[i]);
    fputs("</td>", file);
  }
  if (pair->card > 0)
    fprintf(file, "<td><a href=\"#pair-%d\">pair %d</a></td>", pair->card, pair->card);
  else if (pictures)
    fputs("<td></td>", file);
  fputs("</tr>\n", file);
}

static void put_kind(const sb_page *page, const kind *k) {
  enum { MOST = 200 };
  FILE *file = page->file;
  bool pictures = sb_has_pictures(page);
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
              "%s</tr></thead>\n<tbody>\n",
              k->title, k->advice, k->title, pictures ? "<th scope=\"col\">Brains</th>" : "");
    put_line(file, pair, pictures);
  }
  if (shown > 0) fputs("</tbody></table></div>\n", file);
  if (shown > MOST)
    fprintf(file, "<p class=\"note\">%d of %" PRId64 " lines; check.tsv has all.</p>\n", (int)MOST,
            shown);
}

// People found whose scans bear several labels: who is one person, by the images.
static sb_status put_groups(const sb_page *page) {
  static const char *const names[] = {"person", "labels", "dataset", "scan_id", "label"};
  enum { PERSON, LABELS, DATASET, SCAN, LABEL, COLUMNS, MOST = 500 };
  FILE *file = page->file;
  char *path = sb_path_join(page->folder, "groups.tsv");
  sb_tsv table = {0};
  size_t column[COLUMNS];
  int64_t shown = 0;
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  if (!sb_is_file(path)) goto cleanup;
  SB_TRY(sb_tsv_read(path, &table));
  for (int i = 0; i < COLUMNS; i++)
    SB_TRY(sb_tsv_need_own(&table, path, names[i], "check again", column + i));
  for (size_t row = 0; row < table.rows; row++) {
    const char *cells[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) cells[i] = sb_tsv_cell(&table, row, column[i]);
    if (strtol(cells[LABELS], NULL, 10) < 2 || ++shown > MOST) continue;
    if (shown == 1)
      fputs("<h3>People under several ids</h3>\n<div class=\"scroll found\" "
            "tabindex=\"0\"><table><caption>Scans that "
            "are of one person by their images</caption><thead><tr><th scope=\"col\">Person</th>"
            "<th scope=\"col\">Scan</th><th scope=\"col\">Label</th></tr></thead>\n<tbody>\n",
            file);
    fputs("<tr><td>", file);
    sb_put_html(file, cells[PERSON]);
    fputs("</td><td class=\"scan\">", file);
    sb_put_scan(file, cells[DATASET], cells[SCAN]);
    fputs("</td><td>", file);
    sb_put_name(file, cells[LABEL]);
    fputs("</td></tr>\n", file);
  }
  if (shown > 0) fputs("</tbody></table></div>\n", file);
  if (shown > MOST)
    fprintf(file, "<p class=\"note\">%d of %" PRId64 " scans; groups.tsv has all.</p>\n", (int)MOST,
            shown);
cleanup:
  sb_tsv_free(&table);
  free(path);
  return status;
}

static void put_summary(const sb_page *page) {
  char text[3][SB_TEXT];
  const char *note = sb_json_text(page->check, "note");
  fprintf(page->file,
          "<p>%s labels, %s people by the images; pairs count as of one person from a score of %s. "
          "Images cannot "
          "say which label is right: look before you change one.</p>\n",
          sb_text_count(sb_json_number(page->check, "labels"), text[0]),
          sb_text_count(sb_json_number(page->check, "people"), text[1]),
          sb_text_score(sb_json_number(page->check, "threshold"), text[2]));
  if (*note == '\0') return;
  fputs("<p class=\"note\">", page->file);
  sb_put_html(page->file, note);
  fputs("</p>\n", page->file);
}

sb_status sb_put_checks(sb_page *page) {
  if (page->check == NULL) return sb_ok();
  char text[SB_TEXT];
  fputs("<section id=\"check\"><h2>What the check found</h2>\n", page->file);
  put_summary(page);
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) put_kind(page, KINDS + i);
  sb_status status = put_groups(page);
  fprintf(page->file,
          "<p class=\"note\">%s pairs were judged in all: those that the labels or the images say "
          "are of one "
          "person. check.tsv has them.</p>\n</section>\n",
          sb_text_count((double)page->checks.count, text));
  return status;
}
