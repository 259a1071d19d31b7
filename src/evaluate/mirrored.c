#include "evaluate/mirrored.h"

#include <math.h>
#include <stdlib.h>

#include "core/memory.h"
#include "core/order.h"
#include "measure/likely.h"

// ---- Which pairs --------------------------------------------------------------------------------

// A pair's score, a < b.
typedef struct seen {
  int64_t a, b;
  double score;
} seen;

// By scans, the closest first.
static int by_scans(const void *left, const void *right) {
  const seen *x = left, *y = right;
  if (x->a != y->a) return x->a < y->a ? -1 : 1;
  if (x->b != y->b) return x->b < y->b ? -1 : 1;
  return x->score > y->score ? -1 : x->score < y->score;
}

static seen seen_from(const sb_listed *pair) {
  const bool rising = pair->probe < pair->gallery;
  return (seen){rising ? pair->probe : pair->gallery, rising ? pair->gallery : pair->probe,
                pair->score};
}

// Of every pair that is expected, or found by its mirror image: both sides' scores; free() *list.
static sb_status list_seen(const sb_likeness *l, seen **list, int64_t *count) {
  const sb_listed_array *mated = &l->study.mated;
  *count = mated->count + l->found.count;
  sb_status status = SB_NEW(list, *count, "mirrored pairs");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < mated->count; i++) (*list)[i] = seen_from(mated->items + i);
  for (int64_t i = 0; i < l->found.count; i++)
    (*list)[mated->count + i] = seen_from(&l->found.items[i].pair);
  if (*count > 1) qsort(*list, (size_t)*count, sizeof **list, by_scans);
  return status;
}

static bool may_be_mirrored(const sb_likeness *l, const sb_case *c) {
  const bool usual = !l->likely_known || c->mirrored_score >= SB_LIKELY_MIRRORED;
  return c->mirrored_score > c->score && usual && !sb_likeness_is_bulk_alike(l);
}

// Of those that may be.
static bool is_beyond_chance(const sb_likeness *l, double expected_false, const sb_case *c) {
  if (!l->rely) return l->likely_known;
  if (c->expected != SB_EXPECTED_SAME) return c->mirrored_score >= l->threshold;
  return l->likely_known ||
         sb_tail_above(&l->tail, c->mirrored_score) * (double)l->study.mated.count <=
             expected_false;
}

// Of cases that only a mirror image made.
static void drop_unmirrored(sb_cases *cases) {
  int64_t kept = 0;
  for (int64_t i = 0; i < cases->count; i++)
    if (!cases->items[i].by_mirror || cases->items[i].mirrored)
      cases->items[kept++] = cases->items[i];
  cases->count = kept;
}

void sb_settle_mirrored(sb_cases *cases) {
  for (int64_t i = 0; i < cases->count; i++) {
    sb_case *c = cases->items + i;
    c->mirrored = c->mirrored && (c->copy || c->observed == SB_OBSERVED_SAME);
  }
  drop_unmirrored(cases);
}

sb_status sb_observe_mirrored(const sb_likeness *mirrored, double expected_false, sb_cases *cases) {
  seen *list = NULL;
  int64_t count, at = 0;
  sb_status status = list_seen(mirrored, &list, &count);
  for (int64_t i = 0; i < cases->count && status.code == SB_OK; i++) {
    sb_case *c = cases->items + i;
    const seen wanted = {c->a, c->b, INFINITY};
    while (at < count && by_scans(list + at, &wanted) < 0) at++;
    const bool found = at < count && list[at].a == c->a && list[at].b == c->b;
    c->mirrored_score = found ? list[at].score : (double)NAN;
    c->mirrored = may_be_mirrored(mirrored, c);
    if (c->mirrored && is_beyond_chance(mirrored, expected_false, c))
      c->observed = SB_OBSERVED_SAME;
    else if (c->by_mirror)
      c->observed = SB_OBSERVED_UNSURE;
  }
  if (status.code == SB_OK) drop_unmirrored(cases);
  free(list);
  return status;
}

// ---- Which of the two ---------------------------------------------------------------------------

static bool has_doubtful_sides(const sb_store *store, int64_t scan) {
  const sb_orientation_source from = sb_store_record(store, scan)->quality.orientation;
  return from == SB_ASSUMED || from == SB_FROM_DISPUTED_SFORM;
}

sb_status sb_tell_exchanged(const sb_store *store, sb_cases *cases) {
  int64_t *alike = NULL; // per scan: how many others lie as it does
  sb_status status = SB_NEW_ZERO(&alike, sb_store_count(store), "scans");
  for (int64_t i = 0; i < cases->count && status.code == SB_OK; i++) {
    const sb_case *c = cases->items + i;
    if (c->observed != SB_OBSERVED_SAME || c->mirrored || c->copy) continue;
    alike[c->a]++;
    alike[c->b]++;
  }
  for (int64_t i = 0; i < cases->count && status.code == SB_OK; i++) {
    sb_case *c = cases->items + i;
    const int64_t of_a = alike[c->a], of_b = alike[c->b];
    const bool a = has_doubtful_sides(store, c->a), b = has_doubtful_sides(store, c->b);
    c->exchanged = -1;
    if (!c->mirrored) continue;
    if (of_a != of_b) {
      c->exchanged = of_a < of_b ? 0 : 1;
      c->alike = sb_larger(of_a, of_b);
    } else if (a != b) {
      c->exchanged = a ? 0 : 1;
    }
  }
  free(alike);
  return status;
}
