// How alike a scan and a mirrored one of the same person are, once one of them is mirrored again.
//
//   bench_mirrored SCAN...
//
// Each SCAN is copied with its voxels reversed from left to right, into a temporary folder that is deleted
// afterwards. Prints for each way to mirror a row and for two measures the scores of mirrored copies, of
// mirrored sessions (SCANs of one participant) and the largest of two people; and what mirroring a row takes.
#include "alterations.h"
#include "copies.h"
#include "core/clock.h"
#include "engine/rows.h"
#include "store/mirror.h"

static void write_mirrored(const sb_volume *scan, size_t i, int64_t copy, const char *path) {
  static const int axis[3] = {0, 1, 2};
  static const bool flip[3] = {true, false, false};
  sb_volume out;
  (void)i;
  (void)copy;
  must(turned_volume(scan, axis, flip, &out));
  memcpy(out.affine, scan->affine, sizeof out.affine);
  must(sb_volume_save(&out, path));
  sb_volume_free(&out);
}

typedef struct range {
  double least, most;
} range;

static void add(range *r, double score) {
  r->least = fmin(r->least, score);
  r->most = fmax(r->most, score);
}

// Every mirrored copy, mirrored back, with every scan as it is.
//   mirror  NULL: the copy as it is
static void compare(const char *name, const char *measure, const copied *c,
                    const sb_mirror *mirror) {
  const sb_grid grid = sb_store_grid(c->store);
  const int64_t scans = (int64_t)c->scans.count;
  const range none = {INFINITY, -INFINITY};
  range copies = none, sessions = none, others = none;
  float *a, *b;
  double ms = 0;
  must(SB_NEW(&a, grid.row_length, "row"));
  must(SB_NEW(&b, grid.row_length, "row"));
  for (int64_t i = 0; i < scans; i++) {
    const double start = sb_clock_s(CLOCK_PROCESS_CPUTIME_ID);
    if (mirror != NULL)
      must(sb_mirror_row(mirror, sb_store_row(c->store, c->each * i + 1), a));
    else
      must(sb_store_row_values(c->store, c->each * i + 1, a));
    ms += 1e3 * (sb_clock_s(CLOCK_PROCESS_CPUTIME_ID) - start);
    for (int64_t j = 0; j < scans; j++) {
      double score;
      must(sb_store_row_values(c->store, c->each * j, b));
      must(sb_measure_score(measure, grid.dims, grid.voxel_mm, grid.mask, a, b, grid.row_length,
                            &score));
      add(i == j ? &copies : copies_of_one_person(c, i, j) ? &sessions : &others, score);
    }
  }
  printf("%-28s %-9s %6.3f to %5.3f %8.3f to %5.3f %9.3f %8.1f\n", name, measure, copies.least,
         copies.most, sessions.least, sessions.most, others.most, ms / (double)scans);
  free(a);
  free(b);
}

int main(int argc, char **argv) {
  static const char *const measures[] = {"bandpass", "pearson"};
  copied c;
  sb_store *mirrored;
  copies_open(argc, argv, 1, write_mirrored, &c);
  must(sb_store_mirrored(c.store, &mirrored));
  sb_mirror reversed = *sb_store_mirror(mirrored); // about the middle of the grid
  sb_affine_identity(reversed.map);
  reversed.map[0] = -1;
  reversed.map[3] = (double)(reversed.dims[0] - 1);
  printf("%-28s %-9s %15s %17s %9s %8s\n", "", "", "copies", "sessions", "others", "ms a row");
  for (int m = 0; m < 2; m++) {
    compare("the template's mirror image", measures[m], &c, sb_store_mirror(mirrored));
    compare("the grid's x axis reversed", measures[m], &c, &reversed);
    compare("not mirrored back", measures[m], &c, NULL);
  }
  sb_store_close(mirrored);
  return copies_close(&c);
}
