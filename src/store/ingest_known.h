// What a store has of a scan that is to be prepared.
#ifndef SB_STORE_INGEST_KNOWN_H
#define SB_STORE_INGEST_KNOWN_H

#include <stdbool.h>
#include <time.h>

#include "samebrain/store.h"

// Its row's record; NULL when it has none.
const sb_scan_record *sb_known_row(const sb_store *store, const sb_scan *scan);
// Whether that row is of the file of this path, and under these labels. One that is unknown now is no
// other label: a folder that grows may no longer tell whose its scans are.
bool sb_known_path(const sb_scan_record *row, const char *path);
bool sb_known_labels(const sb_scan_record *row, const sb_scan *scan);
// Whether this very failure of the scan is on record already.
bool sb_known_failure(const sb_store *store, const sb_scan_record *record);

// The path that is recorded, which stays true when the working folder changes; free() it.
char *sb_recorded_path(const char *path);
// Whether a file was written, moved or renamed after the store was begun: only then is its content
// compared with what was prepared. One that is gone is not.
bool sb_touched_since(const struct timespec *begun, const char *path);
// Of a scan that has a row, but from a file of another name, or one that was touched, or under other
// labels: SB_CONFLICT unless content and labels are the same.
//   hash  the file's SHA-256
sb_status sb_check_known(const sb_scan_record *row, const sb_scan *scan, const char *hash);

#endif
