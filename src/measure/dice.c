// dice: the overlap of tissue classes. Each scan's voxels fall into three classes of intensity by
// Otsu's criterion (mostly fluid, grey and white matter), and the classes are compared by Dice's
// coefficient summed over all of them (Crum 2006, equal weights): with every voxel in one class, it
// is the share of voxels that have the same class in both.
#include <string.h>

#include "measure/measure.h"
#include "measure/quantise.h"
#include "measure/set.h"

enum { CLASSES = 3, LEVELS = 256 };

// The two levels at which a class above begins, so that the variance between the classes is largest;
// of equal ones the lowest.
static void otsu(int64_t count, const uint8_t *level, int begin[CLASSES - 1]) {
  int64_t number[LEVELS + 1] = {0}, sum[LEVELS + 1] = {0}; // of the levels below
  for (int64_t i = 0; i < count; i++) number[level[i] + 1]++;
  for (int l = 0; l < LEVELS; l++) {
    sum[l + 1] = sum[l] + l * number[l + 1];
    number[l + 1] += number[l];
  }
  double best = -1;
  for (int first = 1; first < LEVELS; first++)
    for (int second = first + 1; second <= LEVELS; second++) {
      const int edge[CLASSES + 1] = {0, first, second, LEVELS};
      double between = 0; // but for a constant: the sum of n mean^2
      for (int c = 0; c < CLASSES; c++) {
        double n = (double)(number[edge[c + 1]] - number[edge[c]]);
        double s = (double)(sum[edge[c + 1]] - sum[edge[c]]);
        if (n > 0) between += s * s / n;
      }
      if (between <= best) continue;
      best = between;
      begin[0] = first;
      begin[1] = second;
    }
}

static int64_t length(const sb_grid *grid, const void *context) {
  (void)context;
  return CLASSES * grid->row_length;
}

// The levels, and what making them takes.
static int64_t scratch_length(const sb_grid *grid, const void *context) {
  (void)context;
  return 2 * grid->row_length;
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)context;
  const int64_t n = grid->row_length;
  uint8_t *level = (uint8_t *)(scratch + n);
  sb_status status = sb_quantise(n, scan->row, LEVELS, level, scratch);
  if (status.code != SB_OK) return status;
  int begin[CLASSES - 1] = {0};
  otsu(n, level, begin);
  const float element = sb_set_element(n, terms);
  for (int64_t i = 0; i < n; i++) {
    int class = (level[i] >= begin[0]) + (level[i] >= begin[1]);
    for (int c = 0; c < CLASSES; c++) vector[c * n + i] = c == class ? element : 0;
  }
  return status;
}

const sb_measure sb_measure_dice = {
    .info = {.name = "dice",
             .title = "Dice overlap of three classes of intensity by Otsu's criterion",
             .range_min = 0,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "scale and offset of the intensities",
             .cost = "a dot product of 3 V",
             .source =
                 "Crum 2006, IEEE Trans. Med. Imaging 25:1451; Otsu 1979, IEEE Trans. SMC 9:62"},
    .embedding_length = length,
    .term_count = SB_SET_TERMS,
    .scratch_length = scratch_length,
    .embed = embed,
    .epilogue = sb_set_dice,
    .from_dot = SB_FROM_DOT_DICE,
};
