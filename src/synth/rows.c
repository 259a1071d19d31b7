// sb_synth_rows: rows without brains. A row is a sum over bands of spatial frequency, each a mixture
// of a pattern that all people share and one of the person's own, and of noise of the session's.
//
// What people share differs from person to person around the roots of SHARED, so that the
// correlation of two people is spread around SHARED as brains' are. With white rows there is noise
// alone, in place of the bands one value a voxel that is the person's.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/memory.h"
#include "core/random.h"
#include "core/threads.h"
#include "samebrain/synth.h"
#include "store/writer.h"
#include "synth/field.h"

// Half the axes of the ellipsoid that stands for a brain: 1.74 litres, 217,000 voxels of 2 mm.
static const double HALF_AXES_MM[3] = {70, 88, 67.4};

static const struct band {
  double sigma_mm, variance, shared, spread; // spread: of the root of what is shared, in its shares
} BANDS[] = {{9, 0.62, 0.77, 0.095}, {1.8, 0.38, 0.205, 0.17}};
enum { BAND_COUNT = sizeof BANDS / sizeof *BANDS };
static const double NOISE_VARIANCE = 0.02, WHITE_NOISE_VARIANCE = 0.06;
static const double MEAN = 100, DEVIATION = 25; // of the row's values
static const float MOST = 2.5F; // deviations from the mean; harmonised rows end there too

sb_synth_rows_options sb_synth_rows_options_default(void) {
  return (sb_synth_rows_options){.people = 100, .sessions = 1, .voxel_mm = 2, .seed = 1};
}

typedef struct grid {
  sb_lattice lattice;
  double affine[16];
  int64_t nodes, row_length;
  uint8_t *mask;
  float *shared[BAND_COUNT]; // on the whole grid
} grid;

static void free_grid(grid *g) {
  free(g->mask);
  for (int b = 0; b < BAND_COUNT; b++) free(g->shared[b]);
}

static sb_status make_grid(const sb_synth_rows_options *o, grid *g) {
  sb_status status = sb_ok();
  *g = (grid){.lattice = {.step_mm = o->voxel_mm}};
  g->nodes = 1;
  for (int a = 0; a < 3; a++) {
    const int64_t half = (int64_t)ceil(HALF_AXES_MM[a] / o->voxel_mm);
    g->lattice.dims[a] = 2 * half + 1;
    g->lattice.origin[a] = -(double)half * o->voxel_mm;
    g->affine[5 * a] = o->voxel_mm;
    g->affine[4 * a + 3] = g->lattice.origin[a];
    g->nodes *= g->lattice.dims[a];
  }
  g->affine[15] = 1;
  SB_TRY(SB_NEW(&g->mask, g->nodes, "mask"));
  for (int64_t i = 0, at = 0; i < g->nodes; i++) {
    double sum = 0;
    at = i;
    for (int a = 0; a < 3; a++) {
      double x = g->lattice.origin[a] + o->voxel_mm * (double)(at % g->lattice.dims[a]);
      at /= g->lattice.dims[a];
      sum += x * x / (HALF_AXES_MM[a] * HALF_AXES_MM[a]);
    }
    g->mask[i] = sum <= 1;
    g->row_length += sum <= 1;
  }
  for (int b = 0; b < BAND_COUNT; b++) {
    SB_TRY(SB_NEW_ZERO(&g->shared[b], g->nodes, "pattern"));
    SB_TRY(sb_field_add(&g->lattice, BANDS[b].sigma_mm, 1, sb_random_key(o->seed, (uint64_t)b), 1,
                        0, g->shared[b]));
  }
cleanup:
  return status;
}

// Adds a person's bands to `image`; `own` is memory for one.
static sb_status add_bands(const grid *g, uint64_t key, float *own, float *image) {
  for (int b = 0; b < BAND_COUNT; b++) {
    const struct band *band = &BANDS[b];
    float normal[2];
    sb_random_normals(key, (uint64_t)b, normal);
    const double root = sqrt(band->shared) * (1 + band->spread * (double)normal[0]);
    const double share = root < 0.1 ? 0.1 : root > 0.99 ? 0.99 : root;
    const float of_all = (float)(sqrt(band->variance) * share);
    memset(own, 0, (size_t)g->nodes * sizeof *own);
    sb_status status =
        sb_field_add(&g->lattice, band->sigma_mm, sqrt(band->variance * (1 - share * share)),
                     sb_random_key(key, 10 + (uint64_t)b), 1, 0, own);
    if (status.code != SB_OK) return status;
    for (int64_t i = 0; i < g->nodes; i++) image[i] += of_all * g->shared[b][i] + own[i];
  }
  return sb_ok();
}

static void add_noise(int64_t count, uint64_t key, double variance, float *values) {
  const float sd = (float)sqrt(variance);
  for (int64_t i = 0; i < count; i += 2) {
    float normal[2];
    sb_random_normals(key, (uint64_t)i, normal);
    values[i] += sd * normal[0];
    if (i + 1 < count) values[i + 1] += sd * normal[1];
  }
}

// One row, in memory for three images.
static sb_status make_row(const grid *g, const sb_synth_rows_options *o, int64_t person,
                          int session, float *memory) {
  float *row = memory, *image = memory + g->nodes, *own = image + g->nodes;
  const uint64_t key = sb_random_key(o->seed, 100 + (uint64_t)person);
  const uint64_t noise = sb_random_key(key, 1000 + (uint64_t)session);
  sb_status status = sb_ok();
  memset(image, 0, (size_t)g->nodes * sizeof *image);
  if (o->white)
    add_noise(g->nodes, key, 1 - WHITE_NOISE_VARIANCE, image);
  else
    status = add_bands(g, key, own, image);
  add_noise(g->nodes, noise, o->white ? WHITE_NOISE_VARIANCE : NOISE_VARIANCE, image);
  for (int64_t i = 0, at = 0; i < g->nodes; i++)
    if (g->mask[i])
      row[at++] = (float)MEAN + (float)DEVIATION * fmaxf(-MOST, fminf(MOST, image[i]));
  return status;
}

static sb_status add_row(sb_store_writer *writer, const grid *g, const sb_synth_rows_options *o,
                         int64_t person, int session, const float *row) {
  char id[48], participant[32], name[16], source[60];
  snprintf(participant, sizeof participant, "sub-%07lld", (long long)person + 1);
  snprintf(name, sizeof name, "ses-%02d", session);
  snprintf(id, sizeof id, "%s_%s", participant, name);
  snprintf(source, sizeof source, "made-up rows, seed %llu", (unsigned long long)o->seed);
  sb_scan_record record = {.scan = {.dataset = (char *)(o->dataset != NULL ? o->dataset : "rows"),
                                    .scan_id = id,
                                    .participant = participant,
                                    .session = name,
                                    .source_path = source},
                           .quality = {.template_correlation = 1, .mask_overlap = 1}};
  sb_sha256 hash;
  sb_sha256_start(&hash);
  sb_sha256_add(&hash, source, strlen(source));
  sb_sha256_add(&hash, id, strlen(id));
  sb_sha256_end(&hash, record.source_sha256);
  return sb_store_writer_add(writer, &record, row, g->mask);
}

static sb_status check(const sb_synth_rows_options *o) {
  if (o->people < 1 || o->people > 9999999)
    return sb_error(SB_USAGE, "%lld people: expects 1 to 9,999,999", (long long)o->people);
  if (o->sessions < 1 || o->first_session < 0 || o->first_session + o->sessions > 99)
    return sb_error(SB_USAGE, "sessions %d to %d: expects 1 to 99", o->first_session + 1,
                    o->first_session + o->sessions);
  if (!(o->voxel_mm >= 1 && o->voxel_mm <= 10))
    return sb_error(SB_USAGE, "voxels of %g mm: expects 1 to 10", o->voxel_mm);
  return sb_ok();
}

// Scans [first, first + count) into `rows`, on all threads.
static sb_status make_rows(const grid *g, const sb_synth_rows_options *o, int64_t first, int count,
                           float *const *rows) {
  sb_status failure = sb_ok();
#pragma omp parallel for num_threads(count) schedule(static, 1)
  for (int r = 0; r < count; r++) {
    const int64_t scan = first + r;
    sb_status status = make_row(g, o, scan / o->sessions,
                                o->first_session + (int)(scan % o->sessions) + 1, rows[r]);
    if (status.code != SB_OK) {
#pragma omp critical(sb_synth_rows_failure)
      failure = status;
    }
  }
  return failure;
}

sb_status sb_synth_rows(const char *path, const sb_synth_rows_options *options,
                        const sb_progress *progress) {
  enum { COMMIT_EVERY = 64 };
  const sb_synth_rows_options defaults = sb_synth_rows_options_default();
  const sb_synth_rows_options *o = options != NULL ? options : &defaults;
  const int threads = sb_thread_count(o->threads);
  const int64_t scans = o->people * o->sessions;
  grid g = {0};
  float **rows = NULL;
  sb_store_writer *writer = NULL;
  sb_status status;
  SB_TRY(check(o));
  SB_TRY(make_grid(o, &g));
  SB_TRY(SB_NEW_ZERO(&rows, threads, "rows"));
  for (int t = 0; t < threads; t++) SB_TRY(SB_NEW(&rows[t], 3 * g.nodes, "a row"));
  const sb_store_header header = {.grid_dims = g.lattice.dims,
                                  .grid_affine = g.affine,
                                  .resolution_mm = o->voxel_mm,
                                  .mask = g.mask,
                                  .image = g.shared[0],
                                  .row_length = g.row_length,
                                  .template_hash = "made-up-rows",
                                  .template_path = "made-up rows",
                                  .parameters = "rows=made-up"};
  SB_TRY(sb_store_writer_open(path, &header, &writer));
  for (int64_t at = 0, count; at < scans; at += count) {
    count = scans - at < threads ? scans - at : threads;
    SB_TRY(make_rows(&g, o, at, (int)count, rows));
    for (int64_t r = 0; r < count; r++)
      SB_TRY(add_row(writer, &g, o, (at + r) / o->sessions,
                     o->first_session + (int)((at + r) % o->sessions) + 1, rows[r]));
    if ((at + count) / COMMIT_EVERY != at / COMMIT_EVERY) SB_TRY(sb_store_writer_commit(writer));
    if (progress != NULL && progress->advance != NULL)
      progress->advance(progress->context, "making rows", at + count, scans);
  }
  SB_TRY(sb_store_writer_commit(writer));
cleanup:
  sb_store_writer_close(writer);
  for (int t = 0; rows != NULL && t < threads; t++) free(rows[t]);
  free(rows);
  free_grid(&g);
  return status;
}
