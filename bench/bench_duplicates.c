// What tells a copy from a rescan: agreement of the voxels' noise, and likeness of the rows.
//
//   bench_duplicates SCAN...
//
// Each SCAN is copied in several ways, into a temporary folder that is deleted afterwards. Prints for
// each kind of copy, and for SCANs of one participant (rescans), as they are and with one of them
// resampled, the agreement and likeness that check decides by, and the processor time that takes a pair; and
// how far the noise of a rescan without any motion could agree, if it were everywhere as low as in the
// quietest quarter of that brain.
#include "alterations.h"
#include "copies.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/order.h"
#include "engine/pairs.h"
#include "evaluate/copies.h"
#include "image/nifti_save.h"
#include "measure/likely.h"

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

static double brightest(const sb_volume *v) {
  float most = 0;
  for (int64_t i = 0; i < voxel_count(v); i++) most = fmaxf(most, v->voxels[i]);
  return (double)most;
}

static void write_copy(const sb_volume *scan, size_t i, int64_t copy, const char *path) {
  const kind *k = KINDS + copy - 1;
  const uint64_t seed = i + 1;
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

// Of all scans.
static void print_motionless_bounds(const sb_scan_list *scans) {
  double least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < scans->count; i++) {
    sb_volume v;
    must(sb_volume_load(scans->scans[i].source_path, &v, NULL));
    const double bound = motionless_bound(&v);
    least = fmin(least, bound);
    most = fmax(most, bound);
    sb_volume_free(&v);
  }
  printf("A rescan without any motion would agree to at most %.2f to %.2f.\n\n", least, most);
}

// ---- All ----------------------------------------------------------------------------------------

typedef struct range {
  int count;
  double least, most;
} range;

static void add(range *r, double value) {
  r->least = r->count == 0 ? value : fmin(r->least, value);
  r->most = r->count == 0 ? value : fmax(r->most, value);
  r->count++;
}

static void print_range(const range *r) {
  if (r->count > 0)
    printf("%8.3f to %5.3f ", r->least, r->most);
  else
    printf("%17s ", "-");
}

// A line for some pairs: how they agree, and what comparing one takes a core, reading both files included.
static void compare(const char *name, const sb_store *store, const sb_pair *pairs, int64_t count) {
  range noise = {0}, resampled = {0}, likeness = {0};
  sb_cases cases = {.count = count};
  double *rows;
  int64_t missing;
  int copies = 0;
  if (count == 0) return;
  must(SB_NEW_ZERO(&cases.items, count, "pairs"));
  must(SB_NEW(&rows, count, "scores"));
  for (int64_t i = 0; i < count; i++)
    cases.items[i] = (sb_case){.a = pairs[i].probe, .b = pairs[i].gallery};
  const double start = sb_clock_s(CLOCK_PROCESS_CPUTIME_ID);
  must(sb_find_copies(store, NULL, 0, 1, NULL, &cases, &missing));
  const double seconds = sb_clock_s(CLOCK_PROCESS_CPUTIME_ID) - start;
  must(sb_score_pairs(store, store, sb_measure_row_find(SB_LIKELY_MEASURE), NULL, pairs, count,
                      rows));
  for (int64_t i = 0; i < count; i++) {
    const sb_case *c = cases.items + i;
    copies += c->copy;
    add(&likeness, rows[i]);
    if (c->compared == SB_COMPARED_NOISE) add(&noise, c->agreement);
    if (c->compared == SB_COMPARED_RESAMPLED) add(&resampled, c->agreement);
  }
  printf("%-38s %4lld ", name, (long long)count);
  print_range(&noise);
  print_range(&resampled);
  printf("%9.5f to %7.5f %6d %8.2f\n", likeness.least, likeness.most, copies,
         seconds / (double)count);
  free(cases.items);
  free(rows);
}

// The pairs of scans and their copies number `copy`, 0 being themselves; or of scans and such copies of another
// one of the same person. Returns how many.
static int64_t list_pairs(const copied *c, int64_t copy, bool rescans, sb_pair *pairs) {
  const int64_t scans = (int64_t)c->scans.count;
  int64_t count = 0;
  for (int64_t i = 0; i < scans; i++) {
    if (!rescans) pairs[count++] = (sb_pair){i * c->each, i * c->each + copy};
    for (int64_t j = i + 1; rescans && j < scans; j++)
      if (copies_of_one_person(c, i, j))
        pairs[count++] = (sb_pair){i * c->each, j * c->each + copy};
  }
  return count;
}

int main(int argc, char **argv) {
  copied c;
  sb_pair *pairs;
  copies_open(argc, argv, KIND_COUNT, write_copy, &c);
  print_motionless_bounds(&c.scans);
  must(SB_NEW(&pairs, c.scans.count * c.scans.count, "pairs"));
  printf("%-38s %4s %17s %17s %20s %6s %8s\n", "", "n", "noise agrees", "resampled agrees",
         "rows (bandpass)", "copies", "s a pair");
  for (int k = 0; k < KIND_COUNT; k++)
    compare(KINDS[k].name, c.store, pairs, list_pairs(&c, k + 1, false, pairs));
  compare("rescans", c.store, pairs, list_pairs(&c, 0, true, pairs));
  for (int k = 0; k < KIND_COUNT; k++) {
    char *name = sb_format("rescans: %s", KINDS[k].name);
    if (KINDS[k].mm > 0) compare(name, c.store, pairs, list_pairs(&c, k + 1, true, pairs));
    free(name);
  }
  free(pairs);
  return copies_close(&c);
}
