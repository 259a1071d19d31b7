// What the result does not show, and a methods paragraph for a paper with its references.
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate/exact.h"
#include "report/page.h"
#include "report/text.h"
#include "samebrain/measure.h"

// ---- Limits -------------------------------------------------------------------------------------

static void put_item(FILE *file, const char *strong, const char *text) {
  fputs("<li><strong>", file);
  sb_put_html(file, strong);
  fputs("</strong> ", file);
  sb_put_html(file, text);
  fputs("</li>\n", file);
}

// What so few people can show, whatever they score.
static void put_people_limit(FILE *file, const cJSON *figures) {
  char text[500], count[2][SB_TEXT], rate[SB_TEXT];
  double mated = sb_json_number(figures, "mated_people"),
         people = sb_json_number(figures, "people");
  if (!(mated > 0)) {
    put_item(file, "Nobody is known to have two scans here.",
             "How many links are missed cannot be said; the proposed ones rest on an assumption "
             "about the "
             "tail of the scores of different people.");
    return;
  }
  snprintf(
      text, sizeof text,
      "%s %s two scans. Even with every one of them found, so few people cannot show a miss rate "
      "below "
      "%s (95 %% confidence, by counting alone); %s people in all bound what can be said of false "
      "matches in the same way.",
      sb_text_count(mated, count[0]), mated == 1 ? "person has" : "people have",
      sb_text_rate(sb_zero_error_bound((int64_t)mated, 0.05), rate),
      sb_text_count(people, count[1]));
  put_item(file, "Few people show little.", text);
}

sb_status sb_put_limits(sb_page *page) {
  FILE *file = page->file;
  const cJSON *figures = sb_page_figures(page, 0);
  const char *assumption = sb_json_text(page->evaluation, "assumption");
  fputs("<section id=\"limits\" class=\"limits\"><h2>What this does not show</h2>\n<ul>\n", file);
  put_item(
      file, "Linkage is not identification.",
      "That two scans are of one brain says nothing about whose it is. It becomes identification "
      "where one of the two carries a name.");
  put_item(file, "A link that is not proposed is not excluded.",
           "Scans years apart, after surgery or illness, from very different scanners, or badly "
           "prepared may "
           "be of one person and lie below every threshold.");
  if (figures != NULL) put_people_limit(file, figures);
  put_item(
      file, "Other data may behave otherwise.",
      "All figures are of these scans, this template and these parameters. More scanners, ages and "
      "diseases, or relatives such as twins, are in them only as far as they are among the scans.");
  if (figures != NULL)
    put_item(file, "Forecasts are extrapolations.",
             "They assume more people like these, and were checked only up to the gallery size "
             "that each "
             "names.");
  if (*assumption != '\0') put_item(file, "Assumed, not known:", assumption);
  put_item(
      file, "This page holds pictures of brains and ids.",
      "Treat it as the scans themselves: who may see them may see it. samebrain report --no-images "
      "leaves the pictures out; ids stay.");
  fputs("</ul></section>\n", file);
  return sb_ok();
}

// ---- References, numbered as the text comes to them ----------------------------------------------

enum { PAPER, N4, NYUL, BIOMETRICS, BOOTSTRAP, EXACT, TAILS, EXCESSES, DENSITIES, REFERENCES };

static const char *const REFERENCE[REFERENCES] = {
    "Sharma, Polonen, Pajula, Suksi, Tohka (2026). Cross-Dataset Linkage of Brain MRI using Image "
    "Similarity Measures. arXiv:2602.10043.",
    "Tustison et al. (2010). N4ITK: improved N3 bias correction. IEEE Trans. Med. Imaging 29:1310.",
    "Nyul, Udupa, Zhang (2000). New variants of a method of MRI scale standardization. IEEE Trans. "
    "Med. Imaging 19:143.",
    "ISO/IEC 19795-1. Biometric performance testing and reporting.",
    "Efron (1979). Bootstrap methods: another look at the jackknife. Ann. Stat. 7:1.",
    "Clopper, Pearson (1934). The use of confidence or fiducial limits. Biometrika 26:404.",
    "Pickands (1975). Statistical inference using extreme order statistics. Ann. Stat. 3:119.",
    "Davison, Smith (1990). Models for exceedances over high thresholds. J. R. Stat. Soc. B "
    "52:393.",
    "Silverman (1986). Density Estimation for Statistics and Data Analysis, eq. 3.31.",
};

// The paragraph while it is written, and what it has cited so far.
typedef struct paragraph {
  FILE *file;
  int cited[REFERENCES], count;
} paragraph;

// " [3]"
static void cite(paragraph *p, int reference) {
  int number = 0;
  while (number < p->count && p->cited[number] != reference) number++;
  if (number == p->count) p->cited[p->count++] = reference;
  fprintf(p->file, " [%d]", number + 1);
}

static void put_references(const paragraph *p) {
  fputs("<h3>References</h3>\n<ol class=\"references\">\n", p->file);
  for (int i = 0; i < p->count; i++) {
    fputs("<li>", p->file);
    sb_put_html(p->file, REFERENCE[p->cited[i]]);
    fputs("</li>\n", p->file);
  }
  fputs("</ol>\n", p->file);
}

// ---- Methods ------------------------------------------------------------------------------------

// The value of a word "key=value" in a store's parameters, "" where there is none.
static const char *parameter(const char *parameters, const char *key, char out[SB_TEXT]) {
  size_t length = strlen(key);
  *out = '\0';
  for (const char *at = parameters; (at = strstr(at, key)) != NULL; at += length)
    if ((at == parameters || at[-1] == ' ') && at[length] == '=') {
      snprintf(out, SB_TEXT, "%.*s", (int)strcspn(at + length + 1, " "), at + length + 1);
      break;
    }
  return out;
}

static bool has(const char *parameters, const char *key, const char *value) {
  char text[SB_TEXT];
  return strcmp(parameter(parameters, key, text), value) == 0;
}

static void put_intensities(paragraph *p, const char *parameters) {
  FILE *file = p->file;
  char text[SB_TEXT];
  if (has(parameters, "harmonise", "none")) {
    fputs("Intensities were left as they were. ", file);
    return;
  }
  if (has(parameters, "harmonise", "nyul")) {
    fputs("Intensities were brought to the template's scale by matching landmarks", file);
    cite(p, NYUL);
  } else if (has(parameters, "harmonise", "rank")) {
    fputs("Intensities were replaced by the normal quantiles of their ranks", file);
  } else {
    fputs("Intensities were brought to mean 0 and standard deviation 1 in the brain", file);
  }
  parameter(parameters, "winsor", text);
  if (*text != '\0' && strcmp(text, "0") != 0)
    sb_put_htmlf(file, " and limited to %s standard deviations from the mean", text);
  fputs(". ", file);
}

static void put_preparation(paragraph *p, const char *parameters, const char *hash) {
  FILE *file = p->file;
  char text[SB_TEXT];
  if (has(parameters, "align", "given"))
    fputs("Scans came aligned to the template", file);
  else
    sb_put_htmlf(file,
                 "Each scan was aligned to the template by %s "
                 "(inverse-compositional Gauss-Newton with a polynomial gain; template SHA-256 "
                 "%.12s\xe2\x80\xa6)",
                 has(parameters, "dof", "6") ? "a rigid map, the nearest to its affine one"
                                             : "an affine map with 12 degrees of freedom",
                 hash);
  sb_put_htmlf(file, " and sampled once on a grid of %s mm. ",
               parameter(parameters, "resolution_mm", text));
  if (has(parameters, "bias", "n4")) {
    fputs("Uneven gain was taken off by histogram sharpening with smooth splines", file);
    cite(p, N4);
    fputs(". ", file);
  } else if (has(parameters, "bias", "gain")) {
    fputs("Uneven gain was taken off as fitted between scan and template. ", file);
  }
  put_intensities(p, parameters);
  if (has(parameters, "outside", "falloff"))
    fputs("Outside the scan's own brain they fade to the mean. ", file);
}

static void put_measures(const sb_page *page) {
  FILE *file = page->file;
  char text[SB_TEXT];
  double pairs = sb_json_number(page->summary, "pairs");
  if (pairs == 1)
    fputs("One pair was compared by ", file);
  else
    sb_put_htmlf(file, "All %s pairs were compared by ", sb_text_count(pairs, text));
  for (int i = 0; i < sb_page_measure_count(page); i++) {
    const sb_measure_info *info = sb_measure_find(sb_page_measure_name(page, i));
    if (i > 0) fputs("; ", file);
    sb_put_html(file, sb_page_measure_name(page, i));
    if (info != NULL) sb_put_htmlf(file, " (%s; %s)", info->title, info->source);
  }
  fputs(". ", file);
}

static void put_evaluation(paragraph *p, const sb_page *page, const cJSON *figures) {
  FILE *file = p->file;
  char text[2][SB_TEXT];
  double expected = sb_json_number(figures, "expected_false");
  if (!isnan(expected)) {
    sb_put_htmlf(
        file,
        "Links were proposed without looking at identities, where at most %s pairs of different "
        "people as close were expected among all, by a generalised Pareto distribution of the tail "
        "of the scores",
        sb_text_small(expected, text[0]));
    cite(p, TAILS);
    cite(p, EXCESSES);
    fputs(". ", file);
  }
  if (!(sb_json_number(figures, "mated_pairs") > 0)) return;
  fputs("Where identities are known, errors are those of ISO/IEC 19795-1", file);
  cite(p, BIOMETRICS);
  sb_put_htmlf(file, ", with 95 %% intervals from a bootstrap over people (%s replicates)",
               sb_text_count(sb_json_number(page->evaluation, "replicates"), text[1]));
  cite(p, BOOTSTRAP);
  fputs(" and, where no error was seen, exact bounds", file);
  cite(p, EXACT);
  fputs(". The threshold where the densities cross follows", file);
  cite(p, PAPER);
  fputs(", with the bandwidth of", file);
  cite(p, DENSITIES);
  fputs(". ", file);
}

sb_status sb_put_methods(sb_page *page) {
  paragraph p = {.file = page->file};
  const cJSON *store = sb_json_at(sb_json_at(page->summary, "stores"), "gallery");
  fputs("<section id=\"methods\"><h2>Methods, for a paper</h2>\n<p class=\"paper\">", p.file);
  sb_put_htmlf(p.file, "Scans were compared with samebrain %s, which follows the approach of",
               sb_json_text(page->summary, "version"));
  cite(&p, PAPER);
  fputs(
      ": no training, only standard preparation and image similarity, with parameters of its own. ",
      p.file);
  put_preparation(&p, sb_json_text(store, "parameters"), sb_json_text(store, "template_hash"));
  put_measures(page);
  put_evaluation(&p, page, sb_page_figures(page, 0));
  fputs("Linkage is not identification.</p>\n", p.file);
  put_references(&p);
  fputs("</section>\n", p.file);
  return sb_ok();
}
