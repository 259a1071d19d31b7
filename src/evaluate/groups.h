// Scans joined pair by pair into groups (union-find).
#ifndef SB_EVALUATE_GROUPS_H
#define SB_EVALUATE_GROUPS_H

#include <stdint.h>

// The first scan of i's group; `parent` is every scan itself at first, and parents come before their
// children.
static inline int64_t sb_group_first(int64_t *parent, int64_t i) {
  while (parent[i] != i) i = parent[i] = parent[parent[i]];
  return i;
}

static inline void sb_group_unite(int64_t *parent, int64_t a, int64_t b) {
  a = sb_group_first(parent, a);
  b = sb_group_first(parent, b);
  if (a < b)
    parent[b] = a;
  else
    parent[a] = b;
}

#endif
