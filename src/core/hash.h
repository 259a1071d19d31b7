// SHA-256 (nettle) and CRC-32 (libdeflate).
#ifndef SB_CORE_HASH_H
#define SB_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include <nettle/sha2.h>

#include "samebrain/status.h"

enum { SB_SHA256_HEX = 65 }; // 64 digits and the end

typedef struct sb_sha256 {
  struct sha256_ctx context;
} sb_sha256;

void sb_sha256_start(sb_sha256 *hash);
void sb_sha256_add(sb_sha256 *hash, const void *data, size_t bytes);
void sb_sha256_end(sb_sha256 *hash, char hex[SB_SHA256_HEX]);

// Of a whole file. Errors: SB_NOT_FOUND, SB_IO.
sb_status sb_sha256_file(const char *path, char hex[SB_SHA256_HEX]);

uint32_t sb_crc32(const void *data, size_t bytes);

#endif
