// summary.json: what was compared with what, how, on what, and how long it took.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/memory.h"
#include "engine/run.h"

static void cpu_name(char *name, size_t bytes) {
  snprintf(name, bytes, "unknown");
  FILE *file = fopen("/proc/cpuinfo", "r");
  char line[256];
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
    line[strcspn(line, "\n")] = '\0';
    snprintf(name, bytes, "%s", colon + 1 + strspn(colon + 1, " "));
    break;
  }
  if (file != NULL) fclose(file);
}

static void add_integer(cJSON *object, const char *name, int64_t value) {
  cJSON_AddNumberToObject(object, name, (double)value);
}

static void add_store(cJSON *stores, const char *name, const sb_store *store) {
  cJSON *object = cJSON_AddObjectToObject(stores, name);
  char *path = sb_path_real(sb_store_path(store));
  cJSON_AddStringToObject(object, "path", path);
  cJSON_AddStringToObject(object, "template_hash", sb_store_template_hash(store));
  cJSON_AddStringToObject(object, "parameters", sb_store_parameters(store));
  add_integer(object, "scans", sb_store_count(store));
  free(path);
}

static void add_parameters(cJSON *root, const sb_run *run) {
  const sb_link_options *options = run->options;
  cJSON *object = cJSON_AddObjectToObject(root, "parameters");
  add_integer(object, "top", options->top);
  if (options->has_threshold)
    cJSON_AddNumberToObject(object, "threshold", options->threshold);
  else
    cJSON_AddNullToObject(object, "threshold");
  cJSON_AddStringToObject(object, "identities", sb_identity_mode_name(run->mode));
  if (run->mode == SB_IDENTITIES_TABLE)
    cJSON_AddStringToObject(object, "identities_table", options->identities);
  cJSON_AddBoolToObject(object, "matrix", options->matrix);
  cJSON_AddStringToObject(object, "precision", options->precision);
  add_integer(object, "memory_bytes", run->memory_bytes);
}

static void add_parts(cJSON *object, const sb_measure *measure, const sb_standard *standards) {
  if (measure->parts == NULL) return;
  cJSON *parts = cJSON_AddArrayToObject(object, "parts");
  for (int p = 0; measure->parts[p] != NULL; p++) {
    cJSON *part = cJSON_CreateObject();
    cJSON_AddItemToArray(parts, part);
    cJSON_AddStringToObject(part, "name", measure->parts[p]);
    cJSON_AddNumberToObject(part, "location", standards[p].location); // null where NaN
    cJSON_AddNumberToObject(part, "scale", standards[p].scale);
    cJSON_AddNumberToObject(part, "weight", standards[p].weight);
  }
}

static void add_measure(cJSON *measures, const sb_measured *m) {
  const sb_plan *plan = &m->plan;
  cJSON *object = cJSON_CreateObject(), *tiles = NULL, *range = NULL;
  cJSON_AddItemToArray(measures, object);
  cJSON_AddStringToObject(object, "name", m->measure->info.name);
  range = cJSON_AddArrayToObject(object, "range");
  cJSON_AddItemToArray(range, cJSON_CreateNumber(m->measure->info.range_min));
  cJSON_AddItemToArray(range, isfinite(m->measure->info.range_max)
                                  ? cJSON_CreateNumber(m->measure->info.range_max)
                                  : cJSON_CreateNull());
  cJSON_AddBoolToObject(object, "higher_is_closer", m->measure->info.higher_is_closer);
  add_parts(object, m->measure, m->standards);
  if (m->measure->epilogue != NULL) {
    cJSON_AddStringToObject(object, "precision", sb_precision_name(m->choice.precision));
    if (m->choice.why[0] != '\0') cJSON_AddStringToObject(object, "precision_why", m->choice.why);
  }
  cJSON_AddNumberToObject(object, "screen_bound", m->bound);
  add_integer(object, "histogram_bins", plan->bins);
  add_integer(object, "vector_length", plan->length);
  add_integer(object, "rows_read", m->rows_read);
  tiles = cJSON_AddObjectToObject(object, "plan");
  add_integer(tiles, "probe_tile", plan->probe_tile);
  add_integer(tiles, "gallery_tile", plan->gallery_tile);
  add_integer(tiles, "k_chunk", plan->k_chunk);
  add_integer(tiles, "planned_bytes", sb_plan_total_bytes(plan));
}

static void add_refinement(cJSON *root, const sb_run *run) {
  cJSON *object = cJSON_AddObjectToObject(root, "refine");
  cJSON_AddStringToObject(object, "measure", run->refine->info.name);
  cJSON_AddStringToObject(object, "candidates",
                          "for each probe, the gallery scans that any of the other measures lists; "
                          "their ranks by this measure are among themselves");
  add_integer(object, "pairs", run->survivors.count);
  add_parts(object, run->refine, run->refine_standards);
}

static void add_machine(cJSON *root, const sb_run *run) {
  cJSON *object = cJSON_AddObjectToObject(root, "machine");
  char cpu[200];
  cpu_name(cpu, sizeof cpu);
  cJSON_AddStringToObject(object, "cpu", cpu);
  add_integer(object, "threads", run->threads);
  cJSON_AddStringToObject(object, "backend", run->compute.backend->name);
  cJSON_AddStringToObject(object, "library", run->compute.backend->describe(run->compute.context));
  if (run->compute.passed[0] != '\0')
    cJSON_AddStringToObject(object, "not_used", run->compute.passed);
}

static void add_seconds(cJSON *root, const sb_run *run) {
  cJSON *object = cJSON_AddObjectToObject(root, "seconds");
  cJSON_AddNumberToObject(object, "embed", run->timings.embed_s);
  cJSON_AddNumberToObject(object, "multiply", run->timings.multiply_s);
  cJSON_AddNumberToObject(object, "select", run->timings.select_s);
  cJSON_AddNumberToObject(object, "rescore", run->timings.rescore_s);
  cJSON_AddNumberToObject(object, "write", run->timings.write_s);
  cJSON_AddNumberToObject(object, "total", sb_now_s() - run->started_s);
}

cJSON *sb_run_summary(const sb_run *run) {
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "kind", "samebrain link");
  cJSON_AddStringToObject(root, "version", sb_version());
  cJSON_AddStringToObject(root, "command", run->command);
  cJSON_AddBoolToObject(root, "self", run->scans.self);
  cJSON_AddBoolToObject(root, "mirrored", run->options->mirrored);
  add_integer(root, "probes", run->scans.probe_count);
  add_integer(root, "gallery", run->scans.gallery_count);
  if (!sb_share_is_whole(run->share)) {
    cJSON *share = cJSON_AddObjectToObject(root, "share");
    add_integer(share, "index", run->share.index);
    add_integer(share, "count", run->share.count);
    add_integer(share, "first", run->range.first); // probes [first, last)
    add_integer(share, "last", run->range.last);
    cJSON_AddStringToObject(root, "request", run->digest);
  }
  add_integer(root, "pairs", sb_people_range_pairs(&run->people, run->range));
  add_integer(root, "mated_pairs", run->mated_count);
  add_parameters(root, run);
  cJSON *stores = cJSON_AddObjectToObject(root, "stores");
  add_store(stores, "gallery", run->gallery);
  if (!run->scans.self) add_store(stores, "probe", run->probe);
  cJSON *measures = cJSON_AddArrayToObject(root, "measures");
  for (size_t i = 0; i < run->measure_count; i++) add_measure(measures, run->measured + i);
  if (run->refine != NULL) add_refinement(root, run);
  add_machine(root, run);
  add_seconds(root, run);
  return root;
}
