#include "evaluate/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

void sb_study_free(sb_study *study) {
  if (study->gallery_person != study->probe_person) free(study->gallery_person);
  free(study->probe_person);
  free(study->histogram);
  free(study->best_nonmated);
  free(study->mate);
  free(study->matches.items);
  free(study->mated.items);
  memset(study, 0, sizeof *study);
}

static void take_mate(double *mate, double closeness) {
  if (isnan(*mate) || closeness > *mate) *mate = closeness;
}

static double highest_bin(const sb_study *study, int64_t probe) {
  const uint32_t *line = study->histogram + probe * study->bins;
  for (int64_t bin = study->bins - 1; bin >= 0; bin--)
    if (line[bin] > 0) return sb_study_edge(study, bin) + sb_study_width(study) / 2;
  return (double)NAN;
}

sb_status sb_study_complete(sb_study *study) {
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&study->mate, study->probes, "scores"));
  for (int64_t p = 0; p < study->probes; p++) study->mate[p] = (double)NAN;
  for (int64_t i = 0; i < study->mated.count; i++) {
    const sb_listed *pair = study->mated.items + i;
    take_mate(study->mate + pair->probe, pair->score);
    if (study->self) take_mate(study->mate + pair->gallery, pair->score);
  }
  if (study->best_nonmated != NULL) goto cleanup;
  SB_TRY(SB_NEW(&study->best_nonmated, study->probes, "scores"));
  for (int64_t p = 0; p < study->probes; p++) study->best_nonmated[p] = (double)NAN;
  for (int64_t i = study->matches.count - 1; i >= 0; i--) {
    const sb_listed *line = study->matches.items + i;
    if (line->kind == SB_PAIR_NONMATED) study->best_nonmated[line->probe] = line->score;
  }
  for (int64_t p = 0; p < study->probes; p++)
    if (isnan(study->best_nonmated[p])) study->best_nonmated[p] = highest_bin(study, p);
cleanup:
  return status;
}

sb_status sb_study_mated_people(const sb_study *study, int64_t *people) {
  bool *seen = NULL;
  sb_status status = SB_NEW_ZERO(&seen, study->people, "persons");
  *people = 0;
  for (int64_t i = 0; i < study->mated.count && status.code == SB_OK; i++) {
    bool *mark = seen + study->probe_person[study->mated.items[i].probe];
    *people += !*mark;
    *mark = true;
  }
  free(seen);
  return status;
}

static double histogram_above(const sb_study *study, int64_t probe, double closeness) {
  const uint32_t *line = study->histogram + probe * study->bins;
  int64_t first = sb_study_bin(study, closeness);
  double part = (closeness - sb_study_edge(study, first)) / sb_study_width(study);
  double above = line[first] * (1 - fmin(fmax(part, 0), 1));
  for (int64_t bin = first + 1; bin < study->bins; bin++) above += line[bin];
  return above;
}

void sb_study_false_matches(const sb_study *study, double closeness, sb_false_match take,
                            void *context) {
  const sb_listed *items = study->matches.items;
  for (int64_t p = 0, i = 0; p < study->probes; p++) {
    int64_t first = i;
    while (i < study->matches.count && items[i].probe == p) i++;
    if (i == first || items[i - 1].score >= closeness) {
      take(context, p, -1, histogram_above(study, p, closeness));
      continue;
    }
    for (; first < i && items[first].score >= closeness; first++)
      if (items[first].kind == SB_PAIR_NONMATED) take(context, p, items[first].gallery, 1);
  }
}

static void add_pairs(void *context, int64_t probe, int64_t gallery, double pairs) {
  (void)probe;
  (void)gallery;
  *(double *)context += pairs;
}

double sb_study_nonmated_above(const sb_study *study, double closeness) {
  double above = 0;
  sb_study_false_matches(study, closeness, add_pairs, &above);
  return above / (double)sb_study_sides(study);
}

// ---- A part of a study --------------------------------------------------------------------------

// New numbers for the scans that are kept: -1 for the others.
static sb_status renumber(const int64_t *dataset, int64_t count, int64_t wanted, int64_t **number,
                          int64_t *kept) {
  *kept = 0;
  sb_status status = SB_NEW(number, count, "scans");
  for (int64_t i = 0; i < count && status.code == SB_OK; i++)
    (*number)[i] = dataset[i] == wanted ? (*kept)++ : -1;
  return status;
}

static sb_status keep_people(const int64_t *old, const int64_t *number, int64_t count, int64_t kept,
                             int64_t *new_person, int64_t *people, int64_t **out) {
  sb_status status = SB_NEW(out, kept, "persons");
  for (int64_t i = 0; i < count && status.code == SB_OK; i++) {
    if (number[i] < 0) continue;
    if (new_person[old[i]] < 0) new_person[old[i]] = (*people)++;
    (*out)[number[i]] = new_person[old[i]];
  }
  return status;
}

static sb_status keep_pairs(const sb_listed_array *old, const int64_t *probe,
                            const int64_t *gallery, sb_listed_array *out) {
  sb_status status = SB_NEW(&out->items, old->count, "scores");
  for (int64_t i = 0; i < old->count && status.code == SB_OK; i++) {
    sb_listed pair = old->items[i];
    pair.probe = probe[pair.probe];
    pair.gallery = gallery[pair.gallery];
    if (pair.probe < 0 || pair.gallery < 0) continue;
    const sb_listed *last = out->count > 0 ? out->items + out->count - 1 : NULL;
    if (pair.rank > 0) pair.rank = last != NULL && last->probe == pair.probe ? last->rank + 1 : 1;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): allocated, or the status says otherwise
    out->items[out->count++] = pair;
  }
  return status;
}

sb_status sb_study_within(const sb_study *study, const int64_t *probe_dataset,
                          const int64_t *gallery_dataset, const uint32_t *within, int64_t dataset,
                          sb_study *out) {
  *out = (sb_study){.low = study->low,
                    .high = study->high,
                    .ratio = study->ratio,
                    .self = study->self,
                    .bins = study->bins};
  int64_t *probe = NULL, *gallery = NULL, *person = NULL;
  sb_status status = sb_ok();
  SB_TRY(renumber(probe_dataset, study->probes, dataset, &probe, &out->probes));
  SB_TRY(renumber(gallery_dataset, study->gallery, dataset, &gallery, &out->gallery));
  SB_TRY(SB_NEW(&person, study->people, "persons"));
  for (int64_t i = 0; i < study->people; i++) person[i] = -1;
  SB_TRY(keep_people(study->probe_person, probe, study->probes, out->probes, person, &out->people,
                     &out->probe_person));
  if (study->self)
    out->gallery_person = out->probe_person;
  else
    SB_TRY(keep_people(study->gallery_person, gallery, study->gallery, out->gallery, person,
                       &out->people, &out->gallery_person));
  SB_TRY(keep_pairs(&study->matches, probe, gallery, &out->matches));
  SB_TRY(keep_pairs(&study->mated, probe, gallery, &out->mated));
  SB_TRY(SB_NEW(&out->histogram, out->probes * out->bins, "histograms"));
  int64_t counted = 0;
  for (int64_t p = 0; p < study->probes; p++) {
    if (probe[p] < 0) continue;
    const uint32_t *from = within + p * study->bins;
    uint32_t *to = out->histogram + probe[p] * out->bins;
    for (int64_t bin = 0; bin < study->bins; bin++) counted += to[bin] = from[bin];
  }
  out->pairs = counted / sb_study_sides(out) + out->mated.count;
  SB_TRY(sb_study_complete(out));
cleanup:
  free(probe);
  free(gallery);
  free(person);
  if (status.code != SB_OK) sb_study_free(out);
  return status;
}

sb_status sb_study_join(const sb_study *a, const sb_study *b, sb_study *out) {
  *out = (sb_study){.low = a->low,
                    .high = a->high,
                    .ratio = a->ratio,
                    .self = a->self,
                    .pairs = a->pairs + b->pairs,
                    .probes = a->probes + b->probes,
                    .gallery = a->gallery + b->gallery,
                    .people = a->people + b->people,
                    .bins = a->bins};
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&out->probe_person, out->probes, "persons"));
  for (int64_t p = 0; p < out->probes; p++)
    out->probe_person[p] =
        p < a->probes ? a->probe_person[p] : a->people + b->probe_person[p - a->probes];
  if (out->self) {
    out->gallery_person = out->probe_person;
  } else {
    SB_TRY(SB_NEW(&out->gallery_person, out->gallery, "persons"));
    for (int64_t g = 0; g < out->gallery; g++)
      out->gallery_person[g] =
          g < a->gallery ? a->gallery_person[g] : a->people + b->gallery_person[g - a->gallery];
  }
  SB_TRY(SB_NEW(&out->histogram, out->probes * out->bins, "histograms"));
  size_t of_a = (size_t)(a->probes * a->bins), of_b = (size_t)(b->probes * b->bins);
  if (of_a > 0) memcpy(out->histogram, a->histogram, of_a * sizeof *out->histogram);
  if (of_b > 0) memcpy(out->histogram + of_a, b->histogram, of_b * sizeof *out->histogram);
  SB_TRY(SB_NEW(&out->mated.items, a->mated.count + b->mated.count, "scores"));
  for (int64_t i = 0; i < a->mated.count; i++)
    out->mated.items[out->mated.count++] = a->mated.items[i];
  for (int64_t i = 0; i < b->mated.count; i++) {
    sb_listed pair = b->mated.items[i];
    pair.probe += a->probes;
    pair.gallery += a->gallery;
    out->mated.items[out->mated.count++] = pair;
  }
  SB_TRY(sb_study_complete(out));
cleanup:
  if (status.code != SB_OK) sb_study_free(out);
  return status;
}
