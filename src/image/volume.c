// What every part does with a volume: let go of it.
#include "samebrain/volume.h"

#include <stdlib.h>
#include <string.h>

void sb_volume_free(sb_volume *volume) {
  if (volume == NULL) return;
  free(volume->voxels);
  memset(volume, 0, sizeof *volume);
}
