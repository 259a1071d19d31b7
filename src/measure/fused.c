// fused: the weighted mean of three correlations of fine structure: bandpass, localz and gradient.
// What each weighs is the inverse of its scale: how far the scores of a run spread, as the engine
// finds from a sample of its pairs. That is the mean of the standardised scores (each less its
// location, over its scale) brought back to the range of a correlation, which changes no order.
// Outside a run, where there is nothing to standardise by, all weigh the same.
//
// A weighted sum of dot products is the dot product of the vectors put end to end, each times the
// root of its weight: so this is one more measure of the GEMM family.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "measure/correlation.h"
#include "measure/measure.h"
#include "measure/vector.h"

static const char *const PARTS[] = {"bandpass", "localz", "gradient", NULL};
enum { COUNT = sizeof PARTS / sizeof *PARTS - 1 };

typedef struct fused {
  sb_embedder part[COUNT];
  double weight[COUNT];
} fused;

static void destroy(void *context) {
  fused *f = context;
  if (f == NULL) return;
  for (int p = 0; p < COUNT; p++) sb_embedder_close(&f->part[p]);
  free(f);
}

static sb_status create(const sb_grid *grid, void **context) {
  fused *f = NULL;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&f, 1, "parts of fused"));
  for (int p = 0; p < COUNT; p++) {
    SB_TRY(sb_embedder_open(sb_measure_row_find(PARTS[p]), grid, &f->part[p]));
    f->weight[p] = 1.0 / COUNT;
  }
  *context = f;
  f = NULL;
cleanup:
  destroy(f);
  return status;
}

static void weigh(void *context, const double *weights) {
  fused *f = context;
  memcpy(f->weight, weights, sizeof f->weight);
}

static int64_t length(const sb_grid *grid, const void *context) {
  (void)grid;
  const fused *f = context;
  int64_t floats = 0;
  for (int p = 0; p < COUNT; p++) floats += sb_round_up(f->part[p].length);
  return floats;
}

static int64_t scratch_length(const sb_grid *grid, const void *context) {
  (void)grid;
  const fused *f = context;
  int64_t most = 0;
  for (int p = 0; p < COUNT; p++)
    if (f->part[p].scratch > most) most = f->part[p].scratch;
  return most;
}

static sb_status embed(const sb_grid *grid, const void *context, const sb_scan_data *scan,
                       float *vector, double *terms, float *scratch) {
  const fused *f = context;
  for (int p = 0; p < COUNT; p++) {
    const sb_embedder *e = &f->part[p];
    const int64_t filled = sb_round_up(e->length);
    sb_status status = e->measure->embed(grid, e->context, scan, vector, terms, scratch);
    if (status.code != SB_OK) return status;
    sb_centre_scale(e->length, vector, 0, sqrt(f->weight[p]), vector);
    memset(vector + e->length, 0, (size_t)(filled - e->length) * sizeof *vector);
    vector += filled;
  }
  return sb_ok();
}

const sb_measure sb_measure_fused = {
    .info = {.name = "fused",
             .title =
                 "Mean of bandpass, localz and gradient, each standardised by the run's scores",
             .range_min = -1,
             .range_max = 1,
             .higher_is_closer = true,
             .gemm = true,
             .invariant_to = "scale and offset of the intensities",
             .cost = "a dot product of 5 V",
             .source = "sum rule: Kittler 1998, IEEE TPAMI 20:226; weights: docs/measures.md"},
    .parts = PARTS,
    .create = create,
    .destroy = destroy,
    .weigh = weigh,
    .embedding_length = length,
    .scratch_length = scratch_length,
    .embed = embed,
    .epilogue = sb_clamp_correlation,
    .from_dot = SB_FROM_DOT_CORRELATION,
};
