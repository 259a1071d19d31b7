#include "evaluate/links.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

void sb_proposals_free(sb_proposals *proposals) {
  free(proposals->items);
  memset(proposals, 0, sizeof *proposals);
}

static bool within(const sb_study *study, const sb_tail *tail, double closeness, double limit) {
  return (double)study->pairs * sb_tail_above(tail, closeness) <= limit;
}

// The least closeness that is proposed, to the last bits that matter.
static double find_threshold(const sb_study *study, const sb_tail *tail, double limit) {
  double low = study->low, high = study->high;
  if (!tail->known || !within(study, tail, high, limit)) return (double)NAN;
  for (int i = 0; i < 60; i++) {
    double middle = (low + high) / 2;
    if (within(study, tail, middle, limit))
      high = middle;
    else
      low = middle;
  }
  return high;
}

static int closest_first(const void *left, const void *right) {
  const sb_listed *a = &((const sb_proposal *)left)->pair;
  const sb_listed *b = &((const sb_proposal *)right)->pair;
  if (a->score != b->score) return a->score > b->score ? -1 : 1;
  if (a->probe != b->probe) return a->probe < b->probe ? -1 : 1;
  return a->gallery < b->gallery ? -1 : a->gallery > b->gallery;
}

// In a self-comparison the earlier scan is the probe; its line is kept where both are listed.
static int64_t keep_once(const sb_study *study, sb_proposal *items, int64_t count) {
  if (!study->self) return count;
  for (int64_t i = 0; i < count; i++) {
    sb_listed *pair = &items[i].pair;
    if (pair->probe < pair->gallery) continue;
    int64_t probe = pair->gallery;
    pair->gallery = pair->probe;
    pair->probe = probe;
    pair->rank = -pair->rank; // as its other scan sees it
  }
  qsort(items, (size_t)count, sizeof *items, closest_first);
  int64_t kept = 0;
  for (int64_t i = 0; i < count; i++) {
    sb_listed *last = kept > 0 ? &items[kept - 1].pair : NULL;
    const sb_listed *pair = &items[i].pair;
    if (last != NULL && last->probe == pair->probe && last->gallery == pair->gallery) {
      if (last->rank < 0) items[kept - 1] = items[i];
      continue;
    }
    items[kept++] = items[i];
  }
  for (int64_t i = 0; i < kept; i++)
    if (items[i].pair.rank < 0) items[i].pair.rank = -items[i].pair.rank;
  return kept;
}

static sb_status assign(const sb_study *study, sb_proposals *out) {
  bool *probe = NULL, *gallery = NULL;
  sb_status status = sb_ok();
  int64_t kept = 0;
  SB_TRY(SB_NEW_ZERO(&probe, study->probes, "scans"));
  if (!study->self) SB_TRY(SB_NEW_ZERO(&gallery, study->gallery, "scans"));
  bool *other = study->self ? probe : gallery;
  for (int64_t i = 0; i < out->count; i++) {
    const sb_listed *pair = &out->items[i].pair;
    if (probe[pair->probe] || other[pair->gallery]) continue;
    probe[pair->probe] = other[pair->gallery] = true;
    out->items[kept++] = out->items[i];
  }
  out->count = kept;
cleanup:
  free(probe);
  free(gallery);
  return status;
}

// The margin over the closest other line of the probe that is taken into account.
static double margin_of(const sb_study *study, int64_t first, int64_t line, bool with_mated) {
  const sb_listed *items = study->matches.items;
  for (int64_t i = first; i < study->matches.count && items[i].probe == items[line].probe; i++)
    if (i != line && (with_mated || items[i].kind != SB_PAIR_MATED))
      return items[line].score - items[i].score;
  return (double)NAN;
}

// Whether some probe's list ends, before the gallery does, with a score that is still proposed.
static bool lists_cut_short(const sb_study *study, double threshold) {
  const sb_listed *items = study->matches.items;
  int64_t all = study->gallery - (study->self ? 1 : 0);
  for (int64_t i = 0; i < study->matches.count; i++) {
    bool last = i + 1 == study->matches.count || items[i + 1].probe != items[i].probe;
    if (last && items[i].rank < all && items[i].score >= threshold) return true;
  }
  return false;
}

sb_status sb_links_above(const sb_study *study, const sb_tail *tail, double threshold,
                         bool with_mated, sb_proposals *out) {
  *out = (sb_proposals){.threshold = threshold, .cut_short = lists_cut_short(study, threshold)};
  sb_status status = sb_ok();
  const sb_listed *items = study->matches.items;
  SB_TRY(SB_NEW(&out->items, study->matches.count, "links"));
  for (int64_t i = 0, first = 0; i < study->matches.count; i++) {
    if (items[i].probe != items[first].probe) first = i;
    if (items[i].score < threshold || (!with_mated && items[i].kind == SB_PAIR_MATED)) continue;
    out->items[out->count++] =
        (sb_proposal){.pair = items[i],
                      .margin = margin_of(study, first, i, with_mated),
                      .expected_false = (double)study->pairs * sb_tail_above(tail, items[i].score)};
  }
  if (out->count > 1) {
    qsort(out->items, (size_t)out->count, sizeof *out->items, closest_first);
    out->count = keep_once(study, out->items, out->count);
  }
cleanup:
  return status;
}

sb_status sb_links_propose(const sb_study *study, const sb_tail *tail, double expected_false,
                           bool with_mated, bool one_to_one, sb_proposals *out) {
  double threshold = find_threshold(study, tail, expected_false);
  *out = (sb_proposals){.threshold = threshold};
  sb_status status = sb_ok();
  if (isnan(threshold)) return status;
  SB_TRY(sb_links_above(study, tail, threshold, with_mated, out));
  if (one_to_one) SB_TRY(assign(study, out));
cleanup:
  if (status.code != SB_OK) sb_proposals_free(out);
  return status;
}
