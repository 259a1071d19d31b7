// The parts of a merge: what the shards' folders are, and each file of the results put together from
// theirs.
#ifndef SB_ENGINE_MERGING_H
#define SB_ENGINE_MERGING_H

#include <cjson/cJSON.h>

#include "core/tsv.h"
#include "engine/people.h"
#include "engine/results.h"
#include "measure/measure.h"

enum {
  SB_MOST_MERGED = 64,
  SB_IDENTITY_COLUMNS = 6
}; // of probes.tsv, before the best non-mated scores

// One of the folders.
typedef struct sb_shard_folder {
  const char *folder;
  char *summary_path;
  cJSON *summary;
  sb_share share;
  sb_range range;
} sb_shard_folder;

// What is merged.
typedef struct sb_merging {
  sb_shard_folder *sources; // in the order of their shares
  size_t count;
  sb_share share; // what they make together
  bool self;
  int measure_count, refine; // refine: its number, behind the others; -1: none
  const sb_measure *measures[SB_MOST_MERGED];
  int64_t top;
  double threshold; // NaN: none
  sb_tsv probe_table, gallery_table;
  sb_identity *probes, *gallery;
  int64_t probe_count, gallery_count;
} sb_merging;

// Reads what the folders are: all shards of `share`, each once, and of one run. Close it also after a
// failure.
sb_status sb_merging_open(sb_merging *m, const char *const *folders);
void sb_merging_close(sb_merging *m);

// A table in a shard's folder.
sb_status sb_merging_table(const sb_shard_folder *s, const char *name, sb_tsv *table);

// matches.tsv, mated.tsv, probes.tsv and gallery.tsv. What is in them is ranked or added up anew.
sb_status sb_merging_matches(const sb_merging *m, FILE *file);
sb_status sb_merging_mated(const sb_merging *m, FILE *file);
sb_status sb_merging_probes(sb_merging *m, FILE *file);
void sb_merging_gallery(const sb_merging *m, FILE *file);

// The histograms of a measure, and the matrix where there is one.
sb_status sb_merging_arrays(const sb_merging *m, sb_results *results, int measure);

sb_status sb_merging_no_memory(void);

#endif
