// The model's regressors: their products with each other and with the scan.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/clones.h"
#include "prepare/align_model.h"

// Along one span y and z are fixed, so every regressor is one of 11 functions of x times one of 6
// constants of the row.
enum { GX, GX_X, GY, GY_X, GZ, GZ_X, T, T_X, T_XX, M, ONE, BASIS };
static_assert((int)BASIS == (int)SB_ALIGN_BASIS, "as the header says");
enum { R_1, R_Y, R_Z, R_YY, R_ZZ, R_YZ, ROW_FACTORS };
static const struct {
  uint8_t basis, factor;
} REGRESSOR[SB_UNKNOWNS] = {
    {GX_X, R_1}, {GX, R_Y},  {GX, R_Z},  {GX, R_1}, // displacement along x: times x, y, z, 1
    {GY_X, R_1}, {GY, R_Y},  {GY, R_Z},  {GY, R_1}, // along y
    {GZ_X, R_1}, {GZ, R_Y},  {GZ, R_Z},  {GZ, R_1}, // along z
    {T, R_1},    {T_X, R_1}, {T, R_Y},   {T, R_Z},   {T_XX, R_1}, // gain: 1 x y z xx
    {T, R_YY},   {T, R_ZZ},  {T_X, R_Y}, {T_X, R_Z}, {T, R_YZ},   // yy zz xy xz yz
    {M, R_1},    {ONE, R_1},
};
static void row_factors(const sb_align_level *level, const sb_span *span, double f[ROW_FACTORS]) {
  double y = (level->origin_mm[1] + span->y * level->spacing_mm[1] - level->centre_mm[1]) /
             SB_ALIGN_UNIT_MM;
  double z = (level->origin_mm[2] + span->z * level->spacing_mm[2] - level->centre_mm[2]) /
             SB_ALIGN_UNIT_MM;
  f[R_1] = 1;
  f[R_Y] = y;
  f[R_Z] = z;
  f[R_YY] = y * y;
  f[R_ZZ] = z * z;
  f[R_YZ] = y * z;
}

// x of a span's first voxel, and of one voxel to the next, in the model's units.
static void x_ramp(const sb_align_level *level, const sb_span *span, float *first, float *step) {
  double mm = level->origin_mm[0] + span->x * level->spacing_mm[0] - level->centre_mm[0];
  *first = (float)(mm / SB_ALIGN_UNIT_MM);
  *step = (float)(level->spacing_mm[0] / SB_ALIGN_UNIT_MM);
}

// ---- The normal matrix --------------------------------------------------------------------------

// A span's basis functions at each of its voxels and the padding after them.
SB_CLONES
static void span_basis(const sb_align_level *level, const sb_span *span, float *basis[BASIS]) {
  float first, step;
  x_ramp(level, span, &first, &step);
  sb_lanes x, one;
  for (int lane = 0; lane < SB_LANES; lane++) x[lane] = first + (float)lane * step;
  for (int lane = 0; lane < SB_LANES; lane++) one[lane] = 1;
  for (int32_t i = 0; i < span->count; i += SB_LANES, x += step * SB_LANES) {
    const int64_t at = span->offset + i;
    if (span->count - i < SB_LANES)
      for (int lane = span->count - i; lane < SB_LANES; lane++) one[lane] = 0;
    const sb_lanes weight = level->weight != NULL ? *(const sb_lanes *)(level->weight + at) : one;
    const sb_lanes t = *(const sb_lanes *)(level->template_values + at) * weight;
    for (int d = 0; d < 3; d++) {
      const sb_lanes g = *(const sb_lanes *)(level->gradient[d] + at) * weight;
      *(sb_lanes *)(basis[2 * d] + i) = g;
      *(sb_lanes *)(basis[2 * d + 1] + i) = g * x;
    }
    *(sb_lanes *)(basis[T] + i) = t;
    *(sb_lanes *)(basis[T_X] + i) = t * x;
    *(sb_lanes *)(basis[T_XX] + i) = t * x * x;
    *(sb_lanes *)(basis[M] + i) = *(const sb_lanes *)(level->smooth_mask + at) * weight;
    *(sb_lanes *)(basis[ONE] + i) = weight;
  }
}

SB_CLONES
static void span_products(int32_t padded, float *const basis[BASIS], double out[BASIS * BASIS]) {
  for (int a = 0; a < BASIS; a++)
    for (int b = 0; b <= a; b++) {
      sb_lanes sum = {0};
      for (int32_t i = 0; i < padded; i += SB_LANES)
        sum += *(const sb_lanes *)(basis[a] + i) * *(const sb_lanes *)(basis[b] + i);
      float one[1][SB_LANES];
      memcpy(one, &sum, sizeof sum);
      sb_fold(1, one);
      out[a * BASIS + b] = out[b * BASIS + a] = (double)one[0][0];
    }
}

void sb_align_normal_matrix(const sb_align_level *level, float *store,
                            double h[SB_UNKNOWNS * SB_UNKNOWNS]) {
  float *basis[BASIS];
  for (int b = 0; b < BASIS; b++) basis[b] = store + b * level->longest;
  memset(h, 0, SB_UNKNOWNS * SB_UNKNOWNS * sizeof *h);
  for (int64_t s = 0; s < level->span_count; s++) {
    const sb_span *span = &level->spans[s];
    int32_t padded = (span->count + SB_LANES - 1) / SB_LANES * SB_LANES;
    span_basis(level, span, basis);
    double products[BASIS * BASIS], f[ROW_FACTORS];
    span_products(padded, basis, products);
    row_factors(level, span, f);
    for (int i = 0; i < SB_UNKNOWNS; i++)
      for (int j = 0; j <= i; j++)
        h[i * SB_UNKNOWNS + j] += products[REGRESSOR[i].basis * BASIS + REGRESSOR[j].basis] *
                                  f[REGRESSOR[i].factor] * f[REGRESSOR[j].factor];
  }
  for (int i = 0; i < SB_UNKNOWNS; i++)
    for (int j = 0; j < i; j++) h[j * SB_UNKNOWNS + i] = h[i * SB_UNKNOWNS + j];
}

// ---- Looking ------------------------------------------------------------------------------------

enum { SQUARES = SB_UNKNOWNS, SUMS };

// Adds one span's part to the sums over the scan, lane by lane: every regressor times the scan, and
// the scan squared.
SB_CLONES
static void add_span(const sb_align_level *level, const sb_span *span, const float *line,
                     sb_lanes sums[SUMS]) {
  float first, step;
  double factors[ROW_FACTORS];
  x_ramp(level, span, &first, &step);
  row_factors(level, span, factors);
  sb_lanes x, sum[BASIS], squares = {0};
  for (int lane = 0; lane < SB_LANES; lane++) x[lane] = first + (float)lane * step;
  memset(sum, 0, sizeof sum);
  const float stride = step * SB_LANES;
  for (int32_t i = 0; i < span->count; i += SB_LANES) {
    int64_t at = span->offset + i;
    sb_lanes v = *(const sb_lanes *)(line + i), vx = v * x;
    sb_lanes t = *(const sb_lanes *)(level->template_values + at);
    sb_lanes gx = *(const sb_lanes *)(level->gradient[0] + at);
    sb_lanes gy = *(const sb_lanes *)(level->gradient[1] + at);
    sb_lanes gz = *(const sb_lanes *)(level->gradient[2] + at);
    sum[GX] += gx * v;
    sum[GX_X] += gx * vx;
    sum[GY] += gy * v;
    sum[GY_X] += gy * vx;
    sum[GZ] += gz * v;
    sum[GZ_X] += gz * vx;
    sum[T] += t * v;
    sum[T_X] += t * vx;
    sum[T_XX] += t * (vx * x);
    sum[M] += *(const sb_lanes *)(level->smooth_mask + at) * v;
    sum[ONE] += v;
    squares += v * v;
    x += stride;
  }
  for (int i = 0; i < SB_UNKNOWNS; i++)
    sums[i] += sum[REGRESSOR[i].basis] * (float)factors[REGRESSOR[i].factor];
  sums[SQUARES] += squares;
}

// Folds the lanes and starts them anew.
static void flush(sb_lanes sums[SUMS], sb_alignment_sums *out) {
  float folded[SUMS][SB_LANES];
  memcpy(folded, sums, sizeof folded);
  sb_fold(SUMS, folded);
  for (int i = 0; i < SB_UNKNOWNS; i++) out->projection[i] += (double)folded[i][0];
  out->scan_squares += (double)folded[SQUARES][0];
  memset(sums, 0, SUMS * sizeof *sums);
}

SB_CLONES
static void multiply_row(int32_t count, const float *restrict in, float *restrict out) {
  for (int32_t i = 0; i < count; i++) out[i] *= in[i];
}

void sb_align_level_look(const sb_align_level *level, const sb_packed *scan,
                         const double to_scan[16], float *line, sb_alignment_sums *out) {
  enum { SPANS_AT_ONCE = 64 }; // few enough that single precision holds their sums
  memset(out, 0, sizeof *out);
  sb_lanes sums[SUMS];
  memset(sums, 0, sizeof sums);
  for (int64_t s = 0; s < level->span_count; s++) {
    const sb_span *span = &level->spans[s];
    const int32_t padded = (span->count + SB_LANES - 1) / SB_LANES * SB_LANES;
    double start[3], step[3];
    sb_span_place(level, span, to_scan, start, step);
    sb_sample_packed_row(scan, start, step, padded, line);
    if (level->weight != NULL)
      multiply_row(padded, level->weight + span->offset, line);
    else
      for (int32_t i = span->count; i < padded; i++) line[i] = 0;
    add_span(level, span, line, sums);
    if (s % SPANS_AT_ONCE == SPANS_AT_ONCE - 1) flush(sums, out);
  }
  flush(sums, out);
  out->scan = out->projection[SB_UNKNOWNS - 1];
  out->scan_template = out->projection[SB_MOTIONS];
}

double sb_align_level_ncc(const sb_align_level *level, const sb_alignment_sums *sums) {
  double n = (double)level->voxels;
  double scan = sums->scan_squares - sums->scan * sums->scan / n;
  double tmpl = level->template_squares - level->template_sum * level->template_sum / n;
  double both = sums->scan_template - sums->scan * level->template_sum / n;
  double product = scan * tmpl;
  return product > 0 ? both / sqrt(product) : 0;
}

double sb_align_level_gain(const sb_align_level *level, const double gain[SB_GAINS],
                           const double point_mm[3]) {
  double p[3];
  for (int i = 0; i < 3; i++) p[i] = (point_mm[i] - level->centre_mm[i]) / SB_ALIGN_UNIT_MM;
  return gain[0] + gain[1] * p[0] + gain[2] * p[1] + gain[3] * p[2] + gain[4] * p[0] * p[0] +
         gain[5] * p[1] * p[1] + gain[6] * p[2] * p[2] + gain[7] * p[0] * p[1] +
         gain[8] * p[0] * p[2] + gain[9] * p[1] * p[2];
}
