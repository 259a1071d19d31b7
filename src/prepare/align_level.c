// One resolution of the alignment: regressors, normal matrix, sums and the Gauss-Newton step.
#include "prepare/align_level.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/cholesky.h"
#include "core/clones.h"
#include "core/geometry.h"
#include "core/memory.h"

// Coordinates of the model are in units of this, so that all regressors have similar sizes.
static const double UNIT_MM = 100;

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
enum { GAIN = SB_MOTIONS };

typedef float lanes __attribute__((vector_size(SB_LANES * sizeof(float)), may_alias));

static void row_factors(const sb_align_level *level, const sb_span *span, double f[ROW_FACTORS]) {
  double y = (level->origin_mm[1] + span->y * level->spacing_mm[1] - level->centre_mm[1]) / UNIT_MM;
  double z = (level->origin_mm[2] + span->z * level->spacing_mm[2] - level->centre_mm[2]) / UNIT_MM;
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
  *first = (float)(mm / UNIT_MM);
  *step = (float)(level->spacing_mm[0] / UNIT_MM);
}

// Adds up the 16 lanes of each accumulator, always in the same order.
static inline void fold(size_t count, float (*sums)[SB_LANES]) {
  for (size_t half = SB_LANES / 2; half > 0; half /= 2)
    for (size_t i = 0; i < count; i++)
      for (size_t lane = 0; lane < half; lane++) sums[i][lane] += sums[i][lane + half];
}

// ---- The normal matrix --------------------------------------------------------------------------

// A span's basis functions at each of its voxels and the padding after them.
SB_CLONES
static void span_basis(const sb_align_level *level, const sb_span *span, float *basis[BASIS]) {
  float first, step;
  x_ramp(level, span, &first, &step);
  lanes x, one;
  for (int lane = 0; lane < SB_LANES; lane++) x[lane] = first + (float)lane * step;
  for (int lane = 0; lane < SB_LANES; lane++) one[lane] = 1;
  for (int32_t i = 0; i < span->count; i += SB_LANES, x += step * SB_LANES) {
    const int64_t at = span->offset + i;
    if (span->count - i < SB_LANES)
      for (int lane = span->count - i; lane < SB_LANES; lane++) one[lane] = 0;
    const lanes weight = level->weight != NULL ? *(const lanes *)(level->weight + at) : one;
    const lanes t = *(const lanes *)(level->template_values + at) * weight;
    for (int d = 0; d < 3; d++) {
      const lanes g = *(const lanes *)(level->gradient[d] + at) * weight;
      *(lanes *)(basis[2 * d] + i) = g;
      *(lanes *)(basis[2 * d + 1] + i) = g * x;
    }
    *(lanes *)(basis[T] + i) = t;
    *(lanes *)(basis[T_X] + i) = t * x;
    *(lanes *)(basis[T_XX] + i) = t * x * x;
    *(lanes *)(basis[M] + i) = *(const lanes *)(level->smooth_mask + at) * weight;
    *(lanes *)(basis[ONE] + i) = weight;
  }
}

SB_CLONES
static void span_products(int32_t padded, float *const basis[BASIS], double out[BASIS * BASIS]) {
  for (int a = 0; a < BASIS; a++)
    for (int b = 0; b <= a; b++) {
      lanes sum = {0};
      for (int32_t i = 0; i < padded; i += SB_LANES)
        sum += *(const lanes *)(basis[a] + i) * *(const lanes *)(basis[b] + i);
      float one[1][SB_LANES];
      memcpy(one, &sum, sizeof sum);
      fold(1, one);
      out[a * BASIS + b] = out[b * BASIS + a] = (double)one[0][0];
    }
}

//   store  scratch, BASIS times the longest span
static void normal_matrix(const sb_align_level *level, float *store,
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

// ---- Freedoms: fewer motions than 12 ------------------------------------------------------------

// How many unknowns a freedom has, photometric ones included, and which combination of the 24 each
// is: columns[k] is a vector of 24.
static int freedom_columns(sb_freedom freedom, double columns[SB_UNKNOWNS][SB_UNKNOWNS]) {
  memset(columns, 0, SB_UNKNOWNS * sizeof *columns);
  int count = 0;
  if (freedom == SB_AFFINE) {
    for (; count < SB_MOTIONS; count++) columns[count][count] = 1;
  } else {
    for (int d = 0; d < 3; d++) columns[count++][4 * d + 3] = 1; // translations
    for (int d = 0; d < 3; d++) {                                // rotations about each axis
      int a = (d + 1) % 3, b = (d + 2) % 3;
      columns[count][4 * b + a] = 1;
      columns[count++][4 * a + b] = -1;
    }
    for (int d = 0; d < 3; d++) columns[count][4 * d + d] = 1; // scale
    count++;
  }
  for (int i = SB_MOTIONS; i < SB_UNKNOWNS; i++) columns[count++][i] = 1;
  return count;
}

static bool factorise_freedom(const double h[SB_UNKNOWNS * SB_UNKNOWNS], sb_freedom freedom,
                              double *factor) {
  double columns[SB_UNKNOWNS][SB_UNKNOWNS];
  int n = freedom_columns(freedom, columns);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (int p = 0; p < SB_UNKNOWNS; p++) {
        if (columns[i][p] == 0) continue;
        for (int q = 0; q < SB_UNKNOWNS; q++)
          sum += columns[i][p] * h[p * SB_UNKNOWNS + q] * columns[j][q];
      }
      factor[i * n + j] = sum;
    }
  for (int i = 0; i < n; i++) factor[i * n + i] *= 1 + 1e-9;
  return sb_cholesky(n, factor);
}

// ---- Building a level ---------------------------------------------------------------------------

// Of fine grids every `thin`-th row is enough: so many voxels are left to look at. Coarse levels tell
// places from each other and need fewer than those that alignment ends on.
static const double COARSE_MM = 3;
static const int64_t ENOUGH_VOXELS = 250000, ENOUGH_COARSE = 60000;

// Which voxels of each row take part: from the first to the last where the smoothed mask says that
// the brain is near. Rows of thinned grids are as far from each other in y as in z, about.
static sb_status find_spans(const sb_volume *nearness, sb_align_level *level) {
  const int64_t nx = nearness->dims[0], ny = nearness->dims[1], nz = nearness->dims[2];
  const int64_t enough = level->spacing_mm[1] > COARSE_MM ? ENOUGH_COARSE : ENOUGH_VOXELS;
  int64_t thin = 1;
  while (nx * ny * nz > enough * thin) thin *= 2;
  const int64_t aside = llround(sqrt((double)thin));
  sb_status status = SB_NEW(&level->spans, ny * nz, "alignment");
  if (status.code != SB_OK) return status;
  for (int64_t z = 0; z < nz; z++)
    for (int64_t y = 0; y < ny; y++) {
      if ((y + aside * z) % thin != 0) continue;
      const float *row = nearness->voxels + nx * (y + ny * z);
      int64_t first = 0, last = nx - 1;
      while (first < nx && row[first] < 0.05f) first++;
      while (last > first && row[last] < 0.05f) last--;
      if (first >= nx) continue;
      sb_span *span = &level->spans[level->span_count++];
      *span = (sb_span){.x = (int32_t)first,
                        .y = (int32_t)y,
                        .z = (int32_t)z,
                        .count = (int32_t)(last - first + 1),
                        .offset = level->stored};
      int32_t padded = (span->count + SB_LANES - 1) / SB_LANES * SB_LANES;
      level->voxels += span->count;
      level->stored += padded;
      if (padded > level->longest) level->longest = padded;
    }
  return status;
}

// Central difference along one axis, per mm; one-sided at the grid's ends.
static float derivative(const sb_volume *v, const int64_t at[3], int axis, double spacing_mm) {
  int64_t low[3] = {at[0], at[1], at[2]}, high[3] = {at[0], at[1], at[2]};
  if (low[axis] > 0) low[axis]--;
  if (high[axis] + 1 < v->dims[axis]) high[axis]++;
  const int64_t *d = v->dims;
  float difference = v->voxels[high[0] + d[0] * (high[1] + d[1] * high[2])] -
                     v->voxels[low[0] + d[0] * (low[1] + d[1] * low[2])];
  return high[axis] == low[axis]
             ? 0
             : difference / (float)((double)(high[axis] - low[axis]) * spacing_mm);
}

static void fill_spans(const sb_volume *image, const sb_volume *smooth_mask,
                       sb_align_level *level) {
  for (int64_t s = 0; s < level->span_count; s++) {
    const sb_span *span = &level->spans[s];
    for (int32_t i = 0; i < span->count; i++) {
      const int64_t at[3] = {span->x + i, span->y, span->z};
      int64_t from = at[0] + image->dims[0] * (at[1] + image->dims[1] * at[2]),
              to = span->offset + i;
      level->template_values[to] = image->voxels[from];
      level->smooth_mask[to] = smooth_mask->voxels[from];
      for (int d = 0; d < 3; d++)
        level->gradient[d][to] = derivative(image, at, d, level->spacing_mm[d]);
      level->template_sum += (double)image->voxels[from];
      level->template_squares += (double)image->voxels[from] * (double)image->voxels[from];
    }
  }
}

// The mean of the gain polynomial's terms over the brain. Row sums of T x^n times the row's factor
// are what the normal matrix holds between the gain terms and the constant.
static void set_mean_polynomial(const double h[SB_UNKNOWNS * SB_UNKNOWNS], sb_align_level *level) {
  for (int i = 0; i < SB_GAINS; i++)
    level->mean_polynomial[i] =
        h[(SB_UNKNOWNS - 1) * SB_UNKNOWNS + GAIN + i] / h[(SB_UNKNOWNS - 1) * SB_UNKNOWNS + GAIN];
}

sb_status sb_align_level_create(const sb_volume *image, const sb_volume *mask,
                                const sb_volume *nearness, const double spacing_mm[3],
                                const double origin_mm[3], const double centre_mm[3],
                                sb_align_level *out) {
  memset(out, 0, sizeof *out);
  memcpy(out->spacing_mm, spacing_mm, sizeof out->spacing_mm);
  memcpy(out->origin_mm, origin_mm, sizeof out->origin_mm);
  memcpy(out->centre_mm, centre_mm, sizeof out->centre_mm);
  double h[SB_UNKNOWNS * SB_UNKNOWNS];
  float *basis = NULL;
  sb_status status;
  SB_TRY(find_spans(nearness, out));
  SB_TRY(SB_NEW_ZERO(&out->template_values, out->stored, "alignment"));
  SB_TRY(SB_NEW_ZERO(&out->smooth_mask, out->stored, "alignment"));
  for (int d = 0; d < 3; d++) SB_TRY(SB_NEW_ZERO(&out->gradient[d], out->stored, "alignment"));
  fill_spans(image, mask, out);
  SB_TRY(SB_NEW(&basis, out->longest * BASIS, "alignment"));
  normal_matrix(out, basis, h);
  set_mean_polynomial(h, out);
  for (int f = 0; f < SB_FREEDOMS; f++)
    if (!factorise_freedom(h, (sb_freedom)f, out->factor[f])) {
      status = sb_error(SB_CONTENT, "the template has too little structure to align to");
      goto cleanup;
    }
cleanup:
  free(basis);
  if (status.code != SB_OK) sb_align_level_free(out);
  return status;
}

void sb_align_level_free(sb_align_level *level) {
  free(level->spans);
  free(level->template_values);
  free(level->smooth_mask);
  for (int d = 0; d < 3; d++) free(level->gradient[d]);
  memset(level, 0, sizeof *level);
}

// Where a span begins in the scan, and the way from voxel to voxel.
static void place_span(const sb_align_level *level, const sb_span *span, const double to_scan[16],
                       double start[3], double step[3]) {
  const double p[3] = {level->origin_mm[0] + span->x * level->spacing_mm[0],
                       level->origin_mm[1] + span->y * level->spacing_mm[1],
                       level->origin_mm[2] + span->z * level->spacing_mm[2]};
  sb_affine_apply(to_scan, p, start);
  for (int i = 0; i < 3; i++) step[i] = to_scan[4 * i] * level->spacing_mm[0];
}

// ---- What the scan tells about ------------------------------------------------------------------

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
  lanes all_squares = {0}, voxels = {0}, sum = {0}, squares = {0};
  const int32_t padded = (span->count + SB_LANES - 1) / SB_LANES * SB_LANES;
  for (int32_t i = 0; i < padded; i += SB_LANES) {
    float wanted[SB_LANES], taken[SB_LANES];
    for (int32_t lane = 0; lane < SB_LANES; lane++) {
      const int32_t at = i + lane;
      const bool want = (mask[at] > least) & (at < span->count);
      const bool dark = (line[at] >= low) & (line[at] <= high);
      wanted[lane] = want ? 1 : 0;
      taken[lane] = want & !dark & (at >= from) & (at < to) ? 1 : 0;
    }
    lanes w, v = *(const lanes *)(t + i), part;
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
  fold(4, folded);
  *out = (span_count){folded[0][0], folded[1][0], folded[2][0], folded[3][0]};
}

bool sb_align_level_focus(const sb_align_level *whole, const sb_packed *scan,
                          const double to_scan[16], const sb_align_view *view, float *line,
                          float *weight, float *basis, sb_align_level *out) {
  double h[SB_UNKNOWNS * SB_UNKNOWNS], squares = 0;
  *out = *whole;
  out->weight = weight;
  out->voxels = 0;
  out->template_sum = out->template_squares = 0;
  for (int64_t s = 0; s < whole->span_count; s++) {
    const sb_span *span = &whole->spans[s];
    double start[3], step[3];
    int32_t from, to;
    place_span(whole, span, to_scan, start, step);
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
  normal_matrix(out, basis, h);
  set_mean_polynomial(h, out);
  for (int f = 0; f < SB_FREEDOMS; f++)
    if (!factorise_freedom(h, (sb_freedom)f, out->factor[f])) return false;
  return true;
}

// ---- Looking and stepping -----------------------------------------------------------------------

enum { SQUARES = SB_UNKNOWNS, SUMS };

// Adds one span's part to the sums over the scan, lane by lane: every regressor times the scan, and
// the scan squared.
SB_CLONES
static void add_span(const sb_align_level *level, const sb_span *span, const float *line,
                     lanes sums[SUMS]) {
  float first, step;
  double factors[ROW_FACTORS];
  x_ramp(level, span, &first, &step);
  row_factors(level, span, factors);
  lanes x, sum[BASIS], squares = {0};
  for (int lane = 0; lane < SB_LANES; lane++) x[lane] = first + (float)lane * step;
  memset(sum, 0, sizeof sum);
  const float stride = step * SB_LANES;
  for (int32_t i = 0; i < span->count; i += SB_LANES) {
    int64_t at = span->offset + i;
    lanes v = *(const lanes *)(line + i), vx = v * x;
    lanes t = *(const lanes *)(level->template_values + at);
    lanes gx = *(const lanes *)(level->gradient[0] + at);
    lanes gy = *(const lanes *)(level->gradient[1] + at);
    lanes gz = *(const lanes *)(level->gradient[2] + at);
    sum[GX] += gx * v;
    sum[GX_X] += gx * vx;
    sum[GY] += gy * v;
    sum[GY_X] += gy * vx;
    sum[GZ] += gz * v;
    sum[GZ_X] += gz * vx;
    sum[T] += t * v;
    sum[T_X] += t * vx;
    sum[T_XX] += t * (vx * x);
    sum[M] += *(const lanes *)(level->smooth_mask + at) * v;
    sum[ONE] += v;
    squares += v * v;
    x += stride;
  }
  for (int i = 0; i < SB_UNKNOWNS; i++)
    sums[i] += sum[REGRESSOR[i].basis] * (float)factors[REGRESSOR[i].factor];
  sums[SQUARES] += squares;
}

// Folds the lanes and starts them anew.
static void flush(lanes sums[SUMS], sb_alignment_sums *out) {
  float folded[SUMS][SB_LANES];
  memcpy(folded, sums, sizeof folded);
  fold(SUMS, folded);
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
  lanes sums[SUMS];
  memset(sums, 0, sizeof sums);
  for (int64_t s = 0; s < level->span_count; s++) {
    const sb_span *span = &level->spans[s];
    const int32_t padded = (span->count + SB_LANES - 1) / SB_LANES * SB_LANES;
    double start[3], step[3];
    place_span(level, span, to_scan, start, step);
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
  out->scan_template = out->projection[GAIN];
}

double sb_align_level_ncc(const sb_align_level *level, const sb_alignment_sums *sums) {
  double n = (double)level->voxels;
  double scan = sums->scan_squares - sums->scan * sums->scan / n;
  double tmpl = level->template_squares - level->template_sum * level->template_sum / n;
  double both = sums->scan_template - sums->scan * level->template_sum / n;
  double product = scan * tmpl;
  return product > 0 ? both / sqrt(product) : 0;
}

// Makes the 3x3 part of a matrix a rotation times a scale, leaving where it takes `centre`. Newton's iteration for the polar factor.
static void restrict_motion(const double centre[3], double a[16]) {
  double kept[3], now[3];
  sb_affine_apply(a, centre, kept);
  double scale = cbrt(sb_affine_determinant(a));
  a[3] = a[7] = a[11] = 0;
  for (int iteration = 0; iteration < 20; iteration++) {
    double inverse[16];
    if (!sb_affine_invert(a, inverse)) return;
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 3; j++) a[4 * i + j] = 0.5 * (a[4 * i + j] + inverse[4 * j + i]);
  }
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) a[4 * i + j] *= scale;
  sb_affine_apply(a, centre, now);
  for (int i = 0; i < 3; i++) a[4 * i + 3] = kept[i] - now[i];
}

bool sb_align_level_step(const sb_align_level *level, const sb_alignment_sums *sums,
                         sb_freedom freedom, double step[16], double gain[SB_GAINS]) {
  static const double MOST_LINEAR = 0.3, MOST_MM = 25; // of one step
  double columns[SB_UNKNOWNS][SB_UNKNOWNS], reduced[SB_UNKNOWNS], found[SB_UNKNOWNS] = {0};
  int n = freedom_columns(freedom, columns);
  for (int i = 0; i < n; i++) {
    reduced[i] = 0;
    for (int p = 0; p < SB_UNKNOWNS; p++) reduced[i] += columns[i][p] * sums->projection[p];
  }
  sb_cholesky_solve(n, level->factor[freedom], reduced);
  for (int i = 0; i < n; i++)
    for (int p = 0; p < SB_UNKNOWNS; p++) found[p] += columns[i][p] * reduced[i];

  double mean = 0;
  for (int i = 0; i < SB_GAINS; i++) mean += found[GAIN + i] * level->mean_polynomial[i];
  if (!(mean > 0) || !isfinite(mean)) return false;
  for (int i = 0; i < SB_GAINS; i++) gain[i] = found[GAIN + i] / mean;
  double linear = 0, shift = 0;
  for (int i = 0; i < SB_MOTIONS; i++) {
    found[i] /= mean;
    if (!isfinite(found[i])) return false;
    if (i % 4 == 3)
      shift = fmax(shift, fabs(found[i]));
    else
      linear = fmax(linear, fabs(found[i] / UNIT_MM));
  }
  double damp = fmin(1, fmin(MOST_LINEAR / fmax(linear, 1e-12), MOST_MM / fmax(shift, 1e-12)));
  sb_affine_identity(step);
  for (int d = 0; d < 3; d++) {
    step[4 * d + 3] = damp * found[4 * d + 3];
    for (int j = 0; j < 3; j++) {
      double a = damp * found[4 * d + j] / UNIT_MM;
      step[4 * d + j] += a;
      step[4 * d + 3] -= a * level->centre_mm[j];
    }
  }
  if (!sb_affine_invert(step, step)) return false;
  if (freedom != SB_AFFINE) restrict_motion(level->centre_mm, step);
  return true;
}

double sb_align_level_gain(const sb_align_level *level, const double gain[SB_GAINS],
                           const double point_mm[3]) {
  double p[3];
  for (int i = 0; i < 3; i++) p[i] = (point_mm[i] - level->centre_mm[i]) / UNIT_MM;
  return gain[0] + gain[1] * p[0] + gain[2] * p[1] + gain[3] * p[2] + gain[4] * p[0] * p[0] +
         gain[5] * p[1] * p[1] + gain[6] * p[2] * p[2] + gain[7] * p[0] * p[1] +
         gain[8] * p[0] * p[2] + gain[9] * p[1] * p[2];
}
