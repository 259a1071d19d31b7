// The kernels, as C calls them: each queues its work on a stream.
#ifndef SB_KERNELS_KERNELS_H
#define SB_KERNELS_KERNELS_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#include "engine/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

// Rounds `rows` vectors of k floats (`stride` apart) times `scale` to a precision, and pads each
// with zeros to `padded` elements. Elements are float (fp32, tf32) or 16 bits wide.
cudaError_t sb_kernel_round(const float *in, int64_t stride, int64_t rows, int64_t k, float scale,
                            sb_precision precision, int64_t padded, void *out, cudaStream_t stream);

// sum[i] = (first ? 0 : sum[i]) + parts[i] + parts[count + i] + ..., in this order in float64, for
// i < count; then times `scale`.
cudaError_t sb_kernel_add_parts(const float *parts, int64_t count, int number, bool first,
                                double scale, double *sum, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
