// The engine's speed from embedded rows in memory: the top 10 of each probe, beside FAISS's exact inner
// product search on the same rows in the same run.
//
//   OPENBLAS_CORETYPE=SkylakeX bench_link [--rows pearson|bandpass|noise] [--probes N] [--gallery N]
//       [--self] [--length V] [--threads N] [--runs N] [--memory-mib N] [--precision P] [--save FOLDER]
//
// Without OPENBLAS_CORETYPE Debian's OpenBLAS takes some processors for ones of the last century; on a
// processor without AVX-512 use another name that fits. Rows are made up to be as brains are
// (`--rows`): pearson's correlate at 0.55 +- 0.07 with each other, bandpass's at 0.22 +- 0.05, with as
// much weight in the tails as real rows have; noise's at 0. Each probe has one mate in the gallery, above
// 0.85; with --self every tenth row has one. Of `--runs` rounds the median is told, of processor time and of
// wall time; ours includes rounding, selection and the canonical scores. Then, how ids and scores agree.
// The peer is left out where FAISS was not found when this was built. --save leaves the rows and the ids in a
// folder as .npy, for link_numpy.py, which times NumPy on them.
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clocks.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/random.h"
#include "core/threads.h"
#include "engine/choose.h"
#include "engine/compare.h"
#include "engine/sink.h"
#include "median.h"
#include "options.h"
#ifdef SAMEBRAIN_FAISS
#include "link_faiss.h"
#endif

enum { TOP = 10, FACTORS = 12, MOST_RUNS = 21 };

// How rows correlate: with a mean row, and by factors in which people differ.
typedef struct kind {
  const char *name;
  double common, spread; // correlation of two people, and its standard deviation
  double tails;          // spread of the voxels' own amplitudes (log-normal)
  double cut;            // winsorised at so many root mean squares; 0: not
} kind;

static const kind KINDS[] = {
    {"pearson", 0.55, 0.07, 0, 2.8},
    {"bandpass", 0.22, 0.05, 0.1, 0},
    {"noise", 0, 0, 0, 0},
};

typedef struct bench {
  const kind *kind;
  int64_t probes, gallery, length;
  bool self;
  int threads, runs;
  int64_t memory_bytes;
  const char *precision, *folder; // folder: NULL: nothing is saved
  float *a, *b;                   // probes, gallery; one array with --self
  float *base;                    // mean row and factors, of unit norm
  float *pool;                    // normal numbers that noise is cut from
} bench;

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_link: %s\n", status.message);
  exit(1);
}

// ---- Rows ---------------------------------------------------------------------------------------

enum { POOL = 1 << 24, PIECE = 64 };

static float *new_rows(int64_t count, int64_t length) {
  float *rows;
  must(SB_NEW(&rows, count * length, "rows"));
  sb_prefer_large_pages(rows, (size_t)(count * length) * sizeof *rows);
  return rows;
}

static double norm_of(const float *row, int64_t length) {
  double squares = 0;
  for (int64_t i = 0; i < length; i++) squares += (double)row[i] * (double)row[i];
  return sqrt(squares);
}

static void scale_row(float *row, int64_t length, double factor) {
  for (int64_t i = 0; i < length; i++) row[i] = (float)((double)row[i] * factor);
}

// row += weight * noise of unit norm (nearly), in pieces from anywhere in the pool.
static void add_noise(const bench *b, uint64_t key, double weight, float *row) {
  const float factor = (float)(weight / sqrt((double)b->length));
  for (int64_t at = 0; at < b->length; at += PIECE) {
    const float *piece = b->pool + sb_random_bits(key, (uint64_t)at) % (POOL - PIECE);
    const int64_t count = b->length - at < PIECE ? b->length - at : PIECE;
    for (int64_t i = 0; i < count; i++) row[at + i] += factor * piece[i];
  }
}

// To zero mean and unit norm, as embeddings have them.
static void standardise(const bench *b, float *row) {
  double sum = 0, rms = norm_of(row, b->length) / sqrt((double)b->length);
  if (b->kind->cut > 0)
    for (int64_t i = 0; i < b->length; i++)
      row[i] = (float)fmax(-b->kind->cut * rms, fmin(b->kind->cut * rms, (double)row[i]));
  for (int64_t i = 0; i < b->length; i++) sum += (double)row[i];
  for (int64_t i = 0; i < b->length; i++) row[i] -= (float)(sum / (double)b->length);
  scale_row(row, b->length, 1 / norm_of(row, b->length));
}

static void make_person(const bench *b, uint64_t key, float *row) {
  const kind *k = b->kind;
  memset(row, 0, (size_t)b->length * sizeof *row);
  // Two people's factors, of variance s each, have dot products of standard deviation s sqrt(FACTORS).
  const double of_factors = k->spread * sqrt((double)FACTORS);
  for (int f = 0; f <= FACTORS && k->common > 0; f++) {
    float normals[2];
    sb_random_normals(key, (uint64_t)f + 1, normals);
    const double weight =
        f == 0 ? sqrt(k->common) : (double)normals[0] * sqrt(of_factors / FACTORS);
    const float *base = b->base + f * b->length;
    for (int64_t i = 0; i < b->length; i++) row[i] += (float)weight * base[i];
  }
  add_noise(b, key, sqrt(1 - k->common - of_factors), row);
}

// Each voxel has an amplitude of its own: tails as heavy as real ones.
static void amplify(const bench *b, float *row) {
  for (int64_t i = 0; i < b->length && b->kind->tails > 0; i++) {
    float normals[2];
    sb_random_normals(77, (uint64_t)i, normals);
    row[i] *= expf((float)b->kind->tails * normals[0]);
  }
}

// A person's other scan: 0.9 and more of it is the same.
static void make_mate(const bench *b, const float *of, uint64_t key, float *row) {
  for (int64_t i = 0; i < b->length; i++) row[i] = 0.96f * of[i];
  add_noise(b, key, 0.28, row);
  standardise(b, row);
}

static void make_rows(bench *b) {
  b->pool = new_rows(1, POOL);
  b->base = new_rows(FACTORS + 1, b->length);
  for (int64_t i = 0; i < POOL; i += 2) sb_random_normals(1, (uint64_t)i, b->pool + i);
  for (int f = 0; f <= FACTORS; f++) {
    float *base = b->base + f * b->length;
    memset(base, 0, (size_t)b->length * sizeof *base);
    add_noise(b, (uint64_t)f + 100, 1, base);
    scale_row(base, b->length, 1 / norm_of(base, b->length));
  }
  b->b = new_rows(b->gallery, b->length);
  b->a = b->self ? b->b : new_rows(b->probes, b->length);
  float *amplitude = new_rows(1, b->length);
  for (int64_t i = 0; i < b->length; i++) amplitude[i] = 1;
  amplify(b, amplitude);
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < b->gallery; i++) {
    float *row = b->b + i * b->length;
    make_person(b, sb_random_key(2, (uint64_t)i), row);
    for (int64_t v = 0; v < b->length; v++) row[v] *= amplitude[v];
    standardise(b, row);
  }
  free(amplitude);
  if (b->self)
    for (int64_t i = 0; i + 1 < b->gallery; i += 10)
      make_mate(b, b->b + i * b->length, sb_random_key(3, (uint64_t)i), b->b + (i + 1) * b->length);
  else
    for (int64_t i = 0; i < b->probes; i++)
      make_mate(b, b->b + i % b->gallery * b->length, sb_random_key(3, (uint64_t)i),
                b->a + i * b->length);
  free(b->pool);
  free(b->base);
}

// ---- Ours ---------------------------------------------------------------------------------------

typedef struct answer {
  int64_t *ids;   // TOP of a probe
  double *scores; // the same
} answer;

typedef struct facts {
  sb_choice choice;
  sb_timings timings;
  double bound;
} facts;

static answer new_answer(const bench *b) {
  answer a;
  must(SB_NEW_ZERO(&a.ids, b->probes * TOP, "answers"));
  must(SB_NEW_ZERO(&a.scores, b->probes * TOP, "answers"));
  return a;
}

// Scans nobody knows anything of.
static sb_people strangers(const bench *b) {
  sb_people people = {
      .datasets = 1, .probe_count = b->probes, .gallery_count = b->gallery, .self = b->self};
  must(SB_NEW(&people.gallery, b->gallery, "people"));
  must(SB_NEW_ZERO(&people.gallery_dataset, b->gallery, "people"));
  must(SB_NEW(&people.same, b->probes, "people"));
  for (int64_t i = 0; i < b->gallery; i++) people.gallery[i] = -1;
  for (int64_t i = 0; i < b->probes; i++) people.same[i] = b->self ? i : -1;
  if (b->self) {
    people.probe = people.gallery;
    people.probe_dataset = people.gallery_dataset;
    return people;
  }
  must(SB_NEW(&people.probe, b->probes, "people"));
  must(SB_NEW_ZERO(&people.probe_dataset, b->probes, "people"));
  for (int64_t i = 0; i < b->probes; i++) people.probe[i] = -1;
  return people;
}

static void rescore_open(sb_comparison *c, sb_sink *sink, int64_t probes) {
  int64_t count = 0, used = 0;
  sb_request *requests = NULL;
  for (int64_t p = 0; p < probes; p++) count += sink->lists[SB_LIST_MATCHES][p].count;
  must(SB_NEW(&requests, count, "requests"));
  for (int64_t p = 0; p < probes; p++) {
    sb_shortlist *list = sink->lists[SB_LIST_MATCHES] + p;
    for (int64_t i = 0; i < list->count; i++)
      if (list->items[i].low != list->items[i].high)
        requests[used++] = (sb_request){p, list->items[i].gallery, &list->items[i].low};
  }
  must(sb_rescore(c, requests, used));
  free(requests);
}

static void search(const bench *b, sb_compute *compute, answer *out, facts *told) {
  const sb_measure *measure = sb_measure_row_find("pearson");
  const sb_embedder embedder = {.measure = measure,
                                .grid = {.dims = {1, 1, 1}, .row_length = b->length},
                                .length = b->length,
                                .size = sb_round_up(b->length)};
  const sb_wish wish = {.probes = b->probes,
                        .gallery = b->gallery,
                        .self = b->self,
                        .top = TOP,
                        .threshold = INFINITY,
                        .threads = b->threads,
                        .memory_bytes = b->memory_bytes};
  const sb_limits limits = {.probe_tile = b->probes, .gallery_tile = b->gallery}; // all in one tile
  sb_people people = strangers(b);
  sb_plan plan;
  sb_sink sink;
  *told = (facts){0};
  sb_comparison c = {.ready = {b->a, b->b},
                     .plan = &plan,
                     .embedder = &embedder,
                     .compute = compute,
                     .timings = &told->timings};
  must(sb_choose_screen(&c, &wish, &told->choice));
  must(sb_plan_make(b->probes, b->gallery, b->self, (sb_range){0, b->probes}, TOP, b->threads,
                    b->memory_bytes, &embedder, c.screen, c.screen_context, &limits, &plan));
  const sb_sink_options options = {.top = TOP, .matrix = -1};
  must(sb_sink_open(&people, measure, &plan, &options, &sink));
  must(sb_comparison_open(&c));
  must(sb_compare_all(&c, &sink));
  rescore_open(&c, &sink, b->probes);
  for (int64_t p = 0; p < b->probes; p++) {
    sb_shortlist *list = sink.lists[SB_LIST_MATCHES] + p;
    sb_shortlist_sort(list);
    for (int64_t i = 0; i < TOP && i < list->count; i++) {
      out->ids[p * TOP + i] = list->items[i].gallery;
      out->scores[p * TOP + i] = list->items[i].low;
    }
  }
  told->bound = sb_sink_bound(&sink);
  sb_comparison_close(&c);
  sb_sink_close(&sink);
  sb_people_free(&people);
}

static void save_array(const bench *b, const char *name, const char *type, int64_t rows,
                       int64_t columns, const void *data) {
  char path[4096], header[SB_NPY_HEADER];
  sb_npy array = {.rows = rows, .columns = columns};
  snprintf(array.type, sizeof array.type, "%s", type);
  snprintf(path, sizeof path, "%s/%s.npy", b->folder, name);
  sb_npy_format(&array, header);
  const size_t bytes = (size_t)(rows * columns * sb_npy_item_bytes(&array));
  FILE *file = fopen(path, "wb");
  const bool written = file != NULL && fwrite(header, sizeof header, 1, file) == 1 &&
                       fwrite(data, bytes, 1, file) == 1;
  if (file == NULL || fclose(file) != 0 || !written)
    must(sb_error(SB_IO, "%s: cannot write", path));
}

static void save(const bench *b, const answer *mine) {
  save_array(b, "gallery", "<f4", b->gallery, b->length, b->b);
  if (!b->self) save_array(b, "probes", "<f4", b->probes, b->length, b->a);
  save_array(b, "answers", "<i8", b->probes, TOP, mine->ids);
}

// ---- The peer -----------------------------------------------------------------------------------

#ifdef SAMEBRAIN_FAISS
static void search_faiss(const bench *b, answer *out) {
  const int64_t k = b->self ? TOP + 1 : TOP; // a row finds itself
  float *scores;
  int64_t *ids;
  must(SB_NEW(&scores, b->probes * k, "answers"));
  must(SB_NEW(&ids, b->probes * k, "answers"));
  faiss_search(b->a, b->probes, b->b, b->gallery, b->length, k, b->threads, scores, ids);
  for (int64_t p = 0; p < b->probes; p++)
    for (int64_t i = 0, used = 0; i < k && used < TOP; i++) {
      if (b->self && ids[p * k + i] == p) continue;
      out->ids[p * TOP + used] = ids[p * k + i];
      out->scores[p * TOP + used++] = (double)scores[p * k + i];
    }
  free(scores);
  free(ids);
}
#endif

// The dot product in float64, by a plain loop: the referee shares nothing with either side.
static double exact_dot(const bench *b, int64_t probe, int64_t gallery) {
  const float *x = b->a + probe * b->length, *y = b->b + gallery * b->length;
  double sum = 0;
  for (int64_t i = 0; i < b->length; i++) sum += (double)x[i] * (double)y[i];
  return sum;
}

// Whether each of `ids` is in float64 at least as close as all of the other list but those before it.
static bool is_right(const bench *b, int64_t probe, const int64_t *ids, const int64_t *other) {
  for (int i = 0; i < TOP; i++)
    for (int j = 0; j < TOP; j++) {
      bool before = false;
      for (int k = 0; k < i; k++) before = before || ids[k] == other[j];
      if (!before && exact_dot(b, probe, ids[i]) < exact_dot(b, probe, other[j])) return false;
    }
  return true;
}

// Probes whose lists name other scans, how many of these are right here, and the largest difference of scores at
// one rank.
static void agree(const bench *b, const answer *mine, const answer *other) {
  int64_t differ = 0, right = 0;
  double worst = 0;
  for (int64_t p = 0; p < b->probes; p++) {
    const int64_t *ids = mine->ids + p * TOP, *others = other->ids + p * TOP;
    for (int64_t i = p * TOP; i < (p + 1) * TOP; i++)
      worst = fmax(worst, fabs(mine->scores[i] - other->scores[i]));
    if (memcmp(ids, others, TOP * sizeof *ids) == 0) continue;
    differ++;
    right += is_right(b, p, ids, others);
  }
  printf("of %lld lists of %d ids, %lld differ", (long long)b->probes, TOP, (long long)differ);
  if (differ > 0) printf(" (by float64 ours are right in %lld of these)", (long long)right);
  printf("; scores differ by %.1e at most\n", worst);
}

static void compare(const bench *b) {
  double ours[2][MOST_RUNS], theirs[2][MOST_RUNS];
  answer mine = new_answer(b), peer = new_answer(b);
  facts told = {0};
  sb_compute compute; // its buffers stay between searches
  must(sb_compute_open("cpu", b->precision, b->threads, 0, &compute));
  for (int run = 0; run < b->runs; run++) {
    clocks start = clocks_now();
    search(b, &compute, &mine, &told);
    clocks taken = clocks_since(start);
    ours[0][run] = taken.cpu;
    ours[1][run] = taken.wall;
#ifdef SAMEBRAIN_FAISS
    start = clocks_now();
    search_faiss(b, &peer);
    taken = clocks_since(start);
    theirs[0][run] = taken.cpu;
    theirs[1][run] = taken.wall;
#endif
  }
  sb_compute_close(&compute);
  printf("%s rows, %lld x %lld%s, %lld floats, %d thread%s, median of %d\n", b->kind->name,
         (long long)b->probes, (long long)b->gallery, b->self ? " (themselves)" : "",
         (long long)b->length, b->threads, b->threads == 1 ? "" : "s", b->runs);
  printf("precision %s -> %s (bound %.2g)%s%s\n", b->precision,
         sb_precision_name(told.choice.precision), told.bound,
         told.choice.why[0] != '\0' ? ": " : "", told.choice.why);
  const sb_timings *t = &told.timings;
  printf(
      "the last run, wall s: rounding %.2f, products %.2f, selection and canonical scores %.2f\n",
      t->embed_s, t->multiply_s, t->select_s + t->rescore_s);
  const double cpu = median(b->runs, ours[0]), wall = median(b->runs, ours[1]);
  printf("samebrain  %7.2f s processor  %7.2f s wall\n", cpu, wall);
#ifdef SAMEBRAIN_FAISS
  const double peer_cpu = median(b->runs, theirs[0]), peer_wall = median(b->runs, theirs[1]);
  printf("FAISS      %7.2f s processor  %7.2f s wall (OPENBLAS_CORETYPE=%s)\n", peer_cpu, peer_wall,
         getenv("OPENBLAS_CORETYPE") != NULL ? getenv("OPENBLAS_CORETYPE") : "unset: slow");
  printf("ratio      %7.2f              %7.2f\n", peer_cpu / cpu, peer_wall / wall);
  agree(b, &mine, &peer);
#else
  (void)theirs;
  (void)agree;
#endif
  if (b->folder != NULL) save(b, &mine);
  free(mine.ids);
  free(mine.scores);
  free(peer.ids);
  free(peer.scores);
}

int main(int argc, char **argv) {
  bench b = {.kind = KINDS,
             .probes = number(argc, argv, "--probes", 500),
             .gallery = number(argc, argv, "--gallery", 2000),
             .length = sb_round_up(number(argc, argv, "--length", 230000)),
             .threads = sb_thread_count((int)number(argc, argv, "--threads", 0)),
             .runs = (int)number(argc, argv, "--runs", 5),
             .memory_bytes = number(argc, argv, "--memory-mib", 4096) << 20,
             .precision = option(argc, argv, "--precision", "auto"),
             .folder = option(argc, argv, "--save", NULL)};
  const char *rows = option(argc, argv, "--rows", "pearson");
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
    if (strcmp(KINDS[i].name, rows) == 0) b.kind = KINDS + i;
  b.self = flag(argc, argv, "--self");
  if (strcmp(b.kind->name, rows) != 0 || b.runs < 1 || b.runs > MOST_RUNS || b.probes < 1) {
    fprintf(stderr, "bench_link: see the head of bench/bench_link.c\n");
    return 2;
  }
  if (b.self) b.probes = b.gallery;
  sb_keep_freed(); // as the program does
  make_rows(&b);
  compare(&b);
  if (!b.self) free(b.a);
  free(b.b);
  return 0;
}
