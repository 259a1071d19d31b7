#include "engine/share.h"

// The first probe of share `index`: the least with at least index / count of all pairs before it.
// (128 bits: 10^6 scans have 5 10^11 pairs, times any number of shares.)
static int64_t first_of(int64_t index, int64_t count, int64_t probes, bool self) {
  if (!self) return (int64_t)((__int128)probes * index / count);
  const __int128 all = (__int128)probes * (probes - 1) / 2;
  int64_t low = 0, high = probes;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    __int128 before = (__int128)middle * (2 * probes - middle - 1) / 2;
    if (before * count >= all * index)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

sb_range sb_share_range(sb_share share, int64_t probes, bool self) {
  const int64_t count = sb_share_count(share);
  const int64_t first = first_of(share.index, count, probes, self);
  // Of a self-comparison the last scan has no pair of its own, but it is somebody's.
  const bool last = share.index + 1 == count;
  return (sb_range){first, last ? probes : first_of(share.index + 1, count, probes, self)};
}
