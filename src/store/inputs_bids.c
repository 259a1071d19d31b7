// Scans in BIDS folders: sub-*/[ses-*/]anat/*_T1w.nii[.gz].
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "store/inputs.h"
#include "store/inputs_names.h"

// Folders are followed through links, files are not: DataLad's point elsewhere.
char *sb_bids_root(const char *folder) {
  char *path = realpath(folder, NULL);
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
  if (below_subject) return path;
  free(path);
  return NULL;
}

bool sb_bids_has_subjects(const char *folder, char *const *names, size_t count) {
  bool found = false;
  for (size_t i = 0; i < count && !found; i++) {
    char *path = strncmp(names[i], "sub-", 4) == 0 ? sb_path_join(folder, names[i]) : NULL;
    found = path != NULL && sb_is_folder(path);
    free(path);
  }
  return found;
}

bool sb_takes_spaces(const sb_finder *f, char *const *names, size_t count,
                     bool (*is_scan)(const char *name)) {
  bool with = false, without = false;
  for (size_t i = 0; i < count; i++) {
    if (!is_scan(names[i]) || sb_name_is_other_kind(names[i])) continue;
    if (sb_name_is_prepared(names[i]) && !f->options->in_template_space) continue;
    if (sb_name_has_space(names[i]))
      with = true;
    else
      without = true;
  }
  return with && (f->options->in_template_space || !without);
}

bool sb_passes_over_space(const sb_finder *f, const char *name, bool takes_spaces) {
  return sb_name_has_space(name) != takes_spaces ||
         (sb_name_is_prepared(name) && !f->options->in_template_space);
}

static sb_status find_in_anat(sb_finder *f, const char *anat, const char *dataset) {
  char **names = NULL;
  size_t count = 0;
  sb_status status = sb_list_folder(anat, &names, &count);
  if (status.code != SB_OK) return sb_finder_leave_out(f, status);
  const bool spaces = sb_takes_spaces(f, names, count, sb_name_is_t1w);
  for (size_t i = 0; i < count && status.code == SB_OK; i++) {
    if (!sb_name_is_t1w(names[i])) continue;
    if (sb_name_is_other_kind(names[i]))
      status = sb_tally_add(&f->other_kinds, names[i]);
    else if (sb_passes_over_space(f, names[i], spaces))
      status = sb_tally_add(&f->other_spaces, names[i]);
    else
      status = sb_finder_add_file(f, sb_path_join(anat, names[i]), names[i], dataset);
  }
  sb_free_names(names, count);
  return status;
}

static sb_status find_in_session(sb_finder *f, const char *folder, const char *dataset) {
  char *anat = sb_path_join(folder, "anat");
  if (anat == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  sb_status status = sb_is_folder(anat) ? find_in_anat(f, anat, dataset) : sb_ok();
  free(anat);
  return status;
}

typedef sb_status (*find_in)(sb_finder *f, const char *folder, const char *dataset);

// Calls `find` for each folder in `folder` whose name starts with `prefix`.
static sb_status find_below(sb_finder *f, const char *folder, const char *prefix,
                            const char *dataset, find_in find) {
  char **names = NULL;
  size_t count = 0;
  sb_status status = sb_list_folder(folder, &names, &count);
  if (status.code != SB_OK) return sb_finder_leave_out(f, status);
  for (size_t i = 0; i < count && status.code == SB_OK; i++) {
    if (strncmp(names[i], prefix, strlen(prefix)) != 0) continue;
    // Spares listing it.
    if (strcmp(prefix, "sub-") == 0 && !sb_finder_wants(f, names[i], false)) continue;
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

static sb_status find_in_subject(sb_finder *f, const char *folder, const char *dataset) {
  const size_t before = f->list->count + f->list->left_out_count;
  sb_status status = find_in_session(f, folder, dataset);
  if (status.code == SB_OK) status = find_below(f, folder, "ses-", dataset, find_in_session);
  if (status.code == SB_OK && f->list->count + f->list->left_out_count == before)
    status = sb_tally_add(&f->without_t1w, folder);
  return status;
}

sb_status sb_find_in_bids(sb_finder *f, const char *folder, const char *dataset) {
  return find_below(f, folder, "sub-", dataset, find_in_subject);
}

sb_status sb_find_in_bids_part(sb_finder *f, const char *folder, const char *dataset) {
  char *name = sb_folder_name(folder);
  if (name == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  find_in find = strcmp(name, "anat") == 0       ? find_in_anat
                 : strncmp(name, "ses-", 4) == 0 ? find_in_session
                                                 : find_in_subject;
  free(name);
  return find(f, folder, dataset);
}
