// From what, with what, on what: files and their hashes, stores, parameters, versions, machine, times.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "report/page.h"
#include "report/text.h"

static void put_line(FILE *file, const char *name, const char *value) {
  if (*value == '\0') return;
  fputs("<tr><th scope=\"row\">", file);
  sb_put_html(file, name);
  fputs("</th><td>", file);
  sb_put_html(file, value);
  fputs("</td></tr>\n", file);
}

static void begin_table(FILE *file, const char *caption) {
  fprintf(file,
          "<div class=\"scroll\" tabindex=\"0\"><table "
          "class=\"facts\"><caption>%s</caption>\n<tbody>\n",
          caption);
}

static void end_table(FILE *file) {
  fputs("</tbody></table></div>\n", file);
}

// When the link was done.
static void put_date(const sb_page *page) {
  char *path = sb_path_join(page->folder, "summary.json"), text[SB_TEXT];
  struct stat about;
  struct tm parts;
  if (path != NULL && stat(path, &about) == 0 && gmtime_r(&about.st_mtime, &parts) != NULL) {
    strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
    put_line(page->file, "summary.json written", text);
  }
  free(path);
}

static void put_store(const sb_page *page, const char *name, const char *title) {
  const cJSON *store = sb_json_at(sb_json_at(page->summary, "stores"), name);
  const char *parameters = sb_json_text(store, "parameters");
  char text[SB_TEXT], hex[SB_SHA256_HEX];
  sb_sha256 hash;
  if (!cJSON_IsObject(store)) return;
  begin_table(page->file, title);
  put_line(page->file, "Folder", sb_json_text(store, "path"));
  put_line(page->file, "Scans with a row", sb_text_count(sb_json_number(store, "scans"), text));
  put_line(page->file, "Template (SHA-256)", sb_json_text(store, "template_hash"));
  put_line(page->file, "Parameters", parameters);
  sb_sha256_start(&hash);
  sb_sha256_add(&hash, parameters, strlen(parameters));
  sb_sha256_end(&hash, hex);
  put_line(page->file, "Parameters (SHA-256)", hex);
  end_table(page->file);
}

static void put_run(const sb_page *page) {
  const cJSON *parameters = sb_json_at(page->summary, "parameters"),
              *machine = sb_json_at(page->summary, "machine");
  char text[SB_TEXT];
  FILE *file = page->file;
  begin_table(file, "Comparison");
  put_line(file, "samebrain", sb_json_text(page->summary, "version"));
  put_date(page);
  put_line(file, "Identities",
           page->evaluation != NULL ? sb_json_text(page->evaluation, "identities")
                                    : sb_json_text(parameters, "identities"));
  put_line(file, "Closest scans listed", sb_text_count(sb_json_number(parameters, "top"), text));
  put_line(file, "Threshold of the lists",
           sb_text_score(sb_json_number(parameters, "threshold"), text));
  put_line(file, "Precision of the screen", sb_json_text(parameters, "precision"));
  put_line(file, "Processor", sb_json_text(machine, "cpu"));
  put_line(file, "Threads", sb_text_count(sb_json_number(machine, "threads"), text));
  put_line(file, "Computed by", sb_json_text(machine, "library"));
  end_table(file);
}

static void put_times(const sb_page *page) {
  static const char *const stages[][2] = {{"embed", "Reading and filtering rows"},
                                          {"multiply", "Comparing"},
                                          {"select", "Selecting"},
                                          {"rescore", "Exact scores"},
                                          {"write", "Writing"},
                                          {"total", "In all"}};
  const cJSON *seconds = sb_json_at(page->summary, "seconds");
  char text[SB_TEXT];
  begin_table(page->file, "Time of the link");
  for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
    put_line(page->file, stages[i][1],
             sb_text_seconds(sb_json_number(seconds, stages[i][0]), text));
  end_table(page->file);
}

// The tables that this page tells of.
static sb_status put_files(const sb_page *page) {
  static const char *const names[] = {
      "summary.json",    "matches.tsv",    "mated.tsv",  "probes.tsv", "gallery.tsv", "links.tsv",
      "evaluation.json", "thresholds.tsv", "check.json", "check.tsv",  "groups.tsv"};
  char hex[SB_SHA256_HEX];
  sb_status status = sb_ok();
  begin_table(page->file, "Files that this page was made of, with their SHA-256");
  for (size_t i = 0; i < sizeof names / sizeof *names && status.code == SB_OK; i++) {
    char *path = sb_path_join(page->folder, names[i]);
    if (path == NULL) return sb_error(SB_NO_MEMORY, "out of memory");
    if (sb_is_file(path)) {
      status = sb_sha256_file(path, hex);
      if (status.code == SB_OK) put_line(page->file, names[i], hex);
    }
    free(path);
  }
  end_table(page->file);
  return status;
}

sb_status sb_put_provenance(sb_page *page) {
  fputs("<section id=\"provenance\"><h2>How it was made</h2>\n<div class=\"facts-grid\">\n",
        page->file);
  put_run(page);
  put_times(page);
  put_store(page, "gallery", page->self ? "Store" : "Store: gallery");
  put_store(page, "probe",
            page->mirrored ? "Store: probes, whose mirror images were compared" : "Store: probes");
  sb_status status = put_files(page);
  fputs("</div></section>\n", page->file);
  return status;
}
