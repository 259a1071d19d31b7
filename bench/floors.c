#include "floors.h"

#include <errno.h>
#include <fcntl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <oneapi/dnnl/dnnl.h>

#include "core/memory.h"
#include "engine/rows.h"
#include "engine/standardise.h"
#include "store/shard.h"

static const double LEAST_S = 2; // to time a product or an embedding for

// ---- Reading ------------------------------------------------------------------------------------

typedef sb_status (*file_work)(const char *path, void *context);

// Does something with each file of a store's rows.
static sb_status for_files(const char *store, file_work work, void *context) {
  int *numbers = NULL;
  size_t count = 0;
  sb_status status = sb_shard_list(store, &numbers, &count);
  for (size_t i = 0; i < count && status.code == SB_OK; i++) {
    sb_shard_files files;
    status = sb_shard_files_make(store, numbers[i], &files);
    if (status.code != SB_OK) break;
    status = work(files.rows, context);
    sb_shard_files_free(&files);
  }
  free(numbers);
  return status;
}

static sb_status open_file(const char *path, int *file) {
  *file = open(path, O_RDONLY | O_CLOEXEC);
  return *file >= 0 ? sb_ok() : sb_error(SB_IO, "%s: cannot open: %s", path, strerror(errno));
}

typedef struct pages {
  int64_t held, all;
} pages;

static sb_status count_pages(int file, const char *path, pages *out) {
  const int64_t page = (int64_t)sysconf(_SC_PAGESIZE), bytes = (int64_t)lseek(file, 0, SEEK_END);
  const int64_t count = (bytes + page - 1) / page;
  unsigned char *held = NULL;
  void *data = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, file, 0);
  if (data == MAP_FAILED) return sb_error(SB_IO, "%s: cannot map: %s", path, strerror(errno));
  sb_status status = SB_NEW(&held, count, "pages");
  if (status.code == SB_OK && mincore(data, (size_t)bytes, held) == 0)
    for (int64_t i = 0; i < count; i++) out->held += held[i] & 1;
  out->all += count;
  free(held);
  munmap(data, (size_t)bytes);
  return status;
}

static sb_status forget_file(const char *path, void *context) {
  int file;
  sb_status status = open_file(path, &file);
  if (status.code != SB_OK) return status;
  fdatasync(file); // what is not on disk yet cannot be forgotten
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  status = count_pages(file, path, context);
  close(file);
  return status;
}

sb_status floor_forget(const char *store, double *held) {
  pages p = {0, 0};
  sb_status status = for_files(store, forget_file, &p);
  *held = p.all > 0 ? (double)p.held / (double)p.all : 0;
  return status;
}

enum { BUFFER = 4 << 20, KEPT = 64 << 20 };

typedef struct reading {
  char *buffer;
  bool keep;
} reading;

// If not kept, the system forgets what was read, so that it takes the same memory for what follows.
static sb_status read_file(const char *path, void *context) {
  const reading *r = context;
  int file;
  ssize_t bytes;
  off_t at = 0;
  sb_status status = open_file(path, &file);
  if (status.code != SB_OK) return status;
  posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
  do {
    bytes = read(file, r->buffer, BUFFER);
    if (bytes > 0) at += bytes;
    if (!r->keep && at % KEPT < BUFFER) posix_fadvise(file, 0, at, POSIX_FADV_DONTNEED);
  } while (bytes > 0 || (bytes < 0 && errno == EINTR));
  if (bytes < 0) status = sb_error(SB_IO, "%s: cannot read: %s", path, strerror(errno));
  close(file);
  return status;
}

sb_status floor_read(const char *store, bool keep, clocks *out) {
  reading r = {.keep = keep};
  sb_status status = SB_NEW_ZERO(&r.buffer, BUFFER, "buffer");
  const clocks start = clocks_now();
  if (status.code == SB_OK) status = for_files(store, read_file, &r);
  *out = clocks_since(start);
  free(r.buffer);
  return status;
}

// ---- Embedding ----------------------------------------------------------------------------------

static clocks scaled(clocks taken, double factor) {
  return (clocks){taken.wall * factor, taken.cpu * factor};
}

sb_status floor_embed(const char *path, const char *name, int threads, int64_t rows, clocks *out) {
  enum { SAMPLE = 128 };
  sb_store *store = NULL;
  sb_embedder embedder = {0};
  sb_reader reader = {0};
  sb_standard standards[SB_MOST_PARTS];
  float *embeddings = NULL;
  const sb_measure *measure;
  sb_status status;
  SB_TRY(sb_measure_need(name, &measure));
  SB_TRY(sb_store_open(path, &store));
  const int64_t count = sb_store_count(store) < SAMPLE ? sb_store_count(store) : SAMPLE;
  SB_TRY(sb_run_embedder_open(measure, store, store, &embedder, standards));
  SB_TRY(sb_reader_open(&embedder, threads, &reader));
  SB_TRY(SB_NEW(&embeddings, count * embedder.size, "embeddings"));
  SB_TRY(sb_reader_embed(&reader, store, NULL, 0, count, embeddings)); // brings them near
  const clocks start = clocks_now();
  int64_t done = 0;
  do {
    SB_TRY(sb_reader_embed(&reader, store, NULL, 0, count, embeddings));
    done += count;
  } while (clocks_since(start).wall < LEAST_S);
  *out = scaled(clocks_since(start), (double)rows / (double)done);
cleanup:
  free(embeddings);
  sb_reader_close(&reader);
  sb_embedder_close(&embedder);
  sb_store_close(store);
  return status;
}

// ---- Multiplying --------------------------------------------------------------------------------

typedef struct operands {
  int64_t m, n, k, chunk;
  float *a, *b, *c; // or of int8, with sums of int32
  bool int8;
} operands;

// Every chunk of k once; the sums of each replace those of the one before.
static dnnl_status_t multiply(const operands *o) {
  dnnl_status_t code = dnnl_success;
  for (int64_t at = 0; at < o->k && code == dnnl_success; at += o->chunk) {
    const int64_t length = o->k - at < o->chunk ? o->k - at : o->chunk;
    const int32_t nothing = 0;
    code = o->int8 ? dnnl_gemm_s8s8s32('N', 'T', 'F', o->m, o->n, length, 1, (int8_t *)o->a + at,
                                       o->k, 0, (int8_t *)o->b + at, o->k, 0, 0, (int32_t *)o->c,
                                       o->n, &nothing)
                   : dnnl_sgemm('N', 'T', o->m, o->n, length, 1, o->a + at, o->k, o->b + at, o->k,
                                0, o->c, o->n);
  }
  return code;
}

static void fill(const operands *o, float *vectors, int64_t count) {
  int8_t *small = (int8_t *)vectors;
  for (int64_t i = 0; i < count * o->k; i++)
    if (o->int8)
      small[i] = (int8_t)(i * 37 % 255 - 127);
    else
      vectors[i] = (float)(i * 37 % 255 - 127);
}

sb_status floor_gemm(sb_precision precision, int64_t chunk, int64_t m, int64_t n, int threads,
                     double operations, clocks *out) {
  enum { MOST_M = 2048, MOST_N = 1024, K = 1 << 16 };
  operands o = {.m = m < MOST_M ? m : MOST_M,
                .n = n < MOST_N ? n : MOST_N,
                .k = K,
                .chunk = chunk,
                .int8 = precision == SB_INT8};
  const int threads_before = omp_get_max_threads();
  double done = 0;
  sb_status status;
  SB_TRY(SB_NEW(&o.a, o.m * o.k, "vectors"));
  SB_TRY(SB_NEW(&o.b, o.n * o.k, "vectors"));
  SB_TRY(SB_NEW(&o.c, o.m * o.n, "products"));
  fill(&o, o.a, o.m);
  fill(&o, o.b, o.n);
  omp_set_num_threads(threads); // where oneDNN takes its own from
  dnnl_status_t code = multiply(&o);
  const clocks start = clocks_now();
  while (code == dnnl_success && clocks_since(start).wall < LEAST_S) {
    code = multiply(&o);
    done += 2.0 * (double)o.m * (double)o.n * (double)o.k;
  }
  *out = scaled(clocks_since(start), operations / done);
  omp_set_num_threads(threads_before);
  if (code != dnnl_success)
    status = sb_error(SB_BACKEND, "oneDNN's product failed (%d)", (int)code);
cleanup:
  free(o.a);
  free(o.b);
  free(o.c);
  return status;
}
