// samebrain bench: the same made-up rows linked by each backend, stage by stage, side by side.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/memory.h"
#include "samebrain/synth.h"

enum { MOST_STAGES = 16, MOST_REPEATS = 99, MOST_BACKENDS = 2 };

typedef struct stage {
  char name[24];
  double seconds[MOST_REPEATS];
} stage;

// What one backend did by one measure.
typedef struct timing {
  const char *backend;
  char computes[600]; // what it is, in words
  sb_status usable;
  stage stages[MOST_STAGES]; // as summary.json lists them; the last is the whole
  int stage_count, repeats;
  char *matches, *mated; // the files' text
} timing;

typedef struct bench {
  sb_synth_rows_options rows;
  int64_t probes, gallery, repeats;
  sb_link_options link;
  char *folder, *gallery_path, *probe_path, *out;
  const char *made; // the folder around it, where there was none; NULL: it was there
  sb_store *gallery_store, *probe_store;
  timing timings[MOST_BACKENDS];
  int backend_count;
  bool json;
  sb_progress progress;
} bench;

// ---- Files --------------------------------------------------------------------------------------

static void remove_folder(const char *path) {
  char **names = NULL;
  size_t count = 0;
  if (sb_list_folder(path, &names, &count).code != SB_OK) return;
  for (size_t i = 0; i < count; i++) {
    char *entry = sb_path_join(path, names[i]);
    if (entry == NULL) continue;
    if (sb_is_folder(entry))
      remove_folder(entry);
    else
      unlink(entry);
    free(entry);
  }
  sb_free_names(names, count);
  rmdir(path);
}

static sb_status read_text(const char *folder, const char *name, char **text) {
  size_t bytes;
  char *path = sb_path_join(folder, name);
  if (path == NULL) return sb_error(SB_NO_MEMORY, "out of memory");
  sb_status status = sb_read_file(path, text, &bytes);
  free(path);
  return status;
}

static sb_status make_folder(const char *where, bench *b) {
  const char *base = where != NULL ? where : getenv("TMPDIR");
  if (where != NULL && !sb_is_folder(where)) b->made = where;
  sb_status status = where != NULL ? sb_make_folder(where) : sb_ok();
  if (status.code != SB_OK) return status;
  char *folder = sb_format("%s/samebrain-bench-XXXXXX", base != NULL ? base : "/tmp");
  if (folder == NULL) return sb_error(SB_NO_MEMORY, "out of memory");
  if (mkdtemp(folder) == NULL) {
    status = sb_error(SB_IO, "%s: no folder can be made there; name another with --folder", folder);
    free(folder);
    return status;
  }
  b->folder = folder;
  b->gallery_path = sb_path_join(folder, "gallery");
  b->probe_path = sb_path_join(folder, "probes");
  b->out = sb_path_join(folder, "out");
  bool all = b->gallery_path != NULL && b->probe_path != NULL && b->out != NULL;
  return all ? sb_ok() : sb_error(SB_NO_MEMORY, "out of memory");
}

// Everybody in the gallery once, and as many probes: further sessions of its first people.
static sb_status make_stores(bench *b) {
  sb_synth_rows_options rows = b->rows;
  sb_status status;
  rows.people = b->gallery;
  SB_TRY(sb_synth_rows(b->gallery_path, &rows, &b->progress));
  SB_TRY(sb_store_open(b->gallery_path, &b->gallery_store));
  if (b->probes == 0) goto cleanup;
  rows.people = b->probes;
  rows.first_session = 1;
  SB_TRY(sb_synth_rows(b->probe_path, &rows, &b->progress));
  SB_TRY(sb_store_open(b->probe_path, &b->probe_store));
cleanup:
  sb_cli_progress_end();
  return status;
}

// ---- Running ------------------------------------------------------------------------------------

static sb_status add_times(const char *text, timing *t) {
  cJSON *root = cJSON_Parse(text), *item;
  int used = 0;
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(root, "seconds")) {
    if (used == MOST_STAGES) break;
    snprintf(t->stages[used].name, sizeof t->stages[used].name, "%s", item->string);
    t->stages[used++].seconds[t->repeats] = item->valuedouble;
  }
  cJSON_Delete(root);
  t->stage_count = used;
  t->repeats++;
  return used > 0 ? sb_ok() : sb_error(SB_FORMAT, "the summary of the link tells no times");
}

static sb_status run_once(bench *b, timing *t) {
  sb_link_summary summary;
  char *text = NULL;
  b->link.backend = t->backend;
  sb_status status;
  SB_TRY(sb_link(b->gallery_store, b->probe_store, &b->link, b->out, NULL, &summary));
  SB_TRY(read_text(b->out, "summary.json", &text));
  SB_TRY(add_times(text, t));
  if (t->matches != NULL) goto cleanup;
  SB_TRY(read_text(b->out, "matches.tsv", &t->matches));
  SB_TRY(read_text(b->out, "mated.tsv", &t->mated));
cleanup:
  free(text);
  return status;
}

static void forget(timing *t) {
  free(t->matches);
  free(t->mated);
  t->matches = t->mated = NULL;
  t->repeats = t->stage_count = 0;
}

// Backends take turns, so that a machine that is busy for a while slows all of them.
static sb_status run_measure(bench *b) {
  for (int64_t repeat = 0; repeat < b->repeats; repeat++)
    for (int i = 0; i < b->backend_count; i++) {
      if (b->timings[i].usable.code != SB_OK) continue;
      sb_status status = run_once(b, &b->timings[i]);
      if (status.code != SB_OK) return status;
    }
  return sb_ok();
}

// ---- Telling ------------------------------------------------------------------------------------

static int ascending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

static double median(const stage *s, int count) {
  double sorted[MOST_REPEATS];
  memcpy(sorted, s->seconds, (size_t)count * sizeof *sorted);
  qsort(sorted, (size_t)count, sizeof *sorted, ascending);
  return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static int64_t pair_count(const bench *b) {
  return b->probes > 0 ? b->probes * b->gallery : b->gallery * (b->gallery - 1) / 2;
}

// Whether two backends reported the same files; true where there is but one.
static bool same_files(const bench *b) {
  const timing *a = &b->timings[0], *c = &b->timings[1];
  if (a->matches == NULL || c->matches == NULL) return true;
  return strcmp(a->matches, c->matches) == 0 && strcmp(a->mated, c->mated) == 0;
}

static void print_table(const bench *b, const char *measure) {
  const timing *ran[MOST_BACKENDS];
  int count = 0;
  for (int i = 0; i < b->backend_count; i++)
    if (b->timings[i].repeats > 0) ran[count++] = &b->timings[i];
  if (count == 0) return;
  printf("\nBy %s, seconds, median of %" PRId64 ":\n%-10s", measure, b->repeats, "");
  for (int i = 0; i < count; i++) printf("%12s", ran[i]->backend);
  printf(count == 2 ? "%12s\n" : "\n", "speed-up");
  for (int s = 0; s < ran[0]->stage_count; s++) {
    printf("%-10s", ran[0]->stages[s].name);
    for (int i = 0; i < count; i++) printf("%12.4f", median(&ran[i]->stages[s], ran[i]->repeats));
    if (count == 2)
      printf("%12.2f", median(&ran[0]->stages[s], ran[0]->repeats) /
                           median(&ran[1]->stages[s], ran[1]->repeats));
    printf("\n");
  }
  printf("%-10s", "pairs/s");
  for (int i = 0; i < count; i++)
    printf("%12.0f", (double)pair_count(b) /
                         median(&ran[i]->stages[ran[i]->stage_count - 1], ran[i]->repeats));
  printf("\n");
  if (count == 2) printf("Both report the same files: %s\n", same_files(b) ? "yes" : "NO");
}

static void add_json(const bench *b, const char *measure, cJSON *measures) {
  cJSON *item = cJSON_CreateObject(), *backends = NULL;
  cJSON_AddItemToArray(measures, item);
  cJSON_AddStringToObject(item, "measure", measure);
  cJSON_AddBoolToObject(item, "same_files", same_files(b));
  backends = cJSON_AddObjectToObject(item, "seconds");
  for (int i = 0; i < b->backend_count; i++) {
    const timing *t = &b->timings[i];
    if (t->repeats == 0) continue;
    cJSON *stages = cJSON_AddObjectToObject(backends, t->backend);
    for (int s = 0; s < t->stage_count; s++)
      cJSON_AddItemToObject(stages, t->stages[s].name,
                            cJSON_CreateDoubleArray(t->stages[s].seconds, t->repeats));
  }
}

static cJSON *describe(const bench *b) {
  cJSON *root = cJSON_CreateObject(), *backends = NULL;
  cJSON_AddStringToObject(root, "version", sb_version());
  cJSON_AddNumberToObject(root, "probes", (double)b->probes);
  cJSON_AddNumberToObject(root, "gallery", (double)b->gallery);
  cJSON_AddNumberToObject(root, "pairs", (double)pair_count(b));
  cJSON_AddNumberToObject(root, "row_length", (double)sb_store_row_length(b->gallery_store));
  cJSON_AddStringToObject(root, "rows", b->rows.white ? "white noise" : "like brains");
  cJSON_AddStringToObject(root, "precision", b->link.precision);
  cJSON_AddNumberToObject(root, "top", (double)b->link.top);
  backends = cJSON_AddObjectToObject(root, "backends");
  for (int i = 0; i < b->backend_count; i++) {
    const timing *t = &b->timings[i];
    cJSON_AddStringToObject(backends, t->backend,
                            t->usable.code == SB_OK ? t->computes : t->usable.message);
  }
  cJSON_AddArrayToObject(root, "measures");
  return root;
}

static void print_heading(const bench *b) {
  for (int i = 0; i < b->backend_count; i++) {
    const timing *t = &b->timings[i];
    printf("%s: %s%s\n", t->backend, t->usable.code == SB_OK ? "" : "not here: ",
           t->usable.code == SB_OK ? t->computes : t->usable.message);
  }
  if (b->probes > 0)
    printf("%" PRId64 " probes, %" PRId64 " gallery scans", b->probes, b->gallery);
  else
    printf("%" PRId64 " scans with each other", b->gallery);
  printf(", rows of %" PRId64 " values (%s), top %" PRId64 "\n",
         sb_store_row_length(b->gallery_store),
         b->rows.white ? "white noise" : "made up, like brains", b->link.top);
}

static sb_status run_all(bench *b, char *const *measures, size_t measure_count, bool *differ) {
  static const char *const default_measures[] = {"bandpass"};
  const char *const *names = measure_count > 0 ? (const char *const *)measures : default_measures;
  const size_t count = measure_count > 0 ? measure_count : 1;
  cJSON *root = b->json ? describe(b) : NULL;
  sb_status status = sb_ok();
  if (!b->json) print_heading(b);
  for (size_t m = 0; m < count && status.code == SB_OK; m++) {
    b->link.measures = names + m;
    b->link.measure_count = 1;
    status = run_measure(b);
    if (status.code != SB_OK) break;
    if (b->json)
      add_json(b, names[m], cJSON_GetObjectItem(root, "measures"));
    else
      print_table(b, names[m]);
    *differ = *differ || !same_files(b);
    for (int i = 0; i < b->backend_count; i++) forget(&b->timings[i]);
    fflush(stdout);
  }
  char *text = b->json && status.code == SB_OK ? cJSON_Print(root) : NULL;
  if (text != NULL) puts(text);
  if (text != NULL) sb_cli_owe_json(false); // also where the backends differ, which is an error
  cJSON_free(text);
  cJSON_Delete(root);
  return status;
}

// ---- The command line ---------------------------------------------------------------------------

// The backends that are named; by default the CPU, and the GPU where there is one.
static bool choose_backends(const sb_arguments *a, bench *b) {
  static const char *const known[] = {"cpu", "cuda"};
  char **names = NULL;
  size_t count = 0;
  bool valid = sb_arg_list(a, "--backend", &names, &count);
  for (int k = 0; k < 2; k++) {
    timing *t = &b->timings[b->backend_count];
    bool wanted = false;
    for (size_t i = 0; i < count; i++) wanted = wanted || strcmp(names[i], known[k]) == 0;
    if (count > 0 && !wanted) continue;
    t->usable = sb_backend_probe(known[k], t->computes, sizeof t->computes);
    if (count == 0 && t->usable.code != SB_OK && k > 0) continue;
    t->backend = known[k];
    b->backend_count++;
  }
  for (size_t i = 0; i < count && valid; i++)
    if (strcmp(names[i], "cpu") != 0 && strcmp(names[i], "cuda") != 0) {
      sb_cli_usage(a->command, "--backend %s: expects cpu, cuda or cpu,cuda", names[i]);
      valid = false;
    }
  sb_free_names(names, count);
  return valid;
}

static bool read_options(const sb_arguments *a, bench *b, char ***measures, size_t *count) {
  static const char *const precisions[] = {"auto", "fp32", "tf32", "fp16", "bf16", "int8", NULL};
  int precision = 0;
  if (!sb_arg_int(a, "--gallery", 2, 9999999, &b->gallery) ||
      !sb_arg_int(a, "--probes", 0, 9999999, &b->probes) ||
      !sb_arg_int(a, "--repeat", 1, MOST_REPEATS, &b->repeats) ||
      !sb_arg_int(a, "--top", 1, INT32_MAX, &b->link.top) ||
      !sb_arg_double(a, "--voxel-mm", &b->rows.voxel_mm) ||
      !sb_arg_choice(a, "--precision", precisions, &precision) ||
      !sb_arg_bytes(a, "--memory", &b->link.memory_bytes) || !sb_arg_threads(a, &b->link.threads) ||
      !sb_arg_measures(a, "-m", measures, count) || !choose_backends(a, b))
    return false;
  b->link.precision = precisions[precision];
  b->rows.threads = b->link.threads;
  b->rows.white = sb_arg_flag(a, "--white");
  b->json = a->json;
  return true;
}

static void free_bench(bench *b) {
  sb_store_close(b->gallery_store);
  sb_store_close(b->probe_store);
  for (int i = 0; i < MOST_BACKENDS; i++) forget(&b->timings[i]);
  if (b->folder != NULL) remove_folder(b->folder);
  if (b->made != NULL) rmdir(b->made);
  free(b->folder);
  free(b->gallery_path);
  free(b->probe_path);
  free(b->out);
  free(b);
}

static int run(const sb_arguments *a) {
  char **measures = NULL;
  size_t measure_count = 0;
  bench *b = NULL;
  bool differ = false;
  sb_status status = SB_NEW_ZERO(&b, 1, "benchmark");
  if (status.code != SB_OK) return sb_report(status);
  b->rows = sb_synth_rows_options_default();
  b->link = sb_link_options_default();
  b->gallery = 1000;
  b->probes = 200;
  b->repeats = 3;
  b->progress = sb_cli_progress(a->quiet);
  if (!read_options(a, b, &measures, &measure_count)) {
    sb_free_names(measures, measure_count);
    free_bench(b);
    return SB_EXIT_USAGE;
  }
  SB_TRY(make_folder(sb_arg_text(a, "--folder", NULL), b));
  SB_TRY(make_stores(b));
  SB_TRY(run_all(b, measures, measure_count, &differ));
  for (int i = 0; i < b->backend_count && status.code == SB_OK; i++) status = b->timings[i].usable;
  if (status.code == SB_OK && differ)
    status = sb_error(SB_BACKEND, "the backends report different files: do not use this GPU");
cleanup:
  sb_free_names(measures, measure_count);
  free_bench(b);
  return sb_report(status);
}

static const sb_option OPTIONS[] = {
    {"--backend", "cpu,cuda", "what to time (the CPU, and the GPU if there is one)"},
    {"--gallery", "N", "gallery scans (1000)"},
    {"--probes", "N", "probes; 0: the gallery against itself (200)"},
    {"-m", "MEASURE[,MEASURE...]", "similarity measures (bandpass)"},
    {"--voxel-mm", "MM", "size of the rows' voxels: 2 for 217,000 values, 1 for 1.7 million (2)"},
    {"--white", NULL, "rows of noise, which no bound can screen"},
    {"--precision", "P", "of the screen, as for link (auto)"},
    {"--top", "N", "gallery scans to list for each probe (10)"},
    {"--repeat", "N", "links of each backend, of which the median is told (3)"},
    {"--folder", "DIR",
     "where the rows lie meanwhile, 0.44 MB each at 2 mm; removed ($TMPDIR, else /tmp)"},
    {"--memory", "SIZE", "memory to use, e.g. 4G (4G, or a quarter of the machine's if less)"},
    {"--threads", "N", "processors to use (all)"},
    {0},
};

const sb_command sb_cmd_bench = {
    .name = "bench",
    .usage = "[--backend cpu,cuda] [--gallery N] [--probes N]",
    .summary = "how fast this machine links: the CPU beside the GPU",
    .details =
        "Makes up rows whose correlations are spread as those of brains are, links them by each\n"
        "backend in turn, and prints the time of each stage and of the whole, and the speed-up.\n"
        "Where two backends were timed, also whether they reported the same files.",
    .example = "samebrain bench --backend cpu,cuda --gallery 10000 --probes 1000",
    .options = OPTIONS,
    .run = run,
};
