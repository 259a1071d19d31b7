#include "evaluate/check_outputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "engine/results.h"
#include "evaluate/copies.h"
#include "evaluate/outputs.h"
#include "measure/likely.h"

static const char *const EXPECTED[] = {"unknown", "same", "different"};
static const char *const OBSERVED[] = {"same", "different", "unsure"};

const char *sb_verdict_name(sb_verdict verdict) {
  static const char *const names[SB_VERDICT_COUNT] = {
      "same", "different", "duplicate", "same_person", "suspected_swap", "mirrored", "unsure"};
  return (unsigned)verdict < SB_VERDICT_COUNT ? names[verdict] : "unknown";
}

// ---- Reasons, in words --------------------------------------------------------------------------

static const sb_identity *scan_of(const sb_checked *k, int64_t i) {
  return k->as_is->scores.folder->scans.probe + i;
}

// Whose a scan is by its label.
static const char *label_of(const sb_checked *k, int64_t i) {
  const char *person = scan_of(k, i)->person;
  return *person == '\0' ? "nobody" : person;
}

// How likely chance is, where that is known.
static void say_chance(FILE *file, const sb_likeness *l, double closeness) {
  double above = sb_tail_above(&l->tail, closeness);
  if (!isnan(above))
    fprintf(file, " (probability that two people's scans are as close: %.1g)",
            -expm1(-(double)l->study.pairs * above));
}

// The same of a case, as it was found.
static void say_chance_of(FILE *file, const sb_checked *k, const sb_case *c) {
  say_chance(file, c->mirrored ? k->mirrored : k->as_is, sb_case_closeness(c));
}

// Of a mirrored case that one of its scans is, and which.
static void say_mirrored(FILE *file, const sb_checked *k, const sb_case *c) {
  if (!c->mirrored) return;
  fprintf(file,
          "; one of the two has left and right exchanged, as with one mirrored they score %.4f",
          k->as_is->direction * c->mirrored_score);
  if (c->exchanged < 0) {
    fputs(": images cannot say which", file);
    return;
  }
  const char *id = scan_of(k, c->exchanged == 0 ? c->a : c->b)->scan_id;
  const char *other = scan_of(k, c->exchanged == 0 ? c->b : c->a)->scan_id;
  if (c->alike > 0)
    fprintf(file, ": probably %s, as %lld more of this person %s as %s does", id,
            (long long)c->alike, c->alike == 1 ? "lies" : "lie", other);
  else
    fprintf(file, ": probably %s, whose header leaves open which side is left", id);
}

// Under which labels the two are.
static void say_under(FILE *file, const sb_checked *k, const sb_case *c) {
  if (c->expected == SB_EXPECTED_SAME)
    fprintf(file, "under the label %s", label_of(k, c->a));
  else if (*scan_of(k, c->a)->person == '\0' || *scan_of(k, c->b)->person == '\0')
    fputs("under two ids", file);
  else
    fprintf(file, "under the labels %s and %s", label_of(k, c->a), label_of(k, c->b));
}

static void say_labels(FILE *file, const sb_checked *k, const sb_case *c) {
  fputs("one person ", file);
  say_under(file, k, c);
  say_chance_of(file, k, c);
}

// That it is not one image twice.
static void say_noise(FILE *file, const sb_case *c) {
  const bool resampled = c->compared == SB_COMPARED_RESAMPLED;
  if (c->compared != SB_COMPARED_NOISE && !resampled) return;
  const char *how = resampled ? ", resampled," : "";
  if (c->agreement < (resampled ? sb_rescan_resampled : sb_rescan_noise))
    fprintf(file, "; two scans, as their noise%s differs (correlation %.3f)", how, c->agreement);
  else
    fprintf(
        file,
        "; two scans, or a copy that was changed: their noise%s agrees more than that of rescans "
        "was seen to (correlation %.3f)",
        how, c->agreement);
}

static void say_copy(FILE *file, const sb_checked *k, const sb_case *c) {
  if (c->compared == SB_COMPARED_FILES)
    fputs("one file under two names (one SHA-256)", file);
  else if (c->compared == SB_COMPARED_NOISE)
    fprintf(file,
            "the same image: its voxels' noise agrees (correlation %.3f; of rescans it is below "
            "%.2f)",
            c->agreement, sb_copy_noise);
  else if (c->compared == SB_COMPARED_RESAMPLED)
    fprintf(file,
            "the same image at other voxels: resampled, its noise agrees (correlation %.3f; of "
            "rescans it is below %.2f)",
            c->agreement, sb_copy_resampled);
  else
    fprintf(file,
            "the same image: its rows agree as only copies do (%.5f); the files' noise could not "
            "be compared",
            c->agreement);
  say_mirrored(file, k, c);
  if (c->expected == SB_EXPECTED_DIFFERENT)
    fprintf(file, "; its labels are %s and %s", label_of(k, c->a), label_of(k, c->b));
}

// Other labels under which copies of a scan stand.
static void say_labels_of_copies(FILE *file, const sb_checked *k, int64_t scan) {
  for (int64_t i = 0; i < k->cases.count; i++) {
    const sb_case *c = k->cases.items + i;
    if (c->copy && (c->a == scan || c->b == scan) && c->expected != SB_EXPECTED_SAME)
      fprintf(file, " or %s", label_of(k, c->a == scan ? c->b : c->a));
  }
}

// Whose a scan probably is, as another case shows.
static void say_owner(FILE *file, const sb_checked *k, int64_t scan, int64_t shown_by) {
  const sb_case *c = k->cases.items + shown_by;
  int64_t other = c->a == scan ? c->b : c->a;
  fprintf(file, "%s is probably of %s", scan_of(k, scan)->scan_id, label_of(k, other));
  if (!c->copy) say_labels_of_copies(file, k, other);
  fprintf(file, ", being as close to %s as %.4f%s", scan_of(k, other)->scan_id,
          k->as_is->direction * sb_case_closeness(c), c->mirrored ? " with one mirrored" : "");
  say_chance_of(file, k, c);
}

static void say_two_people(FILE *file, const sb_checked *k, const sb_case *c) {
  double above = sb_tail_above(&k->as_is->tail, c->score);
  fprintf(file, "two people under the label %s", label_of(k, c->a));
  if (!isnan(above))
    fprintf(file, " (%.2g %% of pairs of two people are at least as close)", 100 * above);
  bool of_a = c->owner[0] >= 0, of_b = c->owner[1] >= 0;
  fputs(of_a && of_b ? "; either " : "; ", file);
  if (of_a) say_owner(file, k, c->a, c->owner[0]);
  if (of_a && of_b) fputs(", or ", file);
  if (of_b) say_owner(file, k, c->b, c->owner[1]);
  if (!of_a && !of_b)
    fputs("neither scan is like anybody else's here, so whose they are is not known", file);
}

static void say_doubtful(FILE *file, const sb_checked *k, const sb_case *c) {
  const int64_t scans[2] = {c->a, c->b};
  char doubt[256];
  fprintf(file, "not like two scans of one person, under the label %s", label_of(k, c->a));
  for (int i = 0; i < 2; i++)
    if (sb_quality_doubt(&sb_store_record(k->store, scans[i])->quality, doubt, sizeof doubt))
      fprintf(file, "; but of %s: %s", scan_of(k, scans[i])->scan_id, doubt);
}

static void say_few(FILE *file, const sb_checked *k, const sb_case *c) {
  bool same = c->observed == SB_OBSERVED_SAME;
  fprintf(file, "%s as scans of %s usually are, ", same ? "as close" : "as far apart",
          same ? "one person" : "two people");
  say_under(file, k, c);
  say_mirrored(file, k, c);
  fputs("; but how likely that is by chance cannot be told here: look at both", file);
}

static void say_between(FILE *file, const sb_checked *k, const sb_case *c) {
  const bool expected = c->expected == SB_EXPECTED_SAME;
  const bool usual = k->as_is->likely_known && c->score >= SB_LIKELY_SAME;
  if (!k->as_is->rely && !k->as_is->likely_known) {
    fprintf(file,
            "there are too few scans to tell how close those of one person are by %s: look at both",
            k->as_is->measure->info.name);
    return;
  }
  fputs(expected ? "too far apart for one person's scans, and too close for two people's"
        : usual
            ? "as close as one person's scans usually are, but so many pairs here are close that "
              "chance is not ruled out"
            : "closer than chance explains, but not as close as one person's scans usually are",
        file);
  say_chance_of(file, k, c);
  fputs(expected || usual
            ? ": look at both"
            : ": a relative, many years between, or another kind of scan; look at both",
        file);
}

static void say_follows(FILE *file, const sb_checked *k, const sb_case *c) {
  int64_t copy = k->original[c->a] != c->a ? c->a : c->b;
  fprintf(file, "follows from the duplicate: %s is a copy of %s", scan_of(k, copy)->scan_id,
          scan_of(k, k->original[copy])->scan_id);
}

static void say_why(FILE *file, const sb_checked *k, const sb_case *c) {
  switch (c->why) {
  case SB_WHY_AGREED:
    fputs("as the label says", file);
    say_chance_of(file, k, c);
    say_noise(file, c);
    return;
  case SB_WHY_MIRRORED:
    fputs("one person, as the label says", file);
    say_chance_of(file, k, c);
    say_mirrored(file, k, c);
    return;
  case SB_WHY_THROUGH:
    fputs("not alike themselves, but both are like other scans of this person: is one damaged?",
          file);
    return;
  case SB_WHY_FOLLOWS:
    say_follows(file, k, c);
    return;
  case SB_WHY_COPY:
    say_copy(file, k, c);
    return;
  case SB_WHY_TWO_PEOPLE:
    say_two_people(file, k, c);
    return;
  case SB_WHY_MISPLACED:
    say_labels(file, k, c);
    fputs(", one of which holds scans of somebody else too: mislabelled", file);
    say_mirrored(file, k, c);
    return;
  case SB_WHY_TWO_LABELS:
    say_labels(file, k, c);
    say_mirrored(file, k, c);
    say_noise(file, c);
    return;
  case SB_WHY_DOUBTFUL:
    say_doubtful(file, k, c);
    return;
  case SB_WHY_BETWEEN:
    say_between(file, k, c);
    return;
  case SB_WHY_FEW:
    say_few(file, k, c);
    return;
  }
}

// ---- Tables -------------------------------------------------------------------------------------

static void put_scan(FILE *file, const sb_identity *scan) {
  sb_tsv_put(file, scan->dataset);
  fputc('\t', file);
  sb_tsv_put(file, scan->scan_id);
  fputc('\t', file);
}

static void put_cases(FILE *file, const sb_checked *k) {
  fputs("dataset_a\tid_a\tdataset_b\tid_b\tscore\texpected\tobserved\tverdict\treason\n", file);
  for (int64_t i = 0; i < k->cases.count; i++) {
    const sb_case *c = k->cases.items + i;
    put_scan(file, scan_of(k, c->a));
    put_scan(file, scan_of(k, c->b));
    fprintf(file, "%.9f\t%s\t%s\t%s\t", k->as_is->direction * c->score, EXPECTED[c->expected],
            OBSERVED[c->observed], sb_verdict_name(c->verdict));
    say_why(file, k, c);
    fputc('\n', file);
  }
}

typedef struct grouped {
  int64_t group, label, scan;
} grouped;

static int by_group(const void *left, const void *right) {
  const grouped *a = left, *b = right;
  if (a->group != b->group) return a->group < b->group ? -1 : 1;
  if (a->label != b->label) return a->label < b->label ? -1 : 1;
  return a->scan < b->scan ? -1 : a->scan > b->scan;
}

// Different labels among the scans of a group; scans without one are not counted.
static int64_t count_labels(const grouped *list, int64_t count) {
  int64_t labels = 0;
  for (int64_t i = 0; i < count; i++)
    labels += list[i].label >= 0 && (i == 0 || list[i].label != list[i - 1].label);
  return labels;
}

static sb_status put_groups(FILE *file, const sb_checked *k) {
  const sb_people *people = &k->as_is->scores.now;
  int64_t scans = people->probe_count;
  grouped *list = NULL;
  sb_status status = SB_NEW(&list, scans, "scans");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < scans; i++) list[i] = (grouped){k->group[i], people->probe[i], i};
  if (scans > 1) qsort(list, (size_t)scans, sizeof *list, by_group);
  fputs("person\tscans\tlabels\tdataset\tscan_id\tlabel\tduplicate_of\n", file);
  for (int64_t first = 0, last = 0; first < scans; first = last) {
    while (last < scans && list[last].group == list[first].group) last++;
    int64_t labels = count_labels(list + first, last - first);
    for (int64_t i = first; i < last; i++) {
      const sb_identity *scan = scan_of(k, list[i].scan);
      int64_t original = k->original[list[i].scan];
      fprintf(file, "%lld\t%lld\t%lld\t", (long long)list[i].group + 1, (long long)(last - first),
              (long long)labels);
      put_scan(file, scan);
      sb_tsv_put(file, scan->person);
      fputc('\t', file);
      sb_tsv_put(file, original == list[i].scan ? "" : scan_of(k, original)->scan_id);
      fputc('\n', file);
    }
  }
  free(list);
  return status;
}

// ---- check.json ---------------------------------------------------------------------------------

static cJSON *json_of(const sb_checked *k, const sb_check_summary *s) {
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "kind", "samebrain check");
  cJSON_AddStringToObject(root, "version", sb_version());
  cJSON_AddStringToObject(root, "measure", k->as_is->measure->info.name);
  cJSON_AddStringToObject(root, "identities",
                          k->options->identities != NULL
                              ? k->options->identities
                              : sb_identity_mode_name(SB_IDENTITIES_LABELS));
  cJSON_AddNumberToObject(root, "expected_false", k->options->expected_false);
  if (isfinite(s->threshold))
    cJSON_AddNumberToObject(root, "threshold", s->threshold);
  else
    cJSON_AddNullToObject(root, "threshold");
  if (isfinite(s->mirrored_threshold))
    cJSON_AddNumberToObject(root, "mirrored_threshold", s->mirrored_threshold);
  else
    cJSON_AddNullToObject(root, "mirrored_threshold");
  cJSON_AddBoolToObject(root, "mirrored", k->mirrored != NULL);
  cJSON_AddBoolToObject(root, "threshold_given", k->options->has_threshold);
  cJSON_AddNumberToObject(root, "duplicate_noise", sb_copy_noise);
  cJSON_AddNumberToObject(root, "duplicate_resampled", sb_copy_resampled);
  cJSON_AddNumberToObject(root, "duplicate_rows", sb_copy_rows);
  cJSON_AddNumberToObject(root, "scans", (double)s->scans);
  cJSON_AddNumberToObject(root, "labels", (double)s->labels);
  cJSON_AddNumberToObject(root, "people", (double)s->people);
  cJSON_AddNumberToObject(root, "found", (double)s->found);
  cJSON_AddNumberToObject(root, "not_compared", (double)s->not_compared);
  cJSON *pairs = cJSON_AddObjectToObject(root, "pairs");
  for (int v = 0; v < SB_VERDICT_COUNT; v++)
    cJSON_AddNumberToObject(pairs, sb_verdict_name((sb_verdict)v), (double)s->pairs[v]);
  cJSON_AddStringToObject(root, "note", s->note);
  return root;
}

// ---- All ----------------------------------------------------------------------------------------

sb_status sb_check_write(const sb_checked *checked, const char *out,
                         const sb_check_summary *summary) {
  sb_results results = {0};
  FILE *file = NULL;
  cJSON *root = json_of(checked, summary);
  sb_status status;
  SB_TRY(sb_results_open_finished(out, &results));
  SB_TRY(sb_results_create(&results, "check.tsv", &file));
  put_cases(file, checked);
  SB_TRY(sb_results_create(&results, "groups.tsv", &file));
  SB_TRY(put_groups(file, checked));
  SB_TRY(sb_results_publish_added(&results, "check.json", root, NULL));
cleanup:
  cJSON_Delete(root);
  sb_results_close(&results);
  return status;
}
