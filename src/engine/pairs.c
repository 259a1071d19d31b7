#include "engine/pairs.h"

#include <stdlib.h>

#include "core/memory.h"
#include "core/threads.h"
#include "engine/compare.h"

sb_status sb_score_pairs(const sb_store *probe, const sb_store *gallery, const sb_measure *measure,
                         const double *weights, const sb_pair *pairs, int64_t count,
                         double *scores) {
  const sb_grid grid = sb_store_grid(gallery);
  const sb_backend *backend = &sb_backend_cpu;
  const sb_backend_options options = {.threads = sb_thread_count(0)};
  sb_embedder embedder = {0};
  sb_plan plan;
  sb_timings timings = {0};
  sb_request *requests = NULL;
  void *context = NULL;
  sb_comparison c = {.probe = probe,
                     .gallery = gallery,
                     .plan = &plan,
                     .embedder = &embedder,
                     .timings = &timings};
  sb_status status = sb_ok();
  SB_TRY(backend->open(&options, &context));
  SB_TRY(sb_embedder_open(measure, &grid, &embedder));
  if (measure->parts != NULL && weights != NULL) measure->weigh(embedder.context, weights);
  const sb_range all = {0, sb_store_count(probe)};
  SB_TRY(sb_plan_make(all.last, sb_store_count(gallery), false, all, 1, options.threads,
                      sb_memory_bytes(0), &embedder, backend, context, NULL, &plan));
  SB_TRY(SB_NEW(&requests, count, "pairs to score"));
  for (int64_t i = 0; i < count; i++)
    requests[i] = (sb_request){pairs[i].probe, pairs[i].gallery, scores + i};
  SB_TRY(sb_comparison_open(&c));
  SB_TRY(sb_rescore(&c, requests, count));
cleanup:
  free(requests);
  sb_comparison_close(&c);
  sb_embedder_close(&embedder);
  if (context != NULL) backend->close(context);
  return status;
}
