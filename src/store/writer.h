// Appending scans to a store. Rows and records in; committed lines on disk out.
// Used by sb_ingest, tests and benchmarks.
#ifndef SB_STORE_WRITER_H
#define SB_STORE_WRITER_H

#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/store.h"

// What every row of the store has in common; all pointers are borrowed for the call.
typedef struct sb_store_header {
  const int64_t *grid_dims;  // 3
  const double *grid_affine; // row-major 4x4, voxel to RAS mm; axes in RAS order
  double resolution_mm;
  const uint8_t *mask; // 0 or 1 per grid voxel, x fastest; row_length of them are 1
  const float *image;  // the template's intensities, one per grid voxel
  int64_t row_length;  // V
  const char *template_hash, *template_path, *parameters;
} sb_store_header;

// A writer holds one shard until it is closed or its process dies. Not for several threads at once.
typedef struct sb_store_writer sb_store_writer;

// Opens the store for appending, making it if there is none, and takes a shard: the first whose
// lock can be had (cutting off what has no committed line), else a new one. Errors: SB_CONFLICT
// (made with another template or parameters: which, both values, what to do), SB_USAGE (the folder
// holds something else; a header that is inconsistent), SB_FORMAT (damaged), SB_IO, SB_NO_MEMORY.
sb_status sb_store_writer_open(const char *path, const sb_store_header *header,
                               sb_store_writer **out);

// Adds a scan to what the next commit brings to disk: several cost the syncs of one. What is added is on disk
// when commit has succeeded, all of it; after an error of either none of what was added since the last
// commit is.
//   record    in: scan, status, reason, source_sha256, template_to_scan, quality, seconds (strings
//             but dataset and scan_id may be NULL).
//             out: row, row_checksum, scale, offset
//   row       V values; NULL for a scan that failed (status must then not be SB_OK)
//   own_mask  the scan's own brain, 0 or 1 per grid voxel; NULL: all zero
// Stored as float16 with scale 1 and offset 0 when the largest magnitude is 0 or from 1 to 1024.
// Smaller rows are scaled up, larger ones centred and scaled down, to at most 1024 by a power of
// two (exact), so that nothing overflows and all eleven bits are kept. Errors: SB_USAGE (NaN or
// infinity in the row, a tab or newline in a name: a mistake of the caller; it concerns that scan
// alone: what was added before can still be committed), SB_IO (disk full, ...), SB_NO_MEMORY. After
// these two the writer takes no more; what was committed is safe.
sb_status sb_store_writer_add(sb_store_writer *writer, sb_scan_record *record, const float *row,
                              const uint8_t *own_mask);
sb_status sb_store_writer_commit(sb_store_writer *writer);

// Gives the shard back; NULL is fine. What was added and not committed is lost.
void sb_store_writer_close(sb_store_writer *writer);

#endif
