// store.json: what every row of a store has in common, and how two such files are compared.
#ifndef SB_STORE_META_H
#define SB_STORE_META_H

#include <stdint.h>

#include "core/hash.h"
#include "samebrain/status.h"

typedef struct sb_store_meta {
  int64_t grid_dims[3];
  double grid_affine[16]; // row-major, voxel to RAS mm
  double resolution_mm;
  int64_t row_length;  // V
  char *template_hash; // sb_template_hash
  char *template_path; // where the template lay when the store was made; never compared
  char *parameters;    // sb_preparer_parameters
  char template_file_sha256[SB_SHA256_HEX], mask_file_sha256[SB_SHA256_HEX];
} sb_store_meta;

// Voxels of the grid, and bytes of one packed mask on it.
int64_t sb_store_meta_voxels(const sb_store_meta *meta);
int64_t sb_store_meta_mask_bytes(const sb_store_meta *meta);

// Writes STORE/store.json, which appears complete or not at all. Errors: SB_IO, SB_NO_MEMORY.
sb_status sb_store_meta_write(const char *store, const sb_store_meta *meta);
// Reads it; free with sb_store_meta_free.
// Errors: SB_NOT_FOUND (not a store), SB_FORMAT (damaged, or of a newer version), SB_IO.
sb_status sb_store_meta_read(const char *store, sb_store_meta *meta);
void sb_store_meta_free(sb_store_meta *meta);

// SB_OK when rows made under both can be compared, else SB_CONFLICT naming the first thing that
// differs with both values. `first`, `second` name the two in the message; `advice` ends it.
sb_status sb_store_meta_compare(const sb_store_meta *a, const char *first, const sb_store_meta *b,
                                const char *second, const char *advice);

#endif
