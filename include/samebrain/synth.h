// synth: a synthetic cohort as a BIDS folder, for demonstrations and tests.
#ifndef SAMEBRAIN_SYNTH_H
#define SAMEBRAIN_SYNTH_H

#include <stdint.h>

#include "samebrain/status.h"

typedef struct sb_synth_options {
  int subjects;        // people; default 12
  int sessions;        // scans of each; default 2
  uint64_t seed;       // default 1
  const char *base;    // the brain to deform; NULL: the default template, else a procedural brain
  int threads;         // 0: all processors
} sb_synth_options;

SB_API sb_synth_options sb_synth_options_default(void);

// Writes a BIDS folder of skull-stripped T1-weighted scans: each person is the base brain deformed by
// smooth random fields at several scales; each session has its own pose, bias field, noise, contrast
// and resolution. identities.tsv (dataset, scan_id, person) holds the truth. The same options
// give the same voxels on any number of threads.
// Errors: SB_USAGE (folder not empty), SB_IO, SB_NO_MEMORY, those of sb_volume_load for `base`.
SB_API sb_status sb_synth(const char *dir, const sb_synth_options *options,
                          const sb_progress *progress);

#endif
