// Means over the voxels of what windows around them have in common: ssim, uqi, lncc. A block takes a pair
// and a tile of the mask's box in x and y, and marches through z:
//   1. products of the two rows, with a border of the window's radius, into shared memory;
//   2. sums along x for the tile's columns, still with the border in y;
//   3. sums along y, one for each thread, into a ring of the last 2 radius + 1 slices, the thread's own;
//   4. sums along z out of the ring, `radius` slices behind, and for a voxel in the mask what the element
//      makes of it, added up in float64.
// Tiles are added in a fixed order (add_parts.cu). Taps come in the order of measure/filter.c: with no
// contraction every voxel has the canonical score's value, to the bit.
//
// For a radius of 5 a place of the box takes 3 x 16 operations; with tiles of 32 x 16 sums along x are done
// 1.6 and products 2.1 times: at 2 mm (a box of 72 x 90 x 75 in 18 tiles) 34 million operations a pair. A pair reads seven rows of V floats beside the index of the box; blocks of
// one tile and many pairs follow each other, so that these come from the second cache.
#include "kernels.h"

#include "device.h"

#ifdef SAMEBRAIN_SMALL_TILES
enum { WIDTH = 8, HEIGHT = 4 };
#else
enum { WIDTH = 32, HEIGHT = 16 };
#endif
enum {
  THREADS = WIDTH * HEIGHT,
  MOST_WIDE = WIDTH + 2 * SB_MOST_RADIUS,
  MOST_HIGH = HEIGHT + 2 * SB_MOST_RADIUS,
  TILE_FLOATS = MOST_WIDE * MOST_HIGH,
  LINE_FLOATS = WIDTH * MOST_HIGH,
  RING_FLOATS = THREADS * (2 * SB_MOST_RADIUS + 1)
};

// The weighted sum around a value, at(k) being k places further on.
template <typename place>
static __device__ float add_taps(const sb_kernel_windows &w, const place &at) {
  float sum = w.weight[0] * at(0);
  for (int k = 1; k <= w.radius; k++) sum += w.weight[k] * (at(-k) + at(k));
  return sum;
}

// The row's element at a place of the box; -1 outside the mask or the box.
static __device__ int32_t element_at(const sb_kernel_windows &w, int64_t x, int64_t y, int64_t z) {
  if (x < 0 || x >= w.nx || y < 0 || y >= w.ny) return -1;
  return w.row_of[x + w.nx * (y + w.ny * z)];
}

template <typename shared>
static __device__ void load_products(const sb_kernel_windows &w, const float *a, const float *b,
                                     int64_t x0, int64_t y0, int64_t z, shared &tile) {
  const int wide = WIDTH + 2 * w.radius, high = HEIGHT + 2 * w.radius;
  for (int i = (int)threadIdx.x; i < wide * high; i += THREADS) {
    const int32_t at = element_at(w, x0 - w.radius + i % wide, y0 - w.radius + i / wide, z);
    tile[i] = at < 0 ? 0.0f : a[at] * b[at];
  }
}

// What the two scans have in common around an element, from its window's sum.
static __device__ float common(const sb_kernel_windows &w, const float *a, const float *b,
                               int32_t at, float sum, sb_structure_pair pair) {
  const int64_t mean = w.stride + at, spread = 2 * w.stride + at;
  if (w.score == SB_WINDOWS_SIMILARITY)
    return sb_window_similarity(sum, w.scale, w.factor[at], a[mean], b[mean], a[spread], b[spread],
                                pair);
  return sb_window_correlation(sum, w.factor[at], a[mean], b[mean], a[spread], b[spread]);
}

static __device__ const double *terms_of(const float *embedding, int64_t terms) {
  return reinterpret_cast<const double *>(embedding + terms);
}

// parts[tile][pair]
static __global__ void sum_windows(sb_kernel_pairs p, sb_kernel_windows w, double *parts) {
  SB_SHARED(float, tile, TILE_FLOATS);
  SB_SHARED(float, lines, LINE_FLOATS);
  SB_SHARED(float, ring, RING_FLOATS);
  SB_SHARED(double, sums, THREADS);
  const int r = w.radius, wide = WIDTH + 2 * r, high = HEIGHT + 2 * r, depth = 2 * r + 1;
  const int x = (int)threadIdx.x % WIDTH, y = (int)threadIdx.x / WIDTH, mine = (int)threadIdx.x;
  const int64_t across = (w.nx + WIDTH - 1) / WIDTH, down = (w.ny + HEIGHT - 1) / HEIGHT;
  for (int64_t item = blockIdx.x; item < across * down * p.m * p.n; item += gridDim.x) {
    const int64_t pair = item % (p.m * p.n), place = item / (p.m * p.n);
    const int64_t x0 = place % across * WIDTH, y0 = place / across * HEIGHT;
    const float *a = p.a + pair / p.n * p.size, *b = p.b + pair % p.n * p.size;
    sb_structure_pair of_pair = {0, 0, 0, 0, 0, 0};
    if (w.score == SB_WINDOWS_SIMILARITY)
      of_pair = sb_structure_pair_of(&w.constants, terms_of(a, w.terms), terms_of(b, w.terms));
    for (int i = 0; i < depth; i++) ring[i * THREADS + mine] = 0;
    double sum = 0;
    for (int64_t z = 0; z < w.nz + r; z++) {
      const int now = (int)(z % depth);
      float smoothed = 0;
      if (z < w.nz) {
        load_products(w, a, b, x0, y0, z, tile);
        __syncthreads();
        for (int i = mine; i < WIDTH * high; i += THREADS) {
          const int centre = i / WIDTH * wide + i % WIDTH + r;
          lines[i] = add_taps(w, [&](int k) -> float { return tile[centre + k]; });
        }
        __syncthreads();
        smoothed = add_taps(w, [&](int k) -> float { return lines[(y + r + k) * WIDTH + x]; });
      }
      ring[now * THREADS + mine] = smoothed;
      if (z < r) continue;
      const int32_t at = element_at(w, x0 + x, y0 + y, z - r);
      if (at < 0) continue;
      const float window = add_taps(
          w, [&](int k) -> float { return ring[(now + depth - r + k) % depth * THREADS + mine]; });
      sum += (double)common(w, a, b, at, window, of_pair);
    }
    sum = sb_block_sum(sums, sum);
    if (mine == 0) parts[place * p.m * p.n + pair] = sum;
  }
}

int64_t sb_kernel_windows_tiles(const sb_kernel_windows *windows) {
  return ((windows->nx + WIDTH - 1) / WIDTH) * ((windows->ny + HEIGHT - 1) / HEIGHT);
}

cudaError_t sb_kernel_window_scores(const sb_kernel_pairs *pairs,
                                    const sb_kernel_windows *windows) {
  const sb_kernel_pairs p = *pairs;
  const sb_kernel_windows w = *windows;
  const int64_t tiles = sb_kernel_windows_tiles(windows);
  double *parts = static_cast<double *>(p.work);
  SB_LAUNCH(sum_windows, sb_most_blocks(tiles * p.m * p.n), THREADS, p.stream, p, w, parts);
  const cudaError_t code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  const sb_kernel_parts sums = {parts, 1, p.m * p.n, p.m * p.n, (int)tiles, true};
  return sb_kernel_add_sums(&sums, 1 / (double)w.voxels, p.scores, p.stream);
}
