// Tiles whose pairs the backend selects (backend.h): a tile is started, and taken when the next one is, so
// that the gallery's next scans are on their way meanwhile.
#ifndef SB_ENGINE_SELECT_H
#define SB_ENGINE_SELECT_H

#include "engine/tile.h"

// Sets c->selecting where the backend selects for this comparison; else the host does (tile.h): where all
// scores are wanted, a matrix say, or the backend knows no epilogue or has no room.
sb_status sb_select_begin(sb_comparison *c, const sb_sink *sink);
// Takes the tile before, if there is one, and starts this one; not where the backend has no room for it:
// the host has to select it then.
sb_status sb_select_tile(sb_comparison *c, sb_sink *sink, const sb_tile *tile, sb_part b,
                         bool *started);
// Takes the last tile, and what was counted.
sb_status sb_select_end(sb_comparison *c, sb_sink *sink);
void sb_select_close(sb_comparison *c); // after a failure, too

// Memory for a tile.
int64_t sb_select_bytes(int64_t probe_tile, int64_t gallery_tile);

#endif
