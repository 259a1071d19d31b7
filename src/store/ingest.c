// From a list of scans to committed rows: skips what the store has, prepares the rest in parallel
// and commits in the order of the list. Of a scan whose row comes from another file only the hashes
// are compared: what is not the same is a mistake of naming, and told.
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/threads.h"
#include "image/orient.h"
#include "samebrain/store.h"
#include "store/writer.h"

// What became of one scan.
typedef struct outcome {
  sb_prepared prepared;
  sb_scan_record record; // its scan's strings are the list's, but for source_path
  bool had_row;          // which may be of something else
  sb_status status;      // the scan's own
  sb_status fatal;       // what ends the run: no space for its image
  bool ready;            // to be committed
} outcome;

// One call of sb_ingest. Threads take scans in the order of the list and leave what became of them
// in a window of places; one of them at a time commits what is ready, in the list's order, while the
// others go on. So a scan that takes long holds nobody up until the window is full.
typedef struct run {
  const sb_template *template;
  const sb_preparer *preparer;
  const sb_ingest_options *options;
  const sb_progress *progress;
  bool several_datasets; // saved images get a folder for each
  sb_store *store;       // as it was at the start
  struct timespec begun; // when the store was
  const sb_scan **scans; // to be prepared
  int64_t todo;
  int threads;

  // Of the thread that commits.
  sb_store_writer *writer;
  sb_ingest_summary *summary;
  sb_status status; // why the run stopped

  // Under the lock, and told by `changed`.
  pthread_mutex_t lock;
  pthread_cond_t changed;
  outcome *places; // scan i has place i % window from when it is taken until it is committed
  int64_t window, taken, committed;
  bool committing, stop;
  int64_t memory_bytes, memory_taken; // for the scans in work
  int64_t memory_held;                // by the process before any scan
  int memory_waiters;
} run;

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

sb_ingest_options sb_ingest_options_default(void) {
  return (sb_ingest_options){.threads = 0, .shard_index = 1, .shard_count = 1};
}

// ---- What the store has -------------------------------------------------------------------------

typedef const sb_scan_record *(*record_at)(const sb_store *store, int64_t i);

// By bisection; NULL when it is not there.
static const sb_scan_record *look_up(const sb_store *store, record_at at, int64_t count,
                                     const sb_scan *scan) {
  int64_t low = 0, high = count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    const sb_scan_record *record = at(store, middle);
    int order = strcmp(record->scan.dataset, scan->dataset);
    if (order == 0) order = strcmp(record->scan.scan_id, scan->scan_id);
    if (order == 0) return record;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

// Its row's record; NULL when it has none.
static const sb_scan_record *row_of(const sb_store *store, const sb_scan *scan) {
  return look_up(store, sb_store_record, sb_store_count(store), scan);
}

// The path that is recorded, which stays true when the working folder changes; free() it.
static char *recorded_path(const char *path) {
  char *absolute = sb_path_absolute(path);
  if (absolute == NULL || strpbrk(absolute, "\t\n\r") == NULL) return absolute;
  free(absolute); // a folder above has a name that the table cannot hold
  return sb_strdup(path);
}

static bool same_path(const sb_scan_record *row, const char *path) {
  if (strcmp(row->scan.source_path, path) == 0) return true;
  char *recorded = recorded_path(path);
  bool same = recorded != NULL && strcmp(row->scan.source_path, recorded) == 0;
  free(recorded);
  return same;
}

static bool same_labels(const sb_scan_record *row, const sb_scan *scan) {
  return strcmp(row->scan.participant, scan->participant) == 0 &&
         strcmp(row->scan.session, scan->session) == 0;
}

// Whether a file was written, moved or renamed after the store was begun: only then is its content
// compared with what was prepared. One that is gone is not.
static bool touched_since(const struct timespec *begun, const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return false;
  const struct timespec *at = &info.st_ctim;
  return at->tv_sec != begun->tv_sec ? at->tv_sec > begun->tv_sec : at->tv_nsec > begun->tv_nsec;
}

// Of a scan that has a row, but from a file of another name, or one that was touched, or under other
// labels: SB_CONFLICT unless content and labels are the same.
static sb_status check_same(const sb_scan_record *row, const sb_scan *scan, const char *hash) {
  const char *path = scan->source_path;
  if (!same_labels(row, scan))
    return sb_error(
        SB_CONFLICT,
        "%s: its labels are now \"%s\" \"%s\", and \"%s\" \"%s\" in the store, which stay; "
        "prepare into a new store, or tell link and check who is who by --identities",
        path, scan->participant, scan->session, row->scan.participant, row->scan.session);
  if (strcmp(row->source_sha256, hash) == 0) return sb_ok();
  if (same_path(row, path))
    return sb_error(
        SB_CONFLICT,
        "%s: not prepared, as the file has changed since it was, and the row of what it "
        "held stays; prepare into a new store, or give --dataset another name",
        path);
  return sb_error(SB_CONFLICT,
                  "%s: not prepared, as the store has this scan from another file, %s, whose row "
                  "stays; name another --dataset for these files, or list them in a manifest with "
                  "a dataset or scan_id of their own",
                  path, row->scan.source_path);
}

// Whether this very failure of the scan is on record already.
static bool known_failure(const sb_store *store, const sb_scan_record *record) {
  const sb_scan_record *old =
      look_up(store, sb_store_failed, sb_store_failed_count(store), &record->scan);
  return old != NULL && old->status == record->status && strcmp(old->reason, record->reason) == 0 &&
         strcmp(old->source_sha256, record->source_sha256) == 0;
}

// ---- Preparing one scan -------------------------------------------------------------------------

// A scan that comes with a mask of its brain.
static sb_status prepare_masked(const sb_preparer *preparer, const sb_scan *scan,
                                sb_prepared *out) {
  sb_volume volume = {0}, mask = {0};
  sb_volume_info info;
  sb_status status;
  SB_TRY(sb_volume_load(scan->source_path, &volume, &info));
  SB_TRY(sb_volume_load(scan->mask_path, &mask, NULL));
  status = sb_prepare_masked(preparer, &volume, &mask, out);
  if (status.code != SB_OK) {
    // Of volumes in memory the message does not know the files.
    sb_status unnamed = status;
    status = sb_error(unnamed.code, "%s (its brain mask: %s): %s", scan->source_path,
                      scan->mask_path, unnamed.message);
    goto cleanup;
  }
  out->quality.orientation = info.orientation;
  out->quality.nonfinite_voxels = info.nonfinite_voxels;
cleanup:
  sb_volume_free(&volume);
  sb_volume_free(&mask);
  return status;
}

// ---- Memory -------------------------------------------------------------------------------------

static void memory_take(run *r, int64_t bytes) {
  pthread_mutex_lock(&r->lock);
  r->memory_waiters++;
  while (r->memory_taken + bytes > r->memory_bytes) pthread_cond_wait(&r->changed, &r->lock);
  r->memory_waiters--;
  r->memory_taken += bytes;
  pthread_mutex_unlock(&r->lock);
}

static void memory_give_back(run *r, int64_t bytes) {
  pthread_mutex_lock(&r->lock);
  // What this thread keeps for its next scan is another's when that one waits for it.
  if (r->memory_waiters > 0) sb_release_freed();
  r->memory_taken -= bytes;
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->lock);
}

// What a scan needs with its mask; 0 for files that cannot be read, as loading them will tell.
static int64_t memory_of(const sb_preparer *preparer, const sb_scan *scan) {
  int64_t bytes, mask_voxels, mask_bytes = 0;
  if (sb_prepare_memory(preparer, scan->source_path, &bytes).code != SB_OK) return 0;
  if (scan->mask_path[0] != '\0') sb_volume_cost(scan->mask_path, &mask_voxels, &mask_bytes);
  return bytes + mask_bytes;
}

static sb_status too_large(const run *r, const sb_scan *scan, int64_t need) {
  const int64_t step = (int64_t)256 << 20, enough = (r->memory_held + need + step - 1) / step * 256;
  return sb_error(
      SB_NO_MEMORY,
      "%s: preparing an image of this size takes %lld MB, more memory than was granted; "
      "grant it --memory %lldM",
      scan->source_path, (long long)(need / 1000000), (long long)enough);
}

// ---- Saving its image ---------------------------------------------------------------------------

// "path/part", where no part can lead out of the folder; frees `path`. NULL when memory is short.
static char *extend(char *path, const char *part) {
  if (path == NULL || part[0] == '\0') return path;
  size_t length = strlen(path);
  char *longer = sb_format("%s/%s", path, part);
  free(path);
  if (longer == NULL) return NULL;
  for (char *at = longer + length + 1; *at != '\0'; at++)
    if (*at == '/' || (*at == '.' && at == longer + length + 1)) *at = '_';
  return longer;
}

// The row put back on the grid, as DIR/[DATASET/][sub-X/[ses-Y/]anat/]SCANID_...; the dataset is
// there when the list has several.
static sb_status save_image(const run *r, const sb_scan *scan, const float *row) {
  const int64_t *dims = sb_template_grid_dims(r->template);
  const int64_t *index = sb_template_row_index(r->template);
  sb_volume volume = {0};
  bool labelled = scan->participant[0] != '\0';
  char *folder = sb_strdup(r->options->save_images_dir);
  char *name = sb_format("%s_space-template_desc-prepared_T1w.nii.gz", scan->scan_id), *path = NULL;
  if (r->several_datasets) folder = extend(folder, scan->dataset);
  folder = extend(folder, scan->participant);
  if (labelled) folder = extend(extend(folder, scan->session), "anat");
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory", scan->source_path);
  if (folder == NULL || name == NULL) goto cleanup;
  SB_TRY(sb_make_folder(folder));
  path = extend(sb_strdup(folder), name);
  SB_TRY(SB_NEW_ZERO(&volume.voxels, dims[0] * dims[1] * dims[2], "image"));
  memcpy(volume.dims, dims, sizeof volume.dims);
  memcpy(volume.affine, sb_template_grid_affine(r->template), sizeof volume.affine);
  for (int64_t i = 0; i < sb_template_row_length(r->template); i++)
    volume.voxels[index[i]] = row[i];
  status = path == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", folder)
                        : sb_volume_save(&volume, path);
cleanup:
  sb_volume_free(&volume);
  free(folder);
  free(name);
  free(path);
  return status;
}

// ---- The run ------------------------------------------------------------------------------------

// Prepares a scan when there is memory for it. Nobody waits for long: those who hold memory never wait
// while they do.
static sb_status prepare_within(run *r, const sb_scan *scan, sb_prepared *out) {
  const int64_t need = memory_of(r->preparer, scan);
  if (need > r->memory_bytes) return too_large(r, scan, need);
  memory_take(r, need);
  const sb_status status = scan->mask_path[0] == '\0'
                               ? sb_prepare_file(r->preparer, scan->source_path, out)
                               : prepare_masked(r->preparer, scan, out);
  memory_give_back(r, need);
  return status;
}

// In parallel: all that one scan needs before it is committed.
static void work(run *r, const sb_scan *scan, outcome *o) {
  double started = now_s();
  o->fatal = sb_ok();
  const sb_scan_record *row = row_of(r->store, scan);
  o->had_row = row != NULL;
  o->record.scan = *scan;
  o->record.scan.source_path = recorded_path(scan->source_path);
  if (o->record.scan.source_path == NULL)
    o->fatal = sb_error(SB_NO_MEMORY, "%s: out of memory", scan->source_path);
  o->status = sb_volume_sha256(scan->source_path, o->record.source_sha256);
  if (o->status.code != SB_OK) o->record.source_sha256[0] = '\0';
  if (o->status.code == SB_OK && row != NULL)
    o->status = check_same(row, scan, o->record.source_sha256);
  else if (o->status.code == SB_OK)
    o->status = prepare_within(r, scan, &o->prepared);
  if (o->prepared.row != NULL && r->options->save_images_dir != NULL)
    o->fatal = save_image(r, scan, o->prepared.row);
  o->record.status = o->status.code;
  o->record.reason = o->status.message;
  o->record.quality = o->prepared.quality;
  memcpy(o->record.template_to_scan, o->prepared.template_to_scan,
         sizeof o->record.template_to_scan);
  o->record.seconds = now_s() - started;
}

static void warn_failure(const run *r, const sb_scan *scan, const char *reason) {
  if (r->progress == NULL || r->progress->warn == NULL) return;
  char *text = sb_format("scan %s of dataset %s failed: %s", scan->scan_id, scan->dataset, reason);
  r->progress->warn(r->progress->context, text == NULL ? reason : text);
  free(text);
}

static void warn_doubtful(const run *r, const sb_scan *scan, const sb_quality *quality) {
  char doubt[300];
  if (r->progress == NULL || r->progress->warn == NULL ||
      !sb_quality_doubt(quality, doubt, sizeof doubt))
    return;
  char *text = sb_format("scan %s of dataset %s: %s", scan->scan_id, scan->dataset, doubt);
  if (text != NULL) r->progress->warn(r->progress->context, text);
  free(text);
}

static void warn_of_sides(const run *r, const sb_scan *scan, sb_orientation_source orientation) {
  if (r->progress == NULL || r->progress->warn == NULL) return;
  char *doubt = sb_sides_doubt(orientation, scan->source_path), *text = NULL;
  if (doubt != NULL)
    text = sb_format("scan %s of dataset %s: %s", scan->scan_id, scan->dataset, doubt);
  if (text != NULL) r->progress->warn(r->progress->context, text);
  free(doubt);
  free(text);
}

// Writes what became of a scan, to be committed.
static sb_status stage(run *r, outcome *o) {
  if (o->fatal.code != SB_OK) return o->fatal;
  if (o->status.code == SB_OK && !o->had_row)
    return sb_store_writer_add(r->writer, &o->record, o->prepared.row, o->prepared.own_mask);
  if (o->had_row || known_failure(r->store, &o->record)) return sb_ok();
  return sb_store_writer_add(r->writer, &o->record, NULL, NULL);
}

// Counts a scan that is settled, and says what a person should know.
static void tell(run *r, const outcome *o, int64_t done) {
  if (o->status.code != SB_OK) {
    r->summary->failed++;
    r->summary->conflicts += o->had_row;
    warn_failure(r, &o->record.scan, o->status.message);
  } else if (o->had_row) {
    r->summary->skipped++;
  } else {
    r->summary->prepared++;
    warn_of_sides(r, &o->record.scan, o->prepared.quality.orientation);
    warn_doubtful(r, &o->record.scan, &o->prepared.quality);
  }
  if (r->progress != NULL && r->progress->advance != NULL)
    r->progress->advance(r->progress->context, "preparing", done, r->todo);
}

static outcome *place_of(const run *r, int64_t i) {
  return &r->places[i % r->window];
}

// Commits the scans first..first+count-1, with the syncs of one. Of an error those before it are
// committed, unless it was the disk's.
static sb_status commit(run *r, int64_t first, int64_t count) {
  int64_t staged = 0;
  sb_status stopped = sb_ok();
  while (staged < count && stopped.code == SB_OK) {
    stopped = stage(r, place_of(r, first + staged));
    staged += stopped.code == SB_OK;
  }
  sb_status status = sb_store_writer_commit(r->writer);
  for (int64_t i = 0; i < staged && status.code == SB_OK; i++)
    tell(r, place_of(r, first + i), first + i + 1);
  return stopped.code != SB_OK ? stopped : status;
}

// The place of the next scan, NULL when there is none; waits while the window is full.
static outcome *take(run *r, int64_t *i) {
  pthread_mutex_lock(&r->lock);
  while (!r->stop && r->taken < r->todo && r->taken - r->committed >= r->window)
    pthread_cond_wait(&r->changed, &r->lock);
  const bool more = !r->stop && r->taken < r->todo;
  if (more) *i = r->taken++;
  pthread_mutex_unlock(&r->lock);
  return more ? place_of(r, *i) : NULL;
}

// How many scans from the first that is not committed on are ready. Under the lock.
static int64_t ready_count(const run *r) {
  int64_t count = 0;
  while (count < r->window && place_of(r, r->committed + count)->ready) count++;
  return count;
}

// Commits what is ready, up to the first scan that is not, unless another thread is about it.
static void hand_in(run *r, outcome *o) {
  pthread_mutex_lock(&r->lock);
  o->ready = true;
  if (r->committing) {
    pthread_mutex_unlock(&r->lock);
    return;
  }
  r->committing = true;
  for (int64_t count; (count = ready_count(r)) > 0;) {
    const bool stopped = r->stop;
    pthread_mutex_unlock(&r->lock);
    if (!stopped) r->status = commit(r, r->committed, count);
    for (int64_t i = 0; i < count; i++) {
      outcome *done = place_of(r, r->committed + i);
      free(done->record.scan.source_path);
      sb_prepared_free(&done->prepared);
    }
    pthread_mutex_lock(&r->lock);
    for (int64_t i = 0; i < count; i++) memset(place_of(r, r->committed + i), 0, sizeof *r->places);
    r->stop = r->status.code != SB_OK;
    r->committed += count;
    pthread_cond_broadcast(&r->changed);
  }
  r->committing = false;
  pthread_mutex_unlock(&r->lock);
}

// No more threads than there is memory for, going by the first scan: each keeps what it took for its
// next one.
static void limit_threads(run *r) {
  const int64_t need = r->todo > 0 ? memory_of(r->preparer, r->scans[0]) : 0;
  if (need > 0 && r->memory_bytes / need < r->threads)
    r->threads = r->memory_bytes < 2 * need ? 1 : (int)(r->memory_bytes / need);
}

static void prepare_all(run *r) {
  r->status = sb_ok();
  limit_threads(r);
#pragma omp parallel num_threads(r->threads)
  {
    int64_t i = 0;
    for (outcome *o; (o = take(r, &i)) != NULL;) {
      // The scan that some thread will take next is read while this one is computed.
      if (i + r->threads < r->todo) sb_file_expect(r->scans[i + r->threads]->source_path);
      work(r, r->scans[i], o);
      hand_in(r, o);
    }
  }
}

// Room for twice as many outcomes as there are threads. What memory is left is for scans in work.
static sb_status make_room(run *r) {
  const int64_t *dims = sb_template_grid_dims(r->template);
  const int64_t outcome_bytes =
      sb_template_row_length(r->template) * (int64_t)sizeof(float) + dims[0] * dims[1] * dims[2];
  sb_release_freed(); // what making the template took
  r->threads = sb_thread_count(r->options->threads);
  r->window = 2 * (int64_t)r->threads;
  r->memory_held = sb_resident_bytes() + r->window * outcome_bytes;
  r->memory_bytes =
      (r->options->memory_bytes > 0 ? r->options->memory_bytes : sb_default_memory_bytes()) -
      r->memory_held;
  if (r->memory_bytes > 0) return SB_NEW_ZERO(&r->places, r->window, "scans in work");
  return sb_error(SB_NO_MEMORY,
                  "template, program and the rows in work hold %lld MB, as much as was granted or "
                  "more; grant more with --memory, or use fewer threads",
                  (long long)(r->memory_held / 1000000));
}

// When the store was begun; the beginning of time where that cannot be told.
static struct timespec begun_at(const char *store) {
  struct stat info;
  struct timespec begun = {0};
  char *path = sb_path_join(store, "store.json");
  if (path != NULL && stat(path, &info) == 0) begun = info.st_mtim;
  free(path);
  return begun;
}

// The share of the list that is this process's and has no row yet, or one that may be of something else.
static sb_status choose(run *r, const sb_scan_list *list) {
  const sb_ingest_options *o = r->options;
  // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
  sb_status status = SB_NEW(&r->scans, list->count, "list of scans");
  if (status.code != SB_OK) return status;
  for (size_t i = 0; i < list->count; i++) {
    if (strcmp(list->scans[i].dataset, list->scans[0].dataset) != 0) r->several_datasets = true;
    if ((int64_t)i % o->shard_count != o->shard_index - 1) continue;
    r->summary->scans++;
    const sb_scan_record *row = row_of(r->store, &list->scans[i]);
    if (row != NULL && same_path(row, list->scans[i].source_path) &&
        same_labels(row, &list->scans[i]) && !touched_since(&r->begun, list->scans[i].source_path))
      r->summary->skipped++;
    else
      r->scans[r->todo++] = &list->scans[i];
  }
  return sb_ok();
}

static sb_status open_writer(const char *path, const sb_template *t, const sb_preparer *preparer,
                             sb_store_writer **writer) {
  const double *affine = sb_template_grid_affine(t);
  sb_store_header header = {
      .grid_dims = sb_template_grid_dims(t),
      .grid_affine = affine,
      .resolution_mm = sqrt(affine[0] * affine[0] + affine[4] * affine[4] + affine[8] * affine[8]),
      .mask = sb_template_mask(t),
      .image = sb_template_image(t),
      .row_length = sb_template_row_length(t),
      .template_hash = sb_template_hash(t),
      .template_path = sb_template_path(t),
      .parameters = sb_preparer_parameters(preparer),
  };
  return sb_store_writer_open(path, &header, writer);
}

sb_status sb_ingest(const char *path, const sb_template *t, const sb_preparer *preparer,
                    const sb_scan_list *list, const sb_ingest_options *options,
                    const sb_progress *progress, sb_ingest_summary *summary) {
  double started = now_s();
  sb_ingest_summary unwanted;
  sb_ingest_options defaults = sb_ingest_options_default();
  run r = {.template = t,
           .preparer = preparer,
           .options = options == NULL ? &defaults : options,
           .progress = progress,
           .summary = summary == NULL ? &unwanted : summary,
           .lock = PTHREAD_MUTEX_INITIALIZER,
           .changed = PTHREAD_COND_INITIALIZER};
  memset(r.summary, 0, sizeof *r.summary);
  sb_status status = sb_ok();
  if (r.options->shard_count < 1 || r.options->shard_index < 1 ||
      r.options->shard_index > r.options->shard_count) {
    status = sb_error(SB_USAGE, "shard %d of %d: expects i of n with 1 <= i <= n",
                      r.options->shard_index, r.options->shard_count);
    goto cleanup;
  }
  SB_TRY(make_room(&r));
  if (r.options->save_images_dir != NULL) SB_TRY(sb_make_folder(r.options->save_images_dir));
  SB_TRY(open_writer(path, t, preparer, &r.writer));
  SB_TRY(sb_store_open(path, &r.store));
  r.begun = begun_at(path);
  SB_TRY(choose(&r, list));
  prepare_all(&r);
  status = r.status;
cleanup:
  sb_store_writer_close(r.writer);
  sb_store_close(r.store);
  free((void *)r.scans);
  free(r.places);
  r.summary->seconds = now_s() - started;
  return status;
}
