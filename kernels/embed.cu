// Rows of float16 to vectors of norm 1, with the host's operations in the host's order (elements.h,
// vector.c, filter.c), without contraction: the same bits.
//
// Sums of a row run in 16 lanes, one thread each, which takes the elements of its lane one after the
// other: with 150 rows in work that is 2,400 threads, few, each waiting for its last addition; but rows
// come over the bus no faster than one in 9 us (435 kB at 50 GB/s), and so long may a row's sums take.
// A filter's taps read float32 from the caches: 3 x 17 of them a place of the box at 2 mm (radius 8).
#include "kernels.h"

#include "device.h"
#include "rounding.h"

static __global__ void decode(const void *in, sb_kernel_rows r) {
  const double *scales = static_cast<const double *>(in);
  const uint16_t *halves = reinterpret_cast<const uint16_t *>(scales + 2 * r.rows);
  for (int64_t i = sb_first_item(); i < r.rows * r.k; i += sb_item_step()) {
    const double *scale = scales + 2 * (i / r.k);
    r.values[i] = sb_row_value(sb_from_fp16(halves[i]), scale[0], scale[1]);
  }
}

// Elements of a lane that are on their way while as many are added: memory answers after hundreds of
// cycles, an addition after a few.
#ifdef SAMEBRAIN_SMALL_TILES
enum { AHEAD = 4 };
#else
enum { AHEAD = 32 };
#endif

// One lane of one row's sum of (value - centre)^power.
struct plain {
  static __device__ double of(float value, double centre) {
    (void)centre;
    return (double)value;
  }
};
struct squared {
  static __device__ double of(float value, double centre) {
    const double d = (double)value - centre;
    return d * d;
  }
};

// A lane's elements from the v-th of the row on.
static __device__ void read_ahead(const float *values, int64_t v, int64_t k, float (&out)[AHEAD]) {
  SB_UNROLL
  for (int a = 0; a < AHEAD; a++)
    out[a] = v + a * SB_DOT_LANES < k ? values[v + a * SB_DOT_LANES] : 0;
}

template <typename element> static __global__ void sum_lanes(sb_kernel_rows r, bool centred) {
  for (int64_t i = sb_first_item(); i < r.rows * SB_DOT_LANES; i += sb_item_step()) {
    const int64_t row = i / SB_DOT_LANES;
    const float *values = r.values + row * r.k;
    const double centre = centred ? r.figures[row].mean : 0;
    double sum = 0;
    float next[AHEAD];
    int64_t v = i % SB_DOT_LANES;
    read_ahead(values, v, r.k, next);
    for (; v < r.k; v += AHEAD * SB_DOT_LANES) {
      float now[AHEAD];
      SB_UNROLL
      for (int a = 0; a < AHEAD; a++) now[a] = next[a];
      read_ahead(values, v + AHEAD * SB_DOT_LANES, r.k, next);
      SB_UNROLL
      for (int a = 0; a < AHEAD; a++)
        if (v + a * SB_DOT_LANES < r.k) sum += element::of(now[a], centre);
    }
    r.lanes[i] = sum;
  }
}

static __global__ void take_rms(sb_kernel_rows r) {
  for (int64_t row = sb_first_item(); row < r.rows; row += sb_item_step())
    r.figures[row].rms = sqrt(sb_add_lanes(r.lanes + row * SB_DOT_LANES) / (double)r.k);
}

static __global__ void take_mean(sb_kernel_rows r) {
  for (int64_t row = sb_first_item(); row < r.rows; row += sb_item_step())
    r.figures[row].mean = sb_add_lanes(r.lanes + row * SB_DOT_LANES) / (double)r.k;
}

static __global__ void take_factor(sb_kernel_rows r) {
  for (int64_t row = sb_first_item(); row < r.rows; row += sb_item_step()) {
    sb_row_figures *f = r.figures + row;
    const double norm = sqrt(sb_add_lanes(r.lanes + row * SB_DOT_LANES));
    f->factor = 1 / norm;
    f->well = isfinite(norm) && isfinite(f->rms) && sb_varies(norm, f->rms, r.k);
  }
}

static __global__ void centre_and_scale(sb_kernel_rows r) {
  for (int64_t i = sb_first_item(); i < r.rows * r.k; i += sb_item_step()) {
    const sb_row_figures *f = r.figures + i / r.k;
    r.values[i] = sb_centre_and_scale(r.values[i], f->mean, f->factor);
  }
}

// ---- The filter ---------------------------------------------------------------------------------

// The weighted sum around a value, at(k) being k places further on.
template <typename place>
static __device__ float add_taps(const sb_kernel_filter &f, const place &at) {
  float sum = f.weight[0] * at(0);
  for (int k = 1; k <= f.radius; k++) sum += f.weight[k] * (at(-k) + at(k));
  return sum;
}

// Along x, out of the rows.
static __global__ void smooth_x(sb_kernel_rows r, sb_kernel_filter f) {
  const int64_t places = f.nx * f.ny * f.nz;
  for (int64_t i = sb_first_item(); i < r.rows * places; i += sb_item_step()) {
    const int64_t row = i / places, place = i - row * places, x = place % f.nx;
    const float *values = r.values + row * r.k;
    f.box[i] = add_taps(f, [&](int k) {
      const int32_t at = x + k < 0 || x + k >= f.nx ? -1 : f.row_of[place + k];
      return at < 0 ? 0.0f : values[at];
    });
  }
}

static __global__ void smooth_y(sb_kernel_rows r, sb_kernel_filter f) {
  for (int64_t i = sb_first_item(); i < r.rows * f.nx * f.ny * f.nz; i += sb_item_step()) {
    const int64_t y = i / f.nx % f.ny;
    f.other_box[i] =
        add_taps(f, [&](int k) { return y + k < 0 || y + k >= f.ny ? 0.0f : f.box[i + k * f.nx]; });
  }
}

// Along z, and off the rows.
static __global__ void subtract_z(sb_kernel_rows r, sb_kernel_filter f) {
  const int64_t slab = f.nx * f.ny, places = slab * f.nz;
  for (int64_t i = sb_first_item(); i < r.rows * places; i += sb_item_step()) {
    const int64_t row = i / places, place = i - row * places, z = place / slab;
    const int32_t at = f.row_of[place];
    if (at < 0) continue;
    const float sum = add_taps(
        f, [&](int k) { return z + k < 0 || z + k >= f.nz ? 0.0f : f.other_box[i + k * slab]; });
    float *value = r.values + row * r.k + at;
    *value = sb_without_smooth(*value, sum, f.inverse[at]);
  }
}

// ---- As C calls them ----------------------------------------------------------------------------

cudaError_t sb_kernel_decode(const void *in, const sb_kernel_rows *rows) {
  const sb_kernel_rows r = *rows;
  SB_LAUNCH(decode, sb_blocks(r.rows * r.k), SB_THREADS, r.stream, in, r);
  return cudaGetLastError();
}

cudaError_t sb_kernel_rms(const sb_kernel_rows *rows) {
  const sb_kernel_rows r = *rows;
  SB_LAUNCH(sum_lanes<squared>, sb_blocks(r.rows * SB_DOT_LANES), SB_THREADS, r.stream, r, false);
  const cudaError_t code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(take_rms, sb_blocks(r.rows), SB_THREADS, r.stream, r);
  return cudaGetLastError();
}

cudaError_t sb_kernel_bandpass(const sb_kernel_rows *rows, const sb_kernel_filter *filter) {
  const sb_kernel_rows r = *rows;
  const sb_kernel_filter f = *filter;
  const int64_t blocks = sb_blocks(r.rows * f.nx * f.ny * f.nz);
  SB_LAUNCH(smooth_x, blocks, SB_THREADS, r.stream, r, f);
  cudaError_t code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(smooth_y, blocks, SB_THREADS, r.stream, r, f);
  code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(subtract_z, blocks, SB_THREADS, r.stream, r, f);
  return cudaGetLastError();
}

cudaError_t sb_kernel_standardise(const sb_kernel_rows *rows) {
  const sb_kernel_rows r = *rows;
  const int64_t lanes = sb_blocks(r.rows * SB_DOT_LANES);
  SB_LAUNCH(sum_lanes<plain>, lanes, SB_THREADS, r.stream, r, false);
  cudaError_t code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(take_mean, sb_blocks(r.rows), SB_THREADS, r.stream, r);
  code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(sum_lanes<squared>, lanes, SB_THREADS, r.stream, r, true);
  code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(take_factor, sb_blocks(r.rows), SB_THREADS, r.stream, r);
  code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(centre_and_scale, sb_blocks(r.rows * r.k), SB_THREADS, r.stream, r);
  return cudaGetLastError();
}
