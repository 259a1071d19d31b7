// What tells a copy from a rescan: agreement of the voxels' noise, and likeness of the rows.
//
//   bench_duplicates SCAN...
//
// Each SCAN is copied in several ways, into a temporary folder that is deleted afterwards. Prints for
// each kind of copy, and for SCANs of one participant (rescans), as they are and with one of them
// resampled, the agreement and likeness that check decides by; and how far the noise of a rescan without
// any motion could agree, if it were everywhere as low as in the quietest quarter of that brain.
#include <stdio.h>

#include "alterations.h"
#include "core/file.h"
#include "core/order.h"
#include "engine/pairs.h"
#include "evaluate/copies.h"
#include "image/nifti_save.h"
#include "measure/likely.h"
#include "samebrain/samebrain.h"

typedef struct kind {
  const char *name;
  double levels;           // of integers, up to the brightest voxel
  double gamma, bias, snr; // 0: none
  sb_save_type type;
  bool turned, tighter;
  double mm, degrees; // of other voxels; 0 mm: none
  bool cubic;
} kind;

static const kind KINDS[] = {
    {.name = "turned, float32", .type = SB_SAVE_FLOAT32, .turned = true},
    {.name = "turned, int16 of 3000 levels", .type = SB_SAVE_INT16, .levels = 3000, .turned = true},
    {.name = "uint8", .type = SB_SAVE_UINT8, .levels = 255},
    {.name = "stripped tighter", .type = SB_SAVE_FLOAT32, .tighter = true},
    {.name = "bias field of 20 %", .type = SB_SAVE_FLOAT32, .bias = 0.2},
    {.name = "gamma 0.8", .type = SB_SAVE_FLOAT32, .gamma = 0.8},
    {.name = "gamma 1.25", .type = SB_SAVE_FLOAT32, .gamma = 1.25},
    {.name = "gamma 0.8, 1 % noise", .type = SB_SAVE_FLOAT32, .gamma = 0.8, .snr = 100},
    {.name = "gamma 0.8, 2 % noise", .type = SB_SAVE_FLOAT32, .gamma = 0.8, .snr = 50},
    {.name = "gamma 1.25, 2 % noise", .type = SB_SAVE_FLOAT32, .gamma = 1.25, .snr = 50},
    {.name = "gamma 0.8, 5 % noise", .type = SB_SAVE_FLOAT32, .gamma = 0.8, .snr = 20},
    {.name = "1 mm, shifted, uint8", .type = SB_SAVE_UINT8, .levels = 255, .mm = 1},
    {.name = "1 mm, 8 degrees", .type = SB_SAVE_FLOAT32, .mm = 1, .degrees = 8},
    {.name = "1 mm, 8 degrees, cubic",
     .type = SB_SAVE_FLOAT32,
     .mm = 1,
     .degrees = 8,
     .cubic = true},
    {.name = "0.8 mm", .type = SB_SAVE_FLOAT32, .mm = 0.8},
    {.name = "1.2 mm, 5 degrees", .type = SB_SAVE_FLOAT32, .mm = 1.2, .degrees = 5},
    {.name = "1.5 mm, 5 degrees", .type = SB_SAVE_FLOAT32, .mm = 1.5, .degrees = 5},
    {.name = "1 mm, 8 degrees, gamma 0.8",
     .type = SB_SAVE_FLOAT32,
     .gamma = 0.8,
     .mm = 1,
     .degrees = 8,
     .cubic = true},
    {.name = "1 mm, 8 degrees, 1 % noise",
     .type = SB_SAVE_FLOAT32,
     .mm = 1,
     .degrees = 8,
     .snr = 100},
};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_duplicates: %s\n", status.message);
  exit(1);
}

static double brightest(const sb_volume *v) {
  float most = 0;
  for (int64_t i = 0; i < voxel_count(v); i++) most = fmaxf(most, v->voxels[i]);
  return (double)most;
}

static void write_copy(const kind *k, const sb_volume *scan, uint64_t seed, const char *path) {
  static const int axis[3] = {2, 0, 1};
  static const bool flip[3] = {true, false, true};
  sb_volume v;
  must(k->turned ? turned_volume(scan, axis, flip, &v) : copy_volume(scan, &v));
  if (k->tighter) must(alter_strip(false, seed, &v));
  if (k->mm > 0) must(alter_voxels(k->mm, k->degrees, k->cubic, seed, &v));
  if (k->bias > 0) must(alter_bias(k->bias, seed, &v));
  if (k->gamma > 0) alter_gamma(k->gamma, &v);
  if (k->snr > 0) alter_noise(k->snr, seed, &v);
  must(sb_volume_save_as(&v, path, k->type, k->levels > 0 ? brightest(&v) / k->levels : 1, 0));
  sb_volume_free(&v);
}

// ---- A rescan without motion --------------------------------------------------------------------

// Variance of the noise that is compared, in cubes of 6 voxels within the brain: the share of it that
// is more than in the quietest quarter.
static double motionless_bound(const sb_volume *v) {
  enum { SIDE = 6 };
  const int64_t row = v->dims[0], slice = row * v->dims[1];
  double *cubes = NULL, sum = 0;
  int64_t count = 0;
  must(SB_NEW(&cubes, voxel_count(v) / (SIDE * SIDE * SIDE) + 1, "cubes"));
  for (int64_t z = 1; z + SIDE < v->dims[2]; z += SIDE)
    for (int64_t y = 1; y + SIDE < v->dims[1]; y += SIDE)
      for (int64_t x = 1; x + SIDE < v->dims[0]; x += SIDE) {
        double squares = 0;
        bool inside = true;
        for (int64_t i = 0; i < SIDE * SIDE * SIDE && inside; i++) {
          const float *at = v->voxels + x + i % SIDE + row * (y + i / SIDE % SIDE) +
                            slice * (z + i / SIDE / SIDE);
          const float around[6] = {at[-1], at[1], at[-row], at[row], at[-slice], at[slice]};
          double mean = 0;
          for (int s = 0; s < 6; s++) {
            inside = inside && around[s] > 0;
            mean += (double)around[s] / 6;
          }
          squares += ((double)*at - mean) * ((double)*at - mean);
        }
        if (inside) sum += cubes[count++] = squares;
      }
  qsort(cubes, (size_t)count, sizeof *cubes, sb_order_doubles);
  double bound = 1 - cubes[count / 4] * (double)count / sum;
  free(cubes);
  return bound;
}

// ---- All ----------------------------------------------------------------------------------------

typedef struct range {
  int count, copies, compared, resampled;
  double least_noise, most_noise, least_resampled, most_resampled, least_row, most_row;
} range;

static void add(range *r, const sb_case *c, double row) {
  if (r->count++ == 0)
    *r = (range){.count = 1,
                 .least_noise = INFINITY,
                 .most_noise = -INFINITY,
                 .least_resampled = INFINITY,
                 .most_resampled = -INFINITY,
                 .least_row = INFINITY,
                 .most_row = -INFINITY};
  r->copies += c->copy;
  r->least_row = fmin(r->least_row, row);
  r->most_row = fmax(r->most_row, row);
  if (c->compared == SB_COMPARED_NOISE) {
    r->compared++;
    r->least_noise = fmin(r->least_noise, c->agreement);
    r->most_noise = fmax(r->most_noise, c->agreement);
  } else if (c->compared == SB_COMPARED_RESAMPLED) {
    r->resampled++;
    r->least_resampled = fmin(r->least_resampled, c->agreement);
    r->most_resampled = fmax(r->most_resampled, c->agreement);
  }
}

static void print_range(int count, double least, double most) {
  if (count > 0)
    printf("%8.3f to %5.3f ", least, most);
  else
    printf("%17s ", "-");
}

static void print(const char *name, const range *r) {
  if (r->count == 0) return;
  printf("%-30s %4d ", name, r->count);
  print_range(r->compared, r->least_noise, r->most_noise);
  print_range(r->resampled, r->least_resampled, r->most_resampled);
  printf("%9.5f to %7.5f %6d\n", r->least_row, r->most_row, r->copies);
}

// Scans and their copies by name: "0000-00" is the first scan, "0000-01" its first copy.
static void list_all(const sb_scan_list *scans, const char *folder, sb_scan *list) {
  double least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < scans->count; i++) {
    sb_volume v;
    must(sb_volume_load(scans->scans[i].source_path, &v, NULL));
    double bound = motionless_bound(&v);
    least = fmin(least, bound);
    most = fmax(most, bound);
    for (size_t k = 0; k <= KIND_COUNT; k++) {
      sb_scan *scan = list + i * (KIND_COUNT + 1) + k;
      *scan = (sb_scan){"bench", sb_format("%04zu-%02zu", i, k), "", "", NULL, ""};
      scan->source_path =
          k == 0 ? scans->scans[i].source_path : sb_format("%s/%s.nii.gz", folder, scan->scan_id);
      if (k > 0) write_copy(KINDS + k - 1, &v, i + 1, scan->source_path);
    }
    sb_volume_free(&v);
  }
  printf("A rescan without any motion would agree to at most %.2f to %.2f.\n\n", least, most);
}

static void compare(const sb_store *store, const sb_scan_list *scans) {
  const int64_t step = KIND_COUNT + 1, count = (int64_t)scans->count, most = count * count * step;
  range copies[KIND_COUNT + 1] = {0}, rescans[KIND_COUNT + 1] = {0};
  sb_cases cases = {0};
  sb_pair *pairs;
  double *rows;
  int64_t missing;
  must(SB_NEW_ZERO(&cases.items, most, "pairs"));
  must(SB_NEW(&pairs, most, "pairs"));
  must(SB_NEW(&rows, most, "scores"));
  for (int64_t i = 0; i < count; i++) {
    for (int64_t k = 1; k < step; k++) pairs[cases.count++] = (sb_pair){i * step, i * step + k};
    for (int64_t j = i + 1; j < count; j++)
      if (strcmp(scans->scans[i].participant, scans->scans[j].participant) == 0 &&
          strcmp(scans->scans[i].dataset, scans->scans[j].dataset) == 0)
        for (int64_t k = 0; k < step; k++)
          if (k == 0 || KINDS[k - 1].mm > 0)
            pairs[cases.count++] = (sb_pair){i * step, j * step + k};
  }
  for (int64_t i = 0; i < cases.count; i++)
    cases.items[i] = (sb_case){.a = pairs[i].probe, .b = pairs[i].gallery};
  must(sb_find_copies(store, NULL, 0, 0, NULL, &cases, &missing));
  must(sb_score_pairs(store, store, sb_measure_row_find(SB_LIKELY_MEASURE), NULL, pairs,
                      cases.count, rows));
  for (int64_t i = 0; i < cases.count; i++)
    add((pairs[i].probe / step == pairs[i].gallery / step ? copies : rescans) +
            pairs[i].gallery % step,
        cases.items + i, rows[i]);
  printf("%-30s %4s %17s %17s %20s %6s\n", "", "n", "noise agrees", "resampled agrees",
         "rows (bandpass)", "copies");
  for (int k = 0; k < KIND_COUNT; k++) print(KINDS[k].name, copies + k + 1);
  print("rescans", rescans);
  for (int k = 0; k < KIND_COUNT; k++) {
    char *name = sb_format("rescans: %s", KINDS[k].name);
    print(name, rescans + k + 1);
    free(name);
  }
  free(cases.items);
  free(pairs);
  free(rows);
}

int main(int argc, char **argv) {
  char folder[] = "/tmp/samebrain-duplicates-XXXXXX";
  sb_template_options template_options = sb_template_options_default();
  sb_prepare_options options = sb_prepare_options_default();
  sb_ingest_options ingest = sb_ingest_options_default();
  sb_template *t;
  sb_preparer *preparer;
  sb_scan_list scans, all = {0};
  sb_ingest_summary summary;
  sb_store *store;
  if (argc < 2) {
    fputs("usage: bench_duplicates SCAN...\n", stderr);
    return 2;
  }
  if (mkdtemp(folder) == NULL) must(sb_error(SB_IO, "no temporary folder"));
  must(sb_template_load(&template_options, &t));
  must(sb_preparer_create(t, &options, &preparer));
  must(sb_scan_list_find((const char *const *)(argv + 1), (size_t)argc - 1, NULL, &scans));
  must(SB_NEW(&all.scans, scans.count * (KIND_COUNT + 1), "scans"));
  all.count = scans.count * (KIND_COUNT + 1);
  list_all(&scans, folder, all.scans);
  char *path = sb_format("%s/store", folder);
  must(sb_ingest(path, t, preparer, &all, &ingest, NULL, &summary));
  if (summary.failed > 0) must(sb_error(SB_CONTENT, "a copy could not be prepared"));
  must(sb_store_open(path, &store));
  compare(store, &scans);
  sb_store_close(store);
  char *command = sb_format("rm -rf '%s'", folder);
  return system(command) == 0 ? 0 : 1;
}
