// libFuzzer target: any bytes as an image file, gzip or not. Loading must end in a volume that is
// whole, or in an error with a message.
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "samebrain/volume.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Everything that sb_volume_load promises.
static void check(const sb_volume *v, const sb_volume_info *info) {
  int64_t count = v->dims[0] * v->dims[1] * v->dims[2];
  if (v->voxels == NULL || count < 1 || info->nonfinite_voxels > count) abort();
  bool varied = false;
  for (int64_t i = 0; i < count; i++) {
    if (!isfinite(v->voxels[i])) abort();
    varied |= v->voxels[i] != v->voxels[0];
  }
  for (int i = 0; i < 16; i++)
    if (!isfinite(v->affine[i])) abort();
  if (!varied && info->nonfinite_voxels == 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int file = memfd_create("image", MFD_CLOEXEC);
  if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  sb_volume volume;
  sb_volume_info info;
  sb_status status = sb_volume_load(path, &volume, &info);
  if (status.code == SB_OK)
    check(&volume, &info);
  else if (status.message[0] == '\0' || volume.voxels != NULL)
    abort();
  sb_volume_free(&volume);
  close(file);
  return 0;
}
