// One scan into a store, on disk on return.
#ifndef SB_TESTS_APPEND_H
#define SB_TESTS_APPEND_H

#include "store/writer.h"

// As sb_store_writer_add, and commits it.
static inline sb_status append_scan(sb_store_writer *writer, sb_scan_record *record,
                                    const float *row, const uint8_t *own_mask) {
  sb_status status = sb_store_writer_add(writer, record, row, own_mask);
  if (status.code == SB_OK) status = sb_store_writer_commit(writer);
  if (status.code != SB_OK) record->row = -1;
  return status;
}

#endif
