// What ssim and uqi share: similarity of local structure (Wang 2004, three-dimensional), averaged
// over the mask's voxels. Images are 0 outside the mask, and windows reach there. Local means and
// variances are part of the embedding, so that a pair takes one filter: that of the products.
#ifndef SB_MEASURE_STRUCTURE_H
#define SB_MEASURE_STRUCTURE_H

#include "measure/elements.h"
#include "measure/measure.h"

// The window's weights, brought to a sum of 1.
sb_status sb_structure_create(const sb_grid *grid, int radius, const float *weight,
                              const sb_structure_constants *constants, void **context);
void sb_structure_destroy(void *context);
int64_t sb_structure_length(const sb_grid *grid, const void *context);
int64_t sb_structure_scratch(const sb_grid *grid, const void *context);
sb_status sb_structure_embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                             float *vector, double *terms, float *scratch);
double sb_structure_score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                          float *scratch);
void sb_structure_form(const sb_grid *grid, const void *context, sb_form *out);

#endif
