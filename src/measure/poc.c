// poc: band-limited phase-only correlation. Both scans' spectra are reduced to their phases, up to
// frequencies of one cycle in 8 mm along each axis, and the score is the highest value that their
// correlation reaches for shifts of up to 6 mm along each axis: what is left of misalignment costs
// nothing. Shifts are tried 1 mm apart, and the peak between them is that of a parabola along each
// axis through the best.
//
// A scan's phases are its embedding, on half of the spectrum (a real image's other half is its mirror
// image). A pair multiplies them and sums one axis after the other over the few shifts, which takes
// less than an inverse transform and is not bound to whole voxels.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <kiss_fft.h>

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
  int64_t first[3], size[3]; // of the mask's box
  int n[3], band[3];
  int64_t width, rows, slabs;           // of a half spectrum
  kiss_fft_cfg transform[3];            // read only
  float *shift_re[3], *shift_im[3];     // [shift][frequency]: the phase that a shift adds
  int64_t lines_floats, columns_floats; // of the stages of a transform
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
    kiss_fft_free(p->transform[axis]);
    free(p->shift_re[axis]);
    free(p->shift_im[axis]);
  }
  free(p);
}

static sb_status make_shifts(poc *p, int axis, double voxel_mm) {
  const int64_t count = frequencies(p, axis);
  sb_status status = SB_NEW_ZERO(&p->shift_re[axis], SB_SHIFTS * count, "phases");
  if (status.code == SB_OK) status = SB_NEW_ZERO(&p->shift_im[axis], SB_SHIFTS * count, "phases");
  if (status.code != SB_OK) return status;
  const int64_t used = axis == 0 ? p->band[0] + 1 : count;
  for (int s = 0; s < SB_SHIFTS; s++)
    for (int64_t i = 0; i < used; i++) {
      const int64_t frequency = axis == 0 ? i : i - p->band[axis];
      double turns = (double)frequency * (s - SB_MOST_SHIFT) * SHIFT_MM / (p->n[axis] * voxel_mm);
      p->shift_re[axis][s * count + i] = (float)cos(2 * M_PI * turns);
      p->shift_im[axis][s * count + i] = (float)sin(2 * M_PI * turns);
    }
  return status;
}

static sb_status create(const sb_grid *grid, void **context) {
  poc *p = NULL;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&p, 1, "phase correlation"));
  SB_TRY(sb_mask_box(grid, p->first, p->size));
  const int margin = (int)ceil(SB_MOST_SHIFT * SHIFT_MM / grid->voxel_mm);
  for (int axis = 0; axis < 3; axis++) {
    p->n[axis] = kiss_fft_next_fast_size((int)p->size[axis] + margin);
    int most = (p->n[axis] - 1) / 2, band = (int)(p->n[axis] * grid->voxel_mm / SHORTEST_MM);
    p->band[axis] = band < most ? band : most;
    p->transform[axis] = kiss_fft_alloc(p->n[axis], 0, NULL, NULL);
    if (p->transform[axis] == NULL) {
      status = sb_error(SB_NO_MEMORY, "phase correlation: out of memory");
      goto cleanup;
    }
  }
  p->width = sb_round_up(p->band[0] + 1);
  p->rows = frequencies(p, 1);
  p->slabs = frequencies(p, 2);
  p->lines_floats = 2 * p->width * p->n[1] * p->size[2];
  p->columns_floats = 2 * p->width * p->rows * p->n[2];
  for (int axis = 0; axis < 3; axis++) SB_TRY(make_shifts(p, axis, grid->voxel_mm));
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

static int64_t longest(const poc *p) {
  int64_t n = p->n[0] > p->n[1] ? p->n[0] : p->n[1];
  return n > p->n[2] ? n : p->n[2];
}

// Of `embed` (stages and two lines) or of `score` (a product and two stages of its sums).
static int64_t scratch_length(const sb_grid *grid, const void *context) {
  (void)grid;
  const poc *p = context;
  int64_t embedding = p->lines_floats + p->columns_floats + 4 * longest(p);
  int64_t scoring = 2 * spectrum_length(p) + 2 * p->width * p->rows + 2 * p->width;
  return embedding > scoring ? embedding : scoring;
}

// ---- A scan's phases ----------------------------------------------------------------------------

// Along x: every line of the box, without its mean, to frequencies 0..band.
static void transform_lines(const poc *p, const sb_grid *grid, const float *row, float mean,
                            kiss_fft_cpx *line, kiss_fft_cpx *lines) {
  kiss_fft_cpx *out = line + longest(p);
  memset(lines, 0, (size_t)p->lines_floats * sizeof(float));
  for (int64_t z = 0; z < p->size[2]; z++)
    for (int64_t y = 0; y < p->size[1]; y++) {
      const int64_t at = p->first[1] + y + grid->dims[1] * (p->first[2] + z);
      const uint8_t *mask = grid->mask + p->first[0] + grid->dims[0] * at;
      memset(line, 0, (size_t)p->n[0] * sizeof *line);
      for (int64_t x = 0; x < p->size[0]; x++)
        if (mask[x]) line[x].r = *row++ - mean;
      kiss_fft(p->transform[0], line, out);
      memcpy(lines + (z * p->n[1] + y) * p->width, out, (size_t)(p->band[0] + 1) * sizeof *out);
    }
}

// A transform's frequencies -band..band, to places `step` apart.
static void put_band(const poc *p, int axis, const kiss_fft_cpx *out, kiss_fft_cpx *to,
                     int64_t step) {
  const int band = p->band[axis], n = p->n[axis];
  for (int f = -band; f <= band; f++) to[(f + band) * step] = out[f < 0 ? f + n : f];
}

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
  kiss_fft_cpx *lines = (kiss_fft_cpx *)(void *)scratch, *columns = lines + p->lines_floats / 2;
  kiss_fft_cpx *line = columns + p->columns_floats / 2, *out = line + longest(p);
  sb_row_facts facts;
  sb_status status = sb_row_examine(grid->row_length, scan->row, &facts);
  if (status.code != SB_OK) return status;
  transform_lines(p, grid, scan->row, (float)facts.mean, line, lines);
  memset(columns, 0, (size_t)p->columns_floats * sizeof(float));
  memset(vector, 0, (size_t)(2 * count) * sizeof *vector);
  for (int64_t z = 0; z < p->size[2]; z++)
    for (int64_t f = 0; f <= p->band[0]; f++) {
      kiss_fft_stride(p->transform[1], lines + z * p->n[1] * p->width + f, out, (int)p->width);
      put_band(p, 1, out, columns + z * plane + f, p->width);
    }
  for (int64_t g = 0; g < p->rows; g++)
    for (int64_t f = 0; f <= p->band[0]; f++) {
      const int64_t at = g * p->width + f;
      kiss_fft_stride(p->transform[2], columns + at, out, (int)plane);
      put_band(p, 2, out, line, 1);
      for (int64_t h = 0; h < p->slabs; h++) {
        vector[h * plane + at] = line[h].r;
        vector[count + h * plane + at] = line[h].i;
      }
    }
  const int64_t mean = p->band[2] * plane + p->band[1] * p->width; // taken away, but for rounding
  vector[mean] = vector[count + mean] = 0;
  return keep_phases(count, vector, vector + count);
}

// ---- A pair -------------------------------------------------------------------------------------

typedef struct complex_rows {
  float *re, *im;
} complex_rows;

// out = a times the conjugate of b.
SB_VECTOR_CLONES static void multiply(int64_t count, const float *a, const float *b,
                                      complex_rows out) {
  const float *a_im = a + count, *b_im = b + count;
  for (int64_t i = 0; i < count; i++) {
    out.re[i] = sb_phase_re(a[i], a_im[i], b[i], b_im[i]);
    out.im[i] = sb_phase_im(a[i], a_im[i], b[i], b_im[i]);
  }
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
        *next++ = sb_line_sum(p->band[0], line.re, line.im, p->shift_re[0] + x * p->width,
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
  out->phases =
      (sb_phases_form){.width = p->width, .rows = p->rows, .slabs = p->slabs, .band = p->band[0]};
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
