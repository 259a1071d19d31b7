// Scans that another tool aligned to the template, taken with --space template.
//
//   bench_space [--elastix PATH] SCAN...
//
// Each SCAN, given in its native space, is prepared as ever; put where elastix's affine leads and
// prepared where it lies; and prepared where its header puts it, which should be refused. Prints how
// far alignment would move it, and the correlation of its row with that of its own alignment.
#include "elastix.h"

#include "../tests/unit/registration_cases.h"
#include "../tests/unit/scratch.h"

typedef struct bench {
  sb_template *t;
  sb_preparer *native, *given;
  const char *elastix;
  char folder[32], transform[64];
} bench;

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_space: %s\n", status.message);
  exit(1);
}

static double correlation(int64_t n, const float *x, const float *y) {
  double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
  for (int64_t i = 0; i < n; i++) {
    const double a = (double)x[i], b = (double)y[i];
    sx += a;
    sy += b;
    sxx += a * a;
    syy += b * b;
    sxy += a * b;
  }
  const double m = (double)n;
  return (m * sxy - sx * sy) / sqrt((m * sxx - sx * sx) * (m * syy - sy * sy));
}

// The scan where elastix says that it belongs.
static void place_by_elastix(const bench *b, const char *path, const sb_volume *scan,
                             sb_volume *placed) {
  double map[16];
  run_time taken = {0};
  must(elastix_run(b->elastix, sb_template_path(b->t), path, b->folder, &taken));
  must(elastix_read(b->transform, map));
  if (!sb_affine_invert(map, map)) must(sb_error(SB_ALIGN, "%s: a singular map", path));
  must(moved_scan(scan, map, placed));
}

typedef struct sums {
  int scans, taken, taken_as_it_lies;
  double off, most_off, r, least_r;
} sums;

static void measure(const bench *b, const char *path, sums *s) {
  sb_volume scan, placed;
  sb_prepared ours, theirs, as_it_lies;
  must(sb_volume_load(path, &scan, NULL));
  must(sb_prepare_volume(b->native, &scan, &ours));
  place_by_elastix(b, path, &scan, &placed);
  sb_status status = sb_prepare_volume(b->given, &placed, &theirs);
  sb_status refusal = sb_prepare_volume(b->given, &scan, &as_it_lies);
  s->scans++;
  if (status.code == SB_OK) {
    const double r = correlation(sb_template_row_length(b->t), ours.row, theirs.row);
    const double off = theirs.quality.off_mm;
    s->taken++;
    s->off += off;
    s->r += r;
    s->most_off = fmax(s->most_off, off);
    s->least_r = fmin(s->least_r, r);
    printf("%s\n  off by %.1f mm, structure %.3f (%.3f by its own alignment), r %.3f\n", path, off,
           theirs.quality.structure, ours.quality.structure, r);
  } else {
    printf("%s\n  %s\n", path, status.message);
  }
  printf("  as it lies: %s\n", refusal.code == SB_OK ? "taken" : refusal.message);
  s->taken_as_it_lies += refusal.code == SB_OK;
  fflush(stdout);
  sb_prepared_free(&ours);
  sb_prepared_free(&theirs);
  sb_prepared_free(&as_it_lies);
  sb_volume_free(&scan);
  sb_volume_free(&placed);
}

int main(int argc, char **argv) {
  bench b = {.elastix = "elastix", .folder = "/tmp/samebrain-bench-XXXXXX"};
  char path[64];
  int at = 1;
  if (argc > 2 && strcmp(argv[1], "--elastix") == 0) {
    b.elastix = argv[2];
    at = 3;
  }
  if (at >= argc || !elastix_there(b.elastix)) {
    fprintf(stderr, "usage: bench_space [--elastix PATH] SCAN...   (elastix is needed)\n");
    return 2;
  }
  const sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  must(sb_template_load(&options, &b.t));
  must(sb_preparer_create(b.t, &prepare, &b.native));
  prepare.space = SB_SPACE_TEMPLATE;
  must(sb_preparer_create(b.t, &prepare, &b.given));
  if (mkdtemp(b.folder) == NULL) return 1;
  snprintf(path, sizeof path, "%s/affine.txt", b.folder);
  must(sb_write_file(path, ELASTIX_PARAMETERS, strlen(ELASTIX_PARAMETERS)));
  snprintf(b.transform, sizeof b.transform, "%s/TransformParameters.0.txt", b.folder);

  sums s = {.least_r = 1};
  for (; at < argc; at++) measure(&b, argv[at], &s);
  printf("%d scans placed by elastix: %d taken, off by %.1f mm on average, %.1f at most; r %.3f on "
         "average, %.3f at least; %d taken where their headers put them\n",
         s.scans, s.taken, s.off / s.taken, s.most_off, s.r / s.taken, s.least_r,
         s.taken_as_it_lies);

  if (remove_folder(b.folder) != 0) printf("left behind: %s\n", b.folder);
  sb_preparer_free(b.native);
  sb_preparer_free(b.given);
  sb_template_free(b.t);
  return 0;
}
