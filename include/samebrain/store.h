// A store: the rows of many scans on disk, in a folder that NumPy and a text editor can open.
#ifndef SAMEBRAIN_STORE_H
#define SAMEBRAIN_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "samebrain/prepare.h"
#include "samebrain/status.h"

// A scan is known by (dataset, scan_id). All strings are UTF-8 without control characters, such as tabs.
typedef struct sb_scan {
  char *dataset;
  char *scan_id;     // the file's name without _T1w and extension, e.g. "sub-01_ses-01"; in folders
                     // below the one that was named, with the path from there: "ann_visit1_t1"
  char *participant; // e.g. "sub-01"; "" when unknown
  char *session;     // e.g. "ses-01"; "" when unknown
  char *source_path; // absolute where it comes from a store
  char *mask_path;   // a brain mask given with the scan (manifest) or beside it; "" when none
} sb_scan;

typedef struct sb_scan_list {
  sb_scan *scans; // owned, in the order they are to be prepared
  size_t count;
  char **left_out; // owned: why each scan that was found and cannot be used is not in the list
  size_t left_out_count;
  char **notes; // owned: what a person should know of the list, such as how labels were told
  size_t note_count;
  char **warnings; // owned: what may be wrong, such as labels that were guessed
  size_t warning_count;
} sb_scan_list;

// Which scans an input names, and how they are labelled.
typedef struct sb_input_options {
  const char *dataset;                   // NULL: from the manifest, else the input folder's name
  const char *const *participant_labels; // with or without "sub-"; NULL: all
  size_t participant_label_count;
  bool in_template_space; // of a folder's images only those that name a space, where there are any
} sb_input_options;

// Finds the scans of each input:
//   a NIfTI file    its dataset is the BIDS folder it lies in, else its own folder's name
//   a BIDS folder   every sub-*/[ses-*/]anat/*_T1w.nii[.gz]; also one sub-*, ses-* or anat folder
//   another folder  every NIfTI file in it and in the folders below it, 16 deep, but for hidden ones,
//                   derivatives and sourcedata; also a BIDS folder that has no scans as BIDS has them.
//                   A .hdr/.img pair counts once, as its .img. The scan_id is the path from the folder
//                   on, '/' made '_'. A BIDS folder on the way is a dataset of its own, called by
//                   its path from the folder on, '/' made '_'
//   a manifest .tsv columns path, participant_id, session_id, dataset, mask, scan_id; only path is
//                   required; relative paths start at the manifest's folder; blanks around a cell do
//                   not count. Dataset: the column, else options->dataset, else the scan's BIDS
//                   folder, else the manifest's folder
// The endings of NIfTI files may be in capitals (.NII.GZ). SCAN_desc-brain_mask.nii[.gz] beside
// SCAN[_desc-...]_T1w.nii[.gz] is that scan's brain mask, and never a scan. Of folders, images that say by
// their names that they are no T1-weighted scan (masks, segmentations, bold, FLAIR, part-phase, ...) are
// passed over, and so are, in a folder with others, those that name a space (the others with
// options->in_template_space).
// Participants and sessions are told as BIDS does ("sub-01", "ses-01"): from the manifest, there with
// or without the prefix, else from the file's name, or its path below the input, by BIDS's entities or an
// identifier of ADNI or OASIS, else, in folders, by the first folder below the input, where that may be
// one person's: it has at most 20 images, and no two in itself whose names lack the folder's and are
// more than a visit's ("visit1", "ses-02", "baseline").
// The list is sorted by (dataset, scan_id) within each input. A file given twice counts once, and of two
// files of one name in a folder that hold the same image (x.nii, x.nii.gz) the first. Else only names are
// read, not the scans: one that cannot be read fails when it is prepared. What cannot be used is
// left out, with its reason: two files of one (dataset, scan_id), a name that is not UTF-8 or has control
// characters, a folder that cannot be listed, an input without scans or that is no regular file, a line
// without a NIfTI file.
// Errors: SB_NOT_FOUND (input, or a participant label without any scan), SB_FORMAT (manifest); where
// nothing is left, why the first was left out (SB_CONFLICT, SB_USAGE, ...).
SB_API sb_status sb_scan_list_find(const char *const *inputs, size_t input_count,
                                   const sb_input_options *options, sb_scan_list *out);
SB_API void sb_scan_list_free(sb_scan_list *list);

// One line of a shard's .tsv: a scan and what became of it.
typedef struct sb_scan_record {
  sb_scan scan;
  sb_code status;        // SB_OK, or why there is no row
  char *reason;          // the failure's message; "" when SB_OK
  int64_t row;           // within its shard; -1 when there is none
  uint32_t row_checksum; // CRC-32 of the row's float16 bytes
  double scale, offset;  // harmonised value = float16 value * scale + offset
  char source_sha256[65];
  double template_to_scan[16];
  sb_quality quality;
  double seconds;
} sb_scan_record;

// ---- Writing ------------------------------------------------------------------------------------

typedef struct sb_ingest_options {
  int threads;                  // 0: all processors
  int64_t memory_bytes;         // 0: the smaller of 4 GiB and a quarter of the machine's
  int shard_index, shard_count; // this process takes every shard_count-th scan; 1, 1: all
  const char *save_images_dir;  // NULL: none
} sb_ingest_options;

SB_API sb_ingest_options sb_ingest_options_default(void);

typedef struct sb_ingest_summary {
  int64_t scans;     // in this process's share of the list
  int64_t prepared;  // rows written now
  int64_t skipped;   // had a row already
  int64_t failed;    // recorded with their reason, but for the conflicts
  int64_t conflicts; // of the failed: have a row, which is of another file and stays
  double seconds;
} sb_ingest_summary;

// Prepares the scans that have no row yet and appends them to the store at `path`, creating it if
// there is none (folders 0700, files 0600). Rows are committed as they become ready: a kill at any moment
// loses at most the scans in work, and calling again finishes the rest. Any number of processes may
// write into one store; each has its own shard. A scan that fails is recorded and the run goes on.
// Rows and their order in a shard do not depend on `threads`.
// A scan that has a row is skipped when its path is the recorded one, whatever the file holds now
// (to see that, every file would have to be read at each resume), or when the file has the same
// SHA-256. Another file under its dataset and scan_id fails: one of the two is named wrongly.
// Scans are prepared at the same time as far as `memory_bytes` goes, by what their headers say. One
// that needs more than all of it fails (SB_NO_MEMORY) and says how much it takes.
// `progress` is warned of each failure and of each scan whose orientation had to be assumed.
// Errors: SB_CONFLICT when the store was made with another template or other parameters (names the
// first that differs), SB_IO, SB_BUSY, SB_FORMAT. A failed scan is no error; see the summary.
SB_API sb_status sb_ingest(const char *path, const sb_template *t, const sb_preparer *preparer,
                           const sb_scan_list *list, const sb_ingest_options *options,
                           const sb_progress *progress, sb_ingest_summary *summary);

// ---- Reading ------------------------------------------------------------------------------------

// A store opened for reading: committed rows of all its shards, in (dataset, scan_id) order.
typedef struct sb_store sb_store;

// It is a snapshot: what other processes append later is not seen. Where a scan has a row, failures
// of it elsewhere do not count; of several failures the last counts. The same row in two shards
// (two processes were given the same scans) counts once. Errors: SB_NOT_FOUND, SB_FORMAT (not a
// store, damaged; says which file), SB_CONFLICT (one scan with different rows in two shards; names
// both), SB_IO.
SB_API sb_status sb_store_open(const char *path, sb_store **out);
SB_API void sb_store_close(sb_store *store);

SB_API const char *sb_store_path(const sb_store *store);
SB_API int64_t sb_store_count(const sb_store *store);      // scans with a row
SB_API int64_t sb_store_row_length(const sb_store *store); // V
SB_API const int64_t *sb_store_grid_dims(const sb_store *store);
SB_API const double *sb_store_grid_affine(const sb_store *store);
SB_API const uint8_t *sb_store_mask(const sb_store *store); // grid_dims bytes, 0 or 1
SB_API double sb_store_resolution_mm(const sb_store *store);
SB_API const char *sb_store_template_hash(const sb_store *store);
SB_API const char *sb_store_template_path(const sb_store *store); // when the store was made
SB_API const char *sb_store_parameters(const sb_store *store);

// Scan i of sb_store_count, in (dataset, scan_id) order (byte order of the strings).
SB_API const sb_scan_record *sb_store_record(const sb_store *store, int64_t i);
// Its V float16 values (IEEE binary16 bits), mapped from disk.
SB_API const uint16_t *sb_store_row(const sb_store *store, int64_t i);
// The harmonised intensities that they stand for, into V floats of the caller: what the measures take
// (sb_measure_score). Errors: SB_NO_MEMORY.
SB_API sb_status sb_store_row_values(const sb_store *store, int64_t i, float *values);
// Where the row is: a file of the store (the same string for all rows of one) and the place of the first byte.
typedef struct sb_row_place {
  const char *path;
  int64_t offset;
} sb_row_place;
SB_API sb_row_place sb_store_row_place(const sb_store *store, int64_t i);
// Its own brain on the grid, one bit a voxel, the most significant bit of a byte first (as
// numpy.unpackbits has it), mapped from disk.
SB_API const uint8_t *sb_store_own_mask(const sb_store *store, int64_t i);

// Rows that the tables list and the array files no longer hold, of scans that have no other row:
// the store was damaged, or copied while it was written. Preparing the same scans again restores
// them.
SB_API int64_t sb_store_lost_count(const sb_store *store);

// The scans that failed and have no row in any shard.
SB_API int64_t sb_store_failed_count(const sb_store *store);
SB_API const sb_scan_record *sb_store_failed(const sb_store *store, int64_t i);

// Checks every row against its checksum, template and mask against store.json, and that every
// array has its table.
// Errors: SB_FORMAT names the first damage and how many there are; each is reported through
// `progress` (which may be NULL).
SB_API sb_status sb_store_verify(const sb_store *store, const sb_progress *progress);

// SB_OK when rows of both can be compared, else SB_CONFLICT naming the first thing that differs.
SB_API sb_status sb_store_comparable(const sb_store *a, const sb_store *b);

#endif
