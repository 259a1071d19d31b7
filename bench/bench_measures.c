// What each similarity measure costs and how well it tells people apart.
//
//   bench_measures STORE [--threads N] [--seconds S] [--measure NAME]...
//
// STORE is a store of prepared scans (samebrain prepare). For every measure, or those named, prints
// milliseconds to embed a scan, pairs per second on one core and on N (default: all), and, where
// people are known twice, rank-1, the least alike mated pair, the most alike non-mated pair, the
// margin between them and d-prime. Pairs per second of the GEMM family are those of the matrix
// product of the scans' vectors with each other, repeated up to 256 rows a side; of the pair family
// those of the kernel. Times are the best of those taken, so that a busy machine tells the same. bench/measures_peers.py times the same measures elsewhere.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/threads.h"
#include "engine/backend.h"
#include "engine/compare.h"
#include "engine/rows.h"
#include "engine/standardise.h"
#include "measure/measure.h"

enum { GEMM_ROWS = 256 };

typedef struct bench {
  const sb_store *store;
  int64_t count;
  int threads;
  double seconds; // to spend on each figure
} bench;

typedef struct figures {
  double embed_ms, one_core, all_cores; // pairs per second
  int64_t mated_probes, rank1;
  double mated_min, nonmated_max, margin, d_prime;
} figures;

static bool same_person(const sb_store *store, int64_t a, int64_t b) {
  const sb_scan *one = &sb_store_record(store, a)->scan, *other = &sb_store_record(store, b)->scan;
  return strcmp(one->dataset, other->dataset) == 0 &&
         strcmp(one->participant, other->participant) == 0;
}

// ---- Telling people apart -----------------------------------------------------------------------

static void add_moments(double score, double sums[3]) {
  sums[0]++;
  sums[1] += score;
  sums[2] += score * score;
}

static void judge(const bench *b, const sb_measure *measure, const double *scores, figures *out) {
  double direction = measure->info.higher_is_closer ? 1 : -1, mated[3] = {0}, nonmated[3] = {0};
  double least = INFINITY, most = -INFINITY;
  for (int64_t i = 0; i < b->count; i++) {
    double best = -INFINITY;
    bool has_mate = false, found = false;
    for (int64_t j = 0; j < b->count; j++) {
      if (i == j) continue;
      double closeness = direction * scores[i * b->count + j];
      bool mate = same_person(b->store, i, j);
      has_mate = has_mate || mate;
      if (closeness > best) {
        best = closeness;
        found = mate;
      }
      if (mate) least = fmin(least, closeness);
      if (!mate) most = fmax(most, closeness);
      if (j > i) add_moments(closeness, mate ? mated : nonmated);
    }
    out->mated_probes += has_mate;
    out->rank1 += has_mate && found;
  }
  double mean_a = mated[1] / mated[0], mean_b = nonmated[1] / nonmated[0];
  double var_a = (mated[2] - mated[0] * mean_a * mean_a) / (mated[0] - 1);
  double var_b = (nonmated[2] - nonmated[0] * mean_b * mean_b) / (nonmated[0] - 1);
  out->mated_min = direction * least;
  out->nonmated_max = direction * most;
  out->margin = least - most;
  out->d_prime = (mean_a - mean_b) / sqrt((var_a + var_b) / 2);
}

static void score_all(const bench *b, const sb_embedder *e, const sb_reader *reader,
                      const float *embeddings, double *scores) {
#pragma omp parallel for num_threads(b->threads) schedule(dynamic)
  for (int64_t i = 0; i < b->count; i++)
    for (int64_t j = i; j < b->count; j++)
      scores[i * b->count + j] = scores[j * b->count + i] = sb_embedded_score(
          e, embeddings + i * e->size, embeddings + j * e->size, sb_reader_scratch(reader));
}

// ---- Speed --------------------------------------------------------------------------------------

static double pair_speed(const bench *b, const sb_embedder *e, const sb_reader *reader,
                         const float *embeddings, int threads) {
  const int64_t round = 8 * (int64_t)threads;
  double begin = sb_now_s(), best = 0, sink = 0;
  for (int64_t pairs = 0; sb_now_s() - begin < b->seconds; pairs += round) {
    double start = sb_now_s();
#pragma omp parallel for num_threads(threads) schedule(dynamic, 2) reduction(+ : sink)
    for (int64_t i = 0; i < round; i++) {
      const int64_t one = (pairs + i) % b->count, other = (pairs + 7 * i + 1) % b->count;
      sink += sb_embedded_score(e, embeddings + one * e->size, embeddings + other * e->size,
                                sb_reader_scratch(reader));
    }
    best = fmax(best, (double)round / (sb_now_s() - start));
  }
  return isnan(sink) ? (double)NAN : best;
}

static sb_status gemm_speed(const bench *b, const sb_embedder *e, const float *embeddings,
                            int threads, double *speed) {
  const sb_backend_options options = {.threads = threads};
  const sb_backend *backend = &sb_backend_cpu;
  const int64_t n = GEMM_ROWS, first = b->count < n ? b->count : n;
  void *context = NULL;
  float *rows = NULL;
  double *dots = NULL, best = 0;
  sb_status status;
  SB_TRY(backend->open(&options, &context));
  SB_TRY(SB_NEW(&rows, n * e->size, "vectors"));
  SB_TRY(SB_NEW(&dots, n * n, "scores"));
  for (int64_t i = 0; i < n; i++)
    memcpy(rows + i * e->size, embeddings + i % first * e->size, (size_t)e->size * sizeof *rows);
  SB_TRY(backend->put(context, SB_SLOT_PROBES, rows, n, e->length, e->size));
  const sb_part all = {SB_SLOT_PROBES, 0, n};
  for (double begin = sb_now_s(); sb_now_s() - begin < b->seconds;) {
    double start = sb_now_s();
    SB_TRY(backend->gemm_nt(context, all, all, dots, n));
    best = fmax(best, (double)(n * n) / (sb_now_s() - start));
  }
  *speed = best;
cleanup:
  free(rows);
  free(dots);
  if (context != NULL) backend->close(context);
  return status;
}

static sb_status embed_speed(const bench *b, const sb_embedder *e, float *embeddings, double *ms) {
  sb_reader reader = {0};
  sb_status status;
  SB_TRY(sb_reader_open(e, 1, &reader));
  SB_TRY(sb_reader_embed(&reader, b->store, NULL, 0, b->count, embeddings)); // warms up
  *ms = INFINITY;
  for (int64_t i = 0; i < b->count; i++) {
    double start = sb_now_s();
    SB_TRY(sb_reader_embed(&reader, b->store, NULL, i, 1, embeddings + i * e->size));
    *ms = fmin(*ms, 1e3 * (sb_now_s() - start));
  }
cleanup:
  sb_reader_close(&reader);
  return status;
}

// ---- One measure, and all -----------------------------------------------------------------------

static sb_status measure_one(const bench *b, const sb_measure *measure, figures *out) {
  sb_standard standards[SB_MOST_PARTS];
  sb_embedder e = {0};
  sb_reader reader = {0};
  float *embeddings = NULL;
  double *scores = NULL;
  sb_status status;
  memset(out, 0, sizeof *out);
  SB_TRY(sb_run_embedder_open(measure, b->store, b->store, &e, standards));
  SB_TRY(sb_reader_open(&e, b->threads, &reader));
  SB_TRY(SB_NEW(&embeddings, b->count * e.size, "embeddings"));
  SB_TRY(SB_NEW(&scores, b->count * b->count, "scores"));
  SB_TRY(embed_speed(b, &e, embeddings, &out->embed_ms));
  score_all(b, &e, &reader, embeddings, scores);
  judge(b, measure, scores, out);
  if (measure->info.gemm) {
    SB_TRY(gemm_speed(b, &e, embeddings, 1, &out->one_core));
    SB_TRY(gemm_speed(b, &e, embeddings, b->threads, &out->all_cores));
  } else {
    out->one_core = pair_speed(b, &e, &reader, embeddings, 1);
    out->all_cores = pair_speed(b, &e, &reader, embeddings, b->threads);
  }
cleanup:
  free(embeddings);
  free(scores);
  sb_reader_close(&reader);
  sb_embedder_close(&e);
  return status;
}

static void print(const sb_measure *measure, const figures *f) {
  printf("| %s | %.2f | %.0f | %.0f |", measure->info.name, f->embed_ms, f->one_core, f->all_cores);
  if (f->mated_probes == 0)
    printf(" - | - | %.4g | - | - |\n", f->nonmated_max);
  else
    printf(" %lld of %lld | %.4g | %.4g | %.4g | %.1f |\n", (long long)f->rank1,
           (long long)f->mated_probes, f->mated_min, f->nonmated_max, f->margin, f->d_prime);
  fflush(stdout);
}

static bool wanted(int argc, char **argv, const char *name) {
  bool any = false;
  for (int i = 2; i + 1 < argc; i++) {
    if (strcmp(argv[i], "--measure") != 0) continue;
    if (strcmp(argv[i + 1], name) == 0) return true;
    any = true;
  }
  return !any;
}

static double option(int argc, char **argv, const char *name, double otherwise) {
  for (int i = 2; i + 1 < argc; i++)
    if (strcmp(argv[i], name) == 0) return strtod(argv[i + 1], NULL);
  return otherwise;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fputs("usage: bench_measures STORE [--threads N] [--seconds S] [--measure NAME]...\n", stderr);
    return 2;
  }
  sb_store *store = NULL;
  sb_status status = sb_store_open(argv[1], &store);
  if (status.code == SB_OK) {
    const bench b = {.store = store,
                     .count = sb_store_count(store),
                     .threads = sb_thread_count((int)option(argc, argv, "--threads", 0)),
                     .seconds = option(argc, argv, "--seconds", 1)};
    printf("%lld scans, rows of %lld voxels, %d threads\n\n"
           "| measure | embed, ms | pairs/s, 1 core | pairs/s, %d | rank-1 | mated min | "
           "non-mated max | margin | d' |\n|---|---|---|---|---|---|---|---|---|\n",
           (long long)b.count, (long long)sb_store_row_length(store), b.threads, b.threads);
    const sb_measure *measure;
    figures f;
    for (size_t m = 0; (measure = sb_measure_row(m)) != NULL && status.code == SB_OK; m++) {
      if (!wanted(argc, argv, measure->info.name)) continue;
      status = measure_one(&b, measure, &f);
      if (status.code == SB_OK) print(measure, &f);
    }
  }
  sb_store_close(store);
  if (status.code != SB_OK) fprintf(stderr, "bench_measures: %s\n", status.message);
  return status.code == SB_OK ? 0 : 1;
}
