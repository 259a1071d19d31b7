// Check on synthetic cohorts that were tampered with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/memory.h"
#include "samebrain/samebrain.h"
#include "scratch.h"
#include "tampering.h"

enum { PEOPLE = 6 };

static char *scratch;
static sb_template *brain;
static sb_preparer *preparer;
static sb_scan_list cohort;
static tampering tampered;

static bool failed(sb_status status) {
  if (status.code != SB_OK) print_error("%s\n", status.message);
  return status.code != SB_OK;
}

static int make_cohort(void **state) {
  (void)state;
  scratch = scratch_folder();
  if (scratch == NULL) return -1;
  char *folder = sb_format("%s/cohort", scratch), *trials = sb_format("%s/trials", scratch);
  char *image = sb_format("%s/template_T1w.nii.gz", folder);
  sb_synth_options synth = sb_synth_options_default();
  synth.subjects = PEOPLE;
  synth.base = "procedural";
  synth.voxel_mm = 1.5;
  sb_template_options options = sb_template_options_default();
  options.image_path = image;
  sb_prepare_options prepare = sb_prepare_options_default();
  if (failed(sb_synth(folder, &synth, NULL)) || failed(sb_template_load(&options, &brain)) ||
      failed(sb_preparer_create(brain, &prepare, &preparer)) ||
      failed(sb_scan_list_find((const char *const *)&folder, 1, NULL, &cohort)))
    return -1;
  tampered = (tampering){brain, preparer, &cohort, trials};
  char *command = sb_format("mkdir '%s'", trials);
  int result = system(command); // NOLINT(cert-env33-c,concurrency-mt-unsafe)
  free(command);
  free(folder);
  free(image);
  return result;
}

static int remove_cohort(void **state) {
  (void)state;
  sb_scan_list_free(&cohort);
  sb_preparer_free(preparer);
  sb_template_free(brain);
  const int result = remove_folder(scratch);
  free((char *)tampered.folder);
  free(scratch);
  return result;
}

static void test_untampered(void **state) {
  (void)state;
  check_untampered(&tampered);
}

static void test_tampered(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 2; seed++) check_tampered(&tampered, seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_untampered),
      cmocka_unit_test(test_tampered),
  };
  return cmocka_run_group_tests(tests, make_cohort, remove_cohort);
}
