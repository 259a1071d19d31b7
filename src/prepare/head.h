// The template's side of brain extraction: a whole head to align scans of heads to, and where its
// brain is.
#ifndef SB_PREPARE_HEAD_H
#define SB_PREPARE_HEAD_H

#include "prepare/align.h"
#include "prepare/template.h"

// Read-only once made.
typedef struct sb_head {
  sb_aligner aligner;
  sb_volume grid; // around the brain, SB_HEAD_GRID_MM apart; without voxels
  // On the grid, 0 or 1: the template's brain, what is deep inside it, what is in and just around
  // it, how far a scan's brain may reach, and where a head has its scalp.
  uint8_t *brain, *core, *around, *reach, *scalp;
  uint8_t *looked_at; // all of these, and what touches them
  // From the centre of mass of a head's uppermost part, SB_HEAD_TOP_MM deep, to its brain's centre,
  // RAS mm.
  double top_to_brain_mm[3];
  double to_template[16]; // from its space to that of the template that rows are made on, RAS mm
} sb_head;

static const double SB_HEAD_GRID_MM = 1.5, SB_HEAD_TOP_MM = 120;

// Reads the head that belongs to the template. Errors: SB_UNSUPPORTED when there is none (says what
// to do), SB_CONFLICT when it is not on its brain's grid, those of sb_volume_load.
//   aligner  of the template, for a head whose brain is another
sb_status sb_head_create(const sb_template *t, const sb_aligner *aligner, sb_head *out);
void sb_head_free(sb_head *head);

// The centre of mass (RAS mm) of a head's uppermost part: of what stands out from the background and
// is at most `deep_mm` below the highest of it.
//   up  a direction, of length 1, RAS
void sb_head_top(const sb_brain *head, const double up[3], double deep_mm, double centre_mm[3]);

#endif
