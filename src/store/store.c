// A store opened for reading: committed rows of all shards, mapped from disk, in the order of
// (dataset, scan_id).
#include "samebrain/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/npy.h"
#include "store/meta.h"
#include "store/mirror.h"
#include "store/shard.h"

// A file mapped up to its last committed row.
typedef struct mapping {
  const char *data;
  size_t bytes;
  int64_t offset; // of the first row
} mapping;

typedef struct shard {
  int number;
  sb_shard_files files;
  sb_shard_table table;
  mapping rows, masks;
  int64_t lost; // rows that are no more, of scans that have none elsewhere
} shard;

typedef struct entry {
  const sb_scan_record *record;
  const shard *shard;
} entry;

struct sb_store {
  char *path;
  sb_store_meta meta;
  uint8_t *mask;
  shard *shards;
  size_t shard_count;
  entry *entries; // with a row
  int64_t count;
  entry *failed;
  int64_t failed_count, lost;
  sb_mirror *mirror; // NULL: the scans are as they are
  bool shared;       // all but the mirror is another store's
};

// ---- Opening ------------------------------------------------------------------------------------

// A mask that fills its grid is not read: as an image it is constant, which loading refuses.
static sb_status load_mask(sb_store *store) {
  size_t voxels = (size_t)sb_store_meta_voxels(&store->meta);
  sb_volume volume = {0};
  char *file = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&store->mask, voxels, "mask"));
  memset(store->mask, 1, voxels);
  if (store->meta.row_length == (int64_t)voxels) goto cleanup;
  file = sb_path_join(store->path, "mask.nii.gz");
  if (file == NULL) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", store->path);
    goto cleanup;
  }
  SB_TRY(sb_volume_load(file, &volume, NULL));
  int64_t inside = 0;
  double apart = 0;
  for (int i = 0; i < 16; i++)
    apart = fmax(apart, fabs(volume.affine[i] - store->meta.grid_affine[i]));
  if (memcmp(volume.dims, store->meta.grid_dims, sizeof volume.dims) == 0 && apart < 1e-3)
    for (size_t i = 0; i < voxels; i++) inside += store->mask[i] = volume.voxels[i] != 0;
  if (inside != store->meta.row_length)
    status = sb_error(SB_FORMAT, "%s: not the mask that store.json describes", file);
cleanup:
  sb_volume_free(&volume);
  free(file);
  return status;
}

// Maps the first `rows` rows of an array file and checks that its header says what it must.
static sb_status map_array(const char *path, const char *type, int64_t columns, int64_t rows,
                           mapping *out) {
  if (rows == 0) return sb_ok();
  sb_npy array = {0};
  memcpy(array.type, type, sizeof array.type);
  size_t bytes = SB_NPY_HEADER + (size_t)(rows * columns * sb_npy_item_bytes(&array));
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return sb_error(SB_IO, "%s: cannot open: %s", path, strerror(errno));
  void *data = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0);
  int reason = errno;
  close(file);
  if (data == MAP_FAILED)
    return sb_error(SB_IO, "%s: cannot map %zu bytes: %s", path, bytes, strerror(reason));
  out->data = data;
  out->bytes = bytes;
  sb_status status = sb_npy_parse(path, data, SB_NPY_HEADER, &array, &out->offset);
  if (status.code == SB_OK && (strcmp(array.type, type) != 0 || array.columns != columns ||
                               array.rows < rows || out->offset != SB_NPY_HEADER))
    status = sb_error(SB_FORMAT,
                      "%s: damaged header (%" PRId64 " x %" PRId64 " of %s; the table has %" PRId64
                      " rows of %" PRId64 ")",
                      path, array.rows, array.columns, array.type, rows, columns);
  return status;
}

static sb_status open_shard(const sb_store *store, int number, shard *s) {
  int64_t columns = store->meta.row_length, mask_bytes = sb_store_meta_mask_bytes(&store->meta);
  s->number = number;
  sb_status status;
  SB_TRY(sb_shard_files_make(store->path, number, &s->files));
  SB_TRY(
      sb_shard_table_read(&s->files, columns * (int64_t)sizeof(uint16_t), mask_bytes, &s->table));
  SB_TRY(map_array(s->files.rows, "<f2", columns, s->table.rows, &s->rows));
  SB_TRY(map_array(s->files.masks, "|u1", mask_bytes, s->table.rows, &s->masks));
cleanup:
  return status;
}

static sb_status open_shards(sb_store *store) {
  int *numbers = NULL;
  size_t count = 0;
  sb_status status;
  SB_TRY(sb_shard_list(store->path, &numbers, &count));
  SB_TRY(SB_NEW_ZERO(&store->shards, count, "shards"));
  for (; store->shard_count < count; store->shard_count++) {
    shard *s = &store->shards[store->shard_count];
    status = open_shard(store, numbers[store->shard_count], s);
    if (status.code == SB_OK) continue;
    store->shard_count++; // so that closing frees what it got
    break;
  }
cleanup:
  free(numbers);
  return status;
}

// ---- Order, and which of several lines of a scan counts -----------------------------------------

static int compare_scans(const entry *a, const entry *b) {
  int order = strcmp(a->record->scan.dataset, b->record->scan.dataset);
  return order != 0 ? order : strcmp(a->record->scan.scan_id, b->record->scan.scan_id);
}

// Within a scan: rows before failures, then as the shards and their lines come.
static int compare_entries(const void *x, const void *y) {
  const entry *a = x, *b = y;
  int order = compare_scans(a, b);
  if (order != 0) return order;
  if ((a->record->row >= 0) != (b->record->row >= 0)) return a->record->row >= 0 ? -1 : 1;
  if (a->shard != b->shard) return a->shard->number < b->shard->number ? -1 : 1;
  return (a->record > b->record) - (a->record < b->record);
}

// Two rows of one scan: fine only when they are the same row.
static sb_status check_same_row(const entry *a, const entry *b) {
  if (a->record->row_checksum == b->record->row_checksum &&
      strcmp(a->record->source_sha256, b->record->source_sha256) == 0)
    return sb_ok();
  return sb_error(SB_CONFLICT,
                  "dataset \"%s\", scan \"%s\" has two different rows, in %s (from %s) and in %s "
                  "(from %s); prepare one of them into another store, or under another --dataset",
                  a->record->scan.dataset, a->record->scan.scan_id, a->shard->files.table,
                  a->record->scan.source_path, b->shard->files.table, b->record->scan.source_path);
}

static sb_status sort_entries(sb_store *store) {
  size_t total = 0, used = 0;
  entry *all = NULL;
  sb_status status;
  for (size_t s = 0; s < store->shard_count; s++) total += store->shards[s].table.count;
  SB_TRY(SB_NEW(&all, total, "scan list"));
  SB_TRY(SB_NEW(&store->entries, total, "scan list"));
  SB_TRY(SB_NEW(&store->failed, total, "scan list"));
  for (size_t s = 0; s < store->shard_count; s++)
    for (size_t i = 0; i < store->shards[s].table.count; i++)
      all[used++] = (entry){&store->shards[s].table.records[i], &store->shards[s]};
  qsort(all, total, sizeof *all, compare_entries);
  for (size_t first = 0, next; first < total; first = next) {
    for (next = first + 1; next < total && compare_scans(&all[first], &all[next]) == 0; next++)
      if (all[next].record->row >= 0) SB_TRY(check_same_row(&all[first], &all[next]));
    if (all[first].record->row >= 0)
      store->entries[store->count++] = all[first];
    else
      store->failed[store->failed_count++] = all[next - 1];
  }
cleanup:
  free(all);
  return status;
}

static int compare_scan_entries(const void *x, const void *y) {
  return compare_scans(x, y);
}

// A scan that was prepared again into another shard is not lost.
static void count_lost(sb_store *store) {
  for (size_t i = 0; i < store->shard_count; i++) {
    shard *s = &store->shards[i];
    for (size_t k = s->table.count; k < s->table.tsv.rows; k++) {
      const entry lost = {&s->table.records[k], s};
      if (lost.record->row >= 0 && bsearch(&lost, store->entries, (size_t)store->count, sizeof lost,
                                           compare_scan_entries) == NULL)
        s->lost++;
    }
    store->lost += s->lost;
  }
}

sb_status sb_store_open(const char *path, sb_store **out) {
  *out = NULL;
  sb_store *store = NULL;
  sb_status status;
  SB_TRY(SB_NEW_ZERO(&store, 1, "store"));
  SB_TRY(sb_store_meta_read(path, &store->meta));
  store->path = sb_strdup(path);
  if (store->path == NULL) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
    goto cleanup;
  }
  SB_TRY(load_mask(store));
  SB_TRY(open_shards(store));
  SB_TRY(sort_entries(store));
  count_lost(store);
  *out = store;
  store = NULL;
cleanup:
  sb_store_close(store);
  return status;
}

static void unmap(mapping *m) {
  if (m->data != NULL) munmap((void *)m->data, m->bytes);
}

void sb_store_close(sb_store *store) {
  if (store == NULL) return;
  if (store->mirror != NULL) sb_mirror_free(store->mirror);
  free(store->mirror);
  if (store->shared) {
    free(store);
    return;
  }
  for (size_t i = 0; i < store->shard_count; i++) {
    unmap(&store->shards[i].rows);
    unmap(&store->shards[i].masks);
    sb_shard_table_free(&store->shards[i].table);
    sb_shard_files_free(&store->shards[i].files);
  }
  free(store->shards);
  free(store->entries);
  free(store->failed);
  free(store->mask);
  free(store->path);
  sb_store_meta_free(&store->meta);
  free(store);
}

// ---- Mirror images ------------------------------------------------------------------------------

sb_status sb_store_mirror_all(sb_store *store) {
  char *file = sb_path_join(store->path, "template.nii.gz");
  sb_volume image = {0};
  sb_mirror *mirror = NULL;
  sb_status status = file == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(SB_NEW(&mirror, 1, "mirror images"));
  SB_TRY(sb_volume_load(file, &image, NULL));
  if (memcmp(image.dims, store->meta.grid_dims, sizeof image.dims) != 0)
    status = sb_error(SB_FORMAT, "%s: not on the grid that store.json describes", file);
  SB_TRY(status);
  memcpy(image.affine, store->meta.grid_affine, sizeof image.affine);
  status = sb_mirror_create(&image, store->mask, mirror);
  if (status.code != SB_OK)
    status = sb_error(status.code, "%s: cannot be aligned to its own mirror image: %s", file,
                      status.message);
  SB_TRY(status);
  store->mirror = mirror;
  mirror = NULL;
cleanup:
  free(mirror);
  sb_volume_free(&image);
  free(file);
  return status;
}

sb_status sb_store_mirrored(const sb_store *store, sb_store **out) {
  sb_store *view = NULL;
  sb_status status = SB_NEW(&view, 1, "mirror images");
  if (status.code != SB_OK) return status;
  *view = *store;
  view->mirror = NULL;
  view->shared = true;
  status = sb_store_mirror_all(view);
  if (status.code != SB_OK) {
    sb_store_close(view);
    view = NULL;
  }
  *out = view;
  return status;
}

bool sb_store_is_of(const sb_store *mirrored, const sb_store *store) {
  return mirrored->entries == store->entries;
}

const sb_mirror *sb_store_mirror(const sb_store *store) {
  return store->mirror;
}

// ---- Looking ------------------------------------------------------------------------------------

const char *sb_store_path(const sb_store *store) {
  return store->path;
}

int64_t sb_store_count(const sb_store *store) {
  return store->count;
}

int64_t sb_store_row_length(const sb_store *store) {
  return store->meta.row_length;
}

const int64_t *sb_store_grid_dims(const sb_store *store) {
  return store->meta.grid_dims;
}

const double *sb_store_grid_affine(const sb_store *store) {
  return store->meta.grid_affine;
}

double sb_store_resolution_mm(const sb_store *store) {
  return store->meta.resolution_mm;
}

const uint8_t *sb_store_mask(const sb_store *store) {
  return store->mask;
}

const char *sb_store_template_hash(const sb_store *store) {
  return store->meta.template_hash;
}

const char *sb_store_template_path(const sb_store *store) {
  return store->meta.template_path;
}

const char *sb_store_parameters(const sb_store *store) {
  return store->meta.parameters;
}

const sb_scan_record *sb_store_record(const sb_store *store, int64_t i) {
  return store->entries[i].record;
}

const uint16_t *sb_store_row(const sb_store *store, int64_t i) {
  const entry *e = &store->entries[i];
  const char *rows = e->shard->rows.data + e->shard->rows.offset;
  // The offset is 128 and mappings begin on a page, so this is aligned.
  return (const uint16_t *)(const void *)rows + e->record->row * store->meta.row_length;
}

sb_row_place sb_store_row_place(const sb_store *store, int64_t i) {
  const entry *e = &store->entries[i];
  const int64_t row_bytes = store->meta.row_length * (int64_t)sizeof(uint16_t);
  return (sb_row_place){e->shard->files.rows, e->shard->rows.offset + e->record->row * row_bytes};
}

const uint8_t *sb_store_own_mask(const sb_store *store, int64_t i) {
  const entry *e = &store->entries[i];
  const char *masks = e->shard->masks.data + e->shard->masks.offset;
  return (const uint8_t *)masks + e->record->row * sb_store_meta_mask_bytes(&store->meta);
}

int64_t sb_store_failed_count(const sb_store *store) {
  return store->failed_count;
}

const sb_scan_record *sb_store_failed(const sb_store *store, int64_t i) {
  return store->failed[i].record;
}

int64_t sb_store_lost_count(const sb_store *store) {
  return store->lost;
}

sb_status sb_store_comparable(const sb_store *a, const sb_store *b) {
  return sb_store_meta_compare(&a->meta, a->path, &b->meta, b->path,
                               "prepare both with the same template and parameters");
}

// ---- Verifying ----------------------------------------------------------------------------------

typedef struct damage {
  const sb_progress *progress;
  int64_t count;
  sb_status first;
} damage;

SB_PRINTF(2, 3) static void report(damage *d, const char *format, ...) {
  char text[sizeof d->first.message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (d->count++ == 0) d->first = sb_error(SB_FORMAT, "%s", text);
  if (d->progress != NULL && d->progress->warn != NULL)
    d->progress->warn(d->progress->context, text);
}

static sb_status verify_image(const sb_store *store, const char *name, const char *expected,
                              damage *d) {
  char *file = sb_path_join(store->path, name), hash[SB_SHA256_HEX];
  if (file == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", store->path);
  sb_status status = sb_sha256_file(file, hash);
  if (status.code != SB_OK)
    report(d, "%s", status.message);
  else if (strcmp(hash, expected) != 0)
    report(d, "%s: changed since the store was made (its SHA-256 is not that in store.json)", file);
  free(file);
  return sb_ok();
}

// Arrays whose table is gone: their rows are not counted anywhere. A writer makes the table first.
static sb_status verify_tables(const sb_store *store, damage *d) {
  char **names = NULL;
  size_t count = 0;
  sb_status status = sb_list_folder(store->path, &names, &count);
  for (size_t i = 0; i < count && status.code == SB_OK; i++) {
    int number = sb_shard_of_array(names[i]);
    if (number == 0) continue;
    sb_shard_files files;
    status = sb_shard_files_make(store->path, number, &files);
    if (status.code == SB_OK && !sb_is_file(files.table))
      report(d,
             "%s/%s: its table %s is gone, so that nobody knows whose rows these are; restore the "
             "table from a copy, or remove the array and prepare the scans again",
             store->path, names[i], files.table);
    sb_shard_files_free(&files);
  }
  sb_free_names(names, count);
  return status;
}

static void verify_rows(const sb_store *store, const sb_progress *progress, damage *d) {
  size_t row_bytes = (size_t)store->meta.row_length * sizeof(uint16_t);
  for (int64_t i = 0; i < store->count; i++) {
    const entry *e = &store->entries[i];
    if (sb_crc32(sb_store_row(store, i), row_bytes) != e->record->row_checksum)
      report(d,
             "%s: row %" PRId64 " is damaged (dataset \"%s\", scan \"%s\", from %s): its checksum "
             "is not that in the table",
             e->shard->files.rows, e->record->row, e->record->scan.dataset, e->record->scan.scan_id,
             e->record->scan.source_path);
    if (progress != NULL && progress->advance != NULL)
      progress->advance(progress->context, "verifying rows", i + 1, store->count);
  }
}

sb_status sb_store_verify(const sb_store *store, const sb_progress *progress) {
  damage d = {.progress = progress};
  sb_status status;
  SB_TRY(verify_image(store, "template.nii.gz", store->meta.template_file_sha256, &d));
  SB_TRY(verify_image(store, "mask.nii.gz", store->meta.mask_file_sha256, &d));
  for (size_t i = 0; i < store->shard_count; i++)
    if (store->shards[i].lost > 0)
      report(&d,
             "%s: %" PRId64 " rows that the table lists are not in the array files; prepare "
             "their scans again",
             store->shards[i].files.table, store->shards[i].lost);
  SB_TRY(verify_tables(store, &d));
  verify_rows(store, progress, &d);
  if (d.count > 0)
    status = sb_error(SB_FORMAT, "%s: %" PRId64 " damaged; the first: %s", store->path, d.count,
                      d.first.message);
cleanup:
  return status;
}
