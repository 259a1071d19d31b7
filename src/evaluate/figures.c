#include "evaluate/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/file.h"
#include "core/memory.h"
#include "engine/histogram.h"

static double or_nan(bool known, double value) {
  return known ? value : (double)NAN;
}

void sb_figures_of_mated(const sb_measure_info *info, const double *scores, int64_t count,
                         sb_evaluation *out) {
  double sum = 0, squares = 0, least = INFINITY, direction = info->higher_is_closer ? 1 : -1;
  for (int64_t i = 0; i < count; i++) {
    sum += scores[i];
    least = fmin(least, direction * scores[i]);
  }
  double mean = sum / (double)count;
  for (int64_t i = 0; i < count; i++) squares += (scores[i] - mean) * (scores[i] - mean);
  out->mated_pairs = count;
  out->mated_min = or_nan(count > 0, direction * least);
  out->mated_mean = or_nan(count > 0, mean);
  out->mated_sd = or_nan(count > 1, sqrt(squares / (double)(count - 1)));
}

static double bin_centre(const sb_measure_info *info, int64_t bins, int64_t i) {
  return (sb_histogram_edge(info, bins, i) + sb_histogram_edge(info, bins, i + 1)) / 2;
}

int64_t sb_figures_of_histogram(const sb_measure_info *info, const int64_t *histogram, int64_t bins,
                                int64_t sides, sb_evaluation *out) {
  double sum = 0, squares = 0;
  int64_t total = 0;
  for (int64_t i = 0; i < bins; i++) {
    total += histogram[i];
    sum += (double)histogram[i] * bin_centre(info, bins, i);
  }
  double mean = sum / (double)total;
  for (int64_t i = 0; i < bins; i++) {
    double d = bin_centre(info, bins, i) - mean;
    squares += (double)histogram[i] * d * d;
  }
  int64_t pairs = total / sides;
  out->nonmated_pairs = pairs;
  out->nonmated_mean = or_nan(pairs > 0, mean);
  out->nonmated_sd = or_nan(pairs > 1, sqrt(squares / (double)sides / (double)(pairs - 1)));
  return total;
}

void sb_figures_of_both(const sb_measure_info *info, sb_evaluation *out) {
  double direction = info->higher_is_closer ? 1 : -1;
  double variance = (out->mated_sd * out->mated_sd + out->nonmated_sd * out->nonmated_sd) / 2;
  out->rank1 = or_nan(out->mated_probes > 0, (double)out->rank1_probes / (double)out->mated_probes);
  out->margin = direction * (out->mated_min - out->nonmated_max);
  out->d_prime = or_nan(variance > 0, fabs(out->mated_mean - out->nonmated_mean) / sqrt(variance));
}

// ---- evaluation.json ----------------------------------------------------------------------------

static const char *const DEFINITIONS[][2] = {
    {"mated_pairs",
     "pairs of different scans of one person; in a comparison of a store with itself "
     "each pair counts once"},
    {"nonmated_pairs", "pairs of scans of two people. By labels, scans of two datasets, or with "
                       "no participant known, count as such; pairs with a scan whose person a "
                       "given identities table leaves open are in neither count"},
    {"mated_probes", "probe scans with at least one other scan of the same person in the gallery"},
    {"rank1_probes",
     "of these, the ones whose closest gallery scan, of all, is of the same person; "
     "equal scores are ordered by (dataset, scan_id)"},
    {"rank1", "rank1_probes / mated_probes"},
    {"mated_min", "the score of the mated pair least alike"},
    {"nonmated_max", "the score of the non-mated pair most alike"},
    {"margin", "mated_min - nonmated_max, its sign turned for a distance: above 0 a single "
               "threshold separates all pairs"},
    {"mated_mean", "mean of the mated scores"},
    {"mated_sd", "standard deviation of the mated scores (n - 1)"},
    {"nonmated_mean", "mean of the non-mated scores, from their histogram of histogram_bins bins, "
                      "equal ones over the "
                      "measure's range (for a distance without a limit, of equal ratios): each "
                      "score is taken as the "
                      "centre of its bin, half a bin off at most"},
    {"nonmated_sd", "standard deviation of the non-mated scores (n - 1), from the same histogram"},
    {"d_prime", "|mated_mean - nonmated_mean| / sqrt((mated_sd^2 + nonmated_sd^2) / 2), the "
                "non-mated ones from the histogram: approximate, the more so the fewer its bins"},
};

static void add_number(cJSON *object, const char *name, double value) {
  if (isfinite(value))
    cJSON_AddNumberToObject(object, name, value);
  else
    cJSON_AddNullToObject(object, name);
}

static cJSON *figures(const sb_evaluation *e, const sb_linked_measure *m) {
  cJSON *object = cJSON_CreateObject();
  cJSON_AddStringToObject(object, "measure", e->measure);
  cJSON_AddBoolToObject(object, "higher_is_closer", m->measure->info.higher_is_closer);
  add_number(object, "mated_pairs", (double)e->mated_pairs);
  add_number(object, "nonmated_pairs", (double)e->nonmated_pairs);
  add_number(object, "mated_probes", (double)e->mated_probes);
  add_number(object, "rank1_probes", (double)e->rank1_probes);
  add_number(object, "rank1", e->rank1);
  add_number(object, "mated_min", e->mated_min);
  add_number(object, "nonmated_max", e->nonmated_max);
  add_number(object, "margin", e->margin);
  add_number(object, "mated_mean", e->mated_mean);
  add_number(object, "mated_sd", e->mated_sd);
  add_number(object, "nonmated_mean", e->nonmated_mean);
  add_number(object, "nonmated_sd", e->nonmated_sd);
  add_number(object, "d_prime", e->d_prime);
  add_number(object, "histogram_bins", (double)m->bins);
  return object;
}

sb_status sb_write_evaluation(const char *out, const char *identities, const char *assumption,
                              const sb_link_folder *folder, const sb_evaluation *results) {
  cJSON *root = cJSON_CreateObject(), *definitions, *list;
  cJSON_AddStringToObject(root, "kind", "samebrain evaluation");
  cJSON_AddStringToObject(root, "version", sb_version());
  cJSON_AddStringToObject(root, "identities",
                          identities != NULL ? identities : sb_identity_mode_name(folder->mode));
  add_number(root, "probes", (double)folder->scans.probe_count);
  add_number(root, "gallery", (double)folder->scans.gallery_count);
  cJSON_AddStringToObject(root, "note",
                          "Linkage is not identification: these figures say how well scans of one "
                          "person are told from scans of others, not who the person is.");
  if (assumption != NULL) cJSON_AddStringToObject(root, "assumption", assumption);
  list = cJSON_AddArrayToObject(root, "measures");
  for (size_t i = 0; i < folder->measure_count; i++)
    cJSON_AddItemToArray(list, figures(results + i, folder->measures + i));
  definitions = cJSON_AddObjectToObject(root, "definitions");
  for (size_t i = 0; i < sizeof DEFINITIONS / sizeof *DEFINITIONS; i++)
    cJSON_AddStringToObject(definitions, DEFINITIONS[i][0], DEFINITIONS[i][1]);
  char *text = cJSON_Print(root), *path = sb_path_join(out, "evaluation.json");
  cJSON_Delete(root);
  sb_status status = text == NULL || path == NULL
                         ? sb_error(SB_NO_MEMORY, "evaluation.json: out of memory")
                         : sb_write_file(path, text, strlen(text));
  cJSON_free(text);
  free(path);
  return status;
}
