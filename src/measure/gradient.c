// gradient: the agreement of two scans' normalised gradient fields. At each voxel the gradient g, by
// differences within the mask, becomes g / sqrt(|g|^2 + e^2), where e is the mean gradient magnitude
// of the scan (Haber and Modersitzki's automatic edge parameter); the score is the cosine of the
// angle between the two fields, signs included, as for images of one kind.
#include <math.h>
#include <stdlib.h>

#include "core/memory.h"
#include "measure/correlation.h"
#include "measure/measure.h"
#include "measure/row.h"
#include "measure/vector.h"

// Places of each voxel's neighbours in the row, before and after along each axis; its own place
// where there is none in the mask.
typedef struct neighbours {
  int32_t (*of)[6];
} neighbours;

static void destroy(void *context) {
  neighbours *n = context;
  if (n == NULL) return;
  free(n->of);
  free(n);
}

static void find_neighbours(const sb_grid *grid, const int32_t *place, neighbours *n) {
  const int64_t *dims = grid->dims, step[3] = {1, dims[0], dims[0] * dims[1]};
  for (int64_t i = 0; i < step[2] * dims[2]; i++) {
    if (!grid->mask[i]) continue;
    int32_t *of = n->of[place[i]];
    for (int axis = 0; axis < 3; axis++) {
      int64_t at = i / step[axis] % dims[axis];
      bool before = at > 0 && grid->mask[i - step[axis]];
      bool after = at + 1 < dims[axis] && grid->mask[i + step[axis]];
      of[2 * axis] = place[before ? i - step[axis] : i];
      of[2 * axis + 1] = place[after ? i + step[axis] : i];
    }
  }
}

static sb_status create(const sb_grid *grid, void **context) {
  const int64_t voxels = grid->dims[0] * grid->dims[1] * grid->dims[2];
  neighbours *n = NULL;
  int32_t *place = NULL, used = 0;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&n, 1, "neighbours"));
  SB_TRY(SB_NEW(&n->of, grid->row_length, "neighbours"));
  SB_TRY(SB_NEW(&place, voxels, "neighbours"));
  for (int64_t i = 0; i < voxels; i++) place[i] = grid->mask[i] ? used++ : -1;
  find_neighbours(grid, place, n);
  *context = n;
  n = NULL;
cleanup:
  free(place);
  destroy(n);
  return status;
}

static int64_t length(const sb_grid *grid, const void *context) {
  (void)context;
  return 3 * grid->row_length;
}

// The difference over its distance: 2 voxels between two neighbours, 1 at an edge, none alone.
static float difference(const float *row, int32_t here, const int32_t pair[2]) {
  float d = row[pair[1]] - row[pair[0]];
  return pair[0] != here && pair[1] != here ? 0.5f * d : d;
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  (void)terms;
  (void)scratch;
  const neighbours *around = context;
  const int64_t n = grid->row_length;
  float *x = vector, *y = x + n, *z = y + n;
  double sum = 0;
  sb_row_facts facts;
  sb_status status = sb_row_examine(n, scan->row, &facts);
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < n; i++) {
    const int32_t *of = around->of[i], here = (int32_t)i;
    x[i] = difference(scan->row, here, of);
    y[i] = difference(scan->row, here, of + 2);
    z[i] = difference(scan->row, here, of + 4);
    sum += sqrt((double)x[i] * (double)x[i] + (double)y[i] * (double)y[i] +
                (double)z[i] * (double)z[i]);
  }
  double edge = sum / (double)n;
  if (edge <= 1e-6 * facts.sd) return sb_error(SB_CONTENT, "a row without gradients");
  for (int64_t i = 0; i < n; i++) {
    double square =
        (double)x[i] * (double)x[i] + (double)y[i] * (double)y[i] + (double)z[i] * (double)z[i];
    float factor = (float)(1 / sqrt(square + edge * edge));
    x[i] *= factor;
    y[i] *= factor;
    z[i] *= factor;
  }
  sb_centre_scale(3 * n, vector, 0, 1 / sqrt(sb_sum_squares(3 * n, vector, 0)), vector);
  return status;
}

const sb_measure sb_measure_gradient = {
    .info = {.name = "gradient",
             .title = "Cosine between the normalised gradient fields",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "scale and offset of the intensities",
             .cost = "a dot product of 3 V",
             .source = "Haber and Modersitzki 2006, Proc. MICCAI, LNCS 4191:726"},
    .create = create,
    .destroy = destroy,
    .embedding_length = length,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
    .from_dot = SB_FROM_DOT_CORRELATION,
};
