// Affine alignment of a brain to the template, coarse to fine, from many starts.
#ifndef SB_PREPARE_ALIGN_H
#define SB_PREPARE_ALIGN_H

#include <stdbool.h>

#include "prepare/align_level.h"
#include "prepare/brain.h"
#include "prepare/template.h"

enum { SB_ALIGN_LEVELS = 4 }; // 8, 4, 2 and 1 mm
extern const double sb_align_level_mm[SB_ALIGN_LEVELS];
// Those of a head: 8 and 4 mm with its surroundings, and 4 mm of the brain alone.
enum { SB_HEAD_COARSE, SB_HEAD_FINE, SB_HEAD_BRAIN };

// The template's side of the alignment; read-only once made.
typedef struct sb_aligner {
  sb_align_level levels[SB_ALIGN_LEVELS];
  double frame_to_ras[16]; // template millimetres (voxel index times spacing) to RAS
  double ras_to_frame[16];
  double centre_mm[3]; // of the brain, in template millimetres
  double volume_mm3;   // of the brain
  int32_t longest;     // span of any level, padded
} sb_aligner;

typedef struct sb_alignment {
  double template_to_scan[16]; // row-major 4x4, RAS mm to RAS mm
  double correlation;          // NCC with the template at 2 mm inside the brain, gain as it is
  double next_correlation;     // at 4 mm: best start minus the best that ended elsewhere
  int starts;                  // places the search began from
  double handedness;           // NCC minus that of the mirror image, both at 4 mm
  double gain[SB_GAINS];       // of the last fine step, for sb_align_gain
} sb_alignment;

sb_status sb_aligner_create(const sb_template *t, sb_aligner *out);
// The same for scans of heads of about 4 mm: `head` is on the template's grid, and what is within
// `margin_mm` of the template's brain takes part.
sb_status sb_aligner_create_head(const sb_template *t, const sb_volume *head, double margin_mm,
                                 sb_aligner *out);
void sb_aligner_free(sb_aligner *aligner);

// Aligns a brain, with 12 degrees of freedom. Deterministic: no random numbers, one thread.
// Errors: SB_ALIGN when every start ended somewhere implausible; SB_NO_MEMORY.
sb_status sb_align(const sb_aligner *aligner, const sb_brain *brain, sb_alignment *out);

// A place for the search to begin from: the template turned and scaled, its brain's centre put at
// `centre_mm` (RAS).
typedef struct sb_align_start {
  double rotation[9], scale, centre_mm[3];
} sb_align_start;

enum { SB_ALIGN_PLACES = 4 };

// Aligns a head from these starts, affinely, at 8 and 4 mm; `correlation` is that of the brain alone
// at 4 mm, and there is no handedness and no gain. Errors as those of sb_align.
//   aligner   as sb_aligner_create_head makes it
//   likely    how many of the first starts are tried before the others, which are then left out
//             where one of them fits clearly
//   thorough  all starts, more steps from each, and the next best places too, best first
sb_status sb_align_head(const sb_aligner *aligner, const sb_brain *brain,
                        const sb_align_start *starts, int start_count, int likely, bool thorough,
                        sb_alignment places[SB_ALIGN_PLACES], int *count);

// Aligns affinely from a place nearby (RAS mm to RAS mm). Errors as those of sb_align.
sb_status sb_align_near(const sb_aligner *aligner, const sb_brain *brain,
                        const double template_to_scan[16], sb_alignment *out);

enum { SB_AXIS_ROTATIONS = 24 };

// The `which`-th of the 24 rotations that permute the axes, row-major 3x3.
void sb_axis_rotation(int which, double r[9]);

// The same where correlation alone may mislead (it counts what is cut off as a misfit): the best
// place, and when that is in doubt also the next ones, best first.
//   thorough  true: all starts from the outset, and the next places in any case
sb_status sb_align_places(const sb_aligner *aligner, const sb_brain *brain, bool thorough,
                          sb_alignment places[SB_ALIGN_PLACES], int *count);

// Looks at a brain that was aligned to the template elsewhere: the identity, with its figures.
//   moved_mm  out: how far a descent from there moves a point 70 mm from the brain's centre, at most;
//             0 when it ends in a place that fits worse
sb_status sb_align_given(const sb_aligner *aligner, const sb_brain *brain, sb_alignment *given,
                         double *moved_mm);

// The scan's gain over the template's at a point of the template (RAS mm): the quadratic that the
// alignment fits, of mean 1 over the brain, kept between 1/3 and 3.
double sb_align_gain(const sb_aligner *aligner, const sb_alignment *alignment,
                     const double point_mm[3]);

#endif
