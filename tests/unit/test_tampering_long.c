// Check on the real scans, tampered with in many ways. Arguments: how many trials, and the first seed.
// Scans are read in place; what is derived of them is deleted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/memory.h"
#include "samebrain/samebrain.h"
#include "scratch.h"
#include "tampering.h"

enum { SKIPPED = 77, TRIALS = 12 };

static const char *const FOLDERS[] = {SAMEBRAIN_SOURCE_DIR "/../shared/data/oasis",
                                      SAMEBRAIN_SOURCE_DIR "/../shared/data/ds002748"};

static sb_template *brain;
static sb_preparer *preparer;
static sb_scan_list scans;
static tampering tampered;
static uint64_t trials = TRIALS, first_seed = 1;

static void test_untampered(void **state) {
  (void)state;
  check_untampered(&tampered);
}

static void test_tampered(void **state) {
  (void)state;
  for (uint64_t i = 0; i < trials; i++) check_tampered(&tampered, first_seed + i);
}

static bool failed(sb_status status) {
  if (status.code != SB_OK) print_error("%s\n", status.message);
  return status.code != SB_OK;
}

static void test_mirrored_swap(void **state) {
  (void)state;
  for (uint64_t i = 0; i < trials; i++) check_mirrored_swap(&tampered, first_seed + i);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_untampered),
      cmocka_unit_test(test_tampered),
      cmocka_unit_test(test_mirrored_swap),
  };
  if (argc > 1) trials = strtoull(argv[1], NULL, 10);
  if (argc > 2) first_seed = strtoull(argv[2], NULL, 10);
  sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  if (!sb_is_folder(FOLDERS[0]) || !sb_is_folder(FOLDERS[1]) ||
      sb_template_load(&options, &brain).code != SB_OK) {
    puts("skipped: the real scans or the default template are not here");
    return SKIPPED;
  }
  char *scratch = scratch_folder();
  if (scratch == NULL || failed(sb_preparer_create(brain, &prepare, &preparer)) ||
      failed(sb_scan_list_find(FOLDERS, 2, NULL, &scans)))
    return 1;
  tampered = (tampering){brain, preparer, &scans, scratch};
  int result = cmocka_run_group_tests(tests, NULL, NULL);
  if (remove_folder(scratch) != 0) result = 1;
  free(scratch);
  sb_scan_list_free(&scans);
  sb_preparer_free(preparer);
  sb_template_free(brain);
  return result;
}
