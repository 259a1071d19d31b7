// Brains as pictures: the three middle slices of a row in template space, side by side.
#ifndef SB_REPORT_SLICES_H
#define SB_REPORT_SLICES_H

#include <stdbool.h>

#include "report/png.h"
#include "samebrain/store.h"

// Where the pixels of the three slices (axial, coronal, sagittal) lie in a row; made once for a grid.
// Left of the picture is left of the brain; the sagittal slice looks to the left; up is up or front.
typedef struct sb_slices {
  int width, height;
  int64_t *voxel;   // width x height, top line first: the grid's voxel; -1: outside of all slices
  int64_t *element; // the same: the row's element; -1: outside of the mask
  int64_t count;    // width * height
} sb_slices;

sb_status sb_slices_create(const sb_store *store, sb_slices *out);
void sb_slices_free(sb_slices *slices);

// Harmonised intensities of scan i at the pixels (NaN outside of the mask), to be freed, and
// in `own` whether a pixel is in the scan's own brain.
typedef struct sb_sliced {
  float *values;
  bool *own;
} sb_sliced;
sb_status sb_slices_take(const sb_slices *slices, const sb_store *store, int64_t i, sb_sliced *out);
void sb_sliced_free(sb_sliced *sliced);

// The range of grey values that shows both scans (b may be NULL): from the 1st to the 99.5th percentile.
sb_status sb_slices_window(const sb_slices *slices, const sb_sliced *a, const sb_sliced *b,
                           float window[2]);
// A scan's own brain in grey, and a minus b in colour: `full` of the window's width is the strongest
// one. `pixels` has room for slices->count.
sb_picture sb_slices_grey(const sb_slices *slices, const sb_sliced *a, const float window[2],
                          uint8_t *pixels);
sb_picture sb_slices_difference(const sb_slices *slices, const sb_sliced *a, const sb_sliced *b,
                                const float window[2], float full, uint8_t *pixels);
// Root mean square of a minus b over the window's width, at the pixels of the mask.
double sb_slices_rms(const sb_slices *slices, const sb_sliced *a, const sb_sliced *b,
                     const float window[2]);

#endif
