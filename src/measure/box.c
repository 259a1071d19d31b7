#include "measure/box.h"

#include "prepare/mask.h"

sb_status sb_mask_box(const sb_grid *grid, int64_t first[3], int64_t size[3]) {
  int64_t end[3];
  const bool found = sb_mask_bounds(grid->dims, grid->mask, first, end);
  for (int axis = 0; axis < 3; axis++) size[axis] = end[axis] - first[axis];
  return found ? sb_ok() : sb_error(SB_CONTENT, "the template's mask is empty");
}
