// One shard of a store: file names, and the table's lines out and in.
#include "store/shard.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"

// ---- Files --------------------------------------------------------------------------------------

sb_status sb_shard_files_make(const char *store, int number, sb_shard_files *files) {
  files->rows = sb_format("%s/shard-%04d.npy", store, number);
  files->masks = sb_format("%s/shard-%04d.mask.npy", store, number);
  files->table = sb_format("%s/shard-%04d.tsv", store, number);
  if (files->rows != NULL && files->masks != NULL && files->table != NULL) return sb_ok();
  sb_shard_files_free(files);
  return sb_error(SB_NO_MEMORY, "%s: out of memory", store);
}

void sb_shard_files_free(sb_shard_files *files) {
  free(files->rows);
  free(files->masks);
  free(files->table);
  memset(files, 0, sizeof *files);
}

// The number in "shard-0001.tsv" for the ending ".tsv", 0 when the name is not one.
static int shard_number(const char *name, const char *ending) {
  if (strncmp(name, "shard-", 6) != 0) return 0;
  long number = strtol(name + 6, NULL, 10);
  if (number < 1 || number > 99999999) return 0;
  char expected[40];
  snprintf(expected, sizeof expected, "shard-%04ld%s", number, ending);
  return strcmp(name, expected) == 0 ? (int)number : 0;
}

int sb_shard_of_array(const char *name) {
  int number = shard_number(name, ".npy");
  return number > 0 ? number : shard_number(name, ".mask.npy");
}

static int compare_numbers(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  return (x > y) - (x < y);
}

sb_status sb_shard_list(const char *store, int **numbers, size_t *count) {
  *numbers = NULL;
  *count = 0;
  char **names = NULL;
  size_t name_count = 0;
  sb_status status;
  SB_TRY(sb_list_folder(store, &names, &name_count));
  SB_TRY(SB_NEW(numbers, name_count, "list of shards"));
  for (size_t i = 0; i < name_count; i++) {
    int number = shard_number(names[i], ".tsv");
    if (number > 0) (*numbers)[(*count)++] = number;
  }
  qsort(*numbers, *count, sizeof **numbers, compare_numbers); // 10000 comes before 9999 as text
cleanup:
  sb_free_names(names, name_count);
  return status;
}

// ---- Lines out ----------------------------------------------------------------------------------

enum {
  DATASET,
  SCAN_ID,
  PARTICIPANT,
  SESSION,
  STATUS,
  ROW,
  ROW_CHECKSUM,
  SCALE,
  OFFSET,
  SOURCE_PATH,
  SOURCE_SHA256,
  TEMPLATE_TO_SCAN,
  TEMPLATE_CORRELATION,
  MASK_OVERLAP,
  NOISE,
  SCALE_FACTOR,
  ROTATION_DEG,
  TRANSLATION_MM,
  HANDEDNESS,
  FIT,
  LEAD,
  STRETCH,
  STRUCTURE,
  SHARPNESS,
  OFF_MM,
  BRAIN,
  EXTRACTION_OVERLAP,
  EXTRACTION_EDGE,
  ORIENTATION,
  NONFINITE_VOXELS,
  SECONDS,
  REASON,
  COLUMNS
};

static const char HEADER[] =
    "dataset\tscan_id\tparticipant\tsession\tstatus\trow\trow_checksum\tscale\toffset\tsource_"
    "path\t"
    "source_sha256\ttemplate_to_scan\ttemplate_correlation\tmask_overlap\tnoise\tscale_factor\t"
    "rotation_deg\ttranslation_"
    "mm\thandedness\tfit\tlead\tstretch\tstructure\tsharpness\toff_mm\tbrain\textraction_overlap\t"
    "extraction_edge\torientation\tnonfinite_voxels\tseconds\treason\n";

static const char *const ORIENTATIONS[] = {"sform", "qform", "assumed",
                                           "disputed"}; // as in sb_orientation_source
static const char *const BRAINS[] = {"stripped", "mask", "extracted"}; // as in sb_brain_source

void sb_shard_put_header(FILE *file) {
  fputs(HEADER, file);
}

static void put_number(FILE *file, const char *format, double value) {
  if (!isfinite(value)) {
    fputs("n/a\t", file);
    return;
  }
  char text[40];
  snprintf(text, sizeof text, format, value);
  fprintf(file, "%s\t", text);
}

static void put_text(FILE *file, const char *text) {
  sb_tsv_put(file, text == NULL ? "" : text);
  fputc('\t', file);
}

// What only a scan with a row has: from template_to_scan to nonfinite_voxels.
static void put_quality(FILE *file, const sb_scan_record *record) {
  for (int i = 0; i < 12; i++)
    fprintf(file, "%.9g%c", record->template_to_scan[i], i < 11 ? ' ' : '\t');
  const sb_quality *q = &record->quality;
  const double figures[] = {q->template_correlation,
                            q->mask_overlap,
                            q->noise,
                            q->scale,
                            q->rotation_deg,
                            q->translation_mm,
                            q->handedness,
                            q->fit,
                            q->lead,
                            q->stretch,
                            q->structure,
                            q->sharpness,
                            q->off_mm};
  for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
    put_number(file, "%.6g", figures[i]);
  put_text(file, BRAINS[q->brain]);
  put_number(file, "%.6g", q->extraction_overlap);
  put_number(file, "%.6g", q->extraction_edge);
  fprintf(file, "%s\t%" PRId64 "\t", ORIENTATIONS[q->orientation], q->nonfinite_voxels);
}

void sb_shard_put_record(FILE *file, const sb_scan_record *record) {
  bool has_row = record->row >= 0;
  put_text(file, record->scan.dataset);
  put_text(file, record->scan.scan_id);
  put_text(file, record->scan.participant);
  put_text(file, record->scan.session);
  put_text(file, sb_code_name(record->status));
  fprintf(file, "%" PRId64 "\t", record->row);
  if (has_row) {
    fprintf(file, "%08" PRIx32 "\t", record->row_checksum);
    put_number(file, "%.17g", record->scale);
    put_number(file, "%.17g", record->offset);
  } else {
    fputs("n/a\tn/a\tn/a\t", file);
  }
  put_text(file, record->scan.source_path);
  put_text(file, record->source_sha256);
  if (has_row)
    put_quality(file, record);
  else
    for (int i = TEMPLATE_TO_SCAN; i <= NONFINITE_VOXELS; i++) fputs("n/a\t", file);
  put_number(file, "%.4g", record->seconds);
  sb_tsv_put(file, record->reason == NULL ? "" : record->reason);
  fputc('\n', file);
}

// ---- Lines in -----------------------------------------------------------------------------------

static char *text_of(char *cell) {
  if (strcmp(cell, "n/a") == 0) *cell = '\0';
  return cell;
}

static bool number_of(const char *cell, double *value) {
  if (strcmp(cell, "n/a") == 0) {
    *value = NAN;
    return true;
  }
  char *end;
  *value = strtod(cell, &end);
  return end != cell && *end == '\0';
}

static bool integer_of(const char *cell, int64_t *value) {
  char *end;
  errno = 0;
  *value = strtoll(cell, &end, 10);
  return end != cell && *end == '\0' && errno == 0;
}

static bool code_of(const char *cell, sb_code *code) {
  for (int i = SB_OK; i <= SB_BACKEND; i++) {
    *code = (sb_code)i;
    if (strcmp(cell, sb_code_name(*code)) == 0) return true;
  }
  return false;
}

static bool matrix_of(const char *cell, double matrix[16]) {
  for (int i = 0; i < 12; i++) {
    char *end;
    matrix[i] = strtod(cell, &end);
    if (end == cell || *end != (i < 11 ? ' ' : '\0')) return false;
    cell = end + 1;
  }
  matrix[15] = 1;
  return true;
}

// Which of some words a cell holds.
static bool word_of(const char *cell, const char *const *words, int count, int *which) {
  for (*which = 0; *which < count; ++*which)
    if (strcmp(cell, words[*which]) == 0) return true;
  return false;
}

static bool orientation_of(const char *cell, sb_orientation_source *orientation) {
  int which;
  bool known = word_of(cell, ORIENTATIONS, 4, &which);
  if (known) *orientation = (sb_orientation_source)which;
  return known;
}

static bool brain_of(const char *cell, sb_brain_source *brain) {
  int which;
  bool known = word_of(cell, BRAINS, 3, &which);
  if (known) *brain = (sb_brain_source)which;
  return known;
}

static bool checksum_of(const char *cell, uint32_t *checksum) {
  char *end;
  *checksum = (uint32_t)strtoul(cell, &end, 16);
  return strlen(cell) == 8 && *end == '\0';
}

static bool parse_quality(char *const *cells, sb_scan_record *record) {
  sb_quality *q = &record->quality;
  return checksum_of(cells[ROW_CHECKSUM], &record->row_checksum) &&
         number_of(cells[SCALE], &record->scale) && isfinite(record->scale) &&
         number_of(cells[OFFSET], &record->offset) && isfinite(record->offset) &&
         matrix_of(cells[TEMPLATE_TO_SCAN], record->template_to_scan) &&
         number_of(cells[TEMPLATE_CORRELATION], &q->template_correlation) &&
         number_of(cells[MASK_OVERLAP], &q->mask_overlap) && number_of(cells[NOISE], &q->noise) &&
         number_of(cells[SCALE_FACTOR], &q->scale) &&
         number_of(cells[ROTATION_DEG], &q->rotation_deg) &&
         number_of(cells[TRANSLATION_MM], &q->translation_mm) &&
         number_of(cells[HANDEDNESS], &q->handedness) && number_of(cells[FIT], &q->fit) &&
         number_of(cells[LEAD], &q->lead) && number_of(cells[STRETCH], &q->stretch) &&
         number_of(cells[STRUCTURE], &q->structure) && number_of(cells[SHARPNESS], &q->sharpness) &&
         number_of(cells[OFF_MM], &q->off_mm) && brain_of(cells[BRAIN], &q->brain) &&
         number_of(cells[EXTRACTION_OVERLAP], &q->extraction_overlap) &&
         number_of(cells[EXTRACTION_EDGE], &q->extraction_edge) &&
         orientation_of(cells[ORIENTATION], &q->orientation) &&
         integer_of(cells[NONFINITE_VOXELS], &q->nonfinite_voxels);
}

// False when a cell is not what it must be. The strings stay where they are, in the cells.
static bool parse_record(char *const *cells, sb_scan_record *record) {
  memset(record, 0, sizeof *record);
  if (!code_of(cells[STATUS], &record->status) || !integer_of(cells[ROW], &record->row) ||
      !number_of(cells[SECONDS], &record->seconds))
    return false;
  if ((record->status == SB_OK) != (record->row >= 0)) return false;
  if (record->row >= 0 && !parse_quality(cells, record)) return false;
  if (strlen(cells[SOURCE_SHA256]) >= sizeof record->source_sha256) return false;
  snprintf(record->source_sha256, sizeof record->source_sha256, "%s",
           text_of(cells[SOURCE_SHA256]));
  record->scan.dataset = text_of(cells[DATASET]);
  record->scan.scan_id = text_of(cells[SCAN_ID]);
  record->scan.participant = text_of(cells[PARTICIPANT]);
  record->scan.session = text_of(cells[SESSION]);
  record->scan.source_path = text_of(cells[SOURCE_PATH]);
  record->scan.mask_path = cells[REASON] + strlen(cells[REASON]); // not kept in the table
  record->reason = text_of(cells[REASON]);
  return true;
}

// How many whole rows an array file holds; 0 for a missing one.
static int64_t rows_in_file(const char *path, int64_t row_bytes) {
  struct stat info;
  if (stat(path, &info) != 0 || info.st_size < SB_NPY_HEADER) return 0;
  return ((int64_t)info.st_size - SB_NPY_HEADER) / row_bytes;
}

// Where line `i` begins in the file.
static int64_t line_start(const sb_tsv *tsv, size_t i) {
  return tsv->cells[i * tsv->columns] - tsv->text;
}

static sb_status parse_lines(const char *path, int64_t rows_there, sb_shard_table *out) {
  sb_status status = SB_NEW(&out->records, out->tsv.rows, "shard table");
  if (status.code != SB_OK) return status;
  for (size_t i = 0; i < out->tsv.rows; i++) {
    sb_scan_record *record = &out->records[i];
    if (!parse_record(out->tsv.cells + i * COLUMNS, record) ||
        (record->row >= 0 && record->row != out->rows + out->lost))
      return sb_error(SB_FORMAT,
                      "%s: line %zu is damaged; restore the file from a copy, or remove the three "
                      "files of this shard and prepare its scans again",
                      path, i + 2);
    if (record->row >= rows_there) {
      if (out->lost++ == 0) out->bytes = line_start(&out->tsv, i);
    } else if (out->lost == 0) {
      out->rows += record->row >= 0;
      out->count++;
    }
  }
  return sb_ok();
}

sb_status sb_shard_table_read(const sb_shard_files *files, int64_t row_bytes, int64_t mask_bytes,
                              sb_shard_table *out) {
  memset(out, 0, sizeof *out);
  char *text = NULL;
  size_t bytes = 0;
  sb_status status = sb_read_file(files->table, &text, &bytes);
  if (status.code == SB_NOT_FOUND) return sb_ok();
  if (status.code != SB_OK) return status;
  // After the table, so that a writer that goes on meanwhile can only have made them longer.
  int64_t rows_there = rows_in_file(files->rows, row_bytes);
  int64_t masks_there = rows_in_file(files->masks, mask_bytes);
  while (bytes > 0 && text[bytes - 1] != '\n') bytes--;
  text[bytes] = '\0';
  if (bytes == 0) {
    free(text);
    return sb_ok();
  }
  if (strncmp(text, HEADER, strlen(HEADER)) != 0 || strlen(text) != bytes) {
    free(text);
    return sb_error(SB_FORMAT, "%s: damaged, or not a shard's table", files->table);
  }
  SB_TRY(sb_tsv_parse(files->table, text, &out->tsv));
  out->bytes = (int64_t)bytes;
  SB_TRY(parse_lines(files->table, rows_there < masks_there ? rows_there : masks_there, out));
cleanup:
  if (status.code != SB_OK) sb_shard_table_free(out);
  return status;
}

void sb_shard_table_free(sb_shard_table *table) {
  free(table->records);
  sb_tsv_free(&table->tsv);
  memset(table, 0, sizeof *table);
}
