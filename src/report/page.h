// The page while it is written: what is known of the results, and how much room is left for pictures.
#ifndef SB_REPORT_PAGE_H
#define SB_REPORT_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "core/tsv.h"
#include "engine/json.h"
#include "report/pairs.h"
#include "samebrain/report.h"
#include "samebrain/store.h"

typedef struct sb_page {
  FILE *file;
  const char *folder;
  cJSON *summary,
      *evaluation; // of summary.json and evaluation.json; evaluation NULL: not evaluated
  bool self;       // a store against itself
  bool mirrored;   // the probes are mirror images, and so are their pictures
  bool images;
  sb_pairs links;  // proposed by evaluate, else each probe's closest scan; the closest first
  sb_pairs other;  // of the first measure, the closest that evaluate did not propose; may be empty
  sb_pairs checks; // of check.tsv, in its order
  cJSON *check;    // of check.json; NULL: not checked
  bool unfinished; // a check's link, and the check has not come to its end
  // Opened for names, quality figures and pictures; the same store twice in a self-comparison. NULL: no longer
  // there, or another now, and `why_no_store` says which.
  sb_store *gallery, *probe;
  char why_no_store[400];
  int64_t picture_bytes_left; // base64 characters
  int64_t pictures_left_out;  // for lack of room
} sb_page;

// ---- What is in the folder (read.c) -------------------------------------------------------------

// Reads everything but curves. Errors: those of sb_report_write.
sb_status sb_page_open(const char *folder, const sb_report_options *options, sb_page *page);
void sb_page_close(sb_page *page); // a zeroed one is fine

// "FOLDER/PREFIX-MEASUREsuffix"; free() it; NULL only when memory is short.
char *sb_page_path(const sb_page *page, const char *prefix, const char *measure,
                   const char *suffix);

// Numbers of a table, column by column: columns[c][row]; "n/a" and text are NaN.
typedef struct sb_columns {
  double *columns[8];
  int64_t rows; // 0 also where there is no such table
} sb_columns;
// The columns `names` (ends with NULL, at most 8) of PREFIX-MEASURE.tsv; where `rule` is not NULL,
// those lines alone whose column "rule" says so.
sb_status sb_columns_read(const sb_page *page, const char *prefix, const char *measure,
                          const char *const *names, const char *rule, sb_columns *out);
void sb_columns_free(sb_columns *columns);

// The measures linked, and what evaluation.json has of one (NULL: nothing).
int sb_page_measure_count(const sb_page *page);
const cJSON *sb_page_measure(const sb_page *page, int i); // its object in summary.json
const char *sb_page_measure_name(const sb_page *page, int i);
const cJSON *sb_page_figures(const sb_page *page, int i); // its object in evaluation.json

bool sb_page_has_strata(const sb_page *page); // whether evaluate was asked for any

// An interval of a measure's or a stratum's figures: false where there is none.
bool sb_json_interval(const cJSON *figures, const char *name, double *low, double *high);

// A scan's place in a store, or -1. `store` may be NULL.
int64_t sb_store_find(const sb_store *store, const char *dataset, const char *scan_id);

// ---- Sections, in the page's order --------------------------------------------------------------

sb_status sb_put_answer(sb_page *page);   // answer.c: the sentence and the key figures
sb_status sb_put_checks(sb_page *page);   // links.c
sb_status sb_put_links(sb_page *page);    // links.c: the table
sb_status sb_put_cards(sb_page *page);    // cards.c: pairs side by side
sb_status sb_put_scores(sb_page *page);   // scores.c: distributions and curves of each measure
sb_status sb_put_strata(sb_page *page);   // strata.c: by columns of covariates, where there are any
sb_status sb_put_matrices(sb_page *page); // matrix.c
sb_status sb_put_scans(sb_page *page);    // scans.c: doubtful and failed ones
sb_status sb_put_limits(sb_page *page);   // methods.c: what the result does not show
sb_status sb_put_methods(sb_page *page);  // methods.c
sb_status sb_put_provenance(sb_page *page); // provenance.c

#endif
