// A prepared scan as an image (see ingest_image.h).
#include "store/ingest_image.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"

// "path/part", where no part can lead out of the folder; frees `path`. NULL when memory is short.
static char *extend(char *path, const char *part) {
  if (path == NULL || part[0] == '\0') return path;
  size_t length = strlen(path);
  char *longer = sb_format("%s/%s", path, part);
  free(path);
  if (longer == NULL) return NULL;
  for (char *at = longer + length + 1; *at != '\0'; at++)
    if (*at == '/' || (*at == '.' && at == longer + length + 1)) *at = '_';
  return longer;
}

sb_status sb_save_row_image(const sb_template *t, const sb_scan *scan, const float *row,
                            const char *save_folder, bool with_dataset) {
  const int64_t *dims = sb_template_grid_dims(t), *index = sb_template_row_index(t);
  sb_volume volume = {0};
  bool labelled = scan->participant[0] != '\0';
  char *folder = sb_strdup(save_folder);
  char *name = sb_format("%s_space-template_desc-prepared_T1w.nii.gz", scan->scan_id), *path = NULL;
  if (with_dataset) folder = extend(folder, scan->dataset);
  folder = extend(folder, scan->participant);
  if (labelled) folder = extend(extend(folder, scan->session), "anat");
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", scan->source_path);
  if (folder == NULL || name == NULL) goto cleanup;
  SB_TRY(sb_make_folder(folder));
  path = extend(sb_strdup(folder), name);
  SB_TRY(SB_NEW_ZERO(&volume.voxels, dims[0] * dims[1] * dims[2], "image"));
  memcpy(volume.dims, dims, sizeof volume.dims);
  memcpy(volume.affine, sb_template_grid_affine(t), sizeof volume.affine);
  for (int64_t i = 0; i < sb_template_row_length(t); i++) volume.voxels[index[i]] = row[i];
  status = path == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", folder)
                        : sb_volume_save(&volume, path);
cleanup:
  sb_volume_free(&volume);
  free(folder);
  free(name);
  free(path);
  return status;
}
