// A stand-in for cuBLASLt that computes each product plainly, after checking what the real one
// leaves to its caller or answers with an error: layouts that fit each other and the operation,
// types that go together, leading dimensions, operands inside the device's memory, and the 16-byte
// alignment that fast algorithms want of addresses, leading dimensions and batch offsets.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "memory.h"
#include <cublasLt.h>

struct cublasLtContext {
  int unused;
};
struct sb_emulated_operation {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t a, b;
};
struct sb_emulated_layout {
  cudaDataType_t type;
  int64_t rows, columns, leading, batch_offset;
  int32_t batch;
};
struct sb_emulated_preference {
  size_t workspace;
};

namespace {

size_t size_of(cudaDataType_t type) {
  return type == CUDA_R_32F ? 4 : 2;
}

cublasStatus_t refuse(const char *what) {
  std::fprintf(stderr, "emulated cuBLASLt: %s\n", what);
  return CUBLAS_STATUS_INVALID_VALUE;
}

float value_of(const void *data, cudaDataType_t type, int64_t at) {
  if (type == CUDA_R_32F) return static_cast<const float *>(data)[at];
  const uint16_t bits = static_cast<const uint16_t *>(data)[at];
  if (type == CUDA_R_16BF) {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
  }
  const int exponent = bits >> 10 & 31, digits = bits & 1023;
  const float size = exponent == 31  ? (digits == 0 ? INFINITY : NAN)
                     : exponent == 0 ? std::ldexp(static_cast<float>(digits), -24)
                                     : std::ldexp(static_cast<float>(1024 + digits), exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

// The tf32 unit looks at 11 significant bits only.
float as_multiplied(float value, cublasComputeType_t compute) {
  if (compute != CUBLAS_COMPUTE_32F_FAST_TF32) return value;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits &= ~static_cast<uint32_t>(0x1fff);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

const char *check_matrix(const sb_emulated_layout *l, const void *data) {
  const size_t size = size_of(l->type);
  if (l->rows < 1 || l->columns < 1 || l->batch < 1) return "an empty matrix or batch";
  if (l->leading < l->rows) return "a leading dimension shorter than a column";
  const int64_t last = l->batch_offset * (l->batch - 1) + l->leading * (l->columns - 1) + l->rows;
  if (!sb_device_holds(data, static_cast<size_t>(last) * size))
    return "a matrix that reaches beyond its memory";
  return nullptr;
}

const char *check_alignment(const sb_emulated_layout *l, const void *data) {
  const size_t size = size_of(l->type);
  if (reinterpret_cast<uintptr_t>(data) % 16 != 0 ||
      static_cast<size_t>(l->leading) * size % 16 != 0 ||
      static_cast<size_t>(l->batch_offset) * size % 16 != 0)
    return "an operand that is not aligned to 16 bytes";
  return nullptr;
}

} // namespace

size_t cublasLtGetVersion(void) {
  return 0;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  *handle = new cublasLtContext{};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *operation,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  *operation = new sb_emulated_operation{compute, scale, CUBLAS_OP_N, CUBLAS_OP_N};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  delete operation;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes) {
  if (bytes != sizeof(cublasOperation_t)) return refuse("an attribute of another size");
  std::memcpy(attribute == CUBLASLT_MATMUL_DESC_TRANSA ? &operation->a : &operation->b, value,
              bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t leading) {
  *layout = new sb_emulated_layout{
      type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading, 0, 1};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes) {
  const bool count = attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
  if (bytes != (count ? sizeof layout->batch : sizeof layout->batch_offset))
    return refuse("an attribute of another size");
  if (count)
    std::memcpy(&layout->batch, value, bytes);
  else
    std::memcpy(&layout->batch_offset, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
  *preference = new sb_emulated_preference{0};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void *value, size_t bytes) {
  if (bytes != sizeof preference->workspace) return refuse("an attribute of another size");
  std::memcpy(&preference->workspace, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t found[], int *count) {
  std::memset(found, 0, sizeof *found * static_cast<size_t>(wanted));
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t la, const void *b,
                              cublasLtMatrixLayout_t lb, const void *beta, const void *c,
                              cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
                              const cublasLtMatmulAlgo_t *, void *workspace, size_t workspace_bytes,
                              cudaStream_t) {
  if (operation->a != CUBLAS_OP_T || operation->b != CUBLAS_OP_N)
    return refuse("a product that is not of the form a' b");
  if (la->type != lb->type || lc->type != CUDA_R_32F || ld->type != CUDA_R_32F ||
      operation->scale != CUDA_R_32F)
    return refuse("types that do not go together");
  if (operation->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && la->type != CUDA_R_32F)
    return refuse("tf32 of operands that are not float32");
  if (la->rows != lb->rows || ld->rows != la->columns || ld->columns != lb->columns ||
      lc->rows != ld->rows || lc->columns != ld->columns)
    return refuse("matrices that do not fit each other");
  if (la->batch != lb->batch || la->batch != ld->batch || lc->batch != ld->batch)
    return refuse("batches that differ");
  if (ld->batch > 1 && ld->batch_offset < ld->leading * (ld->columns - 1) + ld->rows)
    return refuse("results of a batch that overlap");
  if (c != d || *static_cast<const float *>(beta) != 0)
    return refuse("an addend: the backend has none");
  if (workspace_bytes > 0 && !sb_device_holds(workspace, workspace_bytes))
    return refuse("a workspace beyond its memory");
  const sb_emulated_layout *layouts[3] = {la, lb, ld};
  const void *data[3] = {a, b, d};
  for (int i = 0; i < 3; i++) {
    const char *wrong = check_matrix(layouts[i], data[i]);
    if (wrong == nullptr && i < 2) wrong = check_alignment(layouts[i], data[i]);
    if (wrong != nullptr) return refuse(wrong);
  }
  for (int32_t q = 0; q < la->batch; q++)
    for (int64_t column = 0; column < ld->columns; column++)
      for (int64_t row = 0; row < ld->rows; row++) {
        const int64_t at_a = q * la->batch_offset + row * la->leading;
        const int64_t at_b = q * lb->batch_offset + column * lb->leading;
        float sum = 0;
        for (int64_t i = 0; i < la->rows; i++)
          sum += as_multiplied(value_of(a, la->type, at_a + i), operation->compute) *
                 as_multiplied(value_of(b, lb->type, at_b + i), operation->compute);
        static_cast<float *>(d)[q * ld->batch_offset + column * ld->leading + row] =
            *static_cast<const float *>(alpha) * sum;
      }
  return CUBLAS_STATUS_SUCCESS;
}
