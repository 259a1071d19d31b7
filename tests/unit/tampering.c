#include "tampering.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../bench/alterations.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/random.h"
#include "core/tsv.h"
#include "image/nifti_save.h"

enum { MOST = 64, MOST_PAIRS = MOST * MOST };

typedef enum tampered {
  AS_IT_WAS,
  EXCHANGED,
  MOVED,
  MIRRORED,
  COPY,
  TURNED_COPY,
  MIRRORED_COPY,
  RESAMPLED_COPY,
  CHANGED_COPY
} tampered;

// A scan of the tampered cohort. A person is known by the number of its first scan.
typedef struct subject {
  char dataset[64], scan_id[96], label[64], session[32], path[512];
  char truth[64]; // the label that was right
  int person;     // who it is
  int source;     // of a copy the scan it was made of, else itself
  tampered what;
} subject;

typedef struct trial {
  const tampering *t;
  uint64_t key, drawn;
  subject scans[MOST];
  int count;
} trial;

static void assert_ok(sb_status status) {
  if (status.code != SB_OK) fail_msg("%s: %s", sb_code_name(status.code), status.message);
}

static int draw(trial *r, int below) {
  if (below < 1) fail_msg("nothing to draw from");
  return below < 1 ? 0 : (int)(sb_random_bits(r->key, r->drawn++) % (uint64_t)below);
}

static double draw_between(trial *r, double low, double high) {
  return sb_random_uniform(r->key, r->drawn++, low, high);
}

// ---- The cohort ---------------------------------------------------------------------------------

static void begin(const tampering *t, uint64_t seed, trial *r) {
  memset(r, 0, sizeof *r);
  r->t = t;
  r->key = seed;
  assert_true(t->scans->count < MOST - 8);
  for (size_t i = 0; i < t->scans->count; i++) {
    const sb_scan *scan = t->scans->scans + i;
    subject *s = r->scans + r->count;
    s->source = s->person = r->count++;
    snprintf(s->dataset, sizeof s->dataset, "%s", scan->dataset);
    snprintf(s->scan_id, sizeof s->scan_id, "%s", scan->scan_id);
    snprintf(s->label, sizeof s->label, "%s", scan->participant);
    snprintf(s->truth, sizeof s->truth, "%s", scan->participant);
    snprintf(s->session, sizeof s->session, "%s", scan->session);
    snprintf(s->path, sizeof s->path, "%s", scan->source_path);
    for (int j = 0; j < s->source; j++)
      if (strcmp(r->scans[j].truth, s->truth) == 0 && strcmp(r->scans[j].dataset, s->dataset) == 0)
        s->person = r->scans[j].person;
  }
}

// Another scan of the same person; -1: none.
static int other_scan(const trial *r, int scan) {
  for (int i = 0; i < r->count; i++)
    if (i != scan && r->scans[i].person == r->scans[scan].person) return i;
  return -1;
}

// A scan, not yet tampered with, of somebody with two scans, neither of which is.
static int draw_rescanned(trial *r) {
  for (;;) {
    int scan = draw(r, r->count), other = other_scan(r, scan);
    if (other >= 0 && r->scans[scan].what == AS_IT_WAS && r->scans[other].what == AS_IT_WAS)
      return scan;
  }
}

static void exchange(trial *r) {
  int a = draw_rescanned(r), b = a;
  while (r->scans[b].person == r->scans[a].person) b = draw_rescanned(r);
  memcpy(r->scans[a].label, r->scans[b].truth, sizeof r->scans[a].label);
  memcpy(r->scans[b].label, r->scans[a].truth, sizeof r->scans[b].label);
  r->scans[a].what = r->scans[b].what = EXCHANGED;
}

static bool is_exchanged(const trial *r, int scan) {
  int other = other_scan(r, scan);
  return r->scans[scan].what == EXCHANGED || (other >= 0 && r->scans[other].what == EXCHANGED);
}

static void move(trial *r) {
  int scan = draw_rescanned(r), to = scan;
  while (r->scans[to].person == r->scans[scan].person || is_exchanged(r, to))
    to = draw(r, r->count);
  memcpy(r->scans[scan].label, r->scans[to].truth, sizeof r->scans[scan].label);
  memcpy(r->scans[scan].dataset, r->scans[to].dataset, sizeof r->scans[scan].dataset);
  snprintf(r->scans[scan].session, sizeof r->scans[scan].session, "ses-99");
  r->scans[scan].what = MOVED;
}

// Exchanges left and right: the voxels are reversed, and the header stays as it was.
static void mirror_file(const char *from, const char *to) {
  sb_volume v;
  assert_ok(sb_volume_load(from, &v, NULL));
  for (int64_t row = 0; row < v.dims[1] * v.dims[2]; row++)
    for (int64_t i = 0, j = v.dims[0] - 1; i < j; i++, j--) {
      float *voxels = v.voxels + row * v.dims[0], kept = voxels[i];
      voxels[i] = voxels[j];
      voxels[j] = kept;
    }
  assert_ok(sb_volume_save(&v, to));
  sb_volume_free(&v);
}

static void mirror_scan(trial *r, int scan, const char *name) {
  subject *s = r->scans + scan;
  char path[sizeof s->path];
  snprintf(path, sizeof path, "%s/%s.nii.gz", r->t->folder, name);
  mirror_file(s->path, path);
  memcpy(s->path, path, sizeof path);
}

static void mirror(trial *r) {
  int scan = draw_rescanned(r);
  mirror_scan(r, scan, "mirrored");
  r->scans[scan].what = MIRRORED;
}

// One that bears somebody else's label already: whose it is must be found all the same.
static void mirror_exchanged(trial *r) {
  int scan = 0;
  while (r->scans[scan].what != EXCHANGED) scan++;
  mirror_scan(r, scan, "exchanged");
}

// ---- Copies -------------------------------------------------------------------------------------

static subject *add_copy(trial *r, tampered what, const char *name, const char *ending) {
  int source = draw(r, (int)r->t->scans->count);
  subject *copy = r->scans + r->count++;
  *copy = r->scans[source];
  copy->what = what;
  copy->source = source;
  snprintf(copy->label, sizeof copy->label, "sub-%s", name);
  snprintf(copy->scan_id, sizeof copy->scan_id, "sub-%s_ses-01", name);
  snprintf(copy->session, sizeof copy->session, "ses-01");
  snprintf(copy->path, sizeof copy->path, "%s/%s%s", r->t->folder, name, ending);
  return copy;
}

static void copy_file(trial *r) {
  // The ids of copies come before and after those of the originals.
  subject *copy = add_copy(r, COPY, draw(r, 2) == 0 ? "AAcopy" : "zzcopy", ".nii.gz");
  char *data;
  size_t bytes;
  assert_ok(sb_read_file(r->scans[copy->source].path, &data, &bytes));
  assert_ok(sb_write_file(copy->path, data, bytes));
  free(data);
}

static float largest(const sb_volume *v) {
  float most = 0;
  for (int64_t i = 0; i < v->dims[0] * v->dims[1] * v->dims[2]; i++)
    if (v->voxels[i] > most) most = v->voxels[i];
  return most;
}

static void copy_turned(trial *r) {
  static const int orders[5][3] = {{1, 2, 0}, {2, 0, 1}, {1, 0, 2}, {0, 2, 1}, {2, 1, 0}};
  static const double levels[5] = {255, 3000, 60000, 1000, 1};
  static const char *const endings[] = {".nii.gz", ".nii"};
  subject *copy =
      add_copy(r, TURNED_COPY, draw(r, 2) == 0 ? "BBturned" : "yyturned", endings[draw(r, 2)]);
  const bool flip[3] = {draw(r, 2) == 0, draw(r, 2) == 0, draw(r, 2) == 0};
  int type = draw(r, 5);
  sb_volume in, out;
  assert_ok(sb_volume_load(r->scans[copy->source].path, &in, NULL));
  assert_ok(turned_volume(&in, orders[draw(r, 5)], flip, &out));
  double slope = (double)largest(&in) / levels[type] * draw_between(r, 1, 1.5);
  assert_ok(sb_volume_save_as(&out, copy->path, (sb_save_type)type, slope, 0));
  sb_volume_free(&in);
  sb_volume_free(&out);
}

static void copy_mirrored(trial *r) {
  subject *copy =
      add_copy(r, MIRRORED_COPY, draw(r, 2) == 0 ? "DDmirrored" : "wwmirrored", ".nii.gz");
  mirror_file(r->scans[copy->source].path, copy->path);
}

static void copy_resampled(trial *r) {
  subject *copy =
      add_copy(r, RESAMPLED_COPY, draw(r, 2) == 0 ? "EEresampled" : "vvresampled", ".nii.gz");
  sb_volume v;
  assert_ok(sb_volume_load(r->scans[copy->source].path, &v, NULL));
  assert_ok(alter_voxels(draw_between(r, 0.9, 1.25), draw_between(r, 0, 10), draw(r, 2) == 0,
                         r->key, &v));
  assert_ok(sb_volume_save(&v, copy->path));
  sb_volume_free(&v);
}

static void copy_changed(trial *r) {
  subject *copy = add_copy(r, CHANGED_COPY, draw(r, 2) == 0 ? "CCchanged" : "xxchanged", ".nii.gz");
  sb_volume v;
  assert_ok(sb_volume_load(r->scans[copy->source].path, &v, NULL));
  alter_gamma(draw(r, 2) == 0 ? draw_between(r, 0.75, 0.9) : draw_between(r, 1.1, 1.3), &v);
  alter_noise(50, r->key, &v);
  assert_ok(sb_volume_save(&v, copy->path));
  sb_volume_free(&v);
}

// ---- What check must say ------------------------------------------------------------------------

typedef struct answer {
  const char *verdict; // NULL: the pair is not listed
  const char *reason;
} answer;

static bool is_copy(const subject *s) {
  return s->what >= COPY;
}

static bool is(const answer *a, sb_verdict verdict) {
  return a->verdict != NULL && strcmp(a->verdict, sb_verdict_name(verdict)) == 0;
}

static bool one_label(const subject *a, const subject *b) {
  return strcmp(a->label, b->label) == 0 && strcmp(a->dataset, b->dataset) == 0;
}

// Whether the reason says whose a mislabelled scan is, alone or beside the label of a copy.
static bool names_owner(const subject *s, const answer *a) {
  if (s->what != EXCHANGED && s->what != MOVED) return true;
  char *words = sb_format("%s is probably of ", s->scan_id);
  const char *at = strstr(a->reason, words), *end = at == NULL ? NULL : strstr(at, ", being");
  const char *owner = at == NULL ? NULL : strstr(at + strlen(words), s->truth);
  free(words);
  return owner != NULL && end != NULL && owner < end;
}

// Whether two copies of one scan differ in more than one way, or one of them by noise of its own.
static bool are_far_apart(tampered a, tampered b) {
  return a == CHANGED_COPY || b == CHANGED_COPY || (a == MIRRORED_COPY && b == RESAMPLED_COPY) ||
         (a == RESAMPLED_COPY && b == MIRRORED_COPY);
}

static bool as_it_must_be(const subject *a, const subject *b, const answer *said) {
  const bool changed = are_far_apart(a->what, b->what);
  if (a->source == b->source)
    return is(said, SB_VERDICT_DUPLICATE) || (changed && is(said, SB_VERDICT_SAME_PERSON));
  if (a->person != b->person)
    return one_label(a, b)
               ? is(said, SB_VERDICT_SUSPECTED_SWAP) && names_owner(a, said) && names_owner(b, said)
               : said->verdict == NULL;
  if (one_label(a, b)) {
    const bool mirrored = (a->what == MIRRORED) != (b->what == MIRRORED);
    return is(said, mirrored ? SB_VERDICT_MIRRORED : SB_VERDICT_SAME);
  }
  // A copy and another scan of that person: said once, of the copy and its source. Only where a
  // mislabelled scan is no more at home than the copy, it is said of both.
  if (a->what == MIRRORED_COPY || b->what == MIRRORED_COPY)
    if (said->verdict == NULL) return true; // of synthetic brains it may be no closer than chance
  if (is_copy(a) || is_copy(b))
    return is(said, SB_VERDICT_SAME) || is(said, SB_VERDICT_SUSPECTED_SWAP) ||
           (changed && is(said, SB_VERDICT_SAME_PERSON));
  return is(said, SB_VERDICT_SUSPECTED_SWAP);
}

static int find_scan(const trial *r, const char *dataset, const char *scan_id) {
  for (int i = 0; i < r->count; i++)
    if (strcmp(r->scans[i].dataset, dataset) == 0 && strcmp(r->scans[i].scan_id, scan_id) == 0)
      return i;
  fail_msg("check names a scan that is not there: %s of %s", scan_id, dataset);
  return -1;
}

// Looks at every pair of the cohort. Returns how many were raised.
static int judge(const trial *r, const char *out) {
  static answer said[MOST_PAIRS];
  char *path = sb_path_join(out, "check.tsv");
  sb_tsv table;
  int raised = 0, wrong = 0;
  memset(said, 0, sizeof said);
  assert_ok(sb_tsv_read(path, &table));
  assert_int_equal(table.columns, 9);
  for (size_t row = 0; row < table.rows; row++) {
    int a = find_scan(r, sb_tsv_cell(&table, row, 0), sb_tsv_cell(&table, row, 1));
    int b = find_scan(r, sb_tsv_cell(&table, row, 2), sb_tsv_cell(&table, row, 3));
    answer *pair = said + (a < b ? a * MOST + b : b * MOST + a);
    assert_null(pair->verdict); // each pair once
    *pair = (answer){sb_tsv_cell(&table, row, 7), sb_tsv_cell(&table, row, 8)};
  }
  for (int a = 0; a < r->count; a++)
    for (int b = a + 1; b < r->count; b++) {
      const answer *pair = said + a * MOST + b;
      raised += pair->verdict != NULL && !is(pair, SB_VERDICT_SAME);
      if (as_it_must_be(r->scans + a, r->scans + b, pair)) continue;
      print_error("seed %llu: %s (%s) and %s (%s): %s, %s\n", (unsigned long long)r->key,
                  r->scans[a].scan_id, r->scans[a].label, r->scans[b].scan_id, r->scans[b].label,
                  pair->verdict == NULL ? "not listed" : pair->verdict,
                  pair->reason == NULL ? "" : pair->reason);
      wrong++;
    }
  if (wrong > 0) fail_msg("%d pairs are not judged as they must be", wrong);
  sb_tsv_free(&table);
  free(path);
  return raised;
}

// ---- A trial ------------------------------------------------------------------------------------

static void ingest(trial *r, const char *store) {
  sb_scan list[MOST];
  for (int i = 0; i < r->count; i++) {
    subject *s = r->scans + i;
    list[i] =
        (sb_scan){s->dataset, s->scan_id, s->label, s->session, s->path, s->path + strlen(s->path)};
  }
  const sb_scan_list scans = {.scans = list, .count = (size_t)r->count};
  sb_ingest_options options = sb_ingest_options_default();
  sb_ingest_summary summary;
  assert_ok(sb_ingest(store, r->t->brain, r->t->preparer, &scans, &options, NULL, &summary));
  assert_int_equal(summary.prepared, r->count);
}

static int run(trial *r) {
  char *path = sb_path_join(r->t->folder, "store"), *out = sb_path_join(r->t->folder, "checked");
  char *command = sb_format("rm -rf '%s'/*", r->t->folder);
  sb_store *store;
  sb_check_summary summary;
  ingest(r, path);
  assert_ok(sb_store_open(path, &store));
  assert_ok(sb_check(store, NULL, out, NULL, &summary));
  sb_store_close(store);
  int raised = judge(r, out);
  assert_int_equal(summary.found + summary.pairs[SB_VERDICT_UNSURE], raised);
  assert_int_equal(summary.not_compared, 0);
  assert_int_equal(system(command), 0); // NOLINT(cert-env33-c,concurrency-mt-unsafe)
  free(command);
  free(path);
  free(out);
  return raised;
}

void check_untampered(const tampering *t) {
  trial r;
  begin(t, 0, &r);
  assert_int_equal(run(&r), 0);
}

void check_tampered(const tampering *t, uint64_t seed) {
  trial r;
  begin(t, seed, &r);
  exchange(&r);
  move(&r);
  copy_file(&r);
  copy_turned(&r);
  copy_mirrored(&r);
  copy_resampled(&r);
  copy_changed(&r);
  assert_true(run(&r) >= 11); // 4 of the exchange, 2 of the move, 5 copies
  begin(t, seed, &r);
  mirror(&r);
  copy_mirrored(&r);
  assert_int_equal(run(&r), 2);
}

void check_mirrored_swap(const tampering *t, uint64_t seed) {
  trial r;
  begin(t, seed, &r);
  exchange(&r);
  mirror_exchanged(&r);
  mirror(&r);
  assert_int_equal(run(&r), 5); // 4 of the exchange, a session
}
