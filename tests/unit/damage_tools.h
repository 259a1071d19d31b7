// What the files of damages.h share: a damage, and ways to look at a scan and to make another.
#ifndef SB_TESTS_DAMAGE_TOOLS_H
#define SB_TESTS_DAMAGE_TOOLS_H

#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/volume.h"

// A damage: spoil() does it to a scan in memory, and tells where the brain went (see damage_make).
typedef struct damage {
  const char *name;
  sb_status (*spoil)(const struct damage *d, sb_volume *v, uint64_t *seed, double moved[16]);
  double a, b;
} damage;

// Damages to anatomy (damages_anatomy.c), by `a` and `b`, which each explains.
sb_status lesion(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]);
sb_status no_cerebellum(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]);
sb_status distorted(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]);
sb_status warped(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]);
sb_status atrophied(const damage *d, sb_volume *v, uint64_t *seed, double moved[16]);

int64_t voxel_count(const sb_volume *v);
// On the same grid: zeros, or the same voxels. Errors: SB_NO_MEMORY.
sb_status blank_like(const sb_volume *in, sb_volume *out);
sb_status copy_of(const sb_volume *in, sb_volume *out);

// Where the brain (what is not 0) is: its box, centre (voxels) and mean intensity.
typedef struct extent {
  int64_t low[3], high[3]; // first, one past last
  double centre[3], mean, most;
} extent;

extent extent_of(const sb_volume *v);

// White noise, smoothed to `sigma_mm`, mean 0 and standard deviation 1, on a scan's grid.
// Errors: SB_NO_MEMORY.
sb_status smooth_noise(const sb_volume *like, double sigma_mm, uint64_t *seed, sb_volume *out);

#endif
