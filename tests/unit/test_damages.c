// Damaged scans and non-brains through preparation: a damaged scan stays nearest to itself, what is
// no brain is refused. Here a few scans through every case; test_damages_long.c takes them all.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "damages.h"

#ifndef EVERY
#define EVERY 16 // scans: one of each dataset
#define SHARE 2  // each goes through every second case, the other through the rest
#endif
#define DATA SAMEBRAIN_SOURCE_DIR "/../shared/data"

enum { SKIPPED = 77 };

static gallery scans;

// Prints what is wrong with an outcome; true when nothing is.
static bool as_it_should_be(int scan, int which, const outcome *o) {
  const char *path = scans.scans[scan].path;
  const sb_quality *q = &o->quality;
  if (which >= damage_count()) {
    if (o->status.code != SB_OK) return true;
    printf("%s: %s: taken for a brain (structure %.2f, overlap %.2f)\n", path,
           non_brain_name(which - damage_count()), q->structure, q->mask_overlap);
    return false;
  }
  if (o->status.code == SB_OK && q->brain != SB_BRAIN_WAS_STRIPPED)
    printf("%s: %s: taken for a whole head\n", path, damage_name(which));
  else if (outcome_links(o))
    return true;
  if (o->status.code != SB_OK)
    printf("%s: %s: refused: %s\n", path, damage_name(which), o->status.message);
  else
    printf("%s: %s: %.3f with itself, %.3f with another person (%.1f mm off)\n", path,
           damage_name(which), o->own, o->other, o->error_mm);
  return false;
}

// Of cases first..last-1 those that are each EVERY-th scan's share. They run in parallel; cmocka is called at the end.
static void cases(int first, int last) {
  int failed = 0, count = 0;
  double least = 2, most = -2; // structure
  for (int scan = 0; scan < scans.count; scan += EVERY) {
    sb_volume volume;
    sb_status loaded = sb_volume_load(scans.scans[scan].path, &volume, NULL);
    if (loaded.code != SB_OK) fail_msg("%s", loaded.message);
#pragma omp parallel for schedule(dynamic, 1)
    for (int which = first; which < last; which++) {
      if ((which + scan / EVERY) % SHARE != 0) continue;
      outcome o;
      sb_status status = gallery_case(&scans, scan, &volume, which, &o);
#pragma omp critical
      {
        count++;
        if (status.code != SB_OK) printf("%s\n", status.message);
        failed += status.code != SB_OK || !as_it_should_be(scan, which, &o);
        least = fmin(least, o.quality.structure);
        most = fmax(most, o.quality.structure);
      }
    }
    sb_volume_free(&volume);
  }
  printf("%d cases, %d failed; structure %.3f to %.3f\n", count, failed, least, most);
  assert_int_equal(failed, 0);
}

static void damaged_scans_stay_nearest_to_themselves(void **state) {
  (void)state;
  cases(0, damage_count());
}

static void non_brains_are_refused(void **state) {
  (void)state;
  cases(damage_count(), damage_count() + non_brain_count());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(damaged_scans_stay_nearest_to_themselves),
      cmocka_unit_test(non_brains_are_refused),
  };
  sb_status status = gallery_open(DATA, &scans);
  if (status.code == SB_NOT_FOUND) {
    printf("skipped: %s\n", status.message);
    return SKIPPED;
  }
  if (status.code != SB_OK) {
    printf("%s\n", status.message);
    return 1;
  }
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  gallery_close(&scans);
  return failed;
}
