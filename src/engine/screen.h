// The screen's contract. A backend's dot product of a pair is a screen: the canonical score is known
// only to lie within an interval, [low, high]. From intervals alone, streamed in any order, a
// shortlist keeps a set that provably contains
//   - the `wanted` closest by canonical score, all ties at the last place included: with l_k the
//     k-th best low end, k pairs score at least l_k, so whoever is among the best k does, and has
//     high >= l_k;
//   - every pair whose canonical score reaches the threshold: high >= threshold.
// What is kept is then rescored canonically, and only canonical scores are reported. A shortlist
// deals in closenesses: the score, or minus the score for a distance.
#ifndef SB_ENGINE_SCREEN_H
#define SB_ENGINE_SCREEN_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/screened.h"
#include "measure/measure.h"

// From a dot product that is within `error` of the exact one.
static inline sb_screened sb_screen_interval(const sb_measure *measure, double dot, double error,
                                             int64_t length, const double *a, const double *b) {
  return sb_screened_between(measure->epilogue(dot, a, b), measure->epilogue(dot - error, a, b),
                             measure->epilogue(dot + error, a, b), length, measure->info.range_min,
                             measure->info.range_max);
}

// From a score of the pair family that is within `error` of the canonical one.
static inline sb_screened sb_screen_around(const sb_measure *measure, double score, double error) {
  return (sb_screened){.score = score,
                       .low = fmax(score - error, measure->info.range_min),
                       .high = fmin(score + error, measure->info.range_max)};
}

// The error of a dot product of `length` elements: the backend's, and four times the one of a sum in
// float64 (of the canonical dot product, and of norms).
static inline double sb_dot_error(double backend_error, int64_t length) {
  return backend_error + 4 * (double)length * 0x1p-53 * 1.001 + 0x1p-50;
}

typedef struct sb_shortlist {
  sb_candidate *items;
  int64_t count, capacity;
  double cutoff; // nothing below it can matter any more
} sb_shortlist;

// What all shortlists of one kind have in common.
typedef struct sb_screen {
  int64_t wanted;
  double threshold;    // closeness; INFINITY: none
  int64_t *bytes_used; // shared by all lists, updated atomically
  int64_t bytes_limit;
} sb_screen;

void sb_shortlist_start(sb_shortlist *list);
void sb_shortlist_free(sb_shortlist *list);
// Adds a candidate. False when the lists' memory is used up.
bool sb_shortlist_grow_and_add(const sb_screen *screen, sb_shortlist *list, sb_candidate item);
// The k-th best low end (k from 1, at most `count`), by quickselect; reorders the items.
double sb_kth_low(sb_candidate *items, int64_t count, int64_t k);
static inline bool sb_shortlist_add(const sb_screen *screen, sb_shortlist *list,
                                    sb_candidate item) {
  if (item.high < list->cutoff) return true;
  if (list->count == list->capacity) return sb_shortlist_grow_and_add(screen, list, item);
  list->items[list->count++] = item;
  return true;
}
// Drops what cannot matter any more.
void sb_shortlist_prune(const sb_screen *screen, sb_shortlist *list);
// Closest first, ties by the gallery's order. For rescored lists.
void sb_shortlist_sort(sb_shortlist *list);

#endif
