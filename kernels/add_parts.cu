// Sums of chunks, added up in float64.
#include "kernels.h"

#include "device.h"

template <typename value>
static __global__ void add_parts(sb_kernel_parts p, double scale, double *sum) {
  const value *parts = static_cast<const value *>(p.parts);
  for (int64_t i = sb_first_item(); i < p.rows * p.columns; i += sb_item_step()) {
    const int64_t row = i / p.columns, at = row * p.stride + (i - row * p.columns);
    double total = p.first ? 0 : sum[i];
    for (int part = 0; part < p.number; part++)
      total += (double)parts[part * p.rows * p.stride + at];
    sum[i] = total * scale;
  }
}

static __global__ void add_int8_parts(sb_kernel_parts p, const float *a_scales,
                                      const float *b_scales, int64_t chunks, double *sum) {
  const int32_t *parts = static_cast<const int32_t *>(p.parts);
  for (int64_t i = sb_first_item(); i < p.rows * p.columns; i += sb_item_step()) {
    const int64_t row = i / p.columns, column = i - row * p.columns;
    double total = p.first ? 0 : sum[i];
    for (int part = 0; part < p.number; part++)
      total += (double)a_scales[row * chunks + part] * (double)b_scales[column * chunks + part] *
               (double)parts[(part * p.rows + row) * p.stride + column];
    sum[i] = total;
  }
}

cudaError_t sb_kernel_add_parts(const sb_kernel_parts *parts, double scale, double *sum,
                                cudaStream_t stream) {
  SB_LAUNCH(add_parts<float>, sb_blocks(parts->rows * parts->columns), SB_THREADS, stream, *parts,
            scale, sum);
  return cudaGetLastError();
}

cudaError_t sb_kernel_add_sums(const sb_kernel_parts *parts, double scale, double *sum,
                               cudaStream_t stream) {
  SB_LAUNCH(add_parts<double>, sb_blocks(parts->rows * parts->columns), SB_THREADS, stream, *parts,
            scale, sum);
  return cudaGetLastError();
}

cudaError_t sb_kernel_add_int8_parts(const sb_kernel_parts *parts, const float *a_scales,
                                     const float *b_scales, int64_t chunks, double *sum,
                                     cudaStream_t stream) {
  SB_LAUNCH(add_int8_parts, sb_blocks(parts->rows * parts->columns), SB_THREADS, stream, *parts,
            a_scales, b_scales, chunks, sum);
  return cudaGetLastError();
}
