// From what a person names on the command line to the list of scans. Only names are read; scans are
// looked into where two files of one folder would be one scan (inputs_settle.c).
#include "store/inputs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "store/inputs_names.h"

// ---- The list -----------------------------------------------------------------------------------

void sb_scan_release(sb_scan *scan) {
  free(scan->dataset);
  free(scan->scan_id);
  free(scan->participant);
  free(scan->session);
  free(scan->source_path);
  free(scan->mask_path);
  memset(scan, 0, sizeof *scan);
}

void sb_scan_list_free(sb_scan_list *list) {
  if (list == NULL) return;
  for (size_t i = 0; i < list->count; i++) sb_scan_release(&list->scans[i]);
  free(list->scans);
  sb_free_names(list->left_out, list->left_out_count);
  sb_free_names(list->notes, list->note_count);
  sb_free_names(list->warnings, list->warning_count);
  memset(list, 0, sizeof *list);
}

bool sb_finder_wants(sb_finder *f, const char *participant, bool scan_found) {
  if (f->options->participant_label_count == 0) return true;
  bool found = false;
  const char *bare = strncmp(participant, "sub-", 4) == 0 ? participant + 4 : participant;
  for (size_t i = 0; i < f->options->participant_label_count; i++) {
    const char *label = f->options->participant_labels[i];
    if (strncmp(label, "sub-", 4) == 0) label += 4;
    if (bare[0] == '\0' || strcmp(label, bare) != 0) continue;
    found = true;
    f->label_seen[i] = f->label_seen[i] || scan_found;
  }
  return found;
}

// Takes over `text`, NULL where memory was short.
static sb_status append(char ***texts, size_t *count, char *text) {
  const bool full = (*count & (*count - 1)) == 0; // room for the next power of two
  char **grown = *texts;
  if (full && text != NULL)
    grown = realloc((void *)*texts, (*count == 0 ? 1 : 2 * *count) * sizeof *grown);
  if (text == NULL || grown == NULL) {
    free(text);
    return sb_error(SB_NO_MEMORY, "out of memory for the list of scans");
  }
  *texts = grown;
  grown[(*count)++] = text;
  return sb_ok();
}

sb_status sb_finder_leave_out(sb_finder *f, sb_status reason) {
  if (reason.code == SB_NO_MEMORY) return reason;
  if (f->list->left_out_count == 0) f->first_left = reason;
  return append(&f->list->left_out, &f->list->left_out_count, sb_utf8_visible(reason.message));
}

static char *visible_text(const char *format, va_list args) {
  char *text = NULL;
  if (vasprintf(&text, format, args) < 0) text = NULL;
  char *shown = text == NULL ? NULL : sb_utf8_visible(text);
  free(text);
  return shown;
}

sb_status sb_finder_note(sb_finder *f, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *text = visible_text(format, args);
  va_end(args);
  return append(&f->list->notes, &f->list->note_count, text);
}

sb_status sb_finder_warn(sb_finder *f, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *text = visible_text(format, args);
  va_end(args);
  return append(&f->list->warnings, &f->list->warning_count, text);
}

sb_status sb_tally_add(sb_tally *tally, const char *example) {
  if (tally->count++ > 0) return sb_ok();
  tally->example = sb_strdup(example);
  return tally->example != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "%s: out of memory", example);
}

static sb_status check_names(const sb_scan *scan) {
  const char *names[] = {scan->source_path, scan->dataset, scan->scan_id,
                         scan->participant, scan->session, scan->mask_path};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i] == NULL) return sb_error(SB_NO_MEMORY, "out of memory for the list of scans");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (sb_utf8_shows(names[i])) continue;
    char *text = sb_utf8_visible(names[i]);
    sb_status status =
        text == NULL
            ? sb_error(SB_NO_MEMORY, "out of memory for the list of scans")
            : sb_error(SB_USAGE,
                       "\"%s\": a name with a tab, a newline or the like, or not in UTF-8; "
                       "rename it",
                       text);
    free(text);
    return status;
  }
  if (scan->dataset[0] != '\0' && scan->scan_id[0] != '\0') return sb_ok();
  return sb_error(SB_USAGE, "%s: no name is left for its %s", scan->source_path,
                  scan->dataset[0] == '\0' ? "dataset" : "scan_id");
}

static sb_status make_room(sb_finder *f) {
  if (f->list->count < f->capacity) return sb_ok();
  size_t capacity = f->capacity == 0 ? 64 : 2 * f->capacity;
  sb_scan *grown = realloc(f->list->scans, capacity * sizeof *grown);
  if (grown == NULL) return sb_error(SB_NO_MEMORY, "out of memory for %zu scans", capacity);
  f->list->scans = grown;
  f->capacity = capacity;
  return sb_ok();
}

sb_status sb_finder_add(sb_finder *f, sb_scan *scan) {
  bool unwanted = scan->participant != NULL && !sb_finder_wants(f, scan->participant, true);
  sb_status status = sb_ok();
  if (!unwanted) status = check_names(scan);
  if (status.code != SB_OK) {
    status = sb_finder_leave_out(f, status);
    unwanted = true;
  }
  if (status.code == SB_OK && !unwanted) status = make_room(f);
  if (status.code == SB_OK && !unwanted)
    f->list->scans[f->list->count++] = *scan;
  else
    sb_scan_release(scan);
  return status;
}

sb_status sb_finder_add_file(sb_finder *f, char *path, const char *name, const char *dataset) {
  sb_scan scan = {
      .dataset = sb_strdup(dataset), .scan_id = sb_name_scan_id(name), .source_path = path};
  sb_status status = sb_labels_of(name, &scan.participant, &scan.session);
  if (path != NULL) scan.mask_path = sb_mask_beside(path, name);
  if (status.code == SB_OK) return sb_finder_add(f, &scan);
  sb_scan_release(&scan);
  return status;
}

// ---- Single files -------------------------------------------------------------------------------

char *sb_folder_name(const char *folder) {
  char *base = sb_path_base(folder);
  if (base == NULL || (strcmp(base, ".") != 0 && strcmp(base, "..") != 0)) return base;
  free(base);
  char *real = realpath(folder, NULL);
  base = real == NULL ? NULL : sb_path_base(real);
  free(real);
  return base;
}

char *sb_dataset_of(const sb_finder *f, const char *folder, const char *otherwise) {
  if (f->options->dataset != NULL) return sb_strdup(f->options->dataset);
  char *root = sb_bids_root(folder);
  char *name = root != NULL ? sb_path_base(root) : sb_strdup(otherwise);
  free(root);
  return name;
}

static sb_status find_file(sb_finder *f, const char *path) {
  char *folder = sb_path_folder(path), *name = sb_path_base(path), *dataset = NULL;
  char *otherwise = folder == NULL ? NULL : sb_folder_name(folder);
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  if (name == NULL || otherwise == NULL) goto cleanup;
  if (sb_name_stem(name) == 0) {
    status = sb_finder_leave_out(
        f, sb_error(SB_USAGE,
                    "%s: no input that is known here; give NIfTI files (.nii, .nii.gz, .hdr, "
                    ".img), folders of them, BIDS folders or a manifest .tsv",
                    path));
    goto cleanup;
  }
  dataset = sb_dataset_of(f, folder, otherwise);
  if (dataset != NULL) status = sb_finder_add_file(f, sb_strdup(path), name, dataset);
cleanup:
  free(folder);
  free(name);
  free(dataset);
  free(otherwise);
  return status;
}

// ---- Folders ------------------------------------------------------------------------------------

// Told by their names, scans are found where BIDS puts them, and where there are none, in all folders.
static sb_status find_in_folder(sb_finder *f, const char *folder) {
  char *name = sb_folder_name(folder), *root = sb_bids_root(folder), **names = NULL;
  char *dataset = name == NULL ? NULL : sb_dataset_of(f, folder, name);
  const size_t before = f->list->count + f->list->left_out_count;
  size_t count = 0;
  sb_status status = sb_ok();
  if (dataset == NULL) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
    goto cleanup;
  }
  status = sb_list_folder(folder, &names, &count);
  if (status.code != SB_OK) {
    status = sb_finder_leave_out(f, status);
    goto cleanup;
  }
  const bool bids = root != NULL || sb_bids_has_subjects(folder, names, count);
  if (root != NULL)
    SB_TRY(sb_find_in_bids_part(f, folder, dataset));
  else if (bids)
    SB_TRY(sb_find_in_bids(f, folder, dataset));
  // Of a large data set not all folders are looked into for a label that is misspelt.
  const bool all_wanted = f->options->participant_label_count == 0;
  if (f->list->count + f->list->left_out_count == before && (all_wanted || !bids))
    SB_TRY(sb_find_in_tree(f, folder, names, count, dataset));
cleanup:
  sb_free_names(names, count);
  free(name);
  free(root);
  free(dataset);
  return status;
}

// ---- All inputs ---------------------------------------------------------------------------------

static int compare_scans(const void *x, const void *y) {
  const sb_scan *a = x, *b = y;
  int order = strcmp(a->dataset, b->dataset);
  if (order == 0) order = strcmp(a->scan_id, b->scan_id);
  return order != 0 ? order : strcmp(a->source_path, b->source_path);
}

static sb_status note_tally(sb_finder *f, const char *input, sb_tally *tally, const char *one,
                            const char *several) {
  sb_status status = sb_ok();
  if (tally->count > 0)
    status = sb_finder_note(f, "%s: %zu %s, e.g. %s", input, tally->count,
                            tally->count == 1 ? one : several, tally->example);
  free(tally->example);
  *tally = (sb_tally){0};
  return status;
}

// Says what of an input was passed over.
static sb_status note_passed_over(sb_finder *f, const char *input) {
  sb_status status;
  SB_TRY(note_tally(f, input, &f->other_kinds, "image passed over, no T1-weighted scan by its name",
                    "images passed over, no T1-weighted scans by their names"));
  SB_TRY(note_tally(f, input, &f->other_spaces,
                    f->options->in_template_space
                        ? "image passed over, as others beside it are in a template's space"
                        : "image passed over that is in a template's space, as others are not",
                    f->options->in_template_space
                        ? "images passed over, as others beside them are in a template's space"
                        : "images passed over that are in a template's space, as others are not"));
  SB_TRY(note_tally(f, input, &f->without_t1w, "sub-* folder has no anat/*_T1w.nii[.gz]",
                    "sub-* folders have no anat/*_T1w.nii[.gz]"));
  SB_TRY(note_tally(f, input, &f->too_deep, "folder not looked into, as it lies too deep",
                    "folders not looked into, as they lie too deep"));
cleanup:
  return status;
}

static sb_status nothing_found(const sb_finder *f, const char *input) {
  char hint[200] = "";
  if (f->other_kinds.count > 0)
    snprintf(hint, sizeof hint, "; there are masks, segmentations or other contrasts, such as %s",
             f->other_kinds.example);
  else if (f->other_spaces.count > 0)
    snprintf(hint, sizeof hint, "; there are images in a template's space, such as %s",
             f->other_spaces.example);
  else if (f->foreign.count > 0)
    snprintf(hint, sizeof hint,
             "; there are images of other formats, such as %s: convert them to NIfTI (DICOM with "
             "dcm2niix, FreeSurfer's with mri_convert)",
             f->foreign.example);
  return sb_error(SB_USAGE,
                  "%s: no scans found; looked for sub-*/[ses-*/]anat/*_T1w.nii[.gz] and for NIfTI "
                  "files in the folder and those below it%s",
                  input, hint);
}

static void forget_tallies(sb_finder *f) {
  sb_tally *const tallies[] = {&f->other_kinds, &f->other_spaces, &f->without_t1w,
                               &f->too_deep,    &f->foreign,      NULL};
  for (sb_tally *const *t = tallies; *t != NULL; t++) {
    free((*t)->example);
    **t = (sb_tally){0};
  }
}

// The folder that gives its name to the dataset of an input.
static char *home_of(const char *input) {
  char *folder = sb_is_folder(input) ? sb_strdup(input) : sb_path_folder(input);
  char *home = folder == NULL ? NULL : sb_bids_root(folder);
  if (home == NULL && folder != NULL) home = sb_path_real(folder);
  free(folder);
  return home;
}

static sb_status keep_input(sb_finder *f, const char *path) {
  sb_input *input = f->inputs + f->input_count++;
  *input = (sb_input){.path = path, .end = f->list->count};
  if (f->options->dataset != NULL || sb_name_ends(path, ".tsv")) return sb_ok();
  input->home = home_of(path);
  return input->home != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "%s: out of memory", path);
}

static sb_status find_input(sb_finder *f, const char *input) {
  const size_t before = f->list->count, left_before = f->list->left_out_count;
  struct stat info;
  sb_status status = sb_ok();
  errno = 0;
  if (stat(input, &info) != 0)
    status = errno == ENOENT && lstat(input, &info) != 0
                 ? sb_error(SB_NOT_FOUND, "%s: no such file or folder", input)
                 : sb_finder_leave_out(f, sb_open_error(input, errno));
  else if (S_ISDIR(info.st_mode))
    status = find_in_folder(f, input);
  else if (!S_ISREG(info.st_mode))
    status = sb_finder_leave_out(
        f, sb_error(SB_USAGE, "%s: not a regular file; save the image to a file first", input));
  else if (sb_name_ends(input, ".tsv"))
    status = sb_find_in_manifest(f, input);
  else
    status = find_file(f, input);
  SB_TRY(status);
  const size_t found = f->list->count - before;
  if (found == 0 && f->list->left_out_count == left_before &&
      f->options->participant_label_count == 0) {
    status = sb_finder_leave_out(f, nothing_found(f, input));
    goto cleanup;
  }
  SB_TRY(note_passed_over(f, input));
  if (found > 1) qsort(f->list->scans + before, found, sizeof *f->list->scans, compare_scans);
cleanup:
  forget_tallies(f);
  return status;
}

// Where nothing is left, the first reason says it for all.
static sb_status check_left(const sb_finder *f) {
  const size_t left_out = f->list->left_out_count;
  if (f->list->count > 0 || left_out == 0) return sb_ok();
  if (left_out == 1) return f->first_left;
  return sb_error(f->first_left.code, "none of %zu can be used; the first: %s", left_out,
                  f->first_left.message);
}

sb_status sb_scan_list_find(const char *const *inputs, size_t input_count,
                            const sb_input_options *options, sb_scan_list *out) {
  static const sb_input_options none = {0};
  memset(out, 0, sizeof *out);
  sb_finder f = {.list = out, .options = options == NULL ? &none : options};
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&f.label_seen, f.options->participant_label_count, "participant labels"));
  SB_TRY(SB_NEW_ZERO(&f.inputs, input_count, "inputs"));
  for (size_t i = 0; i < input_count; i++) {
    SB_TRY(find_input(&f, inputs[i]));
    SB_TRY(keep_input(&f, inputs[i]));
  }
  for (size_t i = 0; i < f.options->participant_label_count; i++)
    if (!f.label_seen[i]) {
      status = sb_error(SB_NOT_FOUND, "no scan of participant \"%s\" in the inputs",
                        f.options->participant_labels[i]);
      goto cleanup;
    }
  SB_TRY(sb_warn_of_namesakes(&f));
  SB_TRY(sb_settle_duplicates(&f));
  SB_TRY(check_left(&f));
cleanup:
  for (size_t i = 0; i < f.input_count; i++) free(f.inputs[i].home);
  free(f.inputs);
  free(f.label_seen);
  if (status.code != SB_OK) sb_scan_list_free(out);
  return status;
}
