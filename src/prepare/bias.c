// N4's bias field: sharpen the histogram, fit a smooth field to the differences, repeat.
#include "prepare/bias.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/memory.h"
#include "core/select.h"
#include "prepare/mask.h"
#include "prepare/spline.h"

#ifndef CMPLX // glibc has it for GCC, and only lately for clang
#define CMPLX(re, im) __builtin_complex((double)(re), (double)(im))
#endif

static const double BLOCK_MM = 4;
enum { LEVELS = 3, MOST_STEPS = 50, LEAST_BLOCKS = 1000 }; // 1, 2, then 4 spline pieces an axis
static const double LEAST_CHANGE = 0.0005; // standard deviation of a step that ends a level
// Sled's and Tustison's: width of the field's blur (log intensity) and the Wiener filter's noise.
static const double BLUR_FWHM = 0.15, WIENER_NOISE = 0.01;
// Blocks darker than this share of the median are fluid or edge, where the logarithm is noise.
static const double DARKEST = 0.1;

// ---- Blocks -------------------------------------------------------------------------------------

// The brain in blocks: a dense grid for the spline, and the list of those that are all brain.
typedef struct blocks {
  int64_t size;     // voxels of the image along a block's edge
  int64_t first[3]; // voxel of the grid's first block
  int64_t dims[3];  // of the grid, which is around the brain
  int32_t *index;   // into the grid, of the blocks that count
  int64_t count;    // of those, and of what follows
  float *log_value, *field;
} blocks;

static void blocks_free(blocks *b) {
  free(b->index);
  free(b->log_value);
  free(b->field);
}

// The mean of a block; 0 unless all of it is brain.
static float block_mean(const sb_volume *image, const uint8_t *brain, const int64_t first[3],
                        int64_t size) {
  float sum = 0;
  for (int i = 0; i < 3; i++)
    if (first[i] + size > image->dims[i]) return 0;
  for (int64_t z = first[2]; z < first[2] + size; z++)
    for (int64_t y = first[1]; y < first[1] + size; y++)
      for (int64_t x = first[0]; x < first[0] + size; x++) {
        int64_t at = x + image->dims[0] * (y + image->dims[1] * z);
        if (brain[at] == 0) return 0;
        sum += image->voxels[at];
      }
  return sum / (float)(size * size * size);
}

// Keeps the blocks that are bright enough, as logarithms.
static sb_status keep_bright(blocks *b) {
  float *sorted = NULL;
  if (b->count == 0) return sb_ok();
  sb_status status = SB_NEW(&sorted, b->count, "bias field");
  if (status.code != SB_OK) return status;
  memcpy(sorted, b->log_value, (size_t)b->count * sizeof *sorted);
  const float least = (float)DARKEST * sb_select(sorted, b->count, b->count / 2);
  int64_t kept = 0;
  for (int64_t i = 0; i < b->count; i++)
    if (b->log_value[i] > least) {
      b->index[kept] = b->index[i];
      b->log_value[kept++] = logf(b->log_value[i]);
    }
  b->count = kept;
  free(sorted);
  return status;
}

static sb_status blocks_create(const sb_volume *image, double voxel_mm, const uint8_t *brain,
                               blocks *out) {
  memset(out, 0, sizeof *out);
  out->size = llround(fmax(1, BLOCK_MM / voxel_mm));
  int64_t first[3], end[3];
  sb_mask_bounds(image->dims, brain, first, end);
  for (int i = 0; i < 3; i++) {
    out->first[i] = first[i] / out->size * out->size;
    out->dims[i] = (end[i] - out->first[i] + out->size - 1) / out->size;
  }
  const int64_t n = out->dims[0] * out->dims[1] * out->dims[2];
  sb_status status;
  SB_TRY(SB_NEW(&out->index, n, "bias field"));
  SB_TRY(SB_NEW(&out->log_value, n, "bias field"));
  SB_TRY(SB_NEW_ZERO(&out->field, n, "bias field"));
  int32_t i = 0;
  for (int64_t z = 0; z < out->dims[2]; z++)
    for (int64_t y = 0; y < out->dims[1]; y++)
      for (int64_t x = 0; x < out->dims[0]; x++, i++) {
        const int64_t corner[3] = {out->first[0] + out->size * x, out->first[1] + out->size * y,
                                   out->first[2] + out->size * z};
        float mean = block_mean(image, brain, corner, out->size);
        if (!(mean > 0)) continue;
        out->index[out->count] = i;
        out->log_value[out->count++] = mean;
      }
  SB_TRY(keep_bright(out));
cleanup:
  return status;
}

// ---- The histogram ------------------------------------------------------------------------------

// The histogram has 200 bins in the middle of an array long enough that the blur wraps around onto
// nothing.
enum { BINS = 200, FFT_LOG2 = 9, FFT = 1 << FFT_LOG2 };

// In-place Fourier transform, radix 2; sign -1 forward, +1 back (not scaled).
static void fourier(double complex a[FFT], const double complex roots[FFT / 2], int sign) {
  for (int i = 0; i < FFT; i++) {
    int reversed = 0;
    for (int bit = 0; bit < FFT_LOG2; bit++) reversed |= (i >> bit & 1) << (FFT_LOG2 - 1 - bit);
    if (reversed <= i) continue;
    double complex swap = a[i];
    a[i] = a[reversed];
    a[reversed] = swap;
  }
  for (int half = 1; half < FFT; half *= 2)
    for (int start = 0; start < FFT; start += 2 * half)
      for (int k = 0; k < half; k++) {
        double complex root = roots[k * (FFT / 2 / half)];
        double re = creal(root), im = sign * cimag(root);
        double complex low = a[start + k], high = a[start + k + half];
        double complex turned =
            CMPLX(creal(high) * re - cimag(high) * im, creal(high) * im + cimag(high) * re);
        a[start + k] = low + turned;
        a[start + k + half] = low - turned;
      }
}

// Multiplies the spectra of two real signals by a real, symmetric filter: as one complex signal,
// since such a filter keeps the two apart.
static void filter(double first[FFT], double second[FFT], const double response[FFT],
                   const double complex roots[FFT / 2]) {
  double complex a[FFT];
  for (int i = 0; i < FFT; i++) a[i] = CMPLX(first[i], second[i]);
  fourier(a, roots, -1);
  for (int i = 0; i < FFT; i++) a[i] = CMPLX(creal(a[i]) * response[i], cimag(a[i]) * response[i]);
  fourier(a, roots, 1);
  for (int i = 0; i < FFT; i++) {
    first[i] = creal(a[i]) / FFT;
    second[i] = cimag(a[i]) / FFT;
  }
}

// The intensity that each bin's voxels are expected to have without the field's blur: the mean of
// the sharpened histogram, weighted by the blur around the bin.
//   expected  in: the histogram, in bins 0 to BINS - 1 of FFT; out: log intensity of each bin
static void sharpen(double low, double width, const double complex roots[FFT / 2],
                    double expected[FFT]) {
  static const double PI = 3.141592653589793;
  double blur[FFT], wiener[FFT], below[FFT] = {0};
  const double sigma = BLUR_FWHM / 2.3548200450309493 / width; // bins
  for (int i = 0; i < FFT; i++) {
    double frequency = (double)(i <= FFT / 2 ? i : FFT - i) / FFT;
    blur[i] = exp(-2 * PI * PI * sigma * sigma * frequency * frequency);
    wiener[i] = blur[i] / (blur[i] * blur[i] + WIENER_NOISE);
  }
  filter(expected, below, wiener, roots);
  double largest = 0;
  for (int i = 0; i < FFT; i++) {
    below[i] = i < BINS && expected[i] > 0 ? expected[i] : 0;
    if (below[i] > largest) largest = below[i];
    expected[i] = below[i] * (low + i * width);
  }
  filter(expected, below, blur, roots);
  for (int i = 0; i < BINS; i++)
    expected[i] = below[i] > 1e-6 * largest ? expected[i] / below[i] : low + i * width;
}

enum { LANES = 16 }; // sums and extremes are kept in so many parts, the same on every processor

// Each block's log intensity less the field so far, and the lowest and highest of these.
SB_CLONES
static void subtract_field(const blocks *b, float *restrict value, float *low, float *high) {
  float least[LANES], most[LANES];
  for (int lane = 0; lane < LANES; lane++) {
    least[lane] = INFINITY;
    most[lane] = -INFINITY;
  }
  for (int64_t i = 0; i < b->count; i++) value[i] = b->log_value[i] - b->field[i];
  for (int64_t i = 0; i + LANES <= b->count; i += LANES)
    for (int lane = 0; lane < LANES; lane++) {
      const float v = value[i + lane];
      least[lane] = v < least[lane] ? v : least[lane];
      most[lane] = v > most[lane] ? v : most[lane];
    }
  for (int64_t i = b->count / LANES * LANES; i < b->count; i++) {
    least[0] = value[i] < least[0] ? value[i] : least[0];
    most[0] = value[i] > most[0] ? value[i] : most[0];
  }
  *low = INFINITY;
  *high = -INFINITY;
  for (int lane = 0; lane < LANES; lane++) {
    *low = fminf(*low, least[lane]);
    *high = fmaxf(*high, most[lane]);
  }
}

// Where log intensities are among the bins: the lower of two, and how far from it to the other.
SB_CLONES
static void find_bins(int64_t count, const float *restrict value, float low, float bins_per_unit,
                      int32_t *restrict bin, float *restrict beyond) {
  for (int64_t i = 0; i < count; i++) {
    const float at = (value[i] - low) * bins_per_unit;
    bin[i] = at < BINS - 2 ? (int32_t)at : BINS - 2;
    beyond[i] = at - (float)bin[i];
  }
}

// The histogram, each value shared between its two bins. Two histograms take turns: neighbours are
// often alike, and adding to what was just added to waits.
static void fill_histogram(int64_t count, const int32_t *bin, const float *beyond,
                           double histogram[FFT]) {
  double turns[2][FFT] = {{0}};
  for (int64_t i = 0; i < count; i++) {
    double *at = turns[i % 2] + bin[i];
    at[0] += (double)(1 - beyond[i]);
    at[1] += (double)beyond[i];
  }
  for (int i = 0; i < FFT; i++) histogram[i] = turns[0][i] + turns[1][i];
}

SB_CLONES
static void subtract_expected(int64_t count, const int32_t *restrict bin,
                              const float *restrict beyond, const float expected[BINS],
                              float *restrict value) {
  for (int64_t i = 0; i < count; i++) {
    const float below = expected[bin[i]], above = expected[bin[i] + 1];
    value[i] -= below + beyond[i] * (above - below);
  }
}

// Room for what a step finds out about each block that counts.
typedef struct workspace {
  float *value, *beyond;
  int32_t *bin;
} workspace;

// What each block's log intensity, less the field so far, lacks to the expected one. False when all
// blocks have one value: there is nothing to sharpen.
//   residual  out: over the grid of blocks
static bool find_residuals(const blocks *b, const double complex roots[FFT / 2],
                           const workspace *work, float *residual) {
  float low, high, table[BINS];
  double expected[FFT];
  subtract_field(b, work->value, &low, &high);
  const float width = (high - low) / (BINS - 1), scale = 1 / width;
  if (!(width > 1e-7f)) return false;
  find_bins(b->count, work->value, low, scale, work->bin, work->beyond);
  fill_histogram(b->count, work->bin, work->beyond, expected);
  sharpen((double)low, (double)width, roots, expected);
  for (int i = 0; i < BINS; i++) table[i] = (float)expected[i];
  subtract_expected(b->count, work->bin, work->beyond, table, work->value);
  for (int64_t i = 0; i < b->count; i++) residual[b->index[i]] = work->value[i];
  return true;
}

// ---- The field ----------------------------------------------------------------------------------

// Of the blocks that count.
SB_CLONES
static void mean_and_deviation(int64_t count, const float *restrict values, double *mean,
                               double *deviation) {
  double sums[LANES] = {0}, squares[LANES] = {0}, sum = 0, square = 0;
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int lane = 0; lane < LANES; lane++) {
      const double v = (double)values[i + lane];
      sums[lane] += v;
      squares[lane] += v * v;
    }
  for (; i < count; i++) {
    sums[0] += (double)values[i];
    squares[0] += (double)values[i] * (double)values[i];
  }
  for (int lane = 0; lane < LANES; lane++) {
    sum += sums[lane];
    square += squares[lane];
  }
  *mean = sum / (double)count;
  *deviation = sqrt(fmax(0, square / (double)count - *mean * *mean));
}

// Adds a step over the grid to the field of the blocks that count.
//   part  out: the step there
SB_CLONES
static void add_step(const blocks *b, const float *restrict step, float *restrict part) {
  for (int64_t i = 0; i < b->count; i++) part[i] = step[b->index[i]];
  for (int64_t i = 0; i < b->count; i++) b->field[i] += part[i];
}

// Axes of a spline with as many pieces an axis over the image: sampled at its blocks, or its voxels.
static sb_status make_axes(const sb_volume *image, const blocks *b, int64_t elements, bool blocked,
                           sb_spline_axis axes[3]) {
  for (int i = 0; i < 3; i++) {
    const double voxel = 1 / (double)image->dims[i], step = voxel * (blocked ? (double)b->size : 1);
    const int64_t samples = blocked ? b->dims[i] : image->dims[i];
    const double offset = 0.5 * step + (blocked ? voxel * (double)b->first[i] : 0);
    sb_status status = sb_spline_axis_create(elements, samples, offset, step, &axes[i]);
    if (status.code != SB_OK) return status;
  }
  return sb_ok();
}

static int64_t control_count(const sb_spline_axis axes[3]) {
  return axes[0].controls * axes[1].controls * axes[2].controls;
}

// One level: steps until they change next to nothing. Adds to the blocks' field and, the level's
// spline, to `field` of the image's voxels.
static sb_status refine(const sb_volume *image, int64_t elements,
                        const double complex roots[FFT / 2], blocks *b, float *field) {
  const int64_t n = b->dims[0] * b->dims[1] * b->dims[2];
  sb_spline_axis axes[3] = {{0}, {0}, {0}}, fine[3] = {{0}, {0}, {0}};
  workspace work = {0};
  float *residual = NULL, *step = NULL, *scratch = NULL, *weights = NULL, *controls = NULL,
        *sum = NULL;
  sb_status status;
  SB_TRY(make_axes(image, b, elements, true, axes));
  SB_TRY(make_axes(image, b, elements, false, fine));
  SB_TRY(SB_NEW(&work.value, b->count, "bias field"));
  SB_TRY(SB_NEW(&work.beyond, b->count, "bias field"));
  SB_TRY(SB_NEW(&work.bin, b->count, "bias field"));
  SB_TRY(SB_NEW_ZERO(&residual, n, "bias field"));
  SB_TRY(SB_NEW(&step, n, "bias field"));
  SB_TRY(SB_NEW(&scratch, sb_spline_scratch(axes) + sb_spline_scratch(fine), "bias field"));
  SB_TRY(SB_NEW(&weights, control_count(axes), "bias field"));
  SB_TRY(SB_NEW(&controls, control_count(axes), "bias field"));
  SB_TRY(SB_NEW_ZERO(&sum, control_count(axes), "bias field"));
  for (int64_t i = 0; i < b->count; i++) residual[b->index[i]] = 1;
  sb_spline_gather_squares(axes, residual, scratch, weights);
  double mean, change = INFINITY;
  for (int i = 0; i < MOST_STEPS && change > LEAST_CHANGE; i++) {
    if (!find_residuals(b, roots, &work, residual)) break;
    sb_spline_fit(axes, weights, residual, scratch, controls);
    memset(step, 0, (size_t)n * sizeof *step);
    sb_spline_add(axes, controls, scratch, step);
    add_step(b, step, work.value);
    mean_and_deviation(b->count, work.value, &mean, &change);
    for (int64_t c = 0; c < control_count(axes); c++) sum[c] += controls[c];
  }
  sb_spline_add(fine, sum, scratch, field);
cleanup:
  for (int i = 0; i < 3; i++) {
    sb_spline_axis_free(&axes[i]);
    sb_spline_axis_free(&fine[i]);
  }
  free(work.value);
  free(work.beyond);
  free(work.bin);
  free(residual);
  free(step);
  free(scratch);
  free(weights);
  free(controls);
  free(sum);
  return status;
}

sb_status sb_bias_estimate(const sb_volume *image, double voxel_mm, const uint8_t *brain,
                           float *field) {
  const int64_t n = image->dims[0] * image->dims[1] * image->dims[2];
  blocks b = {0};
  double complex roots[FFT / 2];
  double mean, deviation;
  sb_status status;
  memset(field, 0, (size_t)n * sizeof *field);
  SB_TRY(blocks_create(image, voxel_mm, brain, &b));
  if (b.count < LEAST_BLOCKS) goto cleanup;
  for (int i = 0; i < FFT / 2; i++) {
    double angle = 6.283185307179586 * i / FFT;
    roots[i] = CMPLX(cos(angle), sin(angle));
  }
  for (int level = 0; level < LEVELS; level++)
    SB_TRY(refine(image, (int64_t)1 << level, roots, &b, field));
  mean_and_deviation(b.count, b.field, &mean, &deviation);
  for (int64_t i = 0; i < n; i++) field[i] -= (float)mean;
cleanup:
  blocks_free(&b);
  return status;
}
