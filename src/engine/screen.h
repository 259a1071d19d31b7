// The screen's contract. A backend's score s of a pair is a screen: the canonical score c is known
// only to lie within `bound` of it. From screens alone, streamed in any order, a shortlist keeps a
// set that provably contains
//   - the `wanted` closest by canonical score, all ties at the last place included: with s_k the
//     k-th best screen, k pairs have c >= s_k - bound, so whoever is among the best k has
//     c >= s_k - bound, hence s >= s_k - 2 bound;
//   - every pair whose canonical score reaches the threshold: s >= threshold - bound.
// What is kept is then rescored canonically, and only canonical scores are reported. Scores here
// are closenesses: the score, or minus the score for a distance.
#ifndef SB_ENGINE_SCREEN_H
#define SB_ENGINE_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "samebrain/status.h"

typedef struct sb_candidate {
  double closeness;
  int64_t gallery;
} sb_candidate;

typedef struct sb_shortlist {
  sb_candidate *items;
  int64_t count, capacity;
  double cutoff; // nothing below it can matter any more
} sb_shortlist;

// What all shortlists of one kind have in common.
typedef struct sb_screen {
  int64_t wanted;
  double bound;
  double threshold;    // closeness; INFINITY: none
  int64_t *bytes_used; // shared by all lists, updated atomically
  int64_t bytes_limit;
} sb_screen;

void sb_shortlist_start(sb_shortlist *list);
void sb_shortlist_free(sb_shortlist *list);
// Adds a candidate. False when the lists' memory is used up.
bool sb_shortlist_grow_and_add(const sb_screen *screen, sb_shortlist *list, sb_candidate item);
static inline bool sb_shortlist_add(const sb_screen *screen, sb_shortlist *list, double closeness,
                                    int64_t gallery) {
  if (closeness < list->cutoff) return true;
  if (list->count == list->capacity)
    return sb_shortlist_grow_and_add(screen, list, (sb_candidate){closeness, gallery});
  list->items[list->count++] = (sb_candidate){closeness, gallery};
  return true;
}
// Drops what cannot matter any more.
void sb_shortlist_prune(const sb_screen *screen, sb_shortlist *list);
// Closest first, ties by the gallery's order. For rescored lists.
void sb_shortlist_sort(sb_shortlist *list);

#endif
