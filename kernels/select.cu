// Which pairs of a tile could matter. A block takes a line of the tile (engine/screened.h), a scan with all
// that it meets, and reads its products from memory twice:
//   survey  counts the scores, and finds how close the k-th closest is that the line's list wants: the low
//           ends of its pairs' intervals are counted in bins, and from the top bin down k of them end in
//           some bin. Whoever is among the k closest has a high end at least as high as the k-th low end,
//           and so in no lower bin, since bins never fall as closeness rises.
//   pick    hands out the pairs whose high end is in that bin or above, or reaches the threshold, and
//           does not fall short of what the host's lists hold already.
// Bins let through a few pairs more than the k-th low end itself would: no harm, the host looks again.
//
// A pair takes three epilogues in float64, a few additions to global counters, and 2 x 8 bytes read, from
// the cache the second time: little beside the 2 V operations of its product.
#include "kernels.h"

#include <string.h>

#include "device.h"

#ifdef SAMEBRAIN_SMALL_TILES
enum { BINS = 16 };
#else
enum { BINS = 1024 };
#endif

typedef struct pair {
  bool taken[SB_LIST_KINDS]; // by which of the line's lists
  bool within;               // of one dataset
  sb_screened score;
  sb_candidate candidate;
} pair;

static __device__ int64_t bin_of(const sb_kernel_selection &s, double closeness) {
  const double sign = s.of.higher_is_closer ? 1 : -1;
  const double one = sign * s.of.range_min, other = sign * s.of.range_max;
  return sb_range_bin(one < other ? one : other, one < other ? other : one, BINS, closeness);
}

// The x-th pair of a line.
static __device__ pair pair_of(const sb_kernel_selection &s, int64_t line, const sb_span &l,
                               int64_t x) {
  const sb_extent &t = s.extent;
  const bool row = line < t.probes;
  const int64_t own = row ? line : line - t.probes, other = row ? l.first - t.gallery + x : x;
  const double *a = (row ? s.a_terms : s.b_terms) + own * s.of.terms;
  const double *b = (row ? s.b_terms : s.a_terms) + other * s.of.terms;
  const double dot = s.dots[l.at + x * l.step];
  const double error = s.a_lost == NULL ? s.error
                                        : sb_pair_error(s.error, (row ? s.a_lost : s.b_lost) + own,
                                                        (row ? s.b_lost : s.a_lost) + other);
  const int64_t scan = l.first + x;
  pair out;
  out.score = sb_screened_between(sb_score_from_dot(s.of.from_dot, dot, a, b),
                                  sb_score_from_dot(s.of.from_dot, dot - error, a, b),
                                  sb_score_from_dot(s.of.from_dot, dot + error, a, b), s.of.length,
                                  s.of.range_min, s.of.range_max);
  out.candidate = sb_candidate_of(&out.score, s.of.higher_is_closer, scan);
  out.taken[SB_LIST_MATCHES] = scan != s.of.same[l.probe];
  out.taken[SB_LIST_NONMATED] =
      out.taken[SB_LIST_MATCHES] &&
      sb_pair_kind_of(s.of.probe_person[l.probe], s.of.gallery_person[scan],
                      s.of.unknown_left_out) == SB_PAIR_NONMATED;
  out.within = s.of.probe_dataset[l.probe] == s.of.gallery_dataset[scan];
  return out;
}

static __device__ void count(const sb_kernel_selection &s, const sb_span &l, const pair &p) {
  if (!p.taken[SB_LIST_NONMATED]) return;
  const int64_t bin =
      l.probe * s.of.bins + sb_range_bin(s.of.range_min, s.of.range_max, s.of.bins, p.score.score);
  atomicAdd(s.histogram + bin, 1u);
  if (s.of.within && p.within) atomicAdd(s.within + bin, 1u);
}

// The bits of numbers that are not negative are in the numbers' order.
static __device__ void raise_to(unsigned long long *most, double number) {
  unsigned long long bits;
  memcpy(&bits, &number, sizeof bits);
  atomicMax(most, bits);
}

static __global__ void survey(sb_kernel_selection s) {
  SB_SHARED(uint32_t, lows, SB_LIST_KINDS * BINS);
  SB_SHARED(double, errors, SB_THREADS);
  for (int64_t line = blockIdx.x; line < sb_extent_lines(&s.extent); line += gridDim.x) {
    const sb_span l = sb_extent_line(&s.extent, line);
    double error = 0;
    for (int i = (int)threadIdx.x; i < SB_LIST_KINDS * BINS; i += (int)blockDim.x) lows[i] = 0;
    __syncthreads();
    for (int64_t x = threadIdx.x; x < l.count; x += blockDim.x) {
      const pair p = pair_of(s, line, l, x);
      if (!p.taken[SB_LIST_MATCHES]) continue;
      count(s, l, p);
      error = fmax(error, sb_screened_error(&p.score));
      for (int kind = 0; kind < SB_LIST_KINDS; kind++)
        if (p.taken[kind]) atomicAdd(&lows[kind * BINS + bin_of(s, p.candidate.low)], 1u);
    }
    error = sb_block_most(errors, error);
    if (threadIdx.x == 0) raise_to(s.most_error, error);
    if (threadIdx.x < SB_LIST_KINDS) {
      const int kind = (int)threadIdx.x;
      int64_t found = 0, bin = BINS;
      while (bin > 0 && found < s.of.wanted[kind]) found += lows[kind * BINS + --bin];
      s.least[line * SB_LIST_KINDS + kind] = (int32_t)bin;
    }
    __syncthreads(); // before the next line's are counted
  }
}

static __global__ void pick(sb_kernel_selection s, int64_t first, int64_t last) {
  for (int64_t line = first + blockIdx.x; line < last; line += gridDim.x) {
    const sb_span l = sb_extent_line(&s.extent, line);
    for (int64_t x = threadIdx.x; x < l.count; x += blockDim.x) {
      const pair p = pair_of(s, line, l, x);
      const int64_t bin = bin_of(s, p.candidate.high);
      bool matters = false;
      for (int kind = 0; kind < SB_LIST_KINDS; kind++)
        matters = matters ||
                  (p.taken[kind] && p.candidate.high >= s.cutoffs[line * SB_LIST_KINDS + kind] &&
                   (bin >= s.least[line * SB_LIST_KINDS + kind] ||
                    p.candidate.high >= s.of.threshold[kind]));
      if (!matters) continue;
      const unsigned long long at = atomicAdd(s.count, 1ull);
      if (at >= (unsigned long long)s.capacity) continue; // the count tells
      sb_selected *out = s.selected + at;
      out->low = p.candidate.low;
      out->high = p.candidate.high;
      out->line = (int32_t)line;
      out->x = (int32_t)x;
    }
  }
}

// ---- As C calls them ----------------------------------------------------------------------------

cudaError_t sb_kernel_survey(const sb_kernel_selection *selection) {
  const sb_kernel_selection s = *selection;
  SB_LAUNCH(survey, sb_most_blocks(sb_extent_lines(&s.extent)), SB_THREADS, s.stream, s);
  return cudaGetLastError();
}

cudaError_t sb_kernel_pick(const sb_kernel_selection *selection, int64_t first, int64_t last) {
  const sb_kernel_selection s = *selection;
  SB_LAUNCH(pick, sb_most_blocks(last - first), SB_THREADS, s.stream, s, first, last);
  return cudaGetLastError();
}
