// One resolution of the alignment: a template grid with everything about it computed once, and the
// Gauss-Newton step on it.
//
// The model, for a template point x (mm) and the current map M into the scan:
//   scan(M x) = g(x) T(x) + grad T(x) . (A x + t) + b m(x) + c
// with T the template, g a quadratic polynomial (10 terms: it takes up the scan's bias field), m
// the template's smoothed mask and c a constant. It is linear in its 24 unknowns; the regressors
// depend on the template alone, so their normal matrix is made and factorised once. The step
// (I + P) of the template's points, P = (A, t) / g(centre), is undone on the right of M: the
// inverse-compositional scheme of Baker and Matthews (2004) with the photometric terms solved for.
#ifndef SB_PREPARE_ALIGN_LEVEL_H
#define SB_PREPARE_ALIGN_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "prepare/sample.h"
#include "samebrain/volume.h"

enum { SB_MOTIONS = 12, SB_GAINS = 10, SB_UNKNOWNS = 24 };

// How M may change in a step.
typedef enum sb_freedom { SB_SIMILARITY, SB_AFFINE, SB_FREEDOMS } sb_freedom;

// A stretch of template voxels along x: those the regression looks at in one row of the grid.
typedef struct sb_span {
  int32_t x, y, z, count;
  int64_t offset; // of its first voxel in the arrays below
} sb_span;

typedef struct sb_align_level {
  double spacing_mm[3], origin_mm[3]; // of the grid: voxel size, position of the first voxel
  double centre_mm[3];                // the brain's centre; coordinates of the model start there
  // Arrays over the spans' voxels, each span padded with zeros to a multiple of SB_LANES.
  sb_span *spans;
  int64_t span_count;
  int64_t voxels, stored; // that take part; in the spans with their padding
  int32_t longest;        // span, padded
  float *template_values, *smooth_mask, *gradient[3]; // gradient per mm
  float *weight; // 1 or 0: does a voxel take part? NULL: all do
  double template_sum, template_squares;
  double mean_polynomial[10]; // of the gain's terms, weighted by the template
  double factor[SB_FREEDOMS][SB_UNKNOWNS * SB_UNKNOWNS]; // Cholesky, lower
} sb_align_level;

enum { SB_LANES = 16, SB_ALIGN_BASIS = 11 };

// What one look at the scan through M tells.
typedef struct sb_alignment_sums {
  double projection[SB_UNKNOWNS]; // regressors times scan
  double scan, scan_squares, scan_template;
} sb_alignment_sums;

// Builds a level from the template on a grid with voxel size `spacing_mm`.
//   image     template intensities on the grid, 0 outside the brain
//   mask      the smoothed brain mask, 0 to 1, a regressor
//   nearness  the mask smoothed wider: voxels above 0.05 take part
// Points are in "template millimetres": voxel index times spacing of the finest grid, offset by
// `origin_mm`, the position of this grid's first voxel.
sb_status sb_align_level_create(const sb_volume *image, const sb_volume *mask,
                                const sb_volume *nearness, const double spacing_mm[3],
                                const double origin_mm[3], const double centre_mm[3],
                                sb_align_level *out);
void sb_align_level_free(sb_align_level *level);

// What a scan can tell about.
typedef struct sb_align_view {
  double low[3], high[3]; // scan voxel coordinates where its field of view ends; +-INFINITY
  bool inside;            // leave out what is not 2 to 3 mm inside the template's brain, or is dark
  float dark_low, dark_high; // scan values between which it is dark
} sb_align_view;

// The level less the voxels about which the scan, seen through M, tells nothing: a normal matrix and
// sums of its own, all else shared with `whole`.
//   weight  room for `stored` floats, used by `out`
//   basis   scratch, `longest` times SB_ALIGN_BASIS floats on a 64-byte boundary
// False when too little of the template is left to align to.
bool sb_align_level_focus(const sb_align_level *whole, const sb_packed *scan,
                          const double to_scan[16], const sb_align_view *view, float *line,
                          float *weight, float *basis, sb_align_level *out);

// Looks at the scan through M (template mm to scan voxel coordinates) at every voxel.
//   line  scratch, `longest` floats on a 64-byte boundary
void sb_align_level_look(const sb_align_level *level, const sb_packed *scan,
                         const double to_scan[16], float *line, sb_alignment_sums *sums);

// Correlation of scan and template over the level's voxels; 0 when either does not vary.
double sb_align_level_ncc(const sb_align_level *level, const sb_alignment_sums *sums);

// The Gauss-Newton step: `step` is the 4x4 matrix that M is to be multiplied by from the right.
//   gain  out: the coefficients of g over g's mean over the brain, for sb_align_level_gain
// False when the scan's gain is not positive or the numbers are not finite: a hopeless place.
bool sb_align_level_step(const sb_align_level *level, const sb_alignment_sums *sums,
                         sb_freedom freedom, double step[16], double gain[SB_GAINS]);

// The gain at a point in template millimetres.
double sb_align_level_gain(const sb_align_level *level, const double gain[SB_GAINS],
                           const double point_mm[3]);

#endif
