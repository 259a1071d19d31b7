#include "evaluate/covariates.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/utf8.h"
#include "engine/scan_lines.h"
#include "engine/warn.h"

// ---- Values -------------------------------------------------------------------------------------

static bool number_of(const char *text, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && *end == '\0' && isfinite(*value);
}

static int digits(const char *text) {
  int count = 0;
  while (isdigit((unsigned char)text[count])) count++;
  return count;
}

// "2004-07-31", with or without a time of day, which does not count, or "20040731" as in DICOM. Days since 1970 by
// the civil calendar, whose years begin in March here.
static bool date_of(const char *text, double *value) {
  static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int year, month, day;
  if (digits(text) == 8 && text[8] == '\0') {
    const int whole = atoi(text);
    year = whole / 10000;
    month = whole / 100 % 100;
    day = whole % 100;
    if (year < 1900 || year > 2100) return false; // a number
  } else {
    if (digits(text) != 4 || text[4] != '-' || digits(text + 5) != 2 || text[7] != '-' ||
        digits(text + 8) != 2)
      return false;
    year = atoi(text);
    month = atoi(text + 5);
    day = atoi(text + 8);
    const char *time = text + 10;
    if (*time != '\0' && ((*time != 'T' && *time != ' ') || digits(time + 1) == 0)) return false;
  }
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1]) return false;
  if (month == 2 && day == 29 && !leap) return false;
  int from_march = year - (month <= 2);
  int days = 365 * from_march + from_march / 4 - from_march / 100 + from_march / 400 +
             (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719468;
  *value = 1970 + days / 365.25;
  return true;
}

// ---- The table ----------------------------------------------------------------------------------

// The texts of one column by scan; NULL: none.
typedef struct column {
  const char *path, *name;
  const sb_tsv *table;
  size_t at;
  const sb_scans *scans;
  const char **text;
} column;

static sb_status take_text(void *context, int64_t scan, size_t row) {
  const column *c = context;
  const char *text = sb_tsv_text(sb_tsv_cell(c->table, row, c->at));
  const sb_identity *who = sb_scans_at(c->scans, scan);
  if (*text == '\0') return sb_ok();
  if (c->text[scan] != NULL && strcmp(c->text[scan], text) != 0)
    return sb_error(SB_FORMAT,
                    "%s: two values of %s for scan %s of dataset %s, %s and %s; tell scans or "
                    "sessions apart (scan_id, session_id), or keep one",
                    c->path, c->name, who->scan_id, who->dataset, c->text[scan], text);
  c->text[scan] = text;
  return sb_ok();
}

// Warned of lines that name nobody with the first column alone: they are the same for all.
static sb_status read_texts(const char *path, const sb_tsv *table, const sb_by *by,
                            const sb_scans *scans, const sb_progress *progress, const char **text) {
  const sb_scan_columns names = {sb_tsv_column(table, "dataset"), sb_tsv_column(table, "scan_id"),
                                 sb_tsv_column(table, "participant_id"),
                                 sb_tsv_column(table, "session_id")};
  column c = {.path = path, .name = by->column, .table = table, .scans = scans, .text = text};
  if (names.scan_id < 0 && names.participant < 0)
    return sb_error(SB_FORMAT,
                    "%s: names no scans: it needs a column scan_id or participant_id (and, where "
                    "these are not enough, session_id and dataset)",
                    path);
  sb_status status = sb_tsv_need(table, path, by->column, &c.at);
  if (status.code != SB_OK) return status;
  return sb_scan_lines(path, table, &names, scans, progress, take_text, &c);
}

// ---- Kinds --------------------------------------------------------------------------------------

static int by_text(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int by_number(const void *left, const void *right) {
  double a = 0, b = 0;
  number_of(*(const char *const *)left, &a);
  number_of(*(const char *const *)right, &b);
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
  } kinds[] = {{number_of, "numbers"}, {date_of, "dates"}};
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
  bool dates = !by->categories && all_are(date_of, text, scans, values);
  bool numbers = !by->categories && !dates && all_are(number_of, text, scans, values);
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

static bool is_dataset(const sb_by *by) {
  return strcmp(by->column, "dataset") == 0;
}

static sb_status check_edges(const sb_by *by) {
  if (by->edge_count < 0 || by->edge_count > SB_MOST_EDGES)
    return sb_error(SB_USAGE, "%s: at most %d edges of bins can be given", by->column,
                    SB_MOST_EDGES);
  for (int i = 0; i < by->edge_count; i++)
    if (!(by->edges[i] > (i == 0 ? 0 : by->edges[i - 1]) && isfinite(by->edges[i])))
      return sb_error(SB_USAGE, "%s: edges of bins must be above 0 and rise", by->column);
  return sb_ok();
}

static sb_status read_column(const sb_evaluate_options *options, const sb_scans *scans,
                             const sb_tsv *table, bool first, sb_covariate *out) {
  const char **text = NULL;
  int64_t count = sb_scans_count(scans), known = 0;
  sb_status status = check_edges(out->by);
  SB_TRY(status);
  SB_TRY(SB_NEW_ZERO(&text, count, "covariates"));
  SB_TRY(SB_NEW(&out->probe, count, "covariates"));
  out->gallery = out->probe + (scans->probe == scans->gallery ? 0 : scans->probe_count);
  if (is_dataset(out->by))
    for (int64_t i = 0; i < count; i++) text[i] = sb_scans_at(scans, i)->dataset;
  else
    SB_TRY(read_texts(options->covariates, table, out->by, scans, first ? options->progress : NULL,
                      text));
  for (int64_t i = 0; i < count; i++) known += text[i] != NULL;
  if (known == 0) {
    status = sb_error(SB_FORMAT, "%s: column %s has no value for any scan that is compared",
                      options->covariates, out->by->column);
    goto cleanup;
  }
  warn_of_missing(text, scans, out->by, options->progress);
  SB_TRY(take_values(text, count, options->progress, out->probe, out));
  if (out->kind == SB_CATEGORIES) SB_TRY(make_visible(out));
cleanup:
  free((void *)text);
  return status;
}

sb_status sb_covariates_read(const sb_evaluate_options *options, const sb_scans *scans,
                             sb_covariates *out) {
  *out = (sb_covariates){0};
  sb_tsv table = {0};
  bool first = true;
  sb_status status = sb_ok();
  if (options->covariates != NULL && options->by_count == 0)
    return sb_error(SB_USAGE, "%s: tell which of its columns to tell performance apart by (--by)",
                    options->covariates);
  SB_TRY(SB_NEW_ZERO(&out->items, options->by_count, "covariates"));
  if (options->covariates != NULL) {
    SB_TRY(sb_tsv_read(options->covariates, &table));
    sb_tsv_trim(&table);
  }
  for (size_t i = 0; i < options->by_count; i++) {
    sb_covariate *c = out->items + out->count++;
    c->by = options->by + i;
    for (size_t k = 0; k < i; k++)
      if (strcmp(options->by[k].column, c->by->column) == 0)
        status = sb_error(SB_USAGE, "column %s is asked for twice", c->by->column);
    SB_TRY(status);
    if (options->covariates == NULL && !is_dataset(c->by)) {
      status = sb_error(SB_USAGE,
                        "without a table only \"dataset\" is known of scans, not \"%s\": name one "
                        "that has such a column (--covariates)",
                        c->by->column);
      goto cleanup;
    }
    SB_TRY(read_column(options, scans, &table, first, c));
    first = first && is_dataset(c->by);
  }
cleanup:
  sb_tsv_free(&table);
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
