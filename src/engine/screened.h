// What is known of a screened pair, and what follows from it, in functions that a C and a CUDA compiler
// take alike: a backend that selects (backend.h) must find what the host would. See screen.h for why.
#ifndef SB_ENGINE_SCREENED_H
#define SB_ENGINE_SCREENED_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "measure/elements.h"

// What is known of a pair's score: what the screen makes of it, and between which values the canonical
// one lies.
typedef struct sb_screened {
  double score, low, high;
} sb_screened;

// From the score of a dot product, and those of both ends of the interval that it is in. The epilogue is
// monotone, so the score of the exact dot product lies between them. What is left is float64 rounding,
// of the epilogue and of a canonical score over `length` elements: for correlations it is a part of the
// dot product's error (see sb_dot_error); for distances it is at most 5 length 2^-53 of the sum of
// squares where one norm is twice the other, and else again as if the dot product erred by
// 2 length 2^-53.
SB_HD static inline sb_screened sb_screened_between(double score, double one, double other,
                                                    int64_t length, double range_min,
                                                    double range_max) {
  const double range = range_max - range_min, more = isfinite(range) ? range : 0;
  const double low = one < other ? one : other, high = one < other ? other : one;
  const double rounding = (double)length * 0x1p-50 + 0x1p-48;
  sb_screened out;
  out.score = score;
  out.low = low - rounding * (fabs(low) + more);
  out.high = high + rounding * (fabs(high) + more);
  return out;
}

// How far the screen's score can be from the canonical one.
SB_HD static inline double sb_screened_error(const sb_screened *s) {
  const double above = s->high - s->score, below = s->score - s->low;
  return above > below ? above : below;
}

// A gallery scan as a candidate: between which closenesses, the score or minus the score for a distance.
typedef struct sb_candidate {
  double low, high; // both the canonical closeness, once it is known
  int64_t gallery;
} sb_candidate;
SB_HD static inline sb_candidate sb_candidate_of(const sb_screened *s, bool higher_is_closer,
                                                 int64_t gallery) {
  sb_candidate out;
  out.low = higher_is_closer ? s->low : -s->high;
  out.high = higher_is_closer ? s->high : -s->low;
  out.gallery = gallery;
  return out;
}

// What is kept of a probe: its matches, and its closest non-mated scan.
typedef enum sb_list_kind { SB_LIST_MATCHES, SB_LIST_NONMATED, SB_LIST_KINDS } sb_list_kind;

typedef enum sb_pair_kind { SB_PAIR_NONMATED, SB_PAIR_MATED, SB_PAIR_LEFT_OUT } sb_pair_kind;
// Of two persons' numbers; -1: unknown.
SB_HD static inline sb_pair_kind sb_pair_kind_of(int64_t a, int64_t b, bool unknown_left_out) {
  if (a < 0 || b < 0) return unknown_left_out ? SB_PAIR_LEFT_OUT : SB_PAIR_NONMATED;
  return a == b ? SB_PAIR_MATED : SB_PAIR_NONMATED;
}

// Equal bins over a limited range; what lies outside is in the end bins. Never falls as the score rises.
SB_HD static inline int64_t sb_range_bin(double range_min, double range_max, int64_t bins,
                                         double score) {
  const double at = (score - range_min) / (range_max - range_min) * (double)bins;
  return at >= (double)bins ? bins - 1 : at > 0 ? (int64_t)at : 0;
}

// A tile: probes [probe, probe + probes) with gallery scans [gallery, gallery + galleries). In a
// self-comparison only pairs with probe <= gallery count, and each serves both of its scans.
typedef struct sb_extent {
  int64_t probe, probes, gallery, galleries;
  bool self;
} sb_extent;

// One scan with all it meets in a tile, a line of it: a row, or in a self-comparison a column. Rows come
// first.
typedef struct sb_span {
  int64_t probe;        // the scan
  int64_t first, count; // those it meets
  int64_t at, step;     // of its values in the tile, [i * galleries + j]
} sb_span;
SB_HD static inline int64_t sb_extent_lines(const sb_extent *t) {
  return t->probes + (t->self ? t->galleries : 0);
}
// A probe's row: from the diagonal on in a self-comparison. A gallery scan's column: the probes before it.
SB_HD static inline sb_span sb_extent_line(const sb_extent *t, int64_t line) {
  const bool row = line < t->probes;
  sb_span out;
  if (row) {
    int64_t skip = 0;
    out.probe = t->probe + line;
    if (t->self && out.probe > t->gallery) skip = out.probe - t->gallery;
    if (skip > t->galleries) skip = t->galleries;
    out.first = t->gallery + skip;
    out.count = t->galleries - skip;
    out.at = line * t->galleries + skip;
    out.step = 1;
  } else {
    const int64_t column = line - t->probes, before = t->gallery + column - t->probe;
    out.probe = t->gallery + column;
    out.first = t->probe;
    out.count = before < t->probes ? before : t->probes;
    out.at = column;
    out.step = t->galleries;
  }
  return out;
}

#endif
