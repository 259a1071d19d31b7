// Scores from joint histograms: a block takes a pair, counts its voxels into tables in shared memory,
// and makes the score of them.
//
// A pair reads 2 V bytes, 16 at a time, and adds V times to a counter. Neighbouring voxels have like
// levels, and threads that add to one counter at once wait for each other; so the threads of a warp are
// 16 voxels apart, and take turns with two tables. The tables' rows are one counter longer than they
// need to be, so that sums along rows and along columns both find their counters in different banks. What
// follows the counting are 4,096 logarithms, or 128 sums of 64 counters: little beside V.
#include "kernels.h"

#include "device.h"

enum {
  TABLES = 2,
  PITCH = SB_LEVELS + 1,
  TABLE = SB_LEVELS * PITCH,
  COUNTERS = TABLES * TABLE,
  GROUP = 16
};
#ifdef SAMEBRAIN_SMALL_TILES
enum { THREADS = 32 };
#else
enum { THREADS = 256 };
#endif

// The levels of GROUP voxels, read at once.
struct alignas(GROUP) group {
  uint32_t word[GROUP / 4];
};

template <typename shared>
static __device__ void count_levels(const float *a, const float *b, int64_t voxels, shared &table) {
  const group *left = reinterpret_cast<const group *>(a);
  const group *right = reinterpret_cast<const group *>(b);
  const int mine = (int)(threadIdx.x % TABLES) * TABLE;
  for (int64_t g = threadIdx.x; g * GROUP < voxels; g += THREADS) {
    const group l = left[g], r = right[g];
    const int64_t here = voxels - g * GROUP;
    SB_UNROLL
    for (int i = 0; i < GROUP; i++) {
      const int level_l = l.word[i / 4] >> i % 4 * 8 & 255,
                level_r = r.word[i / 4] >> i % 4 * 8 & 255;
      if (i < here) atomicAdd(&table[mine + level_l * PITCH + level_r], 1u);
    }
  }
}

// mi or nmi.
template <typename shared, typename sums>
static __device__ double score_entropies(shared &table, sums &sum, double voxels,
                                         sb_levels_score score) {
  double a = 0, b = 0, both = 0;
  for (int i = (int)threadIdx.x; i < 2 * SB_LEVELS; i += THREADS) {
    const bool of_a = i < SB_LEVELS;
    const int level = i % SB_LEVELS;
    uint32_t count = 0;
    for (int j = 0; j < SB_LEVELS; j++)
      count += table[of_a ? level * PITCH + j : j * PITCH + level];
    (of_a ? a : b) += sb_n_log_n(count);
  }
  for (int i = (int)threadIdx.x; i < SB_JOINT_BINS; i += THREADS)
    both += sb_n_log_n(table[i / SB_LEVELS * PITCH + i % SB_LEVELS]);
  sb_entropies h;
  h.a = sb_entropy_of(sb_block_sum(sum, a), voxels);
  h.b = sb_entropy_of(sb_block_sum(sum, b), voxels);
  h.joint = sb_entropy_of(sb_block_sum(sum, both), voxels);
  return score == SB_LEVELS_MI ? sb_mi_of(h) : sb_nmi_of(h);
}

// cr. Both directions have the canonical score's operations in its order.
template <typename shared, typename structs, typename sums>
static __device__ double score_ratios(shared &table, structs &levels, sums &sum, double voxels) {
  for (int i = (int)threadIdx.x; i < 2 * SB_LEVELS; i += THREADS) {
    const bool of_a = i < SB_LEVELS;
    const int level = i % SB_LEVELS;
    sb_level_sums mine = {0, 0, 0};
    for (int j = 0; j < SB_LEVELS; j++)
      sb_level_add(&mine, table[of_a ? level * PITCH + j : j * PITCH + level], j);
    levels[i] = mine;
  }
  __syncthreads();
  double ratio = 0;
  if (threadIdx.x < 2) {
    sb_ratio side = {0, 0, 0};
    for (int i = 0; i < SB_LEVELS; i++) {
      const sb_level_sums here = levels[(int)threadIdx.x * SB_LEVELS + i];
      sb_ratio_add(&side, &here);
    }
    ratio = sb_ratio_of(&side, voxels);
  }
  return sb_block_sum(sum, ratio) / 2;
}

static __global__ void score_levels(sb_kernel_pairs p, int64_t voxels, sb_levels_score score) {
  SB_SHARED(uint32_t, table, TABLES * TABLE);
  SB_SHARED(sb_level_sums, levels, 2 * SB_LEVELS);
  SB_SHARED(double, sum, THREADS);
  for (int64_t pair = blockIdx.x; pair < p.m * p.n; pair += gridDim.x) {
    __syncthreads(); // the pair before is done
    for (int i = (int)threadIdx.x; i < COUNTERS; i += THREADS) table[i] = 0;
    __syncthreads();
    count_levels(p.a + pair / p.n * p.size, p.b + pair % p.n * p.size, voxels, table);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < TABLE; i += THREADS) table[i] += table[TABLE + i];
    __syncthreads();
    const double value = score == SB_LEVELS_CR ? score_ratios(table, levels, sum, (double)voxels)
                                               : score_entropies(table, sum, (double)voxels, score);
    if (threadIdx.x == 0) p.scores[pair] = value;
  }
}

cudaError_t sb_kernel_levels(const sb_kernel_pairs *pairs, int64_t voxels, sb_levels_score score) {
  const sb_kernel_pairs p = *pairs;
  SB_LAUNCH(score_levels, sb_most_blocks(p.m * p.n), THREADS, p.stream, p, voxels, score);
  return cudaGetLastError();
}
