// Whether int8 pays for one measure and these scans, judged on a sample of them.
#ifndef SB_ENGINE_CHOOSE_H
#define SB_ENGINE_CHOOSE_H

#include <stdint.h>

#include "engine/compare.h"

// What a measure is screened by, and why, in words.
typedef struct sb_choice {
  sb_precision precision;
  char why[200];
} sb_choice;

// What is asked of the comparison.
typedef struct sb_wish {
  int64_t probes, gallery;
  bool self;
  int64_t top;
  double threshold; // a closeness; INFINITY: none
  int threads;
  int64_t memory_bytes;
} sb_wish;

// Sets c->screen and its context: the one of c->compute, or where that may choose, and the sample says
// so, its fine one. Needs c's stores (or vectors), embedder and compute. The choice depends on the scans
// and the wish, never on timings. Errors: SB_CONTENT (a scan that cannot be embedded), SB_NO_MEMORY.
sb_status sb_choose_screen(sb_comparison *c, const sb_wish *wish, sb_choice *out);

#endif
