// sb_check: a store against itself, and what its labels have to say to that.
#include "samebrain/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/order.h"
#include "engine/pairs.h"
#include "engine/results.h"
#include "evaluate/check_outputs.h"
#include "evaluate/copies.h"
#include "evaluate/mirrored.h"
#include "evaluate/outputs.h"
#include "measure/likely.h"
#include "store/mirror.h"

// A pair is observed to be different where at least this share of the pairs of two people are as
// close: where most of them are, and not in their tail.
static const double USUAL_SHARE = 0.01;

sb_check_options sb_check_options_default(void) {
  return (sb_check_options){.expected_false = 0.01, .mirrored = true, .backend = "auto"};
}

typedef struct checker {
  const sb_store *store;
  const sb_check_options *options;
  const char *out;
  const sb_progress *progress;
  sb_likeness as_is, mirrored;
  sb_store *mirror; // the store's mirror images; NULL: not looked for
  int64_t *label;   // per scan; -1: none
  sb_cases cases;
  int64_t *group, *original; // per scan
} checker;

// ---- Likeness -----------------------------------------------------------------------------------

// Links the mirror images. The threshold that may be given is one of scans as they are, and what there is to
// warn of the first link has said.
static sb_status link_mirrored(checker *k) {
  char *folder = sb_path_join(k->out, SB_MIRRORED_FOLDER);
  if (folder == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", k->out);
  sb_check_options options = *k->options;
  sb_progress progress = {0};
  options.has_threshold = false;
  if (k->progress != NULL) progress = *k->progress;
  progress.warn = NULL;
  const sb_status status =
      sb_likeness_open(k->store, &options, &k->as_is, folder, &progress, &k->mirrored);
  free(folder);
  return status;
}

// Where the template can be aligned to its own mirror image: that of a made-up store cannot.
static sb_status compare_mirrored(checker *k) {
  const sb_status status = sb_store_mirrored(k->store, &k->mirror);
  if (status.code == SB_OK) return link_mirrored(k);
  return status.code == SB_NO_MEMORY ? status : sb_ok();
}

static sb_status compare_scans(checker *k) {
  sb_status status;
  SB_TRY(sb_likeness_open(k->store, k->options, NULL, k->out, k->progress, &k->as_is));
  if (k->options->mirrored) SB_TRY(compare_mirrored(k));
cleanup:
  return status;
}

// ---- Cases --------------------------------------------------------------------------------------

typedef struct file_of {
  const char *sha256;
  int64_t scan;
} file_of;

static int by_file(const void *left, const void *right) {
  const file_of *a = left, *b = right;
  int order = strcmp(a->sha256, b->sha256);
  if (order != 0) return order;
  return a->scan < b->scan ? -1 : a->scan > b->scan;
}

static sb_status add_case(checker *k, int64_t *room, int64_t a, int64_t b, double score) {
  sb_cases *cases = &k->cases;
  if (cases->count == *room) {
    int64_t capacity = *room == 0 ? 256 : 2 * *room;
    sb_case *grown = realloc(cases->items, (size_t)capacity * sizeof *grown);
    if (grown == NULL) return sb_error(SB_NO_MEMORY, "out of memory for pairs");
    cases->items = grown;
    *room = capacity;
  }
  cases->items[cases->count++] =
      (sb_case){.a = a, .b = b, .score = score, .mirrored_score = (double)NAN, .exchanged = -1};
  return sb_ok();
}

static sb_status add_pairs(checker *k, int64_t *room, const sb_proposals *found) {
  sb_status status = sb_ok();
  for (int64_t i = 0; i < found->count && status.code == SB_OK; i++) {
    const sb_listed *pair = &found->items[i].pair;
    status = add_case(k, room, pair->probe, pair->gallery, pair->score);
  }
  return status;
}

// Pairs found by the mirror image of either of their scans: how they score as they are is not known.
static sb_status add_mirrored(checker *k, int64_t *room) {
  sb_status status = sb_ok();
  for (int64_t i = 0; i < k->mirrored.found.count && status.code == SB_OK; i++) {
    const sb_listed *pair = &k->mirrored.found.items[i].pair;
    status = add_case(k, room, sb_smaller(pair->probe, pair->gallery),
                      sb_larger(pair->probe, pair->gallery), (double)NAN);
    if (status.code == SB_OK) k->cases.items[k->cases.count - 1].by_mirror = true;
  }
  return status;
}

// Every two scans of one file, however they score.
static sb_status add_same_files(checker *k, int64_t *room) {
  int64_t scans = sb_store_count(k->store);
  file_of *files = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&files, scans, "scans"));
  for (int64_t i = 0; i < scans; i++)
    files[i] = (file_of){sb_store_record(k->store, i)->source_sha256, i};
  if (scans > 1) qsort(files, (size_t)scans, sizeof *files, by_file);
  for (int64_t i = 0; i < scans; i++)
    for (int64_t j = i + 1;
         j < scans && *files[i].sha256 != '\0' && strcmp(files[i].sha256, files[j].sha256) == 0;
         j++)
      SB_TRY(add_case(k, room, files[i].scan, files[j].scan, (double)NAN));
cleanup:
  free(files);
  return status;
}

// By scans, known scores first, and last what only mirror images made a case.
static int by_scans(const void *left, const void *right) {
  const sb_case *a = left, *b = right;
  if (a->a != b->a) return a->a < b->a ? -1 : 1;
  if (a->b != b->b) return a->b < b->b ? -1 : 1;
  return (isnan(a->score) ? 1 : 0) + a->by_mirror - (isnan(b->score) ? 1 : 0) - b->by_mirror;
}

static void keep_once(sb_cases *cases) {
  int64_t kept = 0;
  if (cases->count > 1) qsort(cases->items, (size_t)cases->count, sizeof *cases->items, by_scans);
  for (int64_t i = 0; i < cases->count; i++) {
    const sb_case *last = kept > 0 ? cases->items + kept - 1 : NULL;
    if (last == NULL || last->a != cases->items[i].a || last->b != cases->items[i].b)
      cases->items[kept++] = cases->items[i];
  }
  cases->count = kept;
}

// Scores that the link did not list.
static sb_status score_missing(checker *k) {
  sb_pair *pairs = NULL;
  double *scores = NULL;
  int64_t missing = 0, used = 0;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&pairs, k->cases.count, "pairs"));
  SB_TRY(SB_NEW(&scores, k->cases.count, "scores"));
  for (int64_t i = 0; i < k->cases.count; i++)
    if (isnan(k->cases.items[i].score))
      pairs[missing++] = (sb_pair){k->cases.items[i].a, k->cases.items[i].b};
  if (missing == 0) goto cleanup;
  SB_TRY(sb_score_pairs(k->store, k->store, k->as_is.measure, k->as_is.folder.measures->weights,
                        pairs, missing, scores));
  for (int64_t i = 0; i < k->cases.count; i++)
    if (isnan(k->cases.items[i].score))
      k->cases.items[i].score = k->as_is.direction * scores[used++];
cleanup:
  free(pairs);
  free(scores);
  return status;
}

static sb_expected expected_of(const checker *k, int64_t a, int64_t b) {
  const char *word = sb_expected_of(&k->as_is.scores, a, b);
  return strcmp(word, "same") == 0        ? SB_EXPECTED_SAME
         : strcmp(word, "different") == 0 ? SB_EXPECTED_DIFFERENT
                                          : SB_EXPECTED_UNKNOWN;
}

static sb_observed observe_by_limits(const checker *k, double score) {
  if (!k->as_is.likely_known) return SB_OBSERVED_UNSURE;
  return score >= SB_LIKELY_SAME        ? SB_OBSERVED_SAME
         : score <= SB_LIKELY_DIFFERENT ? SB_OBSERVED_DIFFERENT
                                        : SB_OBSERVED_UNSURE;
}

// What the images say. Against a label only what is both beyond chance and as close as one person's
// scans are; for it, either will do.
static sb_observed observe(const checker *k, const sb_case *c) {
  const sb_likeness *l = &k->as_is;
  if (k->options->has_threshold)
    return c->score >= l->threshold ? SB_OBSERVED_SAME : SB_OBSERVED_DIFFERENT;
  if (!l->rely) return observe_by_limits(k, c->score);
  bool usual = l->likely_known && c->score >= SB_LIKELY_SAME;
  if (c->expected != SB_EXPECTED_SAME)
    return c->score >= l->threshold && (usual || !l->likely_known) ? SB_OBSERVED_SAME
                                                                   : SB_OBSERVED_UNSURE;
  double above = sb_tail_above(&l->tail, c->score);
  if (usual || above * (double)l->study.mated.count <= k->options->expected_false)
    return SB_OBSERVED_SAME;
  return above >= USUAL_SHARE ? SB_OBSERVED_DIFFERENT : SB_OBSERVED_UNSURE;
}

static bool is_doubtful(const sb_store *store, int64_t scan) {
  char text[256];
  return sb_quality_doubt(&sb_store_record(store, scan)->quality, text, sizeof text);
}

// Each pair that is expected or found to be of one person, or of one file, once.
static sb_status collect_cases(checker *k) {
  const sb_listed_array *mated = &k->as_is.study.mated;
  int64_t room = 0;
  sb_status status = sb_ok();
  for (int64_t i = 0; i < mated->count; i++)
    SB_TRY(
        add_case(k, &room, mated->items[i].probe, mated->items[i].gallery, mated->items[i].score));
  SB_TRY(add_pairs(k, &room, &k->as_is.found));
  SB_TRY(add_mirrored(k, &room));
  SB_TRY(add_same_files(k, &room));
  keep_once(&k->cases);
  SB_TRY(score_missing(k));
  for (int64_t i = 0; i < k->cases.count; i++) {
    sb_case *c = k->cases.items + i;
    c->expected = expected_of(k, c->a, c->b);
    c->observed = observe(k, c);
    c->doubtful = is_doubtful(k->store, c->a) || is_doubtful(k->store, c->b);
  }
  if (k->mirror != NULL)
    SB_TRY(sb_observe_mirrored(&k->mirrored, k->options->expected_false, &k->cases));
cleanup:
  return status;
}

// ---- All ----------------------------------------------------------------------------------------

static double threshold_of(const sb_likeness *l) {
  return l->measure != NULL && isfinite(l->threshold) ? l->direction * l->threshold : (double)NAN;
}

// What limits the result.
static void note(const checker *k, sb_check_summary *s) {
  const bool known = k->as_is.likely_known, limited = !k->as_is.rely;
  int used = 0;
  if (limited)
    used = snprintf(
        s->note, sizeof s->note,
        "%s, so that chance cannot be told from a match: only duplicates are found for certain%s",
        sb_likeness_is_bulk_alike(&k->as_is)
            ? "half of the pairs that should be of two people are as close as one "
              "person's"
            : "there are too few pairs of scans of different people",
        known ? ", and other pairs that do not fit their labels are unsure"
              : "; bandpass would say more");
  if (k->options->mirrored && k->mirror == NULL)
    snprintf(
        s->note + used, sizeof s->note - (size_t)used,
        "%smirrored scans were not looked for, as the store's template cannot be read or not be "
        "aligned to its own mirror image",
        limited ? "; " : "");
}

static void summarise(const checker *k, sb_check_summary *s) {
  int64_t scans = k->as_is.scores.now.probe_count;
  s->scans = scans;
  s->threshold = threshold_of(&k->as_is);
  s->mirrored_threshold = threshold_of(&k->mirrored);
  for (int64_t i = 0; i < scans; i++) {
    if (k->label[i] >= s->labels) s->labels = k->label[i] + 1;
    if (k->group[i] >= s->people) s->people = k->group[i] + 1;
  }
  for (int64_t i = 0; i < k->cases.count; i++) s->pairs[k->cases.items[i].verdict]++;
  for (int v = 0; v < SB_VERDICT_COUNT; v++)
    if (v != SB_VERDICT_SAME && v != SB_VERDICT_UNSURE) s->found += s->pairs[v];
  note(k, s);
}

static sb_status judge_and_write(checker *k, sb_check_summary *summary) {
  const sb_check_options *options = k->options;
  const sb_mirror *mirror = k->mirror != NULL ? sb_store_mirror(k->mirror) : NULL;
  sb_status status = sb_ok();
  int64_t scans = k->as_is.scores.now.probe_count;
  SB_TRY(collect_cases(k));
  SB_TRY(sb_find_copies(k->store, mirror, options->memory_bytes, options->threads, k->progress,
                        &k->cases, &summary->not_compared));
  sb_settle_mirrored(&k->cases);
  SB_TRY(sb_tell_exchanged(k->store, &k->cases));
  k->label = k->as_is.scores.now.probe;
  SB_TRY(SB_NEW(&k->group, scans, "scans"));
  SB_TRY(SB_NEW(&k->original, scans, "scans"));
  SB_TRY(sb_judge(k->label, scans, k->as_is.rely, &k->cases, k->group, k->original));
  summarise(k, summary);
  const sb_checked checked = {.store = k->store,
                              .options = options,
                              .as_is = &k->as_is,
                              .mirrored = mirror != NULL ? &k->mirrored : NULL,
                              .cases = k->cases,
                              .group = k->group,
                              .original = k->original};
  SB_TRY(sb_check_write(&checked, k->out, summary));
cleanup:
  return status;
}

sb_status sb_check(const sb_store *store, const sb_check_options *options, const char *out,
                   const sb_progress *progress, sb_check_summary *summary) {
  const sb_check_options defaults = sb_check_options_default();
  checker k = {.store = store,
               .options = options != NULL ? options : &defaults,
               .out = out,
               .progress = progress};
  sb_check_summary unread;
  sb_status status = sb_ok();
  if (summary == NULL) summary = &unread;
  memset(summary, 0, sizeof *summary);
  SB_TRY(compare_scans(&k));
  SB_TRY(judge_and_write(&k, summary));
cleanup:
  free(k.cases.items);
  free(k.group);
  free(k.original);
  sb_likeness_close(&k.as_is);
  sb_likeness_close(&k.mirrored);
  sb_store_close(k.mirror);
  return status;
}
