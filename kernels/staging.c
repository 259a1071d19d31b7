#include "staging.h"

#include <string.h>

sb_status sb_staging_open(sb_staging *s, cudaStream_t computing) {
  sb_status status = sb_cuda_failure(cudaStreamCreate(&s->copying), "making a stream");
  s->computing = computing;
  for (int i = 0; i < SB_STAGES && status.code == SB_OK; i++) {
    sb_stage *stage = &s->stages[i];
    status = sb_cuda_failure(cudaEventCreateWithFlags(&stage->copied, cudaEventDisableTiming),
                             "making an event");
    if (status.code == SB_OK)
      status = sb_cuda_failure(cudaEventCreateWithFlags(&stage->used, cudaEventDisableTiming),
                               "making an event");
  }
  return status;
}

void sb_staging_close(sb_staging *s) {
  for (int i = 0; i < SB_STAGES; i++) {
    sb_stage *stage = &s->stages[i];
    sb_pinned_free(&stage->host);
    sb_buffer_free(&stage->device);
    if (stage->copied != NULL) cudaEventDestroy(stage->copied);
    if (stage->used != NULL) cudaEventDestroy(stage->used);
  }
  if (s->copying != NULL) cudaStreamDestroy(s->copying);
  memset(s, 0, sizeof *s);
}

int64_t sb_staging_items(size_t bytes, int64_t count) {
  const int64_t fit = (int64_t)(SB_STAGE_BYTES / bytes);
  return fit < 1 ? 1 : fit < count ? fit : count;
}

sb_status sb_staging_fill(sb_staging *s, size_t bytes, sb_stage **out) {
  sb_stage *stage = &s->stages[s->next];
  s->next = (s->next + 1) % SB_STAGES;
  *out = stage;
  sb_status status =
      sb_cuda_failure(cudaEventSynchronize(stage->copied), "waiting for vectors on their way");
  if (status.code == SB_OK)
    status = sb_pinned_reserve(&stage->host, bytes, "vectors on their way to the GPU");
  if (status.code == SB_OK)
    status = sb_buffer_reserve(&stage->device, bytes, "vectors on their way");
  return status;
}

sb_status sb_staging_send(sb_staging *s, sb_stage *stage, size_t bytes) {
  cudaError_t code = cudaStreamWaitEvent(s->copying, stage->used, 0);
  if (code == cudaSuccess)
    code = cudaMemcpyAsync(stage->device.data, stage->host.data, bytes, cudaMemcpyHostToDevice,
                           s->copying);
  if (code == cudaSuccess) code = cudaEventRecord(stage->copied, s->copying);
  if (code == cudaSuccess) code = cudaStreamWaitEvent(s->computing, stage->copied, 0);
  return sb_cuda_failure(code, "copying vectors");
}

sb_status sb_staging_used(sb_staging *s, sb_stage *stage) {
  return sb_cuda_failure(cudaEventRecord(stage->used, s->computing), "marking what was read");
}
