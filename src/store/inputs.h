// Finding scans: what the kinds of inputs share (see sb_scan_list_find).
#ifndef SB_STORE_INPUTS_H
#define SB_STORE_INPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "samebrain/store.h"

// Files that were passed over for one reason: how many, and the first.
typedef struct sb_tally {
  size_t count;
  char *example;
} sb_tally;

// One of the inputs.
typedef struct sb_input {
  const char *path; // as given
  char *home; // the folder that its dataset is called by, from '/' on; NULL: the input says itself
  size_t end; // after the last of its scans
} sb_input;

// What is being built, and what to keep of what is found.
typedef struct sb_finder {
  sb_scan_list *list;
  size_t capacity;
  const sb_input_options *options;
  bool *label_seen; // one per participant label
  sb_input *inputs; // those that were gone through
  size_t input_count;
  sb_status first_left; // why the first scan was left out
  // Of the input at hand.
  sb_tally other_kinds, other_spaces, without_t1w, too_deep, foreign;
} sb_finder;

// ---- The list (inputs.c) ------------------------------------------------------------------------

// Whether a participant ("sub-01", or "") is wanted. `scan_found`: remember that its label was of use.
bool sb_finder_wants(sb_finder *f, const char *participant, bool scan_found);
// Takes over the scan's strings, also on failure; any of them may be NULL where memory was short. A scan
// whose names cannot be kept in a table is left out.
sb_status sb_finder_add(sb_finder *f, sb_scan *scan);
// A file whose labels are in its name. Takes over `path`.
sb_status sb_finder_add_file(sb_finder *f, char *path, const char *name, const char *dataset);
// Keeps why a scan is not in the list; `reason` is a failure of its own. SB_NO_MEMORY stays what it is.
sb_status sb_finder_leave_out(sb_finder *f, sb_status reason);
// Keeps a text that a person should know.
sb_status sb_finder_note(sb_finder *f, const char *format, ...) SB_PRINTF(2, 3);
// Keeps a text that a person should know even where notes are not wanted.
sb_status sb_finder_warn(sb_finder *f, const char *format, ...) SB_PRINTF(2, 3);
sb_status sb_tally_add(sb_tally *tally, const char *example);
void sb_scan_release(sb_scan *scan);

// What a folder is called, also when it is given as "." or "..".
char *sb_folder_name(const char *folder);
// The dataset of a file: as given, else the BIDS folder it lies in, else `otherwise`.
char *sb_dataset_of(const sb_finder *f, const char *folder, const char *otherwise);

// ---- Labels (inputs_labels.c) -------------------------------------------------------------------

// The mask beside a scan: SCAN_desc-brain_mask.nii[.gz], where SCAN is the file's name without _T1w, its
// own desc- and what follows. "" when there is none; NULL only when memory is short.
char *sb_mask_beside(const char *path, const char *name);
// The participant and the session that a name or path below the input tells: by BIDS's entities or an
// identifier (see sb_name_identifier); both "" when it tells none.
sb_status sb_labels_of(const char *path, char **participant, char **session);

// ---- Kinds of inputs ----------------------------------------------------------------------------

// If `folder` is a part of a BIDS folder (an anat, ses-* or sub-* folder below it), that one's path from
// '/' on; else NULL.
char *sb_bids_root(const char *folder);
// Whether there are sub-* folders among the names in a folder.
bool sb_bids_has_subjects(const char *folder, char *const *names, size_t count);
// The T1-weighted images of a BIDS folder, or of a part of one: only sub-*, ses-* and anat are listed, so
// that a data set of a hundred thousand people starts at once.
sb_status sb_find_in_bids(sb_finder *f, const char *folder, const char *dataset);
sb_status sb_find_in_bids_part(sb_finder *f, const char *folder, const char *dataset);
// Whether the images of one folder that name a space are those to be taken.
bool sb_takes_spaces(const sb_finder *f, char *const *names, size_t count,
                     bool (*is_scan)(const char *name));
// Whether one of them is not taken, given that: in the other space, or what preparing wrote.
bool sb_passes_over_space(const sb_finder *f, const char *name, bool takes_spaces);

// Every scan among the names in a folder, and in the folders below it.
sb_status sb_find_in_tree(sb_finder *f, const char *folder, char *const *names, size_t count,
                          const char *dataset);

// The scans that a manifest .tsv lists.
sb_status sb_find_in_manifest(sb_finder *f, const char *path);

// ---- What inputs have in common (inputs_settle.c) ------------------------------------------------

// Warns of people called alike in inputs that are two folders of one name, and so one dataset. To be called
// while the scans are in the order in which they were found.
sb_status sb_warn_of_namesakes(sb_finder *f);
// Of a (dataset, scan_id) that is there twice one is kept where both are the same image under the same
// labels; else all of them are left out.
sb_status sb_settle_duplicates(sb_finder *f);

#endif
