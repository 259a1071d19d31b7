#ifndef BENCH_LINK_FAISS_H
#define BENCH_LINK_FAISS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The k largest dot products of each probe with the gallery, closest first.
void faiss_search(const float *probes, int64_t probe_count, const float *gallery,
                  int64_t gallery_count, int64_t length, int64_t k, int threads, float *scores,
                  int64_t *ids);

#ifdef __cplusplus
}
#endif

#endif
