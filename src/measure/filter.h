// Separable symmetric filters over the voxels of a mask: each voxel's weighted sum over the voxels
// around it, those outside the mask counting as 0.
#ifndef SB_MEASURE_FILTER_H
#define SB_MEASURE_FILTER_H

#include <stdint.h>

#include "measure/measure.h"

typedef struct sb_filter sb_filter;

// weight[k] = weight[-k], k = 0..radius, along each axis.
sb_status sb_filter_create(const sb_grid *grid, int radius, const float *weight, sb_filter **out);
void sb_filter_free(sb_filter *filter); // NULL is fine

// For each voxel of a row, 1 over the sum of the weights that fall into the mask: a sum times it is
// a mean over the mask alone (normalised convolution).
const float *sb_filter_inverse(const sb_filter *filter);
// Floats of private memory that sb_filter_apply needs.
int64_t sb_filter_scratch(const sb_filter *filter);

// Is given the sums of the row's elements [first, first + count), in chunks in no order.
typedef void (*sb_filter_use)(void *user, int64_t first, int64_t count, const float *sums);
// The sums over a row, or over the products of two, or with `a` NULL too over ones.
void sb_filter_apply(const sb_filter *filter, const float *a, const float *b, float *scratch,
                     sb_filter_use use, void *user);

// For a measure that averages over a filter's sums of products of two rows, the first of three in its
// vectors: the form (form.h), but for what the sums are made into.
void sb_filter_form(const sb_filter *filter, const sb_grid *grid, sb_form *out);

// For a measure whose vectors are rows without what the filter makes of them: the recipe (recipe.h).
void sb_filter_recipe(const sb_filter *filter, const sb_grid *grid, sb_recipe *out);

// A cube with sides as near `width_mm` as an odd number of voxels comes; its radius in voxels.
int sb_filter_cube_radius(const sb_grid *grid, double width_mm);
// Equal weights.
sb_status sb_filter_create_cube(const sb_grid *grid, int radius, sb_filter **out);
// Gaussian weights, cut at `radius`.
sb_status sb_filter_create_gauss(const sb_grid *grid, double sigma_vox, int radius,
                                 sb_filter **out);

#endif
