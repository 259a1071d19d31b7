// Does a row hold a brain's anatomy? The one question that an outline cannot answer.
#ifndef SB_PREPARE_STRUCTURE_H
#define SB_PREPARE_STRUCTURE_H

#include <stdint.h>

#include "prepare/template.h"

enum { SB_OCTANTS = 8 };

// How far a scan's pattern of tissues is the template's.
typedef struct sb_structure {
  double whole;               // correlation over the brain
  double octants[SB_OCTANTS]; // of each octant (left/right, back/front, below/above), ascending
  double sharpness;           // the band's strength in the scan over that in the template
} sb_structure;

// Correlates row and template in the band between 4 and 10 mm, where folds, ventricles and deep
// nuclei are: both averaged to about 4 mm, less their Gaussian mean of 10 mm, over the voxels where
// both have brain. Outline, bias field and noise leave it alone.
//   row    harmonised intensities, t->row_length of them
//   brain  0 or 1 for each: the scan's own brain
// The band's strength is its standard deviation over that of the intensities: blur takes it away.
// Octants with too few voxels are left out of the ranking: they count as the whole.
// Errors: SB_NO_MEMORY.
sb_status sb_structure_measure(const sb_template *t, const float *row, const uint8_t *brain,
                               sb_structure *out);

#endif
