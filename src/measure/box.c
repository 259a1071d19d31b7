#include "measure/box.h"

sb_status sb_mask_box(const sb_grid *grid, int64_t first[3], int64_t size[3]) {
  int64_t last[3] = {-1, -1, -1};
  for (int axis = 0; axis < 3; axis++) first[axis] = grid->dims[axis];
  const uint8_t *mask = grid->mask;
  int64_t at[3];
  for (at[2] = 0; at[2] < grid->dims[2]; at[2]++)
    for (at[1] = 0; at[1] < grid->dims[1]; at[1]++)
      for (at[0] = 0; at[0] < grid->dims[0]; at[0]++) {
        if (!*mask++) continue;
        for (int axis = 0; axis < 3; axis++) {
          if (at[axis] < first[axis]) first[axis] = at[axis];
          if (at[axis] > last[axis]) last[axis] = at[axis];
        }
      }
  for (int axis = 0; axis < 3; axis++) size[axis] = last[axis] - first[axis] + 1;
  return last[0] >= 0 ? sb_ok() : sb_error(SB_CONTENT, "the template's mask is empty");
}
