// Scans to look at: doubtful ones with their pictures, and those that failed.
#include <inttypes.h>

#include "report/cards.h"
#include "report/text.h"

enum { MOST_DOUBTFUL = 200, MOST_PICTURED = 24, MOST_FAILED = 500 };

static sb_status put_doubtful(sb_easel *easel, const sb_store *store, int64_t *count) {
  FILE *file = easel->page->file;
  char text[300];
  sb_status status = sb_ok();
  for (int64_t i = 0; i < sb_store_count(store) && status.code == SB_OK; i++) {
    const sb_scan_record *record = sb_store_record(store, i);
    if (!sb_quality_doubt(&record->quality, text, sizeof text) || ++*count > MOST_DOUBTFUL)
      continue;
    if (*count == 1) fputs("<ul class=\"doubtful\">\n", file);
    fputs("<li><p>", file);
    sb_put_scan(file, record->scan.dataset, record->scan.scan_id);
    fputs(": ", file);
    sb_put_html(file, text);
    fputs(".</p>", file);
    if (*count <= MOST_PICTURED) status = sb_put_scan_picture(easel, store, i);
    fputs("</li>\n", file);
  }
  return status;
}

static void put_failed(FILE *file, const sb_store *store, int64_t *count) {
  for (int64_t i = 0; i < sb_store_failed_count(store); i++) {
    const sb_scan_record *record = sb_store_failed(store, i);
    if (++*count > MOST_FAILED) continue;
    if (*count == 1)
      fputs("<div class=\"scroll\" tabindex=\"0\"><table><caption>Scans that could not be "
            "used</caption><thead><tr>"
            "<th scope=\"col\">Scan</th><th scope=\"col\">Kind</th><th "
            "scope=\"col\">Reason</th></tr></thead>\n"
            "<tbody>\n",
            file);
    fputs("<tr><td class=\"scan\">", file);
    sb_put_scan(file, record->scan.dataset, record->scan.scan_id);
    fputs("</td><td>", file);
    sb_put_html(file, sb_code_name(record->status));
    fputs("</td><td>", file);
    sb_put_html(file, record->reason);
    fputs("</td></tr>\n", file);
  }
}

static void put_rest(FILE *file, int64_t count, int64_t most, const char *none) {
  if (count == 0) fprintf(file, "<p>%s</p>\n", none);
  if (count > most)
    fprintf(file,
            "<p class=\"note\">The first %" PRId64 " of %" PRId64
            "; samebrain info lists all.</p>\n",
            most, count);
}

sb_status sb_put_scans(sb_page *page) {
  FILE *file = page->file;
  const sb_store *stores[2] = {page->probe, page->self ? NULL : page->gallery};
  sb_easel easel = {0};
  int64_t doubtful = 0, failed = 0;
  sb_status status = sb_easel_open(page, &easel);
  if (status.code != SB_OK) return status;
  fputs("<section id=\"scans\"><h2>Scans to look at</h2>\n", file);
  if (page->probe == NULL || page->gallery == NULL) {
    fputs("<p class=\"note\">Not all can be told: ", file);
    sb_put_html(file, page->why_no_store);
    fputs("</p>\n", file);
  }
  fputs("<h3>Doubtful</h3>\n", file);
  for (int i = 0; i < 2 && status.code == SB_OK; i++)
    if (stores[i] != NULL) status = put_doubtful(&easel, stores[i], &doubtful);
  if (doubtful > 0) fputs("</ul>\n", file);
  put_rest(file, doubtful, MOST_DOUBTFUL, "No scan that was taken is in doubt.");
  fputs("<h3>Failed</h3>\n", file);
  for (int i = 0; i < 2; i++)
    if (stores[i] != NULL) put_failed(file, stores[i], &failed);
  if (failed > 0) fputs("</tbody></table></div>\n", file);
  put_rest(file, failed, MOST_FAILED, "No scan failed.");
  fputs("</section>\n", file);
  sb_easel_close(&easel);
  return status;
}
