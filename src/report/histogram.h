// The scores of all mated and of all non-mated pairs, in bars.
#ifndef SB_REPORT_HISTOGRAM_H
#define SB_REPORT_HISTOGRAM_H

#include "report/page.h"

enum { SB_BARS = 80 };

typedef struct sb_histogram {
  double low, high;         // of the bars: where there is any score, and a little room
  double nonmated[SB_BARS]; // density, of area 1; 0 throughout where there is no such pair
  double mated[SB_BARS];
  double nonmated_pairs, mated_pairs; // in a self-comparison each pair once
} sb_histogram;

// Of the identities that evaluate used where it ran (from its ROC), else of those that link used.
// Errors: SB_FORMAT (damaged: which file), SB_IO, SB_NO_MEMORY.
sb_status sb_histogram_read(const sb_page *page, const char *measure, const cJSON *figures,
                            sb_histogram *out);

#endif
