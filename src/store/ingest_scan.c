// One scan of a list: its memory, and its row (see ingest_scan.h).
#include "store/ingest_scan.h"

#include "core/memory.h"

// A scan that comes with a mask of its brain.
static sb_status prepare_masked(const sb_preparer *preparer, const sb_scan *scan,
                                sb_prepared *out) {
  sb_volume volume = {0}, mask = {0};
  sb_volume_info info;
  sb_status status;
  SB_TRY(sb_volume_load(scan->source_path, &volume, &info));
  SB_TRY(sb_volume_load(scan->mask_path, &mask, NULL));
  status = sb_prepare_masked(preparer, &volume, &mask, out);
  if (status.code != SB_OK) {
    // Of volumes in memory the message does not know the files.
    sb_status unnamed = status;
    status = sb_error(unnamed.code, "%s (its brain mask: %s): %s", scan->source_path,
                      scan->mask_path, unnamed.message);
    goto cleanup;
  }
  out->quality.orientation = info.orientation;
  out->quality.nonfinite_voxels = info.nonfinite_voxels;
  out->unit_doubted = info.unit_doubted;
cleanup:
  sb_volume_free(&volume);
  sb_volume_free(&mask);
  return status;
}

sb_status sb_ingest_scan(const sb_preparer *preparer, const sb_scan *scan, sb_prepared *out) {
  return scan->mask_path[0] == '\0' ? sb_prepare_file(preparer, scan->source_path, out)
                                    : prepare_masked(preparer, scan, out);
}

int64_t sb_ingest_scan_memory(const sb_preparer *preparer, const sb_scan *scan) {
  int64_t bytes, mask_voxels, mask_bytes = 0;
  if (sb_prepare_memory(preparer, scan->source_path, &bytes).code != SB_OK) return 0;
  if (scan->mask_path[0] != '\0') sb_volume_cost(scan->mask_path, &mask_voxels, &mask_bytes);
  return bytes + mask_bytes;
}
