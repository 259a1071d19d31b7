// samebrain info: what a store or a NIfTI file holds.
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/order.h"

static void print_json(cJSON *root) {
  char *text = cJSON_Print(root);
  if (text != NULL) puts(text);
  cJSON_free(text);
}

// ---- A store ------------------------------------------------------------------------------------

typedef struct dataset_count {
  const char *name;
  int64_t scans, participants;
} dataset_count;

typedef struct store_facts {
  dataset_count *datasets;
  size_t dataset_count;
  int64_t participants, bytes;
  double lowest, median; // of template_correlation
  int64_t *outliers;     // scans far below the others in it
  int64_t outlier_count;
  int64_t assumed;  // scans whose header has no orientation
  int64_t disputed; // and those whose header has two that are mirror images of each other
} store_facts;

static int compare_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The people among scans `first` to `end` - 1, all of one dataset; those without a label do not
// count.
static sb_status count_people(const sb_store *store, int64_t first, int64_t end, int64_t *people) {
  const char **names;
  sb_status status = SB_NEW(&names, end - first, "participants");
  if (status.code != SB_OK) return status;
  size_t count = 0;
  for (int64_t i = first; i < end; i++) {
    const char *name = sb_store_record(store, i)->scan.participant;
    if (name[0] != '\0') names[count++] = name;
  }
  qsort((void *)names, count, sizeof *names, compare_text);
  *people = 0;
  for (size_t i = 0; i < count; i++) *people += i == 0 || strcmp(names[i], names[i - 1]) != 0;
  free((void *)names);
  return sb_ok();
}

// Scans come sorted by dataset.
static sb_status count_datasets(const sb_store *store, store_facts *facts) {
  int64_t count = sb_store_count(store), end;
  sb_status status = SB_NEW_ZERO(&facts->datasets, count, "datasets");
  for (int64_t first = 0; first < count && status.code == SB_OK; first = end) {
    dataset_count *d = &facts->datasets[facts->dataset_count++];
    d->name = sb_store_record(store, first)->scan.dataset;
    for (end = first; end < count; end++)
      if (strcmp(sb_store_record(store, end)->scan.dataset, d->name) != 0) break;
    d->scans = end - first;
    status = count_people(store, first, end, &d->participants);
    facts->participants += d->participants;
  }
  return status;
}

// Scans to look at: those beyond Tukey's far fence below the lower quartile are most likely badly
// aligned, those without an orientation, or with two, maybe mirrored.
static sb_status find_doubtful(const sb_store *store, store_facts *facts) {
  size_t count = (size_t)sb_store_count(store);
  double *values = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&values, count, "quality figures"));
  SB_TRY(SB_NEW(&facts->outliers, count, "quality figures"));
  for (size_t i = 0; i < count; i++)
    values[i] = sb_store_record(store, (int64_t)i)->quality.template_correlation;
  qsort(values, count, sizeof *values, sb_order_doubles);
  facts->lowest = values[0];
  facts->median = 0.5 * (values[(count - 1) / 2] + values[count / 2]);
  for (size_t i = 0; i < count; i++) {
    const sb_orientation_source from = sb_store_record(store, (int64_t)i)->quality.orientation;
    facts->assumed += from == SB_ASSUMED;
    facts->disputed += from == SB_FROM_DISPUTED_SFORM;
  }
  enum { FENCE = 3 };
  const double least = 0.02; // between the quartiles: of copies and rescans they lie closer
  const double low = values[count / 4], high = values[count - 1 - count / 4];
  const double spread = high - low > least ? high - low : least;
  for (size_t i = 0; i < count && count >= 8; i++)
    if (sb_store_record(store, (int64_t)i)->quality.template_correlation < low - FENCE * spread)
      facts->outliers[facts->outlier_count++] = (int64_t)i;
cleanup:
  free(values);
  return status;
}

static sb_status size_on_disk(const char *folder, int64_t *bytes) {
  char **names;
  size_t count;
  *bytes = 0;
  sb_status status = sb_list_folder(folder, &names, &count);
  for (size_t i = 0; i < count; i++) {
    struct stat info;
    char *path = sb_path_join(folder, names[i]);
    if (path != NULL && stat(path, &info) == 0 && S_ISREG(info.st_mode)) *bytes += info.st_size;
    free(path);
  }
  sb_free_names(names, count);
  return status;
}

static const char *scans(int64_t count) {
  return count == 1 ? "scan" : "scans";
}

static const char *people(int64_t count) {
  return count == 1 ? "person" : "people";
}

static void print_store(const sb_store *store, const store_facts *f) {
  const int64_t *dims = sb_store_grid_dims(store);
  printf("store        %s\n", sb_store_path(store));
  printf("holds        %" PRId64 " %s of %" PRId64 " %s in %zu dataset%s\n", sb_store_count(store),
         scans(sb_store_count(store)), f->participants, people(f->participants), f->dataset_count,
         f->dataset_count == 1 ? "" : "s");
  for (size_t i = 0; i < f->dataset_count; i++) {
    printf("  ");
    sb_cli_pad(f->datasets[i].name, 24);
    printf(" %" PRId64 " %s, %" PRId64 " %s\n", f->datasets[i].scans, scans(f->datasets[i].scans),
           f->datasets[i].participants, people(f->datasets[i].participants));
  }
  printf("rows         %" PRId64 " voxels of a %" PRId64 " x %" PRId64 " x %" PRId64
         " grid at %g mm\n",
         sb_store_row_length(store), dims[0], dims[1], dims[2], sb_store_resolution_mm(store));
  printf("template     %.12s (%s)\n", sb_store_template_hash(store), sb_store_template_path(store));
  printf("parameters   %s\n", sb_store_parameters(store));
  printf("on disk      %.1f MB\n", (double)f->bytes / 1e6);
  if (sb_store_count(store) > 0)
    printf("likeness to the template (correlation)   median %.3f, lowest %.3f\n", f->median,
           f->lowest);
  for (int64_t i = 0; i < f->outlier_count; i++) {
    const sb_scan_record *r = sb_store_record(store, f->outliers[i]);
    printf("  far below the others: %s / %s: %.3f (%s)\n", r->scan.dataset, r->scan.scan_id,
           r->quality.template_correlation, r->scan.source_path);
  }
  if (f->assumed > 0)
    printf("orientation  assumed for %" PRId64 " %s, whose header has none: left and right may be "
           "swapped\n",
           f->assumed, scans(f->assumed));
  if (f->disputed > 0)
    printf("orientation  disputed in %" PRId64 " %s, whose header has a sform and a qform that are "
           "mirror images: left and right may be swapped\n",
           f->disputed, scans(f->disputed));
  if (sb_store_lost_count(store) > 0)
    printf("lost         %" PRId64 " rows that the tables list are not in the array files; prepare "
           "their scans again\n",
           sb_store_lost_count(store));
  printf("failed       %" PRId64 "\n", sb_store_failed_count(store));
  for (int64_t i = 0; i < sb_store_failed_count(store); i++) {
    const sb_scan_record *r = sb_store_failed(store, i);
    printf("  %s / %s: %s\n", r->scan.dataset, r->scan.scan_id, r->reason);
  }
}

static cJSON *scan_json(const sb_scan_record *r) {
  cJSON *item = cJSON_CreateObject();
  cJSON_AddStringToObject(item, "dataset", r->scan.dataset);
  cJSON_AddStringToObject(item, "scan_id", r->scan.scan_id);
  cJSON_AddStringToObject(item, "source_path", r->scan.source_path);
  return item;
}

static void print_store_json(const sb_store *store, const store_facts *f, const char *damage) {
  cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "datasets");
  cJSON_AddStringToObject(root, "store", sb_store_path(store));
  cJSON_AddNumberToObject(root, "scans", (double)sb_store_count(store));
  cJSON_AddNumberToObject(root, "people", (double)f->participants);
  for (size_t i = 0; i < f->dataset_count; i++) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "dataset", f->datasets[i].name);
    cJSON_AddNumberToObject(item, "scans", (double)f->datasets[i].scans);
    cJSON_AddNumberToObject(item, "people", (double)f->datasets[i].participants);
    cJSON_AddItemToArray(list, item);
  }
  cJSON_AddNumberToObject(root, "row_length", (double)sb_store_row_length(store));
  list = cJSON_AddArrayToObject(root, "grid_dims");
  for (int i = 0; i < 3; i++)
    cJSON_AddItemToArray(list, cJSON_CreateNumber((double)sb_store_grid_dims(store)[i]));
  cJSON_AddNumberToObject(root, "resolution_mm", sb_store_resolution_mm(store));
  cJSON_AddStringToObject(root, "template_hash", sb_store_template_hash(store));
  cJSON_AddStringToObject(root, "template_path", sb_store_template_path(store));
  cJSON_AddStringToObject(root, "parameters", sb_store_parameters(store));
  cJSON_AddNumberToObject(root, "bytes", (double)f->bytes);
  cJSON_AddNumberToObject(root, "lost_rows", (double)sb_store_lost_count(store));
  if (sb_store_count(store) > 0) {
    cJSON_AddNumberToObject(root, "template_correlation_median", f->median);
    cJSON_AddNumberToObject(root, "template_correlation_min", f->lowest);
  }
  cJSON_AddNumberToObject(root, "orientation_assumed", (double)f->assumed);
  cJSON_AddNumberToObject(root, "orientation_disputed", (double)f->disputed);
  list = cJSON_AddArrayToObject(root, "quality_outliers");
  for (int64_t i = 0; i < f->outlier_count; i++) {
    const sb_scan_record *r = sb_store_record(store, f->outliers[i]);
    cJSON *item = scan_json(r);
    cJSON_AddNumberToObject(item, "template_correlation", r->quality.template_correlation);
    cJSON_AddItemToArray(list, item);
  }
  list = cJSON_AddArrayToObject(root, "failed");
  for (int64_t i = 0; i < sb_store_failed_count(store); i++) {
    const sb_scan_record *r = sb_store_failed(store, i);
    cJSON *item = scan_json(r);
    cJSON_AddStringToObject(item, "status", sb_code_name(r->status));
    cJSON_AddStringToObject(item, "reason", r->reason);
    cJSON_AddItemToArray(list, item);
  }
  if (damage != NULL) {
    cJSON_AddBoolToObject(root, "verified", damage[0] == '\0');
    if (damage[0] != '\0') cJSON_AddStringToObject(root, "damage", damage);
  }
  print_json(root);
  cJSON_Delete(root);
}

static int store_info(const sb_arguments *a, const char *path) {
  sb_store *store = NULL;
  store_facts facts = {0};
  sb_status status, verified = sb_ok();
  bool verify = sb_arg_flag(a, "--verify");
  SB_TRY(sb_store_open(path, &store));
  SB_TRY(count_datasets(store, &facts));
  if (sb_store_count(store) > 0) SB_TRY(find_doubtful(store, &facts));
  SB_TRY(size_on_disk(path, &facts.bytes));
  if (verify) {
    sb_progress progress = sb_cli_progress(a->quiet);
    verified = sb_store_verify(store, &progress);
    sb_cli_progress_end();
  }
  if (a->json) {
    print_store_json(store, &facts, verify ? verified.message : NULL);
  } else {
    print_store(store, &facts);
    if (verify && verified.code == SB_OK)
      printf("verified     %" PRId64 " rows, template and mask are as they were written\n",
             sb_store_count(store));
  }
  status = verified;
cleanup:
  free(facts.datasets);
  free(facts.outliers);
  sb_store_close(store);
  return sb_report(status);
}

// ---- A NIfTI file -------------------------------------------------------------------------------

static const char *orientation_text(sb_orientation_source source) {
  switch (source) {
  case SB_FROM_SFORM:
    return "sform";
  case SB_FROM_QFORM:
    return "qform";
  case SB_ASSUMED:
    break;
  case SB_FROM_DISPUTED_SFORM:
    return "disputed";
  }
  return "assumed";
}

static void print_file(const char *path, const sb_volume_info *info, float low, float high) {
  printf("file         %s\n", path);
  printf("grid         %" PRId64 " x %" PRId64 " x %" PRId64 " voxels as stored, axes %s\n",
         info->stored_dims[0], info->stored_dims[1], info->stored_dims[2], info->stored_axes);
  printf("voxel size   %.4g x %.4g x %.4g mm (right, front, up)\n", info->voxel_size_mm[0],
         info->voxel_size_mm[1], info->voxel_size_mm[2]);
  printf("datatype     %s\n", info->datatype);
  printf("orientation  from %s\n",
         info->orientation == SB_ASSUMED ? "nothing in the header: assumed left, front, up"
         : info->orientation == SB_FROM_DISPUTED_SFORM
             ? "sform, of which the qform is a mirror image: left and right may be swapped"
             : orientation_text(info->orientation));
  if (info->unit_doubted)
    printf("unit         millimetres were assumed: no brain has the size that the header's unit "
           "gives\n");
  printf("intensities  %g to %g\n", (double)low, (double)high);
  printf("non-finite   %" PRId64 " voxels%s\n", info->nonfinite_voxels,
         info->nonfinite_voxels > 0 ? ", taken as 0" : "");
}

static void print_file_json(const char *path, const sb_volume_info *info, float low, float high) {
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "file", path);
  cJSON *dims = cJSON_AddArrayToObject(root, "stored_dims");
  cJSON *sizes = cJSON_AddArrayToObject(root, "voxel_size_mm");
  for (int i = 0; i < 3; i++) {
    cJSON_AddItemToArray(dims, cJSON_CreateNumber((double)info->stored_dims[i]));
    cJSON_AddItemToArray(sizes, cJSON_CreateNumber(info->voxel_size_mm[i]));
  }
  cJSON_AddStringToObject(root, "stored_axes", info->stored_axes);
  cJSON_AddStringToObject(root, "datatype", info->datatype);
  cJSON_AddStringToObject(root, "orientation", orientation_text(info->orientation));
  cJSON_AddBoolToObject(root, "unit_doubted", info->unit_doubted);
  cJSON_AddNumberToObject(root, "min", (double)low);
  cJSON_AddNumberToObject(root, "max", (double)high);
  cJSON_AddNumberToObject(root, "nonfinite_voxels", (double)info->nonfinite_voxels);
  print_json(root);
  cJSON_Delete(root);
}

static int file_info(const sb_arguments *a, const char *path) {
  sb_volume volume;
  sb_volume_info info;
  sb_status status = sb_volume_load(path, &volume, &info);
  if (status.code != SB_OK) return sb_report(status);
  float low = volume.voxels[0], high = volume.voxels[0];
  int64_t voxels = volume.dims[0] * volume.dims[1] * volume.dims[2];
  for (int64_t i = 1; i < voxels; i++) {
    low = fminf(low, volume.voxels[i]);
    high = fmaxf(high, volume.voxels[i]);
  }
  if (a->json)
    print_file_json(path, &info, low, high);
  else
    print_file(path, &info, low, high);
  sb_volume_free(&volume);
  return SB_EXIT_OK;
}

static int run(const sb_arguments *a) {
  const char *path = a->positional[0];
  if (sb_is_folder(path)) return store_info(a, path);
  if (sb_arg_flag(a, "--verify"))
    return sb_cli_usage(a->command, "--verify is for stores, and %s is no folder", path);
  return file_info(a, path);
}

static const sb_option OPTIONS[] = {
    {"--verify", NULL, "check every row of a store against its checksum"},
    {0},
};

const sb_command sb_cmd_info = {
    .name = "info",
    .usage = "STORE|FILE [--verify]",
    .summary = "what a store or a NIfTI file holds",
    .details = "Of a store: scans, people, grid, template, parameters, the scans that failed with\n"
               "their reasons and those that look badly aligned. Of a file: grid, orientation,\n"
               "datatype and intensities as samebrain reads them.",
    .example = "samebrain info my.store --verify",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
