// From a tile of products to the sink (tile.c; coarse screens in settle.c). A fine screen, whose bound is small beside the differences of
// scores, gives the sink intervals, and what stays in its lists is rescored at the end. A coarse one
// (the CPU's int8) is settled tile by tile, while the rows are at hand:
// whatever could matter gets its canonical score, so that the next tile meets lists of exact scores.
#ifndef SB_ENGINE_TILE_H
#define SB_ENGINE_TILE_H

#include <stdint.h>

#include "engine/compare.h"
#include "engine/sink.h"

// What a canonical score costs, in pairs of a float32 product: measured 7 to 17, less the more of them
// share scans.
enum { SB_CANONICAL_COST = 10 };

// What is known of a pair of a coarse screen's tile.
enum {
  SB_PAIR_FAR,    // cannot matter
  SB_PAIR_OPEN,   // could
  SB_PAIR_WANTED, // its canonical score is asked for
  SB_PAIR_SETTLED // its value is its canonical score
};

// What a tile needs beside its values while a coarse screen is settled.
typedef struct sb_settling {
  uint8_t *state;        // of each value
  sb_cutoffs *cutoffs;   // of each line
  sb_candidate *found;   // for each thread, as many as a line has
  sb_scored_pair *pairs; // `capacity` of them, and which values they are of
  int64_t *places;
  int64_t capacity;
} sb_settling;

// Probes [probe, probe + probes) with gallery scans [gallery, gallery + galleries). In a
// self-comparison only pairs with probe <= gallery count, and each serves both of its scans.
typedef struct sb_tile {
  int64_t probe, probes, gallery, galleries, pairs;
  const float *a, *b;             // their embeddings
  const sb_lost *lost_a, *lost_b; // of each of them; NULL: the error is all
  double *values;                 // [i * galleries + j]: dot products, or scores of the pair family
  double error;                   // of the dot products, beside what is lost
  sb_score_error apart;           // of the scores of the pair family
  int64_t line;                   // the most scans that one scan meets in a tile
  // For each thread, `line` of them.
  sb_screened *scores;
  float *floats;        // scores on their way into the matrix
  sb_settling settling; // of coarse screens
} sb_tile;

sb_extent sb_tile_extent(const sb_sink *sink, const sb_tile *tile);

// Memory for tiles of a plan.
int64_t sb_tile_bytes(const sb_plan *plan, int64_t probe_tile, int64_t gallery_tile);
sb_status sb_tile_open(const sb_plan *plan, sb_tile *out);
void sb_tile_close(sb_tile *tile); // a zeroed one is fine

// Gives all pairs of a tile to the sink, whose screen is fine, or of the pair family.
sb_status sb_tile_deliver(const sb_comparison *c, sb_sink *sink, const sb_tile *t);

// The same of a coarse screen, in two steps. sb_tile_survey counts the scores and finds what could matter;
// `open` is how many pairs need a canonical score, beside those that have one now. After it the values may
// be replaced by those of a fine screen, which leaves fewer: `anew`.
sb_status sb_tile_survey(const sb_comparison *c, sb_sink *sink, sb_tile *t, int64_t *open);
sb_status sb_tile_settle(const sb_comparison *c, sb_sink *sink, sb_tile *t, bool anew);

int64_t sb_settling_bytes(const sb_plan *plan, int64_t probe_tile, int64_t gallery_tile);
//   line  the most scans that one scan meets in a tile
sb_status sb_settling_open(const sb_plan *plan, int64_t line, sb_settling *out);
void sb_settling_close(sb_settling *settling); // a zeroed one is fine

// The canonical scores of pairs, on all threads; `sliced` as in sb_embedded_scores().
void sb_score_canonically(const sb_comparison *c, sb_scored_pair *pairs, int64_t count,
                          bool sliced);

#endif
