// The pair family on the device: embeddings as they are in the slots, and kernels that make scores of
// two of them, one for each form (measure/form.h).
#ifndef SB_KERNELS_PAIRS_H
#define SB_KERNELS_PAIRS_H

#include <stdbool.h>

#include "buffer.h"
#include "engine/backend.h"

// What the backend lends.
typedef struct sb_pair_memory {
  cudaStream_t stream;
  sb_device_block *slots; // SB_SLOTS
  sb_buffer *work, *scores;
  size_t work_bytes; // at most, of both together, unless a single pair needs more
} sb_pair_memory;

typedef struct sb_pairs sb_pairs;

bool sb_pairs_support(const sb_form *form);
sb_score_error sb_pairs_error(const sb_form *form);

// Copies to the device what all pairs share, and empties the slots. The form stays the caller's.
sb_status sb_pairs_open(const sb_pair_memory *memory, const sb_form *form, sb_pairs **out);
void sb_pairs_close(sb_pairs *pairs); // NULL is fine
sb_status sb_pairs_put(sb_pairs *pairs, sb_slot slot, const float *embeddings, int64_t count);
sb_status sb_pairs_tile(sb_pairs *pairs, sb_part a, sb_part b, double *c, int64_t ldc);

#endif
