// How `samebrain link` grows with the gallery: rows on disk in, files out, the program as it is.
//
//   bench_scaling FOLDER [--gallery N,N,...] [--probes N | --self] [--measure M] [--precision P]
//       [--memory-mib N] [--threads N] [--runs N] [--voxel-mm X] [--plots FOLDER] [--warm]
//
// Links 2,000 probes with galleries of 1,000 to 20,000 made-up rows of 230,000 values, or with --self
// each gallery with itself, in a process of its own each time, and prints a table of times, memory and
// time per pair. Beside each link stands what it cannot do without, timed in the same run in turn: reading
// the same rows (as a plain program does, and so that the system keeps nothing of them), their matrix product in
// the screen's own precision and chunks, and their embedding. The system is asked to forget the rows before they
// are read (but for --warm), and is asked whether it did. Each figure is the median of --runs (3). The stores (up to 20 GB) are made in FOLDER, or found there from a run before, and left;
// the plots are written as SVG files.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "clocks.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/threads.h"
#include "floors.h"
#include "median.h"
#include "options.h"
#include "report/svg.h"
#include "samebrain/samebrain.h"
#include "samebrain/synth.h"

enum { MOST_SIZES = 16, MOST_RUNS = 21 };

typedef struct bench {
  const char *folder, *measure, *precision, *program, *plots;
  int64_t probes; // 0: the gallery with itself
  int64_t memory_mib;
  int threads, runs;
  double voxel_mm;
  bool warm;
} bench;

// What one link took, or the median of several.
typedef struct figures {
  clocks link, read, stream, gemm, embed; // read: as the system does; stream: nothing is kept
  double peak_mib;
  double held; // share of the rows that the system held before they were read
} figures;

typedef struct line {
  int64_t gallery;
  double pairs;
  figures f;
} line;

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_scaling: %s\n", status.message);
  exit(1);
}

static char *needed(char *text) {
  if (text == NULL) must(sb_error(SB_NO_MEMORY, "out of memory"));
  return text;
}

// ---- Stores -------------------------------------------------------------------------------------

// A store of so many people's rows; one that is there already is taken. free() the path.
static char *make_store(const bench *b, const char *name, int64_t people, int session) {
  char *path = needed(sb_format("%s/%s-%lld", b->folder, name, (long long)people));
  char *json = needed(sb_path_join(path, "store.json"));
  sb_store *store = NULL;
  sb_synth_rows_options rows = sb_synth_rows_options_default();
  rows.people = people;
  rows.first_session = session;
  rows.voxel_mm = b->voxel_mm;
  if (!sb_is_file(json)) must(sb_synth_rows(path, &rows, NULL));
  must(sb_store_open(path, &store));
  if (sb_store_count(store) != people || sb_store_resolution_mm(store) != b->voxel_mm)
    must(sb_error(SB_CONFLICT, "%s: holds %lld rows of %g mm: remove it", path,
                  (long long)sb_store_count(store), sb_store_resolution_mm(store)));
  sb_store_close(store);
  free(json);
  return path;
}

static int64_t row_length(const char *path) {
  sb_store *store;
  must(sb_store_open(path, &store));
  const int64_t length = sb_store_row_length(store);
  sb_store_close(store);
  return length;
}

// ---- One link -----------------------------------------------------------------------------------

static void prepare_cache(const bench *b, const char *gallery, const char *probes, double *held) {
  *held = 1;
  if (b->warm) return;
  double of_probes = 0;
  must(floor_forget(gallery, held));
  if (probes != NULL) must(floor_forget(probes, &of_probes));
  *held = fmax(*held, of_probes);
}

static void run_program(const bench *b, const char *gallery, const char *probes, const char *out,
                        figures *f) {
  char *memory = needed(sb_format("%lldM", (long long)b->memory_mib));
  char *threads = needed(sb_format("%d", b->threads));
  const char *arguments[24];
  int used = 0;
  const char *const given[] = {b->program,  "link",  gallery,       probes,       "-o",
                               out,         "-m",    b->measure,    "--memory",   memory,
                               "--threads", threads, "--precision", b->precision, "--quiet"};
  for (size_t i = 0; i < sizeof given / sizeof *given; i++)
    if (given[i] != NULL) arguments[used++] = given[i];
  arguments[used] = NULL;
  fflush(NULL);
  const double start = sb_now_s();
  const pid_t child = fork();
  if (child == 0) {
    execv(b->program, (char *const *)arguments);
    _exit(127);
  }
  int code = -1;
  struct rusage spent;
  if (child < 0 || wait4(child, &code, 0, &spent) < 0 || code != 0)
    must(sb_error(SB_IO, "%s link failed (status %d)", b->program, code));
  f->link = (clocks){sb_now_s() - start, cpu_of(&spent)};
  f->peak_mib = (double)spent.ru_maxrss / 1024;
  free(memory);
  free(threads);
}

// What the link chose: its screen.
static void read_summary(const char *out, sb_precision *precision, int64_t *chunk) {
  char *path = needed(sb_path_join(out, "summary.json")), *text;
  size_t bytes;
  must(sb_read_file(path, &text, &bytes));
  cJSON *root = cJSON_Parse(text);
  const cJSON *measure = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "measures"), 0);
  must(sb_precision_of(cJSON_GetStringValue(cJSON_GetObjectItem(measure, "precision")), precision));
  *chunk = (int64_t)cJSON_GetNumberValue(
      cJSON_GetObjectItem(cJSON_GetObjectItem(measure, "plan"), "k_chunk"));
  printf("  link: %s", sb_precision_name(*precision));
  const cJSON *item;
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(root, "seconds"))
      printf(", %s %.2f", item->string, item->valuedouble);
  printf(" s\n");
  cJSON_Delete(root);
  free(text);
  free(path);
}

static clocks sum(clocks a, clocks b) {
  return (clocks){a.wall + b.wall, a.cpu + b.cpu};
}

static clocks read_rows(const char *gallery, const char *probes, bool keep) {
  clocks first, more = {0};
  must(floor_read(gallery, keep, &first));
  if (probes != NULL) must(floor_read(probes, keep, &more));
  return sum(first, more);
}

static double floor_of(double reading, double product, double embedding) {
  return fmax(reading, product + embedding);
}

static figures measure_once(const bench *b, const char *gallery, const char *probes, int64_t rows,
                            double pairs) {
  char *out = needed(sb_path_join(b->folder, "links"));
  const int64_t length = row_length(gallery);
  const int64_t scans = rows + b->probes;
  sb_precision precision;
  int64_t chunk;
  figures f = {0};
  prepare_cache(b, gallery, probes, &f.held);
  f.stream = read_rows(gallery, probes, false);
  double held;
  prepare_cache(b, gallery, probes, &held);
  f.held = fmax(f.held, held);
  run_program(b, gallery, probes, out, &f);
  read_summary(out, &precision, &chunk);
  prepare_cache(b, gallery, probes, &held);
  f.held = fmax(f.held, held);
  f.read = read_rows(gallery, probes, true); // after link, which would find its memory at hand
  must(floor_embed(gallery, b->measure, b->threads, scans, &f.embed));
  must(floor_gemm(precision, chunk, probes != NULL ? b->probes : rows, rows, b->threads,
                  2 * pairs * (double)length, &f.gemm));
  free(out);
  return f;
}

static double median_of(const figures *runs, int count, size_t offset) {
  double values[MOST_RUNS];
  for (int i = 0; i < count; i++)
    memcpy(&values[i], (const char *)(runs + i) + offset, sizeof *values);
  return median(count, values);
}

static figures medians(const figures *runs, int count) {
  figures f;
  for (size_t at = 0; at < sizeof f; at += sizeof(double)) { // all of its members are doubles
    const double value = median_of(runs, count, at);
    memcpy((char *)&f + at, &value, sizeof value);
  }
  return f;
}

static line measure(const bench *b, int64_t rows, const char *probes) {
  char *gallery = make_store(b, "gallery", rows, 0);
  figures runs[MOST_RUNS];
  line l = {.gallery = rows,
            .pairs = b->probes > 0 ? (double)rows * (double)b->probes
                                   : (double)rows * (double)(rows - 1) / 2};
  for (int i = 0; i < b->runs; i++) {
    runs[i] = measure_once(b, gallery, probes, rows, l.pairs);
    const figures *f = runs + i;
    printf(
        "  %lld rows, run %d, wall (processor) s: link %.1f (%.1f), reading %.1f (%.1f), streaming "
        "%.1f (%.1f), product %.1f (%.1f), embedding %.1f (%.1f)\n",
        (long long)rows, i + 1, f->link.wall, f->link.cpu, f->read.wall, f->read.cpu,
        f->stream.wall, f->stream.cpu, f->gemm.wall, f->gemm.cpu, f->embed.wall, f->embed.cpu);
    fflush(stdout);
  }
  l.f = medians(runs, b->runs);
  free(gallery);
  return l;
}

// ---- Telling ------------------------------------------------------------------------------------

static void print_table(const bench *b, const line *lines, int count) {
  printf("\nSeconds of wall time (of processor time). Floor: the larger of reading, and of product "
         "and embedding; strictly, with streaming for reading.\n\n"
         "| gallery | reading | streaming | product | embedding | link | link / floor | strictly | "
         "peak memory | us a pair |\n"
         "|---|---|---|---|---|---|---|---|---|---|\n");
  for (int i = 0; i < count; i++) {
    const line *l = lines + i;
    const figures *f = &l->f;
    printf("| %lld | %.1f (%.1f) | %.1f (%.1f) | %.1f (%.1f) | %.1f (%.1f) | %.1f (%.1f) | "
           "%.2f (%.2f) | %.2f (%.2f) | %.0f MiB, %.2f of --memory | %.2f (%.2f) |\n",
           (long long)l->gallery, f->read.wall, f->read.cpu, f->stream.wall, f->stream.cpu,
           f->gemm.wall, f->gemm.cpu, f->embed.wall, f->embed.cpu, f->link.wall, f->link.cpu,
           f->link.wall / floor_of(f->read.wall, f->gemm.wall, f->embed.wall),
           f->link.cpu / floor_of(f->read.cpu, f->gemm.cpu, f->embed.cpu),
           f->link.wall / floor_of(f->stream.wall, f->gemm.wall, f->embed.wall),
           f->link.cpu / floor_of(f->stream.cpu, f->gemm.cpu, f->embed.cpu), f->peak_mib,
           f->peak_mib / (double)b->memory_mib, 1e6 * f->link.wall / l->pairs,
           1e6 * f->link.cpu / l->pairs);
  }
  for (int i = 0; i < count; i++)
    if (lines[i].f.held > 0.01)
      printf("%lld rows: the system held %.0f %% of them before they were read\n",
             (long long)lines[i].gallery, 100 * lines[i].f.held);
}

typedef struct curve {
  const char *name, *style;
  double y[MOST_SIZES];
} curve;

// What a curve's style stands for, at 0, 1, ... of a list in the plot's upper left corner.
static void put_key(FILE *file, const curve *c, int at) {
  const int left = 64, top = 38 + 18 * at;
  fprintf(file, "<path class=\"line %s\" d=\"M%d %dh22\"/><text x=\"%d\" y=\"%d\">%s</text>\n",
          c->style, left, top, left + 30, top + 4, c->name);
}

static void write_plot(const bench *b, const char *name, const char *title, const char *unit,
                       const line *lines, int count, const curve *curves, int curve_count) {
  char *path = needed(sb_format("%s/scaling-%s.svg", b->plots, name));
  double x[MOST_SIZES], most = 0;
  for (int i = 0; i < count; i++) x[i] = (double)lines[i].gallery;
  for (int c = 0; c < curve_count; c++)
    for (int i = 0; i < count; i++) most = fmax(most, curves[c].y[i]);
  sb_plot plot = {.file = fopen(path, "w"),
                  .alone = true,
                  .x = {SB_LINEAR, 0, x[count - 1], "gallery scans", 0},
                  .y = {SB_LINEAR, 0, 1.3 * most, unit, 0}}; // room for the key
  if (plot.file == NULL) must(sb_error(SB_IO, "%s: cannot write", path));
  sb_plot_begin(&plot, name, title, title);
  for (int c = 0; c < curve_count; c++) {
    sb_plot_line(&plot, curves[c].style, x, curves[c].y, count);
    for (int i = 0; i < count; i++) sb_plot_point(&plot, curves[c].style, x[i], curves[c].y[i]);
    put_key(plot.file, curves + c, c);
  }
  sb_plot_end(&plot);
  fclose(plot.file);
  free(path);
}

// In processor time, which other processes on the machine change least.
static void write_plots(const bench *b, const line *lines, int count) {
  curve time[3] = {{"link", "c2", {0}},
                   {"product and embedding alone", "c3", {0}},
                   {"reading alone", "c1", {0}}};
  curve memory[2] = {{"peak", "c2", {0}}, {"--memory", "c1", {0}}};
  curve pair[2] = {{"link", "c2", {0}}, {"product and embedding alone", "c3", {0}}};
  for (int i = 0; i < count; i++) {
    const figures *f = &lines[i].f;
    time[0].y[i] = f->link.cpu;
    time[1].y[i] = f->gemm.cpu + f->embed.cpu;
    time[2].y[i] = f->read.cpu;
    memory[0].y[i] = f->peak_mib;
    memory[1].y[i] = (double)b->memory_mib;
    pair[0].y[i] = 1e6 * time[0].y[i] / lines[i].pairs;
    pair[1].y[i] = 1e6 * time[1].y[i] / lines[i].pairs;
  }
  write_plot(b, "time", "Time of a link", "processor seconds", lines, count, time, 3);
  write_plot(b, "memory", "Memory of a link", "MiB", lines, count, memory, 2);
  write_plot(b, "pair", "Time of a link per pair", "processor microseconds a pair", lines, count,
             pair, 2);
}

// ---- Options ------------------------------------------------------------------------------------

static int read_sizes(const char *text, int64_t sizes[MOST_SIZES]) {
  int count = 0;
  for (char *end; count < MOST_SIZES && *text != '\0'; text = *end == ',' ? end + 1 : end) {
    sizes[count] = strtoll(text, &end, 10);
    if (end == text || sizes[count] < 2) return 0;
    count++;
  }
  return count;
}

// The program that was built beside this one. free() it.
static char *find_program(void) {
  char self[4000] = "";
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return NULL;
  char *slash = strrchr(self, '/');
  if (slash == NULL) return NULL;
  *slash = '\0';
  return sb_format("%s/../samebrain", self);
}

int main(int argc, char **argv) {
  int64_t sizes[MOST_SIZES];
  char *program = needed(find_program());
  bench b = {.folder = argc > 1 ? argv[1] : "-",
             .measure = option(argc, argv, "--measure", "pearson"),
             .precision = option(argc, argv, "--precision", "auto"),
             .program = option(argc, argv, "--program", program),
             .plots = option(argc, argv, "--plots", NULL),
             .probes = flag(argc, argv, "--self") ? 0 : number(argc, argv, "--probes", 2000),
             .memory_mib = number(argc, argv, "--memory-mib", 4096),
             .threads = sb_thread_count((int)number(argc, argv, "--threads", 0)),
             .runs = (int)number(argc, argv, "--runs", 3),
             .voxel_mm = strtod(option(argc, argv, "--voxel-mm", "1.962"), NULL),
             .warm = flag(argc, argv, "--warm")};
  const int count =
      read_sizes(option(argc, argv, "--gallery", "1000,2000,5000,10000,20000"), sizes);
  if (b.folder[0] == '-' || count == 0 || b.runs < 1 || b.runs > MOST_RUNS) {
    fprintf(stderr, "bench_scaling: see the head of bench/bench_scaling.c\n");
    return 2;
  }
  line lines[MOST_SIZES];
  must(sb_make_folder(b.folder));
  char *probes = b.probes > 0 ? make_store(&b, "probes", b.probes, 1) : NULL;
  for (int i = 0; i < count; i++) lines[i] = measure(&b, sizes[i], probes);
  print_table(&b, lines, count);
  if (b.plots != NULL) {
    must(sb_make_folder(b.plots));
    write_plots(&b, lines, count);
  }
  free(probes);
  free(program);
  return 0;
}
