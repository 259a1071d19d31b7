// Whole heads through preparation: the brain that is cut out, which scans are taken as heads, and
// what is said when it fails. Here a sample; test_heads_long.c takes every real scan.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/file.h"
#include "prepare/pipeline.h"
#include "prepare/template.h"
#include "samebrain/measure.h"
#include "samebrain/store.h"

#include "head_cases.h"

#ifndef EVERY
#define EVERY 11 // scans: every so many-th gets a head
#define MOVED 2  // times Colin27's head is moved
#endif
#define DATA SAMEBRAIN_SOURCE_DIR "/../shared/data/"

typedef struct fixture {
  sb_template *t;
  sb_preparer *automatic, *stripped, *extract;
  sb_volume colin;    // Colin27's head
  sb_scan_list scans; // empty without the real scans
} fixture;

static void must(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s", status.message);
}

static void assert_fails(sb_status status, sb_code code, const char *part) {
  if (status.code != code || strstr(status.message, part) == NULL)
    fail_msg("expected %s with \"%s\", got %s: %s", sb_code_name(code), part,
             sb_code_name(status.code), status.message);
}

static sb_preparer *preparer_of(const sb_template *t, sb_brain_mode brain) {
  sb_prepare_options options = sb_prepare_options_default();
  sb_preparer *preparer = NULL;
  options.brain = brain;
  return sb_preparer_create(t, &options, &preparer).code == SB_OK ? preparer : NULL;
}

static int setup(void **state) {
  static const char *const inputs[] = {DATA "oasis", DATA "ds002748"};
  static fixture f;
  const sb_template_options options = sb_template_options_default();
  const sb_input_options input = {0};
  *state = &f;
  sb_status status = sb_template_load(&options, &f.t);
  if (status.code == SB_OK && f.t->head_path == NULL) {
    sb_template_free(f.t);
    f.t = NULL;
  }
  if (f.t == NULL) {
    printf("skipped: no template with a head: %s\n", status.message);
    return status.code == SB_OK || status.code == SB_NOT_FOUND ? 0 : -1;
  }
  f.automatic = preparer_of(f.t, SB_BRAIN_AUTO);
  f.stripped = preparer_of(f.t, SB_BRAIN_STRIPPED);
  f.extract = preparer_of(f.t, SB_BRAIN_EXTRACT);
  if (f.automatic == NULL || f.stripped == NULL || f.extract == NULL) return -1;
  if (sb_volume_load(f.t->head_path, &f.colin, NULL).code != SB_OK) return -1;
  if (!sb_is_folder(inputs[0])) {
    printf("skipped: no real scans at %s\n", DATA);
    return 0;
  }
  return sb_scan_list_find(inputs, 2, &input, &f.scans).code == SB_OK ? 0 : -1;
}

static int teardown(void **state) {
  fixture *f = *state;
  sb_scan_list_free(&f->scans);
  sb_volume_free(&f->colin);
  sb_preparer_free(f->automatic);
  sb_preparer_free(f->stripped);
  sb_preparer_free(f->extract);
  sb_template_free(f->t);
  return 0;
}

static double extracted_dice(const fixture *f, const sb_volume *scan, const uint8_t *mask) {
  sb_volume brain;
  double dice = 0;
  must(sb_prepare_extract(f->automatic, scan, &brain));
  must(dice_of(scan, mask, &brain, &dice));
  sb_volume_free(&brain);
  return dice;
}

// ---- Colin27's head -----------------------------------------------------------------------------

static void a_moved_and_noised_head(void **state) {
  const fixture *f = *state;
  if (f->t == NULL) skip();
  for (uint64_t seed = 1; seed <= MOVED; seed++) {
    sb_volume head;
    uint8_t *mask;
    must(moved_head(f->t, &f->colin, seed, &head, &mask));
    double dice = extracted_dice(f, &head, mask);
    printf("Colin27's head moved: Dice %.4f\n", dice);
    assert_true(dice >= 0.95);
    free(mask);
    sb_volume_free(&head);
  }
}

// ---- Heads around real brains -------------------------------------------------------------------

static double likeness(const fixture *f, const float *a, const float *b) {
  double score = 0;
  must(sb_measure_score("bandpass", sb_template_grid_dims(f->t), f->t->resolution_mm,
                        sb_template_mask(f->t), a, b, sb_template_row_length(f->t), &score));
  return score;
}

static bool same_person(const sb_scan *a, const sb_scan *b) {
  return strcmp(a->dataset, b->dataset) == 0 && strcmp(a->participant, b->participant) == 0;
}

// The largest likeness of a row to another person's stripped scan.
static double best_other(const fixture *f, size_t scan, const sb_prepared *rows, const float *row) {
  double best = -1;
  for (size_t k = 0; k < f->scans.count; k += EVERY)
    if (!same_person(&f->scans.scans[scan], &f->scans.scans[k]))
      best = fmax(best, likeness(f, rows[k].row, row));
  return best;
}

// A head built around each stripped scan gives its brain, and links to the stripped scan.
static void heads_around_real_brains(void **state) {
  const fixture *f = *state;
  if (f->t == NULL || f->scans.count == 0) skip();
  sb_prepared *rows = calloc(f->scans.count, sizeof *rows);
  sb_volume skin;
  double sum = 0, worst = 1, least_lead = 2;
  int cases = 0;
  assert_non_null(rows);
  must(skin_of(f->t, &f->colin, &skin));
  for (size_t i = 0; i < f->scans.count; i += EVERY)
    must(sb_prepare_file(f->stripped, f->scans.scans[i].source_path, &rows[i]));
  for (size_t i = 0; i < f->scans.count; i += EVERY, cases++) {
    sb_volume scan, head;
    sb_prepared from_head;
    uint8_t *mask;
    must(sb_volume_load(f->scans.scans[i].source_path, &scan, NULL));
    must(build_head(&scan, rows[i].template_to_scan, cases % 3 == 2 ? &skin : NULL, f->t->mask,
                    i + 1, &head, &mask));
    const double dice = extracted_dice(f, &head, mask);
    must(sb_prepare_volume(f->automatic, &head, &from_head));
    const double own = likeness(f, rows[i].row, from_head.row);
    const double other = best_other(f, i, rows, from_head.row);
    printf("%s: Dice %.3f, bandpass with its stripped scan %.3f, with others at most %.3f\n",
           f->scans.scans[i].scan_id, dice, own, other);
    assert_int_equal(from_head.quality.brain, SB_BRAIN_WAS_EXTRACTED);
    assert_true(from_head.quality.extraction_edge < 0.3);
    sum += dice;
    worst = fmin(worst, dice);
    least_lead = fmin(least_lead, own - other);
    sb_prepared_free(&from_head);
    sb_volume_free(&scan);
    sb_volume_free(&head);
    free(mask);
  }
  printf("%d heads: Dice mean %.4f, least %.4f; least lead over others %.3f\n", cases, sum / cases,
         worst, least_lead);
  for (size_t i = 0; i < f->scans.count; i++) sb_prepared_free(&rows[i]);
  free(rows);
  sb_volume_free(&skin);
  assert_true(sum / cases >= 0.95);
  assert_true(worst >= 0.90);
  assert_true(least_lead > 0.2);
}

// ---- What is taken for what ---------------------------------------------------------------------

// What may be done to Colin27's head without its row changing much.
static void times_0_7(sb_volume *v) {
  for (int k = 0; k < 12; k++) v->affine[k] *= 0.7;
}
static void times_1_3(sb_volume *v) {
  for (int k = 0; k < 12; k++) v->affine[k] *= 1.3;
}
static void upside_down(sb_volume *v) {
  static const double turned[12] = {0, 1, 0, 0, 0, 0, -1, 0, -1, 0, 0, 0};
  memcpy(v->affine, turned, sizeof turned);
}
static void background_7(sb_volume *v) {
  for (int64_t i = 0; i < voxels_of(v); i++) v->voxels[i] += 7;
}
static void offset_and_scaled(sb_volume *v) {
  for (int64_t i = 0; i < voxels_of(v); i++) v->voxels[i] = 0.01f * v->voxels[i] - 1000;
}
static void noisy_air(sb_volume *v) {
  uint64_t seed = 5;
  for (int64_t i = 0; i < voxels_of(v); i++)
    v->voxels[i] = hypotf(v->voxels[i] + 4 * (float)normal(&seed), 4 * (float)normal(&seed));
}
static void cut_at(sb_volume *v, int axis, int64_t first, int64_t end) {
  const int64_t old[3] = {v->dims[0], v->dims[1], v->dims[2]};
  float *to = v->voxels;
  int64_t low[3] = {0, 0, 0}, high[3] = {old[0], old[1], old[2]};
  low[axis] = first;
  high[axis] = end;
  for (int64_t z = low[2]; z < high[2]; z++)
    for (int64_t y = low[1]; y < high[1]; y++)
      for (int64_t x = low[0]; x < high[0]; x++) *to++ = v->voxels[x + old[0] * (y + old[1] * z)];
  v->dims[axis] = end - first;
  for (int i = 0; i < 3; i++) v->affine[4 * i + 3] += (double)first * v->affine[4 * i + axis];
}
static void no_neck(sb_volume *v) {
  cut_at(v, 2, 22, v->dims[2]);
}
static void slab(sb_volume *v) { // neither neck nor face, and small: about what a brain has
  cut_at(v, 2, 34, v->dims[2]);
  for (int k = 0; k < 12; k++) v->affine[k] *= 0.85;
}
static void no_face(sb_volume *v) { // cut off in front at the eyes
  cut_at(v, 1, 0, v->dims[1] - 18);
}
static void defaced(sb_volume *v) {
  for (int64_t i = 0; i < voxels_of(v); i++) {
    const int64_t y = i / v->dims[0] % v->dims[1], z = i / (v->dims[0] * v->dims[1]);
    if (y > 150 && z < 45) v->voxels[i] = 0;
  }
}

static const struct {
  const char *name;
  void (*change)(sb_volume *v);
  double least; // correlation with the template
} CHANGES[] = {
    {"scaled by 0.7", times_0_7, 0.95},
    {"scaled by 1.3", times_1_3, 0.95},
    {"header turned", upside_down, 0.95},
    {"background 7", background_7, 0.95},
    {"times 0.01 less 1000", offset_and_scaled, 0.95},
    {"noise in the air", noisy_air, 0.95},
    {"cut at the cerebellum", no_neck, 0.9},
    {"a slab", slab, 0.8},
    {"cut at the eyes", no_face, 0.95},
    {"defaced", defaced, 0.95},
};

static void changed_heads_are_extracted(void **state) {
  const fixture *f = *state;
  if (f->t == NULL) skip();
  int wrong = 0;
  for (size_t c = 0; c < sizeof CHANGES / sizeof *CHANGES; c++) {
    sb_volume head = f->colin;
    sb_prepared out;
    must(SB_NEW(&head.voxels, voxels_of(&f->colin), "head"));
    memcpy(head.voxels, f->colin.voxels, (size_t)voxels_of(&f->colin) * sizeof(float));
    CHANGES[c].change(&head);
    sb_status status = sb_prepare_volume(f->automatic, &head, &out);
    if (status.code != SB_OK) {
      printf("%s: %s\n", CHANGES[c].name, status.message);
      wrong++;
    } else {
      printf("%s: correlation with the template %.3f, edge %.2f\n", CHANGES[c].name,
             out.quality.template_correlation, out.quality.extraction_edge);
      wrong += out.quality.brain != SB_BRAIN_WAS_EXTRACTED ||
               out.quality.template_correlation < CHANGES[c].least;
      sb_prepared_free(&out);
    }
    sb_volume_free(&head);
  }
  assert_int_equal(wrong, 0);
}

// A stripped scan gives the same row whether or not it may be taken for a head, also where the header
// makes it as large as one; and as a head it is refused.
static void stripped_scans_stay_stripped(void **state) {
  static const double scales[] = {1, 1.3};
  const fixture *f = *state;
  if (f->t == NULL || f->scans.count == 0) skip();
  const size_t bytes = (size_t)sb_template_row_length(f->t) * sizeof(float);
  for (size_t i = 0; i < f->scans.count; i += EVERY)
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
      sb_volume scan = {0};
      sb_prepared a, b;
      must(sb_volume_load(f->scans.scans[i].source_path, &scan, NULL));
      for (int k = 0; k < 12; k++) scan.affine[k] *= scales[s];
      must(sb_prepare_volume(f->stripped, &scan, &a));
      must(sb_prepare_volume(f->automatic, &scan, &b));
      assert_memory_equal(a.row, b.row, bytes);
      assert_int_equal(b.quality.brain, SB_BRAIN_WAS_STRIPPED);
      sb_prepared_free(&a);
      sb_prepared_free(&b);
      assert_fails(sb_prepare_volume(f->extract, &scan, &a), SB_CONTENT, "--brain stripped");
      sb_volume_free(&scan);
    }
}

// ---- Masks --------------------------------------------------------------------------------------

static void a_given_mask_comes_first(void **state) {
  const fixture *f = *state;
  if (f->t == NULL) skip();
  sb_volume mask = f->colin, head = f->colin;
  sb_prepared out;
  must(SB_NEW(&mask.voxels, voxels_of(&mask), "mask"));
  for (int64_t i = 0; i < voxels_of(&mask); i++) mask.voxels[i] = f->t->mask[i];
  must(SB_NEW(&head.voxels, voxels_of(&head), "head"));
  memcpy(head.voxels, f->colin.voxels, (size_t)voxels_of(&head) * sizeof(float));
  must(sb_prepare_masked(f->extract, &head, &mask, &out));
  assert_int_equal(out.quality.brain, SB_BRAIN_WAS_MASKED);
  assert_true(isnan(out.quality.extraction_overlap));
  assert_true(out.quality.template_correlation > 0.95);
  sb_prepared_free(&out);
  mask.dims[2]--;
  assert_fails(sb_prepare_masked(f->extract, &head, &mask, &out), SB_CONFLICT, "another grid");
  sb_volume_free(&head);
  sb_volume_free(&mask);
}

// ---- Templates and failures ---------------------------------------------------------------------

static void a_template_without_head(void **state) {
  const fixture *f = *state;
  if (f->t == NULL) skip();
  struct sb_template bare = *f->t;
  bare.head_path = NULL;
  sb_preparer *extract = preparer_of(&bare, SB_BRAIN_EXTRACT),
              *automatic = preparer_of(&bare, SB_BRAIN_AUTO);
  assert_true(extract != NULL && automatic != NULL);
  sb_prepared out;
  assert_fails(sb_prepare_volume(extract, &f->colin, &out), SB_UNSUPPORTED, "--template-head");
  assert_fails(sb_prepare_volume(automatic, &f->colin, &out), SB_UNSUPPORTED, "--template-head");
  sb_preparer_free(extract);
  sb_preparer_free(automatic);
}

// A template of one's own, here Colin27's brain turned by 20 degrees, needs no head: Colin27's brain
// is cut out and then aligned to it.
static void another_template(void **state) {
  static const double turned[16] = {0.9397, -0.342, 0, 12, 0.342, 0.9397, 0, -7,
                                    0,      0,      1, 5,  0,     0,      0, 1};
  const fixture *f = *state;
  if (f->t == NULL) skip();
  char folder[] = "/tmp/samebrain-heads-XXXXXX", *path;
  sb_template_options options = sb_template_options_default();
  sb_template *other = NULL;
  sb_volume moved;
  sb_prepared out;
  assert_non_null(mkdtemp(folder));
  path = sb_path_join(folder, "template.nii");
  must(moved_scan(&f->t->image, turned, &moved));
  must(sb_volume_save(&moved, path));
  options.image_path = path;
  must(sb_template_load(&options, &other));
  sb_preparer *preparer = preparer_of(other, SB_BRAIN_AUTO);
  assert_non_null(preparer);
  must(sb_prepare_volume(preparer, &f->colin, &out));
  assert_int_equal(out.quality.brain, SB_BRAIN_WAS_EXTRACTED);
  assert_true(out.quality.template_correlation > 0.95);
  sb_prepared_free(&out);
  sb_preparer_free(preparer);
  sb_template_free(other);
  sb_volume_free(&moved);
  assert_int_equal(remove(path), 0);
  assert_int_equal(remove(folder), 0);
  free(path);
}

// A noisy ball the size of a head has no brain in it.
static void a_ball_is_no_head(void **state) {
  const fixture *f = *state;
  if (f->t == NULL) skip();
  sb_volume ball = {.dims = {100, 110, 100}};
  uint64_t seed = 7;
  sb_prepared out;
  sb_affine_identity(ball.affine);
  for (int i = 0; i < 3; i++) ball.affine[5 * i] = 2;
  must(SB_NEW_ZERO(&ball.voxels, voxels_of(&ball), "ball"));
  for (int64_t i = 0; i < voxels_of(&ball); i++) {
    double x = (double)(i % 100) - 50, y = (double)(i / 100 % 110) - 55,
           z = (double)(i / 11000) - 50;
    if (x * x + y * y + z * z < 45 * 45) ball.voxels[i] = (float)(100 + 10 * normal(&seed));
  }
  sb_status status = sb_prepare_volume(f->extract, &ball, &out);
  printf("a ball: %s\n", status.message);
  assert_int_equal(status.code, SB_ALIGN);
  assert_int_not_equal(sb_prepare_volume(f->automatic, &ball, &out).code, SB_OK);
  sb_volume_free(&ball);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_moved_and_noised_head),
      cmocka_unit_test(heads_around_real_brains),
      cmocka_unit_test(changed_heads_are_extracted),
      cmocka_unit_test(stripped_scans_stay_stripped),
      cmocka_unit_test(a_given_mask_comes_first),
      cmocka_unit_test(a_template_without_head),
      cmocka_unit_test(another_template),
      cmocka_unit_test(a_ball_is_no_head),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
