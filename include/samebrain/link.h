// link: every probe against every gallery scan, and what is written of it.
#ifndef SAMEBRAIN_LINK_H
#define SAMEBRAIN_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/store.h"

typedef struct sb_link_options {
  const char *const *measures; // names; NULL with count 0: the default measure
  size_t measure_count;
  int64_t top;            // gallery scans listed per probe and measure; default 10
  bool has_threshold;     // also list every pair at least this close
  double threshold;       // in the measure's own direction
  const char *identities; // path of a TSV (dataset, scan_id, person); "none": ignore all labels;
                          // NULL: a person is (dataset, participant)
  bool matrix;            // write the dense scores-MEASURE.npy
  const char *backend;    // "auto" or "cpu"
  int64_t memory_bytes;   // 0: the smaller of 4 GiB and a quarter of RAM
  int threads;            // 0: all processors
} sb_link_options;

SB_API sb_link_options sb_link_options_default(void);

typedef struct sb_link_summary {
  int64_t gallery, probes, measures;
  int64_t pairs; // compared, per measure
  int64_t mated; // mated pairs known
  double seconds;
} sb_link_summary;

// Compares each probe with each gallery scan and writes matches.tsv, mated.tsv, probes.tsv,
// gallery.tsv, nonmated-MEASURE.npy with its edges, summary.json, and with `matrix` the dense
// scores into the folder `out` (made 0700; files 0600).
//   probe  NULL: the gallery against itself; a scan is never matched with itself
// Reported scores are canonical: the same bytes for any backend, thread count and tile size.
// Errors: SB_CONFLICT (stores that cannot be compared; names what differs), SB_NOT_FOUND (measure),
// SB_USAGE (`out` holds something else), SB_FORMAT (identities), SB_CONTENT, SB_IO, SB_NO_MEMORY.
SB_API sb_status sb_link(const sb_store *gallery, const sb_store *probe,
                         const sb_link_options *options, const char *out,
                         const sb_progress *progress, sb_link_summary *summary);

#endif
