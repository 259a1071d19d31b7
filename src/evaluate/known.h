// What tables and BIDS folders tell of scans.
#ifndef SB_EVALUATE_KNOWN_H
#define SB_EVALUATE_KNOWN_H

#include "engine/people.h"
#include "samebrain/evaluate.h"

// Reads the columns of `options->by` from all of `options->covariates`; "dataset" is known without.
//   text  out: [column][scan of sb_scans_at], NULL: nothing is told; sb_free_names it, with columns times
//         scans, also after an error
// Of a BIDS folder are read participants.tsv, and, in the sub-* folders of the scans, sessions.tsv, scans.tsv and
// the JSON sidecars of T1w images. A file or line whose name fits a scan (sb_name_fit) tells of it; of several
// the nearest counts. A folder whose name is one of the link's datasets tells of its scans alone.
// Errors: SB_USAGE (a column without anything to read it from, or the other way round), SB_FORMAT (a table that
// names no scans, no BIDS folder, broken JSON, a value that is no single one, two values for one scan, two columns of
// one name, of a single table no such column; those of sb_scan_lines), those of reading files.
sb_status sb_known_read(const sb_evaluate_options *options, const sb_scans *scans, char ***text);

#endif
