// Sums of chunks, added up in float64.
#include "kernels.h"

#include "device.h"

template <typename value>
static __global__ void add_parts(const value *parts, int64_t count, int number, bool first,
                                 double scale, double *sum) {
  for (int64_t i = sb_first_item(); i < count; i += sb_item_step()) {
    double total = first ? 0 : sum[i];
    for (int part = 0; part < number; part++) total += (double)parts[part * count + i];
    sum[i] = total * scale;
  }
}

cudaError_t sb_kernel_add_parts(const float *parts, int64_t count, int number, bool first,
                                double scale, double *sum, cudaStream_t stream) {
  SB_LAUNCH(add_parts<float>, sb_blocks(count), SB_THREADS, stream, parts, count, number, first,
            scale, sum);
  return cudaGetLastError();
}

cudaError_t sb_kernel_add_sums(const double *parts, int64_t count, int number, double scale,
                               double *sum, cudaStream_t stream) {
  SB_LAUNCH(add_parts<double>, sb_blocks(count), SB_THREADS, stream, parts, count, number, true,
            scale, sum);
  return cudaGetLastError();
}
