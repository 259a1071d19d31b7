// The default template, Colin27, and a preparer with the default options: what a test of preparation starts from.
// Where it is not installed the tests skip.
#ifndef SB_TESTS_COLIN_H
#define SB_TESTS_COLIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "samebrain/prepare.h"

static inline void must(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s", status.message);
}

typedef struct fixture {
  sb_template *t; // NULL: there is none here
  sb_preparer *preparer;
} fixture;

// skip() jumps out of the test, which an analyser does not know.
#define NEED_TEMPLATE(f)                                                                           \
  do {                                                                                             \
    if ((f)->t == NULL) {                                                                          \
      skip();                                                                                      \
      return;                                                                                      \
    }                                                                                              \
  } while (0)

// Of a group of tests, whose state is the fixture.
static inline int setup(void **state) {
  static fixture f;
  *state = &f;
  sb_status status = sb_template_load(NULL, &f.t);
  if (status.code == SB_NOT_FOUND) {
    printf("no template: %s\n", status.message);
    return 0;
  }
  return status.code == SB_OK && sb_preparer_create(f.t, NULL, &f.preparer).code == SB_OK ? 0 : -1;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  sb_preparer_free(f->preparer);
  sb_template_free(f->t);
  return 0;
}

#endif
