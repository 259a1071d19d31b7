// What tells whose a scan is, and which mask is its brain's: names on the way to it.
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "store/inputs.h"
#include "store/inputs_names.h"

char *sb_mask_beside(const char *path, const char *name) {
  static const char *const endings[] = {".nii.gz", ".nii"};
  char *folder = sb_path_folder(path), *id = sb_name_scan_id(name), *mask = NULL;
  bool found = false;
  if (folder == NULL || id == NULL) goto cleanup;
  const char *desc = strstr(id, "_desc-");
  const int length = (int)(desc == NULL ? strlen(id) : (size_t)(desc - id));
  for (size_t i = 0; i < 2 && !found; i++) {
    free(mask);
    mask = sb_format("%s/%.*s_desc-brain_mask%s", folder, length, id, endings[i]);
    if (mask == NULL) break;
    found = sb_is_file(mask);
  }
  if (!found && mask != NULL) mask[0] = '\0';
cleanup:
  free(folder);
  free(id);
  return mask;
}

// The last of a path's names that has the entity tells it.
static char *entity_in_path(const char *path, const char *prefix) {
  char *found = sb_strdup("");
  for (const char *at = path; found != NULL && *at != '\0';) {
    const size_t length = strcspn(at, "/");
    char *name = sb_format("%.*s", (int)length, at);
    char *entity = name == NULL ? NULL : sb_name_entity(name, prefix);
    if (entity == NULL || entity[0] != '\0') {
      free(found);
      found = entity;
    } else {
      free(entity);
    }
    free(name);
    at += length + (at[length] == '/');
  }
  return found;
}

sb_status sb_labels_of(const char *path, char **participant, char **session) {
  char *bare = NULL, *visit = NULL;
  *participant = entity_in_path(path, "sub-");
  *session = entity_in_path(path, "ses-");
  if (*participant == NULL || *session == NULL)
    return sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  if ((*participant)[0] != '\0' || !sb_name_identifier(path, &bare, &visit)) return sb_ok();
  free(*participant);
  *participant = bare == NULL ? NULL : sb_name_with_prefix("sub-", bare);
  if ((*session)[0] == '\0') {
    free(*session);
    *session = visit == NULL ? NULL : sb_name_with_prefix("ses-", visit);
  }
  free(bare);
  free(visit);
  return *participant != NULL && *session != NULL
             ? sb_ok()
             : sb_error(SB_NO_MEMORY, "%s: out of memory", path);
}
