// What kernels need to know of a mask, and how tables get to the device.
#ifndef SB_KERNELS_BOX_H
#define SB_KERNELS_BOX_H

#include "buffer.h"

// Copies `count` items of `size` bytes, and waits for it.
sb_status sb_upload(sb_buffer *to, const void *from, int64_t count, size_t size,
                    cudaStream_t stream);

// Copies `bytes` back, and waits for it.
sb_status sb_download(void *to, const void *from, size_t bytes, cudaStream_t stream);

// For each place of the mask's box (`first`, `size`) in a grid of `dims`, x fastest, the row's element
// there, or -1 outside the mask: to the device.
sb_status sb_upload_box(sb_buffer *to, const int64_t dims[3], const int64_t first[3],
                        const int64_t size[3], const uint8_t *mask, cudaStream_t stream);

#endif
