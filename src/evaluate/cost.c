#include "evaluate/cost.h"

// Shorter runs measure how long it takes to start.
static const double SHORTEST_S = 1;

sb_cost sb_cost_of_link(const sb_link_folder *folder, double pairs) {
  const sb_linked_times *t = &folder->times;
  const sb_scans *scans = &folder->scans;
  double measures = (double)folder->measure_count, probes = (double)scans->probe_count;
  double embedded = probes + (scans->self ? 0 : (double)scans->gallery_count);
  sb_cost cost = {.measured = t->total >= SHORTEST_S && pairs > 0};
  for (size_t i = 0; i < folder->measure_count; i++) {
    const sb_linked_measure *m = folder->measures + i;
    if (m->memory_bytes > cost.memory_bytes) cost.memory_bytes = m->memory_bytes;
    if (2 * m->vector_length > cost.row_bytes) cost.row_bytes = 2 * m->vector_length;
  }
  if (pairs > 0) cost.pair_s = (t->multiply + t->select) / pairs / measures;
  cost.scan_s = t->embed / embedded / measures;
  cost.probe_s = (t->rescore + t->write) / probes / measures;
  return cost;
}

double sb_cost_seconds(const sb_cost *cost, double gallery, double probes) {
  return cost->scan_s * (gallery + probes) + cost->pair_s * gallery * probes +
         cost->probe_s * probes;
}
