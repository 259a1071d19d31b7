// What the names of files and folders tell: the ending, the labels, the kind of image.
#ifndef SB_STORE_INPUTS_NAMES_H
#define SB_STORE_INPUTS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

// Endings are told in any case: some systems write .NII.GZ.
bool sb_name_ends(const char *name, const char *ending);
// The length of a name without its NIfTI ending; 0 when it has none.
size_t sb_name_stem(const char *name);
// Whether it is the .hdr of a pair.
bool sb_name_is_header(const char *name);

// "sub-01_ses-01" of "sub-01_ses-01_T1w.nii.gz". free() it.
char *sb_name_scan_id(const char *name);
// The entity that starts with `prefix`, with it ("sub-01"), of a file's name or of a folder's; "" when
// there is none. free() it.
char *sb_name_entity(const char *name, const char *prefix);
// How well a file's name fits a scan: it does where the scan has each entity that it has, sub- and ses- as
// its participant and session, others in its scan_id; the more of them the better. So a copy
// ("sub-01_desc-brain") has its original's sidecar. A scan that tells no run- is of all runs, but less so.
// From 0 ("T1w.json") on; -1: it does not.
int sb_name_fit(const char *name, const char *participant, const char *session,
                const char *scan_id);
// A label as BIDS writes it: with its prefix, whether given with or without. free() it.
char *sb_name_with_prefix(const char *prefix, const char *label);

// NAME_T1w.nii[.gz], and no hidden file.
bool sb_name_is_t1w(const char *name);
// "SCAN_desc-brain_mask", of any ending.
bool sb_name_is_brain_mask(const char *name);
// Whether a name has BIDS's entity for images that are not where the scanner put them.
bool sb_name_has_space(const char *name);
// An image that preparing with saved images wrote.
bool sb_name_is_prepared(const char *name);
// Whether a name says that it is no T1-weighted scan: a word of it is that of a mask, a segmentation or
// another contrast, or BIDS's part- says that it is no magnitude.
bool sb_name_is_other_kind(const char *name);

// Whether it says which of one person's visits it is, and nothing else: "visit1", "ses-02_T1w",
// "baseline".
bool sb_name_is_visit(const char *name);

// The participant, and the session where there is one, by an identifier of ADNI (941_S_1202) or OASIS
// (OAS1_0001_MR1, OAS30001_MR_d0129) in a path: "941_S_1202", "2006-08-11"; false when it has none.
//   participant, session  out: free() both; NULL where memory is short
bool sb_name_identifier(const char *path, char **participant, char **session);

#endif
