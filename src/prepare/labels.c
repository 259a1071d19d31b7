// Label images (see labels.h).
#include "prepare/labels.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

enum { SLOTS = 4 * SB_MOST_LABELS, EVERY_ROW = 17 };

// How often neighbours share each value: open addressing, by the value's bits.
typedef struct tally {
  float value[SLOTS];
  int64_t count[SLOTS]; // 0: the slot is free
  int values;
} tally;

static void count_equal(tally *t, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  static_assert(SLOTS == 1 << 12, "as many as 32 - 20 bits number");
  uint32_t slot = (bits * UINT32_C(2654435761)) >> 20;
  while (t->count[slot] > 0 && t->value[slot] != value) slot = (slot + 1) % SLOTS;
  t->values += t->count[slot] == 0;
  t->value[slot] = value;
  t->count[slot]++;
}

bool sb_is_label_image(const sb_volume *volume, sb_label_figures *figures) {
  // Beside real scans whose grey levels were made few, and atlases: see docs/preparation.md.
  static const int FEW = 8, SOME = 32;
  static const double LEAST_OF_FEW = 0.5, LEAST_OF_SOME = 0.75, LEAST_OF_MANY = 0.6;
  const int64_t rows = volume->dims[1] * volume->dims[2], width = volume->dims[0];
  tally t = {.values = 0};
  int64_t equal = 0, different = 0, commonest = 0;
  for (int64_t row = 0; row < rows && t.values <= SB_MOST_LABELS; row += EVERY_ROW) {
    const float *v = volume->voxels + row * width;
    for (int64_t x = 0; x + 1 < width && t.values <= SB_MOST_LABELS; x++) {
      different += v[x] != v[x + 1];
      if (v[x] == v[x + 1]) count_equal(&t, v[x]);
    }
  }
  for (int i = 0; i < SLOTS; i++) {
    equal += t.count[i];
    if (t.count[i] > commonest) commonest = t.count[i];
  }
  equal -= commonest;
  figures->values = t.values;
  figures->equal = equal + different > 0 ? (double)equal / (double)(equal + different) : 0;
  if (t.values > SB_MOST_LABELS) return false;
  return figures->equal > (t.values <= FEW    ? LEAST_OF_FEW
                           : t.values <= SOME ? LEAST_OF_SOME
                                              : LEAST_OF_MANY);
}

sb_status sb_refuse_labels(const sb_volume *volume) {
  sb_label_figures figures;
  if (!sb_is_label_image(volume, &figures)) return sb_ok();
  return sb_error(
      SB_CONTENT,
      "a label image (a segmentation or a mask), no scan: it has %d values, and %.0f %% of "
      "neighbouring voxels have the same; give the T1-weighted scan that it is of",
      figures.values, 100 * figures.equal);
}
