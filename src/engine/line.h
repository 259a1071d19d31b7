// The scans of a tile one by one, each with those that it meets: what tile.c and settle.c share.
#ifndef SB_ENGINE_LINE_H
#define SB_ENGINE_LINE_H

#include <stdbool.h>

#include "engine/tile.h"

// One scan with all it meets in a tile: a row of it, or in a self-comparison a column.
typedef struct sb_line {
  int64_t probe;        // the scan
  int64_t first, count; // those it meets
  int64_t at, step;     // of its values
  const float *own, *others;
  const sb_lost *own_lost, *others_lost; // NULL: nothing to tell of single vectors
} sb_line;

// Where the value of the x-th scan that the line meets is in the tile.
static inline int64_t sb_line_place(const sb_line *l, int64_t x) {
  return l->at + x * l->step;
}

// Probes, and in a self-comparison the gallery's scans.
int64_t sb_tile_lines(const sb_sink *sink, const sb_tile *t);

// What is known of the score with the x-th scan that the line meets.
sb_screened sb_line_score(const sb_comparison *c, const sb_tile *t, const sb_line *l, int64_t x);

// The line's screen scores: counted, and put into the matrix. They are the thread's until its next line.
sb_status sb_line_screen(const sb_comparison *c, sb_sink *sink, const sb_tile *t, const sb_line *l,
                         sb_screened **scores);

// Does something with each line, the rows first; it may say that there is no room.
typedef sb_status (*sb_line_work)(const sb_comparison *c, sb_sink *sink, sb_tile *t,
                                  const sb_line *l, int64_t index, bool *room);
sb_status sb_for_all_lines(const sb_comparison *c, sb_sink *sink, sb_tile *t, sb_line_work work);

#endif
