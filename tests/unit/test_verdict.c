// The rules of check: what labels and likeness say together.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluate/verdict.h"
#include "samebrain/check.h"

enum { MOST = 12 };

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

// A cohort in letters, one a scan: its label ('-': none) and who it is; capitals are copies of the
// first scan with that small letter. All pairs that are expected or found to be the same are judged.
typedef struct cohort {
  const char *labels, *people;
  bool rely, datasets; // datasets: labels with digits are of another dataset
  sb_case cases[MOST * MOST];
  int64_t label[MOST], group[MOST], original[MOST];
  sb_cases list;
} cohort;

static char person_of(char letter) {
  return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool are_copies(const char *people, int64_t a, int64_t b) {
  bool first = strchr(people, person_of(people[b])) == people + a;
  bool both = people[a] == people[b] && people[a] <= 'Z';
  return person_of(people[a]) == person_of(people[b]) && ((people[b] <= 'Z' && first) || both);
}

static void make_cases(cohort *c) {
  int64_t scans = (int64_t)strlen(c->labels);
  c->list = (sb_cases){c->cases, 0};
  for (int64_t i = 0; i < scans; i++) {
    c->label[i] = strchr(c->labels, c->labels[i]) - c->labels;
    if (c->labels[i] == '-') c->label[i] = -1;
  }
  for (int64_t a = 0; a < scans; a++)
    for (int64_t b = a + 1; b < scans; b++) {
      bool same = person_of(c->people[a]) == person_of(c->people[b]);
      bool known = c->label[a] >= 0 && c->label[b] >= 0;
      bool across = c->datasets && (c->labels[a] <= '9') != (c->labels[b] <= '9');
      sb_expected expected = !known || across               ? SB_EXPECTED_UNKNOWN
                             : c->labels[a] == c->labels[b] ? SB_EXPECTED_SAME
                                                            : SB_EXPECTED_DIFFERENT;
      if (!same && expected != SB_EXPECTED_SAME) continue;
      c->cases[c->list.count++] =
          (sb_case){.a = a,
                    .b = b,
                    .score = same ? 0.97 : 0.2,
                    .expected = expected,
                    .observed = same ? SB_OBSERVED_SAME : SB_OBSERVED_DIFFERENT,
                    .copy = are_copies(c->people, a, b)};
    }
}

static void judge(cohort *c) {
  assert_ok(
      sb_judge(c->label, (int64_t)strlen(c->labels), c->rely, &c->list, c->group, c->original));
}

static cohort judged(const char *labels, const char *people) {
  static cohort c;
  memset(&c, 0, sizeof c);
  c.labels = labels;
  c.people = people;
  c.rely = true;
  make_cases(&c);
  judge(&c);
  return c;
}

// All verdicts, a letter each, in the order of the pairs; '.' for pairs that are not listed.
static void assert_verdicts(const cohort *c, const char *verdicts) {
  static const char letters[] = "sdDPXM?"; // same different Duplicate Person swap Mirrored unsure
  int64_t scans = (int64_t)strlen(c->labels), next = 0;
  char said[MOST * MOST + 1];
  int64_t at = 0;
  for (int64_t a = 0; a < scans; a++)
    for (int64_t b = a + 1; b < scans; b++) {
      const sb_case *item = c->cases + next;
      bool listed = next < c->list.count && item->a == a && item->b == b;
      said[at++] = listed ? letters[item->verdict] : '.';
      next += listed;
    }
  said[at] = '\0';
  if (strcmp(said, verdicts) != 0)
    fail_msg("labels %s, people %s: %s, not %s", c->labels, c->people, said, verdicts);
}

static const sb_case *pair_of(const cohort *c, int64_t a, int64_t b) {
  for (int64_t i = 0; i < c->list.count; i++)
    if (c->cases[i].a == a && c->cases[i].b == b) return c->cases + i;
  fail_msg("no pair of %d and %d", (int)a, (int)b);
  return NULL;
}

// The scan that shows whose `scan` is, of a torn pair; -1: none.
static int64_t owner_of(const cohort *c, int64_t a, int64_t b, int64_t scan) {
  const sb_case *item = pair_of(c, a, b);
  int64_t shown_by = item->owner[scan == a ? 0 : 1];
  if (shown_by < 0) return -1;
  const sb_case *by = c->cases + shown_by;
  return by->a == scan ? by->b : by->a;
}

static void test_nothing_wrong(void **state) {
  (void)state;
  cohort c = judged("ppqqr", "aabbc");
  assert_verdicts(&c, "s......s..");
  assert_int_equal(c.group[0], c.group[1]);
  assert_int_equal(c.group[4], 2);
}

static void test_exchanged(void **state) {
  (void)state;
  cohort c = judged("ppqq", "abab"); // the second sessions
  assert_verdicts(&c, "XX..XX");
  assert_int_equal(owner_of(&c, 0, 1, 1), 3);
  assert_int_equal(owner_of(&c, 2, 3, 3), 1);
  c = judged("ppqqrr", "abbcca"); // three people in a ring
  assert_verdicts(&c, "X...XX...X..X.X");
}

static void test_moved(void **state) {
  (void)state;
  cohort c = judged("xxy", "abb");
  assert_verdicts(&c, "X.X");
  assert_int_equal(owner_of(&c, 0, 1, 1), 2);
  assert_int_equal(owner_of(&c, 0, 1, 0), -1);
  c = judged("xxxy", "aabb"); // to somebody with more scans
  assert_verdicts(&c, "sX.X.X");
  c = judged("xx", "ab"); // nobody knows whose
  assert_verdicts(&c, "X");
  assert_int_equal(owner_of(&c, 0, 1, 0), -1);
  assert_int_equal(owner_of(&c, 0, 1, 1), -1);
}

static void test_two_ids(void **state) {
  (void)state;
  cohort c = judged("ppq", "aaa");
  assert_verdicts(&c, "sPP");
  c = judged("pppq", "aawa"); // a stranger does not make the person's own scans strangers
  assert_verdicts(&c, "sXPXP.");
  c = judged("ppqqr", "ababa"); // r is a third id beside an exchange
  assert_verdicts(&c, "XX.P.X.XP.");
  c = judged("--", "aa");
  assert_verdicts(&c, "P");
  c = judged("p-", "aa");
  assert_verdicts(&c, "P");
}

static void test_copies(void **state) {
  (void)state;
  cohort c = judged("ppn", "aaA"); // what follows from a copy is not raised again
  assert_verdicts(&c, "sDs");
  assert_int_equal(c.original[2], 0);
  c = judged("npp", "aAa"); // nor when it comes first
  assert_verdicts(&c, "Dss");
  assert_int_equal(c.original[0], 1);
  c = judged("pp", "aA"); // one image as two sessions
  assert_verdicts(&c, "D");
  c = judged("ppqqn", "ababA"); // a copy of an exchanged scan
  assert_verdicts(&c, "XX.D.X.Xs.");
  assert_int_equal(owner_of(&c, 0, 1, 0), 2);
  c = judged("pqq", "abA"); // a copy under somebody else's id
  assert_verdicts(&c, ".DX");
}

static void test_small_store(void **state) {
  (void)state;
  static cohort c = {.labels = "ppqqr", .people = "ababA"};
  make_cases(&c);
  judge(&c); // not to be relied on
  assert_verdicts(&c, "\?\?.D.?.?s.");
}

static void test_doubt(void **state) {
  (void)state;
  static cohort c = {.labels = "ppqqr", .people = "abcca", .rely = true};
  make_cases(&c);
  c.cases[0].doubtful = true; // but the scan of r shows whose it is
  judge(&c);
  assert_verdicts(&c, "X..X...s..");
  c.labels = "ppqq";
  c.people = "abcc";
  make_cases(&c);
  c.cases[0].doubtful = true;
  judge(&c);
  assert_verdicts(&c, "d....s");
  // Not alike, but by way of a third.
  c.labels = "ppp";
  c.people = "aaa";
  make_cases(&c);
  c.cases[1].observed = SB_OBSERVED_DIFFERENT;
  judge(&c);
  assert_verdicts(&c, "sss");
  assert_int_equal(c.cases[1].why, SB_WHY_THROUGH);
}

// Mirrored scans are one person's; labels decide what that means.
static void test_mirrored(void **state) {
  (void)state;
  static cohort c = {.labels = "ppq", .people = "aaa", .rely = true};
  make_cases(&c);
  for (int i = 0; i < 3; i++) c.cases[i].mirrored = i != 1; // the second scan
  judge(&c);
  assert_verdicts(&c, "MPP");
  c.rely = false; // labels are not contradicted
  judge(&c);
  assert_verdicts(&c, "M??");
  c.cases[0].copy = true;
  judge(&c);
  assert_verdicts(&c, "D??");
}

static void test_across_datasets(void **state) {
  (void)state;
  static cohort c = {.labels = "xx1", .people = "abb", .rely = true, .datasets = true};
  make_cases(&c);
  judge(&c);
  assert_verdicts(&c, "X.X"); // moved into the other dataset
  c.labels = "xxy12";         // moved within one, and both people in the other too
  c.people = "abbab";
  make_cases(&c);
  judge(&c);
  assert_verdicts(&c, "X.P.X.P.P.");
}

// Also of values that are no verdict: a program may have read one from a file.
static void test_names(void **state) {
  (void)state;
  static const char *const names[] = {"same",           "different", "duplicate", "same_person",
                                      "suspected_swap", "mirrored",  "unsure"};
  assert_int_equal(SB_VERDICT_COUNT, sizeof names / sizeof *names);
  for (int v = 0; v < SB_VERDICT_COUNT; v++)
    assert_string_equal(sb_verdict_name((sb_verdict)v), names[v]);
  assert_string_equal(sb_verdict_name(SB_VERDICT_COUNT), "unknown");
  assert_string_equal(sb_verdict_name((sb_verdict)-1), "unknown");
  assert_string_equal(sb_verdict_name((sb_verdict)1000000), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_wrong),   cmocka_unit_test(test_exchanged),
      cmocka_unit_test(test_moved),           cmocka_unit_test(test_two_ids),
      cmocka_unit_test(test_copies),          cmocka_unit_test(test_small_store),
      cmocka_unit_test(test_doubt),           cmocka_unit_test(test_mirrored),
      cmocka_unit_test(test_across_datasets), cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
