// A level less the voxels about which the scan tells nothing.
#include <math.h>
#include <string.h>

#include "core/clones.h"
#include "prepare/align_model.h"

static const float INSIDE = 0.9f; // of the smooth mask: 2 to 3 mm inside the template's brain
static const double LEAST_LEFT = 1.0 / 2; // of the template's squares, to align to

// The voxels of a span that lie in the scan's field of view: from..to-1.
static void clip_span(const sb_align_view *view, const double start[3], const double step[3],
                      int32_t count, int32_t *from, int32_t *to) {
  double low = 0, high = (double)count - 1;
  for (int i = 0; i < 3; i++) {
    const double near = view->low[i] - start[i], far = view->high[i] - start[i];
    if (fabs(step[i]) < 1e-9) { // alongside: all of the span or none of it
      if (near > 0 || far < 0) high = -1;
      continue;
    }
    low = fmax(low, fmin(near / step[i], far / step[i]));
    high = fmin(high, fmax(near / step[i], far / step[i]));
  }
  *from = (int32_t)ceil(fmin(low, (double)count));
  *to = high < low ? *from : (int32_t)floor(high) + 1;
}

// What a span's voxels add up to: those that would take part if the scan told about them, and those
// that do.
typedef struct span_count {
  float all_squares, voxels, sum, squares;
} span_count;

// Weighs the voxels of a span: 1 where the template wants them and the scan tells about them.
SB_CLONES
static void weigh_span(const sb_align_view *view, const sb_align_level *level, const sb_span *span,
                       int32_t from, int32_t to, const float *restrict line, float *restrict weight,
                       span_count *out) {
  const float least = view->inside ? INSIDE : -1;
  // Without a look at the scan nothing is dark.
  const float low = view->inside ? view->dark_low : INFINITY, high = view->dark_high;
  const float *restrict t = level->template_values + span->offset;
  const float *restrict mask = level->smooth_mask + span->offset;
  sb_lanes all_squares = {0}, voxels = {0}, sum = {0}, squares = {0};
  const int32_t padded = (span->count + SB_LANES - 1) / SB_LANES * SB_LANES;
  for (int32_t i = 0; i < padded; i += SB_LANES) {
    float wanted[SB_LANES], taken[SB_LANES];
    for (int32_t lane = 0; lane < SB_LANES; lane++) {
      const int32_t at = i + lane;
      const bool want = (mask[at] > least) & (at < span->count);
      const bool dark = (line[at] >= low) & (line[at] <= high);
      wanted[lane] = want ? 1 : 0;
      taken[lane] = (want & !dark & (at >= from) & (at < to)) ? 1 : 0;
    }
    sb_lanes w, v = *(const sb_lanes *)(t + i), part;
    memcpy(&w, wanted, sizeof w);
    memcpy(&part, taken, sizeof part);
    memcpy(weight + i, taken, sizeof taken);
    all_squares += v * v * w;
    voxels += part;
    sum += v * part;
    squares += v * v * part;
  }
  float folded[4][SB_LANES];
  memcpy(folded[0], &all_squares, sizeof all_squares);
  memcpy(folded[1], &voxels, sizeof voxels);
  memcpy(folded[2], &sum, sizeof sum);
  memcpy(folded[3], &squares, sizeof squares);
  sb_fold(4, folded);
  *out = (span_count){folded[0][0], folded[1][0], folded[2][0], folded[3][0]};
}

bool sb_align_level_focus(const sb_align_level *whole, const sb_packed *scan,
                          const double to_scan[16], const sb_align_view *view, float *line,
                          float *weight, float *basis, sb_align_level *out) {
  double squares = 0;
  *out = *whole;
  out->weight = weight;
  out->voxels = 0;
  out->template_sum = out->template_squares = 0;
  for (int64_t s = 0; s < whole->span_count; s++) {
    const sb_span *span = &whole->spans[s];
    double start[3], step[3];
    int32_t from, to;
    sb_span_place(whole, span, to_scan, start, step);
    clip_span(view, start, step, span->count, &from, &to);
    const int32_t padded = (span->count + SB_LANES - 1) / SB_LANES * SB_LANES;
    if (view->inside)
      sb_sample_packed_row(scan, start, step, padded, line);
    else
      memset(line, 0, (size_t)padded * sizeof *line);
    span_count count;
    weigh_span(view, whole, span, from, to, line, weight + span->offset, &count);
    squares += (double)count.all_squares;
    out->voxels += (int64_t)count.voxels;
    out->template_sum += (double)count.sum;
    out->template_squares += (double)count.squares;
  }
  if (!(out->template_squares > LEAST_LEFT * squares)) return false;
  return sb_align_level_solve(out, basis);
}
