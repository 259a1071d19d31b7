// The scores of all pairs, in bars: non-mated ones from the histogram that link wrote, mated ones one by one.
#ifndef SB_REPORT_HISTOGRAM_H
#define SB_REPORT_HISTOGRAM_H

#include "report/page.h"

enum { SB_BARS = 80 };

typedef struct sb_histogram {
  double low, high;        // of the bars: where there is any score, and a little room
  double density[SB_BARS]; // of the non-mated pairs, with area 1
  double total;            // non-mated pairs (in a self-comparison each counted once)
  double *mated;           // scores
  int64_t mated_count;
} sb_histogram;

// Errors: SB_FORMAT (damaged: which file), SB_IO, SB_NO_MEMORY.
sb_status sb_histogram_read(const sb_page *page, const char *measure, sb_histogram *out);
void sb_histogram_free(sb_histogram *histogram);

#endif
