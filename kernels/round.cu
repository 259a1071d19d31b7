// Vectors to the operands of a matrix product.
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
static __global__ void round_vectors(const float *in, int64_t rows, int64_t k, float scale,
                                     int64_t padded, typename to::type *out) {
  for (int64_t i = sb_first_item(); i < rows * padded; i += sb_item_step()) {
    const int64_t row = i / padded, at = i - row * padded;
    out[i] = to::of(at < k ? in[row * k + at] * scale : 0.0f);
  }
}

template <typename to>
static void launch(const float *in, int64_t rows, int64_t k, float scale, int64_t padded, void *out,
                   cudaStream_t stream) {
  typename to::type *elements = static_cast<typename to::type *>(out);
  SB_LAUNCH(round_vectors<to>, sb_blocks(rows * padded), SB_THREADS, stream, in, rows, k, scale,
            padded, elements);
}

cudaError_t sb_kernel_round(const float *in, int64_t rows, int64_t k, float scale,
                            sb_precision precision, int64_t padded, void *out,
                            cudaStream_t stream) {
  switch (precision) {
  case SB_FP32:
    launch<to_fp32>(in, rows, k, scale, padded, out, stream);
    break;
  case SB_TF32:
    launch<to_tf32>(in, rows, k, scale, padded, out, stream);
    break;
  case SB_FP16:
    launch<to_fp16>(in, rows, k, scale, padded, out, stream);
    break;
  default:
    launch<to_bf16>(in, rows, k, scale, padded, out, stream);
    break;
  }
  return cudaGetLastError();
}

static __global__ void place_numbers(const void *in, int64_t rows, int64_t chunks, int64_t k,
                                     int64_t padded, float *scales, int8_t *numbers) {
  const float *in_scales = static_cast<const float *>(in);
  const int8_t *in_numbers = reinterpret_cast<const int8_t *>(in_scales + rows * chunks);
  for (int64_t i = sb_first_item(); i < rows * padded; i += sb_item_step()) {
    const int64_t row = i / padded, at = i - row * padded;
    numbers[i] = at < k ? in_numbers[row * k + at] : (int8_t)0;
    if (at < chunks) scales[row * chunks + at] = in_scales[row * chunks + at];
  }
}

cudaError_t sb_kernel_place_numbers(const void *in, int64_t rows, int64_t chunks, int64_t k,
                                    int64_t padded, float *scales, int8_t *numbers,
                                    cudaStream_t stream) {
  SB_LAUNCH(place_numbers, sb_blocks(rows * padded), SB_THREADS, stream, in, rows, chunks, k,
            padded, scales, numbers);
  return cudaGetLastError();
}
