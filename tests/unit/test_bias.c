// The bias field: known fields put on the template and on real scans must come off again, an even
// image must stay as it is, and the result must not depend on threads. Ranks and what a row holds
// outside the brain are here too.
#include "../../bench/alterations.h"
#include "../../bench/steps.h"
#include "colin.h"
#include "core/file.h"
#include "prepare/bias.h"
#include "prepare/harmonise.h"
#include "prepare/template.h"

#define DATA SAMEBRAIN_SOURCE_DIR "/../shared/data/"

// ---- N4 -----------------------------------------------------------------------------------------

// Standard deviation over the brain of `found` minus `known`.
static double deviation(const sb_template *t, const float *found, const float *known) {
  double sum = 0, squares = 0, n = (double)t->row_length;
  for (int64_t i = 0; i < t->row_length; i++) {
    const int64_t at = t->row_index[i];
    double d = (double)found[at] - (known != NULL ? (double)known[at] : 0);
    sum += d;
    squares += d * d;
  }
  return sqrt(squares / n - sum / n * (sum / n));
}

// The template on the rows' grid times exp(field).
static void times_field(const sb_template *t, const float *field, sb_volume *out) {
  must(copy_volume(&t->row_image, out));
  for (int64_t i = 0; i < voxel_count(out); i++) out->voxels[i] *= expf(field[i]);
}

// What is found on the template as it is: its own field, and what cannot be told from one.
static float *field_at_rest(const sb_template *t) {
  float *field = NULL;
  must(SB_NEW(&field, voxel_count(&t->row_image), "field"));
  must(sb_bias_estimate(&t->row_image, t->resolution_mm, t->row_mask, field));
  return field;
}

// Three tissues, each of one intensity and with noise of 5 %, where the template has them: no field.
static void even_image_stays(void **state) {
  fixture *f = *state;
  NEED_TEMPLATE(f);
  float *field = field_at_rest(f->t);
  const double own = deviation(f->t, field, NULL);
  sb_volume tissues;
  uint64_t seed = 1;
  must(copy_volume(&f->t->row_image, &tissues));
  const float mean = (float)brain_mean(&tissues);
  for (int64_t i = 0; i < voxel_count(&tissues); i++) {
    const float bright = tissues.voxels[i] / expf(field[i]) / mean;
    const float tissue = bright < 0.75f ? 0.4f : bright < 1.05f ? 0.8f : 1.15f;
    if (f->t->row_mask[i] != 0) tissues.voxels[i] = tissue * (float)(1 + 0.05 * normal(&seed));
  }
  must(sb_bias_estimate(&tissues, f->t->resolution_mm, f->t->row_mask, field));
  const double even = deviation(f->t, field, NULL);
  printf("field of three even tissues: %.2f %%, of the template as it is: %.2f %%\n", 100 * even,
         100 * own);
  assert_true(even < 0.015);
  assert_true(own < 0.05);
  free(field);
  sb_volume_free(&tissues);
}

static void known_fields_come_off(void **state) {
  static const double STRENGTH[] = {0.10, 0.25, 0.50};
  fixture *f = *state;
  NEED_TEMPLATE(f);
  const int64_t n = voxel_count(&f->t->row_image);
  float *rest = field_at_rest(f->t), *found = NULL;
  must(SB_NEW(&found, n, "field"));
  for (int s = 0; s < 3; s++) {
    double worst = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
      float *known;
      sb_volume image;
      must(random_field(&f->t->row_image, 2, seed, &known));
      for (int64_t i = 0; i < n; i++) known[i] *= (float)log1p(STRENGTH[s]);
      times_field(f->t, known, &image);
      must(sb_bias_estimate(&image, f->t->resolution_mm, f->t->row_mask, found));
      const double before = deviation(f->t, known, NULL);
      for (int64_t i = 0; i < n; i++) found[i] -= rest[i];
      worst = fmax(worst, deviation(f->t, found, known) / before);
      free(known);
      sb_volume_free(&image);
    }
    printf("field of %2.0f %%: at most %.0f %% of it left\n", 100 * STRENGTH[s], 100 * worst);
    assert_true(worst < 0.25);
  }
  free(rest);
  free(found);
}

static void little_brain_has_no_field(void **state) {
  fixture *f = *state;
  NEED_TEMPLATE(f);
  const int64_t n = voxel_count(&f->t->row_image);
  uint8_t *corner = calloc((size_t)n, 1);
  float *field = NULL;
  must(SB_NEW(&field, n, "field"));
  must(sb_bias_estimate(&f->t->row_image, f->t->resolution_mm, corner, field));
  for (int64_t i = 0; i < n; i++) assert_true(field[i] == 0);
  free(corner);
  free(field);
}

// An image of one grey has nothing to sharpen.
static void one_grey_has_no_field(void **state) {
  fixture *f = *state;
  NEED_TEMPLATE(f);
  sb_volume flat;
  must(copy_volume(&f->t->row_image, &flat));
  for (int64_t i = 0; i < voxel_count(&flat); i++) flat.voxels[i] = 7;
  float *field = NULL;
  must(SB_NEW(&field, voxel_count(&flat), "field"));
  must(sb_bias_estimate(&flat, f->t->resolution_mm, f->t->row_mask, field));
  for (int64_t i = 0; i < voxel_count(&flat); i++) assert_true(field[i] == 0);
  sb_volume_free(&flat);
  free(field);
}

// ---- The row ------------------------------------------------------------------------------------

static double correlation(int64_t length, const float *a, const float *b) {
  double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0, n = (double)length;
  for (int64_t i = 0; i < length; i++) {
    double x = (double)a[i], y = (double)b[i];
    sa += x;
    sb += y;
    saa += x * x;
    sbb += y * y;
    sab += x * y;
  }
  return (sab - sa * sb / n) / sqrt((saa - sa * sa / n) * (sbb - sb * sb / n));
}

// Prepares a scan and a copy with a field of 40 %, placed alike; 1 minus the correlation of the
// rows.
static double row_changes(const fixture *f, const sb_volume *scan, sb_bias bias) {
  sb_prepare_options options = sb_prepare_options_default();
  sb_brain brain = {0}, spoiled_brain = {0};
  sb_alignment alignment, spoiled_alignment;
  sb_prepared row = {0}, spoiled_row = {0};
  sb_volume spoiled;
  options.bias = bias;
  must(copy_volume(scan, &spoiled));
  must(alter_bias(0.4, 5, &spoiled));
  must(place_brain(f->preparer, scan, &brain, &alignment));
  must(place_brain(f->preparer, &spoiled, &spoiled_brain, &spoiled_alignment));
  must(make_row(f->preparer, &options, &brain, &alignment, &row));
  must(make_row(f->preparer, &options, &spoiled_brain, &spoiled_alignment, &spoiled_row));
  const double change = 1 - correlation(f->t->row_length, row.row, spoiled_row.row);
  sb_prepared_free(&row);
  sb_prepared_free(&spoiled_row);
  sb_brain_free(&brain);
  sb_brain_free(&spoiled_brain);
  sb_volume_free(&spoiled);
  return change;
}

static void rows_lose_the_field(const fixture *f, const char *path) {
  sb_volume scan;
  must(sb_volume_load(path, &scan, NULL));
  const double off = row_changes(f, &scan, SB_BIAS_OFF), n4 = row_changes(f, &scan, SB_BIAS_N4),
               gain = row_changes(f, &scan, SB_BIAS_GAIN);
  printf("1 - r under a field of 40 %%: off %.4f, n4 %.4f, gain %.4f\n", off, n4, gain);
  assert_true(n4 < 0.25 * off);
  // The gain also takes up how the scan's contrast differs from the template's: only on the template
  // itself is it sure to help.
  assert_true(gain < off || strcmp(path, sb_template_path(f->t)) != 0);
  sb_volume_free(&scan);
}

static void template_row_loses_the_field(void **state) {
  fixture *f = *state;
  NEED_TEMPLATE(f);
  rows_lose_the_field(f, sb_template_path(f->t));
}

static void real_rows_lose_the_field(void **state) {
  static const char *const SCANS[] = {
      DATA "oasis/sub-OAS10040/ses-01/anat/sub-OAS10040_ses-01_T1w.nii.gz",
      DATA "ds002748/sub-06/ses-01/anat/sub-06_ses-01_T1w.nii.gz"};
  fixture *f = *state;
  NEED_TEMPLATE(f);
  if (!sb_is_file(SCANS[0])) {
    printf("no real scans here\n");
    skip();
  }
  for (size_t i = 0; i < sizeof SCANS / sizeof *SCANS; i++) rows_lose_the_field(f, SCANS[i]);
}

// The same scan prepared by many threads at once: the same bytes.
static void same_bytes(void **state) {
  enum { TIMES = 4 };
  fixture *f = *state;
  NEED_TEMPLATE(f);
  sb_volume scan;
  sb_prepared prepared[TIMES];
  sb_status failure = sb_ok();
  must(sb_volume_load(sb_template_path(f->t), &scan, NULL));
  must(alter_bias(0.3, 9, &scan));
#pragma omp parallel for num_threads(TIMES)
  for (int i = 0; i < TIMES; i++) {
    sb_status status = sb_prepare_volume(f->preparer, &scan, &prepared[i]);
#pragma omp critical
    if (status.code != SB_OK) failure = status;
  }
  must(failure);
  for (int i = 0; i < TIMES; i++) {
    assert_memory_equal(prepared[i].row, prepared[0].row, (size_t)f->t->row_length * sizeof(float));
    if (i > 0) sb_prepared_free(&prepared[i]);
  }
  sb_prepared_free(&prepared[0]);
  sb_volume_free(&scan);
}

static void parameters_name_the_choice(void **state) {
  static const sb_bias KIND[] = {SB_BIAS_AUTO, SB_BIAS_N4, SB_BIAS_GAIN, SB_BIAS_OFF};
  static const char *const NAME[] = {"bias=n4 ", "bias=n4 ", "bias=gain ", "bias=off "};
  fixture *f = *state;
  NEED_TEMPLATE(f);
  for (int i = 0; i < 4; i++) {
    sb_prepare_options options = sb_prepare_options_default();
    sb_preparer *p;
    options.bias = KIND[i];
    must(sb_preparer_create(f->t, &options, &p));
    assert_non_null(strstr(sb_preparer_parameters(p), NAME[i]));
    sb_preparer_free(p);
  }
  sb_prepare_options wrong = sb_prepare_options_default();
  sb_preparer *p;
  wrong.smooth_mm = -1;
  assert_int_equal(sb_preparer_create(f->t, &wrong, &p).code, SB_USAGE);
  wrong = sb_prepare_options_default();
  wrong.outside = (sb_outside)9;
  assert_int_equal(sb_preparer_create(f->t, &wrong, &p).code, SB_USAGE);
}

// ---- Outside the brain --------------------------------------------------------------------------

// The template with everything more than 40 mm to the left cut off.
static void outside_holds_what_it_says(void **state) {
  fixture *f = *state;
  NEED_TEMPLATE(f);
  sb_volume scan;
  sb_brain brain = {0};
  sb_alignment alignment;
  must(sb_volume_load(sb_template_path(f->t), &scan, NULL));
  for (int64_t i = 0; i < voxel_count(&scan); i++)
    if (scan.affine[3] + scan.affine[0] * (double)(i % scan.dims[0]) < -40) scan.voxels[i] = 0;
  must(place_brain(f->preparer, &scan, &brain, &alignment));
  for (int kind = SB_OUTSIDE_SCAN; kind <= SB_OUTSIDE_FALLOFF; kind++) {
    sb_prepare_options options = sb_prepare_options_default();
    sb_prepared prepared;
    options.outside = (sb_outside)kind;
    must(make_row(f->preparer, &options, &brain, &alignment, &prepared));
    double sum = 0, squares = 0, both = 0, count = 0;
    for (int64_t i = 0; i < f->t->row_length; i++) {
      const int64_t at = f->t->row_index[i];
      const double x = (double)(at % f->t->row_image.dims[0]) * f->t->row_image.affine[0] +
                       f->t->row_image.affine[3];
      if (x > -50) continue; // well outside the cut, alignment's shift included
      const double v = (double)prepared.row[i];
      sum += v;
      squares += v * v;
      both += v * (double)f->t->row_image.voxels[at];
      count++;
    }
    assert_true(count > 1000);
    const double mean = sum / count, rms = sqrt(squares / count);
    if (kind == SB_OUTSIDE_SCAN) assert_true(mean < -1.5); // black
    if (kind == SB_OUTSIDE_MEAN) assert_true(rms == 0);
    if (kind == SB_OUTSIDE_TEMPLATE) assert_true(rms > 0.3 && both != 0);
    if (kind == SB_OUTSIDE_FALLOFF) assert_true(rms < 0.2);
    sb_prepared_free(&prepared);
  }
  sb_brain_free(&brain);
  sb_volume_free(&scan);
}

// ---- Ranks --------------------------------------------------------------------------------------

static void ranks_become_normal(void **state) {
  (void)state;
  enum { N = 10000 };
  static float row[N], expected[N];
  static uint8_t brain[N];
  uint64_t seed = 3;
  for (int i = 0; i < N; i++) {
    expected[i] = (float)normal(&seed);
    row[i] = expf(3 * expected[i]); // any monotone change
    brain[i] = 1;
  }
  must(sb_harmonise_row(SB_HARMONISE_RANK, 0, NULL, N, brain, row));
  double squares = 0;
  for (int i = 0; i < N; i++) {
    squares += (double)row[i] * (double)row[i] / N;
    assert_true(fabsf(row[i] - expected[i]) < 0.1f || fabsf(expected[i]) > 2);
  }
  assert_true(fabs(squares - 1) < 0.01);
}

static void ties_share_a_rank(void **state) {
  (void)state;
  float row[] = {1, 2, 2, 2, 3, -9, 9};
  const uint8_t brain[] = {1, 1, 1, 1, 1, 0, 0}; // the last two are outside: beyond either end
  must(sb_harmonise_row(SB_HARMONISE_RANK, 0, NULL, 7, brain, row));
  assert_true(row[1] == row[2] && row[2] == row[3]);
  assert_true(fabsf(row[1]) < 1e-3f);                                              // in the middle
  assert_true(fabsf(row[0] + 1.2816f) < 1e-3f && fabsf(row[4] - 1.2816f) < 1e-3f); // of 1/10, 9/10
  assert_true(row[5] == row[0] && row[6] == row[4]);
}

static void one_value_has_no_ranks(void **state) {
  (void)state;
  float row[] = {4, 4, 4};
  const uint8_t brain[] = {1, 1, 1};
  assert_int_equal(sb_harmonise_row(SB_HARMONISE_RANK, 0, NULL, 3, brain, row).code, SB_CONTENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(even_image_stays),
      cmocka_unit_test(known_fields_come_off),
      cmocka_unit_test(little_brain_has_no_field),
      cmocka_unit_test(one_grey_has_no_field),
      cmocka_unit_test(template_row_loses_the_field),
      cmocka_unit_test(real_rows_lose_the_field),
      cmocka_unit_test(same_bytes),
      cmocka_unit_test(parameters_name_the_choice),
      cmocka_unit_test(outside_holds_what_it_says),
      cmocka_unit_test(ranks_become_normal),
      cmocka_unit_test(ties_share_a_rank),
      cmocka_unit_test(one_value_has_no_ranks),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
