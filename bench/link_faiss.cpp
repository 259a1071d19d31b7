// The peer of bench_link: what faiss::IndexFlatIP::search does, on rows that stay where they are.
#include <faiss/utils/distances.h>
#include <omp.h>

#include "link_faiss.h"

extern "C" void openblas_set_num_threads(int threads);

void faiss_search(const float *probes, int64_t probe_count, const float *gallery,
                  int64_t gallery_count, int64_t length, int64_t k, int threads, float *scores,
                  int64_t *ids) {
  openblas_set_num_threads(threads);
  omp_set_num_threads(threads);
  faiss::knn_inner_product(probes, gallery, size_t(length), size_t(probe_count),
                           size_t(gallery_count), size_t(k), scores, ids);
}
