// What a link left in its folder, read back and checked: scans, scores and histograms.
#ifndef SB_EVALUATE_FOLDER_H
#define SB_EVALUATE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tsv.h"
#include "engine/people.h"
#include "measure/measure.h"
#include "samebrain/status.h"

// A line of matches.tsv or mated.tsv.
typedef struct sb_listed {
  int64_t probe, gallery;
  int64_t rank; // from 1; 0 in mated.tsv
  double score;
} sb_listed;

typedef struct sb_listed_array {
  sb_listed *items;
  int64_t count;
} sb_listed_array;

typedef struct sb_linked_measure {
  const sb_measure *measure;
  sb_listed_array matches; // by probe, then rank
  sb_listed_array mated;
  double *best_nonmated; // per probe; NaN where there is none
  int64_t *histogram;    // of non-mated scores, all probes together
  int64_t bins;
} sb_linked_measure;

typedef struct sb_linked_store {
  char *path, *template_hash, *parameters;
} sb_linked_store;

typedef struct sb_link_folder {
  char *path;
  sb_identity_mode mode; // the identities that link used
  sb_scans scans;        // their strings are in the tables
  sb_tsv probe_table, gallery_table;
  sb_linked_store probe, gallery; // the same text twice in a self-comparison
  sb_linked_measure *measures;
  size_t measure_count;
  char *refine; // a measure whose lines in matches.tsv are passed over; NULL: none
} sb_link_folder;

// Errors: SB_NOT_FOUND (no summary.json: not a link's output, or an unfinished one), SB_FORMAT
// (damaged: which file), SB_IO, SB_NO_MEMORY.
sb_status sb_link_folder_open(const char *path, sb_link_folder *out);
void sb_link_folder_close(sb_link_folder *folder); // a zeroed one is fine

#endif
