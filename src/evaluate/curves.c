#include "evaluate/curves.h"

#include <math.h>
#include <stdlib.h>

#include "core/memory.h"
#include "evaluate/kde.h"
#include "evaluate/normal.h"

void sb_put_number(FILE *file, double value) {
  if (isnan(value))
    fputs("n/a", file);
  else
    fprintf(file, "%.9g", value == 0 ? 0.0 : value); // no minus zero
}

static void put_line(FILE *file, const double *values, int count) {
  for (int i = 0; i < count; i++) {
    if (i > 0) fputc('\t', file);
    sb_put_number(file, values[i]);
  }
  fputc('\n', file);
}

typedef sb_status (*curve)(const sb_result *result, FILE *file);

// The bins in which there is any score: [first, last].
static void find_span(const sb_pool *pool, int64_t *first, int64_t *last) {
  *first = 0;
  *last = pool->bins - 1;
  while (*first < *last && !(pool->mated[*first] + pool->nonmated[*first] > 0)) ++*first;
  while (*last > *first && !(pool->mated[*last] + pool->nonmated[*last] > 0)) --*last;
}

// A rate on the axis of a DET curve: its normal deviate.
static double deviate(double rate) {
  return rate > 0 && rate < 1 ? sb_normal_quantile(rate) : (double)NAN;
}

static sb_status write_roc(const sb_result *result, FILE *file) {
  sb_pool pool = {0};
  sb_status status = sb_pool_of_study(&result->study, &pool);
  if (status.code != SB_OK) return status;
  int64_t first, last;
  double mated = 0, nonmated = 0;
  find_span(&pool, &first, &last);
  fputs("threshold\tfmr\tfnmr\tfmr_deviate\tfnmr_deviate\n", file);
  for (int64_t bin = last + 1; bin >= first; bin--) {
    double fmr = pool.nonmated_weight > 0 ? nonmated / pool.nonmated_weight : (double)NAN;
    double fnmr = pool.mated_weight > 0 ? 1 - mated / pool.mated_weight : (double)NAN;
    double edge = sb_scale_score(&result->scale, pool.low + sb_pool_width(&pool) * (double)bin);
    put_line(file, (double[]){edge, fmr, fnmr, deviate(fmr), deviate(fnmr)}, 5);
    if (bin == first) break;
    mated += pool.mated[bin - 1];
    nonmated += pool.nonmated[bin - 1];
  }
  sb_pool_free(&pool);
  return status;
}

// The ROC at round false accept rates, where it has a band.
static sb_status write_tar(const sb_result *result, FILE *file) {
  fputs("far\ttar\ttar_low\ttar_high\n", file);
  for (int i = 0; i < SB_BAND_FARS && result->anyone; i++) {
    double tar = result->given.value.band_tar[i];
    const sb_interval *band = result->given.tar_band + i;
    if (!isnan(tar)) put_line(file, (double[]){sb_band_far(i), tar, band->low, band->high}, 4);
  }
  return sb_ok();
}

static sb_status write_cmc(const sb_result *result, FILE *file) {
  enum { MOST_RANKS = 100 };
  sb_search search = {0};
  sb_status status = sb_search_open(&result->study, &search);
  fputs("rank\thit_rate\thit_rate_low\thit_rate_high\n", file);
  for (int64_t rank = 1; rank <= MOST_RANKS && rank <= result->study.gallery; rank++) {
    if (status.code != SB_OK || search.mated == 0) break;
    sb_interval band = {(double)NAN, (double)NAN};
    if (result->anyone && rank <= SB_BAND_RANKS) band = result->given.hits_band[rank - 1];
    double rate = sb_search_hits(&result->study, &search, NULL, (double)rank);
    put_line(file, (double[]){(double)rank, rate, band.low, band.high}, 4);
  }
  sb_search_close(&search);
  return status;
}

// One line a step of FPIR, at most MOST of them.
static sb_status write_search(const sb_result *result, FILE *file) {
  enum { MOST = 1000 };
  const sb_study *study = &result->study;
  sb_search search = {0};
  sb_status status = sb_search_open(study, &search);
  fputs("threshold\tfpir\tfnir\n", file);
  int64_t step = search.with_others / MOST + 1;
  for (int64_t i = 0; i < search.with_others && status.code == SB_OK; i += step) {
    double t = study->best_nonmated[search.by_nonmated[i]];
    put_line(file,
             (double[]){sb_scale_score(&result->scale, t), sb_search_fpir(study, &search, NULL, t),
                        sb_search_fnir(study, &search, NULL, t)},
             3);
  }
  sb_search_close(&search);
  return status;
}

static double density(const sb_kde *kde, double x) {
  return kde->bandwidth > 0 ? exp(sb_kde_log_density(kde, x)) : (double)NAN;
}

// Where nobody is known that of all pairs, as which the study has them all.
static sb_status write_density(const sb_result *result, FILE *file) {
  enum { POINTS = 512 };
  sb_pool pool = {0};
  sb_kde mated = {0}, nonmated = {0};
  int64_t first, last;
  sb_status status = sb_ok();
  SB_TRY(sb_pool_of_study(&result->study, &pool));
  SB_TRY(sb_kde_open(&pool, pool.mated, 1, &mated));
  SB_TRY(sb_kde_open(&pool, pool.nonmated, 1, &nonmated));
  find_span(&pool, &first, &last);
  double low = sb_pool_centre(&pool, first), high = sb_pool_centre(&pool, last);
  double margin = 0.05 * (high - low) + sb_pool_width(&pool);
  fputs(result->anyone ? "score\tmated_density\tnonmated_density\n" : "score\tdensity\n", file);
  for (int i = 0; i < POINTS; i++) {
    double x = low - margin + (high - low + 2 * margin) * i / (POINTS - 1);
    double score = sb_scale_score(&result->scale, x), of_nonmated = density(&nonmated, x);
    if (result->anyone)
      put_line(file, (double[]){score, density(&mated, x), of_nonmated}, 3);
    else
      put_line(file, (double[]){score, of_nonmated}, 2);
  }
cleanup:
  sb_kde_close(&mated);
  sb_kde_close(&nonmated);
  sb_pool_free(&pool);
  return status;
}

static sb_status write_forecast(const sb_result *result, FILE *file) {
  fputs("rule\tthreshold\tgallery\tvalid\tfpir\tfpir_low\tfpir_high\tfpir_binomial\trank1\t"
        "rank1_low\trank1_high\trank1_binomial\n",
        file);
  for (int set = 0; set < result->forecast_count; set++)
    for (int i = 0; i < SB_GALLERIES; i++) {
      const sb_forecast_set *s = result->forecasts + set;
      const sb_forecast *f = s->at + i;
      fprintf(file, "%s\t", s->rule);
      sb_put_number(file, sb_scale_score(&result->scale, s->threshold));
      fprintf(file, "\t%.0f\t%s\t", f->gallery, f->valid ? "true" : "false");
      put_line(file,
               (double[]){f->fpir, f->fpir_low, f->fpir_high, f->fpir_binomial, f->rank1,
                          f->rank1_low, f->rank1_high, f->rank1_binomial},
               8);
    }
  return sb_ok();
}

sb_status sb_curves_write(sb_results *results, const sb_result *result) {
  static const struct {
    const char *prefix;
    curve write;
  } curves[] = {{"roc", write_roc},       {"tar", write_tar},         {"cmc", write_cmc},
                {"search", write_search}, {"density", write_density}, {"forecast", write_forecast}};
  sb_status status = sb_ok();
  for (size_t i = 0; i < sizeof curves / sizeof *curves && status.code == SB_OK; i++) {
    char *name = sb_format("%s-%s.tsv", curves[i].prefix, result->linked->measure->info.name);
    FILE *file = NULL;
    status = name == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", results->folder)
                          : sb_results_create(results, name, &file);
    if (status.code == SB_OK) status = curves[i].write(result, file);
    free(name);
  }
  return status;
}
