// One scan of a list, with the mask that came with it.
#ifndef SB_STORE_INGEST_SCAN_H
#define SB_STORE_INGEST_SCAN_H

#include "samebrain/store.h"

// Errors: those of sb_prepare_file and sb_prepare_masked, naming the files.
sb_status sb_ingest_scan(const sb_preparer *preparer, const sb_scan *scan, sb_prepared *out);
// What that needs; 0 for files that cannot be read, as preparing them will tell.
int64_t sb_ingest_scan_memory(const sb_preparer *preparer, const sb_scan *scan);

#endif
