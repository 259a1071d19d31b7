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
#include "streams.h"
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
  uint32_t alignment[4]; // of a, b, c and d
};

namespace {

size_t size_of(cudaDataType_t type) {
  return type == CUDA_R_32F || type == CUDA_R_32I ? 4 : type == CUDA_R_8I ? 1 : 2;
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
  *preference = new sb_emulated_preference{0, {256, 256, 256, 256}};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes) {
  const bool workspace = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
  if (bytes != (workspace ? sizeof preference->workspace : sizeof *preference->alignment))
    return refuse("an attribute of another size");
  if (workspace)
    std::memcpy(&preference->workspace, value, bytes);
  else
    std::memcpy(preference->alignment + (attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES),
                value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t found[], int *count) {
  std::memset(found, 0, sizeof *found * static_cast<size_t>(wanted));
  for (int i = 0; i < 4; i++) found->algo.data[i] = preference->alignment[i];
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

namespace {

// Why the types of a product do not go together; null where they do.
const char *check_types(const sb_emulated_operation *o, const sb_emulated_layout *a,
                        const sb_emulated_layout *b, const sb_emulated_layout *c) {
  const bool whole = o->compute == CUBLAS_COMPUTE_32I;
  const cudaDataType_t sums = whole ? CUDA_R_32I : CUDA_R_32F;
  if (a->type != b->type || c->type != sums || o->scale != sums || whole != (a->type == CUDA_R_8I))
    return "types that do not go together";
  if (o->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a->type != CUDA_R_32F)
    return "tf32 of operands that are not float32";
  if (whole && (c->rows % 4 != 0 || a->rows % 4 != 0 || c->leading % 4 != 0))
    return "int8 products whose sizes are no multiples of 4";
  return nullptr;
}

struct operands {
  sb_emulated_layout a, b, d;
  const void *a_data, *b_data;
  void *d_data;
  cublasComputeType_t compute;
};

// One element of the result.
void multiply_one(const operands &p, int64_t at_a, int64_t at_b, int64_t at_d) {
  if (p.compute == CUBLAS_COMPUTE_32I) {
    const int8_t *a = static_cast<const int8_t *>(p.a_data) + at_a;
    const int8_t *b = static_cast<const int8_t *>(p.b_data) + at_b;
    int64_t sum = 0;
    for (int64_t i = 0; i < p.a.rows; i++) sum += static_cast<int64_t>(a[i]) * b[i];
    if (sum > INT32_MAX || sum < INT32_MIN) {
      std::fprintf(stderr, "emulated cuBLASLt: an int8 product beyond 32 bits\n");
      std::abort();
    }
    static_cast<int32_t *>(p.d_data)[at_d] = static_cast<int32_t>(sum);
    return;
  }
  float sum = 0;
  for (int64_t i = 0; i < p.a.rows; i++)
    sum += as_multiplied(value_of(p.a_data, p.a.type, at_a + i), p.compute) *
           as_multiplied(value_of(p.b_data, p.a.type, at_b + i), p.compute);
  static_cast<float *>(p.d_data)[at_d] = sum;
}

void multiply_all(const operands &p) {
  for (int32_t q = 0; q < p.a.batch; q++)
    for (int64_t column = 0; column < p.d.columns; column++)
      for (int64_t row = 0; row < p.d.rows; row++)
        multiply_one(p, q * p.a.batch_offset + row * p.a.leading,
                     q * p.b.batch_offset + column * p.b.leading,
                     q * p.d.batch_offset + column * p.d.leading + row);
}

// Whether the host's factors are 1 and 0 in the type that the operation wants them in.
bool is_plain(const sb_emulated_operation *o, const void *alpha, const void *beta) {
  if (o->scale == CUDA_R_32I)
    return *static_cast<const int32_t *>(alpha) == 1 && *static_cast<const int32_t *>(beta) == 0;
  return *static_cast<const float *>(alpha) == 1 && *static_cast<const float *>(beta) == 0;
}

} // namespace

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t la, const void *b,
                              cublasLtMatrixLayout_t lb, const void *beta, const void *c,
                              cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  if (operation->a != CUBLAS_OP_T || operation->b != CUBLAS_OP_N)
    return refuse("a product that is not of the form a' b");
  if (lc->type != ld->type) return refuse("types that do not go together");
  if (const char *wrong = check_types(operation, la, lb, ld)) return refuse(wrong);
  if (la->rows != lb->rows || ld->rows != la->columns || ld->columns != lb->columns ||
      lc->rows != ld->rows || lc->columns != ld->columns)
    return refuse("matrices that do not fit each other");
  if (la->batch != lb->batch || la->batch != ld->batch || lc->batch != ld->batch)
    return refuse("batches that differ");
  if (ld->batch > 1 && ld->batch_offset < ld->leading * (ld->columns - 1) + ld->rows)
    return refuse("results of a batch that overlap");
  if (c != d || !is_plain(operation, alpha, beta))
    return refuse("factors or an addend: the backend has none");
  if (workspace_bytes > 0 && !sb_device_holds(workspace, workspace_bytes))
    return refuse("a workspace beyond its memory");
  // An algorithm was chosen for addresses as aligned as the preferences say.
  const void *addresses[4] = {a, b, c, d};
  for (int i = 0; i < 4; i++)
    if (reinterpret_cast<uintptr_t>(addresses[i]) % algorithm->data[i] != 0)
      return refuse("an address less aligned than its algorithm was chosen for");
  const sb_emulated_layout *layouts[3] = {la, lb, ld};
  const void *data[3] = {a, b, d};
  for (int i = 0; i < 3; i++) {
    const char *wrong = check_matrix(layouts[i], data[i]);
    if (wrong == nullptr) wrong = check_alignment(layouts[i], data[i]);
    if (wrong != nullptr) return refuse(wrong);
  }
  const operands p = {*la, *lb, *ld, a, b, d, operation->compute};
  sb_enqueue(stream, [=] { multiply_all(p); });
  return CUBLAS_STATUS_SUCCESS;
}
