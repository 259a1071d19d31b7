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

#include "core/clock.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/threads.h"
#include "image/orient.h"
#include "samebrain/store.h"
#include "store/ingest_image.h"
#include "store/ingest_known.h"
#include "store/ingest_scan.h"
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

sb_ingest_options sb_ingest_options_default(void) {
  return (sb_ingest_options){.threads = 0, .shard_index = 1, .shard_count = 1};
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

// The M of a --memory that has room for what is held and for a scan that needs so much. What is held is not the
// same in every run.
static int64_t enough_m(const run *r, int64_t need) {
  const int64_t step = (int64_t)256 << 20, slack = (int64_t)16 << 20;
  return (r->memory_held + need + slack + step - 1) / step * 256;
}

static sb_status too_large(const run *r, const sb_scan *scan, int64_t need) {
  return sb_error(
      SB_NO_MEMORY,
      "%s: preparing an image of this size takes %lld MB beside the %lld MB that template, program "
      "and the rows in work hold, more memory than was granted; grant --memory %lldM",
      scan->source_path, (long long)(need / 1000000), (long long)(r->memory_held / 1000000),
      (long long)enough_m(r, need));
}

// ---- The run ------------------------------------------------------------------------------------

// Prepares a scan when there is memory for it. Nobody waits for long: those who hold memory never wait
// while they do.
static sb_status prepare_within(run *r, const sb_scan *scan, sb_prepared *out) {
  const int64_t need = sb_ingest_scan_memory(r->preparer, scan);
  if (need > r->memory_bytes) return too_large(r, scan, need);
  memory_take(r, need);
  const sb_status status = sb_ingest_scan(r->preparer, scan, out);
  memory_give_back(r, need);
  return status;
}

// In parallel: all that one scan needs before it is committed.
static void work(run *r, const sb_scan *scan, outcome *o) {
  double started = sb_now_s();
  o->fatal = sb_ok();
  const sb_scan_record *row = sb_known_row(r->store, scan);
  o->had_row = row != NULL;
  o->record.scan = *scan;
  o->record.scan.source_path = sb_recorded_path(scan->source_path);
  if (o->record.scan.source_path == NULL)
    o->fatal = sb_error(SB_NO_MEMORY, "%s: out of memory", scan->source_path);
  o->status = sb_volume_sha256(scan->source_path, o->record.source_sha256);
  if (o->status.code != SB_OK) o->record.source_sha256[0] = '\0';
  if (o->status.code == SB_OK && row != NULL)
    o->status = sb_check_known(row, scan, o->record.source_sha256);
  else if (o->status.code == SB_OK)
    o->status = prepare_within(r, scan, &o->prepared);
  if (o->prepared.row != NULL && r->options->save_images_dir != NULL)
    o->fatal = sb_save_row_image(r->template, scan, o->prepared.row, r->options->save_images_dir,
                                 r->several_datasets);
  o->record.status = o->status.code;
  o->record.reason = o->status.message;
  o->record.quality = o->prepared.quality;
  memcpy(o->record.template_to_scan, o->prepared.template_to_scan,
         sizeof o->record.template_to_scan);
  o->record.seconds = sb_now_s() - started;
}

// "scan S of dataset D" and what there is to say of it, which is taken over; NULL: nothing.
static void warn(const run *r, const sb_scan *scan, char *what) {
  char *text = what == NULL
                   ? NULL
                   : sb_format("scan %s of dataset %s%s", scan->scan_id, scan->dataset, what);
  if (text != NULL && r->progress != NULL && r->progress->warn != NULL)
    r->progress->warn(r->progress->context, text);
  free(what);
  free(text);
}

// What a person should know about a scan that was taken.
static void warn_of_doubts(const run *r, const sb_scan *scan, const sb_prepared *prepared) {
  char doubt[300];
  char *sides = sb_sides_doubt(prepared->quality.orientation, scan->source_path);
  if (sides != NULL) warn(r, scan, sb_format(": %s", sides));
  free(sides);
  if (prepared->unit_doubted)
    warn(r, scan,
         sb_format(
             ": millimetres were assumed, as no brain has the size that the header of %s gives "
             "by its unit of length",
             scan->source_path));
  if (sb_quality_doubt(&prepared->quality, doubt, sizeof doubt))
    warn(r, scan, sb_format(": %s", doubt));
}

// Writes what became of a scan, to be committed.
static sb_status stage(run *r, outcome *o) {
  if (o->fatal.code != SB_OK) return o->fatal;
  if (o->status.code == SB_OK && !o->had_row)
    return sb_store_writer_add(r->writer, &o->record, o->prepared.row, o->prepared.own_mask);
  if (o->had_row || sb_known_failure(r->store, &o->record)) return sb_ok();
  return sb_store_writer_add(r->writer, &o->record, NULL, NULL);
}

// Counts a scan that is settled, and says what a person should know.
static void tell(run *r, const outcome *o, int64_t done) {
  if (o->status.code != SB_OK) {
    r->summary->failed++;
    r->summary->conflicts += o->had_row;
    warn(r, &o->record.scan, sb_format(" failed: %s", o->status.message));
  } else if (o->had_row) {
    r->summary->skipped++;
  } else {
    r->summary->prepared++;
    warn_of_doubts(r, &o->record.scan, &o->prepared);
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
  const int64_t need = r->todo > 0 ? sb_ingest_scan_memory(r->preparer, r->scans[0]) : 0;
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
static sb_status make_room(run *r, const sb_scan_list *list) {
  const int64_t *dims = sb_template_grid_dims(r->template);
  const int64_t outcome_bytes =
      sb_template_row_length(r->template) * (int64_t)sizeof(float) + dims[0] * dims[1] * dims[2];
  sb_release_freed(); // what making the template took
  r->threads = sb_thread_count(r->options->threads);
  r->window = 2 * (int64_t)r->threads;
  r->memory_held = sb_resident_bytes() + r->window * outcome_bytes;
  r->memory_bytes = sb_memory_bytes(r->options->memory_bytes) - r->memory_held;
  if (r->memory_bytes > 0) return SB_NEW_ZERO(&r->places, r->window, "scans in work");
  return sb_error(SB_NO_MEMORY,
                  "template, program and the rows in work hold %lld MB, as much as was granted or "
                  "more; grant --memory %lldM, or use fewer threads",
                  (long long)(r->memory_held / 1000000),
                  (long long)enough_m(r, list->count > 0
                                             ? sb_ingest_scan_memory(r->preparer, &list->scans[0])
                                             : 0));
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
    const sb_scan_record *row = sb_known_row(r->store, &list->scans[i]);
    if (row != NULL && sb_known_path(row, list->scans[i].source_path) &&
        sb_known_labels(row, &list->scans[i]) &&
        !sb_touched_since(&r->begun, list->scans[i].source_path))
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
  double started = sb_now_s();
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
  SB_TRY(make_room(&r, list));
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
  r.summary->seconds = sb_now_s() - started;
  return status;
}
