// sb_check: a store against itself, and what its labels have to say to that.
#include "samebrain/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "engine/pairs.h"
#include "evaluate/check_outputs.h"
#include "evaluate/copies.h"
#include "evaluate/links.h"
#include "evaluate/outputs.h"
#include "measure/likely.h"
#include "samebrain/link.h"

// A pair is observed to be different where at least this share of the pairs of two people are as
// close: where most of them are, and not in their tail.
static const double USUAL_SHARE = 0.01;

sb_check_options sb_check_options_default(void) {
  return (sb_check_options){.expected_false = 0.01, .backend = "auto"};
}

typedef struct checker {
  const sb_store *store;
  const sb_check_options *options;
  const char *out;
  const sb_progress *progress;
  const sb_measure *measure;
  char *command;     // this one, for summary.json
  bool likely_known; // what scores suggest by themselves is known of this measure
  double direction;
  sb_link_folder folder;
  sb_tsv table;
  sb_scores scores;
  sb_study study;
  sb_tail tail;
  sb_proposals found;
  bool rely;        // on the images, against the labels
  double threshold; // closeness from which pairs are listed
  int64_t *label;   // per scan; -1: none
  sb_cases cases;
  int64_t *group, *original; // per scan
} checker;

// As sb_link_command writes a link's.
static sb_status tell_command(checker *k) {
  const sb_check_options *o = k->options;
  char *store = sb_path_real(sb_store_path(k->store));
  char *identities = sb_identities_words(o->identities);
  if (store != NULL && identities != NULL)
    k->command = sb_format("samebrain check %s -m %s %s %.15g%s", store, k->measure->info.name,
                           o->has_threshold ? "--threshold" : "--expected-false",
                           o->has_threshold ? o->threshold : o->expected_false, identities);
  free(store);
  free(identities);
  return k->command != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "out of memory");
}

static sb_status set_up(checker *k) {
  const sb_check_options *options = k->options;
  if (!(options->expected_false > 0 && isfinite(options->expected_false)))
    return sb_error(SB_USAGE, "the number of false pairs to expect must be above 0 (%g)",
                    options->expected_false);
  sb_status status =
      sb_measure_need(options->measure != NULL ? options->measure : SB_LIKELY_MEASURE, &k->measure);
  if (status.code != SB_OK) return status;
  const sb_measure_info *info = &k->measure->info;
  if (!isfinite(info->range_max))
    return sb_error(SB_UNSUPPORTED,
                    "%s is a distance without an upper limit, by which pairs cannot be judged: "
                    "check by nrmse, which compares the same differences, or by %s",
                    info->name, SB_LIKELY_MEASURE);
  if (options->has_threshold &&
      !(options->threshold >= info->range_min && options->threshold <= info->range_max))
    return sb_error(SB_USAGE, "the threshold must be a score of %s, from %g to %g", info->name,
                    info->range_min, info->range_max);
  k->direction = info->higher_is_closer ? 1 : -1;
  k->likely_known = strcmp(info->name, SB_LIKELY_MEASURE) == 0;
  return tell_command(k);
}

// ---- Likeness -----------------------------------------------------------------------------------

static void forget_link(checker *k) {
  sb_proposals_free(&k->found);
  sb_study_free(&k->study);
  sb_scores_close(&k->scores);
  sb_tsv_free(&k->table);
  sb_link_folder_close(&k->folder);
}

// Links the store, and reads what came of it. `listed_from`: a closeness from which every pair is to
// be listed; NaN: the closest few of each scan.
static sb_status link_store(checker *k, double listed_from) {
  // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): found by set_up, or that failed
  const char *names[1] = {k->measure->info.name};
  sb_link_options options = sb_link_options_default();
  sb_link_summary summary;
  double nonmated_max;
  options.measures = names;
  options.measure_count = 1;
  options.identities = k->options->identities;
  options.backend = k->options->backend;
  options.memory_bytes = k->options->memory_bytes;
  options.threads = k->options->threads;
  options.keep = k->options->keep;
  options.command = k->command;
  options.has_threshold = !isnan(listed_from);
  options.threshold = k->direction * listed_from;
  sb_status status = sb_ok();
  SB_TRY(sb_link(k->store, NULL, &options, k->out, k->progress, &summary));
  SB_TRY(sb_link_folder_open(k->out, &k->folder));
  SB_TRY(sb_scores_open(&k->folder, NULL, &k->table, k->progress, &k->scores));
  SB_TRY(sb_scores_study(&k->scores, k->folder.measures, &k->study, &nonmated_max));
  // Pairs that labels call one person's say nothing of two people's.
  SB_TRY(sb_tail_of_study(&k->study, false, &k->tail));
cleanup:
  return status;
}

// Whether half of what should be pairs of two people are as close as one person's: then labels are
// missing, or the scans are blurred.
static bool is_bulk_alike(const checker *k) {
  return k->likely_known && tanh(k->tail.location) > SB_LIKELY_DIFFERENT;
}

// From which closeness pairs are found to be of one person, and the pairs that are.
static sb_status find_pairs(checker *k) {
  const sb_check_options *options = k->options;
  sb_status status = sb_ok();
  k->rely = true;
  if (options->has_threshold) {
    k->threshold = k->direction * options->threshold;
  } else {
    SB_TRY(sb_links_propose(&k->study, &k->tail, options->expected_false, true, false, &k->found));
    k->threshold = k->found.threshold;
    sb_proposals_free(&k->found);
    k->rely = !isnan(k->threshold) && !is_bulk_alike(k);
    if (!k->rely) k->threshold = k->likely_known ? SB_LIKELY_SAME : INFINITY;
  }
  if (isfinite(k->threshold))
    SB_TRY(sb_links_above(&k->study, &k->tail, k->threshold, true, &k->found));
cleanup:
  return status;
}

static sb_status compare_scans(checker *k) {
  sb_status status = sb_ok();
  SB_TRY(link_store(k, (double)NAN));
  SB_TRY(find_pairs(k));
  if (!k->found.cut_short) goto cleanup;
  double threshold = k->threshold;
  forget_link(k); // somebody has more scans than were listed
  SB_TRY(link_store(k, threshold));
  SB_TRY(find_pairs(k));
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
  cases->items[cases->count++] = (sb_case){.a = a, .b = b, .score = score};
  return sb_ok();
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

// By scans, known scores first.
static int by_scans(const void *left, const void *right) {
  const sb_case *a = left, *b = right;
  if (a->a != b->a) return a->a < b->a ? -1 : 1;
  if (a->b != b->b) return a->b < b->b ? -1 : 1;
  return (isnan(a->score) ? 1 : 0) - (isnan(b->score) ? 1 : 0);
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
  sb_status status = sb_ok();
  for (int64_t i = 0; i < k->cases.count && status.code == SB_OK; i++) {
    sb_case *c = k->cases.items + i;
    const sb_pair pair = {c->a, c->b};
    if (!isnan(c->score)) continue;
    status = sb_score_pairs(k->store, k->store, k->measure, k->folder.measures->weights, &pair, 1,
                            &c->score);
    c->score *= k->direction;
  }
  return status;
}

static sb_expected expected_of(const checker *k, int64_t a, int64_t b) {
  const char *word = sb_expected_of(&k->scores, a, b);
  return strcmp(word, "same") == 0        ? SB_EXPECTED_SAME
         : strcmp(word, "different") == 0 ? SB_EXPECTED_DIFFERENT
                                          : SB_EXPECTED_UNKNOWN;
}

static sb_observed observe_by_limits(const checker *k, double score) {
  if (!k->likely_known) return SB_OBSERVED_UNSURE;
  return score >= SB_LIKELY_SAME        ? SB_OBSERVED_SAME
         : score <= SB_LIKELY_DIFFERENT ? SB_OBSERVED_DIFFERENT
                                        : SB_OBSERVED_UNSURE;
}

// What the images say. Against a label only what is both beyond chance and as close as one person's
// scans are; for it, either will do.
static sb_observed observe(const checker *k, const sb_case *c) {
  if (k->options->has_threshold)
    return c->score >= k->threshold ? SB_OBSERVED_SAME : SB_OBSERVED_DIFFERENT;
  if (!k->rely) return observe_by_limits(k, c->score);
  bool usual = k->likely_known && c->score >= SB_LIKELY_SAME;
  if (c->expected != SB_EXPECTED_SAME)
    return c->score >= k->threshold && (usual || !k->likely_known) ? SB_OBSERVED_SAME
                                                                   : SB_OBSERVED_UNSURE;
  double above = sb_tail_above(&k->tail, c->score);
  if (usual || above * (double)k->study.mated.count <= k->options->expected_false)
    return SB_OBSERVED_SAME;
  return above >= USUAL_SHARE ? SB_OBSERVED_DIFFERENT : SB_OBSERVED_UNSURE;
}

static bool is_doubtful(const sb_store *store, int64_t scan) {
  char text[256];
  return sb_quality_doubt(&sb_store_record(store, scan)->quality, text, sizeof text);
}

// Each pair that is expected or found to be of one person, or of one file, once.
static sb_status collect_cases(checker *k) {
  const sb_listed_array *mated = &k->study.mated;
  int64_t room = 0;
  sb_status status = sb_ok();
  for (int64_t i = 0; i < mated->count; i++)
    SB_TRY(
        add_case(k, &room, mated->items[i].probe, mated->items[i].gallery, mated->items[i].score));
  for (int64_t i = 0; i < k->found.count; i++) {
    const sb_listed *pair = &k->found.items[i].pair;
    SB_TRY(add_case(k, &room, pair->probe, pair->gallery, pair->score));
  }
  SB_TRY(add_same_files(k, &room));
  keep_once(&k->cases);
  SB_TRY(score_missing(k));
  for (int64_t i = 0; i < k->cases.count; i++) {
    sb_case *c = k->cases.items + i;
    c->expected = expected_of(k, c->a, c->b);
    c->observed = observe(k, c);
    c->doubtful = is_doubtful(k->store, c->a) || is_doubtful(k->store, c->b);
  }
cleanup:
  return status;
}

// ---- All ----------------------------------------------------------------------------------------

static void summarise(const checker *k, sb_check_summary *s) {
  int64_t scans = k->scores.now.probe_count;
  s->scans = scans;
  s->threshold = isfinite(k->threshold) ? k->direction * k->threshold : (double)NAN;
  for (int64_t i = 0; i < scans; i++) {
    if (k->label[i] >= s->labels) s->labels = k->label[i] + 1;
    if (k->group[i] >= s->people) s->people = k->group[i] + 1;
  }
  for (int64_t i = 0; i < k->cases.count; i++) s->pairs[k->cases.items[i].verdict]++;
  s->found = s->pairs[SB_VERDICT_DUPLICATE] + s->pairs[SB_VERDICT_SAME_PERSON] +
             s->pairs[SB_VERDICT_SUSPECTED_SWAP] + s->pairs[SB_VERDICT_DIFFERENT];
  if (k->rely) return;
  snprintf(
      s->note, sizeof s->note,
      "%s, so that chance cannot be told from a match: only duplicates are found for certain%s",
      is_bulk_alike(k) ? "half of the pairs that should be of two people are as close as one "
                         "person's"
                       : "there are too few pairs of scans of different people",
      k->likely_known ? ", and other pairs that do not fit their labels are unsure"
                      : "; bandpass would say more");
}

static sb_status judge_and_write(checker *k, sb_check_summary *summary) {
  const sb_check_options *options = k->options;
  sb_status status = sb_ok();
  int64_t scans = k->scores.now.probe_count;
  SB_TRY(collect_cases(k));
  SB_TRY(sb_find_copies(k->store, options->memory_bytes, options->threads, k->progress, &k->cases,
                        &summary->not_compared));
  k->label = k->scores.now.probe;
  SB_TRY(SB_NEW(&k->group, scans, "scans"));
  SB_TRY(SB_NEW(&k->original, scans, "scans"));
  SB_TRY(sb_judge(k->label, scans, k->rely, &k->cases, k->group, k->original));
  summarise(k, summary);
  const sb_checked checked = {.store = k->store,
                              .options = options,
                              .scores = &k->scores,
                              .measure = k->measure,
                              .direction = k->direction,
                              .tail = &k->tail,
                              .pairs = (double)k->study.pairs,
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
  sb_status status = sb_ok();
  memset(summary, 0, sizeof *summary);
  SB_TRY(set_up(&k));
  SB_TRY(compare_scans(&k));
  SB_TRY(judge_and_write(&k, summary));
cleanup:
  free(k.cases.items);
  free(k.group);
  free(k.original);
  free(k.command);
  forget_link(&k);
  return status;
}
