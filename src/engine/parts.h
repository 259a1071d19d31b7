// How a long link is done in parts (see sb_link_options.parts).
#ifndef SB_ENGINE_PARTS_H
#define SB_ENGINE_PARTS_H

#include <stdint.h>

#include "engine/share.h"

// How many, for so many multiplications over `probes`. `block`: so many probes are held in memory at once; each
// block reads the whole gallery, so there are no more parts than blocks (0: reading does not matter). 1
// or more, for fewer than 128 probes 1.
int64_t sb_part_count(double work, int64_t probes, int64_t block);

// The probes of part `part` (from 0): whole blocks, so that the gallery is read as often as without parts. There
// must be at least as many blocks as parts.
sb_range sb_part_range(sb_range probes, int64_t block, int64_t part, int64_t parts);

#endif
