// Peaks of phase correlations: poc. Spectra are short (waves of 8 mm and longer) and shifts few, so sums
// over frequencies, one axis after the other, take less than an inverse transform would: at 2 mm, with
// spectra of 32 x 49 x 41, 9 million operations a pair, against 255 million (2.5 N log2 N) for a transform
// onto the 150 x 192 x 160 points that are 1 mm apart. They are also what the host computes: in its
// order, so with its bits.
//   1. along z: a thread takes a place of the plane, makes the products of all slabs there, and turns
//      and adds them for all shifts at once; and counts the frequencies that both scans have;
//   2. along y: a thread takes a shift in z and a frequency in x, for all shifts in y;
//   3. a block takes a pair: the real sums along x for all shifts, and the highest.
//
// A pair reads both spectra once, 2 x 514 kB, for 110 operations a complex number of each, and leaves 213
// kB between the steps: arithmetic decides where spectra come from the second cache.
#include "kernels.h"

#include "device.h"

enum { VALUES = SB_SHIFTS * SB_SHIFTS * SB_SHIFTS };
#ifdef SAMEBRAIN_SMALL_TILES
enum { THREADS = 32 };
#else
enum { THREADS = 256 };
#endif

// What lies between the steps, each part for all pairs.
struct stages {
  float *slabs;    // [pair][shift in z][real, imaginary][row][frequency]
  float *lines;    // [pair][shift in z][shift in y][real, imaginary][frequency]
  uint32_t *count; // [pair][row][frequency]: of frequencies that both scans have
};

static __device__ int64_t plane_of(const sb_kernel_phases &f) {
  return f.width * f.rows;
}

static __global__ void turn_slabs(sb_kernel_pairs p, sb_kernel_phases f, stages out) {
  const int64_t plane = plane_of(f), spectrum = plane * f.slabs;
  for (int64_t item = sb_first_item(); item < p.m * p.n * plane; item += sb_item_step()) {
    const int64_t pair = item / plane, at = item % plane;
    const float *a = p.a + pair / p.n * p.size + at, *b = p.b + pair % p.n * p.size + at;
    float sum_re[SB_SHIFTS] = {}, sum_im[SB_SHIFTS] = {};
    uint32_t there = 0;
    for (int64_t k = 0; k < f.slabs; k++) {
      const int64_t i = k * plane;
      const float re = sb_phase_re(a[i], a[spectrum + i], b[i], b[spectrum + i]);
      const float im = sb_phase_im(a[i], a[spectrum + i], b[i], b[spectrum + i]);
      there += (uint32_t)sb_phase_there(re, im);
      SB_UNROLL
      for (int s = 0; s < SB_SHIFTS; s++) {
        const float c = f.turn_re[2][s * f.slabs + k], d = f.turn_im[2][s * f.slabs + k];
        sum_re[s] += sb_turned_re(re, im, c, d);
        sum_im[s] += sb_turned_im(re, im, c, d);
      }
    }
    SB_UNROLL
    for (int s = 0; s < SB_SHIFTS; s++) {
      float *slab = out.slabs + (pair * SB_SHIFTS + s) * 2 * plane + at;
      slab[0] = sum_re[s];
      slab[plane] = sum_im[s];
    }
    out.count[item] = at % f.width == 0 ? there : 2 * there; // with the mirror image's
  }
}

static __global__ void turn_rows(sb_kernel_pairs p, sb_kernel_phases f, stages s) {
  const int64_t plane = plane_of(f);
  for (int64_t item = sb_first_item(); item < p.m * p.n * SB_SHIFTS * f.width;
       item += sb_item_step()) {
    const int64_t of = item / f.width, at = item % f.width; // of: a pair and a shift in z
    const float *slab = s.slabs + of * 2 * plane + at;
    float sum_re[SB_SHIFTS] = {}, sum_im[SB_SHIFTS] = {};
    for (int64_t k = 0; k < f.rows; k++) {
      const float re = slab[k * f.width], im = slab[plane + k * f.width];
      SB_UNROLL
      for (int y = 0; y < SB_SHIFTS; y++) {
        const float c = f.turn_re[1][y * f.rows + k], d = f.turn_im[1][y * f.rows + k];
        sum_re[y] += sb_turned_re(re, im, c, d);
        sum_im[y] += sb_turned_im(re, im, c, d);
      }
    }
    SB_UNROLL
    for (int y = 0; y < SB_SHIFTS; y++) {
      float *line = s.lines + (of * SB_SHIFTS + y) * 2 * f.width + at;
      line[0] = sum_re[y];
      line[f.width] = sum_im[y];
    }
  }
}

static __global__ void find_peaks(sb_kernel_pairs p, sb_kernel_phases f, stages s) {
  SB_SHARED(double, value, VALUES);
  SB_SHARED(double, sums, THREADS);
  const int64_t plane = plane_of(f);
  for (int64_t pair = blockIdx.x; pair < p.m * p.n; pair += gridDim.x) {
    double mine = 0; // whole numbers: the same in any order
    for (int64_t i = threadIdx.x; i < plane; i += THREADS) mine += s.count[pair * plane + i];
    const double weight = sb_block_sum(sums, mine);
    for (int i = (int)threadIdx.x; i < VALUES; i += THREADS) {
      const int x = i % SB_SHIFTS;
      const float *re = s.lines + (pair * SB_SHIFTS * SB_SHIFTS + i / SB_SHIFTS) * 2 * f.width;
      value[i] = sb_line_sum(f.band, re, re + f.width, f.turn_re[0] + x * f.width,
                             f.turn_im[0] + x * f.width) /
                 weight;
    }
    __syncthreads();
    if (threadIdx.x == 0)
      p.scores[pair] = weight > 0 ? sb_clamp(sb_peak_of(sb_plain(value)), -1, 1) : 0;
    __syncthreads();
  }
}

int64_t sb_kernel_phases_bytes(const sb_kernel_phases *phases) {
  const int64_t plane = phases->width * phases->rows;
  return (int64_t)sizeof(float) *
         (SB_SHIFTS * 2 * plane + SB_SHIFTS * SB_SHIFTS * 2 * phases->width + plane);
}

cudaError_t sb_kernel_phase_scores(const sb_kernel_pairs *pairs, const sb_kernel_phases *phases) {
  const sb_kernel_pairs p = *pairs;
  const sb_kernel_phases f = *phases;
  const int64_t count = p.m * p.n, plane = f.width * f.rows;
  stages s;
  s.slabs = static_cast<float *>(p.work);
  s.lines = s.slabs + count * SB_SHIFTS * 2 * plane;
  s.count = reinterpret_cast<uint32_t *>(s.lines + count * SB_SHIFTS * SB_SHIFTS * 2 * f.width);
  SB_LAUNCH(turn_slabs, sb_blocks(count * plane), SB_THREADS, p.stream, p, f, s);
  cudaError_t code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(turn_rows, sb_blocks(count * SB_SHIFTS * f.width), SB_THREADS, p.stream, p, f, s);
  code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(find_peaks, sb_most_blocks(count), THREADS, p.stream, p, f, s);
  return cudaGetLastError();
}
