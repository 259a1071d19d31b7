// Alignment beside elastix on the same images: error against known transforms, and time.
//
//   bench_registration [--cases N] [--elastix PATH] [SCAN...]
//
// First the template moved by N known transforms, with a bias field of 25 % and noise; then, for
// each SCAN, N transforms A: the error between align(A scan) and A after align(scan), mean over the
// template's brain in mm. Times are of one thread: elastix's whole process, and sb_prepare_file
// (loading, alignment, row) of the same file. Without elastix only our own figures are printed.
#include "elastix.h"
#include "median.h"

#include "../tests/unit/registration_cases.h"
#include "../tests/unit/scratch.h"

typedef struct bench {
  sb_template *t;
  sb_preparer *preparer;
  const char *elastix; // NULL: not there
  char folder[32], image[64], parameters[64], transform[64];
} bench;

// One tool's map of one image, and how long it took.
typedef struct result {
  double map[16], seconds;
} result;

typedef struct figures {
  double errors[1024], seconds[1024];
  int count;
} figures;

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_registration: %s\n", status.message);
  exit(1);
}

// ---- The two tools ------------------------------------------------------------------------------

static result align_ours(const bench *b) {
  result r;
  sb_prepared prepared;
  must(sb_prepare_file(b->preparer, b->image, &prepared));
  memcpy(r.map, prepared.template_to_scan, sizeof r.map);
  r.seconds = prepared.seconds;
  sb_prepared_free(&prepared);
  return r;
}

static result align_elastix(const bench *b) {
  result r;
  run_time taken = {0};
  must(elastix_run(b->elastix, sb_template_path(b->t), b->image, b->folder, &taken));
  r.seconds = taken.wall_s;
  must(elastix_read(b->transform, r.map));
  return r;
}

// ---- Cases --------------------------------------------------------------------------------------

static void add(figures *f, double error, double seconds) {
  if (f->count == 1024) return;
  f->errors[f->count] = error;
  f->seconds[f->count++] = seconds;
}

static void print_figures(const char *what, const char *tool, figures *f) {
  double sum = 0, worst = 0;
  for (int i = 0; i < f->count; i++) {
    sum += f->errors[i];
    worst = fmax(worst, f->errors[i]);
  }
  printf("%-34s %-10s %5d  mean %7.3f  median %7.3f  worst %8.3f mm   %7.3f s\n", what, tool,
         f->count, sum / f->count, median(f->count, f->errors), worst,
         median(f->count, f->seconds));
}

static void print_both(const char *what, figures *ours, figures *theirs) {
  double ratios[1024]; // before the medians sort what they are of
  for (int i = 0; i < theirs->count; i++) ratios[i] = theirs->seconds[i] / ours->seconds[i];
  print_figures(what, "samebrain", ours);
  if (theirs->count == 0) return;
  print_figures(what, "elastix", theirs);
  printf("%-34s elastix takes %.1f times as long (median of pairs)\n", what,
         median(ours->count, ratios));
}

// `count` moved copies of an image. `at_rest` holds each tool's map of the image as it is, NULL for
// the template, whose map is known.
static void run_cases(const bench *b, const sb_volume *image, const result *ours_at_rest,
                      const result *theirs_at_rest, int count, uint64_t *seed, figures *ours,
                      figures *theirs) {
  double identity[16];
  sb_affine_identity(identity);
  for (int i = 0; i < count; i++) {
    double a[16], centre[3] = {0, -20, 10}, expected[16];
    sb_volume moved;
    if (ours_at_rest != NULL) sb_affine_apply(ours_at_rest->map, centre, centre);
    random_affine(seed, centre, a);
    must(moved_scan(image, a, &moved));
    if (ours_at_rest == NULL) spoil(seed, 0.25, 0.04, &moved);
    must(sb_volume_save(&moved, b->image));
    sb_volume_free(&moved);
    result r = align_ours(b);
    sb_affine_multiply(a, ours_at_rest != NULL ? ours_at_rest->map : identity, expected);
    add(ours, compare_maps(b->t, expected, r.map).mean_mm, r.seconds);
    if (b->elastix == NULL) continue;
    r = align_elastix(b);
    sb_affine_multiply(a, theirs_at_rest != NULL ? theirs_at_rest->map : identity, expected);
    add(theirs, compare_maps(b->t, expected, r.map).mean_mm, r.seconds);
  }
}

static void bench_template(const bench *b, int count) {
  static figures ours, theirs;
  uint64_t seed = 20;
  sb_volume brain;
  must(sb_volume_load(sb_template_path(b->t), &brain, NULL));
  run_cases(b, &brain, NULL, NULL, count, &seed, &ours, &theirs);
  print_both("template moved, bias, noise", &ours, &theirs);
  sb_volume_free(&brain);
}

static void bench_scans(const bench *b, int scans, char **paths, int count) {
  static figures ours, theirs;
  uint64_t seed = 60;
  for (int s = 0; s < scans; s++) {
    sb_volume scan;
    result ours_at_rest, theirs_at_rest = {0};
    must(sb_volume_load(paths[s], &scan, NULL));
    must(sb_volume_save(&scan, b->image));
    ours_at_rest = align_ours(b);
    if (b->elastix != NULL) theirs_at_rest = align_elastix(b);
    run_cases(b, &scan, &ours_at_rest, &theirs_at_rest, count, &seed, &ours, &theirs);
    sb_volume_free(&scan);
  }
  print_both("real scans moved", &ours, &theirs);
}

int main(int argc, char **argv) {
  bench b = {.elastix = "elastix", .folder = "/tmp/samebrain-bench-XXXXXX"};
  int count = 10, at = 1;
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
    const char *value = at + 1 < argc ? argv[at + 1] : NULL;
    if (value != NULL && strcmp(argv[at], "--cases") == 0) {
      count = atoi(value);
    } else if (value != NULL && strcmp(argv[at], "--elastix") == 0) {
      b.elastix = value;
    } else {
      fprintf(stderr, "usage: bench_registration [--cases N] [--elastix PATH] [SCAN...]\n");
      return 2;
    }
  }
  if (!elastix_there(b.elastix)) {
    printf("no elastix here: its figures are left out\n");
    b.elastix = NULL;
  }
  sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  must(sb_template_load(&options, &b.t));
  must(sb_preparer_create(b.t, &prepare, &b.preparer));
  if (mkdtemp(b.folder) == NULL) return 1;
  snprintf(b.image, sizeof b.image, "%s/moving.nii.gz", b.folder);
  snprintf(b.parameters, sizeof b.parameters, "%s/affine.txt", b.folder);
  snprintf(b.transform, sizeof b.transform, "%s/TransformParameters.0.txt", b.folder);
  must(sb_write_file(b.parameters, ELASTIX_PARAMETERS, strlen(ELASTIX_PARAMETERS)));

  bench_template(&b, count);
  if (at < argc) bench_scans(&b, argc - at, argv + at, count);

  if (remove_folder(b.folder) != 0) printf("left behind: %s\n", b.folder);
  sb_preparer_free(b.preparer);
  sb_template_free(b.t);
  return 0;
}
