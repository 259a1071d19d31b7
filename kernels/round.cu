// float32 vectors to the operands of a matrix product.
#include "kernels.h"

#include "device.h"
#include "rounding.h"

struct to_fp32 {
  typedef float type;
  static __device__ float of(float value) {
    return value;
  }
};
struct to_tf32 {
  typedef float type;
  static __device__ float of(float value) {
    return sb_to_tf32(value);
  }
};
struct to_fp16 {
  typedef uint16_t type;
  static __device__ uint16_t of(float value) {
    return sb_to_fp16(value);
  }
};
struct to_bf16 {
  typedef uint16_t type;
  static __device__ uint16_t of(float value) {
    return sb_to_bf16(value);
  }
};

template <typename to>
static __global__ void round_vectors(const float *in, int64_t stride, int64_t rows, int64_t k,
                                     float scale, int64_t padded, typename to::type *out) {
  for (int64_t i = sb_first_item(); i < rows * padded; i += sb_item_step()) {
    const int64_t row = i / padded, at = i - row * padded;
    out[i] = to::of(at < k ? in[row * stride + at] * scale : 0.0f);
  }
}

template <typename to>
static void launch(const float *in, int64_t stride, int64_t rows, int64_t k, float scale,
                   int64_t padded, void *out, cudaStream_t stream) {
  typename to::type *elements = static_cast<typename to::type *>(out);
  SB_LAUNCH(round_vectors<to>, sb_blocks(rows * padded), SB_THREADS, stream, in, stride, rows, k,
            scale, padded, elements);
}

cudaError_t sb_kernel_round(const float *in, int64_t stride, int64_t rows, int64_t k, float scale,
                            sb_precision precision, int64_t padded, void *out,
                            cudaStream_t stream) {
  switch (precision) {
  case SB_FP32:
    launch<to_fp32>(in, stride, rows, k, scale, padded, out, stream);
    break;
  case SB_TF32:
    launch<to_tf32>(in, stride, rows, k, scale, padded, out, stream);
    break;
  case SB_FP16:
    launch<to_fp16>(in, stride, rows, k, scale, padded, out, stream);
    break;
  default:
    launch<to_bf16>(in, stride, rows, k, scale, padded, out, stream);
    break;
  }
  return cudaGetLastError();
}
