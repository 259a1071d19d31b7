// Mirror images of rows: how they are sampled, where the template's map takes a point, and a link of them.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/geometry.h"
#include "core/half.h"
#include "core/memory.h"
#include "core/tsv.h"
#include "engine/rows.h"
#include "samebrain/samebrain.h"
#include "scratch.h"
#include "store/mirror.h"

static char *scratch;
static sb_store *store, *mirrored;
static sb_grid grid;

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

static bool failed(sb_status status) {
  if (status.code != SB_OK) print_error("%s\n", status.message);
  return status.code != SB_OK;
}

// Two synthetic people scanned twice, on a coarse grid.
static int make_store(void **state) {
  (void)state;
  scratch = scratch_folder();
  if (scratch == NULL) return -1;
  char *folder = sb_format("%s/cohort", scratch), *path = sb_format("%s/store", scratch);
  char *image = sb_format("%s/template_T1w.nii.gz", folder);
  sb_synth_options synth = sb_synth_options_default();
  sb_template_options options = sb_template_options_default();
  const sb_prepare_options prepare = sb_prepare_options_default();
  const sb_ingest_options ingest = sb_ingest_options_default();
  sb_ingest_summary summary;
  sb_template *brain = NULL;
  sb_preparer *preparer = NULL;
  sb_scan_list scans = {0};
  synth.subjects = 2;
  synth.base = "procedural";
  synth.voxel_mm = 2.5;
  options.image_path = image;
  options.resolution_mm = 4;
  const bool bad =
      failed(sb_synth(folder, &synth, NULL)) || failed(sb_template_load(&options, &brain)) ||
      failed(sb_preparer_create(brain, &prepare, &preparer)) ||
      failed(sb_scan_list_find((const char *const *)&folder, 1, NULL, &scans)) ||
      failed(sb_ingest(path, brain, preparer, &scans, &ingest, NULL, &summary)) ||
      failed(sb_store_open(path, &store)) || failed(sb_store_mirrored(store, &mirrored));
  sb_scan_list_free(&scans);
  sb_preparer_free(preparer);
  sb_template_free(brain);
  free(folder);
  free(path);
  free(image);
  if (!bad) grid = sb_store_grid(store);
  return bad ? -1 : 0;
}

static int remove_store(void **state) {
  (void)state;
  sb_store_close(mirrored);
  sb_store_close(store);
  const int result = remove_folder(scratch);
  free(scratch);
  return result;
}

// ---- Sampling -----------------------------------------------------------------------------------

// The store's mirror, but for the map: voxel (i, j, k) to (scale i + shift, j, k).
static sb_mirror mirror_by(double scale, double shift) {
  sb_mirror m = *sb_store_mirror(mirrored);
  sb_affine_identity(m.map);
  m.map[0] = scale;
  m.map[3] = shift;
  return m;
}

// The row's place of a voxel of the grid; -1: not in the mask, or not on the grid.
static int64_t place_of(int64_t i, int64_t j, int64_t k) {
  if (i < 0 || i >= grid.dims[0]) return -1;
  const int64_t voxel = i + grid.dims[0] * (j + grid.dims[1] * k);
  int64_t place = 0;
  for (int64_t v = 0; v < voxel; v++) place += grid.mask[v];
  return grid.mask[voxel] ? place : -1;
}

// Rows of whole numbers, so that means of two are exact.
static uint16_t *make_row(double *mean) {
  uint16_t *row;
  assert_ok(SB_NEW(&row, grid.row_length, "row"));
  *mean = 0;
  for (int64_t v = 0; v < grid.row_length; v++) {
    row[v] = sb_half_from_float((float)(v * 7 % 1021));
    *mean += (double)(v * 7 % 1021) / (double)grid.row_length;
  }
  return row;
}

// Whether row `out` is `in` at (scale i + shift, j, k), along one line of voxels after the other.
static void assert_sampled(double scale, double shift) {
  const sb_mirror m = mirror_by(scale, shift);
  double mean;
  uint16_t *in = make_row(&mean);
  float *out;
  int64_t looked = 0, means = 0;
  assert_ok(SB_NEW(&out, grid.row_length, "row"));
  assert_ok(sb_mirror_row(&m, in, out));
  for (int64_t k = 0; k < grid.dims[2]; k += 3)
    for (int64_t j = 0; j < grid.dims[1]; j += 5)
      for (int64_t i = 0; i < grid.dims[0]; i += 2) {
        const int64_t place = place_of(i, j, k);
        if (place < 0) continue;
        const double at = scale * (double)i + shift;
        const int64_t low = place_of((int64_t)floor(at), j, k);
        const int64_t high = place_of((int64_t)floor(at) + 1, j, k);
        const double part = at - floor(at), left = low < 0 ? 0 : 1 - part;
        const double right = high < 0 ? 0 : part;
        double expected = left * (low < 0 ? 0 : (double)sb_half_to_float(in[low])) +
                          right * (high < 0 ? 0 : (double)sb_half_to_float(in[high]));
        expected = left + right > 0 ? expected / (left + right) : mean;
        means += left + right <= 0;
        looked++;
        if (fabs((double)out[place] - expected) > 1e-4 * (1 + fabs(expected)))
          fail_msg("(%d, %d, %d): %g, not %g", (int)i, (int)j, (int)k, (double)out[place],
                   expected);
      }
  assert_true(looked > 200);
  if (fabs(shift) > 1000) assert_int_equal(means, looked);
  free(in);
  free(out);
}

static void test_sampling(void **state) {
  (void)state;
  const double last = (double)(grid.dims[0] - 1);
  assert_sampled(1, 0);
  assert_sampled(-1, last);        // about the grid's middle
  assert_sampled(-1, last + 0.25); // between voxels
  assert_sampled(-1, last - 9.5);
  assert_sampled(-1, 0);    // but for one plane beyond the grid
  assert_sampled(1, 5000);  // nothing there
  assert_sampled(1, -5000); // nor there
}

static void test_masks(void **state) {
  (void)state;
  const sb_mirror m = mirror_by(-1, (double)(grid.dims[0] - 1) + 0.3); // to the nearest voxel
  const int64_t voxels = grid.dims[0] * grid.dims[1] * grid.dims[2], width = grid.dims[0];
  const uint8_t *own = sb_store_own_mask(store, 0);
  uint8_t *out;
  int64_t inside = 0;
  assert_ok(SB_NEW(&out, (voxels + 7) / 8, "mask"));
  sb_mirror_mask(&m, own, out);
  for (int64_t v = 0; v < voxels; v++) {
    const int64_t from = v - v % width + width - 1 - v % width;
    inside += (out[v / 8] >> (7 - v % 8)) & 1;
    assert_int_equal((out[v / 8] >> (7 - v % 8)) & 1, (own[from / 8] >> (7 - from % 8)) & 1);
  }
  assert_true(inside > 1000);
  free(out);
}

// ---- The map ------------------------------------------------------------------------------------

static void test_map(void **state) {
  (void)state;
  const sb_mirror *m = sb_store_mirror(mirrored);
  assert_null(sb_store_mirror(store));
  assert_true(sb_store_is_of(mirrored, store));
  assert_int_equal(m->row_length, grid.row_length);
  assert_true(sb_affine_determinant(m->map_mm) < 0);
  // A mirror image's mirror image is the thing itself, as far as alignment is right.
  double sum = 0, most = 0;
  for (int64_t k = 0; k < grid.dims[2]; k += 2)
    for (int64_t j = 0; j < grid.dims[1]; j += 2)
      for (int64_t i = 0; i < grid.dims[0]; i += 2) {
        const double voxel[3] = {(double)i, (double)j, (double)k};
        double there[3], back[3];
        if (place_of(i, j, k) < 0) continue;
        sb_affine_apply(m->map, voxel, there);
        sb_affine_apply(m->map, there, back);
        const double off = hypot(hypot(back[0] - voxel[0], back[1] - voxel[1]), back[2] - voxel[2]);
        sum += fabs(there[0] - (double)(grid.dims[0] - 1 - i));
        most = fmax(most, grid.voxel_mm * off);
      }
  assert_true(sum > 0);
  if (most > 6) fail_msg("twice mirrored, points are up to %.1f mm off", most);
}

// ---- A link -------------------------------------------------------------------------------------

static double score_of(const char *measure, int64_t probe, int64_t gallery) {
  const int64_t voxels = grid.dims[0] * grid.dims[1] * grid.dims[2];
  float *a, *b;
  uint8_t *mask;
  double score;
  assert_ok(SB_NEW(&a, grid.row_length, "row"));
  assert_ok(SB_NEW(&b, grid.row_length, "row"));
  assert_ok(SB_NEW(&mask, (voxels + 7) / 8, "mask"));
  assert_ok(sb_store_row_values(mirrored, probe, a));
  assert_ok(sb_store_row_values(store, gallery, b));
  sb_mirror_mask(sb_store_mirror(mirrored), sb_store_own_mask(store, probe), mask);
  const sb_scan_data one = {a, mask}, other = {b, sb_store_own_mask(store, gallery)};
  assert_ok(sb_measure_score_scans(measure, grid.dims, grid.voxel_mm, grid.mask, grid.row_length,
                                   &one, &other, &score));
  free(a);
  free(b);
  free(mask);
  return score;
}

// Every ordered pair but those of a scan with itself, by measures of rows, of pairs and of masks.
static void test_link(void **state) {
  (void)state;
  static const char *const measures[] = {"bandpass", "nmi", "outline"};
  sb_link_options options = sb_link_options_default();
  sb_link_summary summary;
  char *out = sb_format("%s/links", scratch), *path = sb_path_join(out, "matches.tsv");
  sb_tsv table;
  options.measures = measures;
  options.measure_count = 3;
  options.mirrored = true;
  assert_ok(sb_link(store, NULL, &options, out, NULL, &summary));
  const int64_t scans = sb_store_count(store);
  assert_int_equal(scans, 4);
  assert_int_equal(summary.pairs, scans * (scans - 1));
  assert_int_equal(summary.mated, scans); // each of two pairs from both sides
  assert_true(summary.mirrored);
  assert_ok(sb_tsv_read(path, &table));
  assert_int_equal(table.rows, 3 * scans * (scans - 1));
  for (size_t row = 0; row < table.rows; row++) {
    int64_t of[2] = {-1, -1};
    for (int64_t i = 0; i < scans; i++)
      for (size_t side = 0; side < 2; side++)
        if (strcmp(sb_store_record(store, i)->scan.scan_id,
                   sb_tsv_cell(&table, row, 2 * side + 1)) == 0)
          of[side] = i;
    assert_true(of[0] >= 0 && of[1] >= 0 && of[0] != of[1]);
    const double expected = score_of(sb_tsv_cell(&table, row, 4), of[0], of[1]);
    assert_true(fabs(strtod(sb_tsv_cell(&table, row, 6), NULL) - expected) <= 1e-9);
  }
  sb_tsv_free(&table);
  free(path);
  free(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sampling),
      cmocka_unit_test(test_masks),
      cmocka_unit_test(test_map),
      cmocka_unit_test(test_link),
  };
  return cmocka_run_group_tests(tests, make_store, remove_store);
}
