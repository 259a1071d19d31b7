#include "measure/joint.h"

#include <string.h>

#include "measure/quantise.h"
#include "measure/vector.h"

// Voxels of like intensity are neighbours, and adding to a counter that was just written has to wait
// for that: consecutive voxels count into different tables.
enum { TABLES = 4, BLOCK = 1024 };

typedef struct work {
  sb_joint joint;
  uint32_t table[TABLES][SB_JOINT_BINS];
} work;

int64_t sb_joint_length(const sb_grid *grid, const void *context) {
  (void)context;
  return (grid->row_length + 3) / 4;
}

int64_t sb_joint_scratch(const sb_grid *grid, const void *context) {
  (void)context;
  int64_t counting = (int64_t)(sizeof(work) / sizeof(float));
  return counting > grid->row_length ? counting : grid->row_length;
}

sb_status sb_joint_embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                         float *vector, double *terms, float *scratch) {
  (void)context;
  (void)terms;
  uint8_t *level = (uint8_t *)vector;
  memset(vector, 0, (size_t)sb_joint_length(grid, context) * sizeof *vector);
  return sb_quantise(grid->row_length, scan->row, SB_LEVELS, level, scratch);
}

SB_VECTOR_CLONES static void find_bins(int count, const uint8_t *a, const uint8_t *b,
                                       uint16_t *bin) {
  for (int i = 0; i < count; i++) bin[i] = (uint16_t)(a[i] * SB_LEVELS + b[i]);
}

static void count_pairs(int64_t count, const uint8_t *a, const uint8_t *b, work *w) {
  uint16_t bin[BLOCK];
  for (int64_t at = 0; at < count; at += BLOCK) {
    int here = (int)(count - at < BLOCK ? count - at : BLOCK), i = 0;
    find_bins(here, a + at, b + at, bin);
    for (; i + TABLES <= here; i += TABLES) {
      w->table[0][bin[i]]++;
      w->table[1][bin[i + 1]]++;
      w->table[2][bin[i + 2]]++;
      w->table[3][bin[i + 3]]++;
    }
    for (; i < here; i++) w->table[0][bin[i]]++;
  }
}

const sb_joint *sb_joint_of(const sb_grid *grid, sb_embedding a, sb_embedding b, float *scratch) {
  work *w = (work *)(void *)scratch;
  memset(w, 0, sizeof *w);
  count_pairs(grid->row_length, (const uint8_t *)a.vector, (const uint8_t *)b.vector, w);
  sb_joint *joint = &w->joint;
  for (int i = 0; i < SB_JOINT_BINS; i++) {
    joint->count[i] = w->table[0][i] + w->table[1][i] + w->table[2][i] + w->table[3][i];
    joint->a[i / SB_LEVELS] += joint->count[i];
    joint->b[i % SB_LEVELS] += joint->count[i];
  }
  return joint;
}

sb_entropies sb_joint_entropies(const sb_grid *grid, const sb_joint *joint) {
  double a = 0, b = 0, both = 0, voxels = (double)grid->row_length;
  for (int i = 0; i < SB_LEVELS; i++) {
    a += sb_n_log_n(joint->a[i]);
    b += sb_n_log_n(joint->b[i]);
    both += sb_n_log_n(joint->count[i * SB_LEVELS + i]);
    for (int j = 0; j < i; j++) // a cell and its mirror image together, in no order
      both +=
          sb_n_log_n(joint->count[i * SB_LEVELS + j]) + sb_n_log_n(joint->count[j * SB_LEVELS + i]);
  }
  return (sb_entropies){sb_entropy_of(a, voxels), sb_entropy_of(b, voxels),
                        sb_entropy_of(both, voxels)};
}
