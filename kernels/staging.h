// The way of data to the device: two pairs of a pinned host buffer and a device buffer, filled in turn,
// so that while one pair's data crosses the bus the host fills the other and kernels read what came
// before. Copies have a stream of their own; events keep the order:
//   - the host fills a pinned buffer once the copy out of it is done (`copied`);
//   - kernels read a device buffer after the copy into it (`copied`);
//   - a copy into a device buffer comes after the kernels that read it last (`used`).
#ifndef SB_KERNELS_STAGING_H
#define SB_KERNELS_STAGING_H

#include <stdbool.h>

#include "buffer.h"

enum { SB_STAGES = 2 };

typedef struct sb_stage {
  sb_pinned host;
  sb_buffer device;
  cudaEvent_t copied, used;
} sb_stage;

typedef struct sb_staging {
  cudaStream_t copying, computing;
  sb_stage stages[SB_STAGES];
  int next;
} sb_staging;

// Most bytes in one buffer, unless a single vector needs more.
#ifdef SAMEBRAIN_SMALL_TILES
static const size_t SB_STAGE_BYTES = 4 << 10;
#else
static const size_t SB_STAGE_BYTES = 64 << 20;
#endif

// `computing` is the stream that kernels run on, borrowed.
sb_status sb_staging_open(sb_staging *staging, cudaStream_t computing);
void sb_staging_close(sb_staging *staging); // a zeroed one, or one that failed to open, is fine

// How many items of `bytes` go at once, of `count`.
int64_t sb_staging_items(size_t bytes, int64_t count);

// The next pair, its buffers of at least `bytes`: fill its `host`,
sb_status sb_staging_fill(sb_staging *staging, size_t bytes, sb_stage **stage);
// then send the first `bytes`: kernels queued from here on find them in its `device`,
sb_status sb_staging_send(sb_staging *staging, sb_stage *stage, size_t bytes);
// and say when these kernels are queued.
sb_status sb_staging_used(sb_staging *staging, sb_stage *stage);

#endif
