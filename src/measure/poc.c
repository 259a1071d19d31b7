// poc: band-limited phase-only correlation. Both scans' spectra are reduced to their phases, up to
// frequencies of one cycle in 8 mm along each axis, and the score is the highest value that their
// correlation reaches for shifts of up to 6 mm along each axis: what is left of misalignment costs
// nothing. Shifts are tried 1 mm apart, and the peak between them is that of a parabola along each
// axis through the best.
//
// A scan's phases are its embedding, on half of the spectrum (a real image's other half is its mirror
// image). A pair multiplies them and sums one axis after the other over the few shifts, which takes
// less than an inverse transform and is not bound to whole voxels. The spectrum is summed in the same
// way: so few frequencies of so short lines need no fast transform, whose library would round otherwise
// on another processor.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "measure/box.h"
#include "measure/elements.h"
#include "measure/measure.h"
#include "measure/row.h"
#include "measure/vector.h"

static const double SHORTEST_MM = 8, SHIFT_MM = 1,
                    FAINT = 1e-6; // FAINT: share of the largest magnitude

// Axis 0 has frequencies 0..band, padded with nothing to `width`; the others -band..band.
typedef struct poc {
  int64_t first[3], size[3];  // of the mask's box
  int64_t n[3], band[3];      // the box with room for shifts; the highest frequency
  int64_t width, rows, slabs; // of a half spectrum
  // The phases that the transform multiplies by: axis 0 has [voxel][frequency], the others [frequency][voxel].
  float *wave_re[3], *wave_im[3];
  float *shift_re[3], *shift_im[3]; // [shift][frequency]: the phase that a shift adds
} poc;

static int64_t frequencies(const poc *p, int axis) {
  return axis == 0 ? p->width : 2 * p->band[axis] + 1;
}
static int64_t spectrum_length(const poc *p) {
  return p->width * p->rows * p->slabs;
}

// ---- What is computed once for a grid -----------------------------------------------------------

static void destroy(void *context) {
  poc *p = context;
  for (int axis = 0; p != NULL && axis < 3; axis++) {
    free(p->wave_re[axis]);
    free(p->wave_im[axis]);
    free(p->shift_re[axis]);
    free(p->shift_im[axis]);
  }
  free(p);
}

// A phase of so many turns.
static void put_phase(double turns, float *re, float *im) {
  *re = (float)cos(2 * M_PI * turns);
  *im = (float)sin(2 * M_PI * turns);
}

static int64_t lowest(const poc *p, int axis) {
  return axis == 0 ? 0 : -p->band[axis];
}

static sb_status make_waves(poc *p, int axis) {
  const int64_t count = frequencies(p, axis), size = p->size[axis], n = p->n[axis];
  sb_status status = SB_NEW_ZERO(&p->wave_re[axis], size * count, "phases");
  if (status.code == SB_OK) status = SB_NEW_ZERO(&p->wave_im[axis], size * count, "phases");
  if (status.code != SB_OK) return status;
  for (int64_t f = lowest(p, axis); f <= p->band[axis]; f++)
    for (int64_t x = 0; x < size; x++) {
      const int64_t i = f - lowest(p, axis), at = axis == 0 ? x * count + i : i * size + x;
      put_phase((double)(-f * x % n) / (double)n, p->wave_re[axis] + at, p->wave_im[axis] + at);
    }
  return status;
}

static sb_status make_shifts(poc *p, int axis, double voxel_mm) {
  const int64_t count = frequencies(p, axis);
  sb_status status = SB_NEW_ZERO(&p->shift_re[axis], SB_SHIFTS * count, "phases");
  if (status.code == SB_OK) status = SB_NEW_ZERO(&p->shift_im[axis], SB_SHIFTS * count, "phases");
  if (status.code != SB_OK) return status;
  for (int s = 0; s < SB_SHIFTS; s++)
    for (int64_t f = lowest(p, axis); f <= p->band[axis]; f++) {
      const int64_t at = s * count + f - lowest(p, axis);
      put_phase((double)(f * (s - SB_MOST_SHIFT)) * SHIFT_MM / ((double)p->n[axis] * voxel_mm),
                p->shift_re[axis] + at, p->shift_im[axis] + at);
    }
  return status;
}

static sb_status create(const sb_grid *grid, void **context) {
  poc *p = NULL;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&p, 1, "phase correlation"));
  SB_TRY(sb_mask_box(grid, p->first, p->size));
  const int64_t margin = (int64_t)ceil(SB_MOST_SHIFT * SHIFT_MM / grid->voxel_mm);
  for (int axis = 0; axis < 3; axis++) {
    p->n[axis] = p->size[axis] + margin;
    const int64_t most = (p->n[axis] - 1) / 2,
                  band = (int64_t)((double)p->n[axis] * grid->voxel_mm / SHORTEST_MM);
    p->band[axis] = band < most ? band : most;
  }
  p->width = sb_round_up(p->band[0] + 1);
  p->rows = frequencies(p, 1);
  p->slabs = frequencies(p, 2);
  for (int axis = 0; axis < 3; axis++) {
    SB_TRY(make_waves(p, axis));
    SB_TRY(make_shifts(p, axis, grid->voxel_mm));
  }
  *context = p;
  p = NULL;
cleanup:
  destroy(p);
  return status;
}

static int64_t length(const sb_grid *grid, const void *context) {
  (void)grid;
  return 2 * spectrum_length(context);
}

// Of `embed` (a slab of lines, and columns) or of `score` (a product and two stages of its sums).
static int64_t scratch_length(const sb_grid *grid, const void *context) {
  (void)grid;
  const poc *p = context;
  int64_t embedding = 2 * p->width * (p->size[1] + p->rows * p->size[2]);
  int64_t scoring = 2 * spectrum_length(p) + 2 * p->width * p->rows + 2 * p->width;
  return embedding > scoring ? embedding : scoring;
}

// ---- Sums over an axis --------------------------------------------------------------------------

typedef struct complex_rows {
  float *re, *im;
} complex_rows;

static complex_rows rows_at(complex_rows rows, int64_t at) {
  return (complex_rows){rows.re + at, rows.im + at};
}

// out = sum over the mask's voxels of a line, each less the mean and times the phases of its place. Returns
// the row's next element.
SB_VECTOR_CLONES static const float *
transform_line(const poc *p, const uint8_t *mask, const float *row, float mean, complex_rows out) {
  const int64_t width = p->width;
  float *restrict out_re = out.re, *restrict out_im = out.im;
  memset(out_re, 0, (size_t)width * sizeof *out_re);
  memset(out_im, 0, (size_t)width * sizeof *out_im);
  for (int64_t x = 0; x < p->size[0]; x++) {
    if (!mask[x]) continue;
    const float *re = p->wave_re[0] + x * width, *im = p->wave_im[0] + x * width;
    const float value = *row++ - mean;
    for (int64_t f = 0; f < width; f++) {
      out_re[f] += value * re[f];
      out_im[f] += value * im[f];
    }
  }
  return row;
}

// out = sum over `count` lines of `length` elements, each turned by its phase.
SB_VECTOR_CLONES static void turn_and_add(int64_t length, int64_t count, complex_rows in,
                                          const float *turn_re, const float *turn_im,
                                          complex_rows out) {
  memset(out.re, 0, (size_t)length * sizeof *out.re);
  memset(out.im, 0, (size_t)length * sizeof *out.im);
  for (int64_t k = 0; k < count; k++) {
    const float *re = in.re + k * length, *im = in.im + k * length, c = turn_re[k], s = turn_im[k];
    float *restrict out_re = out.re, *restrict out_im = out.im;
    for (int64_t i = 0; i < length; i++) {
      out_re[i] += sb_turned_re(re[i], im[i], c, s);
      out_im[i] += sb_turned_im(re[i], im[i], c, s);
    }
  }
}

// ---- A scan's phases ----------------------------------------------------------------------------

// Magnitude 1 in place of any, but 0 where there is next to none.
static sb_status keep_phases(int64_t count, float *re, float *im) {
  float most = 0;
  for (int64_t i = 0; i < count; i++) {
    float square = re[i] * re[i] + im[i] * im[i];
    most = square > most ? square : most;
  }
  if (!(most > 0)) return sb_error(SB_CONTENT, "a row without structure of over 8 mm");
  const float faint = (float)(FAINT * FAINT) * most;
  for (int64_t i = 0; i < count; i++) {
    float square = re[i] * re[i] + im[i] * im[i];
    float factor = square > faint ? 1 / sqrtf(square) : 0;
    re[i] *= factor;
    im[i] *= factor;
  }
  return sb_ok();
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)terms;
  const poc *p = context;
  const int64_t count = spectrum_length(p), plane = p->width * p->rows;
  const complex_rows spectrum = {vector, vector + count};
  const complex_rows lines = {scratch, scratch + p->width * p->size[1]};
  const complex_rows columns = {scratch + 2 * p->width * p->size[1],
                                scratch + 2 * p->width * p->size[1] + plane * p->size[2]};
  const float *row = scan->row;
  sb_row_facts facts;
  sb_status status = sb_row_examine(grid->row_length, row, &facts);
  if (status.code != SB_OK) return status;
  for (int64_t z = 0; z < p->size[2]; z++) {
    for (int64_t y = 0; y < p->size[1]; y++) {
      const int64_t line = p->first[1] + y + grid->dims[1] * (p->first[2] + z);
      row = transform_line(p, grid->mask + p->first[0] + grid->dims[0] * line, row,
                           (float)facts.mean, rows_at(lines, y * p->width));
    }
    for (int64_t g = 0; g < p->rows; g++)
      turn_and_add(p->width, p->size[1], lines, p->wave_re[1] + g * p->size[1],
                   p->wave_im[1] + g * p->size[1], rows_at(columns, z * plane + g * p->width));
  }
  for (int64_t h = 0; h < p->slabs; h++)
    turn_and_add(plane, p->size[2], columns, p->wave_re[2] + h * p->size[2],
                 p->wave_im[2] + h * p->size[2], rows_at(spectrum, h * plane));
  const int64_t mean = p->band[2] * plane + p->band[1] * p->width; // taken away, but for rounding
  vector[mean] = vector[count + mean] = 0;
  return keep_phases(count, vector, vector + count);
}

// ---- A pair -------------------------------------------------------------------------------------

// out = a times the conjugate of b.
SB_VECTOR_CLONES static void multiply(int64_t count, const float *a, const float *b,
                                      complex_rows out) {
  const float *a_im = a + count, *b_im = b + count;
  for (int64_t i = 0; i < count; i++) {
    out.re[i] = sb_phase_re(a[i], a_im[i], b[i], b_im[i]);
    out.im[i] = sb_phase_im(a[i], a_im[i], b[i], b_im[i]);
  }
}

// Frequencies that both scans have, each of the missing half counted with its mirror image.
static double weight_of(const poc *p, complex_rows product) {
  int64_t once = 0, all = 0;
  for (int64_t i = 0; i < spectrum_length(p); i++) {
    int there = sb_phase_there(product.re[i], product.im[i]);
    all += there;
    once += i % p->width == 0 ? there : 0;
  }
  return (double)(2 * all - once);
}

static double score(const sb_grid *grid, const void *context, sb_embedding a, sb_embedding b,
                    float *scratch) {
  (void)grid;
  const poc *p = context;
  const int64_t count = spectrum_length(p), plane = p->width * p->rows;
  const complex_rows product = {scratch, scratch + count};
  const complex_rows slab = {scratch + 2 * count, scratch + 2 * count + plane};
  const complex_rows line = {slab.im + plane, slab.im + plane + p->width};
  double value[SB_SHIFTS * SB_SHIFTS * SB_SHIFTS], *next = value;
  multiply(count, a.vector, b.vector, product);
  const double weight = weight_of(p, product);
  if (!(weight > 0)) return 0; // no frequency in common
  for (int z = 0; z < SB_SHIFTS; z++) {
    turn_and_add(plane, p->slabs, product, p->shift_re[2] + z * p->slabs,
                 p->shift_im[2] + z * p->slabs, slab);
    for (int y = 0; y < SB_SHIFTS; y++) {
      turn_and_add(p->width, p->rows, slab, p->shift_re[1] + y * p->rows,
                   p->shift_im[1] + y * p->rows, line);
      for (int x = 0; x < SB_SHIFTS; x++)
        *next++ = sb_line_sum((int)p->band[0], line.re, line.im, p->shift_re[0] + x * p->width,
                              p->shift_im[0] + x * p->width) /
                  weight;
    }
  }
  return sb_clamp(sb_peak_of(value), -1, 1);
}

static void form(const sb_grid *grid, const void *context, sb_form *out) {
  (void)grid;
  const poc *p = context;
  out->kind = SB_FORM_PHASES;
  out->phases = (sb_phases_form){
      .width = p->width, .rows = p->rows, .slabs = p->slabs, .band = (int)p->band[0]};
  for (int axis = 0; axis < 3; axis++) {
    out->phases.turn_re[axis] = p->shift_re[axis];
    out->phases.turn_im[axis] = p->shift_im[axis];
  }
}

const sb_measure sb_measure_poc = {
    .info = {.name = "poc",
             .title = "Peak of the phase-only correlation, waves of 8 mm and longer",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = false,
             .invariant_to = "scale and offset of the intensities, and shifts of up to 6 mm",
             .cost = "13 sums over the spectrum up to 1/8 mm",
             .source =
                 "Kuglin and Hines 1975, Proc. Int. Conf. Cybern. Soc.:163; Ito 2004, IEICE Trans. "
                 "E87-A:682"},
    .create = create,
    .destroy = destroy,
    .embedding_length = length,
    .scratch_length = scratch_length,
    .embed = embed,
    .score = score,
    .form = form,
};
