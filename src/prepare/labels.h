// Label images: segmentations, atlases and masks, which look like brains to everything else here.
#ifndef SB_PREPARE_LABELS_H
#define SB_PREPARE_LABELS_H

#include <stdbool.h>

#include "samebrain/volume.h"

// What tells label images: how many values neighbouring voxels share, and the share of neighbours that
// have the same value, those that both have the commonest one (the background) not counted. Of a
// sample of the rows.
typedef struct sb_label_figures {
  int values; // at most SB_MOST_LABELS + 1
  double equal;
} sb_label_figures;

enum { SB_MOST_LABELS = 1024 };

// Whether a volume is a label image. Noise makes the difference: neighbours in a scan are equal as rarely as
// its grey levels are many, neighbours in a label image differ only where labels meet.
bool sb_is_label_image(const sb_volume *volume, sb_label_figures *figures);

// SB_CONTENT for a label image.
sb_status sb_refuse_labels(const sb_volume *volume);

#endif
