// sb_report_write: the page from its head to its end.
#include "report/page.h"

#include <stdlib.h>
#include <string.h>

#include <nettle/sha2.h>

#include "core/file.h"
#include "core/memory.h"
#include "report/assets.h"
#include "report/cards.h"
#include "report/png.h"
#include "report/text.h"

sb_report_options sb_report_options_default(void) {
  return (sb_report_options){.images = true};
}

// The page's own script is named by its hash, so that no other runs, whatever a name smuggles in.
static void put_policy(FILE *file) {
  struct sha256_ctx hash;
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_init(&hash);
  sha256_update(&hash, strlen(sb_page_js), (const uint8_t *)sb_page_js);
  sha256_digest(&hash, sizeof digest, digest);
  fputs("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'; script-src 'sha256-",
        file);
  sb_base64_put(file, digest, sizeof digest);
  fputs("'\">\n", file);
}

static void put_head(const sb_page *page) {
  FILE *file = page->file;
  fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n", file);
  put_policy(file);
  fputs("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" "
        "content=\"no-referrer\">\n"
        "<title>samebrain report</title>\n<style>\n",
        file);
  fputs(sb_page_css, file);
  fputs("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">To the content</a>\n",
        file);
}

static void put_navigation(const sb_page *page) {
  static const char *const sections[][2] = {
      {"check", "Check"},     {"links", "Links"},      {"pairs", "Side by side"},
      {"scores", "How sure"}, {"matrix", "All pairs"}, {"scans", "Scans"},
      {"limits", "Limits"},   {"methods", "Methods"},  {"provenance", "How made"}};
  fputs("<header class=\"top\"><p class=\"brand\">samebrain <span>report</span></p>\n<nav "
        "aria-label=\"Sections\"><ul>\n",
        page->file);
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
    if (i > 0 || page->check != NULL)
      fprintf(page->file, "<li><a href=\"#%s\">%s</a></li>\n", sections[i][0], sections[i][1]);
  fputs("</ul></nav></header>\n", page->file);
}

static void put_end(const sb_page *page) {
  FILE *file = page->file;
  if (page->pictures_left_out > 0)
    fprintf(file,
            "<p class=\"note\">%lld pictures were left out to keep this page below 10 MB.</p>\n",
            (long long)page->pictures_left_out);
  fprintf(file,
          "</main>\n<footer><p>Made by samebrain %s. This page loads nothing and sends nothing. "
          "Linkage is not "
          "identification.</p></footer>\n<script>",
          sb_version());
  fputs(sb_page_js, file);
  fputs("</script>\n</body>\n</html>\n", file);
}

static sb_status put_page(sb_page *page) {
  static sb_status (*const sections[])(sb_page *) = {
      sb_put_answer,   sb_put_checks, sb_put_links,  sb_put_cards,   sb_put_scores,
      sb_put_matrices, sb_put_scans,  sb_put_limits, sb_put_methods, sb_put_provenance};
  sb_status status = sb_ok();
  sb_choose_cards(page);
  put_head(page);
  put_navigation(page);
  fputs("<main id=\"content\">\n", page->file);
  for (size_t i = 0; i < sizeof sections / sizeof *sections && status.code == SB_OK; i++)
    status = sections[i](page);
  put_end(page);
  return status;
}

sb_status sb_report_write(const char *out, const sb_report_options *options,
                          const sb_progress *progress) {
  const sb_report_options defaults = sb_report_options_default();
  sb_page page = {0};
  sb_new_file file = {0};
  char *path = sb_path_join(out, "report.html");
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", out) : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_page_open(out, options != NULL ? options : &defaults, &page));
  if (*page.why_no_store != '\0' && progress != NULL && progress->warn != NULL)
    progress->warn(progress->context, page.why_no_store);
  SB_TRY(sb_file_create(path, &file));
  page.file = file.file;
  SB_TRY(put_page(&page));
  SB_TRY(sb_file_commit(&file));
cleanup:
  sb_file_abandon(&file);
  sb_page_close(&page);
  free(path);
  return status;
}
