// What a tile of the engine costs, stage by stage.
//
//   bench_engine [--backend cuda|cpu] [--shape MxNxK]... [--precision P]... [--repeat N] [--threads N]
//
// For each shape (M probes, N gallery scans, rows of K values; by default those of bench/gpu_peers.py) and
// each precision of the backend, of random unit vectors: median seconds (9 times after 2 to warm up) of
// the product alone, with the sums of its chunks, with the scores copied to the host, or with the
// candidates that the backend selects instead (the first tile's, of the 10 closest); of the gallery's
// vectors to the backend; of the gallery's rows of float16 to the backend, embedded there by pearson;
// and end to end, rows to scores: what a tile of a gallery that streams by takes. Prints JSON;
// scripts/gpu-check sets it beside the raw products of cuBLAS. A backend that does not tell its stages
// has the product with everything. The cuda backend's module is named by SAMEBRAIN_CUDA_MODULE.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/clock.h"
#include "core/half.h"
#include "core/memory.h"
#include "core/order.h"
#include "core/threads.h"
#include "engine/backend.h"
#include "engine/compare.h"

enum { MOST_SHAPES = 16, MOST_REPEATS = 99, WARM_UP = 2, BINS = 2000, TOP = 10 };

typedef struct shape {
  long long m, n, k;
} shape;

static const shape SHAPES[] = {{1, 2000, 217489},
                               {16, 2000, 217489},
                               {1000, 2000, 217489},
                               {2000, 2000, 217489},
                               {400, 400, 1740000}};

typedef enum figure { PRODUCT, SUMS, SCORES, SELECTED, VECTORS, ROWS, WHOLE, FIGURES } figure;
static const char *const FIGURE_NAMES[FIGURES] = {
    "product",         "with_sums",    "with_scores", "with_selection",
    "gallery_vectors", "gallery_rows", "end_to_end"};

typedef struct bench {
  const sb_backend *backend;
  void *context;
  int repeats, threads;
  float *a, *b;
  uint16_t *halves; // the gallery's rows
  sb_stored_row *rows;
  double *scores;
  int64_t *people;     // nobody is known, and all are of one dataset: -1 for each scan
  double *cutoffs;     // no list holds anything yet
  uint32_t *histogram; // m x BINS
  double seconds[FIGURES][MOST_REPEATS];
} bench;

static void free_data(bench *b) {
  free(b->a);
  free(b->b);
  free(b->halves);
  free(b->rows);
  free(b->scores);
  free(b->people);
  free(b->cutoffs);
  free(b->histogram);
  b->a = b->b = NULL;
  b->halves = NULL;
  b->rows = NULL;
  b->scores = b->cutoffs = NULL;
  b->people = NULL;
  b->histogram = NULL;
}

// Values around 0, by a generator that is quick; rows of norm 1, but for the rows of float16.
static void fill(const shape *s, int64_t rows, uint64_t seed, float *vectors, uint16_t *halves) {
#pragma omp parallel for
  for (int64_t i = 0; i < rows; i++) {
    uint64_t state = seed * 1000003 + (uint64_t)i * 7919 + 88172645463325252u;
    float *row = vectors + i * s->k;
    double norm = 0;
    for (int64_t v = 0; v < s->k; v++) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      row[v] = (float)((double)(state >> 11) * 0x1p-53 - 0.5);
      norm += (double)row[v] * (double)row[v];
    }
    if (halves != NULL) sb_half_from_floats((size_t)s->k, row, halves + i * s->k);
    for (int64_t v = 0; v < s->k; v++) row[v] = (float)((double)row[v] / sqrt(norm));
  }
}

static sb_status make_data(bench *b, const shape *s) {
  sb_status status;
  SB_TRY(SB_NEW(&b->a, s->m * s->k, "vectors"));
  SB_TRY(SB_NEW(&b->b, s->n * s->k, "vectors"));
  SB_TRY(SB_NEW(&b->halves, s->n * s->k, "rows"));
  SB_TRY(SB_NEW(&b->rows, s->n, "rows"));
  SB_TRY(SB_NEW(&b->scores, s->m * s->n, "scores"));
  SB_TRY(SB_NEW(&b->people, s->m + s->n, "people"));
  SB_TRY(SB_NEW(&b->cutoffs, s->m * SB_LIST_KINDS, "cutoffs"));
  SB_TRY(SB_NEW_ZERO(&b->histogram, s->m * BINS, "histograms"));
  for (int64_t i = 0; i < s->m + s->n; i++) b->people[i] = -1;
  for (int64_t i = 0; i < s->m * SB_LIST_KINDS; i++) b->cutoffs[i] = -INFINITY;
  fill(s, s->m, 1, b->a, NULL);
  fill(s, s->n, 2, b->b, b->halves);
  for (int64_t i = 0; i < s->n; i++) b->rows[i] = (sb_stored_row){b->halves + i * s->k, 1, 0};
cleanup:
  return status;
}

// The products of what is in the slots.
static sb_status multiply(bench *b, const shape *s, int repeat) {
  const sb_part probes = {SB_SLOT_PROBES, 0, s->m}, gallery = {SB_SLOT_GALLERY, 0, s->n};
  const bool told = b->backend->stages != NULL;
  const sb_stages before = told ? b->backend->stages(b->context) : (sb_stages){0};
  const double start = sb_now_s();
  const sb_status status = b->backend->gemm_nt(b->context, probes, gallery, b->scores, s->n);
  const double whole = sb_now_s() - start;
  const sb_stages after = told ? b->backend->stages(b->context) : (sb_stages){0};
  b->seconds[PRODUCT][repeat] = told ? after.multiply_s - before.multiply_s : whole;
  b->seconds[SUMS][repeat] = b->seconds[PRODUCT][repeat] + after.add_s - before.add_s;
  b->seconds[SCORES][repeat] =
      told ? b->seconds[SUMS][repeat] + after.copy_s - before.copy_s : whole;
  return status;
}

static sb_status begin_selecting(bench *b, const shape *s) {
  const sb_selection selection = {.from_dot = SB_FROM_DOT_CORRELATION,
                                  .range_min = -1,
                                  .range_max = 1,
                                  .higher_is_closer = true,
                                  .length = s->k,
                                  .probes = s->m,
                                  .gallery = s->n,
                                  .probe_person = b->people,
                                  .gallery_person = b->people,
                                  .probe_dataset = b->people,
                                  .gallery_dataset = b->people,
                                  .same = b->people,
                                  .bins = BINS,
                                  .wanted = {TOP, 1},
                                  .threshold = {INFINITY, INFINITY}};
  return b->backend->select_begin(b->context, &selection);
}

// The products of what is in the slots, and which of them could matter.
static sb_status multiply_and_select(bench *b, const shape *s, int repeat) {
  const sb_part probes = {SB_SLOT_PROBES, 0, s->m}, gallery = {SB_SLOT_GALLERY, 0, s->n};
  const sb_selection_tile tile = {.extent = {0, s->m, 0, s->n, false},
                                  .error = b->backend->gemm_error(b->context, s->k),
                                  .cutoffs = b->cutoffs};
  const sb_selected *items;
  int64_t count;
  const double start = sb_now_s();
  sb_status status = b->backend->select_start(b->context, probes, gallery, &tile);
  for (bool more = true; more && status.code == SB_OK;)
    status = b->backend->select_take(b->context, &items, &count, &more);
  b->seconds[SELECTED][repeat] = sb_now_s() - start;
  return status;
}

static sb_status run_once(bench *b, const shape *s, int repeat) {
  const sb_backend *backend = b->backend;
  const bool embeds = backend->put_rows != NULL;
  sb_status status;
  double start = sb_now_s();
  SB_TRY(backend->put(b->context, SB_SLOT_GALLERY, b->b, s->n, s->k, s->k));
  SB_TRY(multiply(b, s, repeat)); // waits for what was put
  b->seconds[VECTORS][repeat] = sb_now_s() - start - b->seconds[SCORES][repeat];
  start = sb_now_s();
  if (embeds) {
    bool well;
    SB_TRY(backend->put_rows(b->context, SB_SLOT_GALLERY, b->rows, s->n, &well));
    if (!well) status = sb_error(SB_BACKEND, "random rows are refused: do not use this GPU");
    SB_TRY(status);
  }
  b->seconds[ROWS][repeat] = embeds ? sb_now_s() - start : NAN;
  SB_TRY(multiply(b, s, repeat));
  b->seconds[WHOLE][repeat] = embeds ? sb_now_s() - start : NAN;
  b->seconds[SELECTED][repeat] = NAN;
  if (backend->select_begin != NULL) SB_TRY(multiply_and_select(b, s, repeat));
cleanup:
  return status;
}

static sb_status run_shape(bench *b, const shape *s, const char *precision, cJSON *results) {
  const sb_recipe recipe = {.kind = SB_RECIPE_STANDARDISE, .voxels = s->k};
  double error = 0;
  sb_status status;
  if (b->backend->select_begin != NULL) SB_TRY(begin_selecting(b, s)); // empties the slots
  SB_TRY(b->backend->put(b->context, SB_SLOT_PROBES, b->a, s->m, s->k, s->k));
  if (b->backend->put_rows != NULL) SB_TRY(b->backend->embed_begin(b->context, &recipe));
  for (int r = -WARM_UP; r < b->repeats; r++) SB_TRY(run_once(b, s, r < 0 ? 0 : r));
  if (b->backend->select_begin != NULL)
    SB_TRY(b->backend->select_end(b->context, b->histogram, NULL, &error));
  cJSON *item = cJSON_CreateObject(), *seconds;
  const double sizes[] = {(double)s->m, (double)s->n, (double)s->k};
  cJSON_AddItemToArray(results, item);
  cJSON_AddStringToObject(item, "precision", precision);
  cJSON_AddStringToObject(item, "computes", b->backend->describe(b->context));
  cJSON_AddItemToObject(item, "shape", cJSON_CreateDoubleArray(sizes, 3));
  seconds = cJSON_AddObjectToObject(item, "seconds");
  for (int f = 0; f < FIGURES; f++) {
    qsort(b->seconds[f], (size_t)b->repeats, sizeof *b->seconds[f], sb_order_doubles);
    cJSON_AddNumberToObject(seconds, FIGURE_NAMES[f], b->seconds[f][b->repeats / 2]);
  }
  cJSON_AddNumberToObject(item, "product_tflops",
                          2 * sizes[0] * sizes[1] * sizes[2] / b->seconds[PRODUCT][b->repeats / 2] /
                              1e12);
cleanup:
  return status;
}

// All shapes in one precision.
static sb_status run_precision(bench *b, const sb_backend *backend, sb_precision precision,
                               const shape *shapes, int count, cJSON *root) {
  const sb_backend_options options = {.threads = b->threads, .precision = precision, .timed = true};
  sb_status status;
  b->backend = sb_backend_in(backend, precision);
  status = b->backend->open(&options, &b->context);
  if (status.code == SB_USAGE) return sb_ok(); // it has no such precision
  SB_TRY(status);
  for (int i = 0; i < count && status.code == SB_OK; i++) {
    status = make_data(b, shapes + i);
    if (status.code == SB_OK)
      status = run_shape(b, shapes + i, sb_precision_name(precision),
                         cJSON_GetObjectItem(root, "tiles"));
    free_data(b);
  }
cleanup:
  if (b->context != NULL) b->backend->close(b->context);
  b->context = NULL;
  return status;
}

static int refuse(const char *what) {
  fprintf(stderr, "bench_engine: %s: see the head of bench/bench_engine.c\n", what);
  return 2;
}

int main(int argc, char **argv) {
  static bench b;
  shape shapes[MOST_SHAPES];
  bool wanted[SB_PRECISIONS] = {0}, all = true;
  const char *name = "cuda";
  const sb_backend *backend;
  int count = 0;
  b.repeats = 9;
  b.threads = sb_thread_count(0);
  for (int i = 1; i < argc; i += 2) {
    sb_precision precision;
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--backend") == 0)
      name = value;
    else if (strcmp(argv[i], "--repeat") == 0)
      b.repeats = atoi(value);
    else if (strcmp(argv[i], "--threads") == 0)
      b.threads = atoi(value);
    else if (strcmp(argv[i], "--precision") == 0 &&
             sb_precision_of(value, &precision).code == SB_OK)
      wanted[precision] = !(all = false);
    else if (strcmp(argv[i], "--shape") == 0 && count < MOST_SHAPES &&
             sscanf(value, "%lldx%lldx%lld", &shapes[count].m, &shapes[count].n,
                    &shapes[count].k) == 3)
      count++;
    else
      return refuse(argv[i]);
  }
  for (int i = 0; i < count; i++)
    if (shapes[i].m < 1 || shapes[i].n < 1 || shapes[i].k < 2) return refuse("--shape");
  if (b.repeats < 1 || b.repeats > MOST_REPEATS || b.threads < 1)
    return refuse("--repeat, --threads");
  if (count == 0) {
    count = (int)(sizeof SHAPES / sizeof *SHAPES);
    memcpy(shapes, SHAPES, sizeof SHAPES);
  }
  cJSON *root = cJSON_CreateObject();
  cJSON_AddArrayToObject(root, "tiles");
  sb_status status = sb_backend_find(name, &backend);
  for (int p = 0; p < SB_PRECISIONS && status.code == SB_OK; p++)
    if (all || wanted[p]) status = run_precision(&b, backend, (sb_precision)p, shapes, count, root);
  char *text = status.code == SB_OK ? cJSON_Print(root) : NULL;
  if (text != NULL) puts(text);
  if (status.code != SB_OK) fprintf(stderr, "bench_engine: %s\n", status.message);
  cJSON_free(text);
  cJSON_Delete(root);
  return status.code == SB_OK ? 0 : 1;
}
