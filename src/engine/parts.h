// How many parts a long link is done in (see sb_link_options.parts).
#ifndef SB_ENGINE_PARTS_H
#define SB_ENGINE_PARTS_H

#include <stdint.h>

// For so many multiplications over `probes`. `block`: at most so many probes are held in memory at once; each
// part, and each block, reads the whole gallery, so there are no more parts than blocks (0: reading
// does not matter). 1 or more, for fewer than 128 probes 1.
int64_t sb_part_count(double work, int64_t probes, int64_t block);

#endif
