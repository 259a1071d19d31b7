// What a link left in its folder, read back and checked: scans, scores and histograms.
#ifndef SB_EVALUATE_FOLDER_H
#define SB_EVALUATE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tsv.h"
#include "engine/people.h"
#include "evaluate/study.h"
#include "measure/measure.h"
#include "samebrain/status.h"

typedef struct sb_linked_measure {
  const sb_measure *measure;
  sb_listed_array matches; // by probe, then rank
  sb_listed_array mated;
  double *best_nonmated; // per probe; NaN where there is none
  uint32_t *histogram;   // probes x bins, of non-mated scores
  uint32_t *within;      // the same of pairs of one dataset; NULL where there is but one dataset
  int64_t bins;
  double memory_bytes, vector_length; // as planned
  double weights[SB_MOST_PARTS];      // of a combination's parts
} sb_linked_measure;

typedef struct sb_linked_store {
  char *path, *template_hash, *parameters;
} sb_linked_store;

// How long the link took, in seconds; what a summary does not tell is 0.
typedef struct sb_linked_times {
  double embed, multiply, select, rescore, write, total;
  double threads;
  char machine[200];
} sb_linked_times;

typedef struct sb_link_folder {
  char *path;
  sb_identity_mode mode; // the identities that link used
  sb_scans scans;        // their strings are in the tables
  bool mirrored;         // the probes were compared as their mirror images
  sb_tsv probe_table, gallery_table;
  sb_linked_store probe, gallery; // the same text twice in a self-comparison
  sb_linked_measure *measures;
  size_t measure_count;
  sb_linked_times times;
  char *refine; // a measure whose lines in matches.tsv are passed over; NULL: none
} sb_link_folder;

// Errors: SB_NOT_FOUND (no summary.json: not a link's output, or an unfinished one), SB_FORMAT
// (damaged: which file), SB_IO, SB_NO_MEMORY.
sb_status sb_link_folder_open(const char *path, sb_link_folder *out);
void sb_link_folder_close(sb_link_folder *folder); // a zeroed one is fine

#endif
