// Closest canonical axis order (see orient.h).
#include "image/orient.h"

#include <math.h>
#include <string.h>

#include "core/memory.h"

void sb_voxel_size(const double affine[16], double size[3]) {
  for (int c = 0; c < 3; c++) size[c] = hypot(hypot(affine[c], affine[4 + c]), affine[8 + c]);
}

sb_axis_order sb_closest_ras(const double affine[16]) {
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                   {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  double size[3];
  sb_voxel_size(affine, size);
  int best = 0;
  double best_fit = -1;
  for (int o = 0; o < 6; o++) {
    double fit = 0;
    for (int r = 0; r < 3; r++) {
      int s = orders[o][r];
      fit += size[s] > 0 ? fabs(affine[4 * r + s]) / size[s] : 0;
    }
    if (fit > best_fit + 1e-9) {
      best = o;
      best_fit = fit;
    }
  }
  sb_axis_order order;
  for (int r = 0; r < 3; r++) {
    order.from[r] = orders[best][r];
    order.flip[r] = affine[4 * r + order.from[r]] < 0;
  }
  return order;
}

void sb_reorder_grid(const sb_axis_order *order, const int64_t stored_dims[3],
                     const double stored_affine[16], int64_t dims[3], double affine[16]) {
  double result[16];
  memcpy(result, stored_affine, sizeof result);
  for (int r = 0; r < 3; r++) {
    int s = order->from[r];
    dims[r] = stored_dims[s];
    for (int row = 0; row < 3; row++) {
      double step = stored_affine[4 * row + s];
      result[4 * row + r] = order->flip[r] ? -step : step;
      if (order->flip[r]) result[4 * row + 3] += step * (double)(stored_dims[s] - 1);
    }
  }
  memcpy(affine, result, sizeof result);
}

void sb_axis_letters(const sb_axis_order *order, char letters[4]) {
  for (int r = 0; r < 3; r++) letters[order->from[r]] = (order->flip[r] ? "LPI" : "RAS")[r];
  letters[3] = '\0';
}

char *sb_sides_doubt(sb_orientation_source source, const char *path) {
  if (source == SB_ASSUMED)
    return sb_format("left and right may be swapped, as the header of %s has no orientation: left, "
                     "front, up was assumed",
                     path);
  if (source == SB_FROM_DISPUTED_SFORM)
    return sb_format("left and right may be swapped, as sform and qform in the header of %s are "
                     "mirror images of each other: the sform was taken; find out from the original "
                     "which is right, and write it into both",
                     path);
  return NULL;
}
