// From what a person names on the command line to the list of scans: files, BIDS folders, plain
// folders and manifests. Only names are read, never the scans; of a BIDS folder only sub-*, ses-*
// and anat are listed, so that a data set of a hundred thousand people starts at once.
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/tsv.h"
#include "samebrain/store.h"

// What is being built, and what to keep of what is found.
typedef struct finder {
  sb_scan_list *list;
  size_t capacity;
  const sb_input_options *options;
  bool *label_seen; // one per participant label
} finder;

// ---- Names --------------------------------------------------------------------------------------

// Endings are told in any case: some systems write .NII.GZ.
static bool has_ending(const char *name, const char *ending) {
  size_t length = strlen(name), ending_length = strlen(ending);
  return length >= ending_length && strcasecmp(name + length - ending_length, ending) == 0;
}

// The length of a name without its NIfTI ending; 0 when it has none.
static size_t nifti_stem(const char *name) {
  static const char *const endings[] = {".nii", ".nii.gz", ".img", ".img.gz", ".hdr", ".hdr.gz"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (has_ending(name, endings[i])) return strlen(name) - strlen(endings[i]);
  return 0;
}

static bool is_header_of_pair(const char *name) {
  return has_ending(name, ".hdr") || has_ending(name, ".hdr.gz");
}

static bool is_bids_t1w(const char *name) {
  size_t stem = nifti_stem(name);
  return name[0] != '.' && stem > 4 && strncmp(name + stem - 4, "_T1w", 4) == 0 &&
         strncasecmp(name + stem, ".nii", 4) == 0;
}

// "sub-01_ses-01" of "sub-01_ses-01_T1w.nii.gz".
static char *scan_id_of(const char *name) {
  size_t length = nifti_stem(name);
  if (length > 4 && strncmp(name + length - 4, "_T1w", 4) == 0) length -= 4;
  return sb_format("%.*s", (int)length, name);
}

// The entity of a BIDS name that starts with `prefix`, with it ("sub-01"); "" when there is none.
static char *entity_of(const char *name, const char *prefix) {
  size_t end = nifti_stem(name);
  for (size_t at = 0; at < end;) {
    size_t length = strcspn(name + at, "_");
    if (length > end - at) length = end - at;
    if (length > strlen(prefix) && strncmp(name + at, prefix, strlen(prefix)) == 0)
      return sb_format("%.*s", (int)length, name + at);
    at += length + 1;
  }
  return sb_strdup("");
}

// A label as BIDS writes it: with its prefix, whether given with or without.
static char *with_prefix(const char *prefix, const char *label) {
  bool complete = label[0] == '\0' || strncmp(label, prefix, strlen(prefix)) == 0;
  return sb_format("%s%s", complete ? "" : prefix, label);
}

// What a folder is called, also when it is given as "." or "..".
static char *folder_name(const char *folder) {
  char *base = sb_path_base(folder);
  if (base == NULL || (strcmp(base, ".") != 0 && strcmp(base, "..") != 0)) return base;
  free(base);
  char *real = realpath(folder, NULL);
  base = real == NULL ? NULL : sb_path_base(real);
  free(real);
  return base;
}

// If `folder` is a part of a BIDS folder (an anat, ses-* or sub-* folder below it), the name of
// that; else NULL. Folders are followed through links, files are not: DataLad's point elsewhere.
static char *bids_root_name(const char *folder) {
  char *path = realpath(folder, NULL), *root = NULL;
  bool below_subject = false;
  while (path != NULL && !below_subject) {
    char *base = sb_path_base(path);
    if (base == NULL) break;
    below_subject = strncmp(base, "sub-", 4) == 0;
    bool part = below_subject || strncmp(base, "ses-", 4) == 0 || strcmp(base, "anat") == 0;
    free(base);
    if (!part) break;
    char *parent = sb_path_folder(path);
    free(path);
    path = parent;
  }
  if (below_subject && path != NULL) root = sb_path_base(path);
  free(path);
  return root;
}

// ---- The list -----------------------------------------------------------------------------------

static void free_scan(sb_scan *scan) {
  free(scan->dataset);
  free(scan->scan_id);
  free(scan->participant);
  free(scan->session);
  free(scan->source_path);
  free(scan->mask_path);
}

void sb_scan_list_free(sb_scan_list *list) {
  for (size_t i = 0; i < list->count; i++) free_scan(&list->scans[i]);
  free(list->scans);
  memset(list, 0, sizeof *list);
}

// Whether a participant ("sub-01", or "") is wanted. `scan_found`: remember that its label was of
// use.
static bool wanted(finder *f, const char *participant, bool scan_found) {
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

static sb_status check_names(const sb_scan *scan) {
  const char *names[] = {scan->dataset, scan->scan_id,     scan->participant,
                         scan->session, scan->source_path, scan->mask_path};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (names[i] == NULL) return sb_error(SB_NO_MEMORY, "out of memory for the list of scans");
    if (strpbrk(names[i], "\t\n\r") != NULL)
      return sb_error(SB_USAGE, "\"%s\": a name with a tab or newline; rename it", names[i]);
  }
  if (scan->dataset[0] != '\0' && scan->scan_id[0] != '\0') return sb_ok();
  return sb_error(SB_USAGE, "%s: no name is left for its %s", scan->source_path,
                  scan->dataset[0] == '\0' ? "dataset" : "scan_id");
}

// Takes over the scan's strings, also on failure; any of them may be NULL where memory was short.
static sb_status add(finder *f, sb_scan *scan) {
  sb_status status = check_names(scan);
  if (status.code == SB_OK && !wanted(f, scan->participant, true)) {
    free_scan(scan);
    return sb_ok();
  }
  if (status.code == SB_OK && f->list->count == f->capacity) {
    size_t capacity = f->capacity == 0 ? 64 : 2 * f->capacity;
    sb_scan *grown = realloc(f->list->scans, capacity * sizeof *grown);
    if (grown == NULL) {
      status = sb_error(SB_NO_MEMORY, "out of memory for %zu scans", capacity);
    } else {
      f->list->scans = grown;
      f->capacity = capacity;
    }
  }
  if (status.code == SB_OK)
    f->list->scans[f->list->count++] = *scan;
  else
    free_scan(scan);
  return status;
}

// "SCAN_desc-brain_mask", of any ending.
static bool is_brain_mask(const char *name) {
  static const char ending[] = "_desc-brain_mask";
  const size_t stem = nifti_stem(name), length = sizeof ending - 1;
  return stem > length && strncmp(name + stem - length, ending, length) == 0;
}

// The mask beside a scan: SCAN_desc-brain_mask.nii[.gz], where SCAN is the scan's name without its
// own desc- and what follows. "" when there is none; NULL only when memory is short.
static char *mask_beside(const char *path, const char *scan_id) {
  static const char *const endings[] = {".nii.gz", ".nii"};
  const char *desc = strstr(scan_id, "_desc-");
  const int length = (int)(desc == NULL ? strlen(scan_id) : (size_t)(desc - scan_id));
  char *folder = sb_path_folder(path), *mask = NULL;
  bool found = false;
  for (size_t i = 0; i < 2 && folder != NULL && !found; i++) {
    free(mask);
    mask = sb_format("%s/%.*s_desc-brain_mask%s", folder, length, scan_id, endings[i]);
    if (mask == NULL) break;
    found = sb_is_file(mask);
  }
  free(folder);
  if (!found && mask != NULL) mask[0] = '\0';
  return mask;
}

// A file whose labels are in its name. Takes over `path`.
static sb_status add_file(finder *f, char *path, const char *name, const char *dataset) {
  sb_scan scan = {.dataset = sb_strdup(dataset),
                  .scan_id = scan_id_of(name),
                  .participant = entity_of(name, "sub-"),
                  .session = entity_of(name, "ses-"),
                  .source_path = path};
  if (path != NULL && scan.scan_id != NULL) scan.mask_path = mask_beside(path, scan.scan_id);
  return add(f, &scan);
}

// ---- Folders ------------------------------------------------------------------------------------

// Whether a name has BIDS's entity for images that are not where the scanner put them.
static bool names_space(const char *name) {
  return strncmp(name, "space-", 6) == 0 || strstr(name, "_space-") != NULL;
}

static sb_status find_in_anat(finder *f, const char *anat, const char *dataset) {
  char **names = NULL;
  size_t count = 0;
  bool only_spaces = false;
  sb_status status = sb_list_folder(anat, &names, &count);
  for (size_t i = 0; i < count && f->options->in_template_space; i++)
    only_spaces = only_spaces || (is_bids_t1w(names[i]) && names_space(names[i]));
  for (size_t i = 0; i < count && status.code == SB_OK; i++)
    if (is_bids_t1w(names[i]) && (names_space(names[i]) || !only_spaces))
      status = add_file(f, sb_path_join(anat, names[i]), names[i], dataset);
  sb_free_names(names, count);
  return status;
}

typedef sb_status (*find_in)(finder *f, const char *folder, const char *dataset);

// Calls `find` for each folder in `folder` whose name starts with `prefix`.
static sb_status find_below(finder *f, const char *folder, const char *prefix, const char *dataset,
                            find_in find) {
  char **names = NULL;
  size_t count = 0;
  sb_status status = sb_list_folder(folder, &names, &count);
  for (size_t i = 0; i < count && status.code == SB_OK; i++) {
    if (strncmp(names[i], prefix, strlen(prefix)) != 0) continue;
    if (strcmp(prefix, "sub-") == 0 && !wanted(f, names[i], false)) continue; // spares listing it
    char *path = sb_path_join(folder, names[i]);
    if (path == NULL)
      status = sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
    else if (sb_is_folder(path))
      status = find(f, path, dataset);
    free(path);
  }
  sb_free_names(names, count);
  return status;
}

static sb_status find_in_session(finder *f, const char *folder, const char *dataset) {
  char *anat = sb_path_join(folder, "anat");
  if (anat == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  sb_status status = sb_is_folder(anat) ? find_in_anat(f, anat, dataset) : sb_ok();
  free(anat);
  return status;
}

static sb_status find_in_subject(finder *f, const char *folder, const char *dataset) {
  sb_status status = find_in_session(f, folder, dataset);
  return status.code == SB_OK ? find_below(f, folder, "ses-", dataset, find_in_session) : status;
}

// Whether names[at], the header of a .hdr/.img pair, has its image among the names. They are
// sorted, so that those with its stem and a dot lie around it.
static bool image_listed(char *const *names, size_t count, size_t at) {
  const char *header = names[at];
  size_t stem = nifti_stem(header), first = at;
  while (first > 0 && strncmp(names[first - 1], header, stem + 1) == 0) first--;
  for (size_t i = first; i < count && strncmp(names[i], header, stem + 1) == 0; i++)
    if (nifti_stem(names[i]) == stem && strncasecmp(names[i] + stem, ".img", 4) == 0) return true;
  return false;
}

// Every NIfTI file of a plain folder; of a .hdr/.img pair the image stands for both.
static sb_status find_in_plain(finder *f, const char *folder, const char *dataset) {
  char **names = NULL;
  size_t count = 0;
  sb_status status = sb_list_folder(folder, &names, &count);
  for (size_t i = 0; i < count && status.code == SB_OK; i++) {
    if (names[i][0] == '.' || nifti_stem(names[i]) == 0 || is_brain_mask(names[i])) continue;
    if (is_header_of_pair(names[i]) && image_listed(names, count, i)) continue;
    status = add_file(f, sb_path_join(folder, names[i]), names[i], dataset);
  }
  sb_free_names(names, count);
  return status;
}

static sb_status has_subjects(const char *folder, bool *result) {
  char **names = NULL;
  size_t count = 0;
  *result = false;
  sb_status status = sb_list_folder(folder, &names, &count);
  for (size_t i = 0; i < count && !*result; i++) {
    char *path = strncmp(names[i], "sub-", 4) == 0 ? sb_path_join(folder, names[i]) : NULL;
    *result = path != NULL && sb_is_folder(path);
    free(path);
  }
  sb_free_names(names, count);
  return status;
}

static sb_status find_in_folder(finder *f, const char *folder) {
  char *name = folder_name(folder), *root = bids_root_name(folder);
  const char *dataset = f->options->dataset;
  sb_status status = sb_ok();
  if (name == NULL) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
    goto cleanup;
  }
  if (dataset == NULL) dataset = root != NULL ? root : name;
  if (root != NULL && strcmp(name, "anat") == 0) {
    status = find_in_anat(f, folder, dataset);
  } else if (root != NULL && strncmp(name, "ses-", 4) == 0) {
    status = find_in_session(f, folder, dataset);
  } else if (root != NULL) {
    status = find_in_subject(f, folder, dataset);
  } else {
    bool bids;
    SB_TRY(has_subjects(folder, &bids));
    status = bids ? find_below(f, folder, "sub-", dataset, find_in_subject)
                  : find_in_plain(f, folder, dataset);
  }
cleanup:
  free(name);
  free(root);
  return status;
}

// ---- Single files and manifests -----------------------------------------------------------------

// The dataset of a file: as given, else the BIDS folder it lies in, else `otherwise`.
static char *dataset_of(const finder *f, const char *folder, const char *otherwise) {
  if (f->options->dataset != NULL) return sb_strdup(f->options->dataset);
  char *root = bids_root_name(folder);
  return root != NULL ? root : sb_strdup(otherwise);
}

static sb_status find_file(finder *f, const char *path) {
  char *folder = sb_path_folder(path), *name = sb_path_base(path), *dataset = NULL;
  char *otherwise = folder == NULL ? NULL : folder_name(folder);
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  if (name == NULL || otherwise == NULL) goto cleanup;
  if (nifti_stem(name) == 0) {
    status = sb_error(SB_USAGE,
                      "%s: no input that is known here; give NIfTI files (.nii, .nii.gz, .hdr, "
                      ".img), BIDS folders, folders of NIfTI files or a manifest .tsv",
                      path);
    goto cleanup;
  }
  dataset = dataset_of(f, folder, otherwise);
  if (dataset != NULL) status = add_file(f, sb_strdup(path), name, dataset);
cleanup:
  free(folder);
  free(name);
  free(dataset);
  free(otherwise);
  return status;
}

// A manifest's cell, "" where the table lacks the column.
static const char *cell(const sb_tsv *table, size_t row, const char *name) {
  long column = sb_tsv_column(table, name);
  return column < 0 ? "" : sb_tsv_text(sb_tsv_cell(table, row, (size_t)column));
}

// Paths in a manifest start at its folder.
static char *resolve(const char *folder, const char *path) {
  return path[0] == '/' || path[0] == '\0' ? sb_strdup(path) : sb_path_join(folder, path);
}

static sb_status add_line(finder *f, const char *manifest, const sb_tsv *table, size_t row,
                          const char *folder, const char *otherwise) {
  const char *dataset = cell(table, row, "dataset"), *id = cell(table, row, "scan_id");
  const char *participant = cell(table, row, "participant_id");
  const char *session = cell(table, row, "session_id");
  const char *mask = cell(table, row, "mask");
  char *path = resolve(folder, cell(table, row, "path"));
  char *scan_folder = NULL, *name = NULL, *file_id = NULL;
  sb_scan scan = {0};
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", manifest);
  if (path == NULL) goto cleanup;
  scan_folder = sb_path_folder(path);
  name = sb_path_base(path);
  if (scan_folder == NULL || name == NULL) goto cleanup;
  if (nifti_stem(name) == 0) {
    status = sb_error(SB_FORMAT, "%s: scan %zu: \"%s\" is no name of a NIfTI file", manifest,
                      row + 1, cell(table, row, "path"));
    goto cleanup;
  }
  file_id = scan_id_of(name);
  if (file_id == NULL) goto cleanup;
  scan.dataset = dataset[0] != '\0' ? sb_strdup(dataset) : dataset_of(f, scan_folder, otherwise);
  scan.scan_id = id[0] != '\0' ? sb_strdup(id) : scan_id_of(name);
  scan.participant =
      participant[0] != '\0' ? with_prefix("sub-", participant) : entity_of(name, "sub-");
  scan.session = session[0] != '\0' ? with_prefix("ses-", session) : entity_of(name, "ses-");
  scan.mask_path = mask[0] != '\0' ? resolve(folder, mask) : mask_beside(path, file_id);
  scan.source_path = path;
  path = NULL;
  status = add(f, &scan);
cleanup:
  free(path);
  free(scan_folder);
  free(name);
  free(file_id);
  return status;
}

static sb_status find_in_manifest(finder *f, const char *path) {
  char *folder = sb_path_folder(path);
  char *otherwise = folder == NULL ? NULL : folder_name(folder);
  size_t column;
  sb_tsv table = {0};
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  if (otherwise == NULL) goto cleanup;
  SB_TRY(sb_tsv_read(path, &table));
  SB_TRY(sb_tsv_need(&table, path, "path", &column));
  if (table.rows == 0) {
    status = sb_error(SB_USAGE, "%s: the manifest lists no scans: it has no line after its header",
                      path);
    goto cleanup;
  }
  for (size_t row = 0; row < table.rows; row++)
    SB_TRY(add_line(f, path, &table, row, folder, otherwise));
cleanup:
  sb_tsv_free(&table);
  free(folder);
  free(otherwise);
  return status;
}

// ---- All inputs ---------------------------------------------------------------------------------

static int compare_scans(const void *x, const void *y) {
  const sb_scan *a = x, *b = y;
  int order = strcmp(a->dataset, b->dataset);
  if (order == 0) order = strcmp(a->scan_id, b->scan_id);
  return order != 0 ? order : strcmp(a->source_path, b->source_path);
}

static sb_status find_input(finder *f, const char *input) {
  size_t before = f->list->count;
  struct stat info;
  sb_status status;
  if (stat(input, &info) != 0)
    status = errno == ENOENT && lstat(input, &info) != 0
                 ? sb_error(SB_NOT_FOUND, "%s: no such file or folder", input)
                 : sb_open_error(input, errno);
  else if (S_ISDIR(info.st_mode))
    status = find_in_folder(f, input);
  else if (!S_ISREG(info.st_mode))
    status = sb_error(SB_USAGE, "%s: not a regular file; save the image to a file first", input);
  else if (has_ending(input, ".tsv"))
    status = find_in_manifest(f, input);
  else
    status = find_file(f, input);
  if (status.code != SB_OK) return status;
  size_t found = f->list->count - before;
  if (found == 0 && f->options->participant_label_count == 0)
    return sb_error(SB_USAGE,
                    "%s: no scans found; looked for sub-*/[ses-*/]anat/*_T1w.nii[.gz] and, without "
                    "sub-* folders, for NIfTI files in the folder itself",
                    input);
  if (found > 1) qsort(f->list->scans + before, found, sizeof *f->list->scans, compare_scans);
  return sb_ok();
}

// One file under two names, or the two files of a pair.
static bool same_file(const sb_scan *a, const sb_scan *b) {
  char *x = realpath(a->source_path, NULL), *y = realpath(b->source_path, NULL);
  bool same = false;
  if (x == NULL || y == NULL) {
    same = strcmp(a->source_path, b->source_path) == 0;
  } else if (is_header_of_pair(x) != is_header_of_pair(y)) {
    size_t stem = nifti_stem(x);
    same = stem == nifti_stem(y) && strncmp(x, y, stem) == 0 &&
           strncasecmp(x + stem, ".nii", 4) != 0 && strncasecmp(y + stem, ".nii", 4) != 0;
  } else {
    same = strcmp(x, y) == 0;
  }
  free(x);
  free(y);
  return same;
}

static int compare_places(const void *x, const void *y) {
  const sb_scan *a = *(sb_scan *const *)x, *b = *(sb_scan *const *)y;
  int order = strcmp(a->dataset, b->dataset);
  if (order == 0) order = strcmp(a->scan_id, b->scan_id);
  return order != 0 ? order : (a > b) - (a < b);
}

// Two labels, where neither is unknown.
static bool differ(const char *a, const char *b) {
  return a[0] != '\0' && b[0] != '\0' && strcmp(a, b) != 0;
}

// One scan twice is a conflict, unless it is the same file under the same labels, of which the first counts.
static sb_status settle_duplicates(sb_scan_list *list) {
  sb_scan **order = NULL;
  sb_status status;
  // NOLINTBEGIN(bugprone-sizeof-expression): an array of pointers
  SB_TRY(SB_NEW(&order, list->count, "list of scans"));
  for (size_t i = 0; i < list->count; i++) order[i] = &list->scans[i];
  if (list->count > 1) qsort(order, list->count, sizeof *order, compare_places);
  // NOLINTEND(bugprone-sizeof-expression)
  for (size_t i = 1, first = 0; i < list->count; i++) {
    sb_scan *a = order[first], *b = order[i];
    if (strcmp(a->dataset, b->dataset) != 0 || strcmp(a->scan_id, b->scan_id) != 0) {
      first = i;
    } else if (same_file(a, b)) {
      if (differ(a->participant, b->participant) || differ(a->session, b->session)) {
        status = sb_error(SB_CONFLICT,
                          "%s: listed twice, as \"%s\" \"%s\" and as \"%s\" \"%s\"; leave one, or "
                          "give each a scan_id of its own",
                          a->source_path, a->participant, a->session, b->participant, b->session);
        goto cleanup;
      }
      free_scan(b);
      memset(b, 0, sizeof *b);
    } else {
      status = sb_error(SB_CONFLICT,
                        "dataset \"%s\", scan \"%s\" is two files: %s and %s; prepare them in two "
                        "runs with different --dataset, or list them in a manifest with a dataset "
                        "or scan_id of their own",
                        a->dataset, a->scan_id, a->source_path, b->source_path);
      goto cleanup;
    }
  }
  size_t kept = 0;
  for (size_t i = 0; i < list->count; i++)
    if (list->scans[i].dataset != NULL) list->scans[kept++] = list->scans[i];
  list->count = kept;
cleanup:
  free(order);
  return status;
}

sb_status sb_scan_list_find(const char *const *inputs, size_t input_count,
                            const sb_input_options *options, sb_scan_list *out) {
  static const sb_input_options none = {0};
  memset(out, 0, sizeof *out);
  finder f = {.list = out, .options = options == NULL ? &none : options};
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&f.label_seen, f.options->participant_label_count, "participant labels"));
  for (size_t i = 0; i < input_count; i++) SB_TRY(find_input(&f, inputs[i]));
  for (size_t i = 0; i < f.options->participant_label_count; i++)
    if (!f.label_seen[i]) {
      status = sb_error(SB_NOT_FOUND, "no scan of participant \"%s\" in the inputs",
                        f.options->participant_labels[i]);
      goto cleanup;
    }
  SB_TRY(settle_duplicates(out));
cleanup:
  free(f.label_seen);
  if (status.code != SB_OK) sb_scan_list_free(out);
  return status;
}
