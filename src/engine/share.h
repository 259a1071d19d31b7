// How a run is divided: a share compares the pairs of a range of probes, with the whole gallery or,
// in a self-comparison, with the scans after each. All shares of a run together compare each pair
// once, and shares are of nearly equal size. (A store's shard is something else: a file of rows.)
#ifndef SB_ENGINE_SHARE_H
#define SB_ENGINE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sb_share {
  int64_t index, count; // index from 0; count 0: the run is not divided
} sb_share;

typedef struct sb_range {
  int64_t first, last; // [first, last)
} sb_range;

static inline bool sb_share_is_whole(sb_share share) {
  return share.count == 0;
}

// How many shares like this one make a run.
static inline int64_t sb_share_count(sb_share share) {
  return share.count > 0 ? share.count : 1;
}

// Share `inner` of a share.
static inline sb_share sb_share_of(sb_share outer, sb_share inner) {
  return (sb_share){outer.index * inner.count + inner.index, sb_share_count(outer) * inner.count};
}

// The probes of a share, possibly none.
sb_range sb_share_range(sb_share share, int64_t probes, bool self);

// Pairs that a range compares, scans with themselves left out.
static inline int64_t sb_range_pairs(sb_range range, int64_t gallery, bool self) {
  int64_t rows = range.last - range.first;
  return self ? rows * (2 * gallery - range.first - range.last - 1) / 2 : rows * gallery;
}

#endif
