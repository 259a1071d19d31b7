// What a search of a given size would take on the machine that linked, from the link's own times:
// the cost that "reasonably likely to be used" asks for. Embedding grows with the scans, products
// and selection with the pairs, rescoring with the probes.
#ifndef SB_EVALUATE_COST_H
#define SB_EVALUATE_COST_H

#include "evaluate/folder.h"

typedef struct sb_cost {
  double scan_s, pair_s, probe_s; // for one measure, all threads together
  double row_bytes;               // a scan's float16 row on disk
  double memory_bytes;            // as planned for the link
  bool measured;                  // false: the run was too short to be scaled
} sb_cost;

sb_cost sb_cost_of_link(const sb_link_folder *folder, double pairs);
// Seconds to compare `gallery` scans with `probes` ones, prepared rows given.
double sb_cost_seconds(const sb_cost *cost, double gallery, double probes);

#endif
