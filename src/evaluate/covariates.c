#include "evaluate/covariates.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "engine/scan_lines.h"
#include "engine/warn.h"
#include "evaluate/known.h"
#include "evaluate/values.h"

// ---- Kinds --------------------------------------------------------------------------------------

static int by_text(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int by_number(const void *left, const void *right) {
  double a = 0, b = 0;
  sb_value_number(*(const char *const *)left, &a);
  sb_value_number(*(const char *const *)right, &b);
  return (a > b) - (a < b);
}

// Each different text once, in order; texts of one number are one.
static sb_status list_texts(const char *const *text, int64_t scans, bool numbers, char ***out,
                            int64_t *count) {
  int (*order)(const void *, const void *) = numbers ? by_number : by_text;
  const char **sorted = NULL;
  int64_t known = 0;
  sb_status status = sb_ok();
  *count = 0;
  SB_TRY(SB_NEW(&sorted, scans, "covariates"));
  SB_TRY(SB_NEW_ZERO(out, scans, "covariates"));
  for (int64_t i = 0; i < scans; i++)
    if (text[i] != NULL) sorted[known++] = text[i];
  if (known > 1) qsort((void *)sorted, (size_t)known, sizeof *sorted, order);
  for (int64_t i = 0; i < known; i++) {
    if (i > 0 && order(sorted + i - 1, sorted + i) == 0) continue;
    if (((*out)[(*count)++] = sb_strdup(sorted[i])) == NULL)
      status = sb_error(SB_NO_MEMORY, "out of memory for covariates");
  }
cleanup:
  free((void *)sorted);
  return status;
}

// What keeps a column from being one of numbers or dates, where most of it is: told, since "89+" is easily missed.
static void warn_of_kind(const char *const *text, int64_t scans, const sb_by *by,
                         const sb_progress *progress) {
  static const struct {
    bool (*read)(const char *, double *);
    const char *name;
  } kinds[] = {{sb_value_number, "numbers"}, {sb_value_date, "dates"}};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    int64_t usual = 0, others = 0;
    const char *first = NULL;
    double value;
    for (int64_t i = 0; i < scans; i++) {
      if (text[i] == NULL) continue;
      if (kinds[k].read(text[i], &value))
        usual++;
      else if (others++ == 0)
        first = text[i];
    }
    if (usual <= others) continue;
    sb_warn(progress,
            "column %s is taken for categories: %" PRId64 " of its %" PRId64
            " values are no %s, the first \"%s\"",
            by->column, others, usual + others, kinds[k].name, first);
    return;
  }
}

// Sets the values of a column of numbers or dates; false where it is neither.
static bool all_are(bool (*read)(const char *, double *), const char *const *text, int64_t scans,
                    double *values) {
  for (int64_t i = 0; i < scans; i++)
    if (text[i] != NULL && !read(text[i], values + i)) return false;
  return true;
}

static sb_status take_values(const char *const *text, int64_t scans, const sb_progress *progress,
                             double *values, sb_covariate *out) {
  const sb_by *by = out->by;
  bool dates = !by->categories && all_are(sb_value_date, text, scans, values);
  bool numbers = !by->categories && !dates && all_are(sb_value_number, text, scans, values);
  sb_status status = list_texts(text, scans, numbers, &out->names, &out->categories);
  if (status.code != SB_OK) return status;
  bool few = numbers && by->edge_count == 0 && out->categories <= SB_MOST_BINS;
  out->kind = dates ? SB_DATES : numbers && !few ? SB_NUMBERS : SB_CATEGORIES;
  for (int64_t i = 0; i < scans; i++) {
    if (text[i] == NULL) {
      values[i] = (double)NAN;
    } else if (out->kind == SB_CATEGORIES) {
      char **found = bsearch(text + i, out->names, (size_t)out->categories, sizeof *out->names,
                             numbers ? by_number : by_text);
      values[i] = (double)(found - out->names);
    }
  }
  if (out->kind == SB_CATEGORIES && !by->categories && !numbers)
    warn_of_kind(text, scans, by, progress);
  if (out->kind == SB_CATEGORIES && by->edge_count > 0)
    return sb_error(SB_USAGE,
                    "%s: its values are names, not numbers or dates: no edges of bins can be given",
                    by->column);
  return status;
}

// Names of categories as they can be shown: a table may have any bytes.
static sb_status make_visible(sb_covariate *c) {
  for (int64_t i = 0; i < c->categories; i++) {
    char *visible = sb_utf8_visible(c->names[i]);
    if (visible == NULL) return sb_error(SB_NO_MEMORY, "out of memory for covariates");
    free(c->names[i]);
    c->names[i] = visible;
  }
  return sb_ok();
}

static void warn_of_missing(const char *const *text, const sb_scans *scans, const sb_by *by,
                            const sb_progress *progress) {
  int64_t count = sb_scans_count(scans), missing = 0, first = 0;
  for (int64_t i = count - 1; i >= 0; i--)
    if (text[i] == NULL) {
      missing++;
      first = i;
    }
  if (missing == 0) return;
  const sb_identity *who = sb_scans_at(scans, first);
  sb_warn(progress,
          "column %s has no value for %" PRId64 " of the %" PRId64
          " scans compared, the first %s of dataset %s: they are in none of its strata",
          by->column, missing, count, who->scan_id, who->dataset);
}

// ---- All ----------------------------------------------------------------------------------------

static sb_status check_columns(const sb_evaluate_options *options) {
  for (size_t c = 0; c < options->by_count; c++) {
    const sb_by *by = options->by + c;
    for (size_t k = 0; k < c; k++)
      if (strcmp(options->by[k].column, by->column) == 0)
        return sb_error(SB_USAGE, "column %s is asked for twice", by->column);
    if (by->edge_count < 0 || by->edge_count > SB_MOST_EDGES)
      return sb_error(SB_USAGE, "%s: at most %d edges of bins can be given", by->column,
                      SB_MOST_EDGES);
    for (int i = 0; i < by->edge_count; i++)
      if (!(by->edges[i] > (i == 0 ? 0 : by->edges[i - 1]) && isfinite(by->edges[i])))
        return sb_error(SB_USAGE, "%s: edges of bins must be above 0 and rise", by->column);
  }
  return sb_ok();
}

static sb_status read_column(const sb_evaluate_options *options, const sb_scans *scans,
                             const char *const *text, sb_covariate *out) {
  int64_t count = sb_scans_count(scans), known = 0;
  sb_status status = SB_NEW(&out->probe, count, "covariates");
  SB_TRY(status);
  out->gallery = out->probe + (scans->probe == scans->gallery ? 0 : scans->probe_count);
  for (int64_t i = 0; i < count; i++) known += text[i] != NULL;
  if (known == 0) {
    status = sb_error(SB_FORMAT, "%s%s: column %s has no value for any scan that is compared",
                      options->covariates[0], options->covariate_count > 1 ? " and others" : "",
                      out->by->column);
    goto cleanup;
  }
  warn_of_missing(text, scans, out->by, options->progress);
  SB_TRY(take_values(text, count, options->progress, out->probe, out));
  if (out->kind == SB_CATEGORIES) SB_TRY(make_visible(out));
cleanup:
  return status;
}

sb_status sb_covariates_read(const sb_evaluate_options *options, const sb_scans *scans,
                             sb_covariates *out) {
  const size_t count = (size_t)sb_scans_count(scans);
  char **text = NULL;
  sb_status status = check_columns(options);
  *out = (sb_covariates){0};
  SB_TRY(status);
  SB_TRY(sb_known_read(options, scans, &text));
  SB_TRY(SB_NEW_ZERO(&out->items, options->by_count, "covariates"));
  for (size_t i = 0; i < options->by_count; i++) {
    sb_covariate *c = out->items + out->count++;
    c->by = options->by + i;
    SB_TRY(read_column(options, scans, (const char *const *)text + i * count, c));
  }
cleanup:
  sb_free_names(text, options->by_count * count);
  if (status.code != SB_OK) sb_covariates_free(out);
  return status;
}

void sb_covariates_free(sb_covariates *covariates) {
  for (size_t i = 0; i < covariates->count; i++) {
    sb_covariate *c = covariates->items + i;
    for (int64_t k = 0; c->names != NULL && k < c->categories; k++) free(c->names[k]);
    free((void *)c->names);
    free(c->probe);
  }
  free(covariates->items);
  *covariates = (sb_covariates){0};
}
