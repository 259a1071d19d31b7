// How alike a scan and a mirrored one of the same person are, once one of them is mirrored again.
//
//   bench_mirrored SCAN...
//
// Each SCAN is copied with its voxels reversed from left to right, into a temporary folder that is deleted
// afterwards. Prints for each way to mirror a row and for two measures the scores of mirrored copies, of
// mirrored sessions (SCANs of one participant) and the largest of two people; and what mirroring a row takes.
#include <stdio.h>
#include <time.h>

#include "alterations.h"
#include "core/file.h"
#include "engine/rows.h"
#include "samebrain/samebrain.h"
#include "store/mirror.h"

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_mirrored: %s\n", status.message);
  exit(1);
}

static double processor_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

// The copy: "0000-1" of the first scan, which is "0000-0" here.
static void write_mirrored(const char *from, const char *to) {
  static const int axis[3] = {0, 1, 2};
  static const bool flip[3] = {true, false, false};
  sb_volume in, out;
  must(sb_volume_load(from, &in, NULL));
  must(turned_volume(&in, axis, flip, &out));
  memcpy(out.affine, in.affine, sizeof out.affine);
  must(sb_volume_save(&out, to));
  sb_volume_free(&in);
  sb_volume_free(&out);
}

static sb_store *prepare(const sb_scan_list *scans, const char *folder) {
  const sb_template_options template_options = sb_template_options_default();
  const sb_prepare_options options = sb_prepare_options_default();
  const sb_ingest_options ingest = sb_ingest_options_default();
  sb_template *t;
  sb_preparer *preparer;
  sb_scan_list all = {.count = 2 * scans->count};
  sb_ingest_summary summary;
  sb_store *store;
  must(sb_template_load(&template_options, &t));
  must(sb_preparer_create(t, &options, &preparer));
  must(SB_NEW(&all.scans, all.count, "scans"));
  for (size_t i = 0; i < all.count; i++) {
    const char *source = scans->scans[i / 2].source_path;
    sb_scan *scan = all.scans + i;
    *scan = (sb_scan){"bench", sb_format("%04zu-%zu", i / 2, i % 2), "", "", NULL, ""};
    scan->source_path =
        i % 2 == 0 ? sb_strdup(source) : sb_format("%s/%s.nii.gz", folder, scan->scan_id);
    if (i % 2 == 1) write_mirrored(source, scan->source_path);
  }
  char *path = sb_format("%s/store", folder);
  must(sb_ingest(path, t, preparer, &all, &ingest, NULL, &summary));
  if (summary.failed > 0) must(sb_error(SB_CONTENT, "a scan could not be prepared"));
  must(sb_store_open(path, &store));
  return store;
}

typedef struct range {
  double least, most;
} range;

static void add(range *r, double score) {
  r->least = fmin(r->least, score);
  r->most = fmax(r->most, score);
}

static bool one_person(const sb_scan *a, const sb_scan *b) {
  return strcmp(a->participant, b->participant) == 0 && strcmp(a->dataset, b->dataset) == 0;
}

// Every mirrored copy, mirrored back, with every scan as it is.
//   mirror  NULL: the copy as it is
static void compare(const char *name, const char *measure, const sb_scan_list *scans,
                    const sb_store *store, const sb_mirror *mirror) {
  const sb_grid grid = sb_store_grid(store);
  const range none = {INFINITY, -INFINITY};
  range copies = none, sessions = none, others = none;
  float *a, *b;
  double ms = 0;
  must(SB_NEW(&a, grid.row_length, "row"));
  must(SB_NEW(&b, grid.row_length, "row"));
  for (size_t i = 0; i < scans->count; i++) {
    const double start = processor_ms();
    if (mirror != NULL)
      must(sb_mirror_row(mirror, sb_store_row(store, (int64_t)(2 * i + 1)), a));
    else
      must(sb_store_row_values(store, (int64_t)(2 * i + 1), a));
    ms += processor_ms() - start;
    for (size_t j = 0; j < scans->count; j++) {
      double score;
      must(sb_store_row_values(store, (int64_t)(2 * j), b));
      must(sb_measure_score(measure, grid.dims, grid.voxel_mm, grid.mask, a, b, grid.row_length,
                            &score));
      add(i == j                                           ? &copies
          : one_person(scans->scans + i, scans->scans + j) ? &sessions
                                                           : &others,
          score);
    }
  }
  printf("%-28s %-9s %6.3f to %5.3f %8.3f to %5.3f %9.3f %8.1f\n", name, measure, copies.least,
         copies.most, sessions.least, sessions.most, others.most, ms / (double)scans->count);
  free(a);
  free(b);
}

int main(int argc, char **argv) {
  static const char *const measures[] = {"bandpass", "pearson"};
  char folder[] = "/tmp/samebrain-mirrored-XXXXXX";
  sb_scan_list scans;
  sb_store *mirrored;
  if (argc < 2) {
    fputs("usage: bench_mirrored SCAN...\n", stderr);
    return 2;
  }
  if (mkdtemp(folder) == NULL) must(sb_error(SB_IO, "no temporary folder"));
  must(sb_scan_list_find((const char *const *)(argv + 1), (size_t)argc - 1, NULL, &scans));
  sb_store *store = prepare(&scans, folder);
  must(sb_store_mirrored(store, &mirrored));
  sb_mirror reversed = *sb_store_mirror(mirrored); // about the middle of the grid
  sb_affine_identity(reversed.map);
  reversed.map[0] = -1;
  reversed.map[3] = (double)(reversed.dims[0] - 1);
  printf("%-28s %-9s %15s %17s %9s %8s\n", "", "", "copies", "sessions", "others", "ms a row");
  for (int m = 0; m < 2; m++) {
    compare("the template's mirror image", measures[m], &scans, store, sb_store_mirror(mirrored));
    compare("the grid's x axis reversed", measures[m], &scans, store, &reversed);
    compare("not mirrored back", measures[m], &scans, store, NULL);
  }
  sb_store_close(mirrored);
  sb_store_close(store);
  char *command = sb_format("rm -rf '%s'", folder);
  return system(command) == 0 ? 0 : 1;
}
