#include "engine/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/plan.h"

void sb_shortlist_start(sb_shortlist *list) {
  *list = (sb_shortlist){.cutoff = -INFINITY};
}

void sb_shortlist_free(sb_shortlist *list) {
  free(list->items);
  memset(list, 0, sizeof *list);
}

static void swap(sb_candidate *a, sb_candidate *b) {
  sb_candidate kept = *a;
  *a = *b;
  *b = kept;
}

double sb_kth_low(sb_candidate *items, int64_t count, int64_t k) {
  int64_t first = 0, last = count - 1;
  while (first < last) {
    double pivot = items[first + (last - first) / 2].low;
    int64_t i = first, j = last;
    while (i <= j) {
      while (items[i].low > pivot) i++;
      while (items[j].low < pivot) j--;
      if (i <= j) swap(items + i++, items + j--);
    }
    if (k - 1 <= j)
      last = j;
    else if (k - 1 >= i)
      first = i;
    else
      break;
  }
  return items[k - 1].low;
}

void sb_shortlist_prune(const sb_screen *screen, sb_shortlist *list) {
  if (list->count < screen->wanted) return;
  double cutoff = sb_kth_low(list->items, list->count, screen->wanted);
  if (cutoff > screen->threshold) cutoff = screen->threshold;
  if (cutoff > list->cutoff) list->cutoff = cutoff;
  int64_t kept = 0;
  for (int64_t i = 0; i < list->count; i++)
    if (list->items[i].high >= list->cutoff) list->items[kept++] = list->items[i];
  list->count = kept;
}

// Takes memory from what all lists share; false when there is no more.
static bool take_bytes(const sb_screen *screen, int64_t bytes) {
  int64_t used;
#pragma omp atomic capture
  used = *screen->bytes_used += bytes;
  return used <= screen->bytes_limit;
}

bool sb_shortlist_grow_and_add(const sb_screen *screen, sb_shortlist *list, sb_candidate item) {
  if (list->count > 0) sb_shortlist_prune(screen, list);
  if (list->count > list->capacity / 2 || list->capacity == 0) {
    int64_t more = list->capacity > 0 ? list->capacity : sb_list_capacity(screen->wanted);
    sb_candidate *grown = NULL;
    if (take_bytes(screen, more * SB_CANDIDATE_BYTES))
      grown = realloc(list->items, (size_t)(list->capacity + more) * sizeof *grown);
    if (grown == NULL) return false;
    list->items = grown;
    list->capacity += more;
  }
  if (item.high >= list->cutoff) list->items[list->count++] = item;
  return true;
}

static int compare(const void *left, const void *right) {
  const sb_candidate *a = left, *b = right;
  if (a->low != b->low) return a->low > b->low ? -1 : 1;
  return a->gallery < b->gallery ? -1 : a->gallery > b->gallery;
}

void sb_shortlist_sort(sb_shortlist *list) {
  if (list->count > 1) qsort(list->items, (size_t)list->count, sizeof *list->items, compare);
}
