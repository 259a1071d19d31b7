// Vectors to the operands of a matrix product.
#include "kernels.h"

#include "device.h"
#include "engine/int8.h"
#include "rounding.h"

#ifdef SAMEBRAIN_SMALL_TILES
enum { INT8_THREADS = 32 };
#else
enum { INT8_THREADS = 256 };
#endif

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

// A chunk of a vector each block. Zeros follow the last one.
static __global__ void round_int8(sb_kernel_int8 r) {
  SB_SHARED(double, sums, INT8_THREADS);
  SB_SHARED(float, mosts, INT8_THREADS);
  for (int64_t item = blockIdx.x; item < r.rows * r.chunks; item += gridDim.x) {
    const int64_t row = item / r.chunks, first = (item - row * r.chunks) * r.chunk;
    const int64_t count = r.k - first < r.chunk ? r.k - first : r.chunk;
    const float *in = r.in + row * r.k + first;
    int8_t *out = r.numbers + item * r.chunk;
    float most = 0;
    double squares = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
      const float size = fabsf(in[i]);
      if (size > most) most = size;
      squares += (double)size * (double)size;
    }
    const float scale = sb_int8_scale(sb_block_most(mosts, most));
    const float inverse = scale > 0 ? 1 / scale : 0;
    squares = sb_block_sum(sums, squares);
    for (int64_t i = threadIdx.x; i < r.chunk; i += blockDim.x)
      out[i] = i < count ? sb_to_int8(in[i], inverse, r.dither[first + i]) : (int8_t)0;
    if (threadIdx.x > 0) continue;
    r.scales[item] = scale;
    r.squares[item] = squares;
  }
}

// What was lost of each vector, from its chunks in their order.
static __global__ void add_lost(sb_kernel_int8 r) {
  for (int64_t row = sb_first_item(); row < r.rows; row += sb_item_step()) {
    sb_int8_sums sums = {0, 0, 0};
    for (int64_t c = 0; c < r.chunks; c++) {
      const int64_t left = r.k - c * r.chunk, item = row * r.chunks + c;
      sb_int8_add(&sums, r.scales[item], r.squares[item], left < r.chunk ? left : r.chunk);
    }
    r.lost[row] = sb_int8_lost(&sums, r.chunk);
  }
}

cudaError_t sb_kernel_round_int8(const sb_kernel_int8 *vectors) {
  const sb_kernel_int8 r = *vectors;
  SB_LAUNCH(round_int8, sb_most_blocks(r.rows * r.chunks), INT8_THREADS, r.stream, r);
  const cudaError_t code = cudaGetLastError();
  if (code != cudaSuccess) return code;
  SB_LAUNCH(add_lost, sb_blocks(r.rows), SB_THREADS, r.stream, r);
  return cudaGetLastError();
}
