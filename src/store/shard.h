// One shard of a store: its three files, the lines of its table, and which of them are committed.
#ifndef SB_STORE_SHARD_H
#define SB_STORE_SHARD_H

#include <stdint.h>
#include <stdio.h>

#include "core/tsv.h"
#include "samebrain/status.h"
#include "samebrain/store.h"

typedef struct sb_shard_files {
  char *rows;  // shard-0001.npy: float16 (n, V)
  char *masks; // shard-0001.mask.npy: uint8 (n, ceil(G / 8))
  char *table; // shard-0001.tsv: a line a scan
} sb_shard_files;

sb_status sb_shard_files_make(const char *store, int number, sb_shard_files *files);
void sb_shard_files_free(sb_shard_files *files);

// The numbers of the shards in a store that have a table, ascending; free() them.
sb_status sb_shard_list(const char *store, int **numbers, size_t *count);
// The shard that an array file's name belongs to ("shard-0001.mask.npy": 1); 0: no such name.
int sb_shard_of_array(const char *name);

// ---- The table ----------------------------------------------------------------------------------

// The header line and one scan's line, each ended by its newline.
void sb_shard_put_header(FILE *file);
void sb_shard_put_record(FILE *file, const sb_scan_record *record);

// The committed lines of a shard. A line is committed when it and all lines before it are whole
// (end in a newline) and their rows lie within both array files. What follows is not: an append
// that was interrupted, or, where array files were cut short by damage, rows that are no more.
typedef struct sb_shard_table {
  sb_scan_record *records; // their strings lie in `tsv`; tsv.rows of them
  size_t count;            // that are committed; lost ones, and what came after, follow
  int64_t rows;            // of the array files, 0 to rows - 1, in the order of the lines
  int64_t lost;            // whole lines with a row that the array files do not have
  int64_t bytes;           // of the table file up to the end of the last committed line
  sb_tsv tsv;
} sb_shard_table;

// Reads a shard's table while, maybe, its writer goes on; a missing or empty file is an empty
// table.
//   row_bytes, mask_bytes  of one scan in the two array files
// Errors: SB_FORMAT names the file and line, SB_IO, SB_NO_MEMORY.
sb_status sb_shard_table_read(const sb_shard_files *files, int64_t row_bytes, int64_t mask_bytes,
                              sb_shard_table *out);
void sb_shard_table_free(sb_shard_table *table);

#endif
