// synth: a synthetic cohort as a BIDS folder, for demonstrations and tests.
#ifndef SAMEBRAIN_SYNTH_H
#define SAMEBRAIN_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/status.h"

typedef struct sb_synth_options {
  int subjects;     // people, 1 to 9,999; default 12
  int sessions;     // scans of each, 1 to 99; default 2
  bool split;       // two databases A and B in which the same people have different ids
  uint64_t seed;    // default 1
  const char *base; // the brain to deform: a skull-stripped image with 0 outside the brain;
                    // "procedural": one made from formulas; NULL: the default template if there is
                    // one, else procedural
  double voxel_mm;  // of every scan; 0 (default): each session its own, 0.9 to 1.3 mm
  int threads;      // 0: all processors
} sb_synth_options;

SB_API sb_synth_options sb_synth_options_default(void);

// Writes skull-stripped T1-weighted scans into a new or empty folder: each person is the base brain
// deformed by smooth random fields at several scales, with folds of their own; each session has its
// own pose, bias field, noise, contrast, outline, resolution and storage orientation.
//   DIR/sub-0001/ses-01/anat/sub-0001_ses-01_T1w.nii.gz, ... in BIDS form, and
//   DIR/identities.tsv   the truth: dataset, scan_id, person
// With `split`: DIR/A holds everyone's first session and DIR/B the others under other ids in
// another order, each a BIDS folder; DIR/identities.tsv covers both. From a procedural base, also
// DIR/template_T1w.nii.gz, that base, to prepare the scans with.
// The same options give the same voxels on any number of threads.
// Errors: SB_USAGE (folder not empty, an option out of range), SB_IO, SB_NO_MEMORY, SB_CONTENT
// (the base is not skull-stripped), those of sb_volume_load for the base.
SB_API sb_status sb_synth(const char *dir, const sb_synth_options *options,
                          const sb_progress *progress);

// Rows without brains, for benchmarks of what comes after `prepare`.
typedef struct sb_synth_rows_options {
  int64_t people;      // 1 to 9,999,999; default 100
  int sessions;        // scans of each; default 1
  int first_session;   // sessions before these, which another store holds; default 0
  double voxel_mm;     // 1 to 10; default 2: rows of 217,000 values
  bool white;          // noise without any structure, which no two people share
  uint64_t seed;       // default 1; one seed means the same people
  const char *dataset; // NULL: "rows"
  int threads;         // 0: all processors
} sb_synth_rows_options;

SB_API sb_synth_rows_options sb_synth_rows_options_default(void);

// Appends people x sessions made-up rows to the store at `path`, making it if there is none:
// correlations of different people are spread as those of brains are (pearson 0.55 +- 0.07, bandpass
// 0.22 +- 0.05), those of two sessions of a person are above 0.85 by both. The same options give the
// same rows on any number of threads. Errors: SB_USAGE, SB_IO, SB_NO_MEMORY, SB_CONFLICT (a store of
// something else).
SB_API sb_status sb_synth_rows(const char *path, const sb_synth_rows_options *options,
                               const sb_progress *progress);

#endif
