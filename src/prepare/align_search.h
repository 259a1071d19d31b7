// The scan's side of an alignment, and the descent from a place to the nearest one that fits.
#ifndef SB_PREPARE_ALIGN_SEARCH_H
#define SB_PREPARE_ALIGN_SEARCH_H

#include "prepare/align.h"

// The scan at every level, and where its voxels are in the brain's box.
typedef struct sb_align_pyramid {
  sb_packed made[SB_ALIGN_LEVELS];          // those that are smaller than the brain's image
  const sb_packed *levels[SB_ALIGN_LEVELS]; // these, or the image as it is
  double from_box[SB_ALIGN_LEVELS][16];     // the box's voxel coordinates to the level's
} sb_align_pyramid;

// A map from template millimetres to the box's voxels, and how well it fits.
typedef struct sb_align_place {
  double map[16];
  double ncc;
  double gain[SB_GAINS]; // of the last step
} sb_align_place;

// The levels as the scan at hand is seen on them.
typedef struct sb_align_focus {
  sb_align_view views[SB_ALIGN_LEVELS];
  bool wanted[SB_ALIGN_LEVELS]; // false: the whole level
  sb_align_level level;         // the one in work
  float *weight, *basis;
} sb_align_focus;

typedef struct sb_align_search {
  const sb_aligner *aligner;
  sb_align_pyramid scan;
  float *line; // scratch
  bool whole;
  sb_align_focus focus;
} sb_align_search;

//   whole  levels as they are, whatever the scan tells about
// Close it also after a failure.
sb_status sb_align_search_open(const sb_aligner *aligner, const sb_brain *brain, bool whole,
                               sb_align_search *out);
void sb_align_search_close(sb_align_search *search);

// A level as the scan is seen on it from a place; NULL when too little is seen.
const sb_align_level *sb_align_seen(sb_align_search *s, int level, const sb_align_place *c);

// How well a place fits on a level, and the sums that a step is made of.
double sb_align_look(sb_align_search *s, const sb_align_level *on, int level,
                     const sb_align_place *c, sb_alignment_sums *sums);

// Up to `steps` Gauss-Newton steps from a rough place: correlation may fall on the way, and the map
// where it was highest is kept. Ends early when a step is below `enough_mm`.
void sb_align_descend(sb_align_search *s, int level, sb_freedom freedom, int steps,
                      double enough_mm, sb_align_place *c);

// Up to `steps` steps from nearby: the last map is the result, since a step goes to where the model
// with its gain fits best, and plain correlation, which knows no gain, would pull back. The
// correlation is that before the last step. It ends when correlation falls clearly.
void sb_align_polish(sb_align_search *s, int level, sb_freedom freedom, int steps, double enough_mm,
                     sb_align_place *c);

// Distance between where two maps put the brain, in mm of the template.
double sb_align_difference_mm(const sb_aligner *aligner, const sb_align_place *a,
                              const sb_align_place *b);

#endif
