// A small cohort of made-up rows in a store on disk, and helpers to look at result files.
#ifndef TESTS_COHORT_H
#define TESTS_COHORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "append.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/tsv.h"
#include "samebrain/store.h"
#include "scratch.h"
#include "store/writer.h"

enum { NX = 11, NY = 10, NZ = 9, GRID = NX * NY * NZ };

#define assert_ok(expression)                                                                      \
  do {                                                                                             \
    sb_status assert_ok_status = (expression);                                                     \
    if (assert_ok_status.code != SB_OK) fail_msg("%s: %s", #expression, assert_ok_status.message); \
  } while (0)

static inline double uniform(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 11) * 0x1p-53;
}

static inline void grid_mask(uint8_t mask[GRID], int64_t *length) {
  *length = 0;
  for (int i = 0; i < GRID; i++) {
    double x = (i % NX - 5) / 5.2, y = (i / NX % NY - 4.5) / 4.8, z = (i / NX / NY - 4) / 4.3;
    mask[i] = x * x + y * y + z * z < 1;
    *length += mask[i];
  }
}

typedef struct cohort {
  int people, sessions;
  uint64_t seed;
  double gain, offset; // of all intensities
  int duplicate_of;    // every scan after this one has its row; -1: none
  int constant;        // a scan without variation; -1: none
  int files;           // which files the scans come from: another number, other checksums
  // Changes a scan's row, after all of the above; NULL: nothing.
  void (*change)(int scan, int64_t length, float *row);
} cohort;

// Appends people x sessions scans to the store at `path`: "sub-001_ses-1" and so on, each a
// person's own pattern with half as much noise.
static inline void write_cohort(const char *path, const char *dataset, const cohort *c) {
  static uint8_t mask[GRID], own[GRID];
  static float image[GRID], row[GRID], kept[GRID];
  int64_t length;
  grid_mask(mask, &length);
  const int64_t dims[3] = {NX, NY, NZ};
  const double affine[16] = {2, 0, 0, -10, 0, 2, 0, -9, 0, 0, 2, -8, 0, 0, 0, 1};
  const sb_store_header header = {.grid_dims = dims,
                                  .grid_affine = affine,
                                  .resolution_mm = 2,
                                  .mask = mask,
                                  .image = image,
                                  .row_length = length,
                                  .template_hash = "0123",
                                  .template_path = "made-up",
                                  .parameters = "align=none"};
  sb_store_writer *writer;
  assert_ok(sb_store_writer_open(path, &header, &writer));
  for (int scan = 0; scan < c->people * c->sessions; scan++) {
    int person = scan / c->sessions, session = scan % c->sessions;
    uint64_t pattern = c->seed * 1000 + (uint64_t)person, noise = c->seed * 77777 + (uint64_t)scan;
    for (int64_t i = 0; i < length; i++)
      row[i] = (float)(c->offset + c->gain * (uniform(&pattern) + 0.5 * uniform(&noise)));
    if (scan == c->duplicate_of) memcpy(kept, row, sizeof row);
    if (c->duplicate_of >= 0 && scan > c->duplicate_of) memcpy(row, kept, sizeof row);
    for (int64_t i = 0; scan == c->constant && i < length; i++) row[i] = 3.25f;
    if (c->change != NULL) c->change(scan, length, row);
    char *id = sb_format("sub-%03d_ses-%d", person + 1, session + 1);
    char *participant = sb_format("sub-%03d", person + 1), *ses = sb_format("ses-%d", session + 1);
    sb_scan_record record = {.scan = {.dataset = (char *)dataset,
                                      .scan_id = id,
                                      .participant = participant,
                                      .session = ses,
                                      .source_path = id,
                                      .mask_path = id + strlen(id)},
                             .reason = id + strlen(id)};
    snprintf(record.source_sha256, sizeof record.source_sha256, "%032llx%016x%016x",
             (unsigned long long)c->seed, (unsigned)c->files, (unsigned)scan);
    for (int64_t i = 0; i < GRID; i++) own[i] = mask[i] && uniform(&pattern) < 0.9;
    assert_ok(append_scan(writer, &record, row, own));
    free(id);
    free(participant);
    free(ses);
  }
  sb_store_writer_close(writer);
}

static inline sb_store *open_cohort(const char *folder, const char *name, const cohort *c) {
  char *path = sb_path_join(folder, name);
  sb_store *store;
  write_cohort(path, name, c);
  assert_ok(sb_store_open(path, &store));
  free(path);
  return store;
}

// The warnings of a call.
typedef struct heard {
  int count;
  char text[8][1024];
} heard;

static inline void hear(void *context, const char *text) {
  heard *h = context;
  assert_true(h->count < 8);
  snprintf(h->text[h->count++], sizeof h->text[0], "%s", text);
}

// How many of the warnings say both.
static inline int heard_of(const heard *h, const char *one, const char *other) {
  int count = 0;
  for (int i = 0; i < h->count; i++)
    count += strstr(h->text[i], one) != NULL && strstr(h->text[i], other) != NULL;
  return count;
}

static inline char *read_result(const char *folder, const char *name) {
  char *path = sb_path_join(folder, name), *text;
  size_t bytes;
  assert_ok(sb_read_file(path, &text, &bytes));
  free(path);
  return text;
}

static inline sb_tsv read_table_result(const char *folder, const char *name) {
  char *path = sb_path_join(folder, name);
  sb_tsv table;
  assert_ok(sb_tsv_read(path, &table));
  free(path);
  return table;
}

static inline void write_text(const char *folder, const char *name, const char *text) {
  char *path = sb_path_join(folder, name);
  assert_ok(sb_write_file(path, text, strlen(text)));
  free(path);
}

#endif
