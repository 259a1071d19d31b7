// The report: one self-contained HTML page of what link, evaluate and check wrote into a folder.
#ifndef SAMEBRAIN_REPORT_H
#define SAMEBRAIN_REPORT_H

#include <stdbool.h>

#include "samebrain/status.h"

typedef struct sb_report_options {
  bool images; // slices of the brains; default true
} sb_report_options;

SB_API sb_report_options sb_report_options_default(void);

// Writes OUT/report.html from the files in `out`: summary.json and the tables of link, and whatever
// evaluate and check left beside them. Pictures come from the rows of the stores that summary.json
// names; where a store is no more, or is another now, the page says so and does without. The page
// loads nothing, runs no script but its own, and stays below 10 MB: what does not fit is left out, and the page says
// what. The same bytes for the same files.
// Errors: SB_NOT_FOUND (no summary.json), SB_FORMAT (damaged: which file), SB_IO, SB_NO_MEMORY.
SB_API sb_status sb_report_write(const char *out, const sb_report_options *options,
                                 const sb_progress *progress);

#endif
