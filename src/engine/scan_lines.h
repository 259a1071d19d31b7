// Tables whose lines tell something of scans: who they are of (people.h), or what is known of them.
#ifndef SB_ENGINE_SCAN_LINES_H
#define SB_ENGINE_SCAN_LINES_H

#include "engine/people.h"

// The columns by which lines name scans; -1: the table has none. A line names the scan of its scan_id,
// or, without such a column, all scans of its participant, of its session where it tells one. With a
// dataset it names scans of that dataset alone; without, all that it names must be of one dataset.
typedef struct sb_scan_columns {
  long dataset, scan_id, participant, session;
  const char *only; // the dataset whose scans all lines name; NULL: as they say
  bool folders;     // they are the sub-* folders of a BIDS folder
} sb_scan_columns;

// Scans of both lists by one number: the probes, then the gallery's, unless these are the same list.
static inline int64_t sb_scans_count(const sb_scans *s) {
  return s->probe_count + (s->probe == s->gallery ? 0 : s->gallery_count);
}
static inline sb_identity *sb_scans_at(const sb_scans *s, int64_t scan) {
  return scan < s->probe_count ? s->probe + scan : s->gallery + (scan - s->probe_count);
}

// Takes what line `row` tells of a scan.
typedef sb_status (*sb_scan_told)(void *context, int64_t scan, size_t row);

// Calls `told` for each scan of each line. Lines that name no scan are warned of.
// Errors: SB_FORMAT (no line names a scan; one names scans of two datasets), those of `told`.
sb_status sb_scan_lines(const char *path, const sb_tsv *table, const sb_scan_columns *by,
                        const sb_scans *scans, const sb_progress *progress, sb_scan_told told,
                        void *context);

#endif
