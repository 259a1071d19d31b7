// Where a search begins, and which of the places it leads to are kept.
#ifndef SB_PREPARE_ALIGN_STARTS_H
#define SB_PREPARE_ALIGN_STARTS_H

#include "prepare/align_search.h"

// In all 24 axis orientations: upright, tilted in 12 directions, off in 6.
enum { SB_ALIGN_STARTS = SB_AXIS_ROTATIONS * (1 + 12 + 6) };

// The map that turns the template by `r`, scales it, and puts its centre at `centre_mm` (RAS).
void sb_align_start_map(const sb_aligner *aligner, const sb_brain *brain, const double r[9],
                        double scale, const double centre_mm[3], double map[16]);

// Puts a place among the best `most`, unless a better one is in the same place; the other keeps
// SB_ALIGN_PLACES.
void sb_align_keep_of(const sb_aligner *aligner, const sb_align_place *c, int most,
                      sb_align_place *best, int *count);
void sb_align_keep(const sb_aligner *aligner, const sb_align_place *c,
                   sb_align_place best[SB_ALIGN_PLACES], int *count);

// The coarse search over starts first..last-1.
void sb_align_try_starts(sb_align_search *s, const sb_brain *brain, int first, int last,
                         sb_align_place best[SB_ALIGN_PLACES], int *count);

// One more start: the brain where the header says it is, for scans whose centre of mass misleads.
void sb_align_try_header(sb_align_search *s, const sb_brain *brain,
                         sb_align_place best[SB_ALIGN_PLACES], int *count);

// The kept places at 4 mm, sorted again by how well they fit there.
void sb_align_refine(sb_align_search *s, sb_align_place best[SB_ALIGN_PLACES], int *count);

// By how much the best place leads the next one.
static inline double sb_align_lead(const sb_align_place best[SB_ALIGN_PLACES], int count) {
  return count < 2 ? best[0].ncc : best[0].ncc - best[1].ncc;
}

#endif
