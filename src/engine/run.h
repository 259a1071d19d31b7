// One run of link: what is compared, how, and what is known of it so far.
#ifndef SB_ENGINE_RUN_H
#define SB_ENGINE_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "core/hash.h"
#include "engine/choose.h"
#include "engine/compare.h"
#include "engine/compute.h"
#include "engine/json.h"
#include "engine/people.h"
#include "engine/plan.h"
#include "engine/standardise.h"
#include "samebrain/link.h"

// What summary.json says of one measure.
typedef struct sb_measured {
  const sb_measure *measure;
  sb_plan plan;
  sb_standard standards[SB_MOST_PARTS]; // of a combination's parts
  sb_choice choice;                     // what it was screened by
  double bound;                         // of |screen - canonical| over all pairs
  int64_t rows_read;                    // for the screen, a row as often as it was read
  double *best_nonmated;                // canonical, per probe; NaN where there is none
} sb_measured;

typedef struct sb_run {
  const sb_link_options *options;
  const sb_limits *limits;
  const sb_progress *progress;
  const sb_store *probe, *gallery;
  int64_t memory_bytes;
  int threads;
  sb_identity_mode mode;
  sb_scans scans;
  sb_people people;
  sb_share share;
  sb_range range;             // its probes
  char digest[SB_SHA256_HEX]; // of what was asked for
  char *command;              // the same in words
  sb_pair *mated;             // every mated pair of the share
  int64_t mated_count;
  sb_compute compute;
  sb_measured *measured; // options' measures, in their order
  size_t measure_count;
  const sb_measure *refine; // NULL: none
  sb_standard refine_standards[SB_MOST_PARTS];
  sb_pairs survivors; // listed by any measure, for `refine`
  sb_timings timings;
  double started_s;
} sb_run;

// What summary.json tells; cJSON_Delete() it.
cJSON *sb_run_summary(const sb_run *run);

// What is compared when nothing is said.
#define SB_DEFAULT_MEASURE "bandpass"

// What was asked for, written as a command without what changes no reported score; free() it; NULL
// only when memory is short. A run with the same one may replace this one's results.
char *sb_link_command(const sb_store *gallery, const sb_store *probe,
                      const sb_link_options *options);

// What was asked for, and of which scans: shares of one run have the same.
void sb_run_digest(const sb_run *run, char hex[SB_SHA256_HEX]);

// One share of a run, these probes, into a folder that sb_merge_shares takes; nothing is done where the folder
// has it already. A run that is not divided is written as sb_link promises.
sb_status sb_link_share(const sb_store *gallery, const sb_store *probe,
                        const sb_link_options *options, const sb_limits *limits, sb_share share,
                        sb_range range, const char *out, const sb_progress *progress,
                        sb_link_summary *summary);

// How many probes the comparison of a range holds at once (plan.h); of several measures the one that holds most.
sb_status sb_link_block(const sb_store *gallery, const sb_store *probe,
                        const sb_link_options *options, const sb_limits *limits, sb_range range,
                        int64_t *block);

// As sb_link, with tile sizes that tests choose (NULL: planned).
sb_status sb_link_limited(const sb_store *gallery, const sb_store *probe,
                          const sb_link_options *options, const sb_limits *limits, const char *out,
                          const sb_progress *progress, sb_link_summary *summary);

#endif
