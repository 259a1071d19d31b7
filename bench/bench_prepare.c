// Preparation: time of each step and of the whole process, beside elastix's affine alone on the same
// scans in the same run, one thread each.
//
//   bench_prepare [--repeat N] [--elastix PATH] [--samebrain PATH] SCAN...
//
// For each scan, N times: the steps of sb_prepare_file, the file's SHA-256 and the write of its row
// to a store, in this process; then once each: `samebrain prepare SCAN` and elastix, as processes.
// For a batch `samebrain prepare SCAN...` runs once on all of them. Prints medians, and of ratios of
// processor time the median of pairs.
#include "elastix.h"

#include "../tests/unit/append.h"
#include "../tests/unit/scratch.h"
#include "core/hash.h"
#include "core/memory.h"
#include "median.h"
#include "prepare/template.h"
#include "store/writer.h"

enum { MOST = 1024 };

typedef struct bench {
  sb_template *t;
  sb_preparer *preparer;
  sb_store_writer *writer;
  const char *elastix, *samebrain; // elastix NULL: not there
  char folder[40];
} bench;

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_prepare: %s\n", status.message);
  exit(1);
}

// ---- Figures ------------------------------------------------------------------------------------

static const char *const STEPS[] = {"load (read, inflate, to float)",
                                    "find the brain",
                                    "align",
                                    "resample",
                                    "bias field",
                                    "harmonise",
                                    "check its structure",
                                    "fade outside the brain",
                                    "SHA-256 of the file",
                                    "write the row, synced"};
enum { STEP_COUNT = sizeof STEPS / sizeof *STEPS };

typedef struct figures {
  double steps[STEP_COUNT][MOST];     // wall time of a run each
  run_time in_process[MOST];          // the same
  run_time alone[MOST], theirs[MOST]; // a scan each
  int runs, scans;
} figures;

static double median_wall_s(int count, const run_time *times) {
  double values[MOST];
  for (int i = 0; i < count; i++) values[i] = times[i].wall_s;
  return median(count, values);
}

static double median_cpu_s(int count, const run_time *times) {
  double values[MOST];
  for (int i = 0; i < count; i++) values[i] = times[i].cpu_s;
  return median(count, values);
}

// ---- Runs ---------------------------------------------------------------------------------------

static double cpu_s(void) {
  return (double)clock() / CLOCKS_PER_SEC;
}

static void open_store(bench *b) {
  char path[64];
  const sb_store_header header = {.grid_dims = sb_template_grid_dims(b->t),
                                  .grid_affine = sb_template_grid_affine(b->t),
                                  .resolution_mm = 2,
                                  .mask = sb_template_mask(b->t),
                                  .image = sb_template_image(b->t),
                                  .row_length = sb_template_row_length(b->t),
                                  .template_hash = sb_template_hash(b->t),
                                  .template_path = sb_template_path(b->t),
                                  .parameters = sb_preparer_parameters(b->preparer)};
  snprintf(path, sizeof path, "%s/store", b->folder);
  must(sb_store_writer_open(path, &header, &b->writer));
}

static void run_in_process(const bench *b, char *path, figures *f) {
  char id[32], dataset[] = "bench";
  sb_prepared prepared;
  sb_scan_record record = {.scan = {.dataset = dataset, .scan_id = id, .source_path = path}};
  const double started = sb_now_s(), cpu_started = cpu_s();
  must(sb_sha256_file(path, record.source_sha256));
  const double hashed = cpu_s();
  must(sb_prepare_file(b->preparer, path, &prepared));
  const double ready = cpu_s();
  snprintf(id, sizeof id, "run-%d", f->runs);
  record.quality = prepared.quality;
  must(append_scan(b->writer, &record, prepared.row, prepared.own_mask));
  const double written = cpu_s();
  const sb_step_seconds *s = &prepared.steps;
  const double steps[STEP_COUNT] = {
      s->load,      s->brain, s->align,   s->resample,          s->bias,
      s->harmonise, s->check, s->outside, hashed - cpu_started, written - ready};
  for (int i = 0; i < STEP_COUNT; i++) f->steps[i][f->runs] = steps[i];
  f->in_process[f->runs++] = (run_time){sb_now_s() - started, written - cpu_started};
  sb_prepared_free(&prepared);
}

// The whole program on `count` scans, into a new store.
static run_time run_program(const bench *b, char **paths, int count) {
  char store[64];
  run_time taken = {0};
  snprintf(store, sizeof store, "%s/alone", b->folder);
  const char **arguments = calloc((size_t)count + 8, sizeof *arguments);
  if (arguments == NULL) exit(1);
  const char *const first[] = {b->samebrain, "prepare", "--quiet", "--threads", "1", "-o", store};
  const size_t fixed = sizeof first / sizeof *first;
  memcpy((void *)arguments, (const void *)first, sizeof first);
  for (int i = 0; i < count; i++) arguments[fixed + (size_t)i] = paths[i];
  must(run_timed(arguments, &taken));
  if (remove_folder(store) != 0) exit(1);
  free((void *)arguments);
  return taken;
}

// ---- The table ----------------------------------------------------------------------------------

static void print_times(const char *what, int count, const run_time *times, double divided_by) {
  printf("  %-32s %8.1f ms   %8.1f ms CPU\n", what, 1e3 * median_wall_s(count, times) / divided_by,
         1e3 * median_cpu_s(count, times) / divided_by);
}

static void print(figures *f, run_time batch) {
  double ratios[MOST], alone[MOST];
  printf("%d scans, %d runs; medians, one thread\n", f->scans, f->runs);
  for (int i = 0; i < STEP_COUNT; i++)
    printf("  %-32s %13s %8.1f ms CPU\n", STEPS[i], "", 1e3 * median(f->runs, f->steps[i]));
  print_times("all of it, in a running process", f->runs, f->in_process, 1);
  print_times("a process for all, a scan", 1, &batch, f->scans);
  print_times("a process for one scan", f->scans, f->alone, 1);
  if (f->theirs[0].wall_s <= 0) return;
  print_times("elastix, affine alone", f->scans, f->theirs, 1);
  printf(
      "\"All of it\" is what each further scan costs a process that prepares many; what one does "
      "once (the\ntemplate's mask, levels and hash) is in the two lines below it. elastix is timed "
      "as a process, with its\nreading of the template.\n");
  const int repeat = f->runs / f->scans;
  for (int i = 0; i < f->scans; i++) {
    ratios[i] = f->theirs[i].cpu_s / median_cpu_s(repeat, f->in_process + (ptrdiff_t)i * repeat);
    alone[i] = f->theirs[i].cpu_s / f->alone[i].cpu_s;
  }
  printf("elastix takes %.1f times the CPU time of all of it, %.1f times that of a process for one "
         "scan (medians of pairs)\n",
         median(f->scans, ratios), median(f->scans, alone));
}

int main(int argc, char **argv) {
  static figures f;
  bench b = {.elastix = "elastix",
             .samebrain = "build/samebrain",
             .folder = "/tmp/samebrain-bench-XXXXXX"};
  char parameters[64];
  int repeat = 5, at = 1;
  sb_keep_freed(); // as the program does
  for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
    if (strcmp(argv[at], "--repeat") == 0) repeat = atoi(argv[at + 1]);
    if (strcmp(argv[at], "--elastix") == 0) b.elastix = argv[at + 1];
    if (strcmp(argv[at], "--samebrain") == 0) b.samebrain = argv[at + 1];
  }
  const int scans = argc - at;
  if (scans < 1 || repeat < 1 || scans * repeat > MOST) {
    fprintf(stderr,
            "usage: bench_prepare [--repeat N] [--elastix PATH] [--samebrain PATH] SCAN...\n");
    return 2;
  }
  if (!elastix_there(b.elastix)) {
    printf("no elastix here: its figures are left out\n");
    b.elastix = NULL;
  }
  const sb_template_options options = sb_template_options_default();
  const sb_prepare_options prepare = sb_prepare_options_default();
  must(sb_template_load(&options, &b.t));
  must(sb_preparer_create(b.t, &prepare, &b.preparer));
  if (mkdtemp(b.folder) == NULL) return 1;
  snprintf(parameters, sizeof parameters, "%s/affine.txt", b.folder);
  must(sb_write_file(parameters, ELASTIX_PARAMETERS, strlen(ELASTIX_PARAMETERS)));
  open_store(&b);

  run_in_process(&b, argv[at], &f); // not counted: what is made at first use
  f.runs = 0;
  for (int i = 0; i < scans; i++) {
    for (int r = 0; r < repeat; r++) run_in_process(&b, argv[at + i], &f);
    f.alone[i] = run_program(&b, argv + at + i, 1);
    if (b.elastix != NULL)
      must(elastix_run(b.elastix, sb_template_path(b.t), argv[at + i], b.folder, &f.theirs[i]));
    f.scans++;
  }
  print(&f, run_program(&b, argv + at, scans));

  sb_store_writer_close(b.writer);
  if (remove_folder(b.folder) != 0) printf("left behind: %s\n", b.folder);
  sb_preparer_free(b.preparer);
  sb_template_free(b.t);
  return 0;
}
