#include "evaluate/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

// ---- Groups -------------------------------------------------------------------------------------

// The first scan of i's group (union-find; parents come before their children).
static int64_t first_of(int64_t *parent, int64_t i) {
  while (parent[i] != i) i = parent[i] = parent[parent[i]];
  return i;
}

static void unite(int64_t *parent, int64_t a, int64_t b) {
  a = first_of(parent, a);
  b = first_of(parent, b);
  if (a < b)
    parent[b] = a;
  else
    parent[a] = b;
}

static void find_groups(const sb_cases *cases, int64_t scans, int64_t *group) {
  for (int64_t i = 0; i < scans; i++) group[i] = i;
  for (int64_t c = 0; c < cases->count; c++)
    if (cases->items[c].copy || cases->items[c].observed == SB_OBSERVED_SAME)
      unite(group, cases->items[c].a, cases->items[c].b);
  int64_t next = 0;
  for (int64_t i = 0; i < scans; i++) group[i] = first_of(group, i);
  for (int64_t i = 0; i < scans; i++) // a group's first scan comes first, and is numbered by then
    group[i] = group[i] == i ? next++ : group[group[i]];
}

static int64_t size_of_label(const int64_t *label, const int64_t *size, int64_t scan) {
  return label[scan] < 0 ? 0 : size[label[scan]];
}

// Of several copies the one under the label with the most scans is the original, else the first. Where
// labels have equally many, nothing tells which is the copy, and all are taken for scans like others.
static sb_status find_originals(const sb_cases *cases, const int64_t *label, int64_t scans,
                                int64_t *original, bool *follows) {
  int64_t *size = NULL, *best = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(&size, scans, "scans"));
  SB_TRY(SB_NEW(&best, scans, "scans"));
  for (int64_t i = 0; i < scans; i++) {
    original[i] = best[i] = i;
    if (label[i] >= 0) size[label[i]]++;
  }
  for (int64_t c = 0; c < cases->count; c++)
    if (cases->items[c].copy) unite(original, cases->items[c].a, cases->items[c].b);
  for (int64_t i = 0; i < scans; i++) {
    original[i] = first_of(original, i);
    int64_t *of = best + original[i];
    if (size_of_label(label, size, i) > size_of_label(label, size, *of)) *of = i;
  }
  for (int64_t i = scans - 1; i >= 0; i--) {
    original[i] = best[original[i]];
    follows[i] = size_of_label(label, size, i) < size_of_label(label, size, original[i]);
  }
cleanup:
  free(size);
  free(best);
  return status;
}

// ---- Labels and the people they hold ------------------------------------------------------------

// How many scans of a group bear a label, duplicates counted once.
typedef struct member {
  int64_t label, group, scans;
} member;

typedef struct members {
  member *by_label; // sorted by label, then group
  member *by_group; // the same, sorted by group, then label
  int64_t count;
  bool *torn; // per label: two people were observed
} members;

static int order(int64_t a, int64_t b, int64_t c, int64_t d) {
  if (a != b) return a < b ? -1 : 1;
  return c < d ? -1 : c > d;
}

static int compare_by_label(const void *left, const void *right) {
  const member *a = left, *b = right;
  return order(a->label, b->label, a->group, b->group);
}

static int compare_by_group(const void *left, const void *right) {
  const member *a = left, *b = right;
  return order(a->group, b->group, a->label, b->label);
}

static sb_status find_members(const int64_t *label, int64_t scans, const int64_t *group,
                              const bool *follows, const sb_cases *cases, members *out) {
  int64_t used = 0;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&out->by_label, scans, "labels"));
  SB_TRY(SB_NEW(&out->by_group, scans, "labels"));
  SB_TRY(SB_NEW_ZERO(&out->torn, scans, "labels"));
  for (int64_t i = 0; i < scans; i++)
    if (label[i] >= 0 && !follows[i]) out->by_label[used++] = (member){label[i], group[i], 1};
  if (used > 1) qsort(out->by_label, (size_t)used, sizeof *out->by_label, compare_by_label);
  for (int64_t i = 0; i < used; i++) {
    member *last = out->count > 0 ? out->by_label + out->count - 1 : NULL;
    if (last != NULL && compare_by_label(last, out->by_label + i) == 0)
      last->scans++;
    else
      out->by_label[out->count++] = out->by_label[i];
  }
  if (out->count > 0)
    memcpy(out->by_group, out->by_label, (size_t)out->count * sizeof *out->by_label);
  if (out->count > 1)
    qsort(out->by_group, (size_t)out->count, sizeof *out->by_group, compare_by_group);
  for (int64_t c = 0; c < cases->count; c++) {
    const sb_case *pair = cases->items + c;
    if (pair->expected == SB_EXPECTED_SAME && pair->observed == SB_OBSERVED_DIFFERENT &&
        group[pair->a] != group[pair->b])
      out->torn[label[pair->a]] = true;
  }
cleanup:
  return status;
}

static void free_members(members *m) {
  free(m->by_label);
  free(m->by_group);
  free(m->torn);
}

// The first member of a label, or of a group where `sorted` is by group.
static int64_t find_first(const members *m, bool by_group, int64_t wanted) {
  int64_t low = 0, high = m->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if ((by_group ? m->by_group[middle].group : m->by_label[middle].label) < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int64_t scans_of(const members *m, int64_t label, int64_t group) {
  for (int64_t i = find_first(m, false, label); i < m->count && m->by_label[i].label == label; i++)
    if (m->by_label[i].group == group) return m->by_label[i].scans;
  return 0;
}

// Whether a group's scans may be the ones that do not belong under a label: somebody else has at
// least as many there.
static bool may_be_strangers(const members *m, int64_t label, int64_t group) {
  if (!m->torn[label]) return false;
  int64_t own = scans_of(m, label, group);
  for (int64_t i = find_first(m, false, label); i < m->count && m->by_label[i].label == label; i++)
    if (m->by_label[i].group != group && m->by_label[i].scans >= own) return true;
  return false;
}

// Whether two labels both hold scans of a group and of one other group.
static bool exchanged(const members *m, int64_t group, int64_t label, int64_t other) {
  if (other == label || !m->torn[other] || scans_of(m, other, group) == 0) return false;
  for (int64_t i = find_first(m, false, label); i < m->count && m->by_label[i].label == label; i++)
    if (m->by_label[i].group != group && scans_of(m, other, m->by_label[i].group) > 0) return true;
  return false;
}

// Whether a group's scans under `label` were probably taken from `other`.
static bool moved_from(const members *m, int64_t group, int64_t label, int64_t other) {
  if (!may_be_strangers(m, label, group)) return false;
  if (exchanged(m, group, label, other)) return true;
  for (int64_t i = find_first(m, true, group); i < m->count && m->by_group[i].group == group; i++)
    if (exchanged(m, group, label, m->by_group[i].label)) return false;
  return true;
}

// Whether the others under a label are nowhere else, so that it must be this group that strayed.
static bool are_others_at_home(const members *m, int64_t label, int64_t group) {
  for (int64_t i = find_first(m, false, label); i < m->count && m->by_label[i].label == label;
       i++) {
    int64_t other = m->by_label[i].group, first = find_first(m, true, other);
    bool elsewhere = first + 1 < m->count && m->by_group[first + 1].group == other;
    if (other != group && elsewhere) return false;
  }
  return true;
}

// Whether a pair across two labels is there because one of its scans was mislabelled. Between
// datasets nothing says that different labels are different people: there only if nothing else can
// explain the two people under one label.
static bool is_mislabelled(const members *m, const sb_case *c, int64_t of_a, int64_t of_b,
                           int64_t group) {
  if (of_a < 0 || of_b < 0) return false;
  bool certain = c->expected == SB_EXPECTED_DIFFERENT;
  return (moved_from(m, group, of_a, of_b) && (certain || are_others_at_home(m, of_a, group))) ||
         (moved_from(m, group, of_b, of_a) && (certain || are_others_at_home(m, of_b, group)));
}

// ---- Verdicts -----------------------------------------------------------------------------------

static void decide(sb_case *c, sb_verdict verdict, sb_why why) {
  c->verdict = verdict;
  c->why = why;
}

static void judge_expected(sb_case *c, bool one_group, bool rely) {
  if (c->mirrored)
    decide(c, SB_VERDICT_MIRRORED, SB_WHY_MIRRORED);
  else if (c->observed == SB_OBSERVED_SAME)
    decide(c, SB_VERDICT_SAME, SB_WHY_AGREED);
  else if (one_group)
    decide(c, SB_VERDICT_SAME, SB_WHY_THROUGH);
  else if (c->observed == SB_OBSERVED_UNSURE)
    decide(c, SB_VERDICT_UNSURE, SB_WHY_BETWEEN);
  else if (!rely)
    decide(c, SB_VERDICT_UNSURE, SB_WHY_FEW);
  else
    decide(c, SB_VERDICT_SUSPECTED_SWAP, SB_WHY_TWO_PEOPLE);
}

static void judge_found(sb_case *c, const members *m, const int64_t *label, int64_t group,
                        const bool *follows, bool rely) {
  if (c->observed != SB_OBSERVED_SAME)
    decide(c, SB_VERDICT_UNSURE, SB_WHY_BETWEEN);
  else if (follows[c->a] || follows[c->b])
    decide(c, SB_VERDICT_SAME, SB_WHY_FOLLOWS);
  else if (!rely)
    decide(c, SB_VERDICT_UNSURE, SB_WHY_FEW);
  else if (is_mislabelled(m, c, label[c->a], label[c->b], group))
    decide(c, SB_VERDICT_SUSPECTED_SWAP, SB_WHY_MISPLACED);
  else
    decide(c, SB_VERDICT_SAME_PERSON, SB_WHY_TWO_LABELS);
}

// Whether a case shows whose one of its scans is: by mislabelled scans, or of a copy by its original.
static bool shows_owner(const sb_case *c, int64_t scan, const int64_t *original) {
  int64_t other = c->a == scan ? c->b : c->a;
  return c->why == SB_WHY_MISPLACED ||
         (c->copy && c->expected != SB_EXPECTED_SAME && original[scan] == other);
}

// Originals show more than their copies, and then the closest scan.
static bool shows_better(const sb_case *c, const sb_case *than, int64_t scan,
                         const int64_t *original) {
  int64_t other = c->a == scan ? c->b : c->a, others = than->a == scan ? than->b : than->a;
  bool first = original[other] == other, firsts = original[others] == others;
  return first != firsts ? first : sb_case_closeness(c) > sb_case_closeness(than);
}

// Per scan the case that shows best whose it is, if not its label's.
static void find_owners(sb_cases *cases, const int64_t *original, int64_t *best) {
  for (int64_t i = 0; i < cases->count; i++) {
    const sb_case *c = cases->items + i;
    const int64_t ends[2] = {c->a, c->b};
    for (int end = 0; end < 2; end++) {
      int64_t *of = best + ends[end];
      if (shows_owner(c, ends[end], original) &&
          (*of < 0 || shows_better(c, cases->items + *of, ends[end], original)))
        *of = i;
    }
  }
  for (int64_t i = 0; i < cases->count; i++) {
    sb_case *c = cases->items + i;
    bool two = c->why == SB_WHY_TWO_PEOPLE;
    c->owner[0] = two ? best[c->a] : -1;
    c->owner[1] = two ? best[c->b] : -1;
    if (two && c->doubtful && c->owner[0] < 0 && c->owner[1] < 0)
      decide(c, SB_VERDICT_DIFFERENT, SB_WHY_DOUBTFUL);
  }
}

sb_status sb_judge(const int64_t *label, int64_t scans, bool rely, sb_cases *cases, int64_t *group,
                   int64_t *original) {
  members m = {0};
  int64_t *best = NULL;
  bool *follows = NULL;
  sb_status status = sb_ok();
  find_groups(cases, scans, group);
  SB_TRY(SB_NEW(&follows, scans, "scans"));
  SB_TRY(find_originals(cases, label, scans, original, follows));
  SB_TRY(find_members(label, scans, group, follows, cases, &m));
  for (int64_t i = 0; i < cases->count; i++) {
    sb_case *c = cases->items + i;
    if (c->copy)
      decide(c, SB_VERDICT_DUPLICATE, SB_WHY_COPY);
    else if (c->expected == SB_EXPECTED_SAME)
      judge_expected(c, group[c->a] == group[c->b], rely);
    else
      judge_found(c, &m, label, group[c->a], follows, rely);
  }
  SB_TRY(SB_NEW(&best, scans, "scans"));
  for (int64_t i = 0; i < scans; i++) best[i] = -1;
  find_owners(cases, original, best);
cleanup:
  free(best);
  free(follows);
  free_members(&m);
  return status;
}
