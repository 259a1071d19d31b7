// What names tell (see inputs_names.h).
#include "store/inputs_names.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "core/memory.h"

// ---- Endings ------------------------------------------------------------------------------------

bool sb_name_ends(const char *name, const char *ending) {
  size_t length = strlen(name), ending_length = strlen(ending);
  return length >= ending_length && strcasecmp(name + length - ending_length, ending) == 0;
}

size_t sb_name_stem(const char *name) {
  static const char *const endings[] = {".nii", ".nii.gz", ".img", ".img.gz", ".hdr", ".hdr.gz"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (sb_name_ends(name, endings[i])) return strlen(name) - strlen(endings[i]);
  return 0;
}

bool sb_name_is_header(const char *name) {
  return sb_name_ends(name, ".hdr") || sb_name_ends(name, ".hdr.gz");
}

// ---- Labels -------------------------------------------------------------------------------------

char *sb_name_scan_id(const char *name) {
  size_t length = sb_name_stem(name);
  if (length > 4 && strncmp(name + length - 4, "_T1w", 4) == 0) length -= 4;
  return sb_format("%.*s", (int)length, name);
}

// The entity with a prefix of some length, NULL when there is none.
static const char *find_entity(const char *name, const char *prefix, size_t prefix_length,
                               size_t *length) {
  size_t end = sb_name_stem(name);
  if (end == 0) end = strlen(name);
  for (size_t at = 0; at < end; at += *length + 1) {
    *length = strcspn(name + at, "_");
    if (*length > end - at) *length = end - at;
    if (*length > prefix_length && strncmp(name + at, prefix, prefix_length) == 0) return name + at;
  }
  return NULL;
}

char *sb_name_entity(const char *name, const char *prefix) {
  size_t length = 0;
  const char *entity = find_entity(name, prefix, strlen(prefix), &length);
  return entity == NULL ? sb_strdup("") : sb_format("%.*s", (int)length, entity);
}

int sb_name_fit(const char *name, const char *participant, const char *session,
                const char *scan_id) {
  int fit = 0;
  for (const char *at = name; *at != '\0';) {
    const size_t length = strcspn(at, "_"), key = strcspn(at, "-") + 1; // "run-" of "run-1"
    if (key < length) {
      const char *from = strncmp(at, "sub-", key) == 0   ? participant
                         : strncmp(at, "ses-", key) == 0 ? session
                                                         : scan_id;
      size_t other = 0;
      const char *theirs = find_entity(from, at, key, &other);
      const bool same = theirs != NULL && other == length && strncmp(theirs, at, length) == 0;
      if (!same && (theirs != NULL || strncmp(at, "run-", key) != 0)) return -1;
      fit += same ? 2 : -1;
    }
    at += length + (at[length] == '_');
  }
  return fit < 0 ? 0 : fit;
}

char *sb_name_with_prefix(const char *prefix, const char *label) {
  bool complete = label[0] == '\0' || strncmp(label, prefix, strlen(prefix)) == 0;
  return sb_format("%s%s", complete ? "" : prefix, label);
}

// ---- Kinds --------------------------------------------------------------------------------------

bool sb_name_is_t1w(const char *name) {
  size_t stem = sb_name_stem(name);
  return name[0] != '.' && stem > 4 && strncmp(name + stem - 4, "_T1w", 4) == 0 &&
         strncasecmp(name + stem, ".nii", 4) == 0;
}

bool sb_name_is_brain_mask(const char *name) {
  static const char ending[] = "_desc-brain_mask";
  const size_t stem = sb_name_stem(name), length = sizeof ending - 1;
  return stem > length && strncmp(name + stem - length, ending, length) == 0;
}

bool sb_name_has_space(const char *name) {
  return strncmp(name, "space-", 6) == 0 || strstr(name, "_space-") != NULL;
}

// Words that no T1-weighted scan has in its name. Not among them, as they are said of people and visits
// as well: "T2" (the second time), "PD" (Parkinson's disease), "EPI" (epilepsy). Such images are told
// by what they hold.
static bool is_word_of_others(const char *word, size_t length) {
  static const char *const words[] = {
      "mask",  "brainmask", "defacemask", "seg",       "dseg",       "probseg",   "pveseg",
      "fseg",  "aseg",      "aparc",      "wmparc",    "parc",       "label",     "labels",
      "roi",   "pve",       "mixeltype",  "t2w",       "t2star",     "t2starw",   "pdw",
      "pdt2",  "flair",     "inplanet1",  "inplanet2", "t1map",      "t2map",     "r1map",
      "angio", "bold",      "boldref",    "sbref",     "fmri",       "func",      "rest",
      "dwi",   "dti",       "asl",        "m0scan",    "swi",        "pet",       "fieldmap",
      "phase", "phasediff", "phase1",     "phase2",    "magnitude1", "magnitude2"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strlen(words[i]) == length && strncasecmp(word, words[i], length) == 0) return true;
  return false;
}

// Whether what starts at `at` is the value of a BIDS entity that people choose, such as a person's name.
static bool is_free_value(const char *name, size_t at) {
  static const char *const keys[] = {"sub-", "ses-", "acq-", "rec-", "run-", "ce-"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const size_t length = strlen(keys[i]);
    if (at >= length && strncmp(name + at - length, keys[i], length) == 0 &&
        (at == length || !isalnum((unsigned char)name[at - length - 1])))
      return true;
  }
  return false;
}

bool sb_name_is_prepared(const char *name) {
  static const char ending[] = "_space-template_desc-prepared_T1w";
  const size_t stem = sb_name_stem(name), length = sizeof ending - 1;
  return stem > length && strncmp(name + stem - length, ending, length) == 0;
}

bool sb_name_is_other_kind(const char *name) {
  static const char *const parts[] = {"_part-phase", "_part-real", "_part-imag"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strstr(name, parts[i]) != NULL) return true;
  const size_t end = sb_name_stem(name);
  for (size_t at = 0; at < end; at++) {
    size_t length = 0;
    while (at + length < end && isalnum((unsigned char)name[at + length])) length++;
    if (!is_free_value(name, at) && is_word_of_others(name + at, length)) return true;
    at += length;
  }
  return false;
}

bool sb_name_is_visit(const char *name) {
  static const char *const words[] = {"visit", "session",  "ses",       "timepoint", "tp",
                                      "run",   "baseline", "follow-up", "followup"};
  size_t end = sb_name_stem(name);
  if (end > 4 && strncmp(name + end - 4, "_T1w", 4) == 0) end -= 4;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t at = strlen(words[i]);
    if (at > end || strncasecmp(name, words[i], at) != 0) continue;
    if (at + 1 < end && strchr("-_ ", name[at]) != NULL) at++;
    while (at < end && isdigit((unsigned char)name[at])) at++;
    if (at == end) return true;
  }
  return false;
}

// ---- Identifiers --------------------------------------------------------------------------------

// How much of `text` has the form, where 9 stands for a digit and the rest for itself; 0: it has not.
static size_t matches(const char *text, const char *form) {
  size_t i = 0;
  for (; form[i] != '\0'; i++) {
    const bool fits = form[i] == '9' ? isdigit((unsigned char)text[i]) != 0 : text[i] == form[i];
    if (!fits) return 0;
  }
  return i;
}

static size_t digits(const char *text) {
  size_t count = 0;
  while (isdigit((unsigned char)text[count])) count++;
  return count;
}

// The date that a folder of the path is called by, as ADNI has them; "" when there is none.
static char *date_of(const char *path) {
  static const char form[] = "9999-99-99";
  for (const char *at = path; at != NULL; at = strchr(at, '/')) {
    if (*at == '/') at++;
    if (matches(at, form) > 0) return sb_format("%.*s", (int)sizeof form - 1, at);
  }
  return sb_strdup("");
}

bool sb_name_identifier(const char *path, char **participant, char **session) {
  for (const char *at = path; *at != '\0'; at++) {
    if (at > path && isalnum((unsigned char)at[-1])) continue;
    size_t length = matches(at, "999_S_9999");
    if (length > 0) {
      length += digits(at + length);
      *participant = sb_format("%.*s", (int)length, at);
      *session = date_of(path);
      return true;
    }
    const char *visit = "_MR";
    length = matches(at, "OAS1_9999");
    if (length == 0) length = matches(at, "OAS2_9999");
    if (length == 0 && (length = matches(at, "OAS39999")) > 0) visit = "_MR_d";
    if (length == 0) continue;
    *participant = sb_format("%.*s", (int)length, at);
    const size_t visit_length = matches(at + length, visit);
    const size_t number = visit_length == 0 ? 0 : digits(at + length + visit_length);
    *session = number == 0 ? sb_strdup("")
                           : sb_format("%.*s", (int)(visit_length - 1 + number), at + length + 1);
    return true;
  }
  return false;
}
