#include "box.h"

#include <stdlib.h>

#include "core/memory.h"

sb_status sb_upload(sb_buffer *to, const void *from, int64_t count, size_t size,
                    cudaStream_t stream) {
  const size_t bytes = (size_t)count * size;
  sb_status status = sb_buffer_reserve(to, bytes, "tables");
  if (status.code == SB_OK)
    status = sb_cuda_failure(cudaMemcpyAsync(to->data, from, bytes, cudaMemcpyHostToDevice, stream),
                             "copying tables");
  if (status.code == SB_OK)
    status = sb_cuda_failure(cudaStreamSynchronize(stream), "copying tables");
  return status;
}

sb_status sb_download(void *to, const void *from, size_t bytes, cudaStream_t stream) {
  sb_status status = sb_cuda_failure(
      cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "copying results");
  if (status.code == SB_OK)
    status = sb_cuda_failure(cudaStreamSynchronize(stream), "copying results");
  return status;
}

sb_status sb_upload_box(sb_buffer *to, const int64_t dims[3], const int64_t first[3],
                        const int64_t size[3], const uint8_t *mask, cudaStream_t stream) {
  const int64_t count = size[0] * size[1] * size[2];
  int32_t *row_of = NULL, *at, element = 0;
  sb_status status = SB_NEW(&row_of, count, "index of the mask");
  if (status.code != SB_OK) return status;
  at = row_of;
  for (int64_t z = 0; z < size[2]; z++)
    for (int64_t y = 0; y < size[1]; y++) {
      const uint8_t *line = mask + first[0] + dims[0] * (first[1] + y + dims[1] * (first[2] + z));
      for (int64_t x = 0; x < size[0]; x++) *at++ = line[x] ? element++ : -1;
    }
  status = sb_upload(to, row_of, count, sizeof *row_of, stream);
  free(row_of);
  return status;
}
