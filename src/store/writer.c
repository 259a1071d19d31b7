// Appending scans to a store: makes or checks the store, takes a shard, commits one scan or several.
//
// Commit protocol: write rows and masks, sync; write the arrays' new shape, sync; append the table's
// lines, sync. The line is the commit: whatever has none is cut off when the shard is next taken.
#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/half.h"
#include "core/hash.h"
#include "core/lock.h"
#include "core/memory.h"
#include "core/npy.h"
#include "samebrain/volume.h"
#include "store/meta.h"
#include "store/shard.h"

struct sb_store_writer {
  char *path;
  sb_shard_files files;
  int table, rows_file, masks_file; // descriptors; -1: closed
  int64_t row_length, row_bytes, voxels, mask_bytes;
  int64_t rows, table_bytes; // committed
  uint16_t *half;            // one row, packed for writing
  uint8_t *packed;           // one mask
  FILE *lines;               // the table's lines that are not on disk yet; NULL: none
  char *text;                // what they are once `lines` is closed
  size_t text_bytes;
  int64_t pending; // rows written and not committed
  bool failed;     // an append went wrong: what the disk holds is the next opener's matter
};

// ---- Files --------------------------------------------------------------------------------------

static sb_status file_error(const char *path, const char *what) {
  return sb_error(SB_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static sb_status write_at(int file, const char *path, const void *data, int64_t bytes,
                          int64_t offset) {
  const char *at = data;
  while (bytes > 0) {
    ssize_t written = pwrite(file, at, (size_t)bytes, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error(path, "write");
    at += written;
    offset += written;
    bytes -= written;
  }
  return sb_ok();
}

static sb_status sync_file(int file, const char *path) {
  return fdatasync(file) == 0 ? sb_ok() : file_error(path, "sync");
}

// ---- Making or checking the store ---------------------------------------------------------------

static sb_status check_header(const char *path, const sb_store_header *h) {
  int64_t inside = 0, voxels = h->grid_dims[0] * h->grid_dims[1] * h->grid_dims[2];
  for (int64_t i = 0; i < voxels; i++) inside += h->mask[i] != 0;
  if (inside == h->row_length && inside > 0) return sb_ok();
  return sb_error(SB_USAGE, "%s: rows of %lld values for a mask of %lld voxels", path,
                  (long long)h->row_length, (long long)inside);
}

// The mistake of naming a folder of something else as the store; what an interrupted making of a
// store leaves behind is no such thing.
static sb_status check_free_to_use(const char *path) {
  static const char *const ours[] = {".lock", "store.json.", "template.", "mask."};
  char **names;
  size_t count;
  sb_status status = sb_list_folder(path, &names, &count);
  for (size_t i = 0; i < count && status.code == SB_OK; i++) {
    bool known = false;
    for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
      known = known || strncmp(names[i], ours[k], strlen(ours[k])) == 0;
    if (!known)
      status = sb_error(SB_USAGE,
                        "%s: the folder is no store and holds other things (%s); name a new "
                        "folder, an empty one or a store",
                        path, names[i]);
  }
  sb_free_names(names, count);
  return status;
}

// Saves an image on the store's grid as STORE/NAME and returns the file's hash.
static sb_status save_image(const char *path, const char *name, const sb_store_header *h,
                            float *voxels, char hash[SB_SHA256_HEX]) {
  char *file = sb_path_join(path, name);
  if (file == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  sb_volume volume = {.voxels = voxels};
  memcpy(volume.dims, h->grid_dims, sizeof volume.dims);
  memcpy(volume.affine, h->grid_affine, sizeof volume.affine);
  sb_status status;
  SB_TRY(sb_volume_save(&volume, file));
  SB_TRY(sb_sha256_file(file, hash));
cleanup:
  free(file);
  return status;
}

// Under the store's lock: template and mask first, store.json, which makes it a store, last.
static sb_status make_store(const char *path, const sb_store_header *h, sb_store_meta *meta) {
  float *voxels = NULL;
  size_t count = (size_t)sb_store_meta_voxels(meta);
  sb_status status;
  SB_TRY(SB_NEW(&voxels, count, "template image"));
  memcpy(voxels, h->image, count * sizeof *voxels);
  SB_TRY(save_image(path, "template.nii.gz", h, voxels, meta->template_file_sha256));
  for (size_t i = 0; i < count; i++) voxels[i] = h->mask[i] != 0 ? 1.0f : 0.0f;
  SB_TRY(save_image(path, "mask.nii.gz", h, voxels, meta->mask_file_sha256));
  SB_TRY(sb_store_meta_write(path, meta));
cleanup:
  free(voxels);
  return status;
}

static sb_status check_store(const char *path, const sb_store_meta *ours) {
  sb_store_meta theirs;
  sb_status status = sb_store_meta_read(path, &theirs);
  if (status.code != SB_OK) return status;
  sb_status same = sb_store_meta_compare(
      &theirs, "the store", ours, "this run",
      "give this run the store's template and parameters, or another store with -o");
  if (same.code != SB_OK) status = sb_error(same.code, "%s: %s", path, same.message);
  sb_store_meta_free(&theirs);
  return status;
}

// Of any number of processes that come at once, one makes the store and the others check theirs.
static sb_status make_or_check(const char *path, const sb_store_header *h) {
  sb_store_meta meta = {.resolution_mm = h->resolution_mm, .row_length = h->row_length};
  memcpy(meta.grid_dims, h->grid_dims, sizeof meta.grid_dims);
  memcpy(meta.grid_affine, h->grid_affine, sizeof meta.grid_affine);
  int lock = -1;
  char *lock_path = sb_path_join(path, ".lock"), *json = sb_path_join(path, "store.json");
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  meta.template_hash = sb_strdup(h->template_hash);
  meta.template_path = sb_strdup(h->template_path);
  meta.parameters = sb_strdup(h->parameters);
  if (lock_path == NULL || json == NULL || meta.template_hash == NULL ||
      meta.template_path == NULL || meta.parameters == NULL)
    goto cleanup;
  if (!sb_is_file(json)) {
    SB_TRY(sb_make_folder(path));
    status = check_free_to_use(path); // before anything is written there
    // Another process may have made the store meanwhile: then its shards are not something else.
    if (status.code != SB_OK && !sb_is_file(json)) goto cleanup;
    lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) {
      status = file_error(lock_path, "write");
      goto cleanup;
    }
    SB_TRY(sb_lock_file(lock, lock_path, true));
    if (!sb_is_file(json)) SB_TRY(make_store(path, h, &meta));
  }
  status = check_store(path, &meta);
cleanup:
  if (lock >= 0) close(lock);
  free(lock_path);
  free(json);
  sb_store_meta_free(&meta);
  return status;
}

// ---- Taking a shard -----------------------------------------------------------------------------

// Writes both arrays' shape as the committed number of rows.
static sb_status write_shapes(sb_store_writer *w, int64_t rows) {
  char header[SB_NPY_HEADER];
  sb_npy array = {.type = "<f2", .rows = rows, .columns = w->row_length};
  sb_status status;
  sb_npy_format(&array, header);
  SB_TRY(write_at(w->rows_file, w->files.rows, header, SB_NPY_HEADER, 0));
  array = (sb_npy){.type = "|u1", .rows = rows, .columns = w->mask_bytes};
  sb_npy_format(&array, header);
  SB_TRY(write_at(w->masks_file, w->files.masks, header, SB_NPY_HEADER, 0));
cleanup:
  return status;
}

static sb_status sync_arrays(sb_store_writer *w) {
  sb_status status = sync_file(w->rows_file, w->files.rows);
  return status.code == SB_OK ? sync_file(w->masks_file, w->files.masks) : status;
}

static sb_status cut(int file, const char *path, int64_t bytes) {
  return ftruncate(file, bytes) == 0 ? sb_ok() : file_error(path, "cut");
}

// Makes the files hold what is committed and nothing else. The table goes first: as long as it has
// a line, the line's row is there.
static sb_status settle(sb_store_writer *w) {
  sb_status status;
  SB_TRY(cut(w->table, w->files.table, w->table_bytes));
  SB_TRY(sync_file(w->table, w->files.table));
  SB_TRY(cut(w->rows_file, w->files.rows, SB_NPY_HEADER + w->rows * w->row_bytes));
  SB_TRY(cut(w->masks_file, w->files.masks, SB_NPY_HEADER + w->rows * w->mask_bytes));
  SB_TRY(write_shapes(w, w->rows));
  SB_TRY(sync_arrays(w));
cleanup:
  return status;
}

// Writes the pending lines after the committed ones.
static sb_status append_lines(sb_store_writer *w) {
  sb_status status = sb_ok();
  if (fclose(w->lines) != 0) status = sb_error(SB_NO_MEMORY, "%s: out of memory", w->files.table);
  w->lines = NULL;
  SB_TRY(status);
  SB_TRY(write_at(w->table, w->files.table, w->text, (int64_t)w->text_bytes, w->table_bytes));
  SB_TRY(sync_file(w->table, w->files.table));
  w->table_bytes += (int64_t)w->text_bytes;
cleanup:
  free(w->text);
  w->text = NULL;
  return status;
}

static sb_status open_lines(sb_store_writer *w) {
  if (w->lines == NULL) w->lines = open_memstream(&w->text, &w->text_bytes);
  return w->lines != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "%s: out of memory", w->files.table);
}

static sb_status write_header_line(sb_store_writer *w) {
  sb_status status = open_lines(w);
  if (status.code != SB_OK) return status;
  sb_shard_put_header(w->lines);
  return append_lines(w);
}

// Brings a shard whose lock is held into its committed state.
static sb_status recover(sb_store_writer *w) {
  sb_shard_table table;
  sb_status status = sb_shard_table_read(&w->files, w->row_bytes, w->mask_bytes, &table);
  if (status.code != SB_OK) return status;
  w->rows = table.rows;
  w->table_bytes = table.bytes;
  sb_shard_table_free(&table);
  w->rows_file = open(w->files.rows, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (w->rows_file < 0) return file_error(w->files.rows, "write");
  w->masks_file = open(w->files.masks, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (w->masks_file < 0) return file_error(w->files.masks, "write");
  SB_TRY(settle(w));
  if (w->table_bytes == 0) SB_TRY(write_header_line(w));
  SB_TRY(sb_sync_folder(w->path));
cleanup:
  return status;
}

// Tries to take shard `number`: SB_BUSY when somebody else has it (or, with O_EXCL in `flags`, has
// made it just now).
static sb_status take_shard(sb_store_writer *w, int number, int flags) {
  sb_shard_files_free(&w->files);
  sb_status status = sb_shard_files_make(w->path, number, &w->files);
  if (status.code != SB_OK) return status;
  w->table = open(w->files.table, O_RDWR | O_CLOEXEC | flags, 0600);
  if (w->table < 0 && errno == EEXIST) return sb_error(SB_BUSY, "%s: exists", w->files.table);
  if (w->table < 0) return file_error(w->files.table, "write");
  status = sb_lock_file(w->table, w->files.table, false);
  if (status.code != SB_OK) {
    close(w->table);
    w->table = -1;
    return status;
  }
  return recover(w);
}

static sb_status take_any_shard(sb_store_writer *w) {
  int *numbers = NULL, last = 0;
  size_t count = 0;
  sb_status status = sb_shard_list(w->path, &numbers, &count);
  if (status.code != SB_OK) goto cleanup;
  status.code = SB_BUSY;
  for (size_t i = 0; i < count && status.code == SB_BUSY; i++) {
    last = numbers[i];
    status = take_shard(w, last, 0);
  }
  while (status.code == SB_BUSY) status = take_shard(w, ++last, O_CREAT | O_EXCL);
cleanup:
  free(numbers);
  return status;
}

sb_status sb_store_writer_open(const char *path, const sb_store_header *header,
                               sb_store_writer **out) {
  *out = NULL;
  sb_store_writer *w = NULL;
  sb_status status;
  SB_TRY(check_header(path, header));
  SB_TRY(make_or_check(path, header));
  SB_TRY(SB_NEW_ZERO(&w, 1, "store writer"));
  w->table = w->rows_file = w->masks_file = -1;
  w->voxels = header->grid_dims[0] * header->grid_dims[1] * header->grid_dims[2];
  w->row_length = header->row_length;
  w->row_bytes = header->row_length * (int64_t)sizeof *w->half;
  w->mask_bytes = (w->voxels + 7) / 8;
  w->path = sb_strdup(path);
  if (w->path == NULL) {
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
    goto cleanup;
  }
  SB_TRY(SB_NEW(&w->half, w->row_length, "row"));
  SB_TRY(SB_NEW(&w->packed, w->mask_bytes, "packed mask"));
  SB_TRY(take_any_shard(w));
  *out = w;
  w = NULL;
cleanup:
  sb_store_writer_close(w);
  return status;
}

void sb_store_writer_close(sb_store_writer *w) {
  if (w == NULL) return;
  if (w->rows_file >= 0) close(w->rows_file);
  if (w->masks_file >= 0) close(w->masks_file);
  if (w->table >= 0) close(w->table); // last: this drops the lock
  if (w->lines != NULL) fclose(w->lines);
  free(w->text);
  sb_shard_files_free(&w->files);
  free(w->half);
  free(w->packed);
  free(w->path);
  free(w);
}

// ---- Committing a scan --------------------------------------------------------------------------

// Scale (a power of two) and offset that bring the row to magnitudes that float16 holds well.
static sb_status choose_scale(const sb_store_writer *w, const float *row, double *scale,
                              double *offset) {
  float low = row[0], high = row[0];
  for (int64_t i = 0; i < w->row_length; i++) {
    if (!isfinite(row[i]))
      return sb_error(SB_USAGE, "%s: value %lld of the row is not finite", w->files.rows,
                      (long long)i);
    low = row[i] < low ? row[i] : low;
    high = row[i] > high ? row[i] : high;
  }
  double largest = fmax(fabs((double)low), fabs((double)high));
  *scale = 1;
  *offset = 0;
  if (largest == 0 || (largest >= 1 && largest <= 1024)) return sb_ok();
  if (largest > 1024) {
    *offset = 0.5 * ((double)low + (double)high);
    largest = 0.5 * ((double)high - (double)low);
  }
  int exponent;
  frexp(largest, &exponent); // largest < 2 to the exponent
  if (largest > 0) *scale = ldexp(1, exponent - 10);
  return sb_ok();
}

static void pack_row(sb_store_writer *w, const float *row, double scale, double offset) {
  if (scale == 1 && offset == 0) {
    sb_half_from_floats((size_t)w->row_length, row, w->half);
    return;
  }
  for (int64_t i = 0; i < w->row_length; i++)
    w->half[i] = sb_half_from_float((float)(((double)row[i] - offset) / scale));
}

// The bit order of numpy.packbits: the first voxel is the most significant bit.
static void pack_mask(sb_store_writer *w, const uint8_t *mask) {
  memset(w->packed, 0, (size_t)w->mask_bytes);
  if (mask == NULL) return;
  for (int64_t i = 0; i < w->voxels; i++)
    if (mask[i] != 0) w->packed[i / 8] |= (uint8_t)(0x80u >> (i % 8));
}

static sb_status write_row(sb_store_writer *w, int64_t row) {
  sb_status status;
  SB_TRY(write_at(w->rows_file, w->files.rows, w->half, w->row_bytes,
                  SB_NPY_HEADER + row * w->row_bytes));
  SB_TRY(write_at(w->masks_file, w->files.masks, w->packed, w->mask_bytes,
                  SB_NPY_HEADER + row * w->mask_bytes));
cleanup:
  return status;
}

static sb_status check_record(const sb_store_writer *w, const sb_scan_record *r, bool has_row) {
  const char *names[] = {r->scan.dataset, r->scan.scan_id, r->scan.participant, r->scan.session,
                         r->scan.source_path};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i] != NULL && strpbrk(names[i], "\t\n\r") != NULL)
      return sb_error(SB_USAGE, "a tab or newline in the name \"%s\": rename it", names[i]);
  if (r->scan.dataset == NULL || r->scan.dataset[0] == '\0' || r->scan.scan_id == NULL ||
      r->scan.scan_id[0] == '\0')
    return sb_error(SB_USAGE, "%s: a scan without dataset or id", w->files.table);
  if (has_row != (r->status == SB_OK))
    return sb_error(SB_USAGE, "%s: %s: status \"%s\" %s a row", w->files.table, r->scan.scan_id,
                    sb_code_name(r->status), has_row ? "with" : "without");
  return sb_ok();
}

// Forgets what is pending, here and on disk; the writer takes no more.
static void give_up(sb_store_writer *w) {
  w->failed = true;
  w->pending = 0;
  if (w->lines != NULL) fclose(w->lines);
  free(w->text);
  w->lines = NULL;
  w->text = NULL;
  settle(w); // as well as the disk lets us; what is left is cut off when the shard is next taken
}

static sb_status earlier_failure(const sb_store_writer *w) {
  return sb_error(SB_IO, "%s: an earlier write failed; open the store again", w->files.rows);
}

sb_status sb_store_writer_add(sb_store_writer *w, sb_scan_record *record, const float *row,
                              const uint8_t *own_mask) {
  if (w->failed) return earlier_failure(w);
  record->row = -1;
  sb_status status = check_record(w, record, row != NULL);
  if (status.code == SB_OK && row != NULL)
    status = choose_scale(w, row, &record->scale, &record->offset);
  if (status.code != SB_OK) return status;
  SB_TRY(open_lines(w));
  if (row != NULL) {
    pack_row(w, row, record->scale, record->offset);
    pack_mask(w, own_mask);
    record->row_checksum = sb_crc32(w->half, (size_t)w->row_bytes);
    SB_TRY(write_row(w, w->rows + w->pending));
    record->row = w->rows + w->pending++;
  }
  sb_shard_put_record(w->lines, record);
cleanup:
  if (status.code != SB_OK) give_up(w);
  return status;
}

sb_status sb_store_writer_commit(sb_store_writer *w) {
  if (w->failed) return earlier_failure(w);
  if (w->lines == NULL) return sb_ok();
  sb_status status;
  if (w->pending > 0) {
    SB_TRY(sync_arrays(w));
    SB_TRY(write_shapes(w, w->rows + w->pending));
    SB_TRY(sync_arrays(w));
  }
  SB_TRY(append_lines(w));
  w->rows += w->pending;
  w->pending = 0;
cleanup:
  if (status.code != SB_OK) give_up(w);
  return status;
}
