#include "core/hash.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"

void sb_sha256_start(sb_sha256 *hash) {
  sha256_init(&hash->context);
}

void sb_sha256_add(sb_sha256 *hash, const void *data, size_t bytes) {
  sha256_update(&hash->context, bytes, data);
}

void sb_sha256_end(sb_sha256 *hash, char hex[SB_SHA256_HEX]) {
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(&hash->context, sizeof digest, digest);
  for (size_t i = 0; i < sizeof digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

sb_status sb_sha256_file(const char *path, char hex[SB_SHA256_HEX]) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return sb_open_error(path, errno);
  sb_sha256 hash;
  sb_sha256_start(&hash);
  uint8_t buffer[1 << 16];
  size_t got;
  while ((got = fread(buffer, 1, sizeof buffer, file)) > 0) sb_sha256_add(&hash, buffer, got);
  sb_status status = sb_ok();
  if (ferror(file)) status = sb_error(SB_IO, "%s: cannot read: %s", path, strerror(errno));
  fclose(file);
  sb_sha256_end(&hash, hex);
  return status;
}

uint32_t sb_crc32(const void *data, size_t bytes) {
  return libdeflate_crc32(0, data, bytes);
}
