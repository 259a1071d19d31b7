// The top of the page: what was found, in one sentence, and the key figures with their intervals.
#include <math.h>
#include <string.h>

#include "report/page.h"
#include "report/text.h"

static const char *plural(double count, const char *one, const char *many) {
  return count == 1 ? one : many;
}

// "31 scans" or "12 scans compared with 14"; "12 scans, mirrored, compared with 14".
static void put_scans(const sb_page *page) {
  char text[2][SB_TEXT];
  double probes = sb_json_number(page->summary, "probes");
  fprintf(page->file, "%s %s", sb_text_count(probes, text[0]), plural(probes, "scan", "scans"));
  if (!page->self)
    fprintf(page->file, "%s compared with %s", page->mirrored ? ", mirrored," : "",
            sb_text_count(sb_json_number(page->summary, "gallery"), text[1]));
}

static int64_t count_findings(const sb_page *page) {
  int64_t count = 0;
  for (int64_t i = 0; i < page->checks.count; i++) count += sb_is_finding(&page->checks.items[i]);
  return count;
}

static void put_check_sentence(const sb_page *page) {
  char text[SB_TEXT];
  int64_t findings = count_findings(page);
  double unsure = sb_json_number(sb_json_at(page->check, "pairs"), "unsure");
  fputs("Among ", page->file);
  put_scans(page);
  if (findings > 0)
    fprintf(page->file,
            ", <em>%s %s a curator\xe2\x80\x99s look</em>: images and labels do not agree.",
            sb_text_count((double)findings, text),
            plural((double)findings, "pair needs", "pairs need"));
  else if (unsure > 0)
    fputs(", nothing is certainly mislabelled, but not every pair is clear.", page->file);
  else
    fputs(", labels and images agree.", page->file);
}

// What is no link, and yet looks like one.
static void put_alike(const sb_page *page, const cJSON *figures, const char *before) {
  char text[SB_TEXT];
  const double alike = sb_json_number(figures, "alike_pairs");
  if (alike > 0)
    fprintf(page->file, "%s<em>%s %s as alike</em> as two scans of one person usually are", before,
            sb_text_count(alike, text), plural(alike, "pair is", "pairs are"));
}

// `linked`: probes with a proposed link of the first measure.
static void put_link_sentence(const sb_page *page, const cJSON *figures, int64_t linked) {
  FILE *file = page->file;
  char text[3][SB_TEXT];
  double links = sb_json_number(figures, "links");
  double probes = sb_json_number(page->summary, "probes");
  if (links > 0 && !page->self) {
    fprintf(
        file,
        "<em>%s of %s scans</em>%s %s one of %s others so closely that chance does not explain it",
        sb_text_count((double)linked, text[0]), sb_text_count(probes, text[1]),
        page->mirrored ? ", mirrored," : "", plural((double)linked, "matches", "match"),
        sb_text_count(sb_json_number(page->summary, "gallery"), text[2]));
    put_alike(page, figures, "; without being proposed, ");
    putc('.', file);
    return;
  }
  fputs("Among ", file);
  put_scans(page);
  if (isnan(sb_json_number(figures, "link_threshold"))) {
    fputs(", how alike scans of different people can be could not be told, so no link is proposed",
          file);
    put_alike(page, figures, "; but ");
  } else if (links > 0) {
    fprintf(file, ", <em>%s %s so alike</em> that chance does not explain it",
            sb_text_count(links, text[0]), plural(links, "pair is", "pairs are"));
    put_alike(page, figures, "; without being proposed, ");
  } else if (sb_json_number(figures, "alike_pairs") > 0) {
    put_alike(page, figures, ", ");
    fputs(", but so many scans are alike that chance seems to reach as far: no link is proposed",
          file);
  } else {
    fputs(", no pair is more alike than chance explains", file);
  }
  putc('.', file);
}

static void put_closest_sentence(const sb_page *page) {
  char text[SB_TEXT];
  fputs("Among ", page->file);
  put_scans(page);
  if (page->links.count > 0)
    fprintf(page->file,
            ", the most alike pair scores <em>%s</em>; what scores mean is not "
            "evaluated yet.",
            sb_text_score(page->links.items[0].score, text));
  else
    fputs(", no pair could be compared.", page->file);
}

// What is known about how right that is.
static void put_lead(const sb_page *page, const cJSON *figures) {
  FILE *file = page->file;
  char text[4][SB_TEXT];
  double low, high, mated = sb_json_number(figures, "mated_probes");
  if (figures == NULL && page->check != NULL) {
    fprintf(file,
            "<p class=\"lead\">The scans bear %s labels; by the images they are of %s people. "
            "Images cannot say "
            "which label is right, nor whose brain a scan is of.</p>\n",
            sb_text_count(sb_json_number(page->check, "labels"), text[0]),
            sb_text_count(sb_json_number(page->check, "people"), text[1]));
    return;
  }
  if (figures == NULL) {
    fputs("<p class=\"lead\">Run <code>samebrain evaluate</code> on these results for links with a "
          "probability of being false, and for figures with their intervals.</p>\n",
          file);
    return;
  }
  fputs("<p class=\"lead\">", file);
  if (mated > 0) {
    fprintf(file,
            "Where it is known who is who, %s of the %s scans with a second scan of the same "
            "person have it as their closest scan",
            sb_text_count(sb_json_number(figures, "rank1_probes"), text[0]),
            sb_text_count(mated, text[1]));
    if (sb_json_interval(figures, "rank1", &low, &high))
      fprintf(file, " (95 %% interval over people: %s to %s)", sb_text_rate(low, text[2]),
              sb_text_rate(high, text[3]));
    fputs(". ", file);
  }
  double wrong = sb_json_number(figures, "false_links");
  if (mated > 0 && sb_json_number(figures, "links") > 0) {
    if (wrong == 0)
      fputs("None of the proposed links is known to be wrong. ", file);
    else
      fprintf(file, "%s of the proposed links %s two people by the identities given. ",
              sb_text_count(wrong, text[0]), plural(wrong, "joins", "join"));
  }
  if (!(mated > 0))
    fputs(
        "No two scans here are known to be of one person, so it cannot be said how many links were "
        "missed. ",
        file);
  if (mated > 0 || sb_json_number(figures, "links") >= 0)
    fputs("A link says that two scans are of one brain, not whose brain it is.", file);
  fputs("</p>\n", file);
}

// ---- Key figures --------------------------------------------------------------------------------

static void put_tile(FILE *file, const char *name, const char *value, const char *below) {
  fputs("<div class=\"tile\"><dt>", file);
  sb_put_html(file, name);
  fputs("</dt><dd><strong>", file);
  sb_put_html(file, value);
  fputs("</strong><span>", file);
  sb_put_html(file, below);
  fputs("</span></dd></div>\n", file);
}

static void put_interval_tile(FILE *file, const cJSON *figures, const char *figure,
                              const char *name, const char *(*format)(double, char *),
                              const char *what) {
  char text[3][SB_TEXT], below[200] = "";
  double low, high, value = sb_json_number(figures, figure);
  if (isnan(value)) return;
  if (sb_json_interval(figures, figure, &low, &high))
    snprintf(below, sizeof below, "95 %%: %s to %s%s%s", format(low, text[0]),
             format(high, text[1]), *what == '\0' ? "" : "; ", what);
  else
    snprintf(below, sizeof below, "%s%sno interval: too few people", what,
             *what == '\0' ? "" : "; ");
  put_tile(file, name, format(value, text[2]), below);
}

static void put_check_tiles(const sb_page *page) {
  static const char *const kinds[][3] = {
      {"suspected_swap", "Suspected swaps", "pairs: a scan bears another person's id"},
      {"same_person", "One person, two ids", "enrolled twice, or mislabelled"},
      {"mirrored", "Mirrored", "left and right exchanged"},
      {"duplicate", "Duplicates", "one image, stored twice"},
      {"different", "Unlike under one id", "two people, or a poor image"},
      {"unsure", "Unsure", "neither clearly one person nor two"}};
  const cJSON *pairs = sb_json_at(page->check, "pairs");
  char text[SB_TEXT];
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    double count = sb_json_number(pairs, kinds[i][0]);
    if (!isnan(count)) put_tile(page->file, kinds[i][1], sb_text_count(count, text), kinds[i][2]);
  }
}

static void put_tiles(const sb_page *page, const cJSON *figures) {
  FILE *file = page->file;
  char text[3][SB_TEXT], below[200];
  fputs("<dl class=\"tiles\">\n", file);
  if (page->check != NULL) put_check_tiles(page);
  double links = sb_json_number(figures, "links");
  if (!isnan(links)) {
    double control = sb_json_number(figures, "control_links");
    int used = snprintf(below, sizeof below, "at most %s false ones expected",
                        sb_text_small(sb_json_number(figures, "expected_false"), text[0]));
    if (control >= 0 && sb_json_number(figures, "mated_people") > 0)
      snprintf(below + used, sizeof below - (size_t)used, "; %s with all known mates taken out",
               sb_text_count(control, text[1]));
    put_tile(file, "Proposed links", sb_text_count(links, text[2]), below);
  }
  snprintf(below, sizeof below, "%s people have two scans",
           sb_text_count(sb_json_number(figures, "mated_people"), text[0]));
  put_interval_tile(file, figures, "rank1", "Mate is the closest scan", sb_text_rate, below);
  double fpir = sb_json_number(figures, "fpir");
  double searches = sb_json_number(page->summary, "probes");
  if (fpir * searches >= 1)
    snprintf(below, sizeof below, "at FPIR %s", sb_text_small(fpir, text[0]));
  else // so few searches cannot show that rate
    snprintf(below, sizeof below, "where none of %s searches finds somebody else",
             sb_text_count(searches, text[0]));
  put_interval_tile(file, figures, "fnir", "Mates missed (FNIR)", sb_text_rate, below);
  put_interval_tile(file, figures, "d_prime", "Separation d\xe2\x80\xb2", sb_text_tenths, "");
  int64_t failed = page->gallery == NULL ? -1 : sb_store_failed_count(page->gallery);
  if (!page->self && page->probe != NULL && failed >= 0)
    failed += sb_store_failed_count(page->probe);
  double scans = searches + (page->self ? 0 : sb_json_number(page->summary, "gallery"));
  snprintf(below, sizeof below, "%s %s; %s%s", sb_text_count(scans, text[0]),
           plural(scans, "scan", "scans"), failed < 0 ? "" : sb_text_count((double)failed, text[1]),
           failed < 0 ? "failed ones not known" : " failed");
  put_tile(file, "Pairs compared", sb_text_count(sb_json_number(page->summary, "pairs"), text[2]),
           below);
  fputs("</dl>\n", file);
}

sb_status sb_put_answer(sb_page *page) {
  const cJSON *figures = sb_page_figures(page, 0);
  FILE *file = page->file;
  int64_t linked;
  sb_status status = sb_pairs_count_probes(&page->links, 0, &linked);
  if (status.code != SB_OK) return status;
  fputs("<h1>", file);
  if (page->check != NULL)
    put_check_sentence(page);
  else if (figures != NULL)
    put_link_sentence(page, figures, linked);
  else
    put_closest_sentence(page);
  fputs("</h1>\n", file);
  if (page->unfinished)
    fputs("<p class=\"note\">The check was not finished: these are the results of its link alone. "
          "Run the same check again.</p>\n",
          file);
  put_lead(page, figures);
  put_tiles(page, figures);
  return status;
}
