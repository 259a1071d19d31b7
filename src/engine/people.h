// Who is who: which pairs of scans are mated (one person), non-mated (two people), or neither.
#ifndef SB_ENGINE_PEOPLE_H
#define SB_ENGINE_PEOPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tsv.h"
#include "engine/screened.h"
#include "engine/share.h"
#include "samebrain/status.h"

typedef enum sb_identity_mode {
  SB_IDENTITIES_LABELS, // a person is (dataset, participant)
  SB_IDENTITIES_TABLE,  // a person is what a table (dataset, scan_id, person) says
  SB_IDENTITIES_NONE    // nobody is known
} sb_identity_mode;

// "labels", "table", "none".
const char *sb_identity_mode_name(sb_identity_mode mode);
// What an `identities` option means: NULL, "none" or a path.
sb_identity_mode sb_identity_mode_of(const char *identities);
// The option as a part of a command, with a table's whole path: "" for NULL; free() it; NULL only when
// memory is short.
char *sb_identities_words(const char *identities);

// A scan as far as identity goes; the strings are borrowed. Lists of them are in (dataset, scan_id)
// order, as stores are.
typedef struct sb_identity {
  const char *dataset, *scan_id, *participant, *session;
  const char *person;        // "" when unknown
  const char *source_sha256; // of its file; "" when unknown
} sb_identity;

// The probe scans and the gallery scans. In a self-comparison, and where the probes are the gallery's
// mirror images, both lists are the same pointer.
typedef struct sb_scans {
  sb_identity *probe, *gallery;
  int64_t probe_count, gallery_count;
  bool self;
} sb_scans;

// The scan's place in a list, or -1.
int64_t sb_identity_find(const sb_identity *list, int64_t count, const char *dataset,
                         const char *scan_id);

// Fills the `person` of every scan. By labels it is the participant; by table what the table at
// `path` says. Strings of the table live in `table`, which the caller frees after use. Lines that
// name no scan of the lists are warned of.
// Errors: SB_FORMAT (one scan with two persons; no line for any of the scans), those of
// sb_tsv_read.
sb_status sb_identities_assign(sb_identity_mode mode, const char *path, sb_scans *scans,
                               sb_tsv *table, const sb_progress *progress);

typedef struct sb_people {
  int64_t *probe, *gallery; // a number per person; -1: unknown (one array in a self-comparison)
  int64_t *same;            // per probe: the gallery's index of the very same scan (one name and
                            // one file), or -1
  int64_t *probe_dataset, *gallery_dataset; // a number per dataset (one array, likewise)
  int64_t datasets;                         // of probes and gallery together
  int64_t probe_count, gallery_count;
  bool self;
  // By table, a pair with an unknown person is neither mated nor non-mated. By labels or with none
  // it counts as non-mated.
  bool unknown_left_out;
} sb_people;

// Numbers the persons. Needs sb_identities_assign before.
sb_status sb_people_create(sb_identity_mode mode, const sb_scans *scans, sb_people *out);
void sb_people_free(sb_people *people); // a zeroed one is fine

// For two different scans.
static inline sb_pair_kind sb_people_kind(const sb_people *p, int64_t probe, int64_t gallery) {
  return sb_pair_kind_of(p->probe[probe], p->gallery[gallery], p->unknown_left_out);
}

// Whether both scans are of one dataset.
static inline bool sb_people_within(const sb_people *p, int64_t probe, int64_t gallery) {
  return p->probe_dataset[probe] == p->gallery_dataset[gallery];
}

typedef struct sb_pair {
  int64_t probe, gallery;
} sb_pair;

// A list of pairs that grows; free() its items.
typedef struct sb_pairs {
  sb_pair *items;
  int64_t count, capacity;
} sb_pairs;
sb_status sb_pairs_add(sb_pairs *pairs, sb_pair pair);
void sb_pairs_sort(sb_pairs *pairs); // by probe, then gallery; each once

// Every mated pair, sorted; in a self-comparison once, probe < gallery. free() *pairs.
sb_status sb_people_mated(const sb_people *people, sb_pair **pairs, int64_t *count);

// Pairs that a link of a range of probes compares.
static inline int64_t sb_people_range_pairs(const sb_people *people, sb_range range) {
  int64_t pairs = sb_range_pairs(range, people->gallery_count, people->self);
  for (int64_t i = range.first; i < range.last && !people->self; i++) pairs -= people->same[i] >= 0;
  return pairs;
}
static inline int64_t sb_people_pairs(const sb_people *people) {
  return sb_people_range_pairs(people, (sb_range){0, people->probe_count});
}

#endif
