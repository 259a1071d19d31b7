// How long the report of a large link takes, and how large it becomes.
//
//   bench_report FOLDER SCANS RESOLUTION_MM     e.g. bench_report /tmp/large 2000 2
//
// Makes a store of SCANS generated rows on the default template's grid (people with two sessions each: the template, a
// pattern of the person's own, and noise), links it with itself and evaluates it, all into FOLDER, which is to be
// empty and is left as it is; then writes the report three times, in a process of its own, and prints the times.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/random.h"
#include "samebrain/samebrain.h"
#include "store/writer.h"

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_report: %s\n", status.message);
  exit(1);
}

// The template, the person's own pattern and the session's noise.
static void make_row(const sb_template *t, uint64_t person, uint64_t scan, float *row) {
  const int64_t *index = sb_template_row_index(t), length = sb_template_row_length(t);
  for (int64_t i = 0; i < length; i += 2) {
    float own[2], noise[2];
    sb_random_normals(sb_random_key(1, person), (uint64_t)i, own);
    sb_random_normals(sb_random_key(2, scan), (uint64_t)i, noise);
    for (int64_t k = 0; k < 2 && i + k < length; k++)
      row[i + k] = 0.02F * sb_template_image(t)[index[i + k]] + own[k] + 0.5F * noise[k];
  }
}

static void make_store(const char *path, const sb_template *t, int64_t scans, double resolution) {
  const sb_store_header header = {.grid_dims = sb_template_grid_dims(t),
                                  .grid_affine = sb_template_grid_affine(t),
                                  .resolution_mm = resolution,
                                  .mask = sb_template_mask(t),
                                  .image = sb_template_image(t),
                                  .row_length = sb_template_row_length(t),
                                  .template_hash = sb_template_hash(t),
                                  .template_path = sb_template_path(t),
                                  .parameters = "generated"};
  float *row;
  sb_store_writer *writer;
  must(SB_NEW(&row, header.row_length, "row"));
  must(sb_store_writer_open(path, &header, &writer));
  for (int64_t i = 0; i < scans; i++) {
    char id[80], participant[32], session[32];
    snprintf(participant, sizeof participant, "sub-%06lld", (long long)(i / 2));
    snprintf(session, sizeof session, "ses-%lld", (long long)(i % 2 + 1));
    snprintf(id, sizeof id, "%s_%s", participant, session);
    sb_scan_record record = {.scan = {.dataset = (char *)(i < scans / 2 ? "one" : "other"),
                                      .scan_id = id,
                                      .participant = participant,
                                      .session = session},
                             .quality = {.sharpness = i % 100 == 0 ? 0.8 : 1}};
    make_row(t, (uint64_t)(i / 2), (uint64_t)i, row);
    must(sb_store_writer_add(writer, &record, row, header.mask));
    if (i % 500 == 499 || i + 1 == scans) must(sb_store_writer_commit(writer));
  }
  sb_store_writer_close(writer);
  free(row);
}

static double link_and_evaluate(const char *path, const char *out) {
  sb_store *store;
  sb_link_summary summary;
  sb_evaluation evaluation[4];
  size_t count;
  const sb_link_options link = sb_link_options_default();
  const sb_evaluate_options evaluate = sb_evaluate_options_default();
  must(sb_store_open(path, &store));
  must(sb_link(store, NULL, &link, out, NULL, &summary));
  sb_store_close(store);
  double start = sb_now_s();
  must(sb_evaluate(out, &evaluate, evaluation, 4, &count));
  printf("link %.1f s, evaluate %.1f s\n", summary.seconds, sb_now_s() - start);
  return summary.seconds;
}

// In a process of its own, so that its memory can be told.
static void report(const char *out, double link_s) {
  double start = sb_now_s();
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    const sb_report_options options = sb_report_options_default();
    must(sb_report_write(out, &options, NULL));
    _exit(0);
  }
  int code = -1;
  struct rusage used;
  struct stat about = {0};
  char *path = sb_path_join(out, "report.html");
  if (child < 0 || wait4(child, &code, 0, &used) < 0 || code != 0) exit(1);
  double seconds = sb_now_s() - start;
  if (path != NULL) stat(path, &about);
  printf("report %.2f s (%.1f %% of the link), %.1f MB, %.0f MB resident at most\n", seconds,
         100 * seconds / link_s, (double)about.st_size / 1e6, (double)used.ru_maxrss * 1024 / 1e6);
  free(path);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fputs("usage: bench_report FOLDER SCANS RESOLUTION_MM\n", stderr);
    return 2;
  }
  sb_template *t;
  sb_template_options options = sb_template_options_default();
  options.resolution_mm = strtod(argv[3], NULL);
  must(sb_template_load(&options, &t));
  char *store = sb_path_join(argv[1], "store"), *out = sb_path_join(argv[1], "out");
  must(sb_make_folder(argv[1]));
  make_store(store, t, strtoll(argv[2], NULL, 10), options.resolution_mm);
  sb_template_free(t);
  double link_s = link_and_evaluate(store, out);
  for (int i = 0; i < 3; i++) report(out, link_s);
  free(store);
  free(out);
  return 0;
}
