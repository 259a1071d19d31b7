// Real scans spoiled in every way that scans are spoiled, images that are no brain, and what
// preparation makes of them: for the damage tests and benchmark. Everything is made in memory,
// the same from the same seed; scans have a background of 0.
#ifndef SB_TESTS_DAMAGES_H
#define SB_TESTS_DAMAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "measure/measure.h"
#include "samebrain/prepare.h"
#include "samebrain/volume.h"

// ---- Cases --------------------------------------------------------------------------------------

// How many damages there are, then how many images that are no brain, and their names.
int damage_count(void);
const char *damage_name(int which);
int non_brain_count(void);
const char *non_brain_name(int which);

// Damages a scan.
//   out    the damaged scan, owned by the caller
//   moved  out: where its brain went, RAS mm of `scan` to RAS mm of `out`
sb_status damage_make(int which, const sb_volume *scan, uint64_t seed, sb_volume *out,
                      double moved[16]);
// An image that is no brain; some are made of a scan's own voxels.
sb_status non_brain_make(int which, const sb_volume *scan, uint64_t seed, sb_volume *out);

// ---- The scans as they are, and how a case compares with them ------------------------------------

typedef struct gallery_scan {
  char path[512];
  char person[256];            // scans of one person have the same
  float *vector;               // its row's bandpass embedding
  double template_to_scan[16]; // its alignment, undamaged
} gallery_scan;

typedef struct gallery {
  sb_template *t;
  sb_preparer *preparer;
  sb_embedder embedder;
  gallery_scan *scans;
  int count;
} gallery;

// Prepares every scan BIDS names under `folder`. Errors: SB_NOT_FOUND when the template or the scans
// are absent; those of preparation.
sb_status gallery_open(const char *folder, gallery *out);
void gallery_close(gallery *g);

// What came of one case.
typedef struct outcome {
  sb_status status; // of preparation
  sb_quality quality;
  double seconds;
  double error_mm; // of the alignment, against the undamaged scan's; NaN for a non-brain
  double own;      // bandpass: with the same scan undamaged; NaN for a non-brain
  double other;    // the largest with a scan of another person (of anyone for a non-brain)
} outcome;

// Makes case `which` (a damage, or damage_count() + a non-brain) of scan `scan`, prepares it, and
// compares its row with the gallery. `volume` is the scan, loaded.
// Errors: those of making the case; that preparation refused it is in the outcome.
sb_status gallery_case(const gallery *g, int scan, const sb_volume *volume, int which,
                       outcome *out);

// Accepted, and nearer to its own scan than to any other person's.
bool outcome_links(const outcome *o);

#endif
