#include "evaluate/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/order.h"
#include "evaluate/exact.h"
#include "evaluate/kde.h"

static const double NONE = (double)NAN;

// ---- People as trials ---------------------------------------------------------------------------

sb_status sb_count_trials(const sb_study *study, sb_trials *out) {
  bool *probe = NULL, *gallery = NULL;
  int64_t probes = 0, galleries = 0;
  sb_status status = sb_ok();
  SB_TRY(sb_study_mated_people(study, &out->mated));
  SB_TRY(SB_NEW_ZERO(&probe, study->people, "persons"));
  SB_TRY(SB_NEW_ZERO(&gallery, study->people, "persons"));
  for (int64_t p = 0; p < study->probes; p++) probe[study->probe_person[p]] = true;
  for (int64_t g = 0; g < study->gallery; g++) gallery[study->gallery_person[g]] = true;
  for (int64_t a = 0; a < study->people; a++) {
    probes += probe[a];
    galleries += gallery[a];
  }
  out->probes = probes;
  out->nonmated = sb_smaller(study->people / 2, sb_smaller(probes, galleries));
  out->triples =
      sb_smaller(sb_smaller(out->mated, study->people / 3), sb_smaller(probes / 2, galleries / 2));
cleanup:
  free(probe);
  free(gallery);
  return status;
}

// ---- Intervals ----------------------------------------------------------------------------------

sb_interval sb_interval_of_errors(double rate, double low, double high, int64_t people,
                                  bool always) {
  if (isnan(rate)) return (sb_interval){NONE, NONE};
  double bound = sb_zero_error_bound(people, SB_ALPHA);
  if (rate <= 0) return (sb_interval){0, bound};
  if (rate >= 1) return (sb_interval){1 - bound, 1};
  if (isnan(low)) return (sb_interval){NONE, NONE};
  return (sb_interval){low, always ? fmax(high, bound) : high};
}

static sb_interval of_hits(double rate, double low, double high, int64_t people) {
  sb_interval errors = sb_interval_of_errors(1 - rate, 1 - high, 1 - low, people, true);
  return (sb_interval){1 - errors.high, 1 - errors.low};
}

static sb_interval turned(const sb_scale *scale, double low, double high) {
  double a = sb_scale_score(scale, low), b = sb_scale_score(scale, high);
  return scale->direction > 0 ? (sb_interval){a, b} : (sb_interval){b, a};
}

// An equal error rate e of which none was seen: at its true threshold either no mated or no
// non-mated trial failed, so P <= 2 (1 - e)^k.
static sb_interval of_eer(double eer, double low, double high, const sb_trials *t) {
  if (isnan(eer) || eer > 0) return (sb_interval){low, high};
  int64_t k = sb_smaller(t->mated, t->nonmated);
  return (sb_interval){0, sb_zero_error_bound(k, SB_ALPHA / 2)};
}

// ---- Figures ------------------------------------------------------------------------------------

static void say(sb_evaluation *e, const char *text) {
  for (size_t i = 0; i < sizeof e->why / sizeof *e->why; i++) {
    if (e->why[i][0] != '\0') continue;
    snprintf(e->why[i], sizeof e->why[i], "%s", text);
    break;
  }
}

static void say_why(const sb_study *study, const sb_trials *t, sb_evaluation *e) {
  char text[200];
  if (study->people < 2)
    say(e, "all scans are of one person, so there is no non-mated pair to compare with");
  else if (e->nonmated_pairs == 0)
    say(e, "no pair is known to be of two people, so there is nothing to compare with");
  if (e->mated_pairs == 0) {
    say(e, "nobody is known to have two scans here, so nothing can be said of mated pairs");
    return;
  }
  if (t->mated < SB_LEAST_PEOPLE) {
    snprintf(text, sizeof text,
             "only %lld %s with two scans: bounds where no error was seen, no interval otherwise",
             (long long)t->mated, t->mated == 1 ? "person" : "people");
    say(e, text);
  }
  if (e->nonmated_pairs > 0 && isnan(e->d_prime))
    say(e, "no d-prime: it takes two different scores of either kind");
  if (e->nonmated_pairs > 0 && isnan(e->kde_threshold))
    say(e, isnan(e->kde_mated_bandwidth) || isnan(e->kde_nonmated_bandwidth)
               ? "no threshold by densities: it takes two different scores of either kind"
               : "no threshold by densities: they do not cross between their means");
}

static void take_mated(const sb_study *study, const sb_scale *scale, sb_evaluation *out) {
  double sum = 0, squares = 0, least = INFINITY;
  int64_t count = out->mated_pairs = study->mated.count;
  for (int64_t i = 0; i < count; i++) {
    sum += study->mated.items[i].score;
    least = fmin(least, study->mated.items[i].score);
  }
  double mean = sum / (double)count;
  for (int64_t i = 0; i < count; i++) {
    double d = study->mated.items[i].score - mean;
    squares += d * d;
  }
  out->mated_min = count > 0 ? sb_scale_score(scale, least) : NONE;
  out->mated_mean = count > 0 ? sb_scale_score(scale, mean) : NONE;
  double variance = sb_real_variance(squares / (double)(count - 1), study->low, study->high);
  out->mated_sd = count > 1 ? sqrt(variance) : NONE;
}

static sb_status take_pool(const sb_study *study, const sb_scale *scale, sb_evaluation *out) {
  sb_pool pool = {0};
  double threshold, bandwidth[2];
  sb_status status = sb_pool_of_study(study, &pool);
  if (status.code != SB_OK) return status;
  sb_moments m = sb_pool_moments(&pool, pool.nonmated, 1);
  out->nonmated_pairs = (int64_t)llround(pool.nonmated_weight);
  out->nonmated_mean = sb_scale_score(scale, m.mean);
  out->nonmated_sd = sqrt(m.variance);
  out->auc_error = sb_pool_auc_error(&pool);
  status = sb_kde_threshold(&pool, &threshold, bandwidth);
  out->kde_mated_bandwidth = bandwidth[0];
  out->kde_nonmated_bandwidth = bandwidth[1];
  sb_pool_free(&pool);
  return status;
}

static void take_values(const sb_values *v, const sb_search *search, const sb_scale *scale,
                        sb_evaluation *out) {
  out->mated_probes = search->mated;
  for (int64_t i = 0; i < search->mated; i++)
    out->rank1_probes += search->rank[search->by_mate[i]] <= 1;
  out->rank1 = v->hits[0];
  out->rank5 = v->hits[1];
  out->rank10 = v->hits[2];
  out->d_prime = v->d_prime;
  out->auc = v->auc;
  out->eer = v->eer;
  out->eer_threshold = sb_scale_score(scale, v->eer_threshold);
  for (int i = 0; i < SB_FARS; i++) {
    out->tar[i] = v->tar[i];
    out->tar_threshold[i] = sb_scale_score(scale, v->tar_threshold[i]);
  }
  out->kde_threshold = sb_scale_score(scale, v->kde_threshold);
  out->kde_fnmr = v->fnmr[0];
  out->kde_fmr = v->fmr[0];
  out->fpir_threshold = sb_scale_score(scale, v->fpir_threshold);
  out->fnir = v->fnir;
}

static void take_intervals(const sb_values *low, const sb_values *high, const sb_trials *t,
                           const sb_scale *scale, sb_evaluation *out) {
  out->rank1_interval = of_hits(out->rank1, low->hits[0], high->hits[0], t->mated);
  out->rank5_interval = of_hits(out->rank5, low->hits[1], high->hits[1], t->mated);
  out->rank10_interval = of_hits(out->rank10, low->hits[2], high->hits[2], t->mated);
  out->d_prime_interval = (sb_interval){low->d_prime, high->d_prime};
  out->auc_interval = out->auc > 0 && out->auc < 1
                          ? (sb_interval){low->auc, high->auc}
                          : sb_interval_of_errors(out->auc, NONE, NONE, t->triples, false);
  out->eer_interval = of_eer(out->eer, low->eer, high->eer, t);
  for (int i = 0; i < SB_FARS; i++)
    out->tar_interval[i] = of_hits(out->tar[i], low->tar[i], high->tar[i], t->mated);
  out->kde_threshold_interval = turned(scale, low->kde_threshold, high->kde_threshold);
  out->kde_fnmr_interval =
      sb_interval_of_errors(out->kde_fnmr, low->fnmr[0], high->fnmr[0], t->mated, true);
  out->kde_fmr_interval =
      sb_interval_of_errors(out->kde_fmr, low->fmr[0], high->fmr[0], t->nonmated, false);
  out->fpir_threshold_interval = turned(scale, low->fpir_threshold, high->fpir_threshold);
  out->fnir_interval = sb_interval_of_errors(out->fnir, low->fnir, high->fnir, t->mated, true);
}

static void take_bands(const sb_trials *t, sb_given *given) {
  const sb_values *v = &given->value, *low = &given->low, *high = &given->high;
  for (int i = 0; i < SB_BAND_RANKS; i++)
    given->hits_band[i] = of_hits(v->band_hits[i], low->band_hits[i], high->band_hits[i], t->mated);
  for (int i = 0; i < SB_BAND_FARS; i++)
    given->tar_band[i] = of_hits(v->band_tar[i], low->band_tar[i], high->band_tar[i], t->mated);
}

// Searches compare with the gallery less the probe itself and its mates: their mean number.
static double others_per_search(const sb_study *study, const sb_search *search) {
  double counted = 0;
  for (int64_t i = 0; i < study->probes * study->bins; i++) counted += study->histogram[i];
  return search->with_others > 0 ? counted / (double)search->with_others : NONE;
}

static sb_bootstrap plan_of(const sb_study *study, const sb_search *search,
                            const sb_evaluate_options *options) {
  return (sb_bootstrap){.study = study,
                        .search = search,
                        .fpir = options->fpir,
                        .replicates = options->replicates,
                        .seed = 1,
                        .threads = options->threads};
}

static void no_values(sb_values *v) {
  for (size_t i = 0; i < sizeof *v / sizeof(double); i++) ((double *)v)[i] = NONE;
}

// With few people among the mated, what rests on them has no interval by resampling; with few
// people at all, nothing has.
static sb_status intervals_of(const sb_bootstrap *b, const sb_trials *t, sb_values *low,
                              sb_values *high) {
  no_values(low);
  no_values(high);
  if (b->study->people < SB_LEAST_PEOPLE) return sb_ok();
  sb_status status = sb_values_intervals(b, low, high);
  if (status.code != SB_OK || t->mated >= SB_LEAST_PEOPLE) return status;
  sb_values *const ends[2] = {low, high};
  for (int i = 0; i < 2; i++) {
    sb_values kept = *ends[i];
    no_values(ends[i]);
    ends[i]->fpir_threshold = kept.fpir_threshold;
    memcpy(ends[i]->tar_threshold, kept.tar_threshold, sizeof kept.tar_threshold);
    memcpy(ends[i]->fmr, kept.fmr, sizeof kept.fmr);
  }
  return status;
}

sb_status sb_figures_of_study(const sb_study *study, const char *measure, const sb_scale *scale,
                              double nonmated_max, const sb_evaluate_options *options,
                              sb_evaluation *out, sb_given *given) {
  sb_search search = {0};
  sb_trials t;
  sb_status status = sb_ok();
  memset(out, 0, sizeof *out);
  snprintf(out->measure, sizeof out->measure, "%s", measure);
  SB_TRY(sb_search_open(study, &search));
  sb_bootstrap b = plan_of(study, &search, options);
  SB_TRY(sb_values_of_study(&b, &given->value)); // for the threshold, then at it
  b.fixed[b.fixed_count++] = given->value.kde_threshold;
  SB_TRY(sb_values_of_study(&b, &given->value));
  SB_TRY(sb_count_trials(study, &t));
  SB_TRY(intervals_of(&b, &t, &given->low, &given->high));
  out->people = study->people;
  out->mated_people = t.mated;
  out->fpir = options->fpir;
  out->fpir_gallery = others_per_search(study, &search);
  take_mated(study, scale, out);
  SB_TRY(take_pool(study, scale, out));
  take_values(&given->value, &search, scale, out);
  take_intervals(&given->low, &given->high, &t, scale, out);
  take_bands(&t, given);
  out->nonmated_max = isinf(nonmated_max) ? NONE : sb_scale_score(scale, nonmated_max);
  out->margin = scale->direction * (out->mated_min - out->nonmated_max);
  say_why(study, &t, out);
cleanup:
  sb_search_close(&search);
  return status;
}

// ---- Thresholds that go from one study to another -----------------------------------------------

static sb_status apply_some(const sb_study *study, const sb_trials *t, const double *thresholds,
                            int count, const sb_evaluate_options *options, sb_applied *out) {
  sb_search search = {0};
  sb_values values, low, high;
  sb_status status = sb_ok();
  SB_TRY(sb_search_open(study, &search));
  sb_bootstrap b = plan_of(study, &search, options);
  for (int i = 0; i < count; i++) b.fixed[b.fixed_count++] = thresholds[i];
  SB_TRY(sb_values_of_study(&b, &values));
  SB_TRY(intervals_of(&b, t, &low, &high));
  for (int i = 0; i < count; i++) {
    out[i].fnmr = values.fnmr[i];
    out[i].fmr = values.fmr[i];
    out[i].fnmr_interval =
        sb_interval_of_errors(values.fnmr[i], low.fnmr[i], high.fnmr[i], t->mated, true);
    out[i].fmr_interval =
        sb_interval_of_errors(values.fmr[i], low.fmr[i], high.fmr[i], t->nonmated, false);
  }
cleanup:
  sb_search_close(&search);
  return status;
}

sb_status sb_figures_apply(const sb_study *study, const double *thresholds, int count,
                           const sb_evaluate_options *options, sb_applied *out) {
  sb_trials t;
  sb_status status = sb_count_trials(study, &t);
  for (int i = 0; i < count && status.code == SB_OK; i += SB_MOST_FIXED) {
    int some = (int)sb_smaller(count - i, SB_MOST_FIXED);
    status = apply_some(study, &t, thresholds + i, some, options, out + i);
  }
  return status;
}

sb_status sb_figures_given(const sb_study *study, const sb_evaluate_options *options,
                           sb_given *given) {
  sb_search search = {0};
  sb_trials t;
  sb_status status = sb_ok();
  SB_TRY(sb_search_open(study, &search));
  const sb_bootstrap b = plan_of(study, &search, options);
  SB_TRY(sb_values_of_study(&b, &given->value));
  SB_TRY(sb_count_trials(study, &t));
  SB_TRY(intervals_of(&b, &t, &given->low, &given->high));
cleanup:
  sb_search_close(&search);
  return status;
}

// ---- The table ----------------------------------------------------------------------------------

#define AT(member) offsetof(sb_evaluation, member)
#define COUNT(name, text)                                                                          \
  { #name, text, AT(name), 0, true }
#define FIGURE(name, text)                                                                         \
  { #name, text, AT(name), 0, false }
#define RATE(name, text)                                                                           \
  { #name, text, AT(name), AT(name##_interval), false }
#define TAR(i, far)                                                                                \
  {"tar_at_far_" far,                                                                              \
   "share of mated pairs accepted at the lowest histogram edge with at most " far                  \
   " of the non-mated pairs at or above it; null with fewer than 1 / " far " pairs",               \
   AT(tar[i]), AT(tar_interval[i]), false},                                                        \
  {                                                                                                \
    "tar_threshold_" far, "that edge", AT(tar_threshold[i]), 0, false                              \
  }

const sb_figure sb_figures[] = {
    COUNT(people, "people whose scans were compared; a scan of nobody known counts as one"),
    COUNT(mated_people, "of these, people with a mated pair"),
    COUNT(mated_pairs, "pairs of different scans of one person; in a comparison of a store with "
                       "itself each pair counts once"),
    COUNT(nonmated_pairs,
          "pairs of scans of two people. By labels, scans of two datasets, or with no participant "
          "known, count as such; pairs with a scan whose person a given identities table leaves "
          "open are in neither count"),
    COUNT(mated_probes,
          "probe scans with at least one other scan of the same person in the gallery"),
    COUNT(rank1_probes, "of these, the ones whose closest gallery scan, of all, is of the same "
                        "person; equal scores are ordered by (dataset, scan_id)"),
    RATE(rank1, "rank1_probes / mated_probes: the first point of the CMC (ISO/IEC 19795-1)"),
    RATE(rank5, "the same with a mate among the 5 closest"),
    RATE(rank10, "the same with a mate among the 10 closest"),
    FIGURE(mated_min, "the score of the mated pair least alike"),
    FIGURE(nonmated_max, "the score of the non-mated pair most alike"),
    FIGURE(margin, "mated_min - nonmated_max, its sign turned for a distance: above 0 a single "
                   "threshold separates all pairs"),
    FIGURE(mated_mean, "mean of the mated scores"),
    FIGURE(mated_sd, "standard deviation of the mated scores (n - 1)"),
    FIGURE(nonmated_mean, "mean of the non-mated scores, from their histogram of histogram_bins "
                          "equal bins over the measure's range: each score is taken as the centre "
                          "of its bin, half a bin off at most"),
    FIGURE(nonmated_sd,
           "standard deviation of the non-mated scores (n - 1), from the same histogram"),
    RATE(d_prime, "|mated_mean - nonmated_mean| / sqrt((mated_sd^2 + nonmated_sd^2) / 2)"),
    RATE(auc, "area under the ROC curve: P(a mated pair is closer than a non-mated one), pairs in "
              "one histogram bin counting half"),
    FIGURE(auc_error, "how far auc can be from the same figure without bins"),
    RATE(eer, "equal error rate: where the false match and false non-match rate cross, on the "
              "straight line between two histogram edges (ISO/IEC 19795-1)"),
    FIGURE(eer_threshold, "the score at which they do"),
    TAR(0, "0.1"),
    TAR(1, "0.01"),
    TAR(2, "0.001"),
    TAR(3, "0.0001"),
    RATE(kde_threshold,
         "the score between the two means at which the kernel densities of mated and non-mated "
         "scores cross: Gaussian kernels, bandwidth 0.9 min(sd, IQR / 1.34) n^(-1/5) (Silverman "
         "1986), each density integrating to 1; of several crossings the one with the smallest sum "
         "of both errors. Its interval is of 200 replicates"),
    FIGURE(kde_mated_bandwidth, "the kernel's standard deviation, of mated scores"),
    FIGURE(kde_nonmated_bandwidth, "the same of non-mated scores"),
    RATE(kde_fnmr, "share of mated pairs that kde_threshold rejects; of the very data that it was "
                   "chosen on"),
    RATE(kde_fmr, "share of non-mated pairs that kde_threshold accepts"),
    FIGURE(fpir, "false positive identification rate asked for: the share of searches, without the "
                 "probe's mates in the gallery, that return anybody (ISO/IEC 19795-1)"),
    FIGURE(fpir_gallery, "N: gallery scans that such a search compares with, on average"),
    RATE(fpir_threshold, "the lowest threshold with at most that rate among these searches: where "
                         "they are fewer than 1 / fpir, the lowest at which none returns anybody"),
    RATE(fnir, "false negative identification rate at fpir_threshold: the share of mated searches "
               "whose closest mate is below it, at whatever rank (FNIR(N, L = N, T) of NIST FRTE "
               "1:N)"),
    FIGURE(expected_false, "non-mated pairs to expect among the links proposed, asked for"),
    FIGURE(link_threshold, "the score at which that many are expected among all pairs compared"),
    COUNT(links, "pairs proposed as links without looking at identities: links.tsv"),
    COUNT(false_links, "of these, pairs known to be of two people"),
    COUNT(control_links, "control attack: links proposed by the same rule when all mated pairs are "
                         "taken out"),
    COUNT(alike_pairs,
          "pairs below link_threshold that score 0.85 or more by bandpass, as two scans "
          "of one person usually do; not known of other measures"),
};
const size_t sb_figure_count = sizeof sb_figures / sizeof *sb_figures;

#undef AT
#define AT(member) offsetof(sb_stratum, member)

const sb_figure sb_stratum_figures[] = {
    COUNT(people, "people whose mated pairs or searches these are"),
    COUNT(mated, "mated pairs; of searches, those with a mate in the gallery"),
    COUNT(mated_people, "their people"),
    FIGURE(mated_min,
           "of mated pairs the least alike score; of searches, of each one's closest mate"),
    FIGURE(mated_median, "the median of these scores"),
    FIGURE(mated_max, "the most alike of them"),
    RATE(fnmr, "share of mated pairs below fpir_threshold"),
    COUNT(searches, "probes that were compared with anyone else"),
    RATE(rank1, "share of mated searches whose closest scan is a mate"),
    RATE(fnir, "share of mated searches whose closest mate is below fpir_threshold, at any rank"),
    RATE(fpir, "share of searches, without the probe's mates in the gallery, that return anybody"),
    COUNT(nonmated_pairs,
          "pairs of two people that the searches compared; in a comparison of a store "
          "with itself a pair is compared from either side"),
    RATE(fmr, "share of these at or above fpir_threshold"),
    FIGURE(nonmated_median, "median of the searches' closest non-mated scores"),
    FIGURE(nonmated_max, "the most alike of them"),
};
const size_t sb_stratum_figure_count = sizeof sb_stratum_figures / sizeof *sb_stratum_figures;
